//! A file that is followed: what is known of it, its reader while it is open, and its batches.

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tracing::info;

use super::file::Reader;
use super::lines::is_wanted;
use super::multiline::Record;
use super::recognise::Recogniser;
use super::record::{Origin, Place, Reading, fill};
use super::registry::{Entry, FileKey, Fingerprint, Kept, Position, Unpacked};
use super::scan::Found;
use crate::agent::sheet::Sheet;
use crate::agent::ship::LogBatch;
use crate::config;
use crate::event::IdOf;

pub(super) struct Followed {
    pub(super) entry: Entry,
    /// `None` for a file of the registry that was not found again.
    pub(super) section: Option<usize>,
    /// `None` while there is nothing to read.
    pub(super) reader: Option<Box<Reader>>,
    /// How long it is on disk.
    pub(super) size: u64,
    pub(super) written_at: DateTime<Utc>,
    pub(super) is_packed: bool,
    /// Up to where it was read before it was closed.
    read_to: u64,
    /// A packed file of so many bytes ended too early: perhaps it is still being written.
    pub(super) short_at: Option<u64>,
    /// The reader found other contents, but the scan has not said what they are.
    pub(super) is_doubtful: bool,
    /// Lines that begin before this may have been sent before the start.
    pub(super) in_doubt_to: u64,
    /// When it was last seen to grow.
    pub(super) grew_at: Instant,
    pub(super) missing_since: Option<Instant>,
    /// What its reader held when other contents took its place, and the position behind. Not handed on before it is
    /// clear that no copy goes on there: the copy may hold the rest of a line.
    held_back: Option<(Vec<Record>, Position)>,
    /// The registry knows all that identifies the file.
    is_kept: bool,
    /// The registry does not know where its first line is.
    starts_later: bool,
    /// It was there before the start.
    is_of_last_life: bool,
}

/// What is counted of the records of a batch.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    /// The section does not want them.
    pub(super) excluded: u64,
    /// Not in their client's format; shipped whole.
    pub(super) unknown: u64,
}

impl Followed {
    /// A file of the registry that has yet to be found.
    pub(super) fn unfound(entry: Entry, now: Instant) -> Self {
        Self {
            section: None,
            reader: None,
            size: 0,
            written_at: DateTime::UNIX_EPOCH,
            is_packed: false,
            read_to: entry.position.offset,
            short_at: None,
            is_doubtful: false,
            in_doubt_to: 0,
            grew_at: now,
            missing_since: Some(now),
            held_back: None,
            is_kept: true,
            starts_later: false,
            is_of_last_life: true,
            entry,
        }
    }

    /// A file that was not known: the registry may have been lost, where it is of the last life. It begins at its beginning
    /// unless a position is given.
    pub(super) fn new(
        found: &Found,
        generation: u32,
        begin: Option<Position>,
        is_of_last_life: bool,
        now: Instant,
    ) -> Self {
        let seen = &found.seen;
        let starts_later = begin.is_some();
        let unpacked = Unpacked {
            disk_bytes: seen.size,
            bytes: 0,
        };
        let entry = Entry {
            key: FileKey::of(seen.node, generation),
            path: seen.path.clone(),
            beside: None,
            fingerprint: Fingerprint::of(&seen.head),
            node: seen.node,
            origin: seen.node,
            generation,
            size_seen: 0,
            gone_at_ms: None,
            is_replaced: false,
            client: None,
            unpacked: (starts_later && seen.packed.is_some()).then_some(unpacked),
            position: begin.unwrap_or_default(),
        };
        info!(
            path = seen.path,
            bytes = seen.size,
            from = entry.position.offset,
            "following log file"
        );
        Self {
            is_kept: false,
            starts_later,
            is_of_last_life,
            missing_since: None,
            ..Self::unfound(entry, now)
        }
    }

    /// A scan found it, perhaps by another name, longer, or as a copy of what it was.
    pub(super) fn refind(&mut self, found: &Found, now: Instant) {
        let Found {
            section,
            seen,
            written_at,
            is_beside,
            ..
        } = found;
        self.held_back = None;
        let entry = &mut self.entry;
        if std::mem::take(&mut self.is_doubtful) {
            self.reader = None;
            self.read_to = entry.position.offset;
        }
        let is_copy = entry.node != seen.node || entry.is_replaced;
        if is_copy {
            // The contents live on in a copy: what was not handed on is read there.
            self.reader = None;
            self.read_to = entry.position.offset;
            entry.unpacked = None;
            if seen.packed.is_some() && seen.holds_exactly(entry.position.offset) {
                entry.unpacked = Some(Unpacked {
                    disk_bytes: seen.size,
                    bytes: entry.position.offset,
                });
            }
            entry.node = seen.node;
            entry.is_replaced = false;
            self.is_kept = false;
        }
        if entry.place() != seen.path {
            info!(
                from = entry.place(),
                to = seen.path,
                "log file has a new name"
            );
            self.is_kept = false;
        }
        if *is_beside {
            entry.beside = Some(seen.path.clone());
        } else {
            entry.path.clone_from(&seen.path);
            entry.beside = None;
        }
        if entry.fingerprint.bytes < seen.head.len() {
            entry.fingerprint = Fingerprint::of(&seen.head);
            self.is_kept = false;
        }
        if entry.gone_at_ms.take().is_some() {
            self.is_kept = false;
        }
        if self.section.is_none() && self.is_of_last_life {
            // A copy may not be complete yet, while the original was read to its end.
            self.in_doubt_to = match seen.packed.is_some() || is_copy {
                true => u64::MAX,
                false => seen.size,
            };
        }
        if seen.packed.is_none() {
            entry.size_seen = entry.size_seen.max(seen.size);
        }
        if self.size != seen.size {
            self.grew_at = now;
        }
        self.size = seen.size;
        self.is_packed = seen.packed.is_some();
        self.section = Some(*section);
        self.written_at = *written_at;
        self.missing_since = None;
    }

    /// Whether a file that is not open is worth opening.
    pub(super) fn has_more(&self) -> bool {
        match self.is_packed {
            true => !self.entry.is_read_whole(self.size) && self.short_at != Some(self.size),
            false => self.size > self.read_to,
        }
    }

    /// Whether what is known of its length says that it was truncated.
    pub(super) fn is_shorter(&self, size: u64) -> bool {
        !self.is_packed && size < self.read_to.max(self.entry.position.offset)
    }

    /// What the reader knows of the file's beginning is known of the file.
    pub(super) fn learn(&mut self) {
        let Some(reader) = &self.reader else {
            return;
        };
        if !self.entry.fingerprint.is_full() {
            let fingerprint = reader.fingerprint();
            if fingerprint != self.entry.fingerprint {
                self.entry.fingerprint = fingerprint;
                self.is_kept = false;
            }
        }
        self.entry.size_seen = self.entry.size_seen.max(reader.lines.position());
    }

    /// A packed file gives nothing more until it is longer.
    pub(super) fn read_whole(&mut self, unpacked: Unpacked) {
        self.entry.unpacked = Some(unpacked);
        self.is_kept = false;
    }

    /// Other contents have its place.
    pub(super) fn is_replaced(&mut self, now: Instant) {
        self.held_back = self.reader.take().map(|mut reader| {
            let records = reader.lines.finish();
            (records, reader.lines.place())
        });
        self.read_to = self.entry.position.offset;
        self.entry.is_replaced = true;
        self.missing_since = Some(now);
        self.is_kept = false;
    }

    /// All that can still be had of a file that nobody finds any more.
    pub(super) fn last_records(&mut self) -> Vec<Record> {
        match (&mut self.reader, self.held_back.take()) {
            (Some(reader), _) => reader.lines.finish(),
            (None, Some((records, position))) => {
                self.entry.position = position;
                records
            }
            (None, None) => Vec::new(),
        }
    }

    /// Nobody finds it any more. It is remembered for a while.
    pub(super) fn is_gone(&mut self, now: DateTime<Utc>) {
        self.close();
        let now_ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        self.entry.gone_at_ms.get_or_insert(now_ms);
        self.is_kept = false;
    }

    pub(super) fn close(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.read_to = reader.lines.position();
        }
    }

    /// What the registry has to learn of the file before anything of it is sent.
    pub(super) fn unkept(&mut self) -> Vec<Kept> {
        if std::mem::replace(&mut self.is_kept, true) {
            return Vec::new();
        }
        let mut kept = vec![self.entry.identity()];
        if std::mem::take(&mut self.starts_later) {
            kept.push((self.entry.offset_key(), Some(self.entry.offset_value())));
        }
        kept
    }

    /// The documents of the next records, `None` where there are none to take note of. `config` is that of its section.
    pub(super) fn batch(
        &mut self,
        records: &[Record],
        config: Option<&config::Logs>,
        agent_id: &str,
        sheet: &mut Sheet,
        now: DateTime<Utc>,
    ) -> (Option<LogBatch>, Noticed) {
        if let Some(reader) = &self.reader
            && (!records.is_empty() || reader.lines.resume() > self.entry.position.offset)
        {
            self.entry.position = reader.position();
        }
        let Some(config) = config.filter(|_| !records.is_empty()) else {
            return (None, Noticed::default());
        };
        let recogniser = match &mut self.reader {
            Some(reader) => reader.lines.recogniser(),
            None => &mut Recogniser::new(config.client, self.entry.client),
        };
        let client = recogniser.client();
        let found = recogniser.found();
        if found.is_some() && found != self.entry.client {
            info!(
                path = self.entry.path,
                client = client.name(),
                "log format recognised"
            );
            self.entry.client = found;
            self.is_kept = false;
        }
        let ids = IdOf::new(&[agent_id, self.entry.key.as_str()]);
        let place = Place::File {
            ids: &ids,
            path: &self.entry.path,
        };
        let origin = Origin {
            agent_id,
            place,
            client,
        };
        let reading = Reading {
            at: now,
            written_at: self.written_at.min(now),
            zone: config.timezone,
        };
        sheet.begin(now);
        let (mut in_doubt, mut noticed) = (0, Noticed::default());
        for record in records {
            if !is_wanted(&record.text, config) {
                noticed.excluded += 1;
                continue;
            }
            let reading = reading.of(record);
            let parsed = client.parse_plain(&record.text, &reading);
            recogniser.confirm(parsed.is_known);
            noticed.unknown += u64::from(!parsed.is_known);
            let is_kept = sheet.add(|event| fill(event, record, parsed, origin, &reading));
            in_doubt += usize::from(is_kept && record.offset < self.in_doubt_to);
        }
        let batch = LogBatch {
            file: self.entry.offset_key(),
            path: self.entry.path.clone(),
            entry: Some(self.entry.offset_value()),
            in_doubt,
            records: sheet.take(),
        };
        (Some(batch), noticed)
    }

    /// The last batch: forgets how far it was read.
    pub(super) fn last_batch(&self) -> LogBatch {
        LogBatch {
            file: self.entry.offset_key(),
            path: self.entry.path.clone(),
            entry: None,
            in_doubt: 0,
            records: Vec::new(),
        }
    }
}
