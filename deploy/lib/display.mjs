// What happens, line by line, as Elasticsearch has it: nothing here asks the nodes.
import { from, terms } from "./elastic.mjs";

const NODE = "ethereum.node.name";
const ROOT = "ethereum.block.root";
/** A slot is shown once both nodes reported its block and its status is known, at the latest so many slots after its start. */
const PATIENCE_SLOTS = 1.75;
/** How far back further news about a slot are looked for. */
const LOOK_BACK_SLOTS = 24;

export class Display {
    #next = 1;
    #shown = new Map();
    #told = new Set();

    /** `chain`: { genesis, slotSeconds }; `say` takes a line. */
    constructor(elastic, nodes, chain, say) {
        Object.assign(this, { elastic, nodes, chain, say });
        this.since = new Date().toISOString();
    }

    /** Shows what is new. */
    async tick(nowMs) {
        const first = Math.max(0, this.#next - LOOK_BACK_SLOTS);
        const [events, statuses, reorgs, splits, alerts] = await Promise.all([
            this.elastic.documents("logs-ethereum.beacon_event", [terms("ethereum.topic", ["block", "head"]), from("ethereum.slot", first)]),
            this.elastic.documents("logs-ethereum.network_block", [from("ethereum.slot", first)]),
            ...["logs-ethereum.reorg", "logs-ethereum.head_split", "logs-ethmon.alert"].map(stream => this.elastic.documents(stream, [from("@timestamp", this.since)])),
        ]);
        this.#slots(nowMs, events, statusBySlot(statuses));
        for (const split of splits) this.#once(split, () => splitLine(split));
        for (const reorg of reorgs) this.#once(reorg, () => reorgLine(reorg));
        for (const alert of alerts) this.#once(alert, () => alertLine(alert));
    }

    mail(mail) {
        this.say(`    mail   ${mail.subject}`, mail.kind === "recovery" ? "green" : "red");
    }

    #slots(nowMs, events, statuses) {
        const blocks = events.filter(event => event["ethereum.topic"] === "block");
        const heads = events.filter(event => event["ethereum.topic"] === "head");
        for (; ; this.#next++) {
            const slot = this.#next;
            const age = (nowMs / 1000 - this.chain.genesis) / this.chain.slotSeconds - slot;
            if (age < 0) break;
            const here = blocks.filter(event => event["ethereum.slot"] === slot);
            const complete = this.nodes.every(node => here.some(event => event[NODE] === node)) && statuses.has(slot);
            if (!complete && age < PATIENCE_SLOTS) break;
            const status = statuses.get(slot);
            this.say(this.#slotLine(slot, here, status, this.#sides(heads, slot)));
            this.#shown.set(slot, status);
        }
        this.#changes(statuses);
    }

    #changes(statuses) {
        const changed = {};
        for (const [slot, status] of statuses) {
            if (!this.#shown.has(slot) || this.#shown.get(slot) === status) continue;
            // That a slot turns out canonical after it was shown without a status is no news.
            if (this.#shown.get(slot) || status !== "canonical") (changed[status] ??= []).push(slot);
            this.#shown.set(slot, status);
        }
        for (const [status, slots] of Object.entries(changed)) this.say(`    now ${status}: slot${slots.length > 1 ? "s" : ""} ${slots.join(", ")}`, "yellow");
    }

    #slotLine(slot, blocks, status, sides) {
        const root = blocks[0]?.[ROOT];
        const arrival = node => {
            const block = blocks.find(event => event[NODE] === node);
            const text = block ? `${Math.round(block["ethereum.arrival_ms"])} ms` : "-";
            return `${node} ${text.padStart(7)}`;
        };
        const arrivals = root ? this.nodes.map(arrival).join("  ") : "";
        return `slot ${String(slot).padStart(3)}  ${short(root).padEnd(10)}  ${arrivals}${root ? "  " : ""}${status ?? "…"}${sides}`;
    }

    /** The heads of both nodes as of this slot, where they differ. */
    #sides(heads, slot) {
        const last = this.nodes.map(node => heads.findLast(event => event[NODE] === node && event["ethereum.slot"] <= slot)?.[ROOT]);
        return new Set(last).size > 1 && last.every(Boolean) ? `  heads ${last.map(short).join(" | ")}` : "";
    }

    #once(document, line) {
        if (this.#told.has(document.id)) return;
        this.#told.add(document.id);
        const [text, colour] = line();
        if (text) this.say(`    ${text}`, colour);
    }
}

export const short = root => (root ? root.slice(0, 10) : "-");

/** The newest word on each slot: each change of its status is a document. */
function statusBySlot(documents) {
    const said = documents.filter(document => document["event.action"].endsWith("_slot"));
    said.sort((a, b) => a["ethereum.slot"] - b["ethereum.slot"] || a["ethereum.revision"] - b["ethereum.revision"]);
    return new Map(said.map(document => [document["ethereum.slot"], document["ethereum.slot_status"]]));
}

function splitLine(split) {
    const sides = (split["ethereum.split.groups"] ?? []).map(group => `${[group.nodes].flat().join(", ")} (${[group.clients ?? "?"].flat().join(", ")}) at ${short(group.head_root)}`);
    const slots = `slots ${split["ethereum.split.from_slot"]} to ${split["ethereum.split.to_slot"]}`;
    const moved = (split["ethereum.split.moved"] ?? []).map(({ node, from_slot, from_root, to_slot, to_root }) => `${node} from ${from_slot} ${short(from_root)} to ${to_slot} ${short(to_root)}`);
    const over = moved.length > 0 ? `; over went ${moved.join(", ")}` : "";
    return [`split  ${split["event.action"]}: ${sides.join(" | ")} (${slots})${over}`, "yellow"];
}

function reorgLine(reorg) {
    const value = name => reorg[`ethereum.reorg.${name}`];
    const nodes = [reorg["ethereum.nodes"]].flat().join(", ");
    const heads = `head ${value("old_head_slot")} ${short(value("old_head_root"))} → ${value("new_head_slot")} ${short(value("new_head_root"))}`;
    return [`reorg  ${nodes}: ${value("blocks_dropped")} dropped, ${value("blocks_added")} added after slot ${value("ancestor_slot")}, ${heads}`, "yellow"];
}

/** What only may become an alert, and what may still come back, is not told. */
const ALERT_COLOURS = { opened: "red", refired: "red", reminded: "red", resolved: "green" };

function alertLine(alert) {
    const { "event.action": action, "rule.name": rule, "ethmon.alert.key": key, "ethmon.alert.summary": summary } = alert;
    const colour = ALERT_COLOURS[action];
    return colour ? [`alert  ${action} ${rule} (${key}): ${summary ?? alert.message}`, colour] : [];
}
