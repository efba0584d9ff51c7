//! The samples of all clients, line by line, against what a person says stands in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::recorded::documents;
use crate::agent::logs::Client;
use crate::event::Document;

/// Our actions for the kinds of the expected files; any other kind claims nothing about the chain.
const ACTIONS: [(&str, &[&str]); 9] = [
    ("block_received", &["block_received"]),
    ("block_imported", &["block_imported"]),
    ("head_updated", &["head_updated"]),
    ("reorg", &["reorg", "unwind"]),
    ("late_block", &["late_block"]),
    ("peers", &["peer_count", "low_peers"]),
    ("sync_progress", &["sync_progress"]),
    (
        "synced_status",
        &["slot_start", "sync_progress", "head_updated"],
    ),
    ("finalized", &["finalized"]),
];

const CHAIN: [&str; 6] = [
    "block_received",
    "block_imported",
    "head_updated",
    "reorg",
    "late_block",
    "finalized",
];

/// Names of the expected files and our fields. What a client does not print is not expected.
const FIELDS: [(&str, &[&str]); 26] = [
    ("slot", &["ethereum.slot"]),
    ("head_slot", &["ethereum.head.slot"]),
    ("epoch", &["ethereum.epoch"]),
    ("finalized_epoch", &["ethereum.finalized.epoch"]),
    ("peers", &["ethereum.peers.connected"]),
    ("number", &["ethereum.block.number"]),
    ("txs", &["ethereum.exec.tx_count"]),
    ("tx", &["ethereum.exec.tx_count"]),
    ("gas_used", &["ethereum.exec.gas_used"]),
    ("elapsed_ms", &["ethereum.duration_ms"]),
    ("blobs", &["ethereum.exec.blobs"]),
    ("attestations", &["ethereum.attestations"]),
    ("sync_bits", &["ethereum.sync_bits"]),
    (
        "distance",
        &["ethereum.sync.distance", "ethereum.log.fields.distance"],
    ),
    ("sync_distance", &["ethereum.sync.distance"]),
    ("client_depth", &["ethereum.reorg.reported_depth"]),
    ("blocks_dropped", &["ethereum.reorg.dropped"]),
    ("blocks_added", &["ethereum.reorg.added"]),
    ("new_slot", &["ethereum.reorg.new_slot"]),
    ("old_slot", &["ethereum.reorg.old_slot"]),
    ("ancestor_slot", &["ethereum.reorg.ancestor_slot"]),
    ("proposer", &["ethereum.proposer_index"]),
    ("total_ms", &["ethereum.delay.total_ms"]),
    ("observed_ms", &["ethereum.delay.observed_ms"]),
    ("arrival_ms", &["ethereum.delay.observed_ms"]),
    ("root", &["ethereum.block.root", "ethereum.head.root"]),
];

/// Names whose values are hashes, printed in any style, and our prefixes of them.
const HASHES: [(&str, &[&str]); 8] = [
    ("hash", &["ethereum.block.hash_prefix"]),
    (
        "hash_abbrev",
        &[
            "ethereum.block.hash_prefix",
            "ethereum.reorg.ancestor_hash_prefix",
        ],
    ),
    ("root_prefix", &["ethereum.block.root_prefix"]),
    ("head_root_abbrev", &["ethereum.head.root_prefix"]),
    ("head_root_prefix", &["ethereum.head.root_prefix"]),
    (
        "old_head",
        &[
            "ethereum.reorg.old_root_prefix",
            "ethereum.reorg.old_hash_prefix",
        ],
    ),
    (
        "new_head",
        &[
            "ethereum.reorg.new_root_prefix",
            "ethereum.reorg.new_hash_prefix",
        ],
    ),
    (
        "common_ancestor",
        &[
            "ethereum.reorg.ancestor_root_prefix",
            "ethereum.reorg.ancestor_hash_prefix",
        ],
    ),
];

#[test]
fn every_line_says_what_it_says() {
    let folder = Path::new("../shared/data/client-logs");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let expected: Vec<PathBuf> = files
        .filter(|path| path.to_string_lossy().ends_with(".expected.ndjson"))
        .collect();
    assert_eq!(expected.len(), 10);
    let mut compared = 0;
    for path in expected {
        let name = path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .replace(".expected.ndjson", "");
        let client: Client = name.split('-').next().unwrap().parse().unwrap();
        let log = folder.join(format!("{name}.log"));
        let by_line = by_line(&log, client);
        for line in fs::read_to_string(&path).unwrap().lines() {
            let expected: Value = serde_json::from_str(line).unwrap();
            compared += compare(&by_line, &expected, &name);
        }
    }
    assert!(compared > 300, "{compared} values were compared");
}

/// Documents by the number of the line on which their record begins.
fn by_line(log: &Path, client: Client) -> BTreeMap<u64, Document> {
    let text = fs::read(log).unwrap();
    let (documents, _) = documents(client, log);
    let number = |document: &Document| {
        let offset = usize::try_from(document.get_u64("log.offset").unwrap()).unwrap();
        let lines_before = text[..offset].iter().filter(|byte| **byte == b'\n').count();
        lines_before as u64 + 1
    };
    documents
        .into_iter()
        .map(|document| (number(&document), document))
        .collect()
}

/// How many values were compared.
fn compare(by_line: &BTreeMap<u64, Document>, expected: &Value, name: &str) -> usize {
    let line = expected["line"].as_u64().unwrap();
    let event = expected["event"].as_str().unwrap();
    let document = by_line.get(&line);
    if event == "continuation" {
        assert!(
            document.is_none(),
            "{name}:{line} belongs to the record before it"
        );
        return 0;
    }
    let document = document.unwrap_or_else(|| panic!("{name}:{line} has no document"));
    let shown = || format!("{name}:{line} {event} {document:?}");
    let action = document.get_str("event.action").unwrap();
    match ACTIONS.iter().find(|(kind, _)| *kind == event) {
        Some((_, actions)) => assert!(actions.contains(&action), "{}", shown()),
        None => assert!(!CHAIN.contains(&action), "{}", shown()),
    }
    if let Some(time) = expected["time"].as_str() {
        assert_eq!(
            document.timestamp().unwrap(),
            whole_time(time, document),
            "{}",
            shown()
        );
    }
    let mut compared = 0;
    for (key, value) in expected["fields"].as_object().into_iter().flatten() {
        let ours = FIELDS.iter().find(|(name, _)| name == key);
        if let Some((_, fields)) = ours {
            let found = fields.iter().find_map(|field| document.get(field));
            assert!(
                found.is_some_and(|found| is_same(found, value)),
                "{key}: {}",
                shown()
            );
            compared += 1;
        }
        if let Some((_, fields)) = HASHES.iter().find(|(name, _)| name == key) {
            let printed = value.as_str().unwrap().trim_start_matches("0x");
            let found = fields.iter().find_map(|field| document.get_str(field));
            assert!(
                found.is_some_and(|prefix| printed.starts_with(prefix)),
                "{key}: {}",
                shown()
            );
            compared += 1;
        }
    }
    compared
}

/// What the client does not print of a time is taken from the document.
fn whole_time(printed: &str, document: &Document) -> DateTime<Utc> {
    let ours = document.get_str("@timestamp").unwrap();
    let missing = "2026-03-14T21:40:11".len() - printed.split(['.', 'Z']).next().unwrap().len();
    let time: DateTime<Utc> = format!("{}{printed}", &ours[..missing]).parse().unwrap();
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap()
}

fn is_same(ours: &Value, expected: &Value) -> bool {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    match (number(ours), number(expected)) {
        (Some(ours), Some(expected)) => (ours - expected).abs() < 1e-6,
        _ => ours == expected,
    }
}
