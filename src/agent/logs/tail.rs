//! Follows the files: scans for them, reads them in fair turns, hands on batches.
//!
//! Scanning is the truth, `notify` only a wake-up. The file is its own queue: when the shipper is slow, reading waits,
//! but scanning goes on, so that a file that is rotated meanwhile is held open. What a file is read for is in
//! [`super::turns`], which files there are in [`super::rescan`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendTimeoutError, TrySendError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::contents::Answers;
use super::followed::Followed;
use super::hints::Hints;
use super::lines::Shape;
use super::registry::{Entry, Kept};
use super::rescan::Undecided;
use super::scan::Scanner;
use super::schedule::{Id, Schedule};
use super::slots::Slots;
use crate::agent::counters::Counters;
use crate::agent::envelope::Identity;
use crate::agent::outbox::Seal;
use crate::agent::sheet::Sheet;
use crate::agent::ship::LogBatch;
use crate::agent::store::Record;
use crate::config;

/// Bytes of one file that are read before it is the next one's turn; what one batch may hold.
const TURN_BYTES: usize = 32 * 1024;

/// Counts the files that a tailer with an end could not read to theirs.
pub const UNREAD: &str = "log_files_unread";

/// The longest wait before the signal to stop is heard.
const STOP_CHECK: Duration = Duration::from_millis(250);

/// After a wake-up, what follows within this time is read together.
const GATHER: Duration = Duration::from_millis(10);

/// Limits in time; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How often folders are asked whether they changed; how often a file is at least while it grows.
    pub(super) scan: Duration,
    /// A file that nobody can find any more and that did not grow for so long is left.
    pub(super) rotated: Duration,
    /// What was left is forgotten so much later. Until then it may come back packed.
    pub(super) forget: Duration,
}

impl Pace {
    pub(super) const PRODUCTION: Self = Self {
        scan: Duration::from_secs(1),
        rotated: Duration::from_secs(60),
        forget: Duration::from_secs(72 * 3600),
    };
}

/// Makes changes of the registry durable; `false` once the agent ends.
pub(super) type Keep = Box<dyn FnMut(Vec<Kept>) -> bool + Send>;

pub(super) struct Tailer {
    pub(super) agent_id: String,
    pub(super) counters: Arc<Counters>,
    pub(super) sheet: Sheet,
    pub(super) keep: Keep,
    pub(super) stop: CancellationToken,
    /// No agent of this id was here before.
    pub(super) is_first_life: bool,
    /// Ends at the end of all files.
    pub(super) once: bool,
    pub(super) hints: Hints,
    pub(super) slots: Slots,
    pub(super) sections: Vec<config::Logs>,
    pub(super) shapes: Vec<Shape>,
    /// Sections of which the registry knew files at the start.
    pub(super) is_old: Vec<bool>,
    batches: mpsc::Sender<LogBatch>,
    pub(super) pace: Pace,
    runtime: Handle,
    pub(super) scanner: Scanner,
    pub(super) files: BTreeMap<Id, Followed>,
    next_id: u64,
    pub(super) by_path: HashMap<PathBuf, Id>,
    pub(super) schedule: Schedule,
    pub(super) answers: Answers,
    /// At most as much as a turn may read, and a last one for each file that is forgotten.
    pub(super) outgoing: VecDeque<LogBatch>,
    pub(super) unkept: Vec<Kept>,
    /// The next scan, whether anything changed or not.
    pub(super) next_scan: Instant,
    /// The next scan that lists every folder anew.
    pub(super) next_full_scan: Instant,
    /// The next question whether folders changed.
    pub(super) next_names: Instant,
    /// No scan before this, whatever changes.
    pub(super) no_scan_before: Instant,
    /// The last one.
    pub(super) scan_took: Duration,
    pub(super) has_scanned: bool,
    /// Files of which a later scan will know more.
    pub(super) undecided: Vec<Undecided>,
    /// A file has just gone from where it was.
    pub(super) is_searching: bool,
    pub(super) buffer: Vec<u8>,
}

impl Tailer {
    /// Keeps nothing and never stops until the caller says how. Needs a runtime around it: sending waits there.
    pub(super) fn new(
        sections: Vec<config::Logs>,
        registry: Vec<Entry>,
        batches: mpsc::Sender<LogBatch>,
        pace: Pace,
    ) -> anyhow::Result<Self> {
        let scanner = Scanner::new(&sections)?;
        let now = Instant::now();
        let knows = |section| {
            registry
                .iter()
                .any(|entry| scanner.names(section, &entry.path))
        };
        let mut tailer = Self {
            agent_id: String::new(),
            keep: Box::new(|_| true),
            stop: CancellationToken::new(),
            is_first_life: false,
            once: false,
            hints: Hints::new(),
            slots: Slots::new(&sections),
            shapes: sections.iter().map(Shape::of).collect(),
            is_old: (0..sections.len()).map(knows).collect(),
            sections,
            counters: Arc::default(),
            sheet: Sheet::new(Seal::new(Identity::default())),
            batches,
            pace,
            runtime: Handle::current(),
            scanner,
            files: BTreeMap::new(),
            next_id: 0,
            by_path: HashMap::new(),
            schedule: Schedule::default(),
            answers: Answers::new(),
            outgoing: VecDeque::new(),
            unkept: Vec::new(),
            next_scan: now,
            next_full_scan: now,
            next_names: now,
            no_scan_before: now,
            scan_took: Duration::ZERO,
            has_scanned: false,
            undecided: Vec::new(),
            is_searching: false,
            buffer: vec![0; TURN_BYTES],
        };
        for entry in registry {
            let id = tailer.follow(Followed::unfound(entry, now));
            tailer.schedule.look_at(id, now + pace.rotated);
        }
        Ok(tailer)
    }

    pub(super) fn follow(&mut self, followed: Followed) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        self.files.insert(id, followed);
        id
    }

    /// Until `stop`, or until nobody takes batches.
    pub(super) fn run(mut self) {
        while !self.stop.is_cancelled() {
            let now = Instant::now();
            self.hear(now);
            self.scan_if_due(now);
            while let Some(id) = self.schedule.due(now) {
                self.look(id, now);
            }
            if self.schedule.turns() == 0 {
                self.admit();
            }
            for _ in 0..self.schedule.turns().min(ROUND) {
                if let Some(id) = self.schedule.next() {
                    self.turn(id, Instant::now());
                }
                if self.has_enough() && !self.hand_on() {
                    return;
                }
            }
            if !self.hand_on() {
                return;
            }
            if self.once && self.is_done() {
                self.finish();
                return;
            }
            if self.schedule.turns() == 0 {
                self.wait();
            }
        }
    }

    /// Takes the hints of what changed.
    fn hear(&mut self, now: Instant) {
        let news = self.hints.take();
        let is_decided = |undecided: &Undecided| news.grown.contains(Path::new(&undecided.path));
        if news.names_changed || self.undecided.iter().any(is_decided) {
            self.next_scan = now;
        }
        let ids: Vec<Id> = match news.is_unclear {
            true => self.files.keys().copied().collect(),
            false => news
                .grown
                .iter()
                .filter_map(|path| self.by_path.get(path).copied())
                .collect(),
        };
        for id in ids {
            match self.files.get(&id) {
                Some(followed) if followed.reader.is_some() => self.schedule.ready(id),
                Some(_) => self.look(id, now),
                None => {}
            }
        }
    }

    fn wait(&mut self) {
        self.sheet.rest();
        let now = Instant::now();
        let scan = self.next_scan.max(self.no_scan_before);
        let looks = self.schedule.next_look().unwrap_or(scan);
        let until = scan.min(self.next_names).min(looks);
        let until = until.saturating_duration_since(now);
        if self.hints.wait(until.min(STOP_CHECK)) {
            std::thread::sleep(GATHER.min(until));
        }
    }

    /// Small files are handed on together: what is new of each is kept before, in one commit.
    fn has_enough(&self) -> bool {
        let records = self.outgoing.iter().flat_map(|batch| &batch.records);
        records.map(Record::len).sum::<usize>() >= ENOUGH_BYTES
    }

    /// Sends what is outgoing, the registry first; scans while it has to wait. `false` once nobody takes batches or the
    /// agent stops.
    fn hand_on(&mut self) -> bool {
        if !self.unkept.is_empty() && !(self.keep)(std::mem::take(&mut self.unkept)) {
            return false;
        }
        while let Some(batch) = self.outgoing.pop_front() {
            let batch = match self.batches.try_send(batch) {
                Ok(()) => continue,
                Err(TrySendError::Full(batch)) => batch,
                Err(TrySendError::Closed(_)) => return false,
            };
            let sent = self.runtime.block_on(async {
                tokio::select! {
                    sent = self.batches.send_timeout(batch, self.pace.scan) => sent,
                    () = self.stop.cancelled() => return Err(None),
                }
                .map_err(|error| match error {
                    SendTimeoutError::Timeout(batch) => Some(batch),
                    SendTimeoutError::Closed(_) => None,
                })
            });
            match sent {
                Ok(()) => {}
                Err(None) => return false,
                Err(Some(batch)) => {
                    self.outgoing.push_front(batch);
                    let now = Instant::now();
                    self.hear(now);
                    self.scan_if_due(now);
                }
            }
        }
        true
    }

    /// Whether nothing more can be read as things are.
    fn is_done(&self) -> bool {
        self.has_scanned
            && !self.is_searching
            && self.undecided.iter().all(|file| file.size == 0)
            && self.schedule.turns() == 0
            && !self.schedule.has_waiting()
    }

    /// Hands on what would wait for further lines, and counts the files that were not read to their ends.
    fn finish(&mut self) {
        let ids: Vec<Id> = self.files.keys().copied().collect();
        let mut unread = self.scanner.unreadable() as u64;
        for id in ids {
            unread += u64::from(!self.finish_file(id, Instant::now()));
        }
        self.hand_on();
        if unread > 0 {
            self.counters.count(UNREAD, unread);
        }
    }

    /// Hints come by the name under which a folder is watched.
    pub(super) fn watch(&mut self, id: Id, path: &str) {
        self.hints.watch_folder_of(path);
        self.by_path.insert(path.into(), id);
        // A link grows elsewhere.
        if let Ok(real) = std::fs::canonicalize(path)
            && real != Path::new(path)
            && let Some(text) = real.to_str()
        {
            self.hints.watch_folder_of(text);
            self.by_path.insert(real, id);
        }
    }
}

/// Turns between two questions what is new.
const ROUND: usize = 64;

/// Less than a turn makes of a busy file, whose batches are handed on one by one.
const ENOUGH_BYTES: usize = 64 * 1024;
