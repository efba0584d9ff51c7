//! How far each file is acknowledged: an offset is kept once everything before it has an outcome. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::agent::store::{Change, DeadLetter, Record};

/// The shortest lines of what one batch holds at most, 32 KiB of its file.
const MOST_LINES: usize = 16 << 10;

/// Lines of a file, in the file's order. The file is their queue: they are read again unless `entry` was kept.
#[derive(Debug)]
pub struct LogBatch {
    /// The file in the registry.
    pub file: String,
    /// For people, in dead letters.
    pub path: String,
    /// What the registry holds once everything up to the end of this batch has an outcome; `None` forgets the file.
    pub entry: Option<Vec<u8>>,
    /// So many of the records, the first ones, may have been sent before the start.
    pub in_doubt: usize,
    pub records: Vec<Record>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BatchNumber(u64);

/// Batches that are under way.
#[derive(Debug, Default)]
pub(super) struct Progress {
    next: u64,
    batches: BTreeMap<BatchNumber, Pending>,
    /// Those of them without an open record that were not collected yet.
    settled: Vec<BatchNumber>,
    /// Their numbers by file, in the file's order.
    files: HashMap<String, VecDeque<BatchNumber>>,
    /// Events of `batches`.
    events: usize,
    most_events: usize,
    /// Of each file, by the hash of its name: lines read since the start that may have been under way before it.
    in_doubt: HashMap<u64, usize>,
}

#[derive(Debug)]
struct Pending {
    file: String,
    path: String,
    entry: Option<Vec<u8>>,
    events: usize,
    open: usize,
    refused: Vec<DeadLetter>,
}

impl Progress {
    /// `most_events`: how many may be read beyond the offsets that are kept. They are read again after a crash.
    pub(super) fn new(most_events: usize) -> Self {
        Self {
            most_events,
            ..Self::default()
        }
    }

    /// One event that waits, or a store that does, holds its file's offset back, whatever becomes of those behind it.
    pub(super) fn has_room(&self) -> bool {
        self.events < self.most_events
    }

    /// Takes note of a batch and hands its records back, with the number of those, the first, that may have been sent
    /// before the start.
    pub(super) fn begin(&mut self, batch: LogBatch) -> (BatchNumber, usize, Vec<Record>) {
        let number = BatchNumber(self.next);
        self.next += 1;
        let in_doubt = self.in_doubt(&batch.file, batch.in_doubt);
        let LogBatch {
            file,
            path,
            entry,
            records,
            ..
        } = batch;
        self.files
            .entry(file.clone())
            .or_default()
            .push_back(number);
        if records.is_empty() {
            self.settled.push(number);
        }
        let pending = Pending {
            file,
            path,
            entry,
            events: records.len(),
            open: records.len(),
            refused: Vec::new(),
        };
        self.events += pending.events;
        self.batches.insert(number, pending);
        (number, in_doubt, records)
    }

    fn in_doubt(&mut self, file: &str, events: usize) -> usize {
        let mut name = DefaultHasher::new();
        file.hash(&mut name);
        // The last batch may have been taken when there was room for one event.
        let most = self.most_events + MOST_LINES;
        let left = self.in_doubt.entry(name.finish()).or_insert(most);
        let in_doubt = events.min(*left);
        *left -= in_doubt;
        in_doubt
    }

    pub(super) fn path(&self, number: BatchNumber) -> &str {
        self.batches
            .get(&number)
            .map_or("unknown", |batch| batch.path.as_str())
    }

    /// An event of the batch has its outcome.
    pub(super) fn settle(&mut self, number: BatchNumber, refused: Option<DeadLetter>) {
        if let Some(batch) = self.batches.get_mut(&number) {
            batch.open = batch.open.saturating_sub(1);
            if batch.open == 0 {
                self.settled.push(number);
            }
            batch.refused.extend(refused);
        }
    }

    /// Adds what may be kept now: per file, up to the first batch with an open event. A dead letter is kept together
    /// with the offset behind it, so that a crash gives neither none nor two of it.
    pub(super) fn collect(&mut self, change: &mut Change) {
        let batches = &mut self.batches;
        for settled in self.settled.drain(..) {
            // One before it may have taken it along.
            let Some(Pending { file, .. }) = batches.get(&settled) else {
                continue;
            };
            let file = file.clone();
            let Some(numbers) = self.files.get_mut(&file) else {
                continue;
            };
            let mut last = None;
            while let Some(done) = numbers
                .front()
                .filter(|number| batches.get(number).is_none_or(|batch| batch.open == 0))
            {
                if let Some(batch) = batches.remove(done) {
                    self.events -= batch.events;
                    change.bury.extend(batch.refused);
                    last = Some((batch.file, batch.entry));
                }
                numbers.pop_front();
            }
            change.registry.extend(last);
            if numbers.is_empty() {
                self.files.remove(&file);
            }
        }
    }

    /// Events without an outcome.
    pub(super) fn open(&self) -> u64 {
        self.batches.values().map(|batch| batch.open as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(file: &str, end: u8, events: usize) -> LogBatch {
        let record = Record::new(0, "logs-x-y", "id", |out| out.extend_from_slice(b"{}"));
        let (file, path) = (file.to_owned(), format!("/var/log/{file}"));
        LogBatch {
            file,
            path,
            entry: Some(vec![end]),
            in_doubt: events,
            records: vec![record; events],
        }
    }

    fn collected(progress: &mut Progress) -> (Vec<(String, u8)>, usize) {
        let mut change = Change::default();
        progress.collect(&mut change);
        let kept = change
            .registry
            .into_iter()
            .map(|(file, entry)| (file, entry.unwrap()[0]));
        (kept.collect(), change.bury.len())
    }

    #[test]
    fn an_offset_is_kept_once_everything_before_it_has_an_outcome() {
        let mut progress = Progress::default();
        let (first, ..) = progress.begin(batch("a", 1, 2));
        let (second, ..) = progress.begin(batch("a", 2, 1));
        let (other, ..) = progress.begin(batch("b", 9, 1));
        let record = Record::new(0, "logs-x-y", "id", |out| out.extend_from_slice(b"{}"));
        let letter = DeadLetter::of(&record, chrono::DateTime::UNIX_EPOCH, progress.path(second));
        assert_eq!(letter.origin, "/var/log/a");

        progress.settle(second, Some(letter));
        assert_eq!(
            collected(&mut progress),
            (vec![], 0),
            "the first batch is still open"
        );
        progress.settle(other, None);
        assert_eq!(
            collected(&mut progress),
            (vec![("b".into(), 9)], 0),
            "files do not wait for each other"
        );
        progress.settle(first, None);
        assert_eq!(collected(&mut progress), (vec![], 0));
        progress.settle(first, None);
        assert_eq!(
            collected(&mut progress),
            (vec![("a".into(), 2)], 1),
            "one offset for both, with the dead letter"
        );
        assert_eq!(progress.open(), 0);
        assert_eq!(collected(&mut progress), (vec![], 0));
    }

    #[test]
    fn the_first_lines_of_each_file_may_have_been_sent_before_the_start() {
        let mut progress = Progress::new(3);
        let mut in_doubt = |file, events| progress.begin(batch(file, 1, events)).1;
        assert_eq!(
            [
                in_doubt("a", 2),
                in_doubt("a", MOST_LINES),
                in_doubt("a", 2)
            ],
            [2, MOST_LINES, 1]
        );
        assert_eq!(in_doubt("a", 2), 0);
        assert_eq!(in_doubt("b", 9), 9);
    }

    #[test]
    fn there_is_no_room_far_beyond_an_offset_that_is_held_back() {
        let mut progress = Progress::new(3);
        let (first, ..) = progress.begin(batch("a", 1, 1));
        let (second, ..) = progress.begin(batch("a", 2, 2));
        assert!(!progress.has_room());
        (0..2).for_each(|_| progress.settle(second, None));
        assert_eq!(collected(&mut progress), (vec![], 0));
        assert!(!progress.has_room(), "the first is still open");
        progress.settle(first, None);
        assert!(!progress.has_room(), "no offset is on its way");
        collected(&mut progress);
        assert!(progress.has_room());
    }

    #[test]
    fn a_batch_without_events_moves_the_offset() {
        let mut progress = Progress::default();
        progress.begin(batch("a", 3, 0));
        assert_eq!(collected(&mut progress), (vec![("a".into(), 3)], 0));
    }
}
