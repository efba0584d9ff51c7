//! What the core knows of a fork: of each side its first block, arrivals, votes, nodes and clients. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::clients::{Separation, separation};
use super::{Triage, judge};
use crate::network::arrival::Arrivals;
use crate::network::head_split::HeadSplit;
use crate::network::justification::contradictions;
use crate::network::nodes::{NodeName, Nodes, clients};
use crate::network::reorg::Reorg;
use crate::network::tree::Tree;
use crate::network::votes::{Ballot, Votes};
use crate::slot::{BlockRef, ChainSpec, Root};

/// All that evidence is taken from.
pub(in crate::network) struct View<'a> {
    pub spec: &'a ChainSpec,
    pub tree: &'a Tree,
    pub nodes: &'a Nodes,
    pub arrivals: &'a Arrivals,
    pub votes: &'a Votes,
    /// Slot and proposer of published slashings.
    pub slashings: &'a BTreeSet<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// A reorg: the branch dropped and the branch added, if it has a block. A split: its branches, largest group first.
    /// Late blocks: each of them.
    pub sides: Vec<Side>,
    /// The first blocks of all sides have one parent. `None` where a parent is not known.
    pub same_parent: Option<bool>,
    /// The block before the fork and its proposer.
    pub ancestor_slot: Option<u64>,
    pub ancestor_proposer: Option<u64>,
    /// Proposers that made two blocks for a slot of this fork.
    pub equivocations: Vec<Equivocation>,
    pub flips: Flips,
    /// Only of nodes that stood apart for a slot and longer: before that, a fork is a matter of milliseconds. Of late
    /// blocks: the nodes that got most of them late, and the others.
    pub separation: Option<Separation>,
    /// Nodes that made the change, and nodes known; 0 of a split.
    pub nodes_changed: usize,
    pub nodes_known: usize,
    /// Of a reorg: nodes in sync that followed the branch dropped, whenever they left it, and nodes in sync that never did.
    pub followed: usize,
    pub never_followed: usize,
    pub slot_duration_ms: u64,
    pub slots_per_epoch: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    pub role: Role,
    /// The first block after the ancestor.
    pub base: BlockRef,
    pub base_proposer: Option<u64>,
    pub head: BlockRef,
    pub blocks: usize,
    /// Of the first block.
    pub arrival: Spread,
    /// Nodes that stood on this side before the change, or stand on it in a split; of a late block, those that got it late.
    pub nodes: BTreeSet<NodeName>,
    /// Their clients.
    pub clients: BTreeSet<Arc<str>>,
    /// Votes that named a block of this side. `None` where no votes were watched.
    pub votes: Option<u64>,
    /// Votes of the first block's own slot: those that named it, and all.
    pub own_slot_votes: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Dropped,
    Added,
    Group,
    Late,
}

/// When nodes got a block, in ms into its slot. Times noticed by asking are upper bounds and are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// Nodes that have the block.
    pub seen: usize,
    /// Nodes that gave a time.
    pub timed: usize,
    /// Of these, clearly after and clearly before the attestation deadline.
    pub late: usize,
    pub timely: usize,
    pub first_ms: Option<i64>,
    pub median_ms: Option<i64>,
    pub last_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    pub slot: u64,
    pub proposer_index: u64,
    /// Empty where only a published slashing tells.
    pub roots: Vec<Root>,
    pub slashing: bool,
}

/// Changes of a node's justified checkpoint to one that contradicts the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flips {
    /// The most that one node made.
    pub most: usize,
    /// Nodes that went over and back.
    pub nodes: usize,
}

pub(in crate::network) fn of_reorg(view: &View, reorg: &Reorg) -> Triage {
    let Some(fork) = &reorg.branches else {
        let mut evidence = view.common(reorg.at(), None);
        evidence.nodes_changed = reorg.nodes.len();
        return judge::reorg(evidence, reorg.sync_artefact);
    };
    let branches = [
        (Role::Dropped, fork.old_side.as_slice()),
        (Role::Added, fork.new_side.as_slice()),
    ];
    let branches: Vec<_> = branches
        .into_iter()
        .filter(|(_, blocks)| !blocks.is_empty())
        .collect();
    let just_before = reorg.at() - TimeDelta::microseconds(1);
    let slot = TimeDelta::milliseconds(view.spec.slot_duration_ms as i64);
    let standing = |at| view.standing(&branches, at);
    let (before, a_slot_before) = (standing(just_before), standing(just_before - slot));
    let sides = branches
        .iter()
        .enumerate()
        .filter_map(|(index, (role, blocks))| {
            let nodes = on_side(&before, index).cloned().collect();
            view.side(*role, blocks, nodes)
        });
    let mut evidence = view.common(reorg.at(), Some(fork.ancestor));
    evidence.sides = sides.collect();
    evidence.nodes_changed = reorg.nodes.len();
    if let Some(dropped) = evidence.sides.first() {
        (evidence.followed, evidence.never_followed) = view.followers(dropped.base, reorg.at());
    }
    let stayed = |index: usize| -> BTreeSet<NodeName> {
        let there = |node: &&NodeName| a_slot_before.get(*node) == Some(&index);
        on_side(&before, index).filter(there).cloned().collect()
    };
    evidence.separation = view.separation([&stayed(0), &stayed(1)]);
    view.complete(&mut evidence);
    judge::reorg(evidence, reorg.sync_artefact)
}

pub(in crate::network) fn of_split(view: &View, split: &HeadSplit) -> Triage {
    let mut evidence = view.common(split.at, Some(split.ancestor));
    for group in &split.groups {
        let mut blocks: Vec<Root> = view
            .tree
            .lineage(group.head.root)
            .take_while(|root| *root != split.ancestor)
            .collect();
        blocks.reverse();
        let side = view.side(Role::Group, &blocks, group.nodes.clone());
        evidence.sides.extend(side);
    }
    if let [one, other, ..] = split.groups.as_slice() {
        evidence.separation = view.separation([&one.nodes, &other.nodes]);
    }
    view.complete(&mut evidence);
    judge::split(evidence)
}

fn on_side(standing: &BTreeMap<NodeName, usize>, side: usize) -> impl Iterator<Item = &NodeName> {
    standing
        .iter()
        .filter(move |(_, on)| **on == side)
        .map(|(node, _)| node)
}

impl View<'_> {
    pub(super) fn common(&self, at: DateTime<Utc>, ancestor: Option<Root>) -> Evidence {
        let ancestor = ancestor.and_then(|root| self.tree.get(&root));
        Evidence {
            ancestor_slot: ancestor.map(|block| block.slot),
            ancestor_proposer: ancestor.and_then(|block| block.proposer_index),
            flips: self.flips(at),
            nodes_known: self.nodes.len(),
            slot_duration_ms: self.spec.slot_duration_ms,
            slots_per_epoch: self.spec.slots_per_epoch,
            ..Evidence::default()
        }
    }

    /// What follows from the sides.
    pub(super) fn complete(&self, evidence: &mut Evidence) {
        let parents: Vec<_> = evidence
            .sides
            .iter()
            .map(|side| self.tree.parent(&side.base.root))
            .collect();
        let all_known = parents.len() > 1 && parents.iter().all(Option::is_some);
        evidence.same_parent = all_known.then(|| parents.windows(2).all(|pair| pair[0] == pair[1]));
        let proposers: BTreeSet<(u64, u64)> = evidence
            .sides
            .iter()
            .filter_map(|side| Some((side.base.slot, side.base_proposer?)))
            .collect();
        let found = proposers
            .into_iter()
            .filter_map(|(slot, proposer)| self.equivocation(slot, proposer));
        evidence.equivocations = found.collect();
    }

    fn equivocation(&self, slot: u64, proposer_index: u64) -> Option<Equivocation> {
        let by_proposer = |root: &Root| {
            let block = self.tree.get(root);
            block.and_then(|block| block.proposer_index) == Some(proposer_index)
        };
        let roots: Vec<_> = self.tree.at_slot(slot).filter(by_proposer).collect();
        let slashing = self.slashings.contains(&(slot, proposer_index));
        (slashing || roots.len() > 1).then_some(Equivocation {
            slot,
            proposer_index,
            roots,
            slashing,
        })
    }

    /// `None` of a side without a block, or whose blocks are known by name only.
    pub(super) fn side(
        &self,
        role: Role,
        blocks: &[Root],
        nodes: BTreeSet<NodeName>,
    ) -> Option<Side> {
        let block = |root: &Root| {
            let slot = self.tree.get(root)?.slot;
            Some(BlockRef { slot, root: *root })
        };
        let (base, head) = (block(blocks.first()?)?, block(blocks.last()?)?);
        let running = head.slot.saturating_add(self.spec.slots_per_epoch);
        let mut ballots = (base.slot..=running)
            .filter_map(|slot| self.votes.of_slot(slot))
            .peekable();
        let named = |ballot: Ballot| blocks.iter().map(|root| ballot.of(root)).sum::<u64>();
        let votes = ballots.peek().is_some().then(|| ballots.map(named).sum());
        let own = self.votes.of_slot(base.slot);
        Some(Side {
            role,
            base,
            base_proposer: self
                .tree
                .get(&base.root)
                .and_then(|block| block.proposer_index),
            head,
            blocks: blocks.len(),
            arrival: self.spread(base),
            clients: clients(self.nodes, &nodes),
            nodes,
            votes,
            own_slot_votes: own.map(|ballot| (ballot.of(&base.root), ballot.total)),
        })
    }

    fn spread(&self, block: BlockRef) -> Spread {
        let mut spread = Spread::default();
        let mut times = Vec::new();
        for (_, ms) in self.arrivals.times_of(block) {
            spread.seen += 1;
            times.extend(ms);
        }
        times.sort_unstable();
        let clear = |ms: &&i64| !self.spec.is_borderline(**ms);
        let late = |ms: &&i64| self.spec.is_late(**ms);
        spread.timed = times.len();
        spread.late = times.iter().filter(clear).filter(late).count();
        spread.timely = times.iter().filter(clear).count() - spread.late;
        spread.first_ms = times.first().copied();
        spread.median_ms = times.get(times.len().saturating_sub(1) / 2).copied();
        spread.last_ms = times.last().copied();
        spread
    }

    /// On which branch each node in sync stood at `at`.
    fn standing(
        &self,
        branches: &[(Role, &[Root])],
        at: DateTime<Utc>,
    ) -> BTreeMap<NodeName, usize> {
        let bases: Vec<_> = branches
            .iter()
            .filter_map(|(_, blocks)| {
                let root = *blocks.first()?;
                let slot = self.tree.get(&root)?.slot;
                Some(BlockRef { slot, root })
            })
            .collect();
        // Most nodes have the same head.
        let mut known: BTreeMap<Root, Option<usize>> = BTreeMap::new();
        let mut side = |head: BlockRef| {
            *known.entry(head.root).or_insert_with(|| {
                bases
                    .iter()
                    .position(|base| self.tree.is_ancestor(*base, head.root) == Some(true))
            })
        };
        let in_sync = self.nodes.iter().filter(|(_, node)| !node.was_syncing(at));
        in_sync
            .filter_map(|(name, node)| Some((name.clone(), side(node.head_at(at)?)?)))
            .collect()
    }

    /// How many nodes in sync at `at` had a head on the branch that begins with `base`, and how many had none.
    fn followers(&self, base: BlockRef, at: DateTime<Utc>) -> (usize, usize) {
        let since = self.spec.slot_start(base.slot);
        let mut known: BTreeMap<Root, bool> = BTreeMap::new();
        let mut descends = |head: BlockRef| {
            *known
                .entry(head.root)
                .or_insert_with(|| self.tree.is_ancestor(base, head.root) == Some(true))
        };
        let in_sync = self.nodes.values().filter(|node| !node.was_syncing(at));
        let (followed, never): (Vec<_>, Vec<_>) =
            in_sync.partition(|node| node.heads_since(since).any(&mut descends));
        (followed.len(), never.len())
    }

    pub(super) fn separation(&self, sides: [&BTreeSet<NodeName>; 2]) -> Option<Separation> {
        let [one, other] = sides.map(|names| -> Vec<&str> {
            let client = |name| self.nodes.get(name)?.client.as_deref();
            names.iter().filter_map(client).collect()
        });
        separation(&one, &other)
    }

    fn flips(&self, at: DateTime<Utc>) -> Flips {
        let mut flips = Flips::default();
        for changes in contradictions(self.spec, self.tree, self.nodes, at).values() {
            flips.most = flips.most.max(changes.len());
            flips.nodes += usize::from(changes.len() >= 2);
        }
        flips
    }
}
