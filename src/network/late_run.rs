//! Blocks that are late for the network one after the other: one record per run, told again as it grows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::arrival::NetworkBlock;
use super::nodes::NodeName;
use super::triage::Triage;
use crate::slot::{BlockRef, ChainSpec};

/// Late blocks in a row that are a run: at the published rate of 2.5 % chance makes three about once in nine days.
const RUN_BLOCKS: usize = 3;

/// Blocks of a run that are told one by one: the newest.
const BLOCKS_TOLD: usize = 16;

/// Late blocks in a row, whatever slots were missed between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRun {
    pub from_slot: u64,
    pub to_slot: u64,
    /// All slots of the run that have a block.
    pub slots: usize,
    /// Oldest first; of a long run the newest.
    pub blocks: Vec<LateBlock>,
    /// Start of the last slot.
    pub at: DateTime<Utc>,
    pub revision: u32,
    pub triage: Triage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateBlock {
    pub block: BlockRef,
    pub late_nodes: BTreeSet<NodeName>,
    pub timely_nodes: BTreeSet<NodeName>,
}

/// What was told of a run: its slots, and how often.
#[derive(Debug)]
struct Told {
    slots: BTreeSet<u64>,
    revision: u32,
}

#[derive(Debug, Default)]
pub(super) struct LateRuns {
    /// Blocks with a time, by slot; `None` where the block was not late.
    slots: BTreeMap<u64, BTreeMap<BlockRef, Option<LateBlock>>>,
    /// By the slot that the run was first told to begin in.
    told: BTreeMap<u64, Told>,
    touched: BTreeSet<u64>,
}

impl LateRuns {
    pub(super) fn note(&mut self, block: &NetworkBlock) {
        let timed = || block.seen.iter().filter(|seen| seen.arrival_ms.is_some());
        if timed().next().is_none() {
            return;
        }
        let names = |late: bool| {
            let nodes = timed().filter(|seen| seen.late == late);
            nodes.map(|seen| seen.node.clone()).collect()
        };
        let late = block.late.then(|| LateBlock {
            block: block.block,
            late_nodes: names(true),
            timely_nodes: names(false),
        });
        let of_slot = self.slots.entry(block.block.slot).or_default();
        let before = of_slot.insert(block.block, late.clone());
        if before.is_none_or(|before| before.is_some() != late.is_some()) {
            self.touched.insert(block.block.slot);
        }
    }

    /// Runs that are new or other than they were told, without their triage.
    pub(super) fn tell(&mut self, spec: &ChainSpec) -> Vec<LateRun> {
        let mut runs = BTreeMap::new();
        for slot in std::mem::take(&mut self.touched) {
            let slots = self.run_around(slot);
            if slots.len() >= RUN_BLOCKS
                && let Some(first) = slots.first()
            {
                runs.insert(*first, slots);
            }
        }
        runs.into_values()
            .filter_map(|slots| self.describe(slots, spec))
            .collect()
    }

    pub(super) fn prune_below(&mut self, slot: u64) {
        self.slots = self.slots.split_off(&slot);
        self.told
            .retain(|_, told| told.slots.last().is_some_and(|last| *last >= slot));
    }

    /// Slots with late blocks alone, on both sides of `slot` up to the next one with a timely block.
    fn run_around(&self, slot: u64) -> BTreeSet<u64> {
        let late = |blocks: &BTreeMap<BlockRef, Option<LateBlock>>| {
            blocks.values().all(|block| block.is_some())
        };
        let before = self.slots.range(..slot).rev();
        let before = before.take_while(|(_, blocks)| late(blocks));
        let after = self.slots.range(slot..);
        let after = after.take_while(|(_, blocks)| late(blocks));
        let after: BTreeSet<u64> = after.map(|(slot, _)| *slot).collect();
        if !after.contains(&slot) {
            return BTreeSet::new();
        }
        before.map(|(slot, _)| *slot).chain(after).collect()
    }

    fn describe(&mut self, slots: BTreeSet<u64>, spec: &ChainSpec) -> Option<LateRun> {
        let (first, last) = (*slots.first()?, *slots.last()?);
        let overlaps = |told: &Told| !told.slots.is_disjoint(&slots);
        let known = self.told.iter().find(|(_, told)| overlaps(told));
        let (from_slot, revision) = match known {
            Some((_, told)) if told.slots == slots => return None,
            Some((from, told)) => (*from, told.revision + 1),
            None => (first, 0),
        };
        let blocks = slots.iter().rev().filter_map(|slot| self.slots.get(slot));
        let blocks = blocks.flat_map(|blocks| blocks.values().flatten());
        let mut blocks: Vec<_> = blocks.take(BLOCKS_TOLD).cloned().collect();
        blocks.sort_by_key(|late| late.block);
        let run = LateRun {
            from_slot,
            to_slot: last,
            slots: slots.len(),
            blocks,
            at: spec.slot_start(last),
            revision,
            triage: Triage::default(),
        };
        self.told.insert(from_slot, Told { slots, revision });
        Some(run)
    }
}
