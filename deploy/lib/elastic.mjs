// What was shipped, asked of Elasticsearch.
import { ask, now } from "./recorder.mjs";

const MOST_HITS = 10_000;
const MEASURE_EVERY_MS = 100;

export class Elastic {
    #headers = { "content-type": "application/json" };

    constructor({ url, namespace, apiKey, username, password }) {
        Object.assign(this, { url: url.replace(/\/$/, ""), namespace });
        if (apiKey) this.#headers.authorization = `ApiKey ${apiKey}`;
        else if (username) this.#headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
    }

    /** All documents of a stream (`logs-ethereum.block`) that match, in the order of their time: [{ id, ...fields by dotted name }]. */
    async documents(stream, filter = []) {
        const body = { size: MOST_HITS, track_total_hits: true, query: { bool: { filter } }, sort: [{ "@timestamp": "asc" }] };
        const { hits } = await this.#search(stream, body);
        if (hits.total.value > hits.hits.length) throw new Error(`more than ${MOST_HITS} documents in ${stream}`);
        return hits.hits.map(hit => ({ id: hit._id, ...flat(hit._source) }));
    }

    async #search(stream, body) {
        // A stream nobody has written to yet is not there; a missing shard must not pass for missing documents.
        const path = `${stream}-${this.namespace}/_search?ignore_unavailable=true&allow_partial_search_results=false`;
        return ask(`${this.url}/${path}`, { method: "POST", headers: this.#headers, body: JSON.stringify(body) });
    }
}

/** Nested objects as dotted names; lists stay lists. */
export function flat(object, prefix = "", into = {}) {
    for (const [key, value] of Object.entries(object)) {
        if (value !== null && typeof value === "object" && !Array.isArray(value)) flat(value, `${prefix}${key}.`, into);
        else into[prefix + key] = value;
    }
    return into;
}

export const term = (field, value) => ({ term: { [field]: value } });
export const terms = (field, values) => ({ terms: { [field]: values } });
export const from = (field, gte) => ({ range: { [field]: { gte } } });

/** Measures how long after its `block` event a block's document of the same node can be found. */
export class Searchable {
    /** Milliseconds, one per node and block. */
    delays = [];
    #waiting = new Map();

    constructor(elastic, recorders) {
        Object.assign(this, { elastic, recorders, taken: recorders.map(() => 0) });
    }

    async run(signal, sleep) {
        while (!signal.aborted) {
            this.#takeNew();
            if (this.#waiting.size > 0) await this.#look().catch(() => {}); // an outage shows as a longer delay
            await sleep(MEASURE_EVERY_MS);
        }
    }

    #takeNew() {
        this.recorders.forEach((recorder, index) => {
            const blocks = recorder.of("block");
            for (const { root, at } of blocks.slice(this.taken[index])) this.#waiting.set(`${recorder.name} ${root}`, { at, root });
            this.taken[index] = blocks.length;
        });
    }

    async #look() {
        const roots = [...this.#waiting.values()].map(({ root }) => root);
        const found = await this.elastic.documents("logs-ethereum.beacon_event", [term("ethereum.topic", "block"), terms("ethereum.block.root", roots)]);
        const at = now();
        for (const document of found) {
            const key = `${document["ethereum.node.name"]} ${document["ethereum.block.root"]}`;
            const waiting = this.#waiting.get(key);
            if (waiting) this.delays.push(at - waiting.at);
            this.#waiting.delete(key);
        }
    }
}
