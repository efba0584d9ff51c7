// node configure.mjs WORK: writes the configuration of both agents and the aggregator, and run.json for live.mjs, from the environment of deploy/demo.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const [work] = process.argv.slice(2);
const { env } = process;
const deploy = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

const elasticsearch = elasticsearchOf(env.ELASTICSEARCH_URL, env);
const nodes = [node("A", "left"), node("B", "right")];

for (const node of nodes) write(`agent-${node.name.at(-1)}.toml`, agent(node));
write("aggregator.toml", aggregator());
write("run.json", JSON.stringify({
    check: env.DEMO_CHECK === "true",
    work,
    slots: Number(env.ETHMON_DEMO_SLOTS ?? 20),
    startedMs: Number(env.DEMO_STARTED_MS),
    buildMs: Number(env.DEMO_BUILD_MS),
    clockTicks: Number(env.DEMO_CLOCK_TICKS),
    binary: env.DEMO_BINARY,
    chain: { genesis: Number(env.GENESIS_TIME), slotSeconds: Number(env.SLOT_SECONDS) },
    nodes: nodes.map(({ name, url }) => ({ name, url })),
    processes: ["agent-a", "agent-b", "aggregator"],
    network: `${deploy}/services/${env.DEMO_NETWORK}`,
    devnet: `${work}/devnet`,
    mailUrl: env.MAIL_WEB_URL,
    elasticsearch,
}, null, 2));

/** An own server is empty; in one that is given this run keeps to itself. */
function elasticsearchOf(given, { ELASTICSEARCH_API_KEY: apiKey, ELASTICSEARCH_CA_FILE: caFile }) {
    if (!given) return { url: env.DEMO_OWN_ELASTICSEARCH, namespace: "default" };
    const url = new URL(given);
    const [username, password] = [url.username, url.password].map(decodeURIComponent);
    url.username = url.password = "";
    return { url: url.href, namespace: `demo_${Math.floor(Date.now() / 1000)}`, apiKey, caFile, username, password };
}

/** A node as its network's devnet.env tells of it. One without an execution client of its own looks at the one that there is. */
function node(letter, region) {
    const of = name => env[`NODE_${letter}_${name}`];
    const logs = [{ client: of("CLIENT") ?? "lodestar", path: of("LOG") }];
    if (of("EXECUTION_LOG")) logs.push({ client: "geth", path: of("EXECUTION_LOG") });
    return { name: `beacon-${letter.toLowerCase()}`, region, url: of("URL"), execution: of("EXECUTION_URL") ?? env.DEMO_ANVIL_URL, logs };
}

function agent({ name, region, url, execution, logs }) {
    return `data_dir = ${quote(`${work}/data-${name}`)}
[node]
name = ${quote(name)}
labels = { region = ${quote(region)}, purpose = "demo" }
${elasticsearchSection()}
[beacon]
url = ${quote(url)}
[execution]
url = ${quote(execution)}
[host]
period = "10s"
${logs.map(({ client, path: file }) => `[[logs]]\npaths = [${quote(file)}]\nclient = ${quote(client)}\n`).join("")}`;
}

function aggregator() {
    return `${elasticsearchSection()}
[aggregator]
kibana_url = "https://kibana.example.org"
[mail]
host = "127.0.0.1"
port = ${env.MAIL_SMTP_PORT}
tls = "none"
from = "ethmon <ethmon@example.org>"
to = ["oncall@example.org"]
# A node of a network of two has one peer.
[rules.override.low_peers.condition]
below = 1
recover = 1
`;
}

function elasticsearchSection() {
    const { url, namespace, apiKey, caFile, username, password } = elasticsearch;
    const lines = ["[elasticsearch]", `hosts = [${quote(url)}]`, `namespace = ${quote(namespace)}`];
    if (caFile) lines.push(`ca_file = ${quote(path.resolve(caFile))}`);
    if (apiKey) lines.push(`api_key_file = ${quote(write("elasticsearch.key", apiKey))}`);
    else if (username) lines.push(`username = ${quote(username)}`, `password_file = ${quote(write("elasticsearch.password", password))}`);
    return lines.join("\n");
}

/** A string of JSON is one of TOML too. */
function quote(text) {
    return JSON.stringify(text);
}

function write(name, text) {
    const file = path.join(work, name);
    fs.writeFileSync(file, text, { mode: 0o600 });
    return file;
}
