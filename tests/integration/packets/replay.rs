//! A capture in a file, as the agent reads it: the documents that the command prints, once, in an Elasticsearch that takes
//! them all.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use super::live::{Agent, LIMIT};
use super::{ours, recorded, text};
use crate::bulk_server::{Act, BulkServer};
use crate::support;

fn by_dataset(documents: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for document in documents {
        let dataset = text(document, "data_stream.dataset");
        // The agent's word about itself.
        if dataset != "ethmon.agent" {
            *counts.entry(dataset).or_default() += 1;
        }
    }
    counts
}

/// The command prints the dataset under its dotted name.
fn printed(capture: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for document in ours(&recorded(capture)) {
        let dataset = document["data_stream.dataset"].as_str().unwrap();
        *counts.entry(dataset.to_owned()).or_default() += 1;
    }
    counts
}

fn stored(server: &BulkServer) -> BTreeMap<String, usize> {
    let ids = server.stored();
    let documents: Vec<Value> = ids.iter().filter_map(|id| server.document(id)).collect();
    by_dataset(&documents)
}

#[test]
fn a_file_is_shipped_as_it_is_printed_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("agent.toml");
    let server = BulkServer::start(|_, _| Act::Serve);
    let text = format!(
        "data_dir = {:?}\n[elasticsearch]\nhosts = [\"{}\"]\n[packets]\nfile = {:?}\n",
        dir.path().join("data"),
        server.url(),
        recorded("dns.pcap")
    );
    fs::write(&config, text).unwrap();
    let expected = printed("dns.pcap");
    let documents: usize = expected.values().sum();
    assert!(documents > 60, "{expected:?}");

    let wait_until = |is_so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < LIMIT, "{:?}", stored(&server));
            thread::sleep(Duration::from_millis(50));
        }
    };
    let agent = Agent::start(&config);
    wait_until(&|| stored(&server) == expected);
    // Read to its end: a new configuration does not begin again.
    agent.signal(Signal::HUP);
    agent.wait_for_log("taking over the new configuration");
    drop(agent);
    assert_eq!(server.duplicates(), 0);
    let agent = Agent::start(&config);
    wait_until(&|| server.duplicates() >= documents);
    drop(agent);
    assert_eq!(stored(&server), expected);
}

#[tokio::test]
async fn elasticsearch_takes_every_document() {
    let Some(url) = support::elasticsearch("packets::replay") else {
        return;
    };
    let client = support::ready(&url).await;
    for name in ["dns", "http", "tls", "icmp", "sip"] {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("agent.toml");
        let namespace = support::config(&[&url]).namespace;
        let capture = format!("{name}.pcap");
        let text = format!(
            "data_dir = {:?}\n[elasticsearch]\nhosts = [\"{url}\"]\nnamespace = \"{namespace}\"\n[packets]\nfile = {:?}\n",
            dir.path().join("data"),
            recorded(&capture)
        );
        fs::write(&config, text).unwrap();
        let expected: usize = printed(&capture).values().sum();
        let agent = Agent::start(&config);
        let streams = format!("*-network_traffic.*-{namespace},*-ethereum.traffic-{namespace}");
        support::until("all documents are stored", async || {
            support::count(&client, &streams).await == expected as u64
        })
        .await;
        drop(agent);
        let refused = Command::new(env!("CARGO_BIN_EXE_ethmon"))
            .args(["dead-letter", "list", "--data-dir"])
            .arg(dir.path().join("data"))
            .output()
            .unwrap();
        let refused = String::from_utf8(refused.stdout).unwrap();
        let is_ours = |line: &str| line.contains("traffic");
        assert!(!refused.lines().any(is_ours), "{refused}");
    }
}
