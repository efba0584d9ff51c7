//! Slot status: canonical, orphaned or missed; provisional by the head, final by finality.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::tree::Tree;
use crate::slot::{BlockRef, Root};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    Canonical,
    /// There was a block and the chain passed over it.
    Orphaned,
    /// Nobody ever showed a block.
    Missed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finality {
    Provisional,
    Final,
}

/// The status of a slot, or a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotStatus {
    pub slot: u64,
    pub status: Status,
    /// The block of the slot; of several orphans the one with the lowest root.
    pub root: Option<Root>,
    /// Of that block.
    pub proposer_index: Option<u64>,
    pub finality: Finality,
    /// Counts the statuses of this slot.
    pub revision: u32,
}

/// Statuses of the slots kept.
#[derive(Debug, Default)]
pub(super) struct Slots {
    statuses: BTreeMap<u64, SlotStatus>,
    final_upto: u64,
    /// The lowest slot for which a block or link became known since the last judgement.
    touched: Option<u64>,
    changes: Vec<SlotStatus>,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Orphaned => "orphaned",
            Self::Missed => "missed",
        }
    }
}

impl Finality {
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisional => "provisional",
            Self::Final => "final",
        }
    }
}

impl Slots {
    /// A block or a link of this slot is new: what was judged may be wrong from here on.
    pub(super) fn touch(&mut self, slot: u64) {
        self.touched = Some(self.touched.map_or(slot, |lowest| lowest.min(slot)));
    }

    /// Judges the slots from `first` to `last` by the chain that ends in `head`, and returns what is new. Slots below a
    /// missing parent link stay as they are: without the link nobody knows.
    pub(super) fn judge(
        &mut self,
        tree: &Tree,
        head: BlockRef,
        first: u64,
        last: u64,
    ) -> Vec<SlotStatus> {
        let touched = self.touched.take();
        // A head may step back within its slot: what was judged above it is judged again.
        let highest = self.statuses.last_key_value().map_or(0, |(slot, _)| *slot);
        let range = first.max(self.final_upto + 1)..=last.max(head.slot).max(highest);
        self.walk(tree, head.root, range, Finality::Provisional, touched);
        self.take_changes()
    }

    /// Makes the slots up to `checkpoint_slot` final by the chain that ends in the finalized block.
    pub(super) fn finalize(
        &mut self,
        tree: &Tree,
        root: Root,
        first: u64,
        checkpoint_slot: u64,
    ) -> Vec<SlotStatus> {
        let first = first.max(self.final_upto + 1);
        self.walk(
            tree,
            root,
            first..=checkpoint_slot,
            Finality::Final,
            Some(first),
        );
        self.final_upto = self.final_upto.max(checkpoint_slot);
        self.take_changes()
    }

    pub(super) fn status_of(&self, block: BlockRef) -> Option<Status> {
        let slot = self.statuses.get(&block.slot)?;
        if slot.status == Status::Canonical && slot.root == Some(block.root) {
            return Some(Status::Canonical);
        }
        // A block may come after its slot was judged to be missed: until the next judgement nobody knows.
        (slot.status != Status::Missed).then_some(Status::Orphaned)
    }

    pub(super) fn finality_of(&self, slot: u64) -> Finality {
        self.statuses
            .get(&slot)
            .map_or(Finality::Provisional, |status| status.finality)
    }

    pub(super) fn prune_below(&mut self, slot: u64) {
        self.statuses = self.statuses.split_off(&slot);
    }

    /// Down the chain from `root`, setting what each block and each gap between blocks says about its slots.
    fn walk(
        &mut self,
        tree: &Tree,
        root: Root,
        range: RangeInclusive<u64>,
        finality: Finality,
        touched: Option<u64>,
    ) {
        let first = *range.start();
        let mut above = range.end().saturating_add(1);
        for root in tree.lineage(root) {
            let Some(block) = tree.get(&root) else { return };
            for gap in (block.slot.saturating_add(1).max(first)..above).rev() {
                let orphan = tree.at_slot(gap).next();
                let status = orphan.map_or(Status::Missed, |_| Status::Orphaned);
                self.set(tree, gap, status, orphan, finality);
            }
            if block.slot < first {
                return;
            }
            let same = self.set(tree, block.slot, Status::Canonical, Some(root), finality);
            if same && touched.is_none_or(|lowest| lowest >= block.slot) {
                return; // the chain below is what it was
            }
            above = block.slot;
        }
    }

    /// Returns whether it was so already.
    fn set(
        &mut self,
        tree: &Tree,
        slot: u64,
        status: Status,
        root: Option<Root>,
        finality: Finality,
    ) -> bool {
        let before = self.statuses.get(&slot);
        if before.is_some_and(|before| {
            (before.status, before.root, before.finality) == (status, root, finality)
        }) {
            return true;
        }
        let now = SlotStatus {
            slot,
            status,
            root,
            proposer_index: root.and_then(|root| tree.get(&root)?.proposer_index),
            finality,
            revision: before.map_or(0, |before| before.revision + 1),
        };
        self.statuses.insert(slot, now);
        self.changes.push(now);
        false
    }

    /// Oldest slot first.
    fn take_changes(&mut self) -> Vec<SlotStatus> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.reverse();
        changes
    }
}
