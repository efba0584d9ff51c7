//! What a parser finds in a record, and the document made of it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::client::Client;
use super::multiline::Record;
use super::text::ansi;
use super::text::hash::PrintedHash;
use super::text::level::Level;
use super::text::time::{LogTime, Zone};
use crate::event::{DataStream, Document, DocumentId, Event, IdOf, Pairs};

/// More fields than this stay in the message alone.
const MAX_FIELDS: usize = 32;

/// Longer values are cut in `ethereum.log.fields`; the message holds them whole.
const MAX_FIELD_CHARS: usize = 256;

/// `event.action`: the small vocabulary that all clients are translated into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    BlockReceived,
    BlockImported,
    HeadUpdated,
    Reorg,
    SlotStart,
    SyncProgress,
    LowPeers,
    Finalized,
    PayloadInvalid,
    EngineOffline,
    ValidatorProblem,
    Performance,
    Lifecycle,
    Generic,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BlockReceived => "block_received",
            Self::BlockImported => "block_imported",
            Self::HeadUpdated => "head_updated",
            Self::Reorg => "reorg",
            Self::SlotStart => "slot_start",
            Self::SyncProgress => "sync_progress",
            Self::LowPeers => "low_peers",
            Self::Finalized => "finalized",
            Self::PayloadInvalid => "payload_invalid",
            Self::EngineOffline => "engine_offline",
            Self::ValidatorProblem => "validator_problem",
            Self::Performance => "performance",
            Self::Lifecycle => "lifecycle",
            Self::Generic => "generic",
        }
    }
}

/// What a parser needs to know beside the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// When the record was read.
    pub(super) at: DateTime<Utc>,
    /// When the file was last written, where that is before: years that were not printed are counted from it.
    pub(super) written_at: DateTime<Utc>,
    pub(super) zone: Zone,
}

impl Reading {
    /// For a record: whoever took it from its writer knows the year better than the file.
    pub(super) fn of(self, record: &Record) -> Self {
        Self {
            written_at: record.stamp.at.unwrap_or(self.written_at),
            ..self
        }
    }
}

/// A record as its client meant it.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Absent: the time of reading is taken.
    pub(super) time: Option<LogTime>,
    pub(super) level: Option<Level>,
    pub(super) logger: String,
    /// Without time, level and logger.
    pub(super) message: String,
    pub(super) stack_trace: Option<String>,
    pub(super) action: Action,
    /// Typed `ethereum.*`, `error.*` and `service.*` fields.
    pub(super) fields: Document,
    /// The rest of what the client named: `ethereum.log.fields`.
    pub(super) others: Pairs,
}

impl Parsed {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            time: None,
            level: None,
            logger: String::new(),
            message: message.into(),
            stack_trace: None,
            action: Action::Generic,
            fields: Document::default(),
            others: Pairs::default(),
        }
    }

    /// Sets a signed number; whether the text was one.
    pub(super) fn set_number(&mut self, field: &'static str, text: &str) -> bool {
        let number = text.parse::<i64>().ok();
        self.fields.set_some(field, number);
        number.is_some()
    }

    pub(super) fn set_ms(&mut self, field: &'static str, ms: Option<f64>) -> bool {
        self.fields.set_some(field, ms);
        ms.is_some()
    }

    /// Sets `FIELD`, `FIELD_prefix`, `FIELD_suffix`; whether the text was a hash.
    pub(super) fn set_hash(&mut self, field: &'static str, text: &str) -> bool {
        let hash = PrintedHash::parse(text);
        let is_hash = hash.is_some();
        if let Some(hash) = hash {
            hash.set(&mut self.fields, field);
        }
        is_hash
    }

    /// Keeps a field that has no type, within bounds.
    pub(super) fn keep(&mut self, key: &str, value: &str) {
        if self.others.len() < MAX_FIELDS && !value.is_empty() {
            let end = value.char_indices().nth(MAX_FIELD_CHARS);
            let value = end.map_or(value, |(end, _)| &value[..end]);
            self.others.set(key, value);
        }
    }

    /// Whether anything was understood beyond time, level and text.
    pub(super) fn is_typed(&self) -> bool {
        self.action != Action::Generic || self.fields.get("ethereum").is_some()
    }
}

/// Where a record comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) agent_id: &'a str,
    pub(super) place: Place<'a>,
    pub(super) client: Client,
}

#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// `ids` are those of agent and file.
    File {
        ids: &'a IdOf,
        path: &'a str,
    },
    Journal {
        unit: &'a str,
        cursor: &'a str,
    },
}

impl Place<'_> {
    /// A line read again from the same place is the same document.
    fn id(self, agent_id: &str, offset: u64) -> DocumentId {
        match self {
            Self::File { ids, .. } => ids.and(&offset.to_string()),
            Self::Journal { cursor, .. } => DocumentId::of(&[agent_id, "journal", cursor]),
        }
    }
}

/// The document of a record.
pub(super) fn event(record: &Record, parsed: Parsed, origin: Origin, reading: &Reading) -> Event {
    let mut event = Event::new(DataStream::ClientLog, DocumentId::of(&[]), reading.at);
    fill(&mut event, record, parsed, origin, reading);
    event
}

/// Makes an event that of a record, whatever it was before.
pub(super) fn fill(
    event: &mut Event,
    record: &Record,
    parsed: Parsed,
    origin: Origin,
    reading: &Reading,
) {
    let stream = DataStream::ClientLog;
    let stamp = record.stamp;
    let time = parsed.time.map(|time| time.at);
    let time_source = match (parsed.time, stamp.at) {
        (Some(time), _) => time.is_ambiguous.then_some("ambiguous"),
        (None, Some(_)) => Some(stamp.by),
        (None, None) => Some("read"),
    };
    event.stream = stream;
    event.id = origin.place.id(origin.agent_id, record.offset);
    let document = &mut event.document;
    document.begin(time.or(stamp.at).unwrap_or(reading.at));
    document.extend(parsed.fields);
    document.set_text("message", &clean_message(&parsed.message, &record.text));
    document.set_word("event.kind", "event");
    document.set_word("event.module", stream.module());
    document.set_word("event.dataset", stream.dataset());
    document.set_word("event.action", parsed.action.name());
    document.set_time("event.created", reading.at);
    match origin.place {
        Place::File { path, .. } => {
            document.set_text("log.file.path", path);
            document.set("log.offset", record.offset);
        }
        Place::Journal { unit, .. } => document.set_text("systemd.unit", unit),
    }
    document.set_word("service.name", origin.client.name());
    if let Some(at) = stamp.at {
        document.set_time("ethereum.log.written_at", at);
    }
    for (field, word) in [
        ("stream", stamp.stream),
        ("ethereum.layer", origin.client.layer()),
        ("ethereum.log.time_source", time_source),
        ("log.level", parsed.level.map(Level::name)),
    ] {
        if let Some(word) = word {
            document.set_word(field, word);
        }
    }
    if let Some(trace) = &parsed.stack_trace {
        document.set_text("error.stack_trace", &ansi::strip(trace));
    }
    if !parsed.logger.is_empty() {
        document.set_text("log.logger", &parsed.logger);
    }
    let flags: Vec<Value> = record.flags().map(Value::from).collect();
    document.set_some("log.flags", Some(flags).filter(|flags| !flags.is_empty()));
    if !parsed.others.is_empty() {
        document.set_pairs("ethereum.log.fields", parsed.others);
    }
}

/// Never empty: a record of prefix alone shows itself whole.
fn clean_message<'a>(message: &'a str, record: &'a str) -> Cow<'a, str> {
    let message = message.trim_end();
    match message.trim_start().is_empty() {
        true => ansi::strip(record.trim_end()),
        false => ansi::strip(message),
    }
}
