//! A server with hardly any room: a full write queue, bodies that are too large, a filling disk, documents it cannot take,
//! a hang and a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ethmon::agent::counters::Output;
use ethmon::agent::ship;
use ethmon::agent::store::DeadLetter;
use ethmon::config::Elasticsearch;
use ethmon::elastic::{Client, Limits};
use ethmon::event::{DataStream, DocumentId, Event};
use ethmon::tasks::{self, Tasks};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{NONE, left, settled, tally};
use crate::shipping::{Agent, event, ids};
use crate::support::{self, Server, bulk, until};

/// One server for all of these: each start takes many seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_under_pressure_loses_nothing_and_repeats_nothing() {
    if support::elasticsearch("a_server_under_pressure").is_none() {
        return;
    }
    let settings =
        "thread_pool.write.size: 1\nthread_pool.write.queue_size: 1\nhttp.max_content_length: 1mb";
    let server = tasks::blocking(move || Server::start(&[("ETHMON_ES_YML", settings)])).await;
    let server = Arc::new(server);
    let client = support::client(&[&server.url]);
    support::install(&client).await;
    a_full_write_queue(&server, &client).await;
    bodies_too_large(&server, &client).await;
    a_flood_stage_block(&server, &client).await;
    what_would_spoil_a_request(&server, &client).await;
    a_hang(&server, &client).await;
    a_crash(&server, &client).await;
}

/// An agent on a stream of its own.
struct Scene {
    agent: Agent,
    stream: String,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(server: &Server, limits: Limits) -> Self {
        let config = Elasticsearch {
            request_timeout: Duration::from_secs(4),
            concurrency: 8,
            ..support::config(&[&server.url])
        };
        let dir = tempfile::tempdir().unwrap();
        Self {
            stream: DataStream::Block.name(&config.namespace),
            agent: Agent::start_with(dir.path(), config, limits),
            dir,
        }
    }

    /// Ends the agent; all that was sent but `refused` is stored, once.
    async fn end(self, fault: &str, client: &Client, stored: &[String]) -> Vec<DeadLetter> {
        let counters = self.agent.end().await;
        let (waiting, letters) = left(self.dir.path());
        assert_eq!(waiting, 0, "{fault}");
        assert_eq!(counters.acked.load(Relaxed), stored.len() as u64, "{fault}");
        assert_eq!(
            counters.refused.load(Relaxed),
            letters.len() as u64,
            "{fault}"
        );
        assert_eq!(tally(fault, client, &self.stream, stored).await, NONE);
        letters
    }
}

const SMALL: Limits = Limits {
    bytes: 512 << 10,
    items: 50,
};

async fn a_full_write_queue(server: &Server, client: &Client) {
    let scene = Scene::new(server, SMALL);
    let enough = Arc::new(AtomicBool::new(false));
    let mut others = Tasks::new(CancellationToken::new());
    for name in 0..6 {
        let (client, enough) = (client.clone(), Arc::clone(&enough));
        let stream = DataStream::Block.name(&support::config(&[&server.url]).namespace);
        others.spawn(format!("writer {name}"), async move {
            for round in 0.. {
                if enough.load(Relaxed) {
                    break;
                }
                let document =
                    json!({"@timestamp": "2026-01-01T00:00:00Z", "ethereum": {"slot": round}});
                let ids: Vec<_> = (0..500).map(|id| format!("{round}-{id}")).collect();
                let items: Vec<_> = ids
                    .iter()
                    .map(|id| (&*stream, &**id, document.clone()))
                    .collect();
                let (body, count) = bulk(&items);
                client.bulk(body, count).await.ok();
            }
            Ok(())
        });
    }
    let mut sent = 0;
    until("items of ours were refused", async || {
        scene.agent.send(sent..sent + 20).await;
        sent += 20;
        scene.agent.counters.retried.load(Relaxed) > 0
    })
    .await;
    enough.store(true, Relaxed);
    others.join().await.unwrap();
    settled(&scene.agent, sent as u64).await;
    scene
        .end("items 429, write queue full", client, &ids(0..sent))
        .await;
}

/// `number` names it, and it has so many bytes.
fn large(number: usize, bytes: usize) -> Event {
    event(number).with("ethereum.block.graffiti", "x".repeat(bytes))
}

async fn bodies_too_large(server: &Server, client: &Client) {
    let scene = Scene::new(server, ship::LIMITS);
    scene.agent.send(0..20).await;
    // Together above the server's limit, each by itself below it; the last one is above it alone.
    for number in 20..26 {
        scene.agent.outbox.send(large(number, 400_000)).await;
    }
    scene.agent.outbox.send(large(26, 1_200_000)).await;
    scene.agent.send(27..40).await;
    settled(&scene.agent, 40).await;
    let stored: Vec<_> = ids(0..40).into_iter().filter(|id| id != "000026").collect();
    let letters = scene.end("413, body too large", client, &stored).await;
    let reasons: Vec<_> = letters
        .iter()
        .map(|one| (one.id.as_str(), one.status, one.kind.as_str()))
        .collect();
    assert_eq!(reasons, [("000026", Some(413), "too_large")]);
}

async fn a_flood_stage_block(server: &Server, client: &Client) {
    let scene = Scene::new(server, SMALL);
    scene.agent.send(0..100).await;
    settled(&scene.agent, 100).await;
    let block = async |on: Value| {
        let path = format!("{}/_settings", scene.stream);
        let settings = json!({"index.blocks.read_only_allow_delete": on});
        let reply = client.put(&path, &[], Some(&settings)).await.unwrap();
        assert!(reply.is_success(), "{}", reply.reason());
    };
    block(true.into()).await;
    scene.agent.send(100..400).await;
    until("the block refused items", async || {
        scene.agent.counters.retried.load(Relaxed) >= 300
    })
    .await;
    assert_eq!(scene.agent.counters.acked.load(Relaxed), 100);
    block(Value::Null).await;
    settled(&scene.agent, 400).await;
    scene
        .end("items 429, flood stage", client, &ids(0..400))
        .await;
}

async fn what_would_spoil_a_request(server: &Server, client: &Client) {
    let scene = Scene::new(server, SMALL);
    let named = |event: Event, id: &str| Event {
        id: DocumentId::existing(id),
        ..event
    };
    let ill_typed = event(7).with("ethereum.block.slot", "not a number");
    let unknown = event(8).with("ethereum.nobody_knows_this", 1);
    scene.agent.send(0..7).await;
    scene.agent.outbox.send(ill_typed).await;
    scene.agent.outbox.send(unknown).await;
    // Elasticsearch would refuse the whole request for one such action line.
    scene
        .agent
        .outbox
        .send(named(event(9), &"x".repeat(600)))
        .await;
    scene.agent.send(10..20).await;
    settled(&scene.agent, 20).await;
    let requests = scene.agent.counters.bulk_failed.load(Relaxed);
    assert_eq!(requests, 0, "no request was refused as a whole");
    let stored = [ids(0..7), ids(10..20)].concat();
    let mut letters = scene
        .end("mapping conflicts and a bad action line", client, &stored)
        .await;
    letters.sort_by(|one, other| one.kind.cmp(&other.kind));
    let kinds: Vec<_> = letters.iter().map(|one| one.kind.as_str()).collect();
    let expected = [
        "document_parsing_exception",
        "not_sendable",
        "strict_dynamic_mapping_exception",
    ];
    assert_eq!(kinds, expected);
    assert!(
        letters[0].reason.contains("not a number"),
        "{}",
        letters[0].reason
    );
}

async fn act(server: &Arc<Server>, action: &'static str) {
    let server = Arc::clone(server);
    tasks::blocking(move || server.service(action)).await;
}

/// What was given to it before is stored when it goes on, after we gave up waiting for the answer.
async fn a_hang(server: &Arc<Server>, client: &Client) {
    let scene = Scene::new(server, SMALL);
    scene.agent.send(0..100).await;
    settled(&scene.agent, 100).await;
    act(server, "freeze").await;
    scene.agent.send(100..400).await;
    until("a request timed out", async || {
        scene.agent.counters.bulk_failed.load(Relaxed) > 0
    })
    .await;
    assert_eq!(scene.agent.counters.output(), Output::Lost);
    act(server, "thaw").await;
    settled(&scene.agent, 400).await;
    scene
        .end("hang, stored after the time-out", client, &ids(0..400))
        .await;
}

async fn a_crash(server: &Arc<Server>, client: &Client) {
    let scene = Scene::new(server, SMALL);
    scene.agent.send(0..1_000).await;
    until("some of it is stored", async || {
        scene.agent.counters.acked.load(Relaxed) > 0
    })
    .await;
    act(server, "kill").await;
    scene.agent.send(1_000..2_000).await;
    until("it is gone", async || {
        scene.agent.counters.output() == Output::Lost
    })
    .await;
    act(server, "start").await;
    settled(&scene.agent, 2_000).await;
    scene
        .end("killed and started again", client, &ids(0..2_000))
        .await;
}
