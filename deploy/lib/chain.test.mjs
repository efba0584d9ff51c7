// node --test deploy/lib
import assert from "node:assert/strict";
import fs from "node:fs";
import test from "node:test";
import zlib from "node:zlib";
import { Tree, longestRun, percentile, reorgs } from "./chain.mjs";

// g – 1 – 2 – 4 – 6
//      \ 3 – 5
const tree = new Tree();
for (const [root, slot, parent] of [["g", 0, ""], ["1", 1, "g"], ["2", 2, "1"], ["3", 3, "1"], ["4", 4, "2"], ["5", 5, "3"], ["6", 6, "4"]]) tree.add(root, slot, parent);
const heads = roots => roots.map((root, at) => ({ root, at }));

test("growing, by one block or by several, is no reorganisation", () => {
    assert.deepEqual(reorgs(tree, heads(["g", "1", "4", "4", "6"])), []);
});

test("a change of branch drops and adds by parent links", () => {
    const [only, ...more] = reorgs(tree, heads(["1", "3", "5", "6"]));
    assert.deepEqual(more, []);
    assert.deepEqual(only, { at: 3, oldHead: "5", newHead: "6", ancestor: "1", dropped: ["3", "5"], added: ["2", "4", "6"] });
});

test("going back along the own branch drops and adds none", () => {
    assert.deepEqual(reorgs(tree, heads(["5", "3"])), [{ at: 1, oldHead: "5", newHead: "3", ancestor: "3", dropped: ["5"], added: [] }]);
});

test("a missing link is said, not guessed", () => {
    assert.equal(reorgs(tree, heads(["unknown", "1"]))[0].unlinked, true);
});

test("the longest run and percentiles", () => {
    assert.deepEqual(longestRun(new Set([7, 1, 2, 3, 5, 6])), { from: 1, to: 3, length: 3 });
    assert.equal(longestRun([]).length, 0);
    assert.equal(percentile([3, 1, 2], 0.5), 2);
    assert.equal(percentile([], 0.5), null);
});

const recordings = new URL("../../../shared/data/devnet/", import.meta.url);
const scenarios = fs.existsSync(recordings) ? fs.readdirSync(recordings, { withFileTypes: true }).filter(entry => entry.isDirectory()) : [];
for (const { name } of scenarios) test(`recording ${name}: reorganisations as in its truth`, () => checkRecording(new URL(`${name}/`, recordings)));

function checkRecording(folder) {
    const read = file => zlib.gunzipSync(fs.readFileSync(new URL(file, folder))).toString().split("\n").filter(Boolean);
    const truth = JSON.parse(fs.readFileSync(new URL("truth.json", folder)));
    const nodes = fs.readdirSync(folder).filter(entry => entry.startsWith("node-"));
    const all = new Tree();
    for (const block of truth.blocks) all.add(block.root, block.slot, block.parent_root);
    const found = nodes.flatMap(node => reorgs(all, headEvents(read(`${node}/sse.tsv.gz`))).map(reorg => outcome(node.slice(5), reorg.dropped, reorg.added)));
    const wanted = truth.reorgs.map(reorg => outcome(reorg.node, reorg.blocks_dropped, reorg.blocks_added));
    assert.deepEqual(found.sort(), wanted.sort());
}

const outcome = (node, dropped, added) => `${node.toLowerCase()} dropped ${[...dropped].sort()} added ${[...added].sort()}`;

function headEvents(lines) {
    const found = [];
    let topic = null;
    for (const line of lines) {
        const [at, text] = line.split("\t");
        if (text?.startsWith("event:")) topic = text.slice(6).trim();
        else if (text?.startsWith("data:") && topic === "head") found.push({ at: Number(at) / 1e6, root: JSON.parse(text.slice(5)).block });
    }
    return found;
}
