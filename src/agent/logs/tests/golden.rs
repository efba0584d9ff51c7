//! A record in, what was understood out.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::agent::logs::client::Client;
use crate::agent::logs::record::{Parsed, Reading};
use crate::agent::logs::text::time::Zone;
use crate::event::Document;

pub(super) fn parse(client: Client, record: &str) -> Parsed<'_> {
    let at: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
    let reading = Reading {
        at,
        written_at: at,
        zone: Zone::Utc,
    };
    client.parse(record, &reading)
}

/// Compares action, level, logger, time and all typed fields.
#[track_caller]
pub(super) fn check(
    client: Client,
    record: &str,
    (action, level, logger): (&str, &str, &str),
    time: &str,
    fields: Value,
) {
    let parsed = parse(client, record);
    assert!(parsed.is_known, "{record}");
    assert_eq!(parsed.action.name(), action, "{parsed:?}");
    assert_eq!(
        parsed.level.map(|level| level.name()),
        Some(level),
        "{record}"
    );
    assert_eq!(parsed.logger, logger, "{record}");
    let time: DateTime<Utc> = time.parse().unwrap();
    assert_eq!(parsed.time.map(|time| time.at), Some(time), "{record}");
    assert!(
        client.begins_record(record.lines().next().unwrap()),
        "{record}"
    );
    let mut expected = Document::default();
    for (field, value) in fields.as_object().unwrap() {
        expected.set(
            format!("ethereum.{field}")
                .replace("ethereum.error", "error")
                .replace("ethereum.service", "service"),
            value.clone(),
        );
    }
    assert_eq!(
        parsed.fields.into_document().into_value(),
        expected.into_value(),
        "{record}"
    );
}
