//! One chain: all that is kept of it, and how observations get in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::arrival::Arrivals;
use super::head_split::Splits;
use super::heads::Heads;
use super::justification::Flips;
use super::late_run::LateRuns;
use super::latency::Usual;
use super::lead::Lead;
use super::nodes::{Moment, NodeName, Nodes};
use super::offences::{OffenceKind, Offences};
use super::reorg::Reorgs;
use super::slots::Slots;
use super::tree::{Inserted, Tree};
use super::triage::Triage;
use super::votes::Votes;
use super::{Fact, Observation, Settings, Source};
use crate::event::DocumentId;
use crate::slot::{BlockRef, ChainSpec, Root};

/// All that is known of one chain. Nodes of another genesis need another one.
#[derive(Debug)]
pub struct Network {
    pub(super) spec: ChainSpec,
    pub(super) settings: Settings,
    pub(super) tree: Tree,
    pub(super) nodes: Nodes,
    /// Heads in force at the time up to which was judged, and of these the last whose parent is known: a head hangs
    /// in the air until somebody serves its block.
    pub(super) heads: Heads,
    pub(super) linked_heads: BTreeMap<NodeName, BlockRef>,
    pub(super) arrivals: Arrivals,
    pub(super) reorgs: Reorgs,
    pub(super) splits: Splits,
    /// What the last split looked like, where it looked like anything.
    pub(super) split_triage: Option<(DocumentId, Triage)>,
    pub(super) lead: Lead,
    pub(super) slots: Slots,
    pub(super) votes: Votes,
    /// Slot and proposer of published slashings.
    pub(super) slashings: BTreeSet<(u64, u64)>,
    pub(super) offences: Offences,
    pub(super) flips: Flips,
    pub(super) late_runs: LateRuns,
    pub(super) usual: Usual,
    pub(super) checkpoints: BTreeMap<(u64, Root), BTreeSet<NodeName>>,
    pub(super) finalized: Option<BlockRef>,
    /// The slot in which watching began, and the first that has not ended for the judges.
    pub(super) watched_from: Option<u64>,
    pub(super) open_slot: Option<u64>,
    pub(super) judged_upto: DateTime<Utc>,
    /// When one of many changed sides last, and whether that began or ended a split was not asked.
    pub(super) unjudged: Option<DateTime<Utc>>,
    /// The slot up to which was judged when things were forgotten last.
    forgotten_at: Option<u64>,
    pub(super) refused: Refused,
}

/// Observations and changes that were not used, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// About a slot more than an epoch after its time of receipt.
    pub future: u64,
    /// Older than the slots kept.
    pub too_old: u64,
    /// Another slot or parent for a known root.
    pub contradicting: u64,
    /// Beyond the limit of nodes, blocks or reorgs.
    pub over_limit: u64,
    /// Head changes whose parent links never became known.
    pub unlinked: u64,
}

/// Checkpoints of any node: honest ones are one for each epoch.
const CHECKPOINTS_LIMIT: usize = 4_096;

/// Slashings remembered: on an honest chain there are a handful in a year.
const SLASHINGS_LIMIT: usize = 1_024;

/// Times further than this from genesis are no times, and would overflow arithmetic.
const LIFE_OF_A_CHAIN: TimeDelta = TimeDelta::days(365 * 1000);

impl Network {
    pub fn new(spec: ChainSpec, settings: Settings) -> Self {
        Self {
            spec,
            settings,
            tree: Tree::default(),
            nodes: Nodes::new(),
            heads: Heads::default(),
            linked_heads: BTreeMap::new(),
            arrivals: Arrivals::default(),
            reorgs: Reorgs::default(),
            splits: Splits::default(),
            split_triage: None,
            lead: Lead::default(),
            slots: Slots::default(),
            votes: Votes::default(),
            slashings: BTreeSet::new(),
            offences: Offences::default(),
            flips: Flips::default(),
            late_runs: LateRuns::default(),
            usual: Usual::default(),
            checkpoints: BTreeMap::new(),
            finalized: None,
            watched_from: None,
            open_slot: None,
            judged_upto: DateTime::<Utc>::MIN_UTC,
            unjudged: None,
            forgotten_at: None,
            refused: Refused::default(),
        }
    }

    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    pub fn refused(&self) -> Refused {
        Refused {
            unlinked: self.reorgs.unlinked,
            over_limit: self.refused.over_limit + self.reorgs.over_limit,
            ..self.refused
        }
    }

    /// Blocks remembered, all branches.
    pub fn blocks_kept(&self) -> usize {
        self.tree.len()
    }

    /// Takes a fact. The same fact twice changes nothing.
    pub fn observe(&mut self, observation: Observation) {
        let Observation {
            node,
            client,
            at,
            order,
            fact,
        } = observation;
        if at < self.floor_time() || at < self.spec.genesis_time - LIFE_OF_A_CHAIN {
            self.refused.too_old += 1;
            return;
        }
        if at > self.spec.genesis_time + LIFE_OF_A_CHAIN {
            self.refused.future += 1;
            return;
        }
        let Some(name) = self.hear_of(&node, client, at) else {
            self.refused.over_limit += 1;
            return;
        };
        match fact {
            Fact::Seen {
                block,
                source,
                arrival_ms,
            } => {
                if self.take_block(block, None, None, at) {
                    let time = arrival_ms.map(|ms| (source, ms));
                    self.record(block, &name, at, time);
                    if let Some(node) = self.nodes.get_mut(&name) {
                        node.reports_imports |=
                            time.is_some_and(|(source, _)| source != Source::Gossip);
                    }
                }
            }
            Fact::Block {
                block,
                parent_root,
                proposer_index,
            } => {
                if self.take_block(block, Some(parent_root), proposer_index, at) {
                    self.record(block, &name, at, None);
                }
            }
            Fact::Contents { block, contents } => {
                if self.take_block(block, None, None, at) {
                    self.record(block, &name, at, None);
                    self.arrivals.record_contents(block, contents);
                }
            }
            Fact::Head(head) => self.take_head(&name, head, Moment::new(at, order, head), false),
            Fact::PolledHead(head) => {
                self.take_head(&name, head, Moment::new(at, order, head), true)
            }
            Fact::Reorg(report) => {
                if let Some(node) = self.nodes.get_mut(&name) {
                    node.hear_reorg(at, report);
                }
            }
            Fact::Status { syncing } => {
                if let Some(node) = self.nodes.get_mut(&name) {
                    node.hear_status(at, syncing);
                }
            }
            Fact::Finalized { epoch, root } => self.take_checkpoint(name, epoch, root, at),
            Fact::Justified { epoch, root } => {
                if let Some(node) = self.nodes.get_mut(&name) {
                    self.flips.moved |= node.hear_justified(at, epoch, root);
                }
            }
            Fact::Votes { slot, ballot } => {
                if self.is_plausible(slot, at) {
                    self.votes.record(slot, &name, at, ballot);
                }
            }
            Fact::Slashing {
                slot,
                proposer_index,
            } => {
                if self.is_plausible(slot, at) {
                    let (kind, validators) = (OffenceKind::Proposal, vec![proposer_index]);
                    self.offences.hear(slot, kind, validators, &name, at);
                    self.slashings.insert((slot, proposer_index));
                    if self.slashings.len() > SLASHINGS_LIMIT {
                        self.slashings.pop_first();
                    }
                }
            }
            Fact::VoteSlashing { slot, validators } => {
                if self.is_plausible(slot, at) && !validators.is_empty() {
                    self.offences
                        .hear(slot, OffenceKind::Vote, validators, &name, at);
                }
            }
        }
    }

    /// Takes a link known from elsewhere than a node's answer, whenever it was read: history, or the end of a recording.
    pub fn learn(&mut self, block: BlockRef, parent_root: Root, proposer_index: Option<u64>) {
        self.insert(block, Some(parent_root), proposer_index);
    }

    fn hear_of(
        &mut self,
        node: &str,
        client: Option<String>,
        at: DateTime<Utc>,
    ) -> Option<NodeName> {
        let known = self.nodes.get_key_value(node).map(|(name, _)| name.clone());
        let name = match known {
            Some(name) => name,
            None if self.nodes.len() >= self.settings.nodes_limit => return None,
            None => Arc::from(node),
        };
        let entry = self.nodes.entry(name.clone()).or_default();
        entry.last_seen = entry.last_seen.max(Some(at));
        if let Some(client) = client
            && entry.client.as_deref() != Some(client.as_str())
        {
            entry.client = Some(client.into());
        }
        Some(name)
    }

    /// Returns whether the block may be used.
    fn take_block(
        &mut self,
        block: BlockRef,
        parent: Option<Root>,
        proposer: Option<u64>,
        at: DateTime<Utc>,
    ) -> bool {
        self.is_plausible(block.slot, at) && self.insert(block, parent, proposer)
    }

    /// Whether a slot can be spoken of at `at`; counts those that can't.
    fn is_plausible(&mut self, slot: u64, at: DateTime<Utc>) -> bool {
        let running = self.spec.slot_at(at).unwrap_or(0);
        let plausible = slot <= running.saturating_add(self.spec.slots_per_epoch);
        self.refused.future += u64::from(!plausible);
        plausible
    }

    fn insert(&mut self, block: BlockRef, parent: Option<Root>, proposer: Option<u64>) -> bool {
        if block.slot < self.floor_slot(self.settings.links_kept) {
            self.refused.too_old += 1;
            return false;
        }
        if self.tree.len() >= self.settings.blocks_limit && self.tree.get(&block.root).is_none() {
            self.refused.over_limit += 1;
            return false;
        }
        match self.tree.insert(block, parent, proposer) {
            Inserted::Known => true,
            Inserted::New | Inserted::Completed => {
                self.slots.touch(block.slot);
                self.arrivals.reopen(block.slot..=block.slot);
                self.offences.look_at(&self.tree, block.slot);
                true
            }
            Inserted::Contradiction => {
                self.refused.contradicting += 1;
                false
            }
        }
    }

    fn record(
        &mut self,
        block: BlockRef,
        node: &NodeName,
        at: DateTime<Utc>,
        time: Option<(Source, i64)>,
    ) {
        // History that was filled in has links and no arrivals.
        if block.slot >= self.floor_slot(self.settings.slots_kept) {
            self.arrivals.record(block, node, at, time);
            self.offences.reopen(block.slot);
        }
    }

    fn take_head(&mut self, name: &NodeName, head: BlockRef, moment: Moment, polled: bool) {
        if !self.take_block(head, None, None, moment.at) {
            return;
        }
        let slot = self.spec.slot_at(moment.at).unwrap_or(0);
        self.watched_from = Some(self.watched_from.map_or(slot, |first| first.min(slot)));
        if let Some(node) = self.nodes.get_mut(name) {
            node.hear_head(moment, head, polled);
        }
    }

    fn take_checkpoint(&mut self, name: NodeName, epoch: u64, root: Root, at: DateTime<Utc>) {
        let current = self
            .spec
            .slot_at(at)
            .map_or(0, |slot| self.spec.epoch_of(slot));
        if epoch > current {
            self.refused.future += 1;
        } else if epoch > 0 && root != Root::ZERO {
            if let Some(node) = self.nodes.get_mut(&name) {
                node.hear_finalized(at, epoch, root);
            }
            self.checkpoints
                .entry((epoch, root))
                .or_default()
                .insert(name);
            if self.checkpoints.len() > CHECKPOINTS_LIMIT {
                self.checkpoints.pop_first();
            }
        }
    }

    fn floor_slot(&self, kept: u64) -> u64 {
        let judged = self.spec.slot_at(self.judged_upto).unwrap_or(0);
        judged.saturating_sub(kept)
    }

    fn floor_time(&self) -> DateTime<Utc> {
        match self.floor_slot(self.settings.slots_kept) {
            0 => DateTime::<Utc>::MIN_UTC,
            slot => self.spec.slot_start(slot),
        }
    }

    /// Once a slot: all floors are slots.
    pub(super) fn forget(&mut self) {
        let judged = self.spec.slot_at(self.judged_upto).unwrap_or(0);
        if self.forgotten_at.replace(judged) == Some(judged) {
            return;
        }
        let slot = self.floor_slot(self.settings.slots_kept);
        let time = self.floor_time();
        self.tree
            .prune_below(self.floor_slot(self.settings.links_kept));
        self.arrivals.prune_below(slot);
        self.slots.prune_below(slot);
        self.splits.prune_below(slot);
        self.offences.prune_below(slot);
        self.late_runs.prune_below(slot);
        self.reorgs.prune_before(time);
        self.votes.prune_below(judged);
        self.slashings.retain(|(of, _)| *of >= slot);
        let epoch = self.spec.epoch_of(slot);
        self.checkpoints.retain(|(of, _), _| *of >= epoch);
        for node in self.nodes.values_mut() {
            node.prune_before(time);
        }
        self.nodes.retain(|_, node| node.last_seen >= Some(time));
        self.usual.retain(&self.nodes);
        self.heads.retain(|name| self.nodes.contains_key(name));
        self.linked_heads
            .retain(|name, _| self.nodes.contains_key(name));
    }
}
