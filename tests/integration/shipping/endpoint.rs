//! The way from the outbox through spool and shipper, against an endpoint that fails as told.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ethmon::agent::counters::Output;
use ethmon::agent::dead_letter::{self, Filter};
use ethmon::agent::logs::{self, Tail};
use ethmon::agent::ship::LogBatch;
use ethmon::agent::store::{Limits, Record, Store};
use ethmon::config::Logs as LogsConfig;
use ethmon::elastic;
use ethmon::event::DataStream;

use super::{Agent, config, event, ids, wait};
use crate::bulk_server::{Act, BulkServer};

pub(super) fn records_left(dir: &Path) -> (u64, u64) {
    let totals = Store::open(dir, Limits::default()).unwrap().totals();
    (totals.spool().records, totals.dead_letters().records)
}

#[tokio::test]
async fn a_lone_event_is_shipped_at_once_and_a_stop_flushes() {
    let (dir, server) = (
        tempfile::tempdir().unwrap(),
        Arc::new(BulkServer::start(|_, _| Act::Serve)),
    );
    let agent = Agent::start(dir.path(), &server.url());
    let began = tokio::time::Instant::now();
    agent.send(0..1).await;
    wait(&server, |server| server.wait_for(1)).await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let document = server.document("000000").unwrap();
    assert_eq!(document["data_stream"]["dataset"], "ethereum.block");
    assert_eq!(document["agent"]["id"], "agent");

    agent.send(1..5_000).await;
    let counters = agent.end().await;
    assert_eq!(server.stored(), ids(0..5_000));
    assert_eq!(server.duplicates(), 0);
    assert_eq!(counters.acked.load(Relaxed), 5_000);
    assert_eq!(records_left(dir.path()), (0, 0));
}

#[tokio::test]
async fn every_kind_of_failure_at_once_loses_nothing_and_repeats_nothing() {
    let server = Arc::new(BulkServer::start(|number, _| match number {
        0 => Act::Whole(503, "", ""),
        2 => Act::Close { store: false },
        4 => Act::Close { store: true },
        6 => Act::Whole(200, "", "<html>a proxy</html>"),
        8 => Act::Whole(429, "retry-after: 1\r\n", "{}"),
        10 => Act::Whole(200, "", r#"{"errors":false,"took":1,"items":[]}"#),
        12 => Act::Whole(502, "", "<html>bad gateway</html>"),
        _ => Act::Serve,
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start_with(
        dir.path(),
        config(&server.url()),
        elastic::Limits {
            bytes: 1 << 20,
            items: 100,
        },
    );
    agent.send(0..3_000).await;
    wait(&server, |server| server.wait_for(3_000)).await;
    let counters = agent.end().await;
    assert_eq!(server.stored(), ids(0..3_000));
    let cut_off = server.requests()[4];
    assert_eq!(
        server.duplicates(),
        cut_off,
        "only those whose answer was cut off"
    );
    assert_eq!(counters.duplicates.load(Relaxed), cut_off as u64);
    assert_eq!(counters.bulk_failed.load(Relaxed), 7);
    assert_eq!(records_left(dir.path()), (0, 0));
}

#[tokio::test]
async fn items_refused_for_now_come_again_and_the_others_flow_on() {
    let server = Arc::new(BulkServer::start(|number, _| {
        if number < 20 {
            Act::Items(|item| {
                item.id
                    .ends_with('7')
                    .then_some((429, "es_rejected_execution_exception"))
            })
        } else {
            Act::Serve
        }
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start_with(
        dir.path(),
        config(&server.url()),
        elastic::Limits {
            bytes: 1 << 20,
            items: 200,
        },
    );
    agent.send(0..10_000).await;
    wait(&server, |server| server.wait_for(10_000)).await;
    let counters = agent.end().await;
    assert_eq!(server.stored(), ids(0..10_000));
    assert_eq!(
        server.duplicates(),
        0,
        "only what was refused is sent again"
    );
    assert!(counters.retried.load(Relaxed) >= 20);
    assert_eq!(records_left(dir.path()), (0, 0));
}

#[tokio::test]
async fn a_refused_item_is_kept_with_its_reason_and_can_be_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Arc::new(BulkServer::start(|_, _| {
        Act::Items(|item| (item.id == "000003").then_some((400, "document_parsing_exception")))
    }));
    let agent = Agent::start(dir.path(), &server.url());
    agent.send(0..10).await;
    wait(&server, |server| server.wait_for(9)).await;
    let counters = agent.end().await;
    assert_eq!(counters.refused.load(Relaxed), 1);
    assert_eq!(records_left(dir.path()), (0, 1));
    let mut listed = Vec::new();
    dead_letter::list(dir.path(), &Filter::default(), &mut listed).unwrap();
    let listed = String::from_utf8(listed).unwrap();
    assert!(
        listed.contains("000003\t400\tdocument_parsing_exception\t"),
        "{listed}"
    );

    assert_eq!(
        dead_letter::replay(dir.path(), &Filter::default()).unwrap(),
        1
    );
    let cured = Arc::new(BulkServer::start(|_, _| Act::Serve));
    let agent = Agent::start(dir.path(), &cured.url());
    wait(&cured, |server| server.wait_for(1)).await;
    agent.end().await;
    assert_eq!(cured.stored(), ["000003"]);
    assert_eq!(records_left(dir.path()), (0, 0));
}

#[tokio::test]
async fn too_large_and_poisoned_requests_are_halved_down_to_the_culprit() {
    let server = Arc::new(BulkServer::start(|_, items| {
        let huge = items.iter().any(|item| item.id == "000011");
        let poisoned = items.iter().any(|item| item.id == "000444");
        if huge {
            Act::Whole(413, "", "")
        } else if poisoned {
            Act::Whole(
                400,
                "",
                r#"{"error":{"type":"illegal_argument_exception","reason":"malformed"},"status":400}"#,
            )
        } else {
            Act::Serve
        }
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), &server.url());
    agent.send(0..500).await;
    wait(&server, |server| server.wait_for(498)).await;
    let counters = agent.end().await;
    assert_eq!(server.stored().len(), 498);
    assert_eq!(
        (server.duplicates(), counters.refused.load(Relaxed)),
        (0, 2)
    );
    assert!(server.requests().len() < 60, "{:?}", server.requests());
    let mut listed = Vec::new();
    dead_letter::list(dir.path(), &Filter::default(), &mut listed).unwrap();
    let listed = String::from_utf8(listed).unwrap();
    assert!(
        listed.contains("000011\t413\ttoo_large")
            && listed.contains("000444\t400\trequest_refused"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_wrong_password_pauses_and_loses_nothing() {
    let refusal = r#"{"error":{"type":"security_exception","reason":"unable to authenticate user"},"status":401}"#;
    let dir = tempfile::tempdir().unwrap();
    let server = Arc::new(BulkServer::start(move |_, _| Act::Whole(401, "", refusal)));
    let agent = Agent::start(dir.path(), &server.url());
    agent.send(0..100).await;
    wait(&server, |server| server.wait_for_requests(1)).await;
    agent.send(100..200).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(agent.counters.output(), Output::Unauthorized);
    assert_eq!(server.requests().len(), 1, "no hammering");
    let began = tokio::time::Instant::now();
    agent.end().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "a stop does not wait for a server that refuses"
    );
    assert_eq!(records_left(dir.path()), (200, 0));
}

#[tokio::test]
async fn a_stream_without_a_template_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let server = Arc::new(BulkServer::start(|_, _| {
        Act::Items(|item| {
            let dataset = &item.document["data_stream"]["dataset"];
            (dataset == "system.cpu").then_some((404, "index_not_found_exception"))
        })
    }));
    let agent = Agent::start(dir.path(), &server.url());
    // More than may be held in memory.
    for number in 0..10_000 {
        let mut event = event(number);
        event.stream = DataStream::SystemCpu;
        agent.outbox.send(event).await;
    }
    agent.send(10_000..11_000).await;
    wait(&server, |server| server.wait_for(1_000)).await;
    assert_eq!(server.stored(), ids(10_000..11_000));
    agent.end().await;
    assert_eq!(records_left(dir.path()), (10_000, 0));
}

#[tokio::test]
async fn an_agent_starts_and_collects_while_elasticsearch_is_away() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let agent = Agent::start(dir.path(), &format!("http://{nobody}"));
    agent.send(0..3_000).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(agent.counters.output(), Output::Lost);
    agent.end().await;
    assert_eq!(records_left(dir.path()), (3_000, 0));

    let server = Arc::new(BulkServer::start(|_, _| Act::Serve));
    let agent = Agent::start(dir.path(), &server.url());
    wait(&server, |server| server.wait_for(3_000)).await;
    agent.end().await;
    assert_eq!((server.stored(), server.duplicates()), (ids(0..3_000), 0));
}

#[tokio::test]
async fn file_offsets_follow_the_outcomes() {
    let server = Arc::new(BulkServer::start(|number, _| match number {
        0 => Act::Items(|item| {
            (item.id == "000001").then_some((429, "es_rejected_execution_exception"))
        }),
        1 => {
            Act::Items(|item| (item.id == "000005").then_some((400, "document_parsing_exception")))
        }
        _ => Act::Serve,
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), &server.url());
    for (end, numbers) in [(10, 0..4), (20, 4..8), (30, 8..8)] {
        let records = agent.sealed(numbers.map(event));
        agent.files.send(lines(end, records)).await.unwrap();
        wait(&server, move |server| {
            server.wait_for_requests(usize::from(end / 10).min(2))
        })
        .await;
    }
    wait(&server, |server| server.wait_for(7)).await;
    agent.end().await;
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    let registry = store.registry().unwrap();
    assert_eq!(registry, [("inode-1".to_owned(), vec![30])]);
    let letters = store.dead_letters(9).unwrap();
    assert_eq!(
        (letters.len(), letters[0].1.origin.as_str()),
        (1, "/var/log/client.log")
    );
    assert_eq!(store.totals().spool().records, 0, "files bypass the spool");
}

#[tokio::test]
async fn a_file_is_known_before_its_lines_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.redb");
    let server = Arc::new(BulkServer::start(move |_, _| match known_files(&path) {
        0 => Act::Whole(400, "", r#"{"error":{"type":"x","reason":"unknown file"}}"#),
        _ => Act::Serve,
    }));
    let agent = Agent::start(dir.path(), &server.url());
    let logs = tempfile::tempdir().unwrap();
    let file = logs.path().join("client.log");
    std::fs::write(&file, "a line\n").unwrap();
    let tail = Tail {
        is_first_life: false,
        sections: vec![LogsConfig {
            paths: vec![file.to_str().unwrap().to_owned()],
            ..LogsConfig::default()
        }],
        registry: Vec::new(),
        store: agent.store.clone(),
        seal: agent.seal.clone(),
        batches: agent.files.clone(),
        counters: Arc::clone(&agent.counters),
        once: false,
    };
    let follow = logs::run(tail, agent.outbox.clone(), agent.stop.clone());
    let (followed, ()) = tokio::join!(follow, async {
        wait(&server, |server| server.wait_for(1)).await;
        agent.stop.cancel();
    });
    followed.unwrap();
    let counters = agent.end().await;
    assert_eq!(counters.refused.load(Relaxed), 0);
}

/// Lines of one file, up to `end`.
pub(super) fn lines(end: u8, records: Vec<Record>) -> LogBatch {
    LogBatch {
        file: "inode-1".into(),
        path: "/var/log/client.log".into(),
        entry: Some(vec![end]),
        in_doubt: records.len(),
        records,
    }
}

/// Read beside the agent, as another process could.
fn known_files(path: &Path) -> u64 {
    use redb::{ConcurrencyMode, ReadableDatabase, ReadableTableMetadata, TableDefinition};
    const REGISTRY: TableDefinition<&str, &[u8]> = TableDefinition::new("registry");
    let mut builder = redb::Database::builder();
    let database = builder
        .set_concurrency_mode(ConcurrencyMode::SingleWriter)
        .open_read_only(path)
        .unwrap();
    database
        .begin_read()
        .unwrap()
        .open_table(REGISTRY)
        .unwrap()
        .len()
        .unwrap()
}
