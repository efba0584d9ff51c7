//! Follows the files: scans for them, reads them in fair turns, hands on batches.
//!
//! Scanning is the truth, `notify` only a wake-up. The file is its own queue: when the shipper is slow, reading waits,
//! but scanning goes on, so that a file that is rotated meanwhile is held open.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::file::{Reader, Turn};
use super::followed::Followed;
use super::hints::Hints;
use super::identity::{Identity, identify};
use super::multiline::Record;
use super::registry::{Entry, Kept};
use super::scan::{Found, Scanner};
use crate::agent::counters::Counters;
use crate::agent::ship::LogBatch;
use crate::{config, slot};

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
    pub(super) scan: Duration,
    /// A record without a further line for so long is complete.
    pub(super) join: Duration,
    /// A file that nobody can find any more and that did not grow for so long is left.
    pub(super) rotated: Duration,
    /// A file read to its end that did not grow for so long is closed until it does.
    pub(super) idle: Duration,
    /// What the registry knows of a file that was not found for so long is removed.
    pub(super) forget: Duration,
}

impl Pace {
    pub(super) const PRODUCTION: Self = Self {
        scan: Duration::from_secs(1),
        join: Duration::from_millis(200),
        rotated: Duration::from_secs(60),
        idle: Duration::from_secs(300),
        forget: Duration::from_secs(3600),
    };
}

/// Makes changes of the registry durable; `false` once the agent ends.
pub(super) type Keep = Box<dyn FnMut(Vec<Kept>) -> bool + Send>;

pub(super) struct Tailer {
    pub(super) agent_id: String,
    pub(super) counters: Arc<Counters>,
    pub(super) keep: Keep,
    pub(super) stop: CancellationToken,
    /// Ends at the end of all files.
    pub(super) once: bool,
    sections: Vec<config::Logs>,
    batches: mpsc::Sender<LogBatch>,
    pace: Pace,
    runtime: Handle,
    scanner: Scanner,
    hints: Hints,
    followed: Vec<Followed>,
    /// At most a turn's batch, and a last one for each file that is gone.
    outgoing: VecDeque<LogBatch>,
    next_scan: Instant,
    /// The last scan could not yet tell whether some file is a copy.
    has_undecided: bool,
    buffer: Vec<u8>,
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
        let followed = registry
            .into_iter()
            .map(|entry| Followed::unfound(entry, now));
        Ok(Self {
            agent_id: String::new(),
            counters: Arc::default(),
            keep: Box::new(|_| true),
            stop: CancellationToken::new(),
            once: false,
            sections,
            batches,
            pace,
            runtime: Handle::current(),
            scanner,
            hints: Hints::new(),
            followed: followed.collect(),
            outgoing: VecDeque::new(),
            next_scan: now,
            has_undecided: false,
            buffer: vec![0; TURN_BYTES],
        })
    }

    /// Until `stop`, or until nobody takes batches; `once`: until a round in which no file had more to read.
    pub(super) fn run(mut self) {
        while !self.stop.is_cancelled() {
            let now = Instant::now();
            if self.hints.take_names_changed() || now >= self.next_scan {
                self.scan(now);
            }
            let mut is_idle = true;
            let mut index = 0;
            // Handing on may scan, and so change the list: at worst a file's turn comes in the next round.
            while index < self.followed.len() {
                is_idle &= !self.turn(index, now);
                if !self.hand_on() {
                    return;
                }
                index += 1;
            }
            if is_idle && self.once && !self.has_undecided {
                self.finish();
                return;
            }
            if is_idle {
                self.wait();
            }
        }
    }

    /// Hands on what would wait for further lines, and counts the files that were not read to their ends.
    fn finish(&mut self) {
        let mut unread = self.scanner.unreadable() as u64;
        for index in 0..self.followed.len() {
            let followed = &mut self.followed[index];
            let records = followed.reader.as_mut().map(Reader::finish);
            self.batch(index, &records.unwrap_or_default(), false);
            let followed = &self.followed[index];
            let is_read = followed.section.is_none() || followed.is_at_end();
            unread += u64::from(!is_read);
        }
        self.hand_on();
        if unread > 0 {
            self.counters.count(UNREAD, unread);
        }
    }

    fn wait(&self) {
        let until_scan = self.next_scan.saturating_duration_since(Instant::now());
        let is_joining = self.followed.iter().any(|followed| {
            followed
                .reader
                .as_ref()
                .is_some_and(Reader::has_open_record)
        });
        let until_joined = if is_joining {
            self.pace.join
        } else {
            STOP_CHECK
        };
        self.hints
            .wait(until_scan.min(until_joined).min(STOP_CHECK));
        std::thread::sleep(GATHER.min(until_scan));
    }

    /// Sends what is outgoing, the registry first; scans while it has to wait. `false` once nobody takes batches or the
    /// agent stops.
    fn hand_on(&mut self) -> bool {
        let unkept: Vec<Kept> = self
            .followed
            .iter_mut()
            .filter_map(Followed::unkept)
            .collect();
        if !unkept.is_empty() && !(self.keep)(unkept) {
            return false;
        }
        while let Some(batch) = self.outgoing.pop_front() {
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
                    self.scan(Instant::now());
                }
            }
        }
        true
    }

    /// Looks for new, renamed, truncated and vanished files.
    fn scan(&mut self, now: Instant) {
        self.next_scan = now + self.pace.scan;
        self.followed.retain(|followed| !followed.is_left);
        let known: Vec<Entry> = self
            .followed
            .iter()
            .map(|followed| followed.entry.clone())
            .collect();
        let mut found = self.scanner.scan(slot::now());
        let mut identities = identify(&known, &found);
        if !replaced(&known, &found, &identities).is_empty() {
            // The copy may have been made while the folder was being read.
            found = self.scanner.scan(slot::now());
            identities = identify(&known, &found);
        }
        let replaced = replaced(&known, &found, &identities);
        let mut is_there = vec![false; known.len()];
        let mut new = Vec::new();
        self.has_undecided = false;
        for (found, identity) in found.into_iter().zip(identities) {
            self.hints.watch_folder_of(&found.seen.path);
            match identity {
                Identity::Known(index) => {
                    is_there[index] = true;
                    self.followed[index].refind(&self.sections[found.section], found);
                }
                Identity::CopyOf(_) => {}
                Identity::Undecided => self.has_undecided |= found.seen.size > 0,
                Identity::New { generation } => new.push((found, generation)),
            }
        }
        for index in (0..known.len()).filter(|index| !is_there[*index]) {
            if replaced.contains(&index) {
                self.leave_replaced(index);
            } else {
                self.followed[index].missing_since.get_or_insert(now);
            }
        }
        for (found, generation) in new {
            let mut followed = Followed::new(&found.seen, generation);
            followed.refind(&self.sections[found.section], found);
            self.followed.push(followed);
        }
    }

    /// The file was truncated or its inode given to another: what was not read and has no copy is lost.
    fn leave_replaced(&mut self, index: usize) {
        let records = self.followed[index]
            .reader
            .as_mut()
            .map(Reader::finish)
            .unwrap_or_default();
        self.batch(index, &records, true);
        let entry = &self.followed[index].entry;
        let lost = entry.size_seen.saturating_sub(entry.offset);
        if lost > 0 {
            self.counters.count("log_bytes_truncated_unread", lost);
            warn!(
                path = entry.path,
                bytes = lost,
                "log file was truncated before all of it was read"
            );
        }
    }

    /// Reads a file once. Whether there may be more to read at once.
    fn turn(&mut self, index: usize, now: Instant) -> bool {
        let pace = self.pace;
        let followed = &mut self.followed[index];
        let missing_for = followed
            .missing_since
            .map(|since| now.saturating_duration_since(since));
        let Some(reader) = &mut followed.reader else {
            if !followed.is_left && missing_for.is_some_and(|missing| missing >= pace.forget) {
                self.batch(index, &[], true);
            }
            return false;
        };
        match reader.turn(&mut self.buffer, now) {
            Ok(Turn::Read(records)) => {
                followed.entry.size_seen = followed.entry.size_seen.max(reader.position());
                if !followed.entry.fingerprint.is_full() {
                    followed.learn_fingerprint();
                }
                self.batch(index, &records, false);
                return true;
            }
            Ok(Turn::Replaced) => {
                // What the reader knows of the beginning decides in the scan too.
                followed.learn_fingerprint();
                self.scanner.forget(followed.entry.node);
                if missing_for.is_none() {
                    self.next_scan = now;
                    return false;
                }
            }
            Ok(Turn::End) => {}
            Err(error) => {
                warn!(path = followed.entry.path, %error, "cannot read log file further");
                followed.reader = None;
                return false;
            }
        }
        let Some(reader) = &mut followed.reader else {
            return false;
        };
        let quiet = now.saturating_duration_since(reader.grew_at);
        if missing_for.is_some_and(|missing| missing.min(quiet) >= pace.rotated) {
            let records = reader.finish();
            self.batch(index, &records, true);
        } else if quiet >= pace.join && reader.has_open_record() {
            let records: Vec<Record> = reader.flush().into_iter().collect();
            self.batch(index, &records, false);
        } else if missing_for.is_none()
            && quiet >= pace.idle
            && reader.position() == followed.entry.offset
        {
            followed.reader = None;
        }
        false
    }

    fn batch(&mut self, index: usize, records: &[Record], is_last: bool) {
        let followed = &mut self.followed[index];
        let config = followed.section.map(|section| &self.sections[section]);
        self.outgoing
            .extend(followed.batch(records, is_last, config, &self.agent_id, slot::now()));
        let count = |reason, is_counted: fn(&&Record) -> bool| {
            let records = records.iter().filter(is_counted).count() as u64;
            if records > 0 {
                self.counters.count(reason, records);
            }
        };
        count("log_line_cut", |record| record.is_cut);
        count("log_line_not_utf8", |record| record.is_repaired);
    }
}

/// Known files whose place other contents have taken, while nobody found their own.
fn replaced(known: &[Entry], found: &[Found], identities: &[Identity]) -> Vec<usize> {
    let is_known = |index| identities.contains(&Identity::Known(index));
    let is_taken = |entry: &Entry| {
        let mut places = found.iter().zip(identities);
        places.any(|(found, identity)| {
            matches!(identity, Identity::New { .. }) && found.seen.node == entry.node
        })
    };
    let gone = (0..known.len()).filter(|index| !is_known(*index));
    gone.filter(|index| is_taken(&known[*index])).collect()
}
