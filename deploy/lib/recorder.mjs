// Records what a beacon node says, independently of the agents: its event stream, its head by REST, and each block's link while the node still has it.
import fs from "node:fs";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds since 1970 with their fraction. */
export const now = () => performance.timeOrigin + performance.now();

const HEAD_POLL_MS = 500;
const RECONNECT_MS = 500;

export class Recorder {
    /** Events in the order of their arrival: { at, topic, root, slot }. */
    events = [];
    /** Changes of the head as REST tells it: { at, root }. */
    polled = [];
    /** Times in which the stream was not connected: { from, to }; the first begins with the recorder. */
    gaps = [];
    #pending = new Set();

    /** `tree` takes the links; every event goes to `file` as a line of JSON too. */
    constructor(name, url, tree, file) {
        Object.assign(this, { name, url, tree });
        this.log = fs.openSync(file, "a");
    }

    /** Until the signal. */
    async run(signal) {
        await Promise.all([this.#stream(signal), this.#pollHead(signal)]);
        await this.settled();
    }

    /** Once every link asked for has come. */
    settled() {
        return Promise.all(this.#pending);
    }

    of(topic) {
        return this.events.filter(event => event.topic === topic);
    }

    get head() {
        return this.polled.at(-1)?.root;
    }

    async #stream(signal) {
        while (!signal.aborted) {
            const gap = { from: now(), to: Infinity };
            this.gaps.push(gap);
            try {
                await this.#connectOnce(signal, gap);
            } catch (error) {
                this.#write({ at: now(), stream: String(error.message ?? error) });
            }
            if (!signal.aborted) await sleep(RECONNECT_MS);
        }
    }

    #connectOnce(signal, gap) {
        return new Promise((resolve, reject) => {
            // `topics=a,b` would be answered by silence for ever. The head of the answer comes only with the first event.
            const request = http.get(`${this.url}/eth/v1/events?topics=head&topics=block&topics=chain_reorg`, { signal, agent: false });
            request.on("socket", socket => socket.on("connect", () => (gap.to = now())));
            request.on("error", reject);
            request.on("response", response => {
                if (response.statusCode !== 200) return reject(new Error(`events answered ${response.statusCode}`));
                let text = "";
                response.setEncoding("utf8");
                response.on("data", chunk => {
                    const at = now();
                    const frames = (text + chunk).split("\n\n");
                    text = frames.pop();
                    for (const frame of frames) this.#take(at, frame);
                });
                response.on("error", reject);
                response.on("end", () => reject(new Error("the stream ended")));
                response.on("close", resolve);
            });
        });
    }

    #take(at, frame) {
        const field = name => frame.split("\n").find(line => line.startsWith(`${name}:`))?.slice(name.length + 1).trim();
        const [topic, text] = [field("event"), field("data")];
        if (!topic || !text) return;
        const data = JSON.parse(text);
        this.events.push({ at, topic, root: data.block, slot: Number(data.slot), data });
        this.#write({ at, topic, data });
        // What `chain_reorg` names need not be blocks: Prysm 6.1.4 exchanges two of its fields.
        if (data.block) this.#learn(data.block);
    }

    async #pollHead(signal) {
        while (!signal.aborted) {
            const header = await ask(`${this.url}/eth/v1/beacon/headers/head`).catch(() => null);
            const root = header?.data.root;
            if (root && root !== this.head) {
                this.polled.push({ at: now(), root, slot: Number(header.data.header.message.slot) });
                this.#write({ at: now(), polled: root });
                this.#link(header.data);
                this.#learn(header.data.header.message.parent_root);
            }
            await sleep(HEAD_POLL_MS);
        }
    }

    /** Fetches the links of a block and of its ancestors down to a known one. */
    #learn(root) {
        const learning = this.#climb(root).catch(error => this.#write({ at: now(), unlinked: root, error: error.message }));
        this.#pending.add(learning);
        learning.finally(() => this.#pending.delete(learning));
    }

    async #climb(root) {
        for (let at = root; at && !/^0x0*$/.test(at) && !this.tree.get(at); at = this.tree.get(at)?.parent) {
            for (let tries = 1; !this.tree.get(at); tries++) {
                try {
                    this.#link((await ask(`${this.url}/eth/v1/beacon/headers/${at}`)).data);
                } catch (error) {
                    if (tries === 5) throw error;
                    await sleep(200);
                }
            }
        }
    }

    #link({ root, header: { message } }) {
        this.tree.add(root, Number(message.slot), message.parent_root);
    }

    #write(line) {
        fs.writeSync(this.log, `${JSON.stringify(line)}\n`);
    }
}

/** The JSON that a URL answers; an exception for anything but 2xx. */
export async function ask(url, options = {}) {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000), ...options });
    const text = await response.text();
    if (!response.ok) throw new Error(`${new URL(url).pathname} answered ${response.status}: ${text.slice(0, 200)}`);
    return JSON.parse(text);
}
