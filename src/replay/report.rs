//! The report: what the core found last about each block, slot, reorg and split, sorted. DESIGN §7 has its shape.

use std::collections::BTreeMap;

use serde::Serialize;

use super::recording::Recording;
use crate::alert::Alert;
use crate::network::triage::Triage;
use crate::network::{
    Checkpoint, Finding, Fork, HeadSplit, JustificationFlip, LateRun, NetworkBlock, Offence, Reorg,
    SlotStatus, Step,
};
use crate::slot::{BlockRef, Root};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Its place within the directory that was named, where that held several.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<String>,
    nodes: Vec<String>,
    blocks: Vec<Block>,
    slots: Vec<Slot>,
    reorgs: Vec<ReorgEntry>,
    head_splits: Vec<Split>,
    equivocations: Vec<EquivocationEntry>,
    justification_flips: Vec<FlipEntry>,
    late_runs: Vec<LateRunEntry>,
    /// Firings of the rules over the findings, in the shape of DESIGN §7.
    alerts: Vec<Alert>,
}

#[derive(Debug, Serialize)]
struct Block {
    slot: u64,
    root: Root,
    parent_root: Option<Root>,
    proposer_index: Option<u64>,
    status: Option<&'static str>,
    first_seen_ms: Option<i64>,
    /// What the recording has of it: SSZ bytes of the signed block, blobs, set bits of the sync aggregate.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_participants: Option<u64>,
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug, Serialize)]
struct Seen {
    arrival_ms: Option<i64>,
    source: &'static str,
    late: bool,
}

#[derive(Debug, Serialize)]
struct Slot {
    slot: u64,
    status: &'static str,
    root: Option<Root>,
    finality: &'static str,
}

#[derive(Debug, Serialize)]
struct ReorgEntry {
    nodes: Vec<String>,
    ancestor: Option<Ancestor>,
    old_head: BlockRef,
    new_head: BlockRef,
    blocks_dropped: Option<usize>,
    blocks_added: Option<usize>,
    slot_span_old: Option<u64>,
    slot_span_new: Option<u64>,
    reported_depth: BTreeMap<String, u64>,
    sync_artefact: bool,
    confirmed: bool,
    lone: bool,
    triage: TriageEntry,
}

/// Attack or bug, and why.
#[derive(Debug, Serialize)]
struct TriageEntry {
    class: &'static str,
    looks_like: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct EquivocationEntry {
    slot: u64,
    validators: Vec<u64>,
    roots: Vec<Root>,
    slashing: bool,
    nodes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FlipEntry {
    nodes: Vec<String>,
    checkpoints: Vec<CheckpointEntry>,
    confirmed: bool,
}

#[derive(Debug, Serialize)]
struct CheckpointEntry {
    epoch: u64,
    root: Root,
}

#[derive(Debug, Serialize)]
struct LateRunEntry {
    from_slot: u64,
    to_slot: u64,
    blocks: usize,
    triage: TriageEntry,
}

#[derive(Debug, Serialize)]
struct Ancestor {
    slot: Option<u64>,
    root: Root,
}

#[derive(Debug, Serialize)]
struct Split {
    from_slot: u64,
    /// `None` while the recording ends in the split.
    to_slot: Option<u64>,
    groups: Vec<Group>,
    triage: TriageEntry,
}

#[derive(Debug, Serialize)]
struct Group {
    nodes: Vec<String>,
    slot: u64,
    root: Root,
}

impl Report {
    pub(super) fn new(recording: &Recording, findings: &[Finding], alerts: Vec<Alert>) -> Self {
        let mut blocks: BTreeMap<BlockRef, &NetworkBlock> = BTreeMap::new();
        let mut slots: BTreeMap<u64, &SlotStatus> = BTreeMap::new();
        let mut reorgs: BTreeMap<(BlockRef, BlockRef, u32), &Reorg> = BTreeMap::new();
        let mut splits: BTreeMap<&str, &HeadSplit> = BTreeMap::new();
        let mut equivocations: BTreeMap<(u64, &[u64]), &Offence> = BTreeMap::new();
        let mut flips: BTreeMap<(Checkpoint, Checkpoint), &JustificationFlip> = BTreeMap::new();
        let mut late_runs: BTreeMap<u64, &LateRun> = BTreeMap::new();
        for finding in findings {
            match finding {
                Finding::Block(block) => {
                    blocks.insert(block.block, block);
                }
                Finding::Slot(slot) => {
                    slots.insert(slot.slot, slot);
                }
                Finding::Reorg(reorg) => {
                    reorgs.insert((reorg.old_head, reorg.new_head, reorg.occurrence), reorg);
                }
                Finding::Offence(offence) => {
                    equivocations.insert((offence.slot, &offence.validators), offence);
                }
                Finding::Flip(flip) => {
                    flips.insert((flip.from, flip.to), flip);
                }
                Finding::LateRun(run) => {
                    late_runs.insert(run.from_slot, run);
                }
                Finding::Split(split) => {
                    // One that had not lasted when the recording ended is none.
                    if split.step != Step::Opened || split.at <= recording.ended_at {
                        splits.insert(split.id.as_str(), split);
                    }
                }
            }
        }
        let mut reorgs: Vec<_> = reorgs.into_values().collect();
        reorgs.sort_by_key(|reorg| (reorg.at(), reorg.old_head, reorg.new_head));
        let mut splits: Vec<_> = splits.into_values().collect();
        splits.sort_by_key(|split| (split.from_slot, split.at));
        let last_slot = slots
            .values()
            .filter(|slot| slot.root.is_some())
            .map(|slot| slot.slot)
            .max();
        let last_slot = last_slot.unwrap_or(0).max(recording.last_slot);
        Self {
            recording: None,
            nodes: recording.nodes.clone(),
            // The genesis block was proposed and seen by nobody.
            blocks: blocks
                .into_values()
                .filter(|block| block.block.slot > 0)
                .map(Block::from)
                .collect(),
            slots: slots
                .into_values()
                .filter(|slot| slot.slot <= last_slot)
                .map(Slot::from)
                .collect(),
            reorgs: reorgs.into_iter().map(ReorgEntry::from).collect(),
            head_splits: splits.into_iter().map(Split::from).collect(),
            equivocations: equivocations
                .into_values()
                .map(EquivocationEntry::from)
                .collect(),
            justification_flips: flips.into_values().map(FlipEntry::from).collect(),
            late_runs: late_runs.into_values().map(LateRunEntry::from).collect(),
            alerts,
        }
    }
}

impl Report {
    /// With the recording's name, unless that is empty.
    pub(super) fn named(self, name: &str) -> Self {
        Self {
            recording: (!name.is_empty()).then(|| name.to_owned()),
            ..self
        }
    }
}

impl From<&Triage> for TriageEntry {
    fn from(triage: &Triage) -> Self {
        Self {
            class: triage.class.name(),
            looks_like: triage.class.looks_like(),
            reason: triage.reason.clone(),
        }
    }
}

impl From<&Offence> for EquivocationEntry {
    fn from(offence: &Offence) -> Self {
        Self {
            slot: offence.slot,
            validators: offence.validators.clone(),
            roots: offence.blocks.iter().map(|block| block.root).collect(),
            slashing: !offence.slashing_heard_by.is_empty(),
            nodes: offence.nodes.iter().map(|name| name.to_string()).collect(),
        }
    }
}

impl From<&JustificationFlip> for FlipEntry {
    fn from(flip: &JustificationFlip) -> Self {
        let nodes = flip.nodes.iter().map(|node| node.node.to_string());
        let checkpoints = flip.checkpoints.iter();
        let checkpoints = checkpoints.map(|&(epoch, root)| CheckpointEntry { epoch, root });
        Self {
            nodes: nodes.collect(),
            checkpoints: checkpoints.collect(),
            confirmed: flip.confirmed,
        }
    }
}

impl From<&LateRun> for LateRunEntry {
    fn from(run: &LateRun) -> Self {
        Self {
            from_slot: run.from_slot,
            to_slot: run.to_slot,
            blocks: run.slots,
            triage: TriageEntry::from(&run.triage),
        }
    }
}

impl From<&NetworkBlock> for Block {
    fn from(block: &NetworkBlock) -> Self {
        let seen = block.seen.iter().map(|seen| {
            let entry = Seen {
                arrival_ms: seen.arrival_ms,
                source: seen.source.map_or("backfill", |source| source.name()),
                late: seen.late,
            };
            (seen.node.to_string(), entry)
        });
        Self {
            slot: block.block.slot,
            root: block.block.root,
            parent_root: block.parent_root,
            proposer_index: block.proposer_index,
            status: block.status.map(|status| status.name()),
            first_seen_ms: block.first_seen_ms,
            size: block.contents.size_bytes,
            blobs: block.contents.blobs,
            sync_participants: block.contents.sync_participants,
            seen: seen.collect(),
        }
    }
}

impl From<&SlotStatus> for Slot {
    fn from(slot: &SlotStatus) -> Self {
        Self {
            slot: slot.slot,
            status: slot.status.name(),
            root: slot.root,
            finality: slot.finality.name(),
        }
    }
}

impl From<&Reorg> for ReorgEntry {
    fn from(reorg: &Reorg) -> Self {
        let fork = reorg.branches.as_ref();
        let reports = reorg.nodes.iter();
        let reports =
            reports.filter_map(|(name, node)| Some((name.to_string(), node.reported?.depth)));
        let ancestor = |fork: &Fork| Ancestor {
            slot: fork.ancestor_slot,
            root: fork.ancestor,
        };
        Self {
            nodes: reorg.nodes.keys().map(|name| name.to_string()).collect(),
            ancestor: fork.map(ancestor),
            old_head: reorg.old_head,
            new_head: reorg.new_head,
            blocks_dropped: fork.map(|fork| fork.old_side.len()),
            blocks_added: fork.map(|fork| fork.new_side.len()),
            slot_span_old: reorg.slot_span_old(),
            slot_span_new: reorg.slot_span_new(),
            reported_depth: reports.collect(),
            sync_artefact: reorg.sync_artefact,
            confirmed: reorg.confirmed,
            lone: reorg.lone,
            triage: TriageEntry::from(&reorg.triage),
        }
    }
}

impl From<&HeadSplit> for Split {
    fn from(split: &HeadSplit) -> Self {
        let groups = split.groups.iter().map(|group| Group {
            nodes: group.nodes.iter().map(|name| name.to_string()).collect(),
            slot: group.head.slot,
            root: group.head.root,
        });
        Self {
            from_slot: split.from_slot,
            to_slot: (split.step == Step::Closed).then_some(split.to_slot),
            groups: groups.collect(),
            triage: TriageEntry::from(&split.triage),
        }
    }
}
