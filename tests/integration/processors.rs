//! `ethmon check processors` and `check config`, as they are called.

use std::fs;
use std::path::Path;
use std::process::Command;

use ethmon::agent::envelope::{Envelope, Identity};
use ethmon::agent::process::Fate;
use ethmon::config;
use ethmon::elastic::Verdict;
use ethmon::event::{DataStream, Document, DocumentId, Event};
use ethmon::slot;
use serde_json::{Map, Value, json};

use crate::support;

/// Exit code and output.
fn ethmon(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ethmon"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_shipped_processors_pass_their_cases() {
    let config = "deploy/processors/agent.toml";
    let cases = "deploy/processors/cases.toml";
    let (code, text) = ethmon(&["check", "config", config]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = ethmon(&["check", "processors", "--config", config, cases]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.ends_with("10 processors, 10 cases, 0 failed\n"),
        "{text}"
    );
}

#[test]
fn what_differs_is_shown_field_by_field() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(
        dir.path(),
        "agent.toml",
        r#"
[[processors]]
type = "drop_event"
when = 'log.level == "debug"'
[[processors]]
type = "convert"
field = "labels.n"
as = "integer"
"#,
    );
    let cases = write(
        dir.path(),
        "cases.toml",
        r#"
[[case]]
name = "fine"
stream = "logs-ethereum.client"
document = { log.level = "debug" }
dropped = true
[[case]]
name = "wrong"
stream = "logs-ethereum.client"
document = { message = "m", labels.n = "x" }
expect = { message = "other", labels.n = "x" }
absent = ["labels.n"]
[[case]]
name = "kept"
line = "a line"
dropped = true
[[case]]
name = "dropped"
stream = "logs-ethereum.client"
document = { log.level = "debug" }
expect = { log.level = "debug" }
"#,
    );
    let (code, text) = ethmon(&["check", "processors", "--config", &config, &cases]);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!(text.replace(&cases, "cases.toml"), @r#"
    ok      cases.toml: fine
    FAILED  cases.toml: wrong
            failed: 2 convert not_a_number
            message
              expected "other"
              found    "m"
            labels.n
              expected nothing
              found    "x"
    FAILED  cases.toml: kept
            expected to be dropped, and is kept
    FAILED  cases.toml: dropped
            dropped by processor 1 (drop_event)
    2 processors, 4 cases, 3 failed
    "#);
}

#[test]
fn cases_that_say_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), "agent.toml", "");
    for (case, part) in [
        ("", "there is no [[case]]"),
        (
            "[[case]]\nname = \"x\"\nlin = \"\"",
            "cases.toml:3:1: unknown field `lin`",
        ),
        (
            "[[case]]\nname = \"x\"\nline = \"l\"",
            "either fields to expect or miss, or `dropped = true`",
        ),
        (
            "[[case]]\nname = \"x\"\ndropped = true",
            "one of `line`, `document` and `json`",
        ),
        (
            "[[case]]\nname = \"x\"\ndropped = true\nline = \"a\\nb\"",
            "holds 2 records",
        ),
        ("[[case]]\nline = \"l\"\ndropped = true", "needs a name"),
        (
            "[[case]]\nname = \"x\"\ndropped = true\ndocument = {}\nstream = \"x\"",
            "no data stream is called",
        ),
    ] {
        let cases = write(dir.path(), "cases.toml", case);
        let (code, text) = ethmon(&["check", "processors", "--config", &config, &cases]);
        assert_eq!(code, 1, "{case}: {text}");
        assert!(text.contains(part), "{case}: {text}");
    }
}

/// One processor of each kind; the same as in the unit tests with arbitrary documents.
const EVERYTHING: &str = include_str!("../../src/agent/process/tests/everything.toml");

#[tokio::test]
async fn what_processors_make_is_taken_by_the_real_server() {
    let Some(url) = support::elasticsearch("what_processors_make") else {
        return;
    };
    let client = support::ready(&url).await;
    let namespace = support::config(&[&url]).namespace;
    let processors = config::parse_agent("agent.toml", EVERYTHING, &|_| None)
        .unwrap()
        .processors;
    let envelope = Envelope::new(&Identity {
        agent_id: "a".into(),
        namespace: namespace.clone(),
        labels: [
            ("region".into(), "eu".into()),
            ("a.b".into(), "node".into()),
        ]
        .into(),
        ..Identity::default()
    });
    let messages = [
        r#"{"x": {"y": {"z": [1, "two"]}}, "region": "us", "a.b": true, "slot": "0x10"}"#,
        "x labels.a.b=own",
        "x ethereum.slot=5",
        "x labels.deep.er.and.deep.er.still=1",
        "x labels.region.zone=b",
        "plain secret text",
    ];
    let stream = DataStream::ClientLog;
    let index = stream.name(&namespace);
    let records: Vec<_> = messages
        .iter()
        .map(|message| {
            let mut event = Event::new(stream, DocumentId::of(&[message]), slot::now())
                .with("message", *message)
                .with(
                    "ethereum.log.fields",
                    json!({"k.e.y": "secret", "n": {"m": 1}}),
                );
            let fate = processors.apply(&mut event, envelope.base(stream), |_| {});
            assert_eq!(fate, Fate::Kept);
            envelope.seal(event, slot::now())
        })
        .collect();
    let items: Vec<(&str, &str, Value)> = records
        .iter()
        .map(|record| {
            let document = serde_json::from_slice(record.document()).unwrap();
            (index.as_str(), record.id(), document)
        })
        .collect();
    let (body, count) = support::bulk(&items);
    let answer = client.bulk(body, count).await.unwrap();
    let stored = Verdict::Stored { duplicate: false };
    assert_eq!(answer.verdicts, vec![stored; count]);
    assert_eq!(support::count(&client, &index).await, count as u64);

    // An event's label wins over the node's, dots and all.
    let found = items.iter().map(|(_, _, document)| {
        let Value::Object(fields) = document.clone() else {
            return Map::new();
        };
        let labels = Document::from(fields).get("labels").cloned();
        labels
            .and_then(|labels| labels.as_object().cloned())
            .unwrap_or_default()
    });
    let found: Vec<Map<String, Value>> = found.collect();
    assert_eq!(
        (&found[0]["region"], &found[5]["region"]),
        (&json!("us"), &json!("eu"))
    );
}
