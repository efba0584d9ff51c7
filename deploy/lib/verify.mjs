// Compares what Elasticsearch and the mail server hold with what the recorders heard from the nodes. Every finding is a sentence; none is success.
import { longestRun, reorgs } from "./chain.mjs";
import { term } from "./elastic.mjs";

const ROOT = "ethereum.block.root";
const NODE = "ethereum.node.name";

/** The reorganisations of all nodes by (old head, new head), from parent links and the nodes' own heads: [{ oldHead, newHead, nodes, dropped, added, ancestor, at }]. */
export function expectedReorgs(tree, recorders) {
    const found = new Map();
    for (const recorder of recorders) {
        for (const reorg of reorgs(tree, recorder.of("head"))) {
            const key = `${reorg.oldHead} ${reorg.newHead}`;
            const known = found.get(key) ?? { ...reorg, nodes: [] };
            found.set(key, { ...known, nodes: [...known.nodes, recorder.name], at: Math.min(known.at, reorg.at) });
        }
    }
    return [...found.values()].sort((a, b) => a.at - b.at);
}

/** Slots whose block every node reported and Elasticsearch holds. */
export async function indexedRun(elastic, nodes) {
    const documents = await elastic.documents("logs-ethereum.block");
    const bySlot = new Map();
    for (const document of documents) {
        const slot = document["ethereum.block.slot"];
        if (!bySlot.has(slot)) bySlot.set(slot, new Map());
        const seen = bySlot.get(slot);
        if (!seen.has(document[ROOT])) seen.set(document[ROOT], new Set());
        seen.get(document[ROOT]).add(document[NODE]);
    }
    const complete = [...bySlot].filter(([, roots]) => [...roots.values()].some(seen => nodes.every(node => seen.has(node))));
    return longestRun(complete.map(([slot]) => slot));
}

/**
 * Every block event that an agent received is searchable exactly once, and the block's own document too: all that the recorder of the
 * node heard from the agent's first stored event on, at the latest from `fromMs` on, until `toMs`.
 */
export async function checkEvents(elastic, recorders, { fromMs, toMs }) {
    const problems = [];
    let events = 0;
    for (const recorder of recorders) {
        const stored = await elastic.documents("logs-ethereum.beacon_event", [term(NODE, recorder.name), term("ethereum.topic", "block")]);
        const blocks = await elastic.documents("logs-ethereum.block", [term(NODE, recorder.name)]);
        const found = tally(stored.map(document => document[ROOT]));
        const heard = recorder.of("block");
        const begin = Math.min(fromMs, heard.find(({ root }) => found.has(root))?.at ?? Infinity);
        const received = heard.filter(({ at }) => at >= begin && at <= toMs);
        events += received.length;
        const gaps = recorder.gaps.filter(gap => gap.to > begin && gap.from < toMs);
        if (gaps.length > 0) problems.push(`the recorder of ${recorder.name} was not connected all the time (${gaps.length} gaps)`);
        const wanted = tally(received.map(({ root }) => root));
        compare(`block event of ${recorder.name}`, wanted, found, problems);
        compare(`block document of ${recorder.name}`, new Map([...wanted.keys()].map(root => [root, 1])), tally(blocks.map(document => document[ROOT])), problems);
        const known = new Set(heard.map(({ root }) => root));
        const strangers = [...found.keys()].filter(root => !known.has(root));
        if (strangers.length > 0) problems.push(`${strangers.length} block events of ${recorder.name} are stored that the node did not send: ${list(strangers)}`);
    }
    return { events, problems };
}

function compare(what, wanted, found, problems) {
    const missing = [...wanted.keys()].filter(root => !found.has(root));
    const wrong = [...wanted].filter(([root, count]) => found.has(root) && found.get(root) !== count);
    if (missing.length > 0) problems.push(`${missing.length} of ${wanted.size}: no ${what} is stored for ${list(missing)}`);
    if (wrong.length > 0) problems.push(`${wrong.length} times the ${what} is stored more than once: ${list(wrong.map(([root]) => root))}`);
}

/** The documents of `logs-ethereum.reorg` say what the nodes' own heads and parent links say: who, which blocks dropped, which added. */
export async function checkReorgs(elastic, expected) {
    const problems = [];
    const newest = new Map();
    for (const document of await elastic.documents("logs-ethereum.reorg")) {
        const key = `${document["ethereum.reorg.old_head_root"]} ${document["ethereum.reorg.new_head_root"]}`;
        if (!newest.has(key) || document["ethereum.revision"] >= newest.get(key)["ethereum.revision"]) newest.set(key, document);
    }
    for (const reorg of expected) {
        const name = `reorg ${reorg.oldHead.slice(0, 10)} → ${reorg.newHead.slice(0, 10)}`;
        const key = `${reorg.oldHead} ${reorg.newHead}`;
        const document = newest.get(key);
        newest.delete(key);
        if (reorg.unlinked) problems.push(`${name}: the nodes did not serve the links between its heads`);
        else if (!document) problems.push(`${name} by ${list(reorg.nodes)}: no document`);
        else {
            for (const [field, wanted] of [["ethereum.reorg.dropped_roots", reorg.dropped], ["ethereum.reorg.added_roots", reorg.added], ["ethereum.nodes", reorg.nodes]]) {
                const found = [document[field] ?? []].flat();
                if (!sameSet(found, wanted)) problems.push(`${name}: ${field} is ${list(found)}, by the nodes ${list(wanted)}`);
            }
        }
    }
    for (const key of newest.keys()) problems.push(`a reorg document ${key.split(" ").map(root => root.slice(0, 10)).join(" → ")} that no node made`);
    return problems;
}

/**
 * What the nodes' `chain_reorg` events name as heads and is no block of any node is nowhere told as one. Also how many events there
 * were, and how many of them named such a root.
 */
export async function checkHints(elastic, tree, recorders) {
    const hints = recorders.flatMap(recorder => recorder.of("chain_reorg")).map(({ data }) => [data.old_head_block, data.new_head_block]);
    const strangers = hints.map(roots => roots.filter(root => root && !tree.get(root)));
    const unreal = new Set(strangers.flat());
    const problems = [];
    for (const [stream, fields] of HEADS_TOLD) {
        const told = (await elastic.documents(stream)).flatMap(document => fields.flatMap(field => document[field] ?? []));
        const fooled = told.filter(root => unreal.has(root));
        if (fooled.length > 0) problems.push(`${stream} tells of ${list(fooled)}, which only a chain_reorg event calls a block`);
    }
    return { events: hints.length, wrong: strangers.filter(roots => roots.length > 0).length, problems };
}

const HEADS_TOLD = [
    ["logs-ethereum.block", [ROOT, "ethereum.block.parent_root"]],
    ["logs-ethereum.network_block", [ROOT]],
    ["logs-ethereum.reorg", ["ancestor_root", "old_head_root", "new_head_root", "dropped_roots", "added_roots"].map(name => `ethereum.reorg.${name}`)],
];

/** At the end each node's chain, walked by REST from its head, must hold what was added last and nothing that was dropped for good. */
export async function checkFinalChain(recorders, expected, ask) {
    const problems = [];
    for (const recorder of recorders) {
        const belongs = new Map();
        for (const reorg of expected.filter(({ nodes }) => nodes.includes(recorder.name))) {
            for (const root of reorg.dropped) belongs.set(root, false);
            for (const root of reorg.added) belongs.set(root, true);
        }
        if (belongs.size === 0) continue;
        // Not by its field `canonical`: Lodestar 1.5.1 says true of an orphan too when asked by root.
        const chain = await walk(recorder.url, ask, new Set(expected.map(({ ancestor }) => ancestor)));
        for (const [root, wanted] of belongs) {
            if (chain.has(root) !== wanted) problems.push(`by REST ${root.slice(0, 10)} is ${wanted ? "not " : ""}part of the chain of ${recorder.name} at the end`);
        }
    }
    return problems;
}

/** Roots from the head down to the lowest of `ends`. */
async function walk(url, ask, ends) {
    const chain = new Set();
    for (let id = "head", left = ends.size; left > 0; ) {
        const { root, header } = (await ask(`${url}/eth/v1/beacon/headers/${id}`)).data;
        chain.add(root);
        if (ends.has(root)) left--;
        if (header.message.slot === "0") break;
        id = header.message.parent_root;
    }
    return chain;
}

/** One split, opened and closed once, with one node on each side, from the first slot after the common ancestor. */
export async function checkSplit(elastic, nodes, fromSlots) {
    const problems = [];
    const steps = await elastic.documents("logs-ethereum.head_split");
    for (const [index, fromSlot] of fromSlots.entries()) {
        const opened = steps.filter(step => step["event.action"] === "opened")[index];
        if (!opened) {
            problems.push(`no head_split document for the split at slot ${fromSlot}`);
            continue;
        }
        const sides = (opened["ethereum.split.groups"] ?? []).map(group => [group.nodes].flat());
        if (!sameSet(sides.map(String), nodes) || sides.some(side => side.length !== 1)) problems.push(`the head_split has the sides ${sides.join(" | ")}`);
        if (opened["ethereum.split.from_slot"] !== fromSlot) problems.push(`the head_split begins at slot ${opened["ethereum.split.from_slot"]}, by the nodes at ${fromSlot}`);
    }
    for (const closed of steps.filter(step => step["event.action"] === "closed")) problems.push(...moveProblems(closed, nodes));
    for (const action of ["opened", "closed"]) {
        const count = steps.filter(step => step["event.action"] === action).length;
        if (count !== fromSlots.length) problems.push(`${count} head_split documents ${action}, expected ${fromSlots.length}`);
    }
    return problems;
}

/** When a split closes, at least one node has gone over, each from a head of the split's groups to one head for all, and nobody is lost. */
function moveProblems(closed, nodes) {
    const value = name => closed[`ethereum.split.${name}`];
    const moved = value("moved") ?? [];
    const groups = value("groups") ?? [];
    const of = node => groups.find(group => [group.nodes].flat().includes(node));
    const problems = [];
    if (moved.length === 0 || moved.length !== value("moved_count")) problems.push(`${moved.length} nodes went over when the split closed, counted ${value("moved_count")}`);
    for (const { node, client, version, from_root, to_root } of moved) {
        const group = of(node);
        if (!nodes.includes(node) || from_root !== group?.head_root || to_root === from_root) problems.push(`${node} is said to have gone over from ${from_root} to ${to_root}; its group stood at ${group?.head_root}`);
        if (!(group?.mix ?? []).some(each => each.client === client && each.version === version && each.node_count === 1)) problems.push(`the client of ${node} is ${client} ${version} when it goes over, and not in its group`);
    }
    if (new Set(moved.map(({ to_root }) => to_root)).size > 1) problems.push("the nodes went over to different heads when the split closed");
    if (value("left_count") !== 0) problems.push(`${value("left_count")} nodes were lost when the split closed`);
    if (!(value("duration_ms") > 0)) problems.push(`the split closed after ${value("duration_ms")} ms`);
    return problems;
}

/** Each rule gave as many firing mails as `wanted` says ({ rule: count }), each with one recovery that answers it, and no mail came twice. */
export function checkMails(mailbox, wanted) {
    const problems = [];
    for (const [rule, count] of Object.entries(wanted)) {
        const [firing, recovery] = [mailbox.of(rule, "firing"), mailbox.of(rule, "recovery")];
        if (firing.length !== count) problems.push(`${firing.length} firing mails of ${rule}, expected ${count}`);
        if (recovery.length !== count) problems.push(`${recovery.length} recovery mails of ${rule}, expected ${count}`);
        const answered = recovery.map(mail => mail.inReplyTo);
        const unanswered = firing.filter(mail => !answered.includes(mail.messageId));
        if (recovery.length === count && unanswered.length > 0) problems.push(`the recovery mail of ${rule} does not answer its firing mail`);
    }
    const repeated = [...tally(mailbox.mails.map(mail => mail.messageId))].filter(([, times]) => times > 1);
    if (repeated.length > 0) problems.push(`${repeated.length} mails came more than once`);
    return problems;
}

/** Each firing mail of a split names every node on a side of its own, with its client and version: `clients` is { node: "name/version" }. */
export function checkSides(mailbox, clients) {
    const problems = [];
    for (const mail of mailbox.of("head_split", "firing")) {
        const sides = mail.text.split("\n").filter(line => /^\s*side \d/.test(line));
        for (const [node, client] of Object.entries(clients)) {
            const own = sides.filter(side => side.includes(node));
            const named = own.length === 1 && own[0].includes(client) && Object.keys(clients).every(other => other === node || !own[0].includes(other));
            if (!named) problems.push(`the mail of head_split does not name ${node} with ${client} on a side of its own: ${sides.join(" | ") || "no sides"}`);
        }
    }
    for (const mail of mailbox.of("head_split", "recovery")) {
        const over = mail.text.split("\n").filter(line => /^\s*went over \d/.test(line));
        if (!over.some(line => Object.keys(clients).some(node => line.includes(node)))) problems.push("the recovery mail of head_split does not say who went over");
    }
    return problems;
}

/** `Prysm/v6.1.4/5e8a…` → `prysm/v6.1.4`. */
export function clientOf(version) {
    const [name, number] = version.split("/");
    return `${name.toLowerCase()}/${number.split(" ")[0]}`;
}

function tally(values) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
}

const sameSet = (a, b) => a.length === b.length && new Set([...a, ...b]).size === new Set(a).size && new Set(a).size === a.length;
const list = values => `${values.slice(0, 4).map(value => String(value).slice(0, 10)).join(", ") || "nothing"}${values.length > 4 ? ", …" : ""}`;
