//! The documents a rule remembers for one key, in event time.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::Details;
use crate::event::DocumentId;

/// Documents one key may hold; beyond it the oldest goes, counted. A rule that needs more should count, not list.
pub(super) const MAX_SAMPLES: usize = 20_000;
/// Documents per key whose contents are kept for the mail: the newest.
const MAX_DETAILED: usize = 32;
/// A document found later than this after its time is judged as the history it is.
pub(super) const LATE_LIMIT: TimeDelta = TimeDelta::hours(1);
/// Further ahead of the clock than this, a document's time is nonsense.
const FUTURE_LIMIT: TimeDelta = TimeDelta::days(1);

/// What a condition takes from a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// The document's `@timestamp`.
    pub happened: DateTime<Utc>,
    pub value: f64,
    /// The condition's own test of the document: matching, closing, deep enough.
    pub hit: bool,
    /// The slot (or other number) the document speaks about, where only the newest per number counts.
    pub per: Option<u64>,
    /// The term to count, or the id of the span.
    pub text: String,
    pub details: Option<Box<Details>>,
}

/// Documents order by the time they count at, of the same thing by revision, then by id: the same in every run.
type Order = (DateTime<Utc>, u64, DocumentId);

#[derive(Debug, Default)]
pub(super) struct Window {
    samples: BTreeMap<Order, Sample>,
}

impl Window {
    /// Adds a document; once is enough, again changes nothing. Returns the number of documents pushed out.
    pub(super) fn insert(
        &mut self,
        id: &DocumentId,
        counts_at: DateTime<Utc>,
        revision: u64,
        sample: Sample,
    ) -> usize {
        self.samples
            .insert((counts_at, revision, id.clone()), sample);
        let detailed = self.samples.values_mut().rev();
        let mut detailed = detailed.filter(|sample| sample.details.is_some());
        if let Some(oldest) = detailed.nth(MAX_DETAILED) {
            oldest.details = None;
        }
        if self.samples.len() > MAX_SAMPLES {
            self.samples.pop_first();
            return 1;
        }
        0
    }

    /// The documents that count in `(from, to]`, oldest first.
    pub(super) fn between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> impl DoubleEndedIterator<Item = (DateTime<Utc>, &Sample)> {
        self.samples
            .iter()
            .filter(move |((at, ..), _)| *at > from && *at <= to)
            .map(|((at, ..), sample)| (*at, sample))
    }

    /// The newest document's time, none later than `to`.
    pub(super) fn newest(&self, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut times = self.samples.keys().rev().map(|(at, ..)| *at);
        times.find(|at| *at <= to)
    }

    /// Forgets what is older than `from` (but for the newest document, if asked to) or absurdly far in the future.
    pub(super) fn prune(&mut self, from: DateTime<Utc>, now: DateTime<Utc>, keep_newest: bool) {
        let newest = self.newest(now);
        self.samples.retain(|(at, ..), _| {
            *at > from && *at - now < FUTURE_LIMIT || keep_newest && Some(*at) == newest
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

/// When a document counts: at its time; but one that was created later (a reorg found after an outage) counts when
/// it was created, else nobody would hear of it.
pub(super) fn counts_at(happened: DateTime<Utc>, created: Option<DateTime<Utc>>) -> DateTime<Utc> {
    match created {
        Some(created) if created > happened && created - happened <= LATE_LIMIT => created,
        _ => happened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn insert(window: &mut Window, second: i64, id: &str) {
        let id = DocumentId::of(&[id]);
        window.insert(&id, at(second), 0, Sample::default());
    }

    #[test]
    fn documents_count_once_in_any_order() {
        let mut window = Window::default();
        for (second, id) in [(3, "c"), (1, "a"), (2, "b"), (1, "a"), (2, "x")] {
            insert(&mut window, second, id);
        }
        let times: Vec<_> = window.between(at(0), at(9)).map(|(at, _)| at).collect();
        assert_eq!(times, [at(1), at(2), at(2), at(3)]);
        assert_eq!(window.between(at(1), at(2)).count(), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let mut window = Window::default();
        for second in 0..(MAX_SAMPLES as i64 + 10) {
            insert(&mut window, second, "a");
        }
        assert_eq!(window.samples.len(), MAX_SAMPLES);
        insert(&mut window, 90_000_000, "future");
        window.prune(at(20_000), at(20_009), false);
        assert_eq!(window.samples.len(), 9);
        window.prune(at(90_000), at(90_000), true);
        assert_eq!(window.newest(at(90_000)), Some(at(20_009)));
    }

    #[test]
    fn a_document_found_late_counts_when_it_was_found() {
        assert_eq!(counts_at(at(0), Some(at(600))), at(600));
        assert_eq!(counts_at(at(0), Some(at(-5))), at(0));
        assert_eq!(counts_at(at(0), Some(at(86_400))), at(0));
    }
}
