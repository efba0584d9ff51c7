//! Votes of a recorded stream, counted for each slot as the agent counts them. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::agent::beacon::attestations::raw::SlotVotes;
use crate::agent::beacon::heavy::Vote;
use crate::network::{Ballot, Fact};
use crate::slot::ChainSpec;

/// Slots whose votes are counted at one time: a stream speaks of the last few.
const SLOTS_LIMIT: usize = 64;

/// Votes of one node's stream.
#[derive(Default)]
pub(super) struct Votes {
    open: BTreeMap<u64, Count>,
    /// Slots up to this one are told.
    told: Option<u64>,
    done: Vec<(DateTime<Utc>, Fact)>,
}

#[derive(Default)]
struct Count {
    last: DateTime<Utc>,
    votes: SlotVotes,
}

impl Votes {
    /// Takes a vote that came at a time. As live, one that comes after its slot was told counts no more.
    pub(super) fn take(&mut self, vote: &Vote, at: DateTime<Utc>, spec: &ChainSpec) {
        let slot = vote.slot;
        let is_told = self.told.is_some_and(|told| slot <= told);
        if is_told
            || at >= SlotVotes::told_at(slot, spec)
            || spec.slot_start(slot) - at > ahead(spec)
        {
            return;
        }
        let count = self.open.entry(slot).or_default();
        count.last = count.last.max(at);
        count.votes.add(vote);
        if self.open.len() > SLOTS_LIMIT
            && let Some((slot, count)) = self.open.pop_first()
        {
            self.told = Some(slot);
            self.done.push(count.fact(slot));
        }
    }

    /// What was counted, as an agent tells it once the slot is over.
    pub(super) fn facts(self) -> impl Iterator<Item = (DateTime<Utc>, Fact)> {
        let open = self.open.into_iter();
        let open = open.map(|(slot, count)| count.fact(slot));
        self.done.into_iter().chain(open)
    }
}

/// Clocks differ by less than a slot; a vote from further ahead is made up.
fn ahead(spec: &ChainSpec) -> TimeDelta {
    TimeDelta::milliseconds(spec.slot_duration_ms as i64)
}

impl Count {
    fn fact(self, slot: u64) -> (DateTime<Utc>, Fact) {
        let (total, by_root) = self.votes.by_root();
        let ballot = Ballot {
            total,
            by_root: by_root.into_iter().collect(),
        };
        let at = self.last + TimeDelta::microseconds(1);
        (at, Fact::Votes { slot, ballot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::beacon::heavy::Voters;
    use crate::slot::Root;

    #[test]
    fn each_vote_counts_once_whatever_form_it_comes_in() {
        let spec = ChainSpec::example();
        let at = |slot: u64| spec.slot_start(slot) + TimeDelta::seconds(5);
        let root = |byte: u8| Root([byte; 32]);
        let vote = |byte, by| Vote {
            slot: 7,
            root: root(byte),
            target_epoch: 0,
            target_root: root(0),
            by,
        };
        let many = |bits: u8| Voters::Many {
            committees: 1,
            bits: vec![bits],
        };
        let one = Voters::One {
            validator: 5,
            committee: 0,
        };
        let mut votes = Votes::default();
        for (vote, at) in [
            (vote(1, many(0b011)), at(7)),
            (vote(1, many(0b101)), at(8)),
            (vote(1, many(0b1111)), at(9)),
            (vote(1, many(0b1111)), at(5)),
            (vote(2, one.clone()), at(7)),
            (vote(2, one), at(7)),
        ] {
            votes.take(&vote, at, &spec);
        }
        let facts: Vec<_> = votes.facts().collect();
        let by_root = BTreeMap::from([(root(1), 3), (root(2), 1)]);
        let ballot = Ballot { total: 4, by_root };
        let told_at = at(8) + TimeDelta::microseconds(1);
        assert_eq!(facts, [(told_at, Fact::Votes { slot: 7, ballot })]);
    }
}
