//! Whether a data stream's mapping takes a document, in Elasticsearch's words. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, NaiveDate};
use serde_json::{Map, Value};

use super::error::{Error, json_kind};

/// The composed mapping of a data stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    fields: BTreeMap<String, Field>,
    is_strict: bool,
}

#[derive(Debug, Clone)]
struct Field {
    kind: String,
    depth_limit: usize,
    /// Of a `nested` field.
    inner: Option<Mapping>,
}

/// Names that are no fields of a document.
const METADATA: [&str; 4] = ["_id", "_source", "_index", "_routing"];

impl Mapping {
    /// Adds what a template says; the later one wins.
    pub(crate) fn add(&mut self, mappings: &Value) {
        if let Some(dynamic) = mappings.get("dynamic") {
            self.is_strict = dynamic == "strict";
        }
        self.add_properties("", mappings);
    }

    fn add_properties(&mut self, prefix: &str, mapping: &Value) {
        for (name, definition) in mapping["properties"].as_object().into_iter().flatten() {
            let path = format!("{prefix}{name}");
            let kind = definition["type"].as_str().unwrap_or("object");
            if kind == "object" {
                self.add_properties(&format!("{path}."), definition);
                continue;
            }
            let inner = (kind == "nested").then(|| {
                let mut inner = Self {
                    is_strict: self.is_strict,
                    ..Self::default()
                };
                inner.add_properties("", definition);
                inner
            });
            let depth_limit = definition["depth_limit"].as_u64().unwrap_or(20) as usize;
            let field = Field {
                kind: kind.to_owned(),
                depth_limit,
                inner,
            };
            self.fields.insert(path, field);
        }
    }

    /// The document, or why it is refused.
    pub(crate) fn judge(&self, source: &[u8]) -> Result<Map<String, Value>, Error> {
        if source.trim_ascii().is_empty() {
            return Err(parsing("[0:0] failed to parse, document is empty"));
        }
        let document = match serde_json::from_slice(source) {
            Ok(Value::Object(document)) => document,
            Ok(_) => return Err(parsing("Malformed content, must start with an object")),
            Err(error) => {
                let cause = (json_kind(&error), error.to_string());
                return Err(parsing(format!("failed to parse: {error}")).because(cause.0, cause.1));
            }
        };
        self.check("", &document)?;
        match document.get("@timestamp") {
            None | Some(Value::Null) => {
                let reason = "data stream timestamp field [@timestamp] is missing";
                Err(parsing(format!("failed to parse: {reason}"))
                    .because("illegal_argument_exception", reason))
            }
            Some(_) => Ok(document),
        }
    }

    fn check(&self, prefix: &str, object: &Map<String, Value>) -> Result<(), Error> {
        for (name, value) in object {
            if name.is_empty() {
                return Err(parsing("field name cannot be an empty string"));
            }
            let path = format!("{prefix}{name}");
            if prefix.is_empty() && METADATA.contains(&name.as_str()) {
                return Err(unfit(&path, "metadata", value));
            }
            match self.fields.get(&path) {
                Some(field) => field.check(&path, value)?,
                None => self.check_object(&path, value)?,
            }
        }
        Ok(())
    }

    /// A name that is no field: perhaps the beginning of some.
    fn check_object(&self, path: &str, value: &Value) -> Result<(), Error> {
        let prefix = format!("{path}.");
        let is_object = self.fields.range(prefix.clone()..).next();
        let is_object = is_object.is_some_and(|(name, _)| name.starts_with(&prefix));
        if !is_object {
            return match self.is_strict {
                true => Err(Error::new(
                    400,
                    "strict_dynamic_mapping_exception",
                    format!(
                        "mapping set to strict, dynamic introduction of [{path}] is not allowed"
                    ),
                )),
                false => Ok(()),
            };
        }
        match value {
            Value::Null => Ok(()),
            Value::Object(object) => self.check(&prefix, object),
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.check_object(path, item)),
            _ => Err(parsing(format!(
                "object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
            ))),
        }
    }
}

impl Field {
    fn check(&self, path: &str, value: &Value) -> Result<(), Error> {
        let fits = match (self.kind.as_str(), value) {
            (_, Value::Null) => true,
            ("flattened", value) => return self.check_flattened(path, value),
            ("date", Value::Array(items)) if path == "@timestamp" && items.len() > 1 => false,
            (_, Value::Array(items)) => {
                return items.iter().try_for_each(|item| self.check(path, item));
            }
            ("nested", Value::Object(object)) => {
                let inner = self.inner.as_ref();
                return inner.map_or(Ok(()), |inner| inner.check("", object));
            }
            ("keyword" | "text", value) => !value.is_object(),
            ("long", Value::Number(number)) => number
                .as_f64()
                .is_some_and(|n| fits_long(n, number.as_u64())),
            ("long", Value::String(text)) => {
                text.is_empty()
                    || text
                        .parse::<f64>()
                        .is_ok_and(|n| fits_long(n, text.parse().ok()))
            }
            ("float", Value::Number(number)) => {
                number.as_f64().is_some_and(|n| (n as f32).is_finite())
            }
            ("float", Value::String(text)) => {
                text.is_empty() || text.parse::<f32>().is_ok_and(f32::is_finite)
            }
            ("double", Value::Number(_)) => true,
            ("double", Value::String(text)) => {
                text.is_empty() || text.parse::<f64>().is_ok_and(f64::is_finite)
            }
            ("boolean", Value::Bool(_)) => true,
            ("boolean", Value::String(text)) => matches!(text.as_str(), "true" | "false" | ""),
            ("date", Value::Number(_)) => true,
            ("date", Value::String(text)) => is_date(text),
            ("ip", Value::String(text)) => text.parse::<IpAddr>().is_ok(),
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(unfit(path, &self.kind, value))
        }
    }

    fn check_flattened(&self, path: &str, value: &Value) -> Result<(), Error> {
        let objects: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            value => vec![value],
        };
        let fits = objects
            .iter()
            .all(|value| value.is_object() && depth(value) <= self.depth_limit);
        if fits {
            Ok(())
        } else {
            Err(unfit(path, &self.kind, value))
        }
    }
}

/// Objects inside each other.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn fits_long(number: f64, exact: Option<u64>) -> bool {
    number.abs() <= i64::MAX as f64 && exact.is_none_or(|exact| i64::try_from(exact).is_ok())
}

/// `strict_date_optional_time||epoch_millis`, as far as the tests go.
fn is_date(text: &str) -> bool {
    let is_day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
    let is_year = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    DateTime::parse_from_rfc3339(text).is_ok()
        || (text.len() == 10 && is_day(text))
        || is_year
        || text.parse::<i64>().is_ok()
}

fn parsing(reason: impl Into<String>) -> Error {
    Error::new(400, "document_parsing_exception", reason)
}

fn unfit(path: &str, kind: &str, value: &Value) -> Error {
    parsing(format!(
        "failed to parse field [{path}] of type [{kind}]. Preview of field's value: '{value}'"
    ))
    .because(
        "illegal_argument_exception",
        format!("{value} is no {kind}"),
    )
}
