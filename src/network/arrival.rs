//! Arrivals of blocks over all nodes: first seen, delta of each node, dispersion, lateness; one record per block.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::Source;
use super::nodes::{NodeName, Nodes};
use super::slots::{Finality, Slots, Status};
use super::tree::Tree;
use crate::slot::{BlockRef, ChainSpec, Root};

/// A block as the network saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkBlock {
    pub block: BlockRef,
    pub parent_root: Option<Root>,
    pub proposer_index: Option<u64>,
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
    pub dispersion: Option<Dispersion>,
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
    /// By gossip: the network brought it late.
    pub arrival_late: Option<bool>,
    /// By block or head: the node was done with it late.
    pub import_late: Option<bool>,
    /// `import_late`; `arrival_late` at a node that never tells imports.
    pub late: bool,
}

/// Percentiles (nearest rank) of the nodes' deltas, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dispersion {
    pub p50: i64,
    pub p95: i64,
    pub max: i64,
}

/// Times in ms into the slot by [`Source`]: the earliest each. All empty: the node has the block.
#[derive(Debug, Clone, Default)]
struct Times([Option<i64>; Source::ALL.len()]);

#[derive(Debug, Default)]
struct Record {
    seen: BTreeMap<NodeName, Times>,
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

    /// The status of a slot changed: its blocks have to be told again.
    pub(super) fn reopen(&mut self, slot: u64) {
        let of_slot = BlockRef {
            slot,
            root: Root::ZERO,
        }..=BlockRef {
            slot,
            root: Root([0xff; 32]),
        };
        self.open
            .extend(self.blocks.range(of_slot).map(|(block, _)| *block));
    }

    /// Records of blocks that have settled, and of those that have materially changed since they were told.
    pub(super) fn tell(&mut self, context: &Context, now: DateTime<Utc>) -> Vec<NetworkBlock> {
        let mut told = Vec::new();
        let blocks = &mut self.blocks;
        self.open.retain(|block| {
            let Some(record) = blocks.get_mut(block) else {
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
            let mut latest = describe(*block, record, context);
            let fingerprint = fingerprint(&latest);
            if let Some(before) = record.told {
                latest.revision = before.revision + 1;
                if before.fingerprint == fingerprint {
                    return false;
                }
            }
            record.told = Some(Told {
                at: now,
                revision: latest.revision,
                fingerprint,
            });
            told.push(latest);
            false
        });
        told
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

fn describe(block: BlockRef, record: &Record, context: &Context) -> NetworkBlock {
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
                arrival_late,
                import_late,
                late: import_late.unwrap_or(!tells_imports && arrival_late == Some(true)),
            }
        })
        .collect();
    let late_nodes = seen.iter().filter(|seen| seen.late).count();
    let timed_nodes = seen.iter().filter(|seen| seen.arrival_ms.is_some()).count();
    let known = context.tree.get(&block.root);
    NetworkBlock {
        block,
        parent_root: known.and_then(|known| known.parent),
        proposer_index: known.and_then(|known| known.proposer_index),
        at: seen_at(context.spec, block.slot, first.map(|(ms, _)| ms)),
        revision: 0,
        first_seen_ms: first.map(|(ms, _)| ms),
        first_seen_node: first.map(|(_, node)| node.clone()),
        nodes_known: context
            .live
            .iter()
            .chain(record.seen.keys())
            .collect::<BTreeSet<_>>()
            .len(),
        late_nodes,
        late: late_nodes >= context.quorum && late_nodes * 2 > timed_nodes,
        dispersion: dispersion(seen.iter().filter_map(|seen| seen.delta_ms).collect()),
        seen,
        status: context.slots.status_of(block),
        finality: context.slots.finality_of(block.slot),
    }
}

fn seen_at(spec: &ChainSpec, slot: u64, first_seen_ms: Option<i64>) -> DateTime<Utc> {
    let start = spec.slot_start(slot);
    let delta = first_seen_ms
        .and_then(TimeDelta::try_milliseconds)
        .unwrap_or_default();
    start.checked_add_signed(delta).unwrap_or(start)
}

fn dispersion(mut deltas: Vec<i64>) -> Option<Dispersion> {
    deltas.sort_unstable();
    let rank = |percent: usize| {
        deltas
            .get((deltas.len() * percent).div_ceil(100).saturating_sub(1))
            .copied()
    };
    Some(Dispersion {
        p50: rank(50)?,
        p95: rank(95)?,
        max: rank(100)?,
    })
}

/// Equal where somebody who read the earlier record need not be told: a client's name alone is no news.
fn fingerprint(block: &NetworkBlock) -> u64 {
    let mut hasher = DefaultHasher::new();
    for seen in &block.seen {
        (&seen.node, seen.arrival_ms, seen.late).hash(&mut hasher);
    }
    (block.status, block.finality, block.late, block.parent_root).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let all = dispersion((1..=100).rev().collect()).unwrap();
        assert_eq!((all.p50, all.p95, all.max), (50, 95, 100));
        let two = dispersion(vec![0, 40]).unwrap();
        assert_eq!((two.p50, two.p95, two.max), (0, 40, 40));
        assert_eq!(dispersion(Vec::new()), None);
    }
}
