//! A table of examples per processor, and what no processor may do.

use proptest::prelude::*;
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

/// One processor on documents of a client's log: `Err` where it fails and leaves the document as it was.
#[track_caller]
fn check(keys: &str, examples: &[(Value, Result<Value, &'static str>)]) {
    let chain = chain(&format!("[[processors]]\n{keys}"));
    for (before, expected) in examples {
        let (after, failures) = apply(&chain, DataStream::ClientLog, before.clone());
        let (document, reasons) = match expected {
            Ok(document) => (document, vec![]),
            Err(reason) => (before, vec![*reason]),
        };
        assert_eq!(failures, reasons, "{keys}\n{before}");
        assert_eq!(after.as_ref(), Some(document), "{keys}\n{before}");
    }
}

#[test]
fn add_fields() {
    check(
        "type = \"add_fields\"\nfields = { labels = { team = \"a\", \"x.y\" = 1 }, \"event.outcome\" = \"unknown\" }\nwhen = 'exists(message)'",
        &[
            (
                json!({"message": "m", "labels": {"team": "old"}}),
                Ok(
                    json!({"message": "m", "labels": {"team": "a", "x.y": 1}, "event": {"outcome": "unknown"}}),
                ),
            ),
            (
                json!({"log": {"offset": 1}}),
                Ok(json!({"log": {"offset": 1}})),
            ),
        ],
    );
}

#[test]
fn drop_fields() {
    check(
        "type = \"drop_fields\"\nfields = [\"event.original\", \"ethereum.log\"]",
        &[(
            json!({"message": "m", "event": {"original": "o"}, "ethereum": {"log": {"fields": {"a": 1}}, "slot": 2}}),
            Ok(json!({"message": "m", "ethereum": {"slot": 2}})),
        )],
    );
}

#[test]
fn rename() {
    check(
        "type = \"rename\"\nfrom = \"ethereum.log.fields.peers\"\nto = \"labels.peers\"",
        &[
            (
                json!({"ethereum": {"log": {"fields": {"peers": "5"}}}}),
                Ok(json!({"labels": {"peers": "5"}})),
            ),
            (json!({"message": "m"}), Ok(json!({"message": "m"}))),
            (
                json!({"ethereum": {"log": {"fields": {"peers": "5"}}}, "labels": {"peers": "6"}}),
                Err("target_exists"),
            ),
        ],
    );
    check(
        "type = \"rename\"\nfrom = \"labels.slot\"\nto = \"ethereum.slot\"\noverwrite = true",
        &[
            (
                json!({"labels": {"slot": 7}, "ethereum": {"slot": 1}}),
                Ok(json!({"ethereum": {"slot": 7}})),
            ),
            (json!({"labels": {"slot": "7"}}), Err("wrong_type")),
        ],
    );
}

#[test]
fn copy() {
    check(
        "type = \"copy\"\nfrom = \"message\"\nto = \"event.original\"",
        &[(
            json!({"message": "m"}),
            Ok(json!({"message": "m", "event": {"original": "m"}})),
        )],
    );
    check(
        "type = \"copy\"\nfrom = \"host.name\"\nto = \"labels.host\"",
        &[(json!({}), Ok(json!({"labels": {"host": "box"}})))],
    );
}

#[test]
fn convert() {
    let to = |kind: &str| format!("type = \"convert\"\nfield = \"labels.x\"\nas = \"{kind}\"");
    let label = |value: Value| json!({"labels": {"x": value}});
    let ok = |before: Value, after: Value| (label(before), Ok(label(after)));
    let bad = |before: Value, reason| (label(before), Err(reason));
    check(
        &to("integer"),
        &[
            ok(json!("-12"), json!(-12)),
            ok(json!(" 0x1F "), json!(31)),
            ok(json!("18446744073709551615"), json!(u64::MAX)),
            ok(json!(3.0), json!(3)),
            ok(json!(["1", 2]), json!([1, 2])),
            bad(json!(3.5), "not_a_number"),
            bad(json!("0x+1"), "not_a_number"),
            bad(json!(["1", "x"]), "not_a_number"),
            bad(json!(true), "not_a_number"),
        ],
    );
    check(
        &to("float"),
        &[
            ok(json!("1e3"), json!(1000.0)),
            bad(json!("inf"), "not_a_number"),
        ],
    );
    check(
        &to("boolean"),
        &[
            ok(json!("true"), json!(true)),
            bad(json!("yes"), "not_a_boolean"),
        ],
    );
    check(
        &to("string"),
        &[
            ok(json!(1.5), json!("1.5")),
            ok(json!(false), json!("false")),
            bad(json!({"a": 1}), "not_text"),
        ],
    );
    check(
        "type = \"convert\"\nfield = \"labels.x\"\nas = \"integer\"\nto = \"ethereum.slot\"",
        &[(
            label(json!("5")),
            Ok(json!({"labels": {"x": "5"}, "ethereum": {"slot": 5}})),
        )],
    );
}

#[test]
fn truncate() {
    check(
        "type = \"truncate\"\nfields = [\"message\", \"log.file.path\"]\nmax_chars = 3",
        &[
            (json!({"message": "äöü"}), Ok(json!({"message": "äöü"}))),
            (
                json!({"message": "äöüß", "log": {"flags": ["multiline"]}}),
                Ok(json!({"message": "äöü", "log": {"flags": ["multiline", "truncated"]}})),
            ),
        ],
    );
}

#[test]
fn redact() {
    check(
        "type = \"redact\"\npattern = 'secret-\\w+|^77$'",
        &[(
            json!({
                "message": "a secret-1 and secret-2",
                "labels": {"secret-3": "x", "list": ["secret-4", "y"], "ok": 1},
                "ethereum": {"slot": 77, "epoch": 78, "log": {"fields": {"deep": {"er": "secret-5"}}}},
                "event": {"dataset": "secret-6"},
            }),
            Ok(json!({
                "message": "a [redacted] and [redacted]",
                "labels": {"list": ["[redacted]", "y"], "ok": 1},
                "ethereum": {"epoch": 78, "log": {"fields": {"deep": {"er": "[redacted]"}}}},
                "event": {"dataset": "secret-6"},
            })),
        )],
    );
    check(
        "type = \"redact\"\nfields = [\"message\", \"ethereum.slot\", \"ethereum.log.fields\", \"labels.key\"]\nreplacement = \"$0\"",
        &[(
            json!({"message": "m", "ethereum": {"slot": 1, "epoch": 2, "log": {"fields": {"a": 1}}}, "labels": {"key": ["k"]}}),
            Ok(json!({"message": "$0", "ethereum": {"epoch": 2}, "labels": {"key": "$0"}})),
        )],
    );
}

#[test]
fn decode_json() {
    let message = |text: &str| json!({"message": text});
    check(
        "type = \"decode_json\"\nfield = \"message\"\nto = \"labels\"\nmax_bytes = 64",
        &[
            (
                message(r#"{"a": 1, "b.c": [true], "n": null, "o": {"p": "q"}}"#),
                Ok(json!({
                    "message": r#"{"a": 1, "b.c": [true], "n": null, "o": {"p": "q"}}"#,
                    "labels": {"a": 1, "b.c": [true], "o": {"p": "q"}},
                })),
            ),
            (
                json!({"log": {"offset": 1}}),
                Ok(json!({"log": {"offset": 1}})),
            ),
            (message("{\"a\""), Err("not_json")),
            (message("[1]"), Err("not_an_object")),
            (
                message(r#"{"a": {"b": {"c": {"d": {"e": 1}}}}}"#),
                Err("too_deep"),
            ),
            (
                message(&format!(r#"{{"a": "{}"}}"#, "x".repeat(64))),
                Err("too_long"),
            ),
            (message(r#"{"": 1}"#), Err("bad_name")),
            (message(r#"{"a": {"\u0000": 1}}"#), Err("bad_name")),
        ],
    );
    check(
        "type = \"decode_json\"\nfield = \"message\"\noverwrite = true",
        &[
            (
                message(r#"{"message": "m", "ethereum": {"slot": 5}, "log": {"level": "info"}}"#),
                Ok(json!({"message": "m", "ethereum": {"slot": 5}, "log": {"level": "info"}})),
            ),
            (message(r#"{"ethereum": {"slot": "5"}}"#), Err("wrong_type")),
            (
                message(r#"{"nobody": {"knows": "it"}}"#),
                Err("unknown_field"),
            ),
            (message(r#"{"agent": {"id": "me"}}"#), Err("protected")),
            (
                message(r#"{"labels": {"a": 1}, "labels.a": 2}"#),
                Err("wrong_type"),
            ),
        ],
    );
}

#[test]
fn dissect() {
    check(
        "type = \"dissect\"\nfield = \"message\"\npattern = \"%{method->} took %{took}ms\"\nto = \"labels\"",
        &[
            (
                json!({"message": "eth_call took 5ms"}),
                Ok(
                    json!({"message": "eth_call took 5ms", "labels": {"method": "eth_call", "took": "5"}}),
                ),
            ),
            (json!({"message": "other"}), Err("no_match")),
            (
                json!({"message": "a took 1ms", "labels": {"took": 1}}),
                Err("target_exists"),
            ),
        ],
    );
    check(
        "type = \"dissect\"\nfield = \"message\"\npattern = \"%{*k}=%{&k}\"",
        &[
            (
                json!({"message": "labels.a=b"}),
                Ok(json!({"message": "labels.a=b", "labels": {"a": "b"}})),
            ),
            (json!({"message": "_id=b"}), Err("protected")),
            (json!({"message": "agent.id=b"}), Err("protected")),
            (json!({"message": "nobody=b"}), Err("unknown_field")),
            (json!({"message": "=b"}), Err("bad_name")),
        ],
    );
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

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z{}\":=secret ä]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(
                "message|labels|log|fields|ethereum|event|slot|secret|a\\.b",
                inner,
                0..4
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_makes_a_processor_panic_and_none_leaks(
        fields in prop::collection::btree_map("message|labels|log|ethereum|event", json_values(), 0..5)
    ) {
        let chain = chain(include_str!("everything.toml"));
        let mut event = event(DataStream::ClientLog, Value::Object(fields.into_iter().collect()));
        chain.apply(&mut event, &base(), |_| {});
        prop_assert_eq!(event.document.get_str("@timestamp"), Some("1970-01-01T00:00:00.000Z"));
        let left = Value::Object(event.document.as_map().clone()).to_string();
        prop_assert!(!left.contains("secret"), "{}", left);
    }
}
