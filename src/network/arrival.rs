//! Arrivals of blocks over all nodes: first seen, delta of each node, dispersion, lateness; one record per block.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::head_split::Splits;
use super::latency::{ClientLatency, Dispersion, Slowness};
use super::nodes::{NodeName, Nodes};
use super::slots::{Finality, Slots, Status};
use super::tree::Tree;
use super::{Contents, Source};
use crate::slot::{BlockRef, ChainSpec, Root};

/// A block as the network saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkBlock {
    pub block: BlockRef,
    pub parent_root: Option<Root>,
    pub parent_slot: Option<u64>,
    /// Slots between parent and block for which nobody has a block; `None` where the parent is not known.
    pub missed_between: Option<u64>,
    /// The blocks that it passes over are another side's of a head split. `None` where it passes over no slot.
    pub across_split: Option<bool>,
    pub proposer_index: Option<u64>,
    pub contents: Contents,
    /// When the first node saw it; the start of its slot where nobody gave a time.
    pub at: DateTime<Utc>,
    /// Counts the records of this block; 0 is the one written once it had settled.
    pub revision: u32,
    pub first_seen_ms: Option<i64>,
    pub first_seen_node: Option<NodeName>,
    /// By node, sorted.
    pub seen: Vec<Seen>,
    /// Nodes heard of lately, whether they saw the block or not.
    pub nodes_known: usize,
    pub late_nodes: usize,
    /// Late for the network, not for a node alone: at a quorum, and at more than half of the nodes that gave a time.
    pub late: bool,
    /// Where it was not late for the network: nodes in sync that were clearly late with it.
    pub late_alone: Vec<NodeName>,
    pub dispersion: Option<Dispersion>,
    /// Of the nodes' deltas beyond what is usual for them.
    pub excess: Option<Dispersion>,
    pub clients: Vec<ClientLatency>,
    pub slowness: Option<Slowness>,
    /// `None` while no head tells.
    pub status: Option<Status>,
    pub finality: Finality,
}

/// How one node saw a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub node: NodeName,
    pub client: Option<Arc<str>>,
    /// The earliest source by preference: gossip, block, head, poll. `None`: the node has the block, nobody knows since when.
    pub source: Option<Source>,
    pub arrival_ms: Option<i64>,
    /// After the first node.
    pub delta_ms: Option<i64>,
    /// What is usual for this node, and the delta beyond it; of a new node, beyond what is usual for its client.
    pub baseline_ms: Option<i64>,
    pub excess_ms: Option<i64>,
    /// By gossip: the network brought it late.
    pub arrival_late: Option<bool>,
    /// By block or head: the node was done with it late.
    pub import_late: Option<bool>,
    /// `import_late`; `arrival_late` at a node that never tells imports.
    pub late: bool,
}

/// Times in ms into the slot by [`Source`]: the earliest each. All empty: the node has the block.
#[derive(Debug, Clone, Default)]
struct Times([Option<i64>; Source::ALL.len()]);

#[derive(Debug, Default)]
struct Record {
    seen: BTreeMap<NodeName, Times>,
    contents: Contents,
    /// When the first node showed it.
    first_heard: DateTime<Utc>,
    told: Option<Told>,
}

/// What was told of a block last, not in full: there are many blocks, and many nodes to each.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: DateTime<Utc>,
    revision: u32,
    fingerprint: u64,
}

/// Blocks within the slots kept.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    blocks: BTreeMap<BlockRef, Record>,
    /// Blocks of which something may have to be told.
    open: BTreeSet<BlockRef>,
}

/// What telling needs besides the arrivals.
pub(super) struct Context<'a> {
    pub spec: &'a ChainSpec,
    pub tree: &'a Tree,
    pub nodes: &'a Nodes,
    pub live: &'a BTreeSet<NodeName>,
    pub slots: &'a Slots,
    pub splits: &'a Splits,
    pub quorum: usize,
    /// How long a block is left to settle, before the first record and between further ones.
    pub settle: TimeDelta,
}

impl Arrivals {
    /// `arrival_ms` is `None` for a block that a node merely has.
    pub(super) fn record(
        &mut self,
        block: BlockRef,
        node: &NodeName,
        heard_at: DateTime<Utc>,
        time: Option<(Source, i64)>,
    ) {
        let record = self.blocks.entry(block).or_insert_with(|| Record {
            first_heard: heard_at,
            ..Record::default()
        });
        record.first_heard = record.first_heard.min(heard_at);
        let known = record.seen.contains_key(node);
        let times = record.seen.entry(node.clone()).or_default();
        let earlier = time.is_some_and(|(source, ms)| {
            let slot = &mut times.0[source as usize];
            let earlier = slot.is_none_or(|known| ms < known);
            if earlier {
                *slot = Some(ms);
            }
            earlier
        });
        if !known || earlier {
            self.open.insert(block);
        }
    }

    /// What is in a block; known once one node served it.
    pub(super) fn record_contents(&mut self, block: BlockRef, contents: Contents) {
        if let Some(record) = self.blocks.get_mut(&block) {
            let merged = record.contents.merged(contents);
            if merged != record.contents {
                record.contents = merged;
                self.open.insert(block);
            }
        }
    }

    /// What was said of the blocks of these slots no longer holds.
    pub(super) fn reopen(&mut self, slots: RangeInclusive<u64>) {
        let ends = [
            (*slots.start(), Root::ZERO),
            (*slots.end(), Root([0xff; 32])),
        ];
        let [from, to] = ends.map(|(slot, root)| BlockRef { slot, root });
        let blocks = self.blocks.range(from..=to);
        self.open.extend(blocks.map(|(block, _)| *block));
    }

    /// Records of blocks that have settled, and of those that have materially changed since they were told.
    pub(super) fn tell(&mut self, context: &Context, now: DateTime<Utc>) -> Vec<NetworkBlock> {
        let mut told = Vec::new();
        let blocks = &mut self.blocks;
        self.open.retain(|block| {
            let Some(record) = blocks.get(block) else {
                return false;
            };
            let due = match &record.told {
                None => {
                    let heard_for = now - record.first_heard;
                    let settled =
                        record.everyone_imported(context.live) || heard_for >= context.settle;
                    // The judges of heads lag behind by the time that heads wait.
                    let judged = context.slots.status_of(*block).is_some();
                    settled && (judged || heard_for >= context.settle * 2)
                }
                Some(told) => now - told.at >= context.settle,
            };
            if !due {
                return true;
            }
            let mut latest = describe(*block, record, blocks, context);
            let fingerprint = fingerprint(&latest);
            if let Some(before) = record.told {
                latest.revision = before.revision + 1;
                if before.fingerprint == fingerprint {
                    return false;
                }
            }
            if let Some(record) = blocks.get_mut(block) {
                record.told = Some(Told {
                    at: now,
                    revision: latest.revision,
                    fingerprint,
                });
            }
            told.push(latest);
            false
        });
        told
    }

    /// The nodes that have a block, and when they got it in ms into its slot, where they did not learn it by asking.
    pub(super) fn times_of(
        &self,
        block: BlockRef,
    ) -> impl Iterator<Item = (&NodeName, Option<i64>)> {
        let seen = self.blocks.get(&block).map(|record| record.seen.iter());
        seen.into_iter().flatten().map(|(node, times)| {
            let told = times.first().filter(|(source, _)| *source != Source::Poll);
            (node, told.map(|(_, ms)| ms))
        })
    }

    pub(super) fn prune_below(&mut self, slot: u64) {
        let kept = self.blocks.split_off(&BlockRef {
            slot,
            root: Root::ZERO,
        });
        for block in std::mem::replace(&mut self.blocks, kept).into_keys() {
            self.open.remove(&block);
        }
    }
}

impl Times {
    fn of(&self, source: Source) -> Option<i64> {
        self.0[source as usize]
    }

    fn first(&self) -> Option<(Source, i64)> {
        Source::ALL
            .into_iter()
            .find_map(|source| Some((source, self.of(source)?)))
    }

    fn import(&self) -> Option<i64> {
        let told = self.of(Source::Block).or(self.of(Source::Head));
        told.or(self.of(Source::Poll))
    }
}

impl Record {
    fn everyone_imported(&self, live: &BTreeSet<NodeName>) -> bool {
        let imported = |node| {
            self.seen
                .get(node)
                .is_some_and(|times| times.import().is_some())
        };
        !live.is_empty() && live.iter().all(imported)
    }
}

fn describe(
    block: BlockRef,
    record: &Record,
    others: &BTreeMap<BlockRef, Record>,
    context: &Context,
) -> NetworkBlock {
    let timed = record
        .seen
        .iter()
        .filter_map(|(node, times)| Some((times.first()?.1, node)));
    let first = timed.min();
    let seen: Vec<_> = record
        .seen
        .iter()
        .map(|(name, times)| {
            let node = context.nodes.get(name);
            let arrival_ms = times.first().map(|(_, ms)| ms);
            let arrival_late = times.of(Source::Gossip).map(|ms| context.spec.is_late(ms));
            let import_late = times.import().map(|ms| context.spec.is_late(ms));
            let tells_imports = node.is_some_and(|node| node.reports_imports);
            Seen {
                node: name.clone(),
                client: node.and_then(|node| node.client.clone()),
                source: times.first().map(|(source, _)| source),
                arrival_ms,
                delta_ms: arrival_ms.zip(first).map(|(ms, (first, _))| ms - first),
                baseline_ms: None,
                excess_ms: None,
                arrival_late,
                import_late,
                late: import_late.unwrap_or(!tells_imports && arrival_late == Some(true)),
            }
        })
        .collect();
    let nodes_known: BTreeSet<_> = context.live.iter().chain(record.seen.keys()).collect();
    let late_nodes = seen.iter().filter(|seen| seen.late).count();
    let timed_nodes = seen.iter().filter(|seen| seen.arrival_ms.is_some()).count();
    let known = context.tree.get(&block.root);
    let late = late_nodes >= context.quorum && late_nodes * 2 > timed_nodes;
    let parent_slot = known
        .and_then(|known| context.tree.get(&known.parent?))
        .map(|parent| parent.slot)
        .filter(|slot| *slot < block.slot);
    NetworkBlock {
        block,
        parent_root: known.and_then(|known| known.parent),
        parent_slot,
        missed_between: parent_slot
            .map(|parent| missed_between(others, context, parent, block.slot)),
        across_split: (context.splits).explain_gap(context.spec, context.tree, block),
        proposer_index: known.and_then(|known| known.proposer_index),
        contents: record.contents,
        at: seen_at(context.spec, block.slot, first.map(|(ms, _)| ms)),
        revision: 0,
        first_seen_ms: first.map(|(ms, _)| ms),
        first_seen_node: first.map(|(_, node)| node.clone()),
        nodes_known: nodes_known.len(),
        late_nodes,
        late,
        late_alone: if late {
            Vec::new()
        } else {
            late_alone(block, &seen, record, context)
        },
        dispersion: Dispersion::of(seen.iter().filter_map(|seen| seen.delta_ms).collect()),
        excess: None,
        clients: Vec::new(),
        slowness: None,
        seen,
        status: context.slots.status_of(block),
        finality: context.slots.finality_of(block.slot),
    }
}

fn late_alone(block: BlockRef, seen: &[Seen], record: &Record, context: &Context) -> Vec<NodeName> {
    let clearly = |seen: &&Seen| {
        let times = record.seen.get(&seen.node);
        let judged_by = times.and_then(|times| times.import().or(times.of(Source::Gossip)));
        judged_by.is_some_and(|ms| !context.spec.is_borderline(ms))
    };
    let start = context.spec.slot_start(block.slot);
    let in_sync = |seen: &&Seen| {
        let node = context.nodes.get(&seen.node);
        node.is_some_and(|node| !node.was_syncing(start))
    };
    let late = seen.iter().filter(|seen| seen.late);
    late.filter(clearly)
        .filter(in_sync)
        .map(|seen| seen.node.clone())
        .collect()
}

/// Slots between that have no block but what syncing nodes alone have: they come by branches that nobody follows.
fn missed_between(
    blocks: &BTreeMap<BlockRef, Record>,
    context: &Context,
    parent: u64,
    slot: u64,
) -> u64 {
    // A far parent makes the walk long: nobody needs the exact number then.
    const WALKED: u64 = 1_024;
    let is_of_network = |block: BlockRef| {
        let start = context.spec.slot_start(block.slot);
        let syncing = |name| {
            let node = context.nodes.get(name);
            node.is_some_and(|node| node.was_syncing(start))
        };
        let record = blocks.get(&block);
        record.is_none_or(|record| record.seen.is_empty() || !record.seen.keys().all(syncing))
    };
    let filled = |slot: &u64| {
        let mut roots = context.tree.at_slot(*slot);
        roots.any(|root| is_of_network(BlockRef { slot: *slot, root }))
    };
    let between = slot.saturating_sub(parent).saturating_sub(1);
    let walked = (parent + 1..slot).rev().take(WALKED as usize);
    between - walked.filter(filled).count() as u64
}

fn seen_at(spec: &ChainSpec, slot: u64, first_seen_ms: Option<i64>) -> DateTime<Utc> {
    let start = spec.slot_start(slot);
    let delta = first_seen_ms
        .and_then(TimeDelta::try_milliseconds)
        .unwrap_or_default();
    start.checked_add_signed(delta).unwrap_or(start)
}

/// Equal where somebody who read the earlier record need not be told: a client's name alone is no news.
fn fingerprint(block: &NetworkBlock) -> u64 {
    let mut hasher = DefaultHasher::new();
    for seen in &block.seen {
        (&seen.node, seen.arrival_ms, seen.late).hash(&mut hasher);
    }
    (block.status, block.finality, block.late, block.parent_root).hash(&mut hasher);
    (block.missed_between, block.across_split, block.contents).hash(&mut hasher);
    hasher.finish()
}
