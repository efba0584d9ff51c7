//! A table of examples per processor.

use serde_json::{Value, json};

use super::{apply, chain};
use crate::event::DataStream;

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
        "type = \"truncate\"\nfields = [\"labels\"]\nmax_chars = 1",
        &[(
            json!({"labels": {"a": "xy", "b": ["x", "yz"], "c": 12}}),
            Ok(
                json!({"labels": {"a": "x", "b": ["x", "y"], "c": 12}, "log": {"flags": ["truncated"]}}),
            ),
        )],
    );
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
