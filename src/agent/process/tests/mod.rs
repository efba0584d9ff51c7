//! Processors by example, and what no processor may do.

mod arbitrary;
mod table;

use serde_json::{Map, json};

use super::*;
use crate::config;
use crate::event::DocumentId;

const NODE: &str = "[node]\nlabels = { region = \"eu\" }\n";

fn chain(processors: &str) -> Chain {
    let text = format!("{NODE}{processors}");
    let config = config::parse_agent("agent.toml", &text, &|_| None);
    config
        .unwrap_or_else(|problem| panic!("{problem}\n{text}"))
        .processors
}

fn event(stream: DataStream, fields: Value) -> Event {
    let mut event = Event::new(stream, DocumentId::of(&["x"]), chrono::DateTime::UNIX_EPOCH);
    if let Value::Object(fields) = fields {
        event.document.merge_missing(&Document::from(fields));
    }
    event
}

fn base() -> Document {
    let mut base = Document::default();
    base.set("host.name", "box");
    base.set("labels", Map::from_iter([("region".into(), json!("eu"))]));
    base
}

/// What becomes of a document, and which failures were noted.
fn apply(chain: &Chain, stream: DataStream, fields: Value) -> (Option<Value>, Vec<&'static str>) {
    let mut event = event(stream, fields);
    let mut failures = Vec::new();
    let fate = chain.apply(&mut event, &base(), |note| {
        failures.extend(note.failure.map(Failure::name));
    });
    let mut document = event.document;
    document.as_map_mut().remove("@timestamp");
    let kept = (fate == Fate::Kept).then(|| document.into_value());
    (kept, failures)
}

#[test]
fn events_are_dropped_or_sampled_and_noted() {
    let chain = chain(
        r#"
        [[processors]]
        type = "drop_event"
        when = 'stream == "logs-ethereum.client" and log.level in ["debug", "trace"]'
        [[processors]]
        type = "sample"
        rate = 0.0
        when = 'system.cpu.total.pct < 0.5'
        "#,
    );
    let mut notes = Vec::new();
    let mut fate = |stream, fields| {
        chain.apply(&mut event(stream, fields), &base(), |note| {
            notes.push((note.number, note.kind, note.outcome()))
        })
    };
    assert_eq!(
        fate(DataStream::ClientLog, json!({"log": {"level": "debug"}})),
        Fate::Dropped
    );
    assert_eq!(
        fate(DataStream::ClientLog, json!({"log": {"level": "info"}})),
        Fate::Kept
    );
    assert_eq!(
        fate(
            DataStream::SystemCpu,
            json!({"system": {"cpu": {"total": {"pct": 0.1}}}})
        ),
        Fate::Dropped
    );
    assert_eq!(
        fate(
            DataStream::SystemCpu,
            json!({"system": {"cpu": {"total": {"pct": 0.9}}}})
        ),
        Fate::Kept
    );
    assert_eq!(
        notes,
        [(1, "drop_event", "dropped"), (2, "sample", "dropped")]
    );
}

#[test]
fn processors_follow_each_other_and_a_failure_stops_none() {
    let chain = chain(
        r#"
        [[processors]]
        type = "dissect"
        field = "message"
        pattern = "slot=%{labels.slot} %{}"
        [[processors]]
        type = "convert"
        field = "labels.slot"
        as = "integer"
        to = "ethereum.slot"
        [[processors]]
        type = "drop_fields"
        fields = ["labels.slot"]
        when = 'exists(ethereum.slot)'
        "#,
    );
    assert_eq!(
        apply(
            &chain,
            DataStream::ClientLog,
            json!({"message": "slot=5 x"})
        ),
        (
            Some(json!({"message": "slot=5 x", "ethereum": {"slot": 5}})),
            vec![]
        )
    );
    assert_eq!(
        apply(
            &chain,
            DataStream::ClientLog,
            json!({"message": "slot=? x"})
        ),
        (
            Some(json!({"message": "slot=? x", "labels": {"slot": "?"}})),
            vec!["not_a_number"]
        )
    );
    assert_eq!(
        apply(&chain, DataStream::SystemCpu, json!({})),
        (Some(json!({})), vec![])
    );
}

#[test]
fn every_kind_is_read_by_its_name() {
    for kind in Processor::KINDS {
        let read = Processor::read(kind, toml::de::Deserializer::parse("nokey = 1").unwrap());
        let error = read.expect("a kind").unwrap_err().to_string();
        assert!(error.contains("unknown field `nokey`"), "{kind}: {error}");
    }
}
