//! What each node said, in the order in which it happened there: heads, sync states, its own word on reorgs.
//!
//! Observations may come late and repeated, so a node's heads are a timeline, not a variable. A streamed head is taken
//! as it is. A polled head is a second opinion: it fills in only where the stream did not tell the same within a slot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::slot::{BlockRef, Root};

/// A node's name, shared by everything that mentions it.
pub type NodeName = Arc<str>;

/// Statuses and reports kept per node: they are looked up seconds after they came.
const RECENT: usize = 256;

/// Heads kept per node, beyond any honest rate over the slots kept.
const HEADS_LIMIT: usize = 16_384;

/// Every node of one chain.
pub(super) type Nodes = BTreeMap<NodeName, Node>;

#[derive(Debug, Default)]
pub(super) struct Node {
    pub client: Option<Arc<str>>,
    pub last_seen: Option<DateTime<Utc>>,
    /// It has given a `block` or `head` time: a block without one was not imported there.
    pub reports_imports: bool,
    heads: BTreeMap<Moment, BlockRef>,
    streamed: BTreeMap<Moment, BlockRef>,
    polled: BTreeMap<Moment, BlockRef>,
    statuses: BTreeMap<DateTime<Utc>, bool>,
    reports: BTreeMap<DateTime<Utc>, BTreeSet<ReportedReorg>>,
}

/// When something happened at a node. The order tells events of one instant apart: all lines of a chunk carry one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub at: DateTime<Utc>,
    pub order: u64,
    /// Last resort among events of one instant without an order: the same result whoever comes first.
    pub slot: u64,
    pub root: Root,
}

/// A client's own `chain_reorg`, of which not even the field names can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportedReorg {
    pub slot: u64,
    pub depth: u64,
    pub old_head: Option<Root>,
    pub new_head: Option<Root>,
}

/// A node's head was `old` and became `new`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeadChange {
    pub node: NodeName,
    pub moment: Moment,
    /// `None` for the first head known of the node.
    pub old: Option<BlockRef>,
    pub new: BlockRef,
    /// It is the node's head still: not a late word about the past.
    pub current: bool,
}

impl Node {
    pub(super) fn hear_head(&mut self, moment: Moment, head: BlockRef, polled: bool) {
        let known = self.heads.contains_key(&moment);
        let waiting = self.streamed.len() + self.polled.len();
        if known || waiting >= HEADS_LIMIT {
            return;
        }
        let queue = if polled {
            &mut self.polled
        } else {
            &mut self.streamed
        };
        queue.insert(moment, head);
    }

    pub(super) fn hear_status(&mut self, at: DateTime<Utc>, syncing: bool) {
        self.statuses.insert(at, syncing);
        if self.statuses.len() > RECENT {
            self.statuses.pop_first();
        }
    }

    pub(super) fn hear_reorg(&mut self, at: DateTime<Utc>, report: ReportedReorg) {
        self.reports.entry(at).or_default().insert(report);
        if self.reports.len() > RECENT {
            self.reports.pop_first();
        }
    }

    pub(super) fn head_at(&self, at: DateTime<Utc>) -> Option<BlockRef> {
        self.heads
            .range(..=Moment::end_of(at))
            .next_back()
            .map(|(_, head)| *head)
    }

    /// The last sync state said before `at`, else the first one after it.
    pub(super) fn was_syncing(&self, at: DateTime<Utc>) -> bool {
        let before = self.statuses.range(..=at).next_back();
        before
            .or_else(|| self.statuses.range(at..).next())
            .is_some_and(|(_, syncing)| *syncing)
    }

    /// The client's report of a head change: the one that names both heads, else one of them (clients exchange fields
    /// or name a wrong block), else none; of equal ones the nearest in time.
    pub(super) fn report_of(
        &self,
        change: &HeadChange,
        within: TimeDelta,
    ) -> Option<ReportedReorg> {
        let at = change.moment.at;
        let old = change.old.map(|head| head.root);
        let mut best: Option<((usize, TimeDelta), ReportedReorg)> = None;
        for (time, reports) in self.reports.range(at - within..=at + within) {
            for report in reports {
                let names_new = report.new_head == Some(change.new.root);
                let misses = 2 - usize::from(report.old_head == old) - usize::from(names_new);
                let rank = (misses, (*time - at).abs());
                if misses < 2 && best.is_none_or(|(known, _)| rank < known) {
                    best = Some((rank, *report));
                }
            }
        }
        best.map(|(_, report)| report)
    }

    /// Takes the heads that are due into the timeline and says what changed, oldest first.
    pub(super) fn take_changes(
        &mut self,
        name: &NodeName,
        horizon: DateTime<Utc>,
        patience: TimeDelta,
    ) -> Vec<HeadChange> {
        let mut changes = Vec::new();
        loop {
            let streamed = self
                .streamed
                .first_key_value()
                .map(|(moment, head)| (*moment, *head));
            let polled = self
                .polled
                .first_key_value()
                .map(|(moment, head)| (*moment, *head));
            let from_poll = match (streamed, polled) {
                (Some((streamed, _)), Some((polled, _))) => polled < streamed,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let Some((moment, head)) = (if from_poll { polled } else { streamed }) else {
                break;
            };
            if moment.at > horizon {
                break;
            }
            if from_poll {
                let told = self.told_by_stream(moment.at, head.root, patience);
                if !told && moment.at + patience > horizon {
                    break; // the stream may yet tell it
                }
                self.polled.pop_first();
                if told {
                    continue;
                }
            } else {
                self.streamed.pop_first();
            }
            self.place(name, moment, head, &mut changes);
        }
        changes
    }

    /// Forgets heads before `floor`, but not the one that was in force then.
    pub(super) fn prune_before(&mut self, floor: DateTime<Utc>) {
        let first = self
            .heads
            .range(..Moment::start_of(floor))
            .next_back()
            .map(|(moment, _)| *moment);
        if let Some(first) = first {
            self.heads = self.heads.split_off(&first);
        }
    }

    /// Whether the head was in force, or became so by the stream, less than `patience` away from a poll.
    fn told_by_stream(&self, at: DateTime<Utc>, root: Root, patience: TimeDelta) -> bool {
        let window = Moment::start_of(at - patience)..=Moment::end_of(at + patience);
        let before = self.heads.range(..window.start()).next_back();
        before
            .into_iter()
            .chain(self.heads.range(window.clone()))
            .chain(self.streamed.range(window))
            .any(|(_, head)| head.root == root)
    }

    /// Puts a head into the timeline: one change, or two when it comes late between two that are known.
    fn place(
        &mut self,
        name: &NodeName,
        moment: Moment,
        new: BlockRef,
        changes: &mut Vec<HeadChange>,
    ) {
        let old = self
            .heads
            .range(..moment)
            .next_back()
            .map(|(_, head)| *head);
        if old.is_some_and(|old| old.root == new.root) {
            return;
        }
        let after = self
            .heads
            .range(moment..)
            .next()
            .map(|(moment, head)| (*moment, *head));
        self.heads.insert(moment, new);
        if self.heads.len() > HEADS_LIMIT {
            self.heads.pop_first();
        }
        if old.is_some() && after.is_some_and(|(_, next)| next.root == new.root) {
            return; // the same change was told before, with a later time
        }
        changes.push(HeadChange {
            node: name.clone(),
            moment,
            old,
            new,
            current: after.is_none(),
        });
        if let Some((moment, next)) = after.filter(|(_, next)| next.root != new.root) {
            changes.push(HeadChange {
                node: name.clone(),
                moment,
                old: Some(new),
                new: next,
                current: false,
            });
        }
    }
}

impl Moment {
    pub(super) fn new(at: DateTime<Utc>, order: u64, block: BlockRef) -> Self {
        Self {
            at,
            order,
            slot: block.slot,
            root: block.root,
        }
    }

    fn start_of(at: DateTime<Utc>) -> Self {
        Self {
            at,
            order: 0,
            slot: 0,
            root: Root::ZERO,
        }
    }

    fn end_of(at: DateTime<Utc>) -> Self {
        Self {
            at,
            order: u64::MAX,
            slot: u64::MAX,
            root: Root([0xff; 32]),
        }
    }
}

/// The clients of some nodes.
pub(super) fn clients<'a>(
    nodes: &Nodes,
    names: impl IntoIterator<Item = &'a NodeName>,
) -> BTreeSet<Arc<str>> {
    names
        .into_iter()
        .filter_map(|name| nodes.get(name)?.client.clone())
        .collect()
}
