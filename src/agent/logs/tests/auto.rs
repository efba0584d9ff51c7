//! Files whose client the configuration leaves open, followed by a real tailer.

use std::fs;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::rig::{Rig, document};
use crate::agent::logs::tail::{Pace, Tailer};
use crate::agent::logs::{Client, Zone};
use crate::config;
use crate::event::Document;

const BLOCK: &str = "INFO [11-21|09:22:57.278] Imported new potential chain segment     number=1 hash=4d0b84..eca1be";
const PANIC: &str = "panic: here\n\ngoroutine 1 [running]:\n\tmain.main()";

/// The documents of a file, once so many have come.
async fn followed(text: &str, count: usize) -> Vec<Document> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.log");
    fs::write(&path, text).unwrap();
    let section = config::Logs {
        paths: vec![path.to_str().unwrap().to_owned()],
        client: Client::Auto,
        timezone: Zone::Utc,
        ..config::Logs::default()
    };
    let (sender, mut batches) = mpsc::channel(2);
    let stop = CancellationToken::new();
    let mut tailer = Tailer::new(vec![section], Vec::new(), sender, Pace::PRODUCTION).unwrap();
    tailer.stop = stop.clone();
    tailer.keep = Box::new(|_| true);
    let thread = std::thread::spawn(move || tailer.run());
    let mut documents = Vec::new();
    while documents.len() < count {
        let batch = batches.recv().await.unwrap();
        documents.extend(batch.records.iter().map(document));
    }
    stop.cancel();
    drop(batches);
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .unwrap()
        .unwrap();
    documents
}

#[tokio::test]
async fn the_first_lines_tell() {
    let documents = followed(&format!("{BLOCK}\n{PANIC}\n{BLOCK}\n"), 3).await;
    let actions: Vec<_> = documents
        .iter()
        .map(|document| document.get_str("event.action").unwrap())
        .collect();
    assert_eq!(actions, ["block_imported", "generic", "block_imported"]);
    for document in documents {
        assert_eq!(document.get_str("service.name"), Some("geth"));
        assert_eq!(document.get_str("ethereum.node.client"), Some("geth"));
        assert_eq!(document.get_str("ethereum.layer"), Some("execution"));
    }
}

#[tokio::test]
async fn what_is_behind_a_long_banner_tells_too() {
    let banner = "a banner that says nothing about its client\n".repeat(100);
    let documents = followed(&format!("{banner}{BLOCK}\n{BLOCK}\n"), 102).await;
    let named = documents
        .iter()
        .filter(|document| document.get_str("service.name") == Some("geth"));
    assert_eq!(named.count(), documents.len(), "they came in one batch");
}

fn looking(peers: u32) -> String {
    format!(
        "INFO [11-21|09:22:57.278] Looking for peers                        peercount={peers} tried=1\n"
    )
}

/// As the parser of the client leaves it.
fn found(peers: u32) -> String {
    format!("Looking for peers                        peercount={peers} tried=1")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_is_remembered_by_the_next_life() {
    let mut rig = Rig::new("*.log");
    rig.section.client = Client::Auto;
    rig.append("node.log", (0..20).map(looking).collect::<String>());
    rig.start();
    let mut expected: Vec<String> = (0..20).map(found).collect();
    rig.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    rig.kill().await;
    let entry = rig.entry("node.log").unwrap();
    assert_eq!(entry.client, Some(Client::Geth));
    // Alone, this line would be no client's.
    rig.append("node.log", "Fatal: here\n\nGoroutine 1\n");
    rig.append("node.log", looking(20));
    rig.start();
    expected.push("Fatal: here".to_owned());
    expected.push(found(20));
    rig.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    rig.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_wrote_tells_as_well() {
    let mut rig = Rig::new("*.log");
    rig.section.client = Client::Auto;
    let wrap = |line: String| format!("2026-11-21T09:22:57.280123456Z stdout F {line}");
    rig.append(
        "node.log",
        (0..20).map(looking).map(wrap).collect::<String>(),
    );
    rig.start();
    let expected: Vec<String> = (0..20).map(found).collect();
    rig.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    rig.kill().await;
    assert_eq!(rig.entry("node.log").unwrap().client, Some(Client::Geth));
}
