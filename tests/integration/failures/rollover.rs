//! A stream rolls over between a request whose answer was lost and its repetition: ids alone would not help.

use std::sync::atomic::Ordering::Relaxed;

use ethmon::agent::ship;
use ethmon::config::Elasticsearch;
use ethmon::elastic::Client;
use ethmon::event::DataStream;
use url::Url;

use super::relay::{Relay, Role};
use super::{NONE, left, settled, tally};
use crate::shipping::{Agent, ids};
use crate::support::{self, until};

async fn roll_over(client: &Client, stream: &str) {
    let reply = client
        .post(&format!("{stream}/_rollover"), &[], None)
        .await
        .unwrap();
    assert_eq!(reply.body["rolled_over"], true, "{}", reply.reason());
}

struct Scene {
    relay: Relay,
    config: Elasticsearch,
    stream: String,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn new(server: &Url, config: Elasticsearch) -> Self {
        let relay = Relay::start(Role::Plain(server.clone())).await;
        let config = Elasticsearch {
            hosts: vec![relay.url()],
            ..config
        };
        Self {
            relay,
            stream: DataStream::Block.name(&config.namespace),
            config,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn agent(&self) -> Agent {
        Agent::start_with(self.dir.path(), self.config.clone(), ship::LIMITS)
    }

    /// Fifty documents are stored and known to be, fifty more only stored; nothing goes through any more.
    async fn lose_an_answer(&self, agent: &Agent) {
        agent.send(0..50).await;
        settled(agent, 50).await;
        self.relay.cut_next_answer();
        agent.send(50..100).await;
        until("an answer was cut off", async || self.relay.has_cut()).await;
    }
}

/// An agent whose answer was lost just before a rollover, and that reaches nobody as yet.
pub(super) struct LostAnswer {
    scene: Scene,
    pub(super) agent: Agent,
}

impl LostAnswer {
    pub(super) async fn new(server: &Url, config: Elasticsearch, client: &Client) -> Self {
        let scene = Scene::new(server, config).await;
        let agent = scene.agent();
        scene.lose_an_answer(&agent).await;
        roll_over(client, &scene.stream).await;
        Self { scene, agent }
    }

    pub(super) fn let_through(&self) {
        self.scene.relay.release();
    }

    /// Also how many documents were found to be there already.
    pub(super) async fn end(self, fault: &str, client: &Client) -> (super::Tally, u64) {
        let Self { scene, agent } = self;
        settled(&agent, 100).await;
        let counters = agent.end().await;
        let (waiting, letters) = left(scene.dir.path());
        assert_eq!((waiting, letters.len()), (0, 0));
        let tally = tally(fault, client, &scene.stream, &ids(0..100)).await;
        (tally, counters.duplicates.load(Relaxed))
    }
}

#[tokio::test]
async fn a_lost_answer_before_a_rollover_stores_nothing_twice() {
    let Some(url) = support::elasticsearch("a_lost_answer_before_a_rollover") else {
        return;
    };
    let client = support::ready(&url).await;
    let lost = LostAnswer::new(&url, support::config(&[&url]), &client).await;
    lost.let_through();
    let (tally, found) = lost.end("answer cut off, then a rollover", &client).await;
    assert_eq!(tally, NONE);
    assert!(found > 0, "without the look-up they would be there twice");
}

#[tokio::test]
async fn a_rollover_between_two_lives_of_the_agent_stores_nothing_twice() {
    let Some(url) = support::elasticsearch("a_rollover_between_two_lives") else {
        return;
    };
    let client = support::ready(&url).await;
    let scene = Scene::new(&url, support::config(&[&url])).await;
    let agent = scene.agent();
    scene.lose_an_answer(&agent).await;
    agent.end().await;
    let (waiting, _) = left(scene.dir.path());
    assert!(waiting > 0, "their outcome is not known");
    roll_over(&client, &scene.stream).await;
    scene.relay.release();
    let agent = scene.agent();
    settled(&agent, waiting).await;
    let counters = agent.end().await;
    assert!(counters.duplicates.load(Relaxed) > 0);
    let fault = "agent ended without the answer, then a rollover";
    assert_eq!(
        tally(fault, &client, &scene.stream, &ids(0..100)).await,
        NONE
    );
}

#[tokio::test]
async fn rollovers_during_shipping_store_everything_once() {
    let Some(url) = support::elasticsearch("rollovers_during_shipping") else {
        return;
    };
    let client = support::ready(&url).await;
    let scene = Scene::new(&url, support::config(&[&url])).await;
    let agent = scene.agent();
    for part in 0..5 {
        agent.send(part * 1_000..(part + 1) * 1_000).await;
        until("some of it is stored", async || {
            agent.counters.acked.load(Relaxed) > part as u64 * 1_000
        })
        .await;
        roll_over(&client, &scene.stream).await;
    }
    settled(&agent, 5_000).await;
    agent.end().await;
    let fault = "rollovers during shipping";
    assert_eq!(
        tally(fault, &client, &scene.stream, &ids(0..5_000)).await,
        NONE
    );
}
