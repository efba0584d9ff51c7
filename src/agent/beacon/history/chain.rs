//! The blocks of the last epochs by their parent links, and the line from the head down. Pure.

use std::collections::{BTreeMap, HashMap};

use super::included::Included;
use crate::slot::Root;

/// Blocks of one slot that are kept: more are made up.
const MAX_PER_SLOT: usize = 16;
/// Slots whose blocks are kept when nothing becomes final: 32 epochs of mainnet.
pub(super) const MAX_SLOTS: u64 = 1_024;

/// A block as far as later ones need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub root: Root,
    pub slot: u64,
    pub parent: Root,
    pub proposer: Option<u64>,
    /// Emptied when no slot they are for is counted any more.
    pub votes: Vec<Included>,
}

#[derive(Debug, Default)]
pub(super) struct Chain {
    blocks: HashMap<Root, Block>,
    slots: BTreeMap<u64, Vec<Root>>,
    head: Option<Root>,
}

impl Chain {
    /// Takes a block in. `false` for one that is known, or for which there is no room.
    pub(super) fn insert(&mut self, block: Block) -> bool {
        let of_slot = self.slots.entry(block.slot).or_default();
        if of_slot.contains(&block.root) || of_slot.len() >= MAX_PER_SLOT {
            return false;
        }
        of_slot.push(block.root);
        self.blocks.insert(block.root, block);
        true
    }

    pub(super) fn set_head(&mut self, root: Root) {
        self.head = Some(root);
    }

    /// All blocks of a slot, in the order in which they were seen.
    pub(super) fn of_slot(&self, slot: u64) -> impl Iterator<Item = &Block> {
        let roots = self.slots.get(&slot).into_iter().flatten();
        roots.filter_map(|root| self.blocks.get(root))
    }

    /// From the head down as far as parents are known; empty while the head is not.
    pub(super) fn line(&self) -> Line<'_> {
        let mut blocks: Vec<&Block> = Vec::new();
        let mut next = self.head;
        while let Some(block) = next.and_then(|root| self.blocks.get(&root)) {
            // A parent is older; anything else is a circle.
            if blocks.last().is_some_and(|child| child.slot <= block.slot) {
                break;
            }
            blocks.push(block);
            next = Some(block.parent);
        }
        blocks.reverse();
        Line { blocks }
    }

    /// Forgets the votes in blocks before the first slot, and all of the blocks before the second.
    pub(super) fn prune(&mut self, votes_before: u64, blocks_before: u64) {
        for (_, roots) in self.slots.extract_if(..blocks_before, |_, _| true) {
            for root in roots {
                self.blocks.remove(&root);
            }
        }
        for block in self.blocks.values_mut() {
            if block.slot < votes_before {
                block.votes = Vec::new();
            }
        }
    }

    pub(super) fn newest_slot(&self) -> Option<u64> {
        self.slots.keys().next_back().copied()
    }
}

/// The canonical chain as the node sees it, oldest first.
#[derive(Debug)]
pub(super) struct Line<'a> {
    blocks: Vec<&'a Block>,
}

impl<'a> Line<'a> {
    pub(super) fn head(&self) -> Option<&'a Block> {
        self.blocks.last().copied()
    }

    pub(super) fn oldest_slot(&self) -> Option<u64> {
        self.blocks.first().map(|block| block.slot)
    }

    /// The block at a slot, or the last before it; `None` where the line does not reach so far down.
    pub(super) fn at_or_before(&self, slot: u64) -> Option<&'a Block> {
        let after = self.blocks.partition_point(|block| block.slot <= slot);
        Some(self.blocks[after.checked_sub(1)?])
    }

    pub(super) fn at(&self, slot: u64) -> Option<&'a Block> {
        self.at_or_before(slot).filter(|block| block.slot == slot)
    }

    /// The blocks after a slot, up to and with another.
    pub(super) fn between(&self, after: u64, to: u64) -> impl Iterator<Item = &'a Block> {
        let from = self.blocks.partition_point(|block| block.slot <= after);
        let rest = self.blocks[from..].iter().copied();
        rest.take_while(move |block| block.slot <= to)
    }
}
