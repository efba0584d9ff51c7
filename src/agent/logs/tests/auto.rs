//! Files whose client the configuration leaves open, followed by a real tailer.

use std::fs;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

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
        documents.extend(batch.events.into_iter().map(|event| event.document));
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
