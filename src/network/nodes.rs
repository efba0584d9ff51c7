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

/// Finalized checkpoints kept per node, one for each epoch.
const FINALIZED_LIMIT: usize = 16;

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
    justified: BTreeMap<DateTime<Utc>, (u64, Root)>,
    /// When it first said so.
    finalized: BTreeMap<(u64, Root), DateTime<Utc>>,
    reports: BTreeSet<(DateTime<Utc>, ReportedReorg)>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
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

    /// Returns whether it is something else than what was justified just before.
    pub(super) fn hear_justified(&mut self, at: DateTime<Utc>, epoch: u64, root: Root) -> bool {
        let before = self.justified.range(..at).next_back();
        let moved = before.is_none_or(|(_, before)| *before != (epoch, root));
        self.justified.insert(at, (epoch, root));
        if self.justified.len() > RECENT {
            self.justified.pop_first();
        }
        moved
    }

    /// Epochs and roots of the checkpoints that its head justified, in order of time.
    pub(super) fn justified_since(
        &self,
        since: DateTime<Utc>,
    ) -> impl Iterator<Item = (DateTime<Utc>, (u64, Root))> + '_ {
        self.justified
            .range(since..)
            .map(|(at, checkpoint)| (*at, *checkpoint))
    }

    /// The last that its head had justified at `at`, as far as it said.
    pub(super) fn justified_at(&self, at: DateTime<Utc>) -> Option<(u64, Root)> {
        let before = self.justified.range(..=at).next_back();
        before.map(|(_, checkpoint)| *checkpoint)
    }

    pub(super) fn hear_finalized(&mut self, at: DateTime<Utc>, epoch: u64, root: Root) {
        let first = self.finalized.entry((epoch, root)).or_insert(at);
        *first = at.min(*first);
        if self.finalized.len() > FINALIZED_LIMIT {
            self.finalized.pop_first();
        }
    }

    /// The highest that it had finalized at `at`.
    pub(super) fn finalized_at(&self, at: DateTime<Utc>) -> Option<(u64, Root)> {
        let mut newest_first = self.finalized.iter().rev();
        let known = newest_first.find(|(_, since)| **since <= at);
        known.map(|(checkpoint, _)| *checkpoint)
    }

    pub(super) fn hear_reorg(&mut self, at: DateTime<Utc>, report: ReportedReorg) {
        self.reports.insert((at, report));
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

    /// The heads that it took since `since`.
    pub(super) fn heads_since(&self, since: DateTime<Utc>) -> impl Iterator<Item = BlockRef> {
        let heads = self.heads.range(Moment::start_of(since)..);
        heads.map(|(_, head)| *head)
    }

    /// The last sync state said before `at`, else the first one after it.
    pub(super) fn was_syncing(&self, at: DateTime<Utc>) -> bool {
        let before = self.statuses.range(..=at).next_back();
        before
            .or_else(|| self.statuses.range(at..).next())
            .is_some_and(|(_, syncing)| *syncing)
    }

    /// It had said before whether it syncs, and not in the time of `silence` before `at`.
    pub(super) fn was_away(&self, at: DateTime<Utc>, silence: TimeDelta) -> bool {
        let before = self.statuses.range(..=at).next_back();
        before.is_some_and(|(last, _)| at - *last > silence)
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
        let first = (at - within, ReportedReorg::default());
        let near = self.reports.range(first..);
        for (time, report) in near.take_while(|(time, _)| *time <= at + within) {
            let names_new = report.new_head == Some(change.new.root);
            let misses = 2 - usize::from(report.old_head == old) - usize::from(names_new);
            let rank = (misses, (*time - at).abs());
            if misses < 2 && best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, *report));
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

    /// Forgets what was before `floor`, but not what was in force then.
    pub(super) fn prune_before(&mut self, floor: DateTime<Utc>) {
        keep_from(&mut self.heads, &Moment::start_of(floor));
        keep_from(&mut self.statuses, &floor);
        keep_from(&mut self.justified, &floor);
        self.reports = self.reports.split_off(&(floor, ReportedReorg::default()));
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

/// Takes away what lies before `floor`, all but the last of it.
fn keep_from<K: Ord + Copy, V>(timeline: &mut BTreeMap<K, V>, floor: &K) {
    let in_force = timeline.range(..floor).next_back().map(|(at, _)| *at);
    let Some(in_force) = in_force else { return };
    while timeline
        .first_key_value()
        .is_some_and(|(at, _)| *at < in_force)
    {
        timeline.pop_first();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_force_is_kept_and_all_before_it_forgotten() {
        let at = |second: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let name: NodeName = Arc::from("a");
        let mut node = Node::default();
        for second in 0..100 {
            let block = BlockRef {
                slot: second as u64,
                root: Root([second as u8; 32]),
            };
            node.hear_head(Moment::new(at(second), 0, block), block, false);
            node.hear_status(at(second), second < 50);
            node.hear_justified(at(second), second as u64, block.root);
            node.hear_reorg(at(second), ReportedReorg::default());
        }
        node.take_changes(&name, at(100), TimeDelta::zero());
        node.prune_before(at(90));
        let kept = [
            node.heads.len(),
            node.statuses.len(),
            node.justified.len(),
            node.reports.len(),
        ];
        assert_eq!(kept, [11, 11, 11, 10]);
        assert_eq!(node.head_at(at(89)).map(|head| head.slot), Some(89));
        // Silent since: the last word holds.
        node.prune_before(at(1_000));
        assert_eq!(node.head_at(at(1_000)).map(|head| head.slot), Some(99));
        assert!(!node.was_syncing(at(1_000)) && node.reports.is_empty());
    }
}
