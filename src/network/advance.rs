//! Judging: what was heard up to a moment, asked in the order in which it happened.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::branches::{Branch, branches, canonical, conflict};
use super::chain::Network;
use super::nodes::{HeadChange, NodeName, clients};
use super::{Finding, arrival, reorg};
use crate::slot::BlockRef;

impl Network {
    /// Judges what is due at `now` and returns what is new, in the order in which it happened.
    pub fn advance(&mut self, now: DateTime<Utc>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let horizon = now - TimeDelta::milliseconds(self.settings.reorder_ms as i64);
        let patience = self.slots_long(1);
        let mut changes: Vec<HeadChange> = Vec::new();
        for (name, node) in &mut self.nodes {
            changes.extend(node.take_changes(name, horizon, patience));
        }
        changes.sort_by(|one, other| {
            (one.moment.at, &one.node, one.moment).cmp(&(
                other.moment.at,
                &other.node,
                other.moment,
            ))
        });

        for change in changes {
            self.end_slots(change.moment.at, &mut findings);
            let at = change.moment.at;
            let moved = self.move_head(&change);
            self.reorgs.consider(change);
            if moved {
                self.judge_split(at, &mut findings);
            }
        }
        self.end_slots(horizon, &mut findings);
        self.judge_split(horizon, &mut findings);
        self.judge_reorgs(horizon, &mut findings);
        self.judge_slots(horizon, &mut findings);
        self.tell_blocks(now, &mut findings);
        self.forget();
        findings
    }

    /// Returns whether the branches may differ now: not where one of many nodes takes the step the first one took.
    fn move_head(&mut self, change: &HeadChange) -> bool {
        if !change.current {
            return false;
        }
        let led = self.heads.values().any(|head| *head == change.new);
        let before = self.heads.insert(change.node.clone(), change.new);
        let left = before.is_some_and(|before| self.heads.values().all(|head| *head != before));
        let follows =
            before.is_some_and(|before| self.tree.parent(&change.new.root) == Some(before.root));
        !led || left || !follows
    }

    /// Ends every slot that is over at `at` and has not been ended.
    fn end_slots(&mut self, at: DateTime<Utc>, findings: &mut Vec<Finding>) {
        let (Some(running), Some(watched_from)) = (self.spec.slot_at(at), self.watched_from) else {
            return;
        };
        let oldest = running.saturating_sub(self.settings.slots_kept);
        let mut slot = self.open_slot.unwrap_or(watched_from).max(oldest);
        while slot < running {
            slot += 1;
            let end = self.spec.slot_start(slot);
            self.judge_split(end, findings);
            self.judge_slots(end, findings);
        }
        self.open_slot = Some(slot);
    }

    fn judge_split(&mut self, at: DateTime<Utc>, findings: &mut Vec<Finding>) {
        // Late words about the past can't turn back the time of a split.
        self.judged_upto = self.judged_upto.max(at);
        let at = self.judged_upto;
        let branches = self.branches(at);
        let minimum = self.slots_long(self.settings.split_slots);
        let slot_at = |at| self.spec.slot_at(at).unwrap_or(0);
        let steps = self
            .splits
            .evaluate(conflict(&self.tree, &branches), at, minimum, slot_at);
        for mut split in steps {
            for group in &mut split.groups {
                group.clients = clients(&self.nodes, &group.nodes);
            }
            findings.push(Finding::Split(split));
        }
    }

    fn judge_reorgs(&mut self, now: DateTime<Utc>, findings: &mut Vec<Finding>) {
        let context = reorg::Context {
            spec: &self.spec,
            tree: &self.tree,
            nodes: &self.nodes,
            quorum: self.quorum(now),
            patience: self.slots_long(self.settings.link_slots),
            behind_slots: self.settings.behind_slots,
        };
        findings.extend(
            self.reorgs
                .judge(&context, now)
                .into_iter()
                .map(Finding::Reorg),
        );
    }

    /// Judges the slots that ended before `at`.
    fn judge_slots(&mut self, at: DateTime<Utc>, findings: &mut Vec<Finding>) {
        let (Some(running), Some(watched_from)) = (self.spec.slot_at(at), self.watched_from) else {
            return;
        };
        let first = watched_from
            .max(1)
            .max(running.saturating_sub(self.settings.slots_kept));
        let branches = self.branches(at);
        let mut changes = Vec::new();
        if let Some(branch) = canonical(&self.tree, &branches, self.finalized) {
            // Where a head has moved on to a block without links, nobody knows yet what it passed over.
            let linked = |node| self.heads.get(node) == self.linked_heads.get(node);
            let all_linked = branch.nodes.iter().all(linked);
            let last = if all_linked {
                running.saturating_sub(1)
            } else {
                branch.head.slot
            };
            changes.extend(self.slots.judge(&self.tree, branch.head, first, last));
        }
        if let Some(checkpoint) = self.new_checkpoint(at) {
            self.finalized = Some(checkpoint);
            changes.extend(self.slots.finalize(
                &self.tree,
                checkpoint.root,
                first,
                checkpoint.slot,
            ));
        }
        for change in &changes {
            self.arrivals.reopen(change.slot);
        }
        findings.extend(changes.into_iter().map(Finding::Slot));
    }

    /// The highest checkpoint above the last one that a quorum has finalized. Its slot is the epoch's first.
    fn new_checkpoint(&self, at: DateTime<Utc>) -> Option<BlockRef> {
        let quorum = self.quorum(at);
        let agreed = self
            .checkpoints
            .iter()
            .rev()
            .find(|(_, nodes)| nodes.len() >= quorum);
        let ((epoch, root), _) = agreed?;
        let slot = epoch.checked_mul(self.spec.slots_per_epoch)?;
        let newer = self.finalized.is_none_or(|last| slot > last.slot);
        (newer && self.tree.get(root).is_some()).then_some(BlockRef { slot, root: *root })
    }

    fn tell_blocks(&mut self, now: DateTime<Utc>, findings: &mut Vec<Finding>) {
        let context = arrival::Context {
            spec: &self.spec,
            tree: &self.tree,
            nodes: &self.nodes,
            live: &self.live(now),
            slots: &self.slots,
            quorum: self.quorum(now),
            settle: self.slots_long(self.settings.settle_slots),
        };
        findings.extend(
            self.arrivals
                .tell(&context, now)
                .into_iter()
                .map(Finding::Block),
        );
    }

    /// The branches of the nodes that are there and in sync.
    fn branches(&mut self, at: DateTime<Utc>) -> Vec<Branch> {
        for (name, head) in &self.heads {
            if head.slot == 0 || self.tree.parent(&head.root).is_some() {
                self.linked_heads.insert(name.clone(), *head);
            }
        }
        let live = self.live(at);
        let in_sync = |name: &NodeName| {
            self.nodes
                .get(name)
                .is_some_and(|node| !node.was_syncing(at))
        };
        let heads = self
            .linked_heads
            .iter()
            .filter(|(name, _)| live.contains(*name) && in_sync(name));
        branches(&self.tree, heads)
    }

    fn live(&self, at: DateTime<Utc>) -> BTreeSet<NodeName> {
        let silent_since = at - self.slots_long(self.settings.live_slots);
        let heard = self
            .nodes
            .iter()
            .filter(|(_, node)| node.last_seen >= Some(silent_since));
        heard.map(|(name, _)| name.clone()).collect()
    }

    fn quorum(&self, at: DateTime<Utc>) -> usize {
        self.settings.quorum.min(self.live(at).len()).max(1)
    }

    fn slots_long(&self, slots: u64) -> TimeDelta {
        let ms = slots.saturating_mul(self.spec.slot_duration_ms);
        i64::try_from(ms)
            .ok()
            .and_then(TimeDelta::try_milliseconds)
            .unwrap_or(TimeDelta::days(1))
    }
}
