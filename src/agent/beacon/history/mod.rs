//! What the blocks of a few epochs say together: who voted and was heard, which slots are canonical, orphaned or
//! missed, who was to propose, who proposed twice. Everything here but `task` is pure.
//!
//! A statement is made when it is worth something and again when it cannot change any more:
//!
//! | about | provisional | final |
//! | --- | --- | --- |
//! | status of a slot | a later block is the head, or two slots later while the node is well | its epoch is finalized |
//! | votes for a slot | six slots later: after five a vote earns nothing for its source | the next epoch is over: no block may include more |
//! | votes for an epoch | six slots after its end | the same |

mod chain;
mod documents;
pub mod duties;
mod equivocations;
pub mod included;
mod participation;
mod slots;
mod tally;
pub(super) mod task;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::chain::Block;
use self::chain::{Chain, MAX_SLOTS};
pub(super) use self::documents::equivocation;
pub use self::equivocations::Equivocation;
use self::participation::Participation;
pub use self::participation::{Scope, Votes};
use self::slots::Slots;
pub use self::slots::{SlotStatus, Status};
pub use self::tally::{Sizes, Tally};
use crate::slot::Root;

/// The votes of so many epochs may still be counted: the running one and the two before it.
const EPOCHS_WITH_VOTES: u64 = 3;

/// The walk back at the start takes a moment; what it brings belongs to the chain too.
const START_SLOTS: u64 = 2;

/// The last epochs of one node's chain.
#[derive(Debug)]
pub struct History {
    slots_per_epoch: u64,
    /// The slot in which the head was known first.
    started: Option<u64>,
    chain: Chain,
    /// `None`: the node does not say.
    sizes: BTreeMap<u64, Option<Sizes>>,
    proposers: BTreeMap<u64, u64>,
    slots: Slots,
    participation: Participation,
}

/// What holds at the moment of a statement.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// By the wall clock.
    pub running_slot: u64,
    /// Whether the node would have told of a block: connected, in sync, not silent.
    pub is_well: bool,
    pub finalized_epoch: Option<u64>,
}

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    Slot(SlotStatus),
    Votes(Votes),
}

impl History {
    pub fn new(slots_per_epoch: u64) -> Self {
        Self {
            slots_per_epoch,
            started: None,
            chain: Chain::default(),
            sizes: BTreeMap::new(),
            proposers: BTreeMap::new(),
            slots: Slots::default(),
            participation: Participation::default(),
        }
    }

    /// Takes a block in; says so if its proposer made another one for the slot.
    pub fn block(&mut self, block: Block) -> Option<Equivocation> {
        let (slot, proposer) = (block.slot, block.proposer);
        if !self.chain.insert(block) {
            return None;
        }
        let roots = self.roots_of(slot, proposer?);
        (roots.len() > 1).then(|| Equivocation::of_blocks(slot, proposer.unwrap_or(0), roots))
    }

    pub fn head(&mut self, root: Root) {
        self.chain.set_head(root);
    }

    /// The committees of a slot; `None` where the node does not say.
    pub fn committees(&mut self, slot: u64, sizes: Option<Sizes>) {
        self.sizes.insert(slot, sizes);
    }

    /// Who is to propose, by slot.
    pub fn duties(&mut self, proposers: impl IntoIterator<Item = (u64, u64)>) {
        self.proposers.extend(proposers);
    }

    /// The oldest slot whose committees are needed next, and not known.
    pub fn wants_committees_of(&self, running_slot: u64) -> Option<u64> {
        let line = self.chain.line();
        let head = line.head()?;
        let from = self.participation.counted_from()?.max(line.oldest_slot()?);
        // The head's state knows the committees of its own epoch and of those about it.
        let end = running_slot.saturating_sub(1).min(head.slot + 1);
        (from..end).find(|slot| !self.sizes.contains_key(slot))
    }

    /// Whether the proposers of an epoch are not known yet.
    pub fn wants_duties_of(&self, epoch: u64) -> bool {
        let first = epoch * self.slots_per_epoch;
        let mut known = self.proposers.range(first..first + self.slots_per_epoch);
        known.next().is_none()
    }

    /// What can be said now and was not, oldest first.
    pub fn advance(&mut self, moment: Moment) -> Vec<Statement> {
        let mut statements = Vec::new();
        let line = self.chain.line();
        if line.head().is_none() {
            self.prune();
            return statements;
        }
        let started = *self.started.get_or_insert(moment.running_slot);
        if moment.running_slot < started + START_SLOTS {
            return statements;
        }
        let said = self
            .slots
            .advance(&self.chain, &line, moment, self.slots_per_epoch);
        for mut status in said {
            status.duty = self.proposers.get(&status.slot).copied();
            statements.push(Statement::Slot(status));
        }
        let said = self
            .participation
            .advance(&line, &self.sizes, moment, self.slots_per_epoch);
        statements.extend(said.into_iter().map(Statement::Votes));
        self.prune();
        statements
    }

    /// Slots about which nothing could be said, for their blocks were not found; counted anew after each call.
    pub fn take_skipped(&mut self) -> u64 {
        self.slots.take_skipped()
    }

    fn prune(&mut self) {
        let Some(newest) = self.chain.newest_slot() else {
            return;
        };
        let epoch = newest / self.slots_per_epoch;
        let votes = epoch.saturating_sub(EPOCHS_WITH_VOTES) * self.slots_per_epoch;
        let open = self.slots.oldest_open().unwrap_or(newest);
        let blocks = votes.min(open).max(newest.saturating_sub(MAX_SLOTS));
        self.chain.prune(votes, blocks);
        self.sizes = self.sizes.split_off(&votes);
        self.proposers = self.proposers.split_off(&blocks);
    }

    fn roots_of(&self, slot: u64, proposer: u64) -> Vec<Root> {
        let blocks = self.chain.of_slot(slot);
        let same = blocks.filter(|block| block.proposer == Some(proposer));
        same.map(|block| block.root).collect()
    }
}
