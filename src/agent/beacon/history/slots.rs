//! The status of each slot, provisional and then final, and each change of it. Pure.

use std::collections::BTreeMap;

use super::Moment;
use super::chain::{Chain, Line, MAX_SLOTS};
use crate::slot::Root;

/// Without a later block, a slot is judged so many slots after it: its block would be there.
const PATIENCE_SLOTS: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Canonical,
    Orphaned,
    Missed,
}

/// What is said about a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStatus {
    pub slot: u64,
    pub status: Status,
    pub is_final: bool,
    /// How often the status changed since it was first told.
    pub revision: u64,
    /// The canonical block, or the orphan.
    pub root: Option<Root>,
    /// Who made it.
    pub proposer: Option<u64>,
    /// Who was to, by the duties.
    pub duty: Option<u64>,
    /// All blocks of the slot that were seen.
    pub roots: Vec<Root>,
    /// Two of them are of one proposer.
    pub is_duplicate: bool,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Told, and not final.
    open: BTreeMap<u64, SlotStatus>,
    next: Option<u64>,
    skipped: u64,
}

impl Slots {
    pub(super) fn advance(
        &mut self,
        chain: &Chain,
        line: &Line<'_>,
        moment: Moment,
        slots_per_epoch: u64,
    ) -> Vec<SlotStatus> {
        let (Some(head), Some(oldest)) = (line.head(), line.oldest_slot()) else {
            return Vec::new();
        };
        let mut said = Vec::new();
        for (slot, told) in &mut self.open {
            // Where the line does not reach, nothing new is known.
            let now = (*slot >= oldest).then(|| judge(chain, line, *slot));
            if let Some(now) = now.filter(|now| (now.status, now.root) != (told.status, told.root))
            {
                let revision = told.revision + 1;
                *told = SlotStatus { revision, ..now };
                said.push(told.clone());
            }
        }
        // The oldest block of all is where the walk ended: whether it had a rival nobody knows.
        let next = *self.next.get_or_insert(oldest + 1);
        if next < oldest {
            self.skipped += oldest - next;
        }
        let by_clock = match moment.is_well {
            true => (moment.running_slot + 1).saturating_sub(PATIENCE_SLOTS),
            false => 0,
        };
        let end = head.slot.max(by_clock).min(moment.running_slot);
        for slot in next.max(oldest)..end {
            let status = judge(chain, line, slot);
            said.push(status.clone());
            self.open.insert(slot, status);
        }
        self.next = Some(next.max(oldest).max(end));
        if let Some(finalized) = moment.finalized_epoch {
            let last = finalized.saturating_mul(slots_per_epoch);
            for (_, status) in self.open.extract_if(..=last, |_, _| true) {
                said.push(SlotStatus {
                    is_final: true,
                    ..status
                });
            }
        }
        let bound = moment.running_slot.saturating_sub(MAX_SLOTS);
        self.skipped += self.open.extract_if(..bound, |_, _| true).count() as u64;
        said
    }

    pub(super) fn oldest_open(&self) -> Option<u64> {
        self.open.keys().next().copied()
    }

    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }
}

fn judge(chain: &Chain, line: &Line<'_>, slot: u64) -> SlotStatus {
    let canonical = line.at(slot);
    let orphan = chain.of_slot(slot).next();
    let status = match (canonical, orphan) {
        (Some(_), _) => Status::Canonical,
        (None, Some(_)) => Status::Orphaned,
        (None, None) => Status::Missed,
    };
    let block = canonical.or(orphan);
    let mut proposers: Vec<u64> = chain.of_slot(slot).filter_map(|one| one.proposer).collect();
    let seen = proposers.len();
    proposers.sort_unstable();
    proposers.dedup();
    SlotStatus {
        slot,
        status,
        is_final: false,
        revision: 0,
        root: block.map(|block| block.root),
        proposer: block.and_then(|block| block.proposer),
        duty: None,
        roots: chain.of_slot(slot).map(|block| block.root).collect(),
        is_duplicate: proposers.len() < seen,
    }
}
