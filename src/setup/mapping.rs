//! The composed mapping of a data stream, and whether a document fits it. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::LazyLock;

use anyhow::Context;
use chrono::DateTime;
use serde_json::{Map, Value};

use super::objects::{COMPONENTS, stream_template};
use crate::event::{DataStream, Document};

/// Fields by their dotted names, with their definitions.
pub type Fields = BTreeMap<String, Value>;

/// All fields of a stream: its components' and its own.
pub fn fields(stream: DataStream) -> anyhow::Result<Fields> {
    let (name, text) = stream_template(stream);
    let template: Value =
        serde_json::from_str(text).with_context(|| format!("cannot read {name}.json"))?;
    let mut fields = Fields::new();
    let components = template["composed_of"].as_array().into_iter().flatten();
    for component in components.filter_map(Value::as_str) {
        // `ethmon@custom` is the operator's and not ours to know.
        if let Some((_, text)) = COMPONENTS.iter().find(|(name, _)| *name == component) {
            let component: Value = serde_json::from_str(text)?;
            collect(&mut fields, "", &component["template"]["mappings"]);
        }
    }
    collect(&mut fields, "", &template["template"]["mappings"]);
    Ok(fields)
}

/// Adds the fields of a mapping, written as trees or dotted, under their dotted names. A `nested` field is one field.
pub(super) fn collect(into: &mut Fields, prefix: &str, mapping: &Value) {
    for (name, definition) in mapping["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        if definition.get("properties").is_some() && definition["type"] != "nested" {
            collect(into, &format!("{path}."), definition);
        } else {
            into.insert(path, definition.clone());
        }
    }
}

/// Says which fields of a document its stream's template does not know, or knows with another type: such a document would be
/// refused, or kept without being searchable. Every producer's tests call this with what they produce.
pub fn template_accepts(stream: DataStream, document: &Document) -> Result<(), Vec<String>> {
    let fields = known(stream).map_err(|reason| vec![reason.to_owned()])?;
    let mut complaints = Vec::new();
    if document.timestamp().is_none() {
        complaints.push("@timestamp is missing or not a time".to_owned());
    }
    check_object(fields, "", document.as_map(), &mut complaints);
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints)
    }
}

/// Why a value can't be put into a field of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The template has no such field.
    Unknown,
    /// It has one of another type, or a less deep one.
    WrongType,
}

/// Whether a stream's template takes the value under the dotted name. An object is taken if each of its fields is.
pub fn accepts(stream: DataStream, path: &str, value: &Value) -> Result<(), Misfit> {
    let fields = known(stream).map_err(|_| Misfit::Unknown)?;
    if let Some(definition) = fields.get(path) {
        let mut complaints = Vec::new();
        check_value(path, definition, value, &mut complaints);
        return match complaints.is_empty() {
            true => Ok(()),
            false => Err(Misfit::WrongType),
        };
    }
    if let Some((definition, levels)) = flattened_above(fields, path) {
        return match levels + depth(value) <= depth_limit(definition) {
            true => Ok(()),
            false => Err(Misfit::WrongType),
        };
    }
    match value {
        Value::Object(object) if !object.is_empty() => object
            .iter()
            .try_for_each(|(key, value)| accepts(stream, &format!("{path}.{key}"), value)),
        _ => Err(Misfit::Unknown),
    }
}

/// Whether a document of the stream may have something under the dotted name: a field, what a flattened field holds, or
/// an object of fields.
pub fn knows(stream: DataStream, path: &str) -> bool {
    let Ok(fields) = known(stream) else {
        return false;
    };
    let below = format!("{path}.");
    let first_below = fields.range(below.clone()..).next();
    fields.contains_key(path)
        || flattened_above(fields, path).is_some()
        || first_below.is_some_and(|(name, _)| name.starts_with(&below))
}

/// Whether the dotted name lies in a flattened field, where any document of the stream may have it, or none.
pub fn leaves_open(stream: DataStream, path: &str) -> bool {
    known(stream).is_ok_and(|fields| flattened_above(fields, path).is_some())
}

/// The flattened field that holds `path`, and how many names deep.
fn flattened_above<'a>(fields: &'a Fields, path: &str) -> Option<(&'a Value, u64)> {
    path.match_indices('.').find_map(|(dot, _)| {
        let definition = fields.get(&path[..dot])?;
        let levels = path[dot..].matches('.').count() as u64;
        (definition["type"] == "flattened").then_some((definition, levels))
    })
}

fn known(stream: DataStream) -> Result<&'static Fields, &'static str> {
    static KNOWN: LazyLock<HashMap<DataStream, Result<Fields, String>>> = LazyLock::new(|| {
        let read = |stream| fields(stream).map_err(|error| format!("{error:#}"));
        DataStream::ALL.map(|stream| (stream, read(stream))).into()
    });
    match KNOWN.get(&stream) {
        Some(Ok(fields)) => Ok(fields),
        Some(Err(reason)) => Err(reason),
        None => Err("the stream has no template"),
    }
}

/// What [`template_accepts`] says of each, as a test's failure.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_accepted<'a>(events: impl IntoIterator<Item = &'a crate::event::Event>) {
    for event in events {
        if let Err(complaints) = template_accepts(event.stream, &event.document) {
            panic!("{:?}: {complaints:?}", event.stream);
        }
    }
}

fn check_object(
    fields: &Fields,
    prefix: &str,
    object: &Map<String, Value>,
    complaints: &mut Vec<String>,
) {
    for (key, value) in object {
        let path = format!("{prefix}{key}");
        match (fields.get(&path), value) {
            (Some(definition), value) => check_value(&path, definition, value, complaints),
            (None, Value::Object(object)) => {
                check_object(fields, &format!("{path}."), object, complaints);
            }
            // Elasticsearch takes several objects where it takes one.
            (None, Value::Array(items)) if items.iter().all(Value::is_object) => {
                for object in items.iter().filter_map(Value::as_object) {
                    check_object(fields, &format!("{path}."), object, complaints);
                }
            }
            (None, _) => complaints.push(format!("{path} is not in the template")),
        }
    }
}

fn check_value(path: &str, definition: &Value, value: &Value, complaints: &mut Vec<String>) {
    let kind = definition["type"].as_str().unwrap_or("object");
    if let Value::Array(items) = value
        && kind != "flattened"
    {
        for item in items {
            check_value(path, definition, item, complaints);
        }
        return;
    }
    if let (Value::Object(object), "nested") = (value, kind) {
        let mut inner = Fields::new();
        collect(&mut inner, &format!("{path}."), definition);
        check_object(&inner, &format!("{path}."), object, complaints);
        return;
    }
    if !value.is_null() && !fits(kind, definition, value) {
        let shown: String = value.to_string().chars().take(60).collect();
        complaints.push(format!(
            "{path} is {kind} in the template, and {shown} is not"
        ));
    }
}

/// Stricter than Elasticsearch, which would take "5" for a number and 5 for a keyword: numbers are numbers.
fn fits(kind: &str, definition: &Value, value: &Value) -> bool {
    match kind {
        "long" => value.as_i64().is_some(),
        "float" => value
            .as_f64()
            .is_some_and(|number| number.abs() <= f64::from(f32::MAX)),
        "double" => value.is_number(),
        "boolean" => value.is_boolean(),
        "date" => {
            value.as_i64().is_some()
                || value
                    .as_str()
                    .is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok())
        }
        "ip" => value
            .as_str()
            .is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "keyword" | "text" => value.is_string(),
        "flattened" => value.is_object() && depth(value) <= depth_limit(definition),
        _ => false,
    }
}

/// Elasticsearch's own, where the template sets none.
fn depth_limit(flattened: &Value) -> u64 {
    flattened["depth_limit"].as_u64().unwrap_or(20)
}

/// Levels of objects, the outermost included, as Elasticsearch counts them for `depth_limit`.
fn depth(value: &Value) -> u64 {
    match value {
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
