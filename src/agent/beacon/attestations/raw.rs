//! Bytes of the heavy stream → documents, as the agent does it: for recordings and the benchmark.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use super::sum::Sum;
use super::{Attestations, OPEN_SLOTS, ROOTS_TOLD};
use crate::agent::beacon::clock::Clock;
use crate::agent::beacon::document::Setting;
use crate::agent::beacon::heavy::{self, Heavy, Vote};
use crate::agent::beacon::sse::FrameCutter;
use crate::event::Event;
use crate::slot::{ChainSpec, Root};

/// A stream that is read without a break.
pub struct RawVotes {
    spec: ChainSpec,
    cutter: FrameCutter,
    votes: Attestations,
    events: u64,
}

impl RawVotes {
    /// `max_event_bytes`: larger events are passed over.
    pub fn new(spec: ChainSpec, max_event_bytes: usize, begun_at: DateTime<Utc>) -> Self {
        let mut votes = Attestations::default();
        votes.begun(begun_at);
        Self {
            spec,
            cutter: FrameCutter::new(max_event_bytes),
            votes,
            events: 0,
        }
    }

    /// Takes a chunk of the network in.
    pub fn push(&mut self, bytes: &[u8], received_at: DateTime<Utc>) {
        self.cutter.push(bytes, received_at);
        let clock = Clock::default();
        while let Some(frame) = self.cutter.pop() {
            if let Heavy::Vote(vote) = heavy::read(&frame) {
                self.events += 1;
                let setting = setting(&self.spec, &clock);
                self.votes.add(&setting, &vote, frame.received_at, false);
            }
        }
    }

    /// The documents of the slots that are over at `now`.
    pub fn take_done(&mut self, now: DateTime<Utc>) -> Vec<Event> {
        let clock = Clock::default();
        self.votes
            .take_done(&setting(&self.spec, &clock), now, false)
    }

    /// Votes read so far, in either form.
    pub fn events(&self) -> u64 {
        self.events
    }
}

/// The votes for one slot, as a document of the agent would count them: for a replay, whose core reads no documents.
#[derive(Default)]
pub struct SlotVotes(Sum);

impl SlotVotes {
    /// When the agent tells of a slot; votes that come later do not count.
    pub fn told_at(slot: u64, spec: &ChainSpec) -> DateTime<Utc> {
        spec.slot_start(slot.saturating_add(OPEN_SLOTS))
    }

    /// A vote beyond the bounds of the count is left out of it.
    pub fn add(&mut self, vote: &Vote) -> bool {
        self.0.add(vote, None, 0)
    }

    /// Distinct votes, and those for the blocks with the most of them.
    pub fn by_root(&self) -> (u64, Vec<(Root, u64)>) {
        let roots = self.0.roots.iter();
        let mut votes: Vec<_> = roots
            .map(|of_root| (of_root.root, of_root.count()))
            .collect();
        let total = votes.iter().map(|(_, count)| count).sum();
        votes.sort_by_key(|(root, count)| Reverse((*count, *root)));
        votes.truncate(ROOTS_TOLD);
        (total, votes)
    }
}

fn setting<'a>(spec: &'a ChainSpec, clock: &'a Clock) -> Setting<'a> {
    Setting {
        agent_id: "raw",
        spec,
        clock,
        syncing: None,
    }
}
