//! Random trees against an oracle that shares nothing with the core: parent links as a table of numbers, ancestors as
//! sets, statuses by walking up from the last head.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Blocks by number: slot and number of the parent. Block 0 is the root of all.
#[derive(Debug, Clone)]
struct Forest {
    slots: Vec<u64>,
    parents: Vec<usize>,
    /// Changes of heads in order of time: node and block.
    heads: Vec<(usize, usize)>,
}

const NODES: [&str; 3] = ["a", "k", "x"];
const FIRST_SLOT: u64 = 10;

fn forest() -> impl Strategy<Value = Forest> {
    let blocks = prop::collection::vec((any::<prop::sample::Index>(), 1..4_u64), 2..14);
    let heads = prop::collection::vec((0..NODES.len(), any::<prop::sample::Index>()), 2..24);
    (blocks, heads).prop_map(|(blocks, heads)| {
        let (mut slots, mut parents) = (vec![FIRST_SLOT], vec![0]);
        for (parent, gap) in blocks {
            let parent = parent.index(slots.len());
            slots.push(slots[parent] + gap);
            parents.push(parent);
        }
        let heads = heads
            .into_iter()
            .map(|(node, block)| (node, block.index(slots.len())))
            .collect();
        Forest {
            slots,
            parents,
            heads,
        }
    })
}

/// Ancestor's slot, dropped, added, span of the old branch, span of the new one.
type Sizes = (u64, usize, usize, u64, u64);

impl Forest {
    /// All above a block, and itself.
    fn above(&self, block: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([block]);
        let mut at = block;
        while at != 0 {
            at = self.parents[at];
            all.insert(at);
        }
        all
    }

    /// `None` where nothing is dropped.
    fn sizes(&self, old: usize, new: usize) -> Option<Sizes> {
        let (olds, news) = (self.above(old), self.above(new));
        let shared: BTreeSet<usize> = olds.intersection(&news).copied().collect();
        let ancestor = shared
            .iter()
            .copied()
            .max_by_key(|block| self.slots[*block])?;
        let dropped = olds.len() - shared.len();
        let from = self.slots[ancestor];
        let spans = (self.slots[old] - from, self.slots[new] - from);
        (dropped > 0).then_some((from, dropped, news.len() - shared.len(), spans.0, spans.1))
    }

    /// Old head, new head and sizes of every reorg of every node, with how many nodes made it that often.
    fn reorgs(&self) -> BTreeMap<(usize, usize, usize), (Sizes, usize)> {
        let mut heads: BTreeMap<usize, usize> = BTreeMap::new();
        let mut times: BTreeMap<(usize, usize, usize), usize> = BTreeMap::new();
        let mut reorgs = BTreeMap::new();
        for (node, new) in &self.heads {
            let Some(old) = heads.insert(*node, *new).filter(|old| old != new) else {
                continue;
            };
            if let Some(sizes) = self.sizes(old, *new) {
                let count = times.entry((*node, old, *new)).or_default();
                let entry = reorgs.entry((old, *new, *count)).or_insert((sizes, 0));
                entry.1 += 1;
                *count += 1;
            }
        }
        reorgs
    }

    /// Of each slot up to the head, when all nodes have `head`: the block of the slot if any, and whether it is on the way.
    fn statuses(&self, head: usize) -> BTreeMap<u64, &'static str> {
        let way = self.above(head);
        let status = |slot: u64| {
            let there: Vec<_> = (0..self.slots.len())
                .filter(|block| self.slots[*block] == slot)
                .collect();
            match there.iter().any(|block| way.contains(block)) {
                true => "canonical",
                false if there.is_empty() => "missed",
                false => "orphaned",
            }
        };
        (FIRST_SLOT..=self.slots[head])
            .map(|slot| (slot, status(slot)))
            .collect()
    }

    fn block(&self, number: usize) -> BlockRef {
        BlockRef {
            slot: self.slots[number],
            root: Root([number as u8 + 1; 32]),
        }
    }

    /// Every node serves every block at the start; heads follow a tenth of a slot apart, long after the last block.
    fn told(&self, scene: &mut Scene, all_end_at: usize) {
        let start = 60.0;
        for number in 0..self.slots.len() {
            let parent_root = match number {
                0 => Root([0xee; 32]),
                _ => self.block(self.parents[number]).root,
            };
            let block = self.block(number);
            let fact = Fact::Block {
                block,
                parent_root,
                proposer_index: None,
            };
            scene.tell(NODES[number % NODES.len()], start, fact);
        }
        for (step, (node, block)) in self.heads.iter().enumerate() {
            let at = start + 1.0 + step as f64 / 10.0;
            scene.tell(NODES[*node], at, Fact::Head(self.block(*block)));
        }
        for node in NODES {
            scene.tell(node, start + 5.0, Fact::Head(self.block(all_end_at)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn reorgs_and_statuses_are_those_of_the_oracle(
        mut forest in forest(),
        end in any::<prop::sample::Index>(),
        seed in prop::collection::vec(any::<u32>(), 80),
    ) {
        let end = end.index(forest.slots.len());
        let mut scene = Scene::from_slot(FIRST_SLOT);
        forest.told(&mut scene, end);
        let mut told = scene.told.clone();
        told.sort_by_key(|observation| seed[observation.order as usize % seed.len()]);
        let mut network = scene.network_after(&told);
        let findings = network.advance(scene.at(75.0));

        forest.heads.extend((0..NODES.len()).map(|node| (node, end)));
        let expected = forest.reorgs();
        let number = |block: BlockRef| usize::from(block.root.0[0] - 1);
        let mut found = BTreeMap::new();
        for reorg in reorgs(&findings) {
            let fork = reorg.branches.clone().unwrap();
            let sizes = (
                fork.ancestor_slot.unwrap(), fork.old_side.len(), fork.new_side.len(),
                reorg.slot_span_old().unwrap(), reorg.slot_span_new().unwrap(),
            );
            let key = (number(reorg.old_head), number(reorg.new_head), reorg.occurrence as usize);
            prop_assert!(found.insert(key, (sizes, reorg.nodes.len())).is_none(), "told twice: {:?}", key);
        }
        prop_assert_eq!(found, expected);

        // The watch begins with the first head, so statuses are asked of the same core, taught before.
        let statuses = forest.statuses(end);
        let mut early = Scene::from_slot(FIRST_SLOT);
        for node in NODES {
            early.tell(node, FIRST_SLOT as f64 + 0.1, Fact::Head(forest.block(0)));
        }
        early.told.extend(scene.told.clone());
        let mut network = early.network_after(&early.told);
        let mut last = BTreeMap::new();
        for finding in network.advance(early.at(75.0)) {
            if let Finding::Slot(slot) = finding {
                last.insert(slot.slot, slot.status.name());
            }
        }
        for (slot, status) in statuses {
            prop_assert_eq!(last.get(&slot).copied(), Some(status), "slot {}", slot);
        }
    }
}
