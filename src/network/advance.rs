//! Judging: what was heard up to a moment, asked in the order in which it happened.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::branches::{Branch, branches, standing};
use super::chain::Network;
use super::nodes::{HeadChange, Node, NodeName};
use super::triage::{self, Class, Triage};
use super::{Finding, HeadSplit, arrival, head_split, justification, offences, reorg};
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
            if self.is_one_of_many(&change) && !self.is_split_due(at) {
                self.move_head(&change);
                self.unjudged = Some(at);
            } else {
                self.judge_unjudged(&mut findings);
                if self.move_head(&change) {
                    self.judge_split((at, false), &mut findings);
                }
            }
            self.reorgs.consider(change);
        }
        self.end_slots(horizon, &mut findings);
        self.judge_unjudged(&mut findings);
        self.judge_split((horizon, false), &mut findings);
        self.judge_reorgs(horizon, &mut findings);
        self.judge_slots((horizon, false), &mut findings);
        self.tell_blocks(now, &mut findings);
        self.tell_late_runs(&mut findings);
        self.tell_misdeeds(now, &mut findings);
        self.forget();
        findings
    }

    /// Returns whether the branches may differ now: not where one of many nodes takes the step the first one took.
    fn move_head(&mut self, change: &HeadChange) -> bool {
        if !change.current {
            return false;
        }
        let led = self.heads.standing_on(change.new) > 0;
        let before = self.heads.insert(&change.node, change.new);
        let left = before.is_some_and(|before| self.heads.standing_on(before) == 0);
        let follows =
            before.is_some_and(|before| self.tree.parent(&change.new.root) == Some(before.root));
        !led || left || !follows
    }

    /// Whether others stand where the node goes, and others stay where it stood: of a thousand that change sides one after
    /// the other only who begins and who ends can begin or end a split.
    fn is_one_of_many(&self, change: &HeadChange) -> bool {
        let before = self.heads.get(&change.node);
        let is_linked = before == self.linked_heads.get(&change.node);
        let stayed = before.is_some_and(|before| self.heads.standing_on(*before) > 1);
        change.current && is_linked && stayed && self.heads.standing_on(change.new) > 0
    }

    fn is_split_due(&self, at: DateTime<Utc>) -> bool {
        let minimum = self.slots_long(self.settings.split_slots);
        self.splits.is_due(at, minimum)
    }

    /// Takes the sides as they were when the last of many had changed over: before another change, they are what a
    /// split is told with.
    fn judge_unjudged(&mut self, findings: &mut Vec<Finding>) {
        if let Some(at) = self.unjudged.take() {
            self.judge_split((at, false), findings);
        }
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
            self.judge_unjudged(findings);
            self.judge_split((end, true), findings);
            self.judge_slots((end, true), findings);
        }
        self.open_slot = Some(slot);
    }

    fn judge_split(&mut self, (at, ends_slot): (DateTime<Utc>, bool), findings: &mut Vec<Finding>) {
        // Late words about the past can't turn back the time of a split.
        self.judged_upto = self.judged_upto.max(at);
        let at = self.judged_upto;
        let branches = self.branches(at);
        let context = head_split::Context {
            spec: &self.spec,
            tree: &self.tree,
            nodes: &self.nodes,
            minimum: self.slots_long(self.settings.split_slots),
            silence: self.slots_long(self.settings.live_slots),
        };
        let standing = standing(&self.tree, branches);
        let steps = self.splits.evaluate(standing, (at, ends_slot), &context);
        if let Some(slot) = self.splits.take_dissolved() {
            self.arrivals.reopen(slot..=u64::MAX);
        }
        for mut split in steps {
            split.triage = self.triage_split(&split);
            findings.push(Finding::Split(split));
        }
    }

    fn triage_split(&mut self, split: &HeadSplit) -> Triage {
        let now = triage::of_split(&self.view(), split);
        if now.class != Class::Unknown {
            self.split_triage = Some((split.id.clone(), now.clone()));
            return now;
        }
        // While a split heals its sides dissolve: what it looked like when it stood holds.
        match &self.split_triage {
            Some((id, known)) if *id == split.id => known.clone(),
            _ => now,
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
            review: self.slots_long(self.settings.triage_slots),
        };
        let mut reorgs = std::mem::take(&mut self.reorgs);
        let told = reorgs.judge(&context, now, |reorg| triage::of_reorg(&self.view(), reorg));
        self.reorgs = reorgs;
        findings.extend(told.into_iter().map(Finding::Reorg));
    }

    fn view(&self) -> triage::View<'_> {
        triage::View {
            spec: &self.spec,
            tree: &self.tree,
            nodes: &self.nodes,
            arrivals: &self.arrivals,
            votes: &self.votes,
            slashings: &self.slashings,
        }
    }

    /// Judges the slots that ended before `at`.
    fn judge_slots(&mut self, (at, ends_slot): (DateTime<Utc>, bool), findings: &mut Vec<Finding>) {
        let (Some(running), Some(watched_from)) = (self.spec.slot_at(at), self.watched_from) else {
            return;
        };
        let first = watched_from
            .max(1)
            .max(running.saturating_sub(self.settings.slots_kept));
        let branches = self.branches(at);
        let mut changes = Vec::new();
        if ends_slot {
            let patience = self.settings.split_slots;
            self.lead
                .decide(&self.tree, &branches, self.finalized, patience);
        }
        if let Some(branch) = self.lead.branch(&self.tree, &branches, self.finalized) {
            // Where a head has moved on to a block without links, nobody knows yet what it passed over.
            let linked = |node| self.heads.get(node) == self.linked_heads.get(node);
            let all_linked = branch.nodes.iter().all(linked);
            let last = if all_linked {
                // Silence of all nodes is an outage of ours: only who was heard since can have missed a block.
                let heard = self.nodes.values().filter_map(|node| node.last_seen).max();
                let heard = heard.and_then(|at| self.spec.slot_at(at)).unwrap_or(0);
                running.min(heard).saturating_sub(1)
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
            self.arrivals.reopen(change.slot..=change.slot);
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
            splits: &self.splits,
            quorum: self.quorum(now),
            settle: self.slots_long(self.settings.settle_slots),
        };
        let mut told = self.arrivals.tell(&context, now);
        for block in &mut told {
            self.usual.judge(block, &self.nodes);
            self.late_runs.note(block);
        }
        findings.extend(told.into_iter().map(Finding::Block));
    }

    fn tell_late_runs(&mut self, findings: &mut Vec<Finding>) {
        for mut run in self.late_runs.tell(&self.spec) {
            run.triage = triage::of_run(&self.view(), &run);
            findings.push(Finding::LateRun(run));
        }
    }

    /// Validators that signed twice, and justification that goes over and back.
    fn tell_misdeeds(&mut self, now: DateTime<Utc>, findings: &mut Vec<Finding>) {
        let settle = self.slots_long(self.settings.settle_slots);
        let context = offences::Context {
            spec: &self.spec,
            tree: &self.tree,
            nodes: &self.nodes,
            arrivals: &self.arrivals,
            votes: &self.votes,
            settle,
        };
        let told = self.offences.tell(&context, now);
        findings.extend(told.into_iter().map(Finding::Offence));
        let quorum = self.quorum(now);
        let context = justification::Context {
            spec: &self.spec,
            tree: &self.tree,
            nodes: &self.nodes,
            quorum,
            settle,
        };
        findings.extend(self.flips.tell(&context, now).map(Finding::Flip));
    }

    /// The branches of the nodes that are there and in sync.
    fn branches(&mut self, at: DateTime<Utc>) -> Vec<Branch> {
        // This is asked each time a node changes sides: one walk over all names in their order, and no look-ups.
        let mut linked_heads = self.linked_heads.iter_mut().peekable();
        let mut first = Vec::new();
        for (name, head) in self.heads.iter() {
            while linked_heads.next_if(|(known, _)| *known < name).is_some() {}
            let known = linked_heads.next_if(|(known, _)| *known == name);
            if known.as_ref().is_some_and(|(_, known)| *known == head) {
                continue;
            }
            if head.slot == 0 || self.tree.parent(&head.root).is_some() {
                match known {
                    Some((_, known)) => *known = *head,
                    None => first.push((name.clone(), *head)),
                }
            }
        }
        self.linked_heads.extend(first);
        let mut linked_heads = self.linked_heads.iter().peekable();
        let mut heads = Vec::with_capacity(self.nodes.len());
        for (name, node) in self.heard_of(at) {
            while linked_heads.next_if(|(known, _)| *known < name).is_some() {}
            let head = linked_heads.next_if(|(known, _)| *known == name);
            heads.extend(head.filter(|_| !node.was_syncing(at)));
        }
        branches(&self.tree, heads.into_iter())
    }

    fn live(&self, at: DateTime<Utc>) -> BTreeSet<NodeName> {
        self.heard_of(at).map(|(name, _)| name.clone()).collect()
    }

    /// The nodes that were not silent for too long at `at`.
    fn heard_of(&self, at: DateTime<Utc>) -> impl Iterator<Item = (&NodeName, &Node)> {
        let silent_since = at - self.slots_long(self.settings.live_slots);
        let nodes = self.nodes.iter();
        nodes.filter(move |(_, node)| node.last_seen >= Some(silent_since))
    }

    fn quorum(&self, at: DateTime<Utc>) -> usize {
        let wanted = self.settings.quorum;
        self.heard_of(at).take(wanted).count().max(1)
    }

    fn slots_long(&self, slots: u64) -> TimeDelta {
        let ms = slots.saturating_mul(self.spec.slot_duration_ms);
        i64::try_from(ms)
            .ok()
            .and_then(TimeDelta::try_milliseconds)
            .unwrap_or(TimeDelta::days(1))
    }
}
