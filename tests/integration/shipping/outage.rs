//! A real Elasticsearch that goes away, hangs and refuses.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ethmon::agent::counters::Output;
use ethmon::agent::ship;
use ethmon::agent::store::{Limits, Store};
use ethmon::config::Elasticsearch;
use ethmon::event::{DataStream, DocumentId};
use ethmon::tasks::{self, Tasks};
use tokio_util::sync::CancellationToken;

use super::{Agent, config, event};
use crate::support::{self, Server, until};

/// Sends steadily until `stop`; returns through the counter how many.
fn send_steadily(agent: &Agent, tasks: &mut Tasks, stop: CancellationToken) {
    let outbox = agent.outbox.clone();
    tasks.spawn("source", async move {
        let mut number = 0;
        while !stop.is_cancelled() {
            for _ in 0..10 {
                outbox.send(event(number)).await;
                number += 1;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        outbox.count("sent", number as u64);
        Ok(())
    });
}

async fn act(server: &Arc<Server>, action: &'static str) {
    let server = Arc::clone(server);
    tasks::blocking(move || server.service(action)).await;
}

/// Until everything sent is acknowledged; the caller's assertions say whether it is right.
async fn wait_for_acks(agent: &Agent) {
    let sent = agent.outbox.counted("sent");
    let all = async {
        while agent.counters.acked.load(Relaxed) < sent {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), all)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_templates_killed_frozen_and_back_nothing_is_lost_and_nothing_twice() {
    if support::elasticsearch("without_templates_killed_frozen_and_back").is_none() {
        return;
    }
    let server = Arc::new(tasks::blocking(|| Server::start(&[])).await);
    let client = support::client(&[&server.url]);
    let dir = tempfile::tempdir().unwrap();
    let config = Elasticsearch {
        request_timeout: Duration::from_secs(2),
        ..config(server.url.as_str())
    };
    let agent = Agent::start_with(dir.path(), config, ship::LIMITS);
    let (stop, mut source) = (
        CancellationToken::new(),
        Tasks::new(CancellationToken::new()),
    );
    send_steadily(&agent, &mut source, stop.clone());

    // More than are kept in memory to try again: the others go back to the spool.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(agent.counters.acked.load(Relaxed), 0);
    support::install(&client).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    act(&server, "kill").await;
    let is_lost = async || agent.counters.output() == Output::Lost;
    until("the killed server is lost", is_lost).await;
    let before = agent.counters.acked.load(Relaxed);
    act(&server, "start").await;
    let is_back = async || agent.counters.acked.load(Relaxed) > before + 100;
    until("it is back and takes what waited", is_back).await;
    // It accepts requests and answers none; what it was given it stores later.
    act(&server, "freeze").await;
    until("the frozen server is lost", is_lost).await;
    act(&server, "thaw").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    source.join().await.unwrap();

    wait_for_acks(&agent).await;
    let sent = agent.outbox.counted("sent");
    let counters = agent.end().await;
    assert!(sent > 2_000, "the source went on through it all: {sent}");
    assert!(counters.bulk_failed.load(Relaxed) > 0);
    let stream = DataStream::Block.name("default");
    assert_eq!(support::count(&client, &stream).await, sent);
    let totals = Store::open(dir.path(), Limits::default()).unwrap().totals();
    assert_eq!(
        (totals.spool().records, totals.dead_letters().records),
        (0, 0)
    );
}

#[tokio::test]
async fn what_the_real_server_refuses_is_a_dead_letter_with_its_words() {
    let Some(url) = support::elasticsearch("what_the_real_server_refuses") else {
        return;
    };
    let client = support::ready(&url).await;
    let config = support::config(&[&url]);
    let stream = DataStream::Block.name(&config.namespace);
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start_with(dir.path(), config, ship::LIMITS);
    for number in 0..20 {
        agent.outbox.send(event(number)).await;
    }
    let mut poisoned = event(20).with("ethereum.block.slot", "not a number");
    poisoned.id = DocumentId::existing("poisoned");
    agent.outbox.send(poisoned).await;
    let counters = agent.end().await;
    assert_eq!(
        (counters.acked.load(Relaxed), counters.refused.load(Relaxed)),
        (20, 1)
    );
    assert_eq!(support::count(&client, &stream).await, 20);
    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    let (_, letter) = store.dead_letters(1).unwrap().remove(0);
    assert_eq!((letter.id.as_str(), letter.status), ("poisoned", Some(400)));
    assert_eq!(letter.kind, "document_parsing_exception");
    assert!(letter.reason.contains("not a number"), "{}", letter.reason);
}
