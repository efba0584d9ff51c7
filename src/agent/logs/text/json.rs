//! One JSON object a record, whatever its keys are called.

use std::borrow::Cow;
use std::fmt;

use chrono::DateTime;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::level::Level;
use super::number;
use super::pairs::Pairs;
use super::time::{self, LogTime};
use crate::agent::logs::record::Reading;

/// What all loggers print in one form or another, and the rest as pairs.
#[derive(Debug, Default)]
pub(in crate::agent::logs) struct Envelope<'a> {
    pub(in crate::agent::logs) time: Option<LogTime>,
    pub(in crate::agent::logs) level: Option<Level>,
    pub(in crate::agent::logs) logger: Cow<'a, str>,
    pub(in crate::agent::logs) thread: Cow<'a, str>,
    pub(in crate::agent::logs) message: Cow<'a, str>,
    pub(in crate::agent::logs) stack_trace: Cow<'a, str>,
    /// The text of an `error` that is an object.
    pub(in crate::agent::logs) error: Cow<'a, str>,
    pub(in crate::agent::logs) pairs: Pairs<'a>,
}

/// Objects within more objects than these are kept as text.
const MAX_DEPTH: u32 = 2;

/// `None` where the record is not one JSON object that a logger wrote.
pub(in crate::agent::logs) fn parse<'a>(
    record: &'a str,
    reading: &Reading,
) -> Option<Envelope<'a>> {
    let mut envelope = Envelope::default();
    envelope.take(Object::parse(record)?, 0, reading);
    let is_log =
        !envelope.message.is_empty() || (envelope.time.is_some() && envelope.level.is_some());
    is_log.then_some(envelope)
}

impl<'a> Envelope<'a> {
    fn take(&mut self, object: Object<'a>, depth: u32, reading: &Reading) {
        self.pairs.0.reserve(object.0.len());
        for (key, raw) in object.0 {
            let raw = raw.get();
            if raw.starts_with('{')
                && depth < MAX_DEPTH
                && let Some(inner) = Object::parse(raw)
            {
                match &*key {
                    "error" => self.take_error(inner),
                    // Tracing, Lodestar and ECS nest what others print flat.
                    "fields" | "context" | "log" | "span" => self.take(inner, depth + 1, reading),
                    _ => self.flatten(&key, inner),
                }
                continue;
            }
            let value = plain(raw);
            if let Some(value) = self.take_usual(&key, value, reading) {
                self.pairs.0.push((key, value));
            }
        }
    }

    /// `{"block": {"number": 1}}` as `block.number`.
    fn flatten(&mut self, key: &str, object: Object<'a>) {
        let inner = object.0.into_iter();
        let dotted = inner.map(|(name, raw)| (format!("{key}.{name}").into(), plain(raw.get())));
        self.pairs.0.extend(dotted);
    }

    /// Gives the value back where the key is none that every record has.
    fn take_usual(
        &mut self,
        key: &str,
        value: Cow<'a, str>,
        reading: &Reading,
    ) -> Option<Cow<'a, str>> {
        let slot = match key {
            "message" | "msg" | "short_message" => &mut self.message,
            "logger" | "module" | "prefix" | "target" | "class" | "topics" | "logger_name"
            | "loggerName" | "log.logger" | "_logger" | "LoggerName" => &mut self.logger,
            "thread" | "thread_name" | "threadName" | "_thread" => &mut self.thread,
            "throwable" | "stack_trace" | "stack" | "full_message" | "exception" => {
                &mut self.stack_trace
            }
            "level" | "lvl" | "severity" | "log.level" if self.level.is_none() => {
                let number = || Level::of_syslog(value.parse().ok()?);
                self.level = Level::parse(&value).or_else(number);
                return self.level.is_none().then_some(value);
            }
            "time" | "ts" | "t" | "timestamp" | "@timestamp" if self.time.is_none() => {
                self.time = any_time(&value, reading);
                return self.time.is_none().then_some(value);
            }
            _ => return Some(value),
        };
        if !slot.is_empty() {
            return Some(value);
        }
        *slot = value;
        None
    }

    /// `{"message", "code", "stack"}`
    fn take_error(&mut self, object: Object<'a>) {
        for (key, raw) in object.0 {
            let value = plain(raw.get());
            match &*key {
                "stack" | "stack_trace" => self.stack_trace = value,
                "message" => self.error = value,
                "code" if self.error.is_empty() => self.error = value,
                _ => self.pairs.0.push((key, value)),
            }
        }
    }
}

/// As any logger prints a time: whole, without a year, or as seconds since 1970.
pub(in crate::agent::logs) fn any_time(text: &str, reading: &Reading) -> Option<LogTime> {
    if let Some(time) = time::parse_full(text, reading.zone) {
        return Some(time);
    }
    if let Some((day, clock, "")) = time::month_day(text).or_else(|| time::month_bar_clock(text)) {
        return reading
            .zone
            .resolve_yearless(day, clock, reading.written_at);
    }
    let seconds = number::decimal(text)?;
    let at = DateTime::from_timestamp_millis((seconds * 1e3).round() as i64)?;
    Some(LogTime { at, doubt: None })
}

/// Text as text; anything else as it stands.
fn plain(raw: &str) -> Cow<'_, str> {
    let is_simple = raw.starts_with('"') && memchr::memchr(b'\\', raw.as_bytes()).is_none();
    if is_simple {
        return Cow::Borrowed(&raw[1..raw.len() - 1]);
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(if raw == "null" { "" } else { raw }),
    }
}

/// An object's fields in their order, the values unread.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if !text.starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    fields.push((plain(key.get()), value));
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
