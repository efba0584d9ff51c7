//! Records as many versions of the clients print them, with numbers of our own, and what has to be found in each; and
//! the same records as others carry them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::agent::logs::{Client, read};
use crate::event::Document;

/// One a line.
const VARIANTS: &str = include_str!("variants.ndjson");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    client: Client,
    record: String,
    /// Any of these is right; where there are none, whatever claims nothing about the chain.
    #[serde(default)]
    actions: Vec<String>,
    /// By the names of the document's fields. More may be found.
    #[serde(default)]
    fields: Map<String, Value>,
}

const CHAIN: [&str; 6] = [
    "block_received",
    "block_imported",
    "head_updated",
    "reorg",
    "late_block",
    "finalized",
];

fn variants() -> Vec<Variant> {
    let variants = VARIANTS.lines().map(serde_json::from_str);
    variants.collect::<Result<_, _>>().unwrap()
}

/// The one document that a log of one record gives.
#[track_caller]
fn document(client: Client, log: &str) -> Document {
    let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
    let mut events = read(client, log, now);
    assert_eq!(events.len(), 1, "{log}");
    events.remove(0).document
}

#[test]
fn every_version_is_understood() {
    for variant in variants() {
        let record = &variant.record;
        let document = document(variant.client, &format!("{record}\n"));
        let action = document.get_str("event.action").unwrap();
        let is_right = match variant.actions.is_empty() {
            true => !CHAIN.contains(&action),
            false => variant.actions.iter().any(|right| right == action),
        };
        assert!(is_right, "{action} is wrong for {record}");
        assert_eq!(document.get("log.flags").filter(is_unknown), None);
        for (field, expected) in &variant.fields {
            let found = document.get(field);
            assert!(
                found.is_some_and(|found| is_same(found, expected)),
                "{field} is {found:?}, not {expected} in {record}"
            );
        }
    }
}

fn is_unknown(flags: &&Value) -> bool {
    let flags = flags.as_array().unwrap();
    flags.contains(&json!("unknown_format"))
}

fn is_same(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-4,
        _ => found == expected,
    }
}

/// What carries a line to the file that is read.
const CARRIERS: [fn(&str) -> String; 8] = [
    |line| format!("{line}\r\n"),
    |line| format!("\u{1b}[32m{line}\u{1b}[0m\n"),
    |line| format!("Nov 20 10:00:07 host unit[77]: {line}\n"),
    |line| format!("2026-11-20T10:00:07.123456+00:00 host unit[77]: {line}\n"),
    |line| format!("node-1  | {line}\n"),
    |line| format!("2026-11-20T10:00:07.123456789Z {line}\n"),
    |line| format!("2026-11-20T10:00:07.123456789Z stdout F {line}\n"),
    |line| {
        let log = json!(format!("{line}\n"));
        format!("{{\"log\":{log},\"stream\":\"stdout\",\"time\":\"2026-11-20T10:00:07.1Z\"}}\n")
    },
];

#[test]
fn whatever_carries_a_line_it_says_the_same() {
    let is_bare = |variant: &Variant| !variant.record.contains(['\n', '\u{1b}']);
    for Variant { client, record, .. } in variants().into_iter().filter(is_bare) {
        let bare = said(document(client, &format!("{record}\n")));
        if bare["ethereum"]["log"]["fields"]["transport"] != Value::Null {
            continue;
        }
        for carrier in CARRIERS {
            let log = carrier(&record);
            let mut carried = said(document(client, &log));
            if let Some(fields) = carried["ethereum"]["log"]["fields"].as_object_mut() {
                fields.remove("transport");
            }
            assert_eq!(without_empty(carried), without_empty(bare.clone()), "{log}");
        }
    }
}

/// All but what depends on place and time of reading.
fn said(document: Document) -> Value {
    let document = document.into_value();
    let mut ethereum = document["ethereum"].clone();
    for name in ["time_source", "written_at"] {
        if let Some(log) = ethereum["log"].as_object_mut() {
            log.remove(name);
        }
    }
    json!({
        "action": document["event"]["action"],
        "level": document["log"]["level"],
        "logger": document["log"]["logger"],
        "thread": document["process"]["thread"]["name"],
        "error": document["error"]["message"],
        "ethereum": ethereum,
    })
}

/// Objects that hold nothing are not there.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let fields = object
                .into_iter()
                .map(|(key, value)| (key, without_empty(value)));
            let is_full = |(_, value): &(String, Value)| *value != json!({}) && !value.is_null();
            Value::Object(fields.filter(is_full).collect())
        }
        other => other,
    }
}
