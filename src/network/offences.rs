//! Validators that signed twice: two blocks for one slot, or a published slashing. One record per slot and validators.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, TimeDelta, Utc};

use super::arrival::Arrivals;
use super::nodes::{NodeName, Nodes, clients};
use super::tree::Tree;
use super::votes::Votes;
use crate::slot::{BlockRef, ChainSpec, Root};

/// What is remembered, and how many validators of one slashing: on an honest chain there are a handful in a year.
const OFFENCES_LIMIT: usize = 1_024;
const VALIDATORS_LIMIT: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffenceKind {
    /// Two blocks for one slot.
    Proposal,
    /// Two votes that contradict each other.
    Vote,
}

/// One slot, and who signed twice for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    pub slot: u64,
    pub kind: OffenceKind,
    /// Sorted; of a large slashing the lowest ones.
    pub validators: Vec<u64>,
    /// All of them.
    pub validators_count: usize,
    /// When the second block was first seen; of a slashing alone, when it was first heard.
    pub at: DateTime<Utc>,
    pub revision: u32,
    /// The blocks of the proposer, as far as nodes have them.
    pub blocks: Vec<OffenceBlock>,
    /// Nodes that heard the slashing.
    pub slashing_heard_by: BTreeSet<NodeName>,
    /// Nodes that have a block of it or heard the slashing, and their clients.
    pub nodes: BTreeSet<NodeName>,
    pub clients: BTreeSet<std::sync::Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffenceBlock {
    pub root: Root,
    pub parent: Option<Root>,
    pub nodes: BTreeSet<NodeName>,
    pub first_ms: Option<i64>,
    /// Votes of the slot that named it. `None` where no votes were watched.
    pub votes: Option<u64>,
}

type Key = (u64, OffenceKind, Vec<u64>);

#[derive(Debug, Default)]
struct Record {
    validators_count: usize,
    heard: BTreeMap<NodeName, DateTime<Utc>>,
    /// When it was last told, as which revision and with which content.
    told: Option<(DateTime<Utc>, u32, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Offences {
    known: BTreeMap<Key, Record>,
    open: BTreeSet<Key>,
}

/// What telling needs besides the offences.
pub(super) struct Context<'a> {
    pub spec: &'a ChainSpec,
    pub tree: &'a Tree,
    pub nodes: &'a Nodes,
    pub arrivals: &'a Arrivals,
    pub votes: &'a Votes,
    /// The least time between two records of one offence.
    pub settle: TimeDelta,
}

impl Offences {
    /// A node published a slashing. The earliest time counts.
    pub(super) fn hear(
        &mut self,
        slot: u64,
        kind: OffenceKind,
        mut validators: Vec<u64>,
        node: &NodeName,
        at: DateTime<Utc>,
    ) {
        validators.sort_unstable();
        validators.dedup();
        let count = validators.len();
        validators.truncate(VALIDATORS_LIMIT);
        let heard = &mut self.entry((slot, kind, validators), count).heard;
        let first = heard.entry(node.clone()).or_insert(at);
        *first = at.min(*first);
    }

    /// A block or a link of this slot is new.
    pub(super) fn look_at(&mut self, tree: &Tree, slot: u64) {
        let mut roots: BTreeMap<u64, usize> = BTreeMap::new();
        for root in tree.at_slot(slot) {
            if let Some(proposer) = tree.get(&root).and_then(|block| block.proposer_index) {
                *roots.entry(proposer).or_default() += 1;
            }
        }
        for (proposer, _) in roots.into_iter().filter(|(_, count)| *count > 1) {
            self.entry((slot, OffenceKind::Proposal, vec![proposer]), 1);
        }
    }

    /// One more node has a block of this slot.
    pub(super) fn reopen(&mut self, slot: u64) {
        let of_slot =
            (slot, OffenceKind::Proposal, Vec::new())..(slot, OffenceKind::Vote, Vec::new());
        self.open
            .extend(self.known.range(of_slot).map(|(key, _)| key.clone()));
    }

    fn entry(&mut self, key: Key, validators_count: usize) -> &mut Record {
        self.open.insert(key.clone());
        if self.known.len() >= OFFENCES_LIMIT
            && !self.known.contains_key(&key)
            && let Some((oldest, _)) = self.known.pop_first()
        {
            self.open.remove(&oldest);
        }
        let record = self.known.entry(key).or_default();
        record.validators_count = validators_count;
        record
    }

    /// The first record of an offence comes at once, further ones as more becomes known of it.
    pub(super) fn tell(&mut self, context: &Context, now: DateTime<Utc>) -> Vec<Offence> {
        let mut told = Vec::new();
        let known = &mut self.known;
        self.open.retain(|key| {
            let Some(record) = known.get_mut(key) else {
                return false;
            };
            if record
                .told
                .is_some_and(|(at, ..)| now - at < context.settle)
            {
                return true;
            }
            let mut offence = describe(key, record, context);
            let fingerprint = fingerprint(&offence);
            if let Some((_, revision, before)) = record.told {
                if before == fingerprint {
                    return false;
                }
                offence.revision = revision + 1;
            }
            record.told = Some((now, offence.revision, fingerprint));
            told.push(offence);
            // Votes and further witnesses are told soon after.
            offence_may_grow(record)
        });
        told
    }

    pub(super) fn prune_below(&mut self, slot: u64) {
        self.known.retain(|(of, ..), _| *of >= slot);
        self.open.retain(|(of, ..)| *of >= slot);
    }
}

/// What was told once is looked at a second time, whether or not anything called for it: its votes are counted later.
fn offence_may_grow(record: &Record) -> bool {
    record.told.is_some_and(|(_, revision, _)| revision == 0)
}

fn describe(key: &Key, record: &Record, context: &Context) -> Offence {
    let (slot, kind, validators) = key;
    let proposer = (*kind == OffenceKind::Proposal)
        .then(|| validators.first().copied())
        .flatten();
    let by_proposer = |root: &Root| {
        let block = context.tree.get(root);
        proposer.is_some() && block.and_then(|block| block.proposer_index) == proposer
    };
    let ballot = context.votes.of_slot(*slot);
    let blocks: Vec<OffenceBlock> = context
        .tree
        .at_slot(*slot)
        .filter(by_proposer)
        .map(|root| {
            let block = BlockRef { slot: *slot, root };
            let times = || context.arrivals.times_of(block);
            OffenceBlock {
                root,
                parent: context.tree.parent(&root),
                nodes: times().map(|(node, _)| node.clone()).collect(),
                first_ms: times().filter_map(|(_, ms)| ms).min(),
                votes: ballot.as_ref().map(|ballot| ballot.of(&root)),
            }
        })
        .collect();
    let slashing_heard_by: BTreeSet<NodeName> = record.heard.keys().cloned().collect();
    let seen_by = blocks.iter().flat_map(|block| &block.nodes);
    let nodes: BTreeSet<NodeName> = seen_by.chain(&slashing_heard_by).cloned().collect();
    Offence {
        slot: *slot,
        kind: *kind,
        validators: validators.clone(),
        validators_count: record.validators_count,
        at: caught_at(*slot, record, &blocks, context.spec),
        revision: 0,
        clients: clients(context.nodes, &nodes),
        blocks,
        slashing_heard_by,
        nodes,
    }
}

fn caught_at(
    slot: u64,
    record: &Record,
    blocks: &[OffenceBlock],
    spec: &ChainSpec,
) -> DateTime<Utc> {
    let start = spec.slot_start(slot);
    let mut times: Vec<_> = blocks.iter().filter_map(|block| block.first_ms).collect();
    times.sort_unstable();
    let second = times
        .get(1)
        .and_then(|ms| TimeDelta::try_milliseconds(*ms))
        .and_then(|ms| start.checked_add_signed(ms));
    let heard = record.heard.values().min().copied();
    second.into_iter().chain(heard).min().unwrap_or(start)
}

/// Equal where somebody who read the earlier record need not be told.
fn fingerprint(offence: &Offence) -> u64 {
    let mut hasher = DefaultHasher::new();
    for block in &offence.blocks {
        (block.root, block.parent, &block.nodes, block.votes).hash(&mut hasher);
    }
    offence.slashing_heard_by.hash(&mut hasher);
    hasher.finish()
}
