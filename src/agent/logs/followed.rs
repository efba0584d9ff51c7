//! A file that is followed: what is known of it, its reader while it is open, and its batches.

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tracing::{debug, info};

use super::client::Client;
use super::file::Reader;
use super::identity::Seen;
use super::multiline::Record;
use super::recognise::Recogniser;
use super::record::{Origin, Reading, event};
use super::registry::{Entry, FileKey, Fingerprint, Kept};
use super::scan::Found;
use crate::agent::ship::LogBatch;
use crate::config;

pub(super) struct Followed {
    /// `offset` is the end of the last record that was handed on.
    pub(super) entry: Entry,
    /// `None` for a file of the registry that was not found again.
    pub(super) section: Option<usize>,
    /// `None` while there is nothing to read.
    pub(super) reader: Option<Reader>,
    written_at: DateTime<Utc>,
    /// Whose log it is, where the configuration leaves that open.
    recogniser: Recogniser,
    pub(super) missing_since: Option<Instant>,
    /// Its last batch was made.
    pub(super) is_left: bool,
    /// The registry knows all that identifies the file.
    is_kept: bool,
}

impl Followed {
    /// A file of the registry that has yet to be found.
    pub(super) fn unfound(entry: Entry, now: Instant) -> Self {
        Self {
            entry,
            section: None,
            reader: None,
            written_at: DateTime::UNIX_EPOCH,
            recogniser: Recogniser::default(),
            missing_since: Some(now),
            is_left: false,
            is_kept: true,
        }
    }

    pub(super) fn new(seen: &Seen, generation: u32) -> Self {
        info!(path = seen.path, bytes = seen.size, "following log file");
        let entry = Entry {
            key: FileKey::of(seen.node, generation),
            path: seen.path.clone(),
            offset: 0,
            fingerprint: Fingerprint::of(&seen.head),
            node: seen.node,
            origin: seen.node,
            generation,
            size_seen: seen.size,
        };
        Self {
            entry,
            section: None,
            reader: None,
            written_at: DateTime::UNIX_EPOCH,
            recogniser: Recogniser::default(),
            missing_since: None,
            is_left: false,
            is_kept: false,
        }
    }

    /// A scan found it, perhaps by another name, longer, or as a copy of what it was. Opens it if there is more to read.
    pub(super) fn refind(&mut self, config: &config::Logs, found: Found) {
        let Found {
            section,
            seen,
            written_at,
            file,
        } = found;
        let entry = &mut self.entry;
        if entry.node != seen.node {
            // The contents live on in a copy: what was not handed on is read there.
            self.reader = None;
            self.is_kept = false;
        }
        if entry.path != seen.path {
            info!(from = entry.path, to = seen.path, "log file has a new name");
            self.is_kept = false;
        }
        if entry.fingerprint.bytes < seen.head.len() {
            entry.fingerprint = Fingerprint::of(&seen.head);
            self.is_kept = false;
        }
        entry.path = seen.path;
        entry.node = seen.node;
        entry.size_seen = entry.size_seen.max(seen.size);
        self.section = Some(section);
        self.written_at = written_at;
        self.missing_since = None;
        if self.reader.is_none() && seen.size > entry.offset {
            let head = String::from_utf8_lossy(&seen.head);
            recognise(
                &mut self.recogniser,
                config.client,
                &entry.path,
                head.lines(),
            );
            let client = self.recogniser.client(config.client);
            match Reader::open(entry, file, client, config.max_line_bytes) {
                Ok(reader) => self.reader = reader,
                // Tried again at the next scan, which says why a file can't be read.
                Err(error) => debug!(path = entry.path, %error, "cannot open log file"),
            }
        }
    }

    /// What the reader knows of the file's beginning is known of the file.
    pub(super) fn learn_fingerprint(&mut self) {
        let fingerprint = self.reader.as_ref().map(Reader::fingerprint);
        if let Some(fingerprint) =
            fingerprint.filter(|fingerprint| *fingerprint != self.entry.fingerprint)
        {
            self.entry.fingerprint = fingerprint;
            self.is_kept = false;
        }
    }

    /// What the registry has to learn of the file before anything of it is sent.
    pub(super) fn unkept(&mut self) -> Option<Kept> {
        let was_kept = std::mem::replace(&mut self.is_kept, true);
        match self.is_left {
            true if was_kept => None,
            true => Some(self.entry.without_identity()),
            false => (!was_kept).then(|| self.entry.identity()),
        }
    }

    /// The documents of the next records; `None` where there are none and the file goes on. `config` is that of its
    /// section.
    pub(super) fn batch(
        &mut self,
        records: &[Record],
        is_last: bool,
        config: Option<&config::Logs>,
        agent_id: &str,
        now: DateTime<Utc>,
    ) -> Option<LogBatch> {
        if let Some(last) = records.last() {
            self.entry.offset = last.end;
        }
        if is_last {
            self.reader = None;
            self.is_left = true;
            self.is_kept = false;
        }
        if let Some(config) = config {
            let texts = records.iter().map(|record| record.text.as_str());
            recognise(&mut self.recogniser, config.client, &self.entry.path, texts);
            if let Some(reader) = &mut self.reader {
                reader.client = self.recogniser.client(config.client);
            }
        }
        let to_event = |config: &config::Logs, record: &Record| {
            let client = self.recogniser.client(config.client);
            let written_at = self.written_at.min(now);
            let reading = Reading {
                at: now,
                written_at,
                zone: config.timezone,
            };
            let origin = Origin {
                agent_id,
                file_key: self.entry.key.as_str(),
                path: &self.entry.path,
                client,
            };
            event(
                record,
                client.parse(&record.text, &reading),
                origin,
                &reading,
            )
        };
        let events = config.map(|config| {
            records
                .iter()
                .map(|record| to_event(config, record))
                .collect()
        });
        (is_last || !records.is_empty()).then(|| LogBatch {
            file: self.entry.offset_key(),
            path: self.entry.path.clone(),
            entry: (!is_last).then(|| self.entry.offset_value()),
            events: events.unwrap_or_default(),
        })
    }
}

/// Says once whose log a file is that is configured as `auto`.
fn recognise<'a>(
    recogniser: &mut Recogniser,
    configured: Client,
    path: &str,
    records: impl Iterator<Item = &'a str>,
) {
    if configured == Client::Auto && recogniser.look_at(records) {
        let client = recogniser.client(configured).name();
        info!(path, client, "log format recognised");
    }
}
