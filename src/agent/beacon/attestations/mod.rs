//! The votes as this node's stream tells them → one document per slot. Pure.

mod histogram;
pub mod raw;
mod sum;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;

use self::sum::Sum;
use super::document::Setting;
use super::heavy::Vote;
use crate::event::{DataStream, DocumentId, Event};
use crate::slot::Root;

/// A slot is told so many slots after it began: hardly any vote comes later than the next slot.
const OPEN_SLOTS: u64 = 2;
const ROOTS_TOLD: usize = 8;

/// Votes by slot.
#[derive(Debug, Default)]
pub(super) struct Attestations {
    open: BTreeMap<u64, Sum>,
    /// Every slot before it is told.
    next: Option<u64>,
    /// Since when the stream has been read without a break.
    since: Option<DateTime<Utc>>,
    stragglers: u64,
    left_out: u64,
}

impl Attestations {
    /// The stream is read, without a break from `at` on.
    pub(super) fn begun(&mut self, at: DateTime<Utc>) {
        self.since = Some(at);
    }

    /// Events may be missed from now on, until it is begun again.
    pub(super) fn broken(&mut self) {
        self.since = None;
    }

    /// Takes a vote in. `is_doubtful`: it may have waited, so that its time is none.
    pub(super) fn add(
        &mut self,
        setting: &Setting<'_>,
        vote: &Vote,
        received: DateTime<Utc>,
        is_doubtful: bool,
    ) {
        let running = setting.spec.slot_at(received).unwrap_or(0);
        let next = *self.next.get_or_insert(running);
        // Clocks differ by less than a slot; a vote from further ahead is made up.
        if vote.slot > running + 1 {
            self.left_out += 1;
            return;
        }
        if vote.slot < next {
            self.stragglers += 1;
            return;
        }
        let arrival_ms = setting.arrival_ms(vote.slot, received);
        let arrival_ms = (!is_doubtful).then_some(arrival_ms);
        let sum = self.open.entry(vote.slot).or_default();
        if !sum.add(vote, arrival_ms, setting.spec.aggregate_due_ms) {
            self.left_out += 1;
        }
    }

    /// The slots that are over at `now`, those without any vote included; with `all` those still open too.
    pub(super) fn take_done(
        &mut self,
        setting: &Setting<'_>,
        now: DateTime<Utc>,
        all: bool,
    ) -> Vec<Event> {
        let running = setting.spec.slot_at(now).unwrap_or(0);
        let done = (running + 1).saturating_sub(OPEN_SLOTS);
        let end = if all { running + 2 } else { done };
        let mut events = Vec::new();
        let Some(next) = self.next else {
            // Nothing came yet; from here on silence counts.
            self.next = self.since.is_some().then_some(running);
            return events;
        };
        // After a break longer than that nobody asks for each silent slot.
        let from = next.max(end.saturating_sub(setting.spec.slots_per_epoch));
        self.left_out += self.open.extract_if(..from, |_, _| true).count() as u64;
        for slot in from..end {
            let sum = self.open.remove(&slot);
            if sum.is_some() || (!all && self.since.is_some()) {
                events.push(self.document(setting, slot, sum.unwrap_or_default(), now));
            }
        }
        self.next = Some(next.max(end));
        events
    }

    fn document(
        &mut self,
        setting: &Setting<'_>,
        slot: u64,
        sum: Sum,
        now: DateTime<Utc>,
    ) -> Event {
        let start = setting.spec.slot_start(slot);
        let is_complete = self.since.is_some_and(|since| since <= start);
        let id = DocumentId::of(&[
            setting.agent_id,
            "attestation",
            &slot.to_string(),
            &now.timestamp_millis().to_string(),
        ]);
        let mut votes: Vec<(u64, Root)> = sum
            .roots
            .iter()
            .map(|of_root| (of_root.count(), of_root.root))
            .collect();
        votes.sort_by(|one, other| other.cmp(one));
        let count: u64 = votes.iter().map(|(count, _)| count).sum();
        let top = votes.first().copied();
        let told: Vec<_> = votes
            .iter()
            .take(ROOTS_TOLD)
            .map(|(count, root)| json!({"root": root, "count": count}))
            .collect();
        let arrivals = match sum.of_singles.count() {
            0 => &sum.of_aggregates,
            _ => &sum.of_singles,
        };
        let mut event = Event::new(DataStream::Attestation, id, start)
            .with("event.kind", "metric")
            .with("event.action", "counted")
            .with("ethereum.slot", slot)
            .with("ethereum.epoch", setting.spec.epoch_of(slot))
            .with("ethereum.attestation.singles", sum.singles)
            .with("ethereum.attestation.aggregates", sum.aggregates)
            .with("ethereum.attestation.validators", sum.validators)
            .with(
                "ethereum.attestation.committees",
                u64::from(sum.committees.count_ones()),
            )
            .with("ethereum.attestation.count", count)
            .with("ethereum.attestation.roots", sum.roots.len())
            .with("ethereum.attestation.targets", sum.targets.len())
            .with("ethereum.attestation.late", sum.late)
            .with("ethereum.attestation.due_ms", setting.spec.aggregate_due_ms)
            .with("ethereum.attestation.duplicates", sum.duplicates)
            .with(
                "ethereum.attestation.stragglers",
                std::mem::take(&mut self.stragglers),
            )
            .with(
                "ethereum.attestation.left_out",
                std::mem::take(&mut self.left_out),
            )
            .with("ethereum.attestation.complete", is_complete)
            .with_some(
                "ethereum.attestation.votes",
                (!told.is_empty()).then_some(told),
            );
        let document = &mut event.document;
        if let Some((votes, root)) = top {
            document.set("ethereum.attestation.top_root", root.to_string());
            document.set(
                "ethereum.attestation.top_share",
                votes as f64 / count.max(1) as f64,
            );
        }
        for (name, ms) in [
            ("min", arrivals.least_ms()),
            ("p50", arrivals.percentile_ms(0.50)),
            ("p95", arrivals.percentile_ms(0.95)),
            ("p99", arrivals.percentile_ms(0.99)),
            ("max", arrivals.last_ms()),
        ] {
            document.set_some(format!("ethereum.attestation.arrival_ms.{name}"), ms);
        }
        setting.stamp(document, now);
        event
    }
}
