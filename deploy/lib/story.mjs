// The plot of the demo: enough slots together, a split, a join, the recovery; then the comparison with what the nodes said.
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ask } from "./recorder.mjs";
import { checkEvents, checkFinalChain, checkHints, checkMails, checkReorgs, checkSides, checkSplit, clientOf, expectedReorgs, indexedRun } from "./verify.mjs";

const execute = promisify(execFile);

/** Late in a slot its block and votes have arrived: nothing is cut in the middle. */
const QUIET_MOMENT = 0.85;
const SPLIT = { atLeast: 6, preferred: 8, atMost: 20, blocksEach: 2 };
const ROUNDS = 2;
/** Slots to wait for things that take few when all is well. */
const PATIENCE = { agreement: 24, recovery: 45 };
/** Slots after the last mail in which one too many would show. */
const AFTERMATH = 3;
/** So long after its start an agent hears everything, even on a busy machine. */
const AGENT_START_MS = 30_000;
/** What was heard so recently may rightly not be searchable yet. */
const SHIPPING_MS = 3_000;

export class Story {
    /** First slot after the common ancestor, of each split. */
    splits = [];
    expected = [];
    indexed = { length: 0 };
    eventsCompared = 0;
    hints = { events: 0, wrong: 0 };

    constructor(scene) {
        Object.assign(this, scene);
    }

    /** Plays everything and returns what was wrong, as sentences. */
    async tell() {
        await this.#together();
        for (let round = 1; round <= ROUNDS && this.expected.length === 0; round++) {
            await this.#split();
            await this.#join();
        }
        await this.#recover();
        return this.#compare();
    }

    get slot() {
        return (Date.now() / 1000 - this.run.chain.genesis) / this.run.chain.slotSeconds;
    }

    async #together() {
        const wanted = this.run.slots;
        this.say(`-- waiting for ${wanted} consecutive slots from both nodes in Elasticsearch (genesis ${this.slot < 0 ? "in" : "was"} ${Math.abs(Math.round(this.slot * this.run.chain.slotSeconds))} s${this.slot < 0 ? "" : " ago"})`, "bold");
        const names = this.run.nodes.map(({ name }) => name);
        const enough = async () => (this.indexed = await indexedRun(this.elastic, names)).length >= wanted;
        const patience = Math.max(0, -this.slot) + 2 * wanted + 10;
        if (!(await this.#within(patience, enough))) throw new Error(`only ${this.indexed.length} consecutive slots were indexed from both nodes, expected ${wanted}`);
    }

    async #split() {
        await this.#quietMoment();
        this.say(`-- slot ${Math.floor(this.slot)}: splitting the nodes`, "bold");
        await this.#network("split");
        const began = this.slot;
        for (;;) {
            await this.#quietMoment();
            const branches = this.#branches();
            const slots = this.slot - began;
            const lengths = [branches?.dropped.length ?? 0, branches?.added.length ?? 0];
            const both = Math.min(...lengths) >= SPLIT.blocksEach;
            if (slots > SPLIT.atLeast - 0.5 && both && (lengths[0] !== lengths[1] || slots > SPLIT.preferred - 0.5)) {
                this.splits.push(Math.min(...[...branches.dropped, ...branches.added].map(root => this.tree.get(root).slot)));
                this.say(`-- slot ${Math.floor(this.slot)}: joining the nodes; their branches have ${lengths.join(" and ")} blocks`, "bold");
                return;
            }
            if (slots > SPLIT.atMost) throw new Error(`after ${Math.floor(slots)} slots of split the branches have ${lengths.join(" and ")} blocks, expected ${SPLIT.blocksEach} each`);
        }
    }

    /** Where the nodes' heads part: blocks of the first node as `dropped`, of the second as `added`. */
    #branches() {
        const [a, b] = this.recorders.map(recorder => recorder.head);
        return this.tree.change(a, b);
    }

    async #join() {
        await this.#network("join");
        // A block that one of them does not have yet is no disagreement.
        const agree = () => {
            const branches = this.#branches();
            return branches !== null && (branches.dropped.length === 0 || branches.added.length === 0);
        };
        let since = null;
        const settled = () => {
            since = agree() ? (since ?? this.slot) : null;
            return since !== null && this.slot - since >= 2;
        };
        if (!(await this.#within(PATIENCE.agreement, settled))) throw new Error(`the nodes do not agree ${PATIENCE.agreement} slots after the join`);
        await Promise.all(this.recorders.map(recorder => recorder.settled()));
        this.expected = expectedReorgs(this.tree, this.recorders);
        const told = this.expected.map(({ nodes, dropped, added }) => `${nodes.join(" and ")} dropped ${dropped.length}, added ${added.length}`);
        this.say(`-- slot ${Math.floor(this.slot)}: the nodes agree; by their REST APIs ${told.join("; ") || "none reorganised"}`, "bold");
    }

    get #mailsWanted() {
        // That each side passes over the other's blocks is the split's doing.
        return { reorg_deep: 1, head_split: this.splits.length, parent_distance: 0 };
    }

    async #recover() {
        if (this.expected.length === 0) throw new Error(`no node reorganised in ${ROUNDS} rounds of split and join`);
        this.say("-- waiting for the recovery mails", "bold");
        // If they do not come, the comparison says which.
        await this.#within(PATIENCE.recovery, () => checkMails(this.mailbox, this.#mailsWanted).length === 0);
        await this.#within(AFTERMATH, () => false);
    }

    async #compare() {
        this.say("-- comparing with what the nodes said", "bold");
        await Promise.all(this.recorders.map(recorder => recorder.settled()));
        this.expected = expectedReorgs(this.tree, this.recorders);
        const names = this.run.nodes.map(({ name }) => name);
        const agentsStarted = Math.max(...this.processes.filter(({ name }) => name.startsWith("agent")).map(({ startedMs }) => startedMs));
        const events = await checkEvents(this.elastic, this.recorders, { fromMs: agentsStarted + AGENT_START_MS, toMs: Date.now() - SHIPPING_MS });
        this.eventsCompared = events.events;
        this.indexed = await indexedRun(this.elastic, names);
        this.hints = await checkHints(this.elastic, this.tree, this.recorders);
        return [
            ...(events.events === 0 ? ["no block event was heard"] : []),
            ...events.problems,
            ...(await checkReorgs(this.elastic, this.expected)),
            ...(await checkFinalChain(this.recorders, this.expected, ask)),
            ...(await checkSplit(this.elastic, names, this.splits)),
            ...this.hints.problems,
            ...checkMails(this.mailbox, this.#mailsWanted),
            ...checkSides(this.mailbox, await this.#clients()),
        ];
    }

    /** { node: "client/version" }, as each node says. */
    async #clients() {
        const told = this.run.nodes.map(async ({ name, url }) => [name, clientOf((await ask(`${url}/eth/v1/node/version`)).data.version)]);
        return Object.fromEntries(await Promise.all(told));
    }

    async #network(verb) {
        await execute(this.run.network, [verb, this.run.devnet], { timeout: 60_000 }).catch(error => {
            throw new Error(`cannot ${verb} the nodes: ${(error.stderr || error.message).trim().split("\n").at(-1)}`);
        });
    }

    async #quietMoment() {
        const whole = Math.floor(this.slot);
        const next = this.slot < whole + QUIET_MOMENT - 0.05 ? whole + QUIET_MOMENT : whole + 1 + QUIET_MOMENT;
        await this.#within(next - this.slot, () => false);
    }

    /**
     * Waits until the condition holds; false when so many slots are over. An exception if a program under observation has ended.
     * An Elasticsearch that refuses a search, as it does while an index is being made, is asked again.
     */
    async #within(slots, condition) {
        const end = this.slot + slots;
        for (;;) {
            const gone = this.processes.find(process => !process.alive);
            if (gone) throw new Error(`${gone.name} ended by itself`);
            try {
                if (await condition()) return true;
            } catch (error) {
                if (this.slot >= end) throw error;
            }
            const left = (end - this.slot) * this.run.chain.slotSeconds * 1000;
            if (left <= 0) return false;
            await sleep(Math.min(250, left));
        }
    }
}
