//! Follows the files: scans for them, reads them in fair turns, hands on batches.
//!
//! Scanning is the truth, `notify` only a wake-up. The file is its own queue: when the shipper is slow, reading waits,
//! but scanning goes on, so that a file that is rotated meanwhile is held open.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::file::{Reader, Turn};
use super::hints::Hints;
use super::identity::{Identity, Seen, identify};
use super::multiline::Record;
use super::record::{Origin, Reading, event};
use super::registry::{FileKey, Fingerprint, LogBatch, RegistryEntry};
use super::scan::{Found, Scanner};
use crate::{config, slot, tasks};

/// Bytes of one file that are read before it is the next one's turn; what one batch may hold.
const TURN_BYTES: usize = 128 * 1024;

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
    const PRODUCTION: Self = Self {
        scan: Duration::from_secs(1),
        join: Duration::from_millis(200),
        rotated: Duration::from_secs(60),
        idle: Duration::from_secs(300),
        forget: Duration::from_secs(3600),
    };
}

/// What the tailer did since it started; shipped with the agent's own report.
#[derive(Debug, Default)]
pub struct Counters {
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    /// Records that hold a line longer than the limit.
    pub truncated: AtomicU64,
    /// Records that hold bytes that are no UTF-8.
    pub invalid_utf8: AtomicU64,
    /// Bytes that were truncated away before they were read.
    pub lost_bytes: AtomicU64,
}

impl Counters {
    /// Under the names that the agent's self-report shows.
    pub fn by_reason(&self) -> [(&'static str, &AtomicU64); 5] {
        [
            ("log_records", &self.records),
            ("log_bytes", &self.bytes),
            ("log_line_cut", &self.truncated),
            ("log_invalid_utf8", &self.invalid_utf8),
            ("log_bytes_lost_to_truncation", &self.lost_bytes),
        ]
    }
}

/// Follows the files of all sections until `stop`. `registry` is what the shipper had committed when the agent ended.
pub async fn run(
    sections: Vec<config::Logs>,
    registry: Vec<RegistryEntry>,
    agent_id: String,
    batches: mpsc::Sender<LogBatch>,
    counters: Arc<Counters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let tailer = Tailer::new(
        sections,
        registry,
        agent_id,
        batches,
        counters,
        stop,
        Pace::PRODUCTION,
    )?;
    tasks::blocking(move || tailer.run()).await;
    Ok(())
}

pub(super) struct Tailer {
    sections: Vec<config::Logs>,
    agent_id: String,
    batches: mpsc::Sender<LogBatch>,
    counters: Arc<Counters>,
    stop: CancellationToken,
    pace: Pace,
    runtime: Handle,
    scanner: Scanner,
    hints: Hints,
    followed: Vec<Followed>,
    /// At most a turn's batch and an announcement per new file.
    outgoing: VecDeque<LogBatch>,
    next_scan: Instant,
    buffer: Vec<u8>,
}

/// A file, open or not.
struct Followed {
    entry: RegistryEntry,
    /// `None` for a file of the registry that was not found again.
    section: Option<usize>,
    reader: Option<Reader>,
    written_at: DateTime<Utc>,
    missing_since: Option<Instant>,
    /// Its last batch was made.
    is_left: bool,
}

impl Tailer {
    /// Needs a runtime around it: sending waits there.
    pub(super) fn new(
        sections: Vec<config::Logs>,
        registry: Vec<RegistryEntry>,
        agent_id: String,
        batches: mpsc::Sender<LogBatch>,
        counters: Arc<Counters>,
        stop: CancellationToken,
        pace: Pace,
    ) -> anyhow::Result<Self> {
        let scanner = Scanner::new(&sections)?;
        let now = Instant::now();
        let unfound = |entry| Followed {
            entry,
            section: None,
            reader: None,
            written_at: DateTime::UNIX_EPOCH,
            missing_since: Some(now),
            is_left: false,
        };
        Ok(Self {
            sections,
            agent_id,
            batches,
            counters,
            stop,
            pace,
            runtime: Handle::current(),
            scanner,
            hints: Hints::new(),
            followed: registry.into_iter().map(unfound).collect(),
            outgoing: VecDeque::new(),
            next_scan: now,
            buffer: vec![0; TURN_BYTES],
        })
    }

    /// Until `stop`, or until nobody takes batches.
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
            if is_idle {
                self.wait();
            }
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

    /// Sends what is outgoing; scans while it has to wait. `false` once nobody takes batches or the agent stops.
    fn hand_on(&mut self) -> bool {
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
        let found = self.scanner.scan();
        let known: Vec<RegistryEntry> = self
            .followed
            .iter()
            .map(|followed| followed.entry.clone())
            .collect();
        let seen: Vec<Seen> = found.iter().map(|found| found.seen.clone()).collect();
        let identities = identify(&known, &seen);
        let mut is_there = vec![false; known.len()];
        let mut new = Vec::new();
        for (found, identity) in found.into_iter().zip(identities) {
            self.hints.watch_folder_of(&found.seen.path);
            match identity {
                Identity::Known(index) => {
                    is_there[index] = true;
                    self.refind(index, found);
                }
                Identity::CopyOf(_) => {}
                Identity::New { generation } => new.push((found, generation)),
            }
        }
        for index in (0..known.len()).filter(|index| !is_there[*index]) {
            let entry = &known[index];
            let is_replaced = new.iter().any(|(found, _)| {
                (found.seen.device, found.seen.inode) == (entry.device, entry.inode)
            });
            if is_replaced {
                self.leave_replaced(index);
            } else {
                self.followed[index].missing_since.get_or_insert(now);
            }
        }
        for (found, generation) in new {
            self.follow(found, generation);
        }
    }

    fn refind(&mut self, index: usize, found: Found) {
        let followed = &mut self.followed[index];
        let Found {
            section,
            seen,
            written_at,
            file,
        } = found;
        let entry = &mut followed.entry;
        if (entry.device, entry.inode) != (seen.device, seen.inode) {
            // The contents live on in a copy: what was not handed on is read there.
            followed.reader = None;
        }
        if entry.path != seen.path {
            info!(from = entry.path, to = seen.path, "log file has a new name");
        }
        if entry.fingerprint.bytes < seen.head.len() {
            entry.fingerprint = Fingerprint::of(&seen.head);
        }
        entry.path = seen.path;
        (entry.device, entry.inode, entry.born_ns) = (seen.device, seen.inode, seen.born_ns);
        entry.size_seen = entry.size_seen.max(seen.size);
        followed.section = Some(section);
        followed.written_at = written_at;
        followed.missing_since = None;
        let config = &self.sections[section];
        if followed.reader.is_none() && seen.size > followed.entry.offset {
            match Reader::open(&followed.entry, file, config.client, config.max_line_bytes) {
                Ok(reader) => followed.reader = reader,
                // Tried again at the next scan, which says why a file can't be read.
                Err(error) => debug!(path = followed.entry.path, %error, "cannot open log file"),
            }
        }
    }

    fn follow(&mut self, found: Found, generation: u32) {
        let seen = &found.seen;
        let entry = RegistryEntry {
            key: FileKey::of(seen.device, seen.inode, seen.born_ns, generation),
            path: seen.path.clone(),
            offset: 0,
            fingerprint: Fingerprint::of(&seen.head),
            device: seen.device,
            inode: seen.inode,
            born_ns: seen.born_ns,
            generation,
            size_seen: seen.size,
        };
        info!(path = entry.path, bytes = seen.size, "following log file");
        self.outgoing.push_back(LogBatch {
            entry: entry.clone(),
            start: 0,
            events: Vec::new(),
            is_last: false,
        });
        self.followed.push(Followed {
            entry,
            section: Some(found.section),
            reader: None,
            written_at: found.written_at,
            missing_since: None,
            is_left: false,
        });
        self.refind(self.followed.len() - 1, found);
    }

    /// The file was truncated or its inode given to another: what was not read and has no copy is lost.
    fn leave_replaced(&mut self, index: usize) {
        let records = self.followed[index]
            .reader
            .as_mut()
            .map(Reader::finish)
            .unwrap_or_default();
        self.batch(index, records, true);
        let entry = &self.followed[index].entry;
        let lost = entry.size_seen.saturating_sub(entry.offset);
        self.counters.lost_bytes.fetch_add(lost, Ordering::Relaxed);
        if lost > 0 {
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
                self.batch(index, Vec::new(), true);
            }
            return false;
        };
        match reader.turn(&mut self.buffer, now) {
            Ok(Turn::Read(records)) => {
                followed.entry.size_seen = followed.entry.size_seen.max(reader.position());
                if !followed.entry.fingerprint.is_full() {
                    followed.entry.fingerprint = reader.fingerprint();
                }
                self.batch(index, records, false);
                return true;
            }
            Ok(Turn::Replaced) => {
                // What the reader knows of the beginning decides in the scan too.
                followed.entry.fingerprint = reader.fingerprint();
                self.scanner
                    .forget(followed.entry.device, followed.entry.inode);
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
        let quiet = now.saturating_duration_since(reader.grew_at);
        if missing_for.is_some_and(|missing| missing.min(quiet) >= pace.rotated) {
            let records = reader.finish();
            self.batch(index, records, true);
        } else if quiet >= pace.join && reader.has_open_record() {
            let records = reader.flush().into_iter().collect();
            self.batch(index, records, false);
        } else if missing_for.is_none()
            && quiet >= pace.idle
            && reader.position() == followed.entry.offset
        {
            followed.reader = None;
        }
        false
    }

    /// Makes documents of records and puts them among the outgoing. After the last batch the file is no longer followed.
    fn batch(&mut self, index: usize, records: Vec<Record>, is_last: bool) {
        let followed = &mut self.followed[index];
        let start = followed.entry.offset;
        let mut events = Vec::with_capacity(records.len());
        if let Some(section) = followed.section {
            let config = &self.sections[section];
            let at = slot::now();
            let reading = Reading {
                at,
                written_at: followed.written_at.min(at),
                zone: config.timezone,
            };
            let origin = Origin {
                agent_id: &self.agent_id,
                file_key: followed.entry.key.as_str(),
                path: &followed.entry.path,
                client: config.client,
            };
            events.extend(records.iter().map(|record| {
                let parsed = config.client.parse(&record.text, &reading);
                event(record, parsed, origin, &reading)
            }));
        }
        if let Some(last) = records.last() {
            followed.entry.offset = last.end;
            let count =
                |counter: &AtomicU64, by: usize| counter.fetch_add(by as u64, Ordering::Relaxed);
            count(&self.counters.records, records.len());
            count(
                &self.counters.truncated,
                records.iter().filter(|record| record.is_cut).count(),
            );
            count(
                &self.counters.invalid_utf8,
                records.iter().filter(|record| record.is_repaired).count(),
            );
            self.counters
                .bytes
                .fetch_add(last.end - start, Ordering::Relaxed);
        }
        if is_last {
            followed.reader = None;
            followed.is_left = true;
        }
        if is_last || !events.is_empty() {
            let entry = followed.entry.clone();
            self.outgoing.push_back(LogBatch {
                entry,
                start,
                events,
                is_last,
            });
        }
    }
}
