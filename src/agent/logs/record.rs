//! What a parser finds in a record, and the document made of it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::client::Client;
use super::multiline::Record;
use super::text::ansi;
use super::text::hash::PrintedHash;
use super::text::level::Level;
use super::text::time::{LogTime, Zone};
use crate::event::{DataStream, Document, DocumentId, Event, timestamp};

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
    pub(super) others: Map<String, Value>,
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
            others: Map::new(),
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
            self.others.insert(key.to_owned(), value.into());
        }
    }

    /// Whether anything was understood beyond time, level and text.
    pub(super) fn is_typed(&self) -> bool {
        self.action != Action::Generic || self.fields.get("ethereum").is_some()
    }
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) agent_id: &'a str,
    pub(super) place: Place<'a>,
    pub(super) client: Client,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    File { key: &'a str, path: &'a str },
    Journal { unit: &'a str, cursor: &'a str },
}

impl Place<'_> {
    /// A line read again from the same place is the same document.
    fn id(self, agent_id: &str, offset: u64) -> DocumentId {
        match self {
            Self::File { key, .. } => DocumentId::of(&[agent_id, key, &offset.to_string()]),
            Self::Journal { cursor, .. } => DocumentId::of(&[agent_id, "journal", cursor]),
        }
    }
}

/// The document of a record.
pub(super) fn event(record: &Record, parsed: Parsed, origin: Origin, reading: &Reading) -> Event {
    let stream = DataStream::ClientLog;
    let id = origin.place.id(origin.agent_id, record.offset);
    let stamp = record.stamp;
    let time = parsed.time.map(|time| time.at);
    let at = time.or(stamp.at).unwrap_or(reading.at);
    let time_source = match (parsed.time, stamp.at) {
        (Some(time), _) => time.is_ambiguous.then_some("ambiguous"),
        (None, Some(_)) => Some(stamp.by),
        (None, None) => Some("read"),
    };
    let (path, offset, unit) = match origin.place {
        Place::File { path, .. } => (Some(path), Some(record.offset), None),
        Place::Journal { unit, .. } => (None, None, Some(unit)),
    };
    let mut event = Event::new(stream, id, at);
    event.document.extend(parsed.fields);
    let event = event
        .with("message", clean_message(parsed.message, &record.text))
        .with("event.kind", "event")
        .with("event.module", stream.module())
        .with("event.dataset", stream.dataset())
        .with("event.action", parsed.action.name())
        .with("event.created", timestamp(reading.at))
        .with_some("log.file.path", path)
        .with_some("log.offset", offset)
        .with_some("systemd.unit", unit)
        .with_some("stream", stamp.stream)
        .with_some("ethereum.log.written_at", stamp.at.map(timestamp))
        .with("service.name", origin.client.name())
        .with_some("ethereum.layer", origin.client.layer())
        .with_some("ethereum.log.time_source", time_source)
        .with_some(
            "error.stack_trace",
            parsed
                .stack_trace
                .map(|trace| ansi::strip(&trace).into_owned()),
        )
        .with_some("log.level", parsed.level.map(Level::name));
    let flags: Vec<Value> = record.flags().map(Value::from).collect();
    event
        .with_some(
            "log.logger",
            Some(parsed.logger).filter(|logger| !logger.is_empty()),
        )
        .with_some("log.flags", Some(flags).filter(|flags| !flags.is_empty()))
        .with_some(
            "ethereum.log.fields",
            Some(parsed.others).filter(|others| !others.is_empty()),
        )
}

/// Never empty: a record of prefix alone shows itself whole.
fn clean_message(mut message: String, record: &str) -> String {
    if message.trim().is_empty() {
        return ansi::strip(record.trim_end()).into_owned();
    }
    message.truncate(message.trim_end().len());
    match ansi::strip(&message) {
        Cow::Borrowed(_) => message,
        Cow::Owned(clean) => clean,
    }
}
