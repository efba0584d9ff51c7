//! `ethmon setup` against a real Elasticsearch.

use ethmon::elastic::{Client, Verdict};
use ethmon::event::DataStream;
use ethmon::setup::{self, Mode, Options, Part};
use serde_json::{Value, json};

use crate::support::{self, TEMPLATES, bulk};

async fn run(client: &Client, mode: Mode, only: Option<Part>) -> (bool, String) {
    let mut report = Vec::new();
    let good = setup::run(client, &Options { mode, only }, &mut report)
        .await
        .unwrap();
    (good, String::from_utf8(report).unwrap())
}

/// The report's lines about objects whose outcome is none of `outcomes`.
fn others<'a>(report: &'a str, outcomes: &[&str]) -> Vec<&'a str> {
    report
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter(|line| !outcomes.iter().any(|outcome| line.starts_with(outcome)))
        .collect()
}

#[tokio::test]
async fn the_second_setup_changes_nothing() {
    let Some(url) = support::elasticsearch("the_second_setup_changes_nothing") else {
        return;
    };
    let client = support::ready(&url).await;
    let _alone = TEMPLATES.lock().await;
    let (good, report) = run(&client, Mode::Apply, None).await;
    assert!(good, "{report}");
    assert_eq!(
        others(&report, &["unchanged", "left out"]),
        Vec::<&str>::new(),
        "{report}"
    );
    assert!(
        report.contains("retention") && report.lines().count() > 30,
        "{report}"
    );
    let (good, report) = run(&client, Mode::Check, None).await;
    assert!(good, "{report}");
}

#[tokio::test]
async fn a_foreign_change_is_told_and_taken_back() {
    let Some(url) = support::elasticsearch("a_foreign_change_is_told") else {
        return;
    };
    let client = support::ready(&url).await;
    let _alone = TEMPLATES.lock().await;
    // Changes that don't matter to tests running meanwhile: a field more, another description.
    let mut changed = Vec::new();
    for (path, body) in [
        (
            "_component_template/ethmon-metricset",
            "/component_templates/0/component_template",
        ),
        (
            "_index_template/ethmon-logs-ethereum.reorg",
            "/index_templates/0/index_template",
        ),
    ] {
        let mut theirs = client
            .get(path, &[])
            .await
            .unwrap()
            .body
            .pointer(body)
            .unwrap()
            .clone();
        for server_only in ["created_date_millis", "modified_date_millis"] {
            theirs.as_object_mut().unwrap().remove(server_only);
        }
        changed.push((path, theirs));
    }
    changed[0].1["template"]["mappings"]["properties"]["metricset.foreign"] =
        json!({"type": "long"});
    changed[1].1["_meta"]["description"] = "theirs".into();
    for (path, theirs) in &changed {
        let reply = client.put(path, &[], Some(theirs)).await.unwrap();
        assert!(reply.is_success(), "{}", reply.reason());
    }

    for _ in 0..2 {
        let (good, report) = run(&client, Mode::Check, None).await;
        assert!(!good, "{report}");
        let told = others(&report, &["unchanged", "left out"]);
        assert_eq!(told.len(), 2, "{report}");
        assert!(
            told[0].starts_with("differs") && told[0].ends_with("ethmon-metricset"),
            "{report}"
        );
        assert!(
            told[1].starts_with("differs") && told[1].ends_with("ethereum.reorg"),
            "{report}"
        );
        let field = "    template.mappings.properties.metricset.foreign: ours nothing, theirs {\"type\":\"long\"}\n";
        assert!(report.contains(field), "{report}");
        assert!(
            report.contains("    _meta.description: ours \"One document per reorg"),
            "{report}"
        );
    }
    let (good, report) = run(&client, Mode::Apply, Some(Part::Templates)).await;
    assert!(good, "{report}");
    let told = others(&report, &["unchanged"]);
    assert!(
        told.len() == 2 && told.iter().all(|line| line.starts_with("updated")),
        "{report}"
    );
    assert!(run(&client, Mode::Check, None).await.0);
}

/// The server composes what we compose, and takes a document in each stream.
#[tokio::test]
async fn every_template_compiles() {
    let Some(url) = support::elasticsearch("every_template_compiles") else {
        return;
    };
    let client = support::ready(&url).await;
    // Another test adds a field to all streams of a kind for a while.
    let _alone = TEMPLATES.lock().await;
    let namespace = support::config(&[&url]).namespace;
    let names = DataStream::ALL.map(|stream| stream.name(&namespace));
    let document = json!({"@timestamp": "2026-01-01T00:00:00.000Z", "labels": {"region": "eu"}, "host": {"ip": ["::1"]}});
    let items: Vec<_> = names
        .iter()
        .map(|name| (&**name, "1", document.clone()))
        .collect();
    let (body, count) = bulk(&items);
    let verdicts = client.bulk(body, count).await.unwrap().verdicts;
    assert_eq!(
        verdicts,
        vec![Verdict::Stored { duplicate: false }; names.len()]
    );
    for (stream, name) in DataStream::ALL.into_iter().zip(&names) {
        let mapping = client.get(&format!("{name}/_mapping"), &[]).await.unwrap();
        let index = mapping.body.as_object().unwrap().values().next().unwrap();
        let dynamic = if name.starts_with("metrics-system") {
            "false"
        } else {
            "strict"
        };
        assert_eq!(index["mappings"]["dynamic"], dynamic, "{name}");
        let wanted = setup::fields(stream).unwrap();
        assert_eq!(leaves(&index["mappings"]), wanted.len(), "{name}");
        let settings = client
            .get(&format!("{name}/_settings"), &[("flat_settings", "true")])
            .await
            .unwrap();
        let settings = settings
            .body
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        let interval = settings["settings"]["index.refresh_interval"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(["1s", "10s"].contains(&&*interval), "{name}: {interval}");
    }
}

fn leaves(mapping: &Value) -> usize {
    let fields = mapping["properties"].as_object().unwrap();
    fields
        .values()
        .map(|field| {
            if field.get("properties").is_some() && field["type"] != "nested" {
                leaves(field)
            } else {
                1
            }
        })
        .sum()
}

#[tokio::test]
async fn new_fields_reach_a_data_stream_that_exists() {
    let Some(url) = support::elasticsearch("new_fields_reach_a_data_stream") else {
        return;
    };
    let client = support::ready(&url).await;
    let _alone = TEMPLATES.lock().await;
    let name = DataStream::Reorg.name(&support::config(&[&url]).namespace);
    // As an older version would have left it: fewer fields, and one of another type.
    let old = json!({
        "index_patterns": [name], "priority": 900, "data_stream": {},
        "template": {"mappings": {"dynamic": "strict", "properties": {"@timestamp": {"type": "date"}, "event.kind": {"type": "text"}}}}
    });
    let template = format!("_index_template/{name}");
    assert!(
        client
            .put(&template, &[], Some(&old))
            .await
            .unwrap()
            .is_success()
    );
    let full = json!({"@timestamp": "2026-01-01T00:00:00.000Z", "ethereum": {"slot": 1}});
    let send = async |id: &str, document: &Value| {
        let (body, count) = bulk(&[(&name, id, document.clone())]);
        client.bulk(body, count).await.unwrap().verdicts.remove(0)
    };
    let stored = Verdict::Stored { duplicate: false };
    assert_eq!(
        send("1", &json!({"@timestamp": "2026-01-01T00:00:00.000Z"})).await,
        stored
    );
    assert!(matches!(send("2", &full).await, Verdict::Refused { .. }));
    assert!(client.delete(&template, &[]).await.unwrap().is_success());

    let (good, report) = run(&client, Mode::Check, Some(Part::Templates)).await;
    assert!(
        !good && report.contains("    ethereum.slot: ours"),
        "{report}"
    );
    // The new fields are added; the changed one needs a new index, and the report says so.
    let (good, report) = run(&client, Mode::Apply, Some(Part::Templates)).await;
    assert!(
        !good && report.contains(&format!("POST {name}/_rollover")),
        "{report}"
    );
    assert_eq!(send("2", &full).await, stored);
    assert!(
        client
            .post(&format!("{name}/_rollover"), &[], None)
            .await
            .unwrap()
            .is_success()
    );
    let (good, report) = run(&client, Mode::Apply, Some(Part::Templates)).await;
    assert!(good, "{report}");
}
