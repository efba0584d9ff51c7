//! Entries of the journal joined to records, each under the cursor of its first entry. Pure.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use tracing::info;

use super::entry;
use crate::agent::counters::Counters;
use crate::agent::logs::container;
use crate::agent::logs::frame::{Line, Stamp};
use crate::agent::logs::lines::is_wanted;
use crate::agent::logs::multiline::{Joiner, Joining, Record};
use crate::agent::logs::recognise::Recogniser;
use crate::agent::logs::record::{Origin, Place, Reading, event};
use crate::config;
use crate::event::Event;

/// What one batch may hold.
const BATCH_BYTES: usize = 32 * 1024;

pub(super) struct Records<'a> {
    section: &'a config::Logs,
    unit: &'a str,
    agent_id: &'a str,
    joining: Joining,
    recogniser: Recogniser,
    joiner: Joiner,
    complete: Vec<Record>,
    bytes: usize,
    /// Entries are numbered as they come; these are the cursors from `first` on.
    cursors: VecDeque<String>,
    first: u64,
    /// Of the last entry that came, also where it is not yet handed on.
    seen: Option<String>,
    /// Records since the last batch that were not in their client's format.
    unknown: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(section: &'a config::Logs, unit: &'a str, agent_id: &'a str) -> Self {
        Self {
            section,
            unit,
            agent_id,
            joining: Joining::of(&section.multiline, section.client),
            recogniser: Recogniser::new(section.client, None),
            joiner: Joiner::default(),
            complete: Vec::new(),
            bytes: 0,
            cursors: VecDeque::new(),
            first: 0,
            seen: None,
            unknown: 0,
        }
    }

    /// Takes a line that `journalctl` printed.
    pub(super) fn push(&mut self, mut line: Line, counters: &Counters) {
        if line.is_cut {
            counters.count("journal_entry_too_long", 1);
            return;
        }
        let Some(entry) = entry::parse(&line.text) else {
            counters.count("journal_line_unreadable", 1);
            return;
        };
        line.offset = self.first + self.cursors.len() as u64;
        line.end = line.offset + 1;
        line.text = entry.message;
        line.is_repaired = entry.is_repaired;
        line.stamp = Stamp {
            at: entry.at,
            by: "journal",
            stream: None,
        };
        self.seen = Some(entry.cursor.clone());
        self.cursors.push_back(entry.cursor);
        container::cut(&mut line, self.section.max_line_bytes);
        self.look_at(&line.text);
        let (complete, bytes) = (&mut self.complete, &mut self.bytes);
        self.joiner.push(line, &self.joining, |record| {
            *bytes += record.text.len();
            complete.push(record);
        });
    }

    /// A look at a line while it is not known whose log the unit writes.
    fn look_at(&mut self, line: &str) {
        let found = self.recogniser.found();
        if self.recogniser.look_at(line) {
            self.joining.set_client(self.recogniser.client());
        }
        if self.recogniser.found() != found {
            let client = self.recogniser.client().name();
            info!(unit = self.unit, client, "log format recognised");
        }
    }

    /// The open record gets no further line.
    pub(super) fn flush(&mut self) {
        self.complete.extend(self.joiner.flush());
    }

    /// The cursor of the last entry that came.
    pub(super) fn seen(&self) -> Option<&str> {
        self.seen.as_deref()
    }

    pub(super) fn has_complete(&self) -> bool {
        !self.complete.is_empty()
    }

    pub(super) fn has_open(&self) -> bool {
        self.joiner.open_from().is_some()
    }

    pub(super) fn is_enough(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }

    /// The documents of the complete records, and the cursor behind them.
    pub(super) fn take(
        &mut self,
        now: DateTime<Utc>,
        counters: &Counters,
    ) -> Option<(Vec<Event>, String)> {
        self.bytes = 0;
        let records = std::mem::take(&mut self.complete);
        let end = records.last()?.end;
        let mut events = Vec::with_capacity(records.len());
        for record in &records {
            if is_wanted(&record.text, self.section) {
                events.extend(self.event(record, now));
            }
        }
        let behind = usize::try_from(end - self.first).unwrap_or(usize::MAX);
        let mut passed = self.cursors.drain(..behind.min(self.cursors.len()));
        let cursor = passed.next_back()?;
        self.first = end;
        let number = |is_counted: fn(&&Record) -> bool| records.iter().filter(is_counted).count();
        for (reason, count) in [
            ("log_record_excluded", records.len() - events.len()),
            ("log_record_unknown", std::mem::take(&mut self.unknown)),
            ("log_line_cut", number(|record| record.is_cut)),
            ("log_line_not_utf8", number(|record| record.is_repaired)),
        ] {
            if count > 0 {
                counters.count(reason, count as u64);
            }
        }
        Some((events, cursor))
    }

    fn event(&mut self, record: &Record, now: DateTime<Utc>) -> Option<Event> {
        let number = usize::try_from(record.offset - self.first).ok()?;
        let place = Place::Journal {
            unit: self.unit,
            cursor: self.cursors.get(number)?,
        };
        let client = self.recogniser.client();
        let origin = Origin {
            agent_id: self.agent_id,
            place,
            client,
        };
        let reading = Reading {
            at: now,
            written_at: now,
            zone: self.section.timezone,
        };
        let reading = reading.of(record);
        let parsed = client.parse_plain(&record.text, &reading);
        self.recogniser.confirm(parsed.is_known);
        self.unknown += usize::from(!parsed.is_known);
        Some(event(record, parsed, origin, &reading))
    }
}
