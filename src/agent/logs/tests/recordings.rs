//! Whole logs of real Prysm and Geth nodes: what a person would count in the text is found, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::recorded::{documents, text};
use crate::agent::logs::Client;
use crate::event::Document;

const DATA: &str = "../shared/data";

fn logs(names: &[&str]) -> Vec<PathBuf> {
    names
        .iter()
        .map(|name| PathBuf::from(format!("{DATA}/{name}")))
        .collect()
}

fn prysm_logs() -> Vec<PathBuf> {
    logs(&[
        "prysm/run1/beacon-text-debug.log",
        "prysm/run1/validator-text.log",
        "prysm/run2/beaconA-json-debug.log",
        "prysm/run2/beaconB-text-info.log",
        "prysm/run2/validatorA-json.log",
        "prysm/crash-json.log",
        "devnet/mixed-split-9/node-a/beacon-debug.log.gz",
    ])
}

fn geth_logs() -> Vec<PathBuf> {
    logs(&[
        "client-logs/geth-dev-terminal.log",
        "client-logs/geth-dev-logfmt.log",
        "client-logs/geth-dev-json.log",
        "client-logs/geth-post-merge-terminal.log",
        "client-logs/geth-post-merge-logfmt.log",
        "client-logs/geth-post-merge-json.log",
        "devnet/geth-split-6/node-a/geth.log.gz",
        "devnet/geth-split-6/node-b/geth.log.gz",
        "devnet/mixed-split-9/node-a/geth.log.gz",
    ])
}

/// Every action of the chain occurs as often as the phrases that mean it.
fn check(client: Client, logs: Vec<PathBuf>, phrases: &[(&str, &[&str])]) -> Vec<Document> {
    let mut all = Vec::new();
    for log in logs {
        let text = text(&log);
        let (documents, summary) = documents(client, &log);
        let mut actions = BTreeMap::<&str, usize>::new();
        for document in &documents {
            *actions
                .entry(document.get_str("event.action").unwrap())
                .or_default() += 1;
        }
        for (action, phrases) in phrases {
            let expected: usize = phrases
                .iter()
                .map(|phrase| text.matches(phrase).count())
                .sum();
            let found = actions.get(action).copied().unwrap_or(0);
            assert_eq!(found, expected, "{action} in {}", log.display());
        }
        assert_eq!(summary[3], 0, "errors in {}", log.display());
        assert!(summary[4] <= 1, "unknown in {}", log.display());
        all.extend(documents);
    }
    all
}

#[test]
fn prysm_as_recorded() {
    let documents = check(
        Client::Prysm,
        prysm_logs(),
        &[
            ("block_imported", &["\"Synced new block\""]),
            (
                "block_received",
                &["msg=\"Received block\"", "\"msg\":\"Received block\""],
            ),
            ("reorg", &["\"Chain reorg occurred\""]),
            ("peer_count", &["\"Connected peers\""]),
            ("head_updated", &[]),
            ("finalized", &[]),
            ("late_block", &[]),
        ],
    );
    let is_named = |document: &Document, name: &str| {
        let message = document.get_str("message").unwrap();
        message.contains(&format!(" {name}="))
    };
    for document in &documents {
        for (name, field) in [
            ("slot", "ethereum.slot"),
            ("epoch", "ethereum.epoch"),
            ("txCount", "ethereum.exec.tx_count"),
        ] {
            assert!(
                !is_named(document, name) || document.get(field).is_some_and(Value::is_i64),
                "{name} in {document:?}"
            );
        }
    }
    let reorg = documents
        .iter()
        .find(|document| document.get_str("event.action") == Some("reorg"))
        .unwrap();
    assert_eq!(reorg.get_u64("ethereum.reorg.reported_depth"), Some(22));
    // The crash: a record of its own without a time.
    let panic = documents
        .iter()
        .find(|document| document.get_str("message").unwrap().starts_with("panic: "))
        .unwrap();
    assert_eq!(panic.get_str("log.level"), Some("critical"));
    assert!(
        panic
            .get_str("error.stack_trace")
            .unwrap()
            .contains("goroutine 35403")
    );
}

#[test]
fn geth_as_recorded() {
    let documents = check(
        Client::Geth,
        geth_logs(),
        &[
            (
                "block_imported",
                &[
                    "Imported new potential chain segment",
                    "Imported new chain segment",
                ],
            ),
            ("head_updated", &["Chain head was updated"]),
            ("reorg", &["Chain reorg detected"]),
            ("peer_count", &["Looking for peers"]),
            ("block_received", &[]),
            ("unwind", &[]),
        ],
    );
    for document in &documents {
        let message = document.get_str("message").unwrap();
        let is_typed =
            !message.contains(" number=") || document.get_u64("ethereum.block.number").is_some();
        assert!(is_typed, "{document:?}");
    }
    let dropped: Vec<_> = documents
        .iter()
        .filter_map(|document| document.get_u64("ethereum.reorg.dropped"))
        .collect();
    assert!(dropped.contains(&13), "{dropped:?}");
}

#[test]
fn whose_log_it_is_shows_in_each() {
    for (client, logs) in [("prysm", prysm_logs()), ("geth", geth_logs())] {
        for log in logs {
            let (documents, _) = documents(Client::Auto, &log);
            let is_recognised = documents
                .iter()
                .all(|document| document.get_str("ethereum.node.client") == Some(client));
            assert!(is_recognised, "{}", log.display());
        }
    }
}
