//! How many requests are under way, and how few are wasted while a tenth of the items is refused. Counted, not timed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ethmon::agent::ship::LogBatch;
use ethmon::config::Elasticsearch;
use ethmon::elastic::Limits;

use super::tell;
use crate::bulk_server::{Act, BulkServer};
use crate::shipping::{Agent, event, ids, wait};
use crate::support::{self, until};

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    items: 100,
};

pub(super) fn agent(dir: &tempfile::TempDir, server: &BulkServer, concurrency: usize) -> Agent {
    let config = Elasticsearch {
        concurrency,
        ..support::config(&[&server.url().parse().unwrap()])
    };
    Agent::start_with(dir.path(), config, LIMITS)
}

/// The lines of a file, all there at once.
pub(super) fn lines(agent: &Agent, numbers: std::ops::Range<usize>) -> LogBatch {
    LogBatch {
        file: "inode-1".into(),
        path: "/var/log/client.log".into(),
        entry: Some(vec![1]),
        in_doubt: numbers.len(),
        records: agent.sealed(numbers.map(event)),
    }
}

#[tokio::test]
async fn requests_at_once_grow_to_the_configured_number_and_no_further() {
    const MOST: usize = 3;
    // Far away and never busy: with more requests under way no answer takes longer.
    let server = Arc::new(BulkServer::start(|_, _| {
        Act::Slowly(Duration::from_millis(50))
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir, &server, MOST);
    let mut sent = 0;
    until("all that may be are under way", async || {
        agent
            .files
            .send(lines(&agent, sent..sent + 1_000))
            .await
            .unwrap();
        sent += 1_000;
        server.most_at_once() == MOST
    })
    .await;
    agent
        .files
        .send(lines(&agent, sent..sent + 5_000))
        .await
        .unwrap();
    wait(&server, move |server| server.wait_for(sent + 5_000)).await;
    agent.end().await;
    assert_eq!(server.most_at_once(), MOST);
    assert_eq!(
        (server.stored(), server.duplicates()),
        (ids(0..sent + 5_000), 0)
    );
}

/// Ships so many lines and returns the number of requests, and of items in them.
async fn ship(lines_to_ship: usize, server: BulkServer) -> (usize, usize) {
    let server = Arc::new(server);
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir, &server, 4);
    for begin in (0..lines_to_ship).step_by(1_000) {
        let batch = lines(&agent, begin..begin + 1_000);
        agent.files.send(batch).await.unwrap();
    }
    wait(&server, move |server| server.wait_for(lines_to_ship)).await;
    agent.end().await;
    let requests = server.requests();
    assert_eq!(server.stored(), ids(0..lines_to_ship));
    assert_eq!(server.duplicates(), 0);
    (requests.len(), requests.iter().sum())
}

#[tokio::test]
async fn with_a_tenth_of_the_items_refused_only_these_are_sent_again() {
    const LINES: usize = 20_000;
    let (clean, items) = ship(LINES, BulkServer::start(|_, _| Act::Serve)).await;
    assert_eq!(items, LINES);
    let server = BulkServer::start(|number, _| {
        Act::Refuse(Box::new(move |item| {
            let mut luck = DefaultHasher::new();
            (number, &item.id).hash(&mut luck);
            luck.finish().is_multiple_of(10)
        }))
    });
    let (requests, items) = ship(LINES, server).await;
    tell(&format!(
        "clean: {clean} requests; a tenth refused: {requests} requests, {items} items"
    ));
    // Each attempt is refused with one in ten: 1 + 1/10 + 1/100 + …, plus what chance adds.
    assert!(
        (LINES * 11 / 10 - LINES / 50..LINES * 11 / 10 + LINES / 30).contains(&items),
        "{items}"
    );
    assert!(
        requests <= clean * 2,
        "{requests} requests where {clean} are enough"
    );
}
