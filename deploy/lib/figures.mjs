// The figures of a good run, in one line.
import fs from "node:fs";
import { percentile } from "./chain.mjs";

const MEBI = 1 << 20;

export function figures({ run, processes, mailbox, searchable }, { expected, indexed, eventsCompared, splits, hints }) {
    const nowMs = Date.now();
    const deepest = expected.reduce((a, b) => (b.dropped.length > a.dropped.length ? b : a));
    const toMail = mailbox.of("reorg_deep", "firing")[0].at - expected.find(({ dropped }) => dropped.length > 1).at;
    const agents = processes.filter(({ name }) => name.startsWith("agent")).map(process => process.cost(nowMs));
    const each = pick => agents.map(pick).join(" and ");
    return [
        `wall ${seconds(nowMs - run.startedMs)} (build ${seconds(run.buildMs)})`,
        `block → searchable p50 ${milliseconds(percentile(searchable.delays, 0.5))}, p95 ${milliseconds(percentile(searchable.delays, 0.95))} of ${searchable.delays.length}`,
        `reorg → mail ${milliseconds(toMail)}`,
        `agents CPU ${each(({ cpu }) => (cpu * 100).toFixed(2))} % of a core`,
        `RSS ${each(({ rss }) => (rss / MEBI).toFixed(1))} MiB (at most ${each(({ peak }) => (peak / MEBI).toFixed(1))})`,
        `${indexed.length} consecutive slots from both nodes`,
        `${eventsCompared} block events each stored once`,
        `${expected.length} reorg${expected.length === 1 ? "" : "s"} after ${splits.length} split${splits.length === 1 ? "" : "s"}, the deepest ${deepest.dropped.length} dropped, ${deepest.added.length} added`,
        `${hints.events} chain_reorg events, ${hints.wrong} of them with a head that is no block`,
        `${mailbox.mails.length} mails`,
        `binary ${(fs.statSync(run.binary).size / MEBI).toFixed(1)} MiB`,
    ].join(" · ");
}

const seconds = ms => `${Math.round(ms / 1000)} s`;
const milliseconds = ms => (ms === null ? "-" : `${Math.round(ms)} ms`);
