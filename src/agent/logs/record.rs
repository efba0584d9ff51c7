//! What a parser finds in a record, and the document made of it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::client::Client;
use super::fields::{Fields, own};
use super::multiline::Record;
use super::text::hash::{HashField, PrintedHash};
use super::text::json::Envelope;
use super::text::level::Level;
use super::text::pairs::Pairs;
use super::text::time::{Doubt, LogTime, Zone};
use super::text::{ansi, number};
use super::trace;
use super::vocabulary::Action;
use crate::event::{self, DataStream, DocumentId, Event, IdOf};

/// More fields than this stay in the message, or in the original where the message does not hold them.
const MAX_FIELDS: usize = 32;

/// Longer values are cut in `ethereum.log.fields`; the message or the original holds them whole.
const MAX_FIELD_CHARS: usize = 256;

/// What a parser needs to know beside the text.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// When the record was read.
    pub at: DateTime<Utc>,
    /// When the file was last written, where that is before: years that were not printed are counted from it.
    pub written_at: DateTime<Utc>,
    pub zone: Zone,
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

/// A record as its client meant it; borrows from the record.
#[derive(Debug, Default)]
pub struct Parsed<'a> {
    /// Absent: the time of reading is taken.
    pub(super) time: Option<LogTime>,
    pub(super) level: Option<Level>,
    pub(super) logger: Cow<'a, str>,
    pub(super) thread: Cow<'a, str>,
    /// Without time, level and logger.
    pub(super) message: Cow<'a, str>,
    pub(super) stack_trace: Option<Cow<'a, str>>,
    pub(super) action: Action,
    /// Where it is not that of the client: Erigon's consensus layer.
    pub(super) layer: Option<&'static str>,
    /// Typed `ethereum.*`, `error.*` and `service.*` fields.
    pub(super) fields: Fields<'a>,
    /// The rest of what the client named: `ethereum.log.fields`.
    pub(super) others: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The form of the client was recognised.
    pub(super) is_known: bool,
    /// The message does not hold the fields.
    is_json: bool,
    /// Message and fields together do not hold all that the record said.
    pub(super) is_lossy: bool,
}

impl<'a> Parsed<'a> {
    pub(super) fn new(message: impl Into<Cow<'a, str>>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// A record of one or more lines, its prefix removed. A stack trace is kept apart; other lines belong to the message.
    pub(super) fn of_lines(text: &'a str) -> Self {
        match text.split_once('\n') {
            Some((first, more)) if !first.trim().is_empty() && trace::is_trace(more) => Self {
                message: Cow::Borrowed(first.trim()),
                stack_trace: Some(Cow::Borrowed(more)),
                ..Self::default()
            },
            _ => Self::new(text.trim()),
        }
    }

    /// A record that was one JSON object, and its pairs.
    pub(super) fn of_json(envelope: Envelope<'a>) -> (Self, Pairs<'a>) {
        let mut parsed = Self {
            time: envelope.time,
            level: envelope.level,
            logger: envelope.logger,
            thread: envelope.thread,
            message: envelope.message,
            stack_trace: (!envelope.stack_trace.is_empty()).then_some(envelope.stack_trace),
            is_json: true,
            ..Self::default()
        };
        if !envelope.error.is_empty() {
            parsed.fields.set_text("error.message", envelope.error);
        }
        (parsed, envelope.pairs)
    }

    /// Reads values out of the message.
    pub(super) fn read_message(&mut self, read: impl for<'b> Fn(&mut Parsed<'b>, &'b str)) {
        match self.message.clone() {
            Cow::Borrowed(message) => read(self, message),
            // There were escapes in it: the values are copied.
            Cow::Owned(message) => {
                let mut found = Parsed {
                    level: self.level,
                    logger: self.logger.clone(),
                    ..Parsed::default()
                };
                read(&mut found, &message);
                let found = found.into_owned();
                self.action = found.action;
                self.level = found.level;
                self.fields.extend(found.fields);
                self.others.extend(found.others);
            }
        }
    }

    /// Types the pairs that `own` has a type for, and keeps the others.
    pub(super) fn take(
        &mut self,
        pairs: Pairs<'a>,
        own: impl Fn(&mut Self, &str, &'a str) -> bool,
    ) {
        self.others.reserve(pairs.0.len());
        for (key, value) in pairs.0 {
            match (&*key, value) {
                ("error" | "err" | "reason", value) if !self.fields.has("error.message") => {
                    self.fields.set_text("error.message", value);
                }
                // A text with escapes in it is no number and no hash.
                (name, Cow::Borrowed(text)) if own(self, name, text) => {}
                ("prefix" | "topics" | "service" | "module" | "target", value)
                    if self.logger.is_empty() =>
                {
                    self.logger = value;
                }
                (_, value) => self.keep(key, value),
            }
        }
    }

    /// Sets a whole number, separators and wrapping removed; whether the text was one.
    pub(super) fn set_number(&mut self, field: &'static str, text: &str) -> bool {
        self.set_some(field, number::integer(text))
    }

    pub(super) fn set_some(&mut self, field: &'static str, number: Option<i64>) -> bool {
        number.is_some_and(|number| self.fields.set_integer(field, number))
    }

    /// Sets a number with a fraction; whether there was one.
    pub(super) fn set_float(&mut self, field: &'static str, number: Option<f64>) -> bool {
        let number = number.filter(|number| number.is_finite());
        number.is_some_and(|number| self.fields.set_float(field, number))
    }

    /// Sets whole, prefix and suffix as far as they were printed; whether the text was a hash.
    pub(super) fn set_hash(&mut self, field: HashField, text: &'a str) -> bool {
        let HashField([full, prefix, suffix]) = field;
        let hash = match PrintedHash::parse(text) {
            Some(hash) if !self.fields.has(prefix) => hash,
            _ => return false,
        };
        if let Some(text) = hash.full {
            self.fields.set_text(full, text);
        }
        if let Some(text) = hash.suffix {
            self.fields.set_text(suffix, text);
        }
        self.fields.set_text(prefix, hash.prefix)
    }

    /// Keeps a field that has no type, within bounds.
    pub(super) fn keep(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        if value.is_empty() {
            return;
        }
        if self.others.len() == MAX_FIELDS {
            self.is_lossy |= self.is_json;
            return;
        }
        // So few bytes can't be too many characters.
        let cut = match value.len() > MAX_FIELD_CHARS {
            true => value.char_indices().nth(MAX_FIELD_CHARS).map(|(at, _)| at),
            false => None,
        };
        let value = match (cut, value) {
            (None, value) => value,
            (Some(cut), Cow::Borrowed(text)) => Cow::Borrowed(&text[..cut]),
            (Some(cut), Cow::Owned(mut text)) => {
                text.truncate(cut);
                Cow::Owned(text)
            }
        };
        self.is_lossy |= cut.is_some() && self.is_json;
        self.others.push((key.into(), value));
    }

    /// Whether anything was understood beyond time, level and text.
    pub fn is_typed(&self) -> bool {
        self.action != Action::Generic || self.fields.has_any_of("ethereum.")
    }

    /// The same without borrowing.
    pub(super) fn into_owned(self) -> Parsed<'static> {
        let others = self
            .others
            .into_iter()
            .map(|(key, value)| (own(key), own(value)));
        Parsed {
            logger: own(self.logger),
            thread: own(self.thread),
            message: own(self.message),
            stack_trace: self.stack_trace.map(own),
            fields: self.fields.into_owned(),
            others: others.collect(),
            time: self.time,
            level: self.level,
            action: self.action,
            layer: self.layer,
            is_known: self.is_known,
            is_json: self.is_json,
            is_lossy: self.is_lossy,
        }
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
    mut parsed: Parsed,
    origin: Origin,
    reading: &Reading,
) {
    let stream = DataStream::ClientLog;
    let stamp = record.stamp;
    let time = parsed.time.map(|time| time.at);
    let time_source = match (parsed.time, stamp.at) {
        (Some(time), _) => time.doubt.map(Doubt::name),
        (None, Some(_)) => Some(stamp.by),
        (None, None) => Some("read"),
    };
    event.stream = stream;
    event.id = origin.place.id(origin.agent_id, record.offset);
    let document = &mut event.document;
    document.begin(time.or(stamp.at).unwrap_or(reading.at));
    parsed.fields.set_in(document);
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
    if let Some(at) = stamp.at {
        document.set_time("ethereum.log.written_at", at);
    }
    let client = origin.client.name();
    let layer = origin.client.layer();
    for (field, word) in [
        (
            "service.name",
            (origin.client != Client::Auto).then_some(client),
        ),
        ("ethereum.node.client", layer.map(|_| client)),
        ("ethereum.layer", parsed.layer.or(layer)),
        ("stream", stamp.stream),
        ("ethereum.log.time_source", time_source),
        ("log.level", parsed.level.map(Level::name)),
    ] {
        if let Some(word) = word {
            document.set_word(field, word);
        }
    }
    for (field, text) in [
        ("log.logger", &parsed.logger),
        ("process.thread.name", &parsed.thread),
    ] {
        if !text.is_empty() {
            document.set_text(field, text);
        }
    }
    if let Some(trace) = &parsed.stack_trace {
        document.set_text("error.stack_trace", &ansi::strip(trace));
    }
    if record.flags().next().is_some() || !parsed.is_known {
        let unknown = (!parsed.is_known).then_some("unknown_format");
        let flags = record.flags().chain(unknown).map(Value::from);
        document.set("log.flags", flags.collect::<Vec<_>>());
    }
    if !parsed.others.is_empty() {
        let bytes = parsed
            .others
            .iter()
            .map(|(name, text)| name.len() + text.len());
        let mut others = event::Pairs::with_capacity(parsed.others.len(), bytes.sum());
        for (name, text) in &parsed.others {
            others.set(name, text);
        }
        // A name that came twice.
        parsed.is_lossy |= parsed.is_json && others.len() < parsed.others.len();
        document.set_pairs("ethereum.log.fields", others);
    }
    if parsed.is_lossy {
        document.set_text("event.original", &ansi::strip(&record.text));
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
