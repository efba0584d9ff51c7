//! Reorgs, recomputed from the heads we saw and from parent links. One network event per change of head, whoever makes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::nodes::{HeadChange, Node, NodeName, Nodes, ReportedReorg};
use super::tree::{Fork, Tree};
use super::triage::Triage;
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
    /// One node was on the branch dropped, while two or more were not: its business and not the network's. With two
    /// nodes alone nobody can say which of them that is.
    pub lone: bool,
    /// Attack or bug, by what was known when it was told.
    pub triage: Triage,
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
    /// How long after it an event is gone over.
    pub review: TimeDelta,
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
    /// Beyond the limit of what is remembered.
    pub over_limit: u64,
}

type Key = (Root, Root, u32);

/// Changes of head remembered: a node that goes over and back all the time ends here.
const EVENTS_LIMIT: usize = 8_192;

/// A node says each slot whether it syncs: one that did not for so many slots was away.
const AWAY_SLOTS: i32 = 2;

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

    /// Judges what can be judged, and returns the events that are new, have gained nodes, or look different since then.
    pub(super) fn judge(
        &mut self,
        context: &Context,
        now: DateTime<Utc>,
        triage: impl Fn(&Reorg) -> Triage,
    ) -> Vec<Reorg> {
        // Most nodes make the same change.
        let mut forks = HashMap::new();
        for change in std::mem::take(&mut self.waiting) {
            let Some(old) = change.old else { continue };
            let overdue = now - change.moment.at >= context.patience;
            let fork = forks
                .entry((old.root, change.new.root))
                .or_insert_with(|| context.tree.fork(old.root, change.new.root));
            match fork {
                Some(fork) if fork.old_side.is_empty() => {}
                Some(fork) if fork.ancestor_slot.is_some() || overdue => {
                    let fork = fork.clone();
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
        let mut touched = std::mem::take(&mut self.touched);
        for (key, reorg) in &mut self.events {
            let told = touched.contains(key);
            if told {
                let in_sync = reorg
                    .nodes
                    .values()
                    .filter(|node| !node.catching_up)
                    .count();
                reorg.confirmed = in_sync >= reorg.quorum;
                reorg.sync_artefact = in_sync == 0;
            }
            if told || now - reorg.at() <= context.review {
                let triage = triage(reorg);
                let seen = &triage.evidence;
                let lone = seen.followed < 2 && reorg.nodes.len() < 2 && seen.never_followed > 1;
                if told || triage.class != reorg.triage.class || lone != reorg.lone {
                    reorg.triage = triage;
                    reorg.lone = lone;
                    touched.insert(*key);
                }
            }
        }
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
        let made = (change.node.clone(), old.root, change.new.root);
        let before = self.occurrences.get(&made).copied().unwrap_or(0);
        let key = (old.root, change.new.root, before);
        if self.events.len() >= EVENTS_LIMIT && !self.events.contains_key(&key) {
            self.over_limit += 1;
            return;
        }
        self.occurrences.insert(made, before + 1);
        let slot = TimeDelta::milliseconds(context.spec.slot_duration_ms as i64);
        let came_back = fork
            .as_ref()
            .is_some_and(|fork| came_back_below(context, node, old, change, fork));
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
            lone: false,
            triage: Triage::default(),
        });
        reorg.branches = reorg.branches.take().or(fork);
        reorg.nodes.insert(
            change.node.clone(),
            NodeReorg {
                at: change.moment.at,
                client: node.client.clone(),
                catching_up: node.was_syncing(change.moment.at)
                    || came_back
                    || far_behind_alone(context, old, change),
                reported: node.report_of(change, slot),
            },
        );
        reorg.quorum = context.quorum;
        self.touched.insert(key);
    }

    fn tell(&mut self, key: &Key) -> Option<Reorg> {
        let reorg = self.events.get_mut(key)?;
        let told = reorg.clone();
        reorg.revision += 1;
        Some(told)
    }
}

/// The node was away and is back on an ancestor of its old head, on which the chain of others was built: it was started anew
/// without its newest blocks, and will say that it syncs only when it is asked.
fn came_back_below(
    context: &Context,
    node: &Node,
    old: BlockRef,
    change: &HeadChange,
    fork: &Fork,
) -> bool {
    let at = change.moment.at;
    let slot = TimeDelta::milliseconds(context.spec.slot_duration_ms as i64);
    if !fork.new_side.is_empty() || !node.was_away(at, slot * AWAY_SLOTS) {
        return false;
    }
    let others = context
        .nodes
        .iter()
        .filter(|(name, _)| **name != change.node);
    let mut heads = others.filter_map(|(_, node)| node.head_at(at));
    heads.any(|head| context.tree.is_ancestor(old, head.root) == Some(true))
}

/// No other node stood where this one did, and one of them was far ahead: it was catching up without saying so.
fn far_behind_alone(context: &Context, old: BlockRef, change: &HeadChange) -> bool {
    let ahead = old.slot.saturating_add(context.behind_slots);
    // Nobody's head is above the highest block: the usual case, and told without a look at every other node.
    if context.tree.highest_slot() < Some(ahead) {
        return false;
    }
    let others = context
        .nodes
        .iter()
        .filter(|(name, _)| **name != change.node);
    let mut is_trailing = false;
    for head in others.filter_map(|(_, node)| node.head_at(change.moment.at)) {
        if head.root == old.root {
            return false;
        }
        is_trailing |= head.slot >= ahead;
    }
    is_trailing
}
