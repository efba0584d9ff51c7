//! The documents a rule remembers for one key, in event time.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::Details;
use crate::event::DocumentId;

/// Documents one key may hold; beyond it the oldest goes, counted. An epoch of reports of 2,000 nodes: rules about the
/// network take the best of all nodes' reports.
pub(super) const MAX_SAMPLES: usize = 65_536;
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
    /// How many of them have details.
    detailed: usize,
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
        self.detailed += usize::from(sample.details.is_some());
        let before = self
            .samples
            .insert((counts_at, revision, id.clone()), sample);
        self.let_go(before.as_ref());
        if self.detailed > MAX_DETAILED {
            let newest_first = self.samples.values_mut().rev();
            let mut detailed = newest_first.filter(|sample| sample.details.is_some());
            if let Some(oldest) = detailed.nth(MAX_DETAILED) {
                oldest.details = None;
                self.detailed -= 1;
            }
        }
        if self.samples.len() > MAX_SAMPLES {
            let oldest = self.samples.pop_first();
            self.let_go(oldest.map(|(_, sample)| sample).as_ref());
            return 1;
        }
        0
    }

    fn let_go(&mut self, sample: Option<&Sample>) {
        let had_details = sample.is_some_and(|sample| sample.details.is_some());
        self.detailed -= usize::from(had_details);
    }

    /// The documents that count in `(from, to]`, oldest first.
    pub(super) fn between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> impl DoubleEndedIterator<Item = (DateTime<Utc>, &Sample)> {
        // A range that ends before it begins is a panic.
        let range = after(from)..after(to.max(from));
        let samples = self.samples.range(range);
        samples.map(|((at, ..), sample)| (*at, sample))
    }

    /// The newest document's time, none later than `to`.
    pub(super) fn newest(&self, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut times = self.samples.keys().rev().map(|(at, ..)| *at);
        times.find(|at| *at <= to)
    }

    /// Forgets what is older than `from` (but for the newest document, if asked to) or absurdly far in the future.
    pub(super) fn prune(&mut self, from: DateTime<Utc>, now: DateTime<Utc>, keep_newest: bool) {
        // This is asked every second of every key, and there is seldom anything to do.
        let newest = self.newest(now).filter(|_| keep_newest);
        let old = |(at, ..): &Order| *at <= from && Some(*at) != newest;
        while self
            .samples
            .first_key_value()
            .is_some_and(|(order, _)| old(order))
        {
            let oldest = self.samples.pop_first();
            self.let_go(oldest.map(|(_, sample)| sample).as_ref());
        }
        let nonsense = |(at, ..): &Order| *at - now >= FUTURE_LIMIT;
        while self
            .samples
            .last_key_value()
            .is_some_and(|(order, _)| nonsense(order))
        {
            let newest = self.samples.pop_last();
            self.let_go(newest.map(|(_, sample)| sample).as_ref());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

/// The least that comes after all documents of `at`.
fn after(at: DateTime<Utc>) -> Order {
    let next = at.checked_add_signed(TimeDelta::nanoseconds(1));
    (next.unwrap_or(at), 0, DocumentId::existing(""))
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
        let newest = MAX_SAMPLES as i64 + 9;
        window.prune(at(newest - 9), at(newest), false);
        assert_eq!(window.samples.len(), 9);
        window.prune(at(2 * newest), at(2 * newest), true);
        assert_eq!(window.newest(at(2 * newest)), Some(at(newest)));
    }

    #[test]
    fn details_are_those_of_the_newest() {
        let mut window = Window::default();
        let detailed = |window: &Window| -> Vec<DateTime<Utc>> {
            let samples = window.between(at(0), at(999));
            let detailed = samples.filter(|(_, sample)| sample.details.is_some());
            detailed.map(|(at, _)| at).collect()
        };
        for second in 1..=100 {
            let sample = Sample {
                details: (second % 2 == 0).then(Box::default),
                ..Sample::default()
            };
            let id = DocumentId::of(&["x"]);
            window.insert(&id, at(second), 0, sample.clone());
            window.insert(&id, at(second), 0, sample);
        }
        let newest: Vec<_> = (37..=100).filter(|s| s % 2 == 0).map(at).collect();
        assert_eq!(detailed(&window), newest);
        window.prune(at(90), at(100), false);
        assert_eq!((detailed(&window).len(), window.detailed), (5, 5));
    }

    #[test]
    fn a_document_found_late_counts_when_it_was_found() {
        assert_eq!(counts_at(at(0), Some(at(600))), at(600));
        assert_eq!(counts_at(at(0), Some(at(-5))), at(0));
        assert_eq!(counts_at(at(0), Some(at(86_400))), at(0));
    }
}
