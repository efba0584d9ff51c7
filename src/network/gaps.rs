//! Blocks that pass over others because a split hid them: the other sides' blocks are no choice of a proposer.

use std::collections::VecDeque;

use super::tree::Tree;
use crate::slot::{BlockRef, Root};

/// Splits remembered beside the one that stands.
const REMEMBERED: usize = 64;

/// Slots between a block and its parent that are looked at: in a longer gap all blocks were passed over long ago.
const WALKED: u64 = 1_024;

/// Where and when a split stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub ancestor: Root,
    pub ancestor_slot: Option<u64>,
    /// Of the first block after the ancestor, and the slot in which the heads agreed again.
    pub from_slot: u64,
    pub to_slot: u64,
}

/// Splits that are over.
#[derive(Debug, Default)]
pub(super) struct Spans(VecDeque<Span>);

impl Spans {
    pub(super) fn push(&mut self, span: Span) {
        self.0.push_back(span);
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }

    pub(super) fn prune_below(&mut self, slot: u64) {
        self.0.retain(|span| span.to_slot >= slot);
    }
}

/// Slots between a block and its parent.
#[derive(Debug)]
pub(super) struct Gap {
    block: BlockRef,
    /// Blocks of these slots, on whatever branch.
    passed: Vec<Root>,
}

impl Gap {
    /// `None` where the parent is not known, or is of the slot before.
    pub(super) fn of(tree: &Tree, block: BlockRef) -> Option<Self> {
        let parent = tree.get(&tree.parent(&block.root)?)?;
        let nearest = block.slot.saturating_sub(WALKED);
        let slots = (parent.slot + 1).max(nearest)..block.slot;
        (!slots.is_empty()).then(|| Self {
            block,
            passed: slots.flat_map(|slot| tree.at_slot(slot)).collect(),
        })
    }
}

impl Span {
    /// Whether the block was made on a side of this split, and the blocks it passes over on other sides. One that
    /// passes over blocks of its own side does so by choice.
    pub(super) fn explains(&self, tree: &Tree, gap: &Gap) -> bool {
        if !(self.from_slot..=self.to_slot).contains(&gap.block.slot) {
            return false;
        }
        let Some(side) = self.side(tree, gap.block.root) else {
            return false;
        };
        let passed = gap.passed.iter().copied();
        let mut sides = passed.filter_map(|root| self.side(tree, root)).peekable();
        sides.peek().is_some() && sides.all(|other| other != side)
    }

    /// The first block after the ancestor on the way to this one; `None` where it does not lead there.
    fn side(&self, tree: &Tree, root: Root) -> Option<Root> {
        let mut first = None;
        for root in tree.lineage(root) {
            if root == self.ancestor {
                return first;
            }
            let slot = tree.get(&root)?.slot;
            if self.ancestor_slot.is_some_and(|ancestor| slot <= ancestor) {
                return None;
            }
            first = Some(root);
        }
        None
    }
}
