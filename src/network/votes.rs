//! Votes as nodes saw them pass: how many named which block, by the slot for which they were cast.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::nodes::NodeName;
use crate::slot::Root;

/// Slots of which votes are remembered: forks are judged within a few slots.
const SLOTS_KEPT: u64 = 128;

/// Nodes whose counts are kept for a slot, lowest names first: one that hears all subnets is enough.
const NODES_LIMIT: usize = 16;

/// Counts of one node for one slot: a later one tells of votes that came after the first was written.
const COUNTS_LIMIT: usize = 8;

/// Votes of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ballot {
    /// All that were seen, whatever they named.
    pub total: u64,
    /// Those of which the block is known, by block.
    pub by_root: BTreeMap<Root, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Votes {
    slots: BTreeMap<u64, BTreeMap<NodeName, BTreeMap<DateTime<Utc>, Ballot>>>,
}

impl Votes {
    pub(super) fn record(&mut self, slot: u64, node: &NodeName, at: DateTime<Utc>, ballot: Ballot) {
        let nodes = self.slots.entry(slot).or_default();
        let counts = nodes.entry(node.clone()).or_default();
        let known = counts.get(&at).map_or(0, |known| known.total);
        if ballot.total > known {
            counts.insert(at, ballot);
        }
        if counts.len() > COUNTS_LIMIT {
            counts.pop_last();
        }
        if nodes.len() > NODES_LIMIT {
            nodes.pop_last();
        }
    }

    /// As the node saw them that saw most.
    pub(super) fn of_slot(&self, slot: u64) -> Option<Ballot> {
        let nodes = self.slots.get(&slot)?;
        nodes
            .values()
            .map(|counts| counts.values().fold(Ballot::default(), Ballot::add))
            .max_by(|one, other| {
                let named = |ballot: &Ballot| ballot.by_root.values().sum::<u64>();
                (one.total, named(one)).cmp(&(other.total, named(other)))
            })
    }

    pub(super) fn prune_below(&mut self, newest: u64) {
        self.slots = self.slots.split_off(&newest.saturating_sub(SLOTS_KEPT));
    }
}

impl Ballot {
    pub fn of(&self, root: &Root) -> u64 {
        self.by_root.get(root).copied().unwrap_or(0)
    }

    fn add(mut self, other: &Self) -> Self {
        self.total = self.total.saturating_add(other.total);
        for (root, count) in &other.by_root {
            let sum = self.by_root.entry(*root).or_default();
            *sum = sum.saturating_add(*count);
        }
        self
    }
}
