// node live.mjs RUN.json: watches the running demo, shows it, splits and joins the nodes, and judges the outcome.
// Ends with exit code 0 if everything is as it must be; the verdict is written to WORK/verdict. Without `check` it goes on showing until it is ended.
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Tree } from "./chain.mjs";
import { Display } from "./display.mjs";
import { Elastic, Searchable } from "./elastic.mjs";
import { figures } from "./figures.mjs";
import { Mailbox } from "./mails.mjs";
import { Process } from "./processes.mjs";
import { Recorder } from "./recorder.mjs";
import { Story } from "./story.mjs";

const TICK_MS = 500;

const run = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const colours = { red: 31, green: 32, yellow: 33, bold: 1 };
const coloured = process.stdout.isTTY && !process.env.NO_COLOR;
const say = (text, colour) => console.log(coloured && colour ? `\x1b[${colours[colour]}m${text}\x1b[0m` : text);

const tree = new Tree();
const recorders = run.nodes.map(({ name, url }) => new Recorder(name, url, tree, `${run.work}/record-${name}.ndjson`));
const processes = run.processes.map(name => new Process(name, `${run.work}/${name}.pid`, run.clockTicks));
const elastic = new Elastic(run.elasticsearch);
const mailbox = new Mailbox(run.mailUrl);
const searchable = new Searchable(elastic, recorders);
const display = new Display(elastic, run.nodes.map(({ name }) => name), run.chain, say);
const stop = new AbortController();
const scene = { run, say, tree, recorders, processes, elastic, mailbox, searchable };

async function show() {
    let failures = 0;
    while (!stop.signal.aborted) {
        try {
            await display.tick(Date.now());
            for (const mail of await mailbox.poll()) display.mail(mail);
            failures = 0;
        } catch (error) {
            // Once is nothing: a search fails while an index is being made.
            failures++;
            if (failures === 6) say(`    cannot show what happens: ${error.message.slice(0, 200)}`, "red");
        }
        await sleep(TICK_MS);
    }
}

/** Sentences that say what was wrong; none after a good run. */
async function judge() {
    const story = new Story(scene);
    try {
        return { story, problems: await story.tell() };
    } catch (error) {
        return { story, problems: [error.message] };
    }
}

const background = [...recorders.map(recorder => recorder.run(stop.signal))];
// The agents start only when their nodes are already being recorded.
while (processes.some(({ startedMs }) => startedMs === null)) await sleep(50);
background.push(searchable.run(stop.signal, sleep), show());

const { story, problems } = await judge();
const verdict = problems.length === 0 ? `ok: ${figures(scene, story)}` : `failed: ${problems.join("; ")}`;
fs.writeFileSync(`${run.work}/verdict`, `${verdict}\n`);
if (run.check) {
    stop.abort();
    process.exit(problems.length === 0 ? 0 : 1);
}
say(`demo: ${verdict}`, problems.length === 0 ? "bold" : "red");
say(`It goes on. Elasticsearch ${run.elasticsearch.url}, mails ${run.mailUrl}, nodes ${run.nodes.map(({ url }) => url).join(" ")}. Ctrl-C ends everything.`);
await Promise.all(background);
