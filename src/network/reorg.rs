//! Reorgs, recomputed from the heads we saw and from parent links. One network event per change of head, whoever makes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::nodes::{HeadChange, NodeName, Nodes, ReportedReorg};
use super::tree::{Fork, Tree};
use crate::slot::{BlockRef, ChainSpec, Root};

/// A change of head that left blocks behind, joined over the nodes that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorg {
    pub old_head: BlockRef,
    pub new_head: BlockRef,
    /// Tells apart what a node does repeatedly: the first time it changes between these heads is 0.
    pub occurrence: u32,
    /// Counts what was told about this event.
    pub revision: u32,
    /// `None` where the links between the heads never became known, although it can't be an extension.
    pub branches: Option<Fork>,
    pub nodes: BTreeMap<NodeName, NodeReorg>,
    /// Nodes needed to confirm it.
    pub quorum: usize,
    /// A quorum of nodes that were in sync made the change.
    pub confirmed: bool,
    /// Every node that made it was catching up.
    pub sync_artefact: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReorg {
    pub at: DateTime<Utc>,
    pub client: Option<Arc<str>>,
    pub catching_up: bool,
    pub reported: Option<ReportedReorg>,
}

/// What judging needs besides the change itself.
pub(super) struct Context<'a> {
    pub spec: &'a ChainSpec,
    pub tree: &'a Tree,
    pub nodes: &'a Nodes,
    pub quorum: usize,
    /// How long to wait for missing parent links.
    pub patience: TimeDelta,
    /// Slots a node must trail another's head to count as catching up.
    pub behind_slots: u64,
}

#[derive(Debug, Default)]
pub(super) struct Reorgs {
    waiting: VecDeque<HeadChange>,
    events: BTreeMap<Key, Reorg>,
    occurrences: HashMap<(NodeName, Root, Root), u32>,
    touched: BTreeSet<Key>,
    /// Head changes given up because no link ever told whether they were reorgs.
    pub unlinked: u64,
}

type Key = (Root, Root, u32);

/// Head changes that may wait for links at one time.
const WAITING_LIMIT: usize = 65_536;

impl Reorg {
    /// When the first node made the change.
    pub fn at(&self) -> DateTime<Utc> {
        self.nodes
            .values()
            .map(|node| node.at)
            .min()
            .unwrap_or_default()
    }

    pub fn slot_span_old(&self) -> Option<u64> {
        self.span(self.old_head)
    }

    pub fn slot_span_new(&self) -> Option<u64> {
        self.span(self.new_head)
    }

    fn span(&self, head: BlockRef) -> Option<u64> {
        head.slot
            .checked_sub(self.branches.as_ref()?.ancestor_slot?)
    }
}

impl Reorgs {
    pub(super) fn consider(&mut self, change: HeadChange) {
        if change.old.is_none() {
            return;
        }
        self.waiting.push_back(change);
        if self.waiting.len() > WAITING_LIMIT {
            self.waiting.pop_front();
            self.unlinked += 1;
        }
    }

    /// Judges what can be judged, and returns the events that are new or have gained nodes.
    pub(super) fn judge(&mut self, context: &Context, now: DateTime<Utc>) -> Vec<Reorg> {
        for change in std::mem::take(&mut self.waiting) {
            let Some(old) = change.old else { continue };
            let overdue = now - change.moment.at >= context.patience;
            match context.tree.fork(old.root, change.new.root) {
                Some(fork) if fork.old_side.is_empty() => {}
                Some(fork) if fork.ancestor_slot.is_some() || overdue => {
                    self.join(context, old, &change, Some(fork));
                }
                // Another block of the same or an older slot can't descend from the old head.
                None if overdue && change.new.slot <= old.slot => {
                    self.join(context, old, &change, None)
                }
                None if overdue => self.unlinked += 1,
                _ => self.waiting.push_back(change),
            }
        }
        let touched = std::mem::take(&mut self.touched);
        touched.iter().filter_map(|key| self.tell(key)).collect()
    }

    pub(super) fn prune_before(&mut self, floor: DateTime<Utc>) {
        self.events.retain(|_, reorg| reorg.at() >= floor);
        let events = &self.events;
        self.occurrences.retain(|(_, old, new), count| {
            events.contains_key(&(*old, *new, count.saturating_sub(1)))
        });
    }

    fn join(&mut self, context: &Context, old: BlockRef, change: &HeadChange, fork: Option<Fork>) {
        let Some(node) = context.nodes.get(&change.node) else {
            return;
        };
        let count = self
            .occurrences
            .entry((change.node.clone(), old.root, change.new.root))
            .or_default();
        let key = (old.root, change.new.root, *count);
        *count += 1;
        let slot = TimeDelta::milliseconds(context.spec.slot_duration_ms as i64);
        let reorg = self.events.entry(key).or_insert_with(|| Reorg {
            old_head: old,
            new_head: change.new,
            occurrence: key.2,
            revision: 0,
            branches: None,
            nodes: BTreeMap::new(),
            quorum: context.quorum,
            confirmed: false,
            sync_artefact: false,
        });
        reorg.branches = reorg.branches.take().or(fork);
        reorg.nodes.insert(
            change.node.clone(),
            NodeReorg {
                at: change.moment.at,
                client: node.client.clone(),
                catching_up: node.was_syncing(change.moment.at)
                    || far_behind_alone(context, old, change),
                reported: node.report_of(change, slot),
            },
        );
        reorg.quorum = context.quorum;
        reorg.confirmed = reorg
            .nodes
            .values()
            .filter(|node| !node.catching_up)
            .count()
            >= context.quorum;
        reorg.sync_artefact = reorg.nodes.values().all(|node| node.catching_up);
        self.touched.insert(key);
    }

    fn tell(&mut self, key: &Key) -> Option<Reorg> {
        let reorg = self.events.get_mut(key)?;
        let told = reorg.clone();
        reorg.revision += 1;
        Some(told)
    }
}

/// No other node stood where this one did, and one of them was far ahead: it was catching up without saying so.
fn far_behind_alone(context: &Context, old: BlockRef, change: &HeadChange) -> bool {
    let others = context
        .nodes
        .iter()
        .filter(|(name, _)| **name != change.node);
    let heads: Vec<_> = others
        .filter_map(|(_, node)| node.head_at(change.moment.at))
        .collect();
    let ahead = old.slot.saturating_add(context.behind_slots);
    heads.iter().all(|head| head.root != old.root) && heads.iter().any(|head| head.slot >= ahead)
}
