//! The votes for one slot that its chain includes: D6, D7 and D8 of the definitions. Pure.

use std::collections::BTreeMap;

use super::chain::Line;
use super::included::{Checkpoint, Included};
use crate::slot::Root;

/// A vote for the source counts as timely up to this distance: the root of the 32 slots of an epoch.
const SOURCE_TIMELY: u64 = 5;

/// Members of each committee of a slot, in the order of the committees.
pub type Sizes = Vec<usize>;

/// Votes for one slot, or for all slots of an epoch together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Members of the committees.
    pub committee: u64,
    /// Distinct members of whom a vote is included.
    pub attesters: u64,
    /// Of these, those for the canonical block at the slot, or the last before it.
    pub head_correct: u64,
    /// Those for the canonical block at the beginning of the epoch, or the last before it.
    pub target_correct: u64,
    /// The same for the epoch they begin from; `None` where the chain is not known so far down.
    pub source_correct: Option<u64>,
    /// The right head, included in the very next slot.
    pub head_timely: u64,
    pub source_timely: u64,
    /// Voters by inclusion distance in slots.
    pub distances: BTreeMap<u64, u64>,
    /// Aggregates whose bits are not as many as their committees' members.
    pub unfit: u64,
}

impl Tally {
    /// Adds another slot's.
    pub fn add(&mut self, other: &Self) {
        // An epoch's sum begins empty, which is no statement about the source.
        self.source_correct = match (self.committee, self.source_correct) {
            (0, _) => other.source_correct,
            (_, mine) => mine.zip(other.source_correct).map(|(one, two)| one + two),
        };
        self.committee += other.committee;
        self.attesters += other.attesters;
        self.head_correct += other.head_correct;
        self.target_correct += other.target_correct;
        self.head_timely += other.head_timely;
        self.source_timely += other.source_timely;
        self.unfit += other.unfit;
        for (distance, voters) in &other.distances {
            *self.distances.entry(*distance).or_default() += voters;
        }
    }

    /// The distance that this share of the voters is not beyond (nearest rank).
    pub fn distance_percentile(&self, share: f64) -> Option<u64> {
        let rank = ((share * self.attesters as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let mut distances = self.distances.iter();
        distances
            .find(|(_, voters)| {
                seen += **voters;
                seen >= rank
            })
            .map(|(distance, _)| *distance)
    }

    pub fn distance_mean(&self) -> Option<f64> {
        let sum: u64 = self.distances.iter().map(|(slots, n)| slots * n).sum();
        (self.attesters > 0).then(|| sum as f64 / self.attesters as f64)
    }
}

/// Counts the votes for `slot` in the line's blocks after it. `None` where the line does not reach down to the slot.
pub(super) fn tally(
    line: &Line<'_>,
    sizes: &Sizes,
    slot: u64,
    slots_per_epoch: u64,
) -> Option<Tally> {
    let head = line.at_or_before(slot)?.root;
    let members: usize = sizes.iter().sum();
    let mut tally = Tally {
        committee: members as u64,
        source_correct: Some(0),
        ..Tally::default()
    };
    let mut has_voted = vec![false; members];
    // The last block that may include a vote is the last of the next epoch.
    let end = (slot / slots_per_epoch + 2).saturating_mul(slots_per_epoch) - 1;
    for block in line.between(slot, end) {
        let distance = block.slot - slot;
        for vote in block.votes.iter().filter(|vote| vote.slot == slot) {
            let Some(places) = places(vote, sizes) else {
                tally.unfit += 1;
                continue;
            };
            let mut voters = 0;
            for place in places {
                if !std::mem::replace(&mut has_voted[place], true) {
                    voters += 1;
                }
            }
            if voters == 0 {
                continue;
            }
            tally.attesters += voters;
            *tally.distances.entry(distance).or_default() += voters;
            if vote.head == head {
                tally.head_correct += voters;
                tally.head_timely += if distance == 1 { voters } else { 0 };
            }
            if is_on(line, vote.target, slots_per_epoch) == Some(true) {
                tally.target_correct += voters;
            }
            if distance <= SOURCE_TIMELY {
                tally.source_timely += voters;
            }
            let source = is_on(line, vote.source, slots_per_epoch);
            tally.source_correct = tally
                .source_correct
                .zip(source)
                .map(|(correct, is_correct)| correct + if is_correct { voters } else { 0 });
        }
    }
    Some(tally)
}

/// The sizes as far as the votes show them, for a node that does not say: each aggregate is as long as its committee.
/// A committee of which no vote is included is not counted then.
pub(super) fn sizes_by_votes(line: &Line<'_>, slot: u64, slots_per_epoch: u64) -> Option<Sizes> {
    let mut sizes = Sizes::new();
    for block in line.between(slot, slot.saturating_add(slots_per_epoch)) {
        let votes = block.votes.iter().filter(|vote| vote.slot == slot);
        for vote in votes.filter(|vote| vote.committees.count_ones() == 1) {
            let committee = vote.committees.trailing_zeros() as usize;
            sizes.resize(sizes.len().max(committee + 1), 0);
            sizes[committee] = vote.members;
        }
    }
    (!sizes.is_empty()).then_some(sizes)
}

/// Where the voters of an aggregate sit among all members of the slot's committees.
fn places(vote: &Included, sizes: &Sizes) -> Option<Vec<usize>> {
    let mut places = Vec::new();
    let (mut begins, mut bit) = (0, 0);
    for (committee, size) in sizes.iter().enumerate() {
        if committee < 64 && vote.committees >> committee & 1 == 1 {
            for member in 0..*size {
                let byte = vote.bits.get(bit / 8).copied().unwrap_or(0);
                if byte >> (bit % 8) & 1 == 1 {
                    places.push(begins + member);
                }
                bit += 1;
            }
        }
        begins += size;
    }
    (bit == vote.members).then_some(places)
}

/// Whether a checkpoint is of this line. That of genesis has no root.
fn is_on(line: &Line<'_>, checkpoint: Checkpoint, slots_per_epoch: u64) -> Option<bool> {
    if checkpoint.epoch == 0 && checkpoint.root == Root::ZERO {
        return Some(true);
    }
    let slot = checkpoint.epoch.checked_mul(slots_per_epoch)?;
    Some(line.at_or_before(slot)?.root == checkpoint.root)
}
