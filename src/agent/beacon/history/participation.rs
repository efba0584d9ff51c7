//! When the votes for a slot, and for an epoch, are told. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Moment;
use super::chain::Line;
use super::tally::{Sizes, Tally, sizes_by_votes, tally};

/// So many slots later a vote is late for all it could earn but the target.
const PATIENCE_SLOTS: u64 = 6;

/// The votes of an epoch are told last when the second one after it begins.
const EPOCHS_BACK: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Slot(u64),
    Epoch(u64),
}

/// The votes for a slot or an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Votes {
    pub scope: Scope,
    pub is_final: bool,
    pub tally: Tally,
    /// Slots whose committees are known, and so are counted.
    pub slots_known: u64,
    /// Of these, those whose committees the node told; of the others the votes show the size.
    pub slots_told: u64,
}

/// What is told next, of each kind.
#[derive(Debug, Default)]
pub(super) struct Participation {
    next: Option<Next>,
}

#[derive(Debug)]
struct Next {
    slot: u64,
    epoch: u64,
    final_epoch: u64,
}

impl Participation {
    /// Slots before this one are counted no more, or never were.
    pub(super) fn counted_from(&self) -> Option<u64> {
        self.next.as_ref().map(|next| next.slot)
    }

    pub(super) fn advance(
        &mut self,
        line: &Line<'_>,
        sizes: &BTreeMap<u64, Option<Sizes>>,
        moment: Moment,
        slots_per_epoch: u64,
    ) -> Vec<Votes> {
        let (Some(head), Some(oldest)) = (line.head(), line.oldest_slot()) else {
            return Vec::new();
        };
        // Targets are judged by the block at the beginning of the epoch, so the first whole epoch is the first told.
        let whole = oldest.div_ceil(slots_per_epoch);
        let next = self.next.get_or_insert(Next {
            slot: whole * slots_per_epoch,
            epoch: whole,
            final_epoch: whole,
        });
        // Blocks that were not found (an agent long away), and those whose votes are forgotten, end what can be counted.
        let countable = whole.max((head.slot / slots_per_epoch).saturating_sub(EPOCHS_BACK));
        next.slot = next.slot.max(countable * slots_per_epoch);
        next.epoch = next.epoch.max(countable);
        next.final_epoch = next.final_epoch.max(countable);

        // With whether the node told the committees.
        let count = |slot| {
            let told = sizes.get(&slot)?.clone();
            let is_told = told.is_some();
            let sizes = told.or_else(|| sizes_by_votes(line, slot, slots_per_epoch))?;
            Some((tally(line, &sizes, slot, slots_per_epoch)?, is_told))
        };
        let sum = |scope, slots: Range<u64>, is_final| {
            let mut votes = Votes {
                scope,
                is_final,
                tally: Tally::default(),
                slots_known: 0,
                slots_told: 0,
            };
            for (tally, is_told) in slots.filter_map(count) {
                votes.tally.add(&tally);
                votes.slots_known += 1;
                votes.slots_told += u64::from(is_told);
            }
            (votes.slots_known > 0).then_some(votes)
        };
        let of_slot = |slot, is_final| sum(Scope::Slot(slot), slot..slot + 1, is_final);
        let of_epoch = |epoch: u64, is_final| {
            let slots = epoch * slots_per_epoch..(epoch + 1) * slots_per_epoch;
            sum(Scope::Epoch(epoch), slots, is_final)
        };
        // A node that is behind has not seen who voted. What is not answered yet is waited for; it may be "unknown".
        let is_due = |slot: u64| {
            slot + PATIENCE_SLOTS <= moment.running_slot
                && slot < head.slot
                && sizes.contains_key(&slot)
        };
        let mut said = Vec::new();
        while is_due(next.slot) {
            said.extend(of_slot(next.slot, false));
            next.slot += 1;
        }
        while next.slot >= (next.epoch + 1) * slots_per_epoch {
            said.extend(of_epoch(next.epoch, false));
            next.epoch += 1;
        }
        while next.final_epoch < next.epoch
            && head.slot >= (next.final_epoch + EPOCHS_BACK) * slots_per_epoch
        {
            let first = next.final_epoch * slots_per_epoch;
            said.extend((first..first + slots_per_epoch).filter_map(|slot| of_slot(slot, true)));
            said.extend(of_epoch(next.final_epoch, true));
            next.final_epoch += 1;
        }
        said
    }
}
