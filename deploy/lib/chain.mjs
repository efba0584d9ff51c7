// What happened on the chain, from parent links and each node's heads alone: pure, and of another make than the program that is checked.

/** All blocks that any node served, by root. */
export class Tree {
    #blocks = new Map();

    add(root, slot, parent) {
        this.#blocks.set(root, { slot, parent });
    }

    get(root) {
        return this.#blocks.get(root);
    }

    get roots() {
        return [...this.#blocks.keys()];
    }

    /** The root and its ancestors down to the oldest known, newest first. */
    lineage(root) {
        const line = [];
        for (let at = root; this.#blocks.has(at); at = this.#blocks.get(at).parent) line.push(at);
        return line;
    }

    /**
     * What a change of head from `before` to `after` did: `dropped` and `added` are roots, oldest first, without the ancestor.
     * Null while the two have no known ancestor in common.
     */
    change(before, after) {
        const [old, next] = [this.lineage(before), this.lineage(after)];
        const at = new Map(next.map((root, index) => [root, index]));
        const meet = old.findIndex(root => at.has(root));
        if (meet < 0) return null;
        return { ancestor: old[meet], dropped: old.slice(0, meet).reverse(), added: next.slice(0, at.get(old[meet])).reverse() };
    }
}

/** The reorganisations in one node's sequence of heads: the changes that dropped something. */
export function reorgs(tree, heads) {
    const found = [];
    for (let i = 1; i < heads.length; i++) {
        const [before, after] = [heads[i - 1], heads[i]];
        if (before.root === after.root) continue;
        const change = tree.change(before.root, after.root);
        if (!change) found.push({ at: after.at, oldHead: before.root, newHead: after.root, unlinked: true, dropped: [], added: [] });
        else if (change.dropped.length > 0) found.push({ at: after.at, oldHead: before.root, newHead: after.root, ...change });
    }
    return found;
}

/** The longest run of consecutive slots that are all in the set: { from, to, length }. */
export function longestRun(slots) {
    let best = { from: 0, to: -1, length: 0 };
    let from = null;
    let last = null;
    for (const slot of [...slots].sort((a, b) => a - b)) {
        if (last === null || slot > last + 1) from = slot;
        last = slot;
        if (slot - from + 1 > best.length) best = { from, to: slot, length: slot - from + 1 };
    }
    return best;
}

/** The value below which the share `p` (0 to 1) of the numbers lies; null without numbers. */
export function percentile(numbers, p) {
    if (numbers.length === 0) return null;
    const sorted = [...numbers].sort((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
}
