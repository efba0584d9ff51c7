// node --test deploy/lib
import assert from "node:assert/strict";
import test from "node:test";
import { Tree } from "./chain.mjs";
import { parseSubject } from "./mails.mjs";
import { checkEvents, checkHints, checkMails, checkReorgs, checkSides, checkSplit, clientOf, expectedReorgs, indexedRun } from "./verify.mjs";

// g – 1 – 2 – 4, and 1 – 3: node a goes from 3 to 4.
const tree = new Tree();
for (const [root, slot, parent] of [["g", 0, ""], ["1", 1, "g"], ["2", 2, "1"], ["3", 3, "1"], ["4", 4, "2"]]) tree.add(root, slot, parent);

const node = (name, roots) => {
    const events = roots.flatMap((root, at) => [{ topic: "block", at, root }, { topic: "head", at, root }]);
    return { name, gaps: [{ from: -2, to: -1 }], of: topic => events.filter(event => event.topic === topic) };
};
const window = { fromMs: 0, toMs: 10 };
const time = "1970-01-01T00:00:00.005Z";
const event = (name, root) => ({ "ethereum.node.name": name, "ethereum.block.root": root, "@timestamp": time });

/** An Elasticsearch that answers with these documents of each stream. */
const elastic = streams => ({ documents: async stream => streams[stream] ?? [] });
const shipped = (events, blocks = events) => elastic({ "logs-ethereum.beacon_event": events.map(root => event("a", root)), "logs-ethereum.block": blocks.map(root => event("a", root)) });
const problemsOf = async (...stored) => (await checkEvents(shipped(...stored), [node("a", ["1", "2"])], window)).problems;

test("each event heard is stored exactly once, and its block", async () => {
    assert.deepEqual(await problemsOf(["1", "2"]), []);
    assert.match((await problemsOf(["1"], ["1", "2"]))[0], /1 of 2: no block event of a is stored for 2/);
    assert.match((await problemsOf(["1", "2", "2"], ["1", "2"]))[0], /block event of a is stored more than once: 2/);
    assert.match((await problemsOf(["1", "2"], ["1"]))[0], /no block document of a is stored for 2/);
    assert.match((await problemsOf([]))[0], /2 of 2/);
    assert.match((await problemsOf(["1", "2", "x"], ["1", "2"]))[0], /that the node did not send: x/);
});

test("a recorder with a gap proves nothing", async () => {
    const recorder = { ...node("a", ["1", "2"]), gaps: [{ from: 3, to: 4 }] };
    assert.match((await checkEvents(shipped(["1", "2"]), [recorder], window)).problems[0], /not connected all the time/);
});

test("a reorg document must name the node and the blocks that the links name", async () => {
    const expected = expectedReorgs(tree, [node("a", ["1", "3", "4"]), node("b", ["1", "2", "4"])]);
    assert.deepEqual(expected.map(({ nodes, dropped, added }) => ({ nodes, dropped, added })), [{ nodes: ["a"], dropped: ["3"], added: ["2", "4"] }]);
    const document = (dropped, added, nodes = ["a"]) => ({
        "ethereum.reorg.old_head_root": "3", "ethereum.reorg.new_head_root": "4", "ethereum.revision": 0,
        "ethereum.reorg.dropped_roots": dropped, "ethereum.reorg.added_roots": added, "ethereum.nodes": nodes,
    });
    const check = documents => checkReorgs(elastic({ "logs-ethereum.reorg": documents }), expected);
    assert.deepEqual(await check([document(["3"], ["2", "4"])]), []);
    assert.match((await check([]))[0], /no document/);
    assert.match((await check([document(["3"], ["4"])]))[0], /added_roots is 4, by the nodes 2, 4/);
    assert.match((await check([document(["3"], ["2", "4"], ["a", "b"])]))[0], /ethereum.nodes is a, b/);
    assert.match((await check([document(["3"], ["2", "4"]), { ...document([], []), "ethereum.reorg.new_head_root": "9" }]))[0], /that no node made/);
});

test("a split is opened and closed once, one node a side", async () => {
    const client = { client: "prysm", version: "v6.1.4" };
    const groups = sides => sides.map(nodes => ({ nodes, head_root: `head of ${nodes}`, mix: [{ ...client, node_count: 1 }] }));
    const moves = { "ethereum.split.moved_count": 1, "ethereum.split.left_count": 0, "ethereum.split.duration_ms": 24000, "ethereum.split.moved": [{ node: "a", ...client, from_root: "head of a", to_root: "9" }] };
    const step = (action, ...sides) => ({ "event.action": action, "ethereum.split.from_slot": 2, "ethereum.split.groups": groups(sides), ...(action === "closed" ? moves : {}) });
    const check = steps => checkSplit(elastic({ "logs-ethereum.head_split": steps }), ["a", "b"], [2]);
    assert.deepEqual(await check([step("opened", ["b"], ["a"]), step("closed", ["b"], ["a"])]), []);
    const closed = fields => check([step("opened", ["b"], ["a"]), { ...step("closed", ["b"], ["a"]), ...fields }]);
    assert.match((await closed({ "ethereum.split.moved": undefined }))[0], /0 nodes went over when the split closed, counted 1/);
    assert.match((await closed({ "ethereum.split.moved": [{ node: "a", ...client, from_root: "1", to_root: "9" }] }))[0], /its group stood at head of a/);
    assert.match((await closed({ "ethereum.split.moved": [{ node: "a", client: "x", from_root: "head of a", to_root: "9" }] }))[0], /not in its group/);
    assert.match((await closed({ "ethereum.split.left_count": 1 }))[0], /1 nodes were lost/);
    assert.match((await check([step("opened", ["a"], ["b"])]))[0], /0 head_split documents closed, expected 1/);
    assert.match((await check([step("opened", ["a", "b"], []), step("closed")]))[0], /has the sides/);
    assert.equal((await check([])).length, 3);
});

test("one firing mail, one recovery that answers it", () => {
    const mail = (rule, kind, messageId, inReplyTo) => ({ rule, kind, messageId, inReplyTo });
    const box = mails => ({ mails, of: (rule, kind) => mails.filter(each => each.rule === rule && each.kind === kind) });
    const check = (...mails) => checkMails(box(mails), { reorg: 1 });
    const firing = mail("reorg", "firing", "<1>");
    assert.deepEqual(check(firing, mail("reorg", "recovery", "<2>", "<1>")), []);
    assert.match(check(firing)[0], /0 recovery mails/);
    assert.match(check(firing, mail("reorg", "recovery", "<2>", "<9>"))[0], /does not answer/);
    assert.match(check(firing, firing, mail("reorg", "recovery", "<2>", "<1>")).join(), /2 firing mails.*came more than once/);
    assert.deepEqual(parseSubject("[ethmon] [CRITICAL STILL] head_split: network, 3"), { label: "CRITICAL STILL", rule: "head_split" });
    assert.equal(parseSubject("hello"), null);
});

test("a slot counts when both nodes stored the same block of it", async () => {
    const block = (name, slot, root) => ({ ...event(name, root), "ethereum.block.slot": slot });
    const both = (slot, root) => [block("a", slot, root), block("b", slot, root)];
    const stored = [...both(1, "1"), ...both(2, "2"), block("a", 3, "3"), block("b", 3, "x"), ...both(4, "4")];
    assert.deepEqual(await indexedRun(elastic({ "logs-ethereum.block": stored }), ["a", "b"]), { from: 1, to: 2, length: 2 });
});

test("a root that only a chain_reorg event calls a block must not be told as one", async () => {
    const hint = { topic: "chain_reorg", at: 3, data: { old_head_block: "3", new_head_block: "state" } };
    const recorder = { name: "a", of: topic => [hint].filter(event => event.topic === topic) };
    const check = streams => checkHints(elastic(streams), tree, [recorder]);
    assert.deepEqual(await check({ "logs-ethereum.reorg": [{ "ethereum.reorg.old_head_root": "3" }] }), { events: 1, wrong: 1, problems: [] });
    assert.match((await check({ "logs-ethereum.reorg": [{ "ethereum.reorg.added_roots": ["4", "state"] }] })).problems[0], /reorg tells of state/);
    assert.match((await check({ "logs-ethereum.block": [event("a", "state")] })).problems[0], /block tells of state/);
});

test("the mail of a split names client and version on each side", () => {
    const clients = { a: clientOf("Prysm/v6.1.4/abc"), b: clientOf("Lodestar/v1.5.1 (linux)/x") };
    assert.deepEqual(clients, { a: "prysm/v6.1.4", b: "lodestar/v1.5.1" });
    let recovery = "  went over 1: node node-a, client prysm, version v6.1.4";
    const check = (...sides) => checkSides({ of: (_, kind) => [{ text: (kind === "firing" ? ["subject", ...sides] : ["subject", recovery]).join("\n") }] }, { "node-a": clients.a, "node-b": clients.b });
    assert.deepEqual(check("side 1  nodes node-a, clients prysm/v6.1.4", "side 2  nodes node-b, clients lodestar/v1.5.1"), []);
    assert.equal(check("side 1  nodes node-a, clients lodestar/v1.5.1", "side 2  nodes node-b, clients prysm/v6.1.4").length, 2);
    assert.equal(check("side 1  nodes node-a + node-b, clients lodestar/v1.5.1 + prysm/v6.1.4").length, 2);
    assert.match(check()[0], /no sides/);
    recovery = "  nodes that went over: 0";
    assert.match(check("side 1  nodes node-a, clients prysm/v6.1.4", "side 2  nodes node-b, clients lodestar/v1.5.1")[0], /does not say who went over/);
});
