//! The shipped objects: complete, tidy, and a guard that refuses what they don't know.

mod producers;
mod rules;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::objects::{COMPONENTS, INDICES, ROLES, all, stream_template};
use super::{Fields, Kind, fields, pretty, template_accepts};
use crate::event::{DataStream, Document};

fn folder(name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("index-templates")
        .join(name);
    std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn names(embedded: impl IntoIterator<Item = (&'static str, &'static str)>) -> BTreeSet<String> {
    embedded
        .into_iter()
        .map(|(name, _)| format!("{name}.json"))
        .collect()
}

#[test]
fn every_file_is_embedded_and_every_stream_has_one() {
    assert_eq!(folder("components"), names(COMPONENTS));
    assert_eq!(folder("indices"), names(INDICES));
    assert_eq!(folder("roles"), names(ROLES));
    assert_eq!(
        folder("streams"),
        names(DataStream::ALL.map(stream_template))
    );
    for stream in DataStream::ALL {
        assert_eq!(stream_template(stream).0, stream.prefix());
    }
}

#[test]
fn files_are_written_in_the_one_way() {
    let streams = DataStream::ALL.map(stream_template);
    for (name, text) in COMPONENTS
        .into_iter()
        .chain(INDICES)
        .chain(ROLES)
        .chain(streams)
    {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            text,
            pretty(&value),
            "{name}.json is not in its normal form"
        );
    }
}

#[test]
fn index_templates_keep_the_rules() {
    for object in all().unwrap() {
        if object.kind != Kind::IndexTemplate {
            continue;
        }
        let name = object.name.strip_prefix("ethmon-").unwrap();
        assert_eq!(object.body["index_patterns"], json!([format!("{name}-*")]));
        assert!(object.body["priority"].as_u64().unwrap() >= 500, "{name}");
        assert_eq!(object.body["data_stream"], json!({}));
        assert!(object.body["_meta"]["description"].is_string(), "{name}");
        // Elastic Agent's system integration writes into streams of the same names: its fields are kept, not refused.
        let tolerant = name.starts_with("metrics-system.");
        let dynamic = &object.body["template"]["mappings"]["dynamic"];
        assert_eq!(
            *dynamic,
            if tolerant { json!(false) } else { Value::Null },
            "{name}"
        );
        for component in object.body["composed_of"].as_array().unwrap() {
            let component = component.as_str().unwrap();
            let known = COMPONENTS.iter().any(|(name, _)| *name == component);
            assert!(
                known || component == "ethmon@custom",
                "{name} names {component}"
            );
        }
    }
}

/// The types that every supported server has, the stripped test distribution included.
const TYPES: [&str; 10] = [
    "keyword",
    "text",
    "flattened",
    "long",
    "double",
    "float",
    "date",
    "ip",
    "boolean",
    "nested",
];

#[test]
fn fields_have_known_types_and_bounded_terms() {
    for stream in DataStream::ALL {
        let fields = fields(stream).unwrap();
        assert!(
            fields.len() < 300,
            "{stream:?}: near the limit of 400 that ethmon-settings sets"
        );
        for (path, definition) in &fields {
            let kind = definition["type"].as_str().unwrap();
            assert!(TYPES.contains(&kind), "{stream:?} {path}: {kind}");
            if matches!(kind, "keyword" | "flattened") {
                assert!(
                    definition["ignore_above"].is_u64(),
                    "{stream:?} {path}: no ignore_above"
                );
            }
            // A field cannot be an object as well.
            let inside = format!("{path}.");
            assert!(
                !fields.keys().any(|other| other.starts_with(&inside)),
                "{stream:?} {path}"
            );
        }
    }
}

fn document(value: Value) -> Document {
    let Value::Object(mut fields) = value else {
        panic!("not an object")
    };
    fields.insert("@timestamp".into(), "2026-01-01T00:00:00.000Z".into());
    Document::from(fields)
}

fn complaints(stream: DataStream, value: Value) -> Vec<String> {
    template_accepts(stream, &document(value))
        .err()
        .unwrap_or_default()
}

#[test]
fn a_fitting_document_passes_nested_or_dotted() {
    let value = json!({
        "ethereum": {"slot": 5, "block": {"root": "0x01"}, "arrival_ms": -3, "payload": {"any": {"thing": [1, {"x": null}]}}},
        "labels": {"region": "eu"},
        "host.ip": ["127.0.0.1", "::1"],
        "event": {"created": "2026-01-01T00:00:00Z", "kind": null},
        "ethereum.clock_offset_ms": 1
    });
    assert_eq!(
        complaints(DataStream::BeaconEvent, value),
        Vec::<String>::new()
    );
}

#[test]
fn unknown_and_ill_typed_fields_are_named() {
    let value = json!({
        "ethereum": {"slot": "5", "nope": 1, "block": {"root": 7}, "arrival_ms": 1.5, "late": "true", "topic": {"a": 1}},
        "labels": "eu",
        "host": {"ip": ["localhost"]},
        "event": {"created": "yesterday"}
    });
    let mut told: Vec<_> = complaints(DataStream::BeaconEvent, value)
        .into_iter()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "ethereum.arrival_ms",
            "ethereum.block.root",
            "ethereum.late",
            "ethereum.nope",
            "ethereum.slot",
            "ethereum.topic",
            "event.created",
            "host.ip",
            "labels",
        ]
    );
    let beyond = json!({"ethereum": {"slot": u64::MAX}});
    assert_eq!(
        complaints(DataStream::Block, beyond).len(),
        1,
        "beyond a long"
    );
    let no_time = template_accepts(DataStream::Block, &Document::default());
    assert_eq!(
        no_time.unwrap_err(),
        ["@timestamp is missing or not a time"]
    );
}

#[test]
fn nested_fields_are_checked_inside() {
    let seen = |seen: Value| {
        complaints(
            DataStream::NetworkBlock,
            json!({"ethereum": {"seen": seen}}),
        )
    };
    let node = json!({"node": "a", "arrival_ms": -5, "late": false});
    assert!(seen(json!([node, node])).is_empty() && seen(node).is_empty());
    assert_eq!(
        seen(json!([{"node": "a", "nope": 1}])),
        ["ethereum.seen.nope is not in the template"]
    );
    assert_eq!(seen(json!([{"arrival_ms": "5"}])).len(), 1);
    assert_eq!(seen(json!(["a"])).len(), 1);
}

#[test]
fn flattened_fields_have_a_depth() {
    let nested = |levels: usize| (1..levels).fold(json!({"x": 1}), |inner, _| json!({"x": inner}));
    assert!(complaints(DataStream::ClientLog, json!({"labels": nested(5)})).is_empty());
    assert_eq!(
        complaints(DataStream::ClientLog, json!({"labels": nested(6)})).len(),
        1
    );
}

/// What a real Metricbeat wrote is what our templates of the same sets know, beyond what we leave out on purpose.
#[test]
fn recorded_metricbeat_documents_fit() {
    let left_out = [
        "event.ingested",
        "host.containerized",
        "agent.hostname",
        "system.memory.hugepages",
        "system.memory.swap",
        "system.memory.page_stats",
        "process.ppid",
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/metricbeat-system/metricbeat-7.17.29.ndjson");
    let text = std::fs::read_to_string(path).unwrap();
    let mut sets = BTreeSet::new();
    for line in text.lines() {
        let source: Value = serde_json::from_str(line).unwrap();
        let Value::Object(fields) = source else {
            panic!("not an object")
        };
        let document = Document::from(fields);
        let dataset = document
            .get_str("event.dataset")
            .unwrap_or_default()
            .to_owned();
        let Some(stream) = DataStream::from_prefix(&format!("metrics-{dataset}")) else {
            continue;
        };
        let complaints = template_accepts(stream, &document)
            .err()
            .unwrap_or_default();
        let unexpected: Vec<_> = complaints
            .iter()
            .filter(|line| !left_out.iter().any(|field| line.starts_with(field)))
            .collect();
        assert!(unexpected.is_empty(), "{dataset}: {unexpected:?}");
        sets.insert(dataset);
    }
    assert!(sets.len() >= 5, "{sets:?}");
}
