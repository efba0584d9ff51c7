//! The loop around the pure core: read, observe, judge, write, and only then go on.

use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::cursor::Interest;
use super::observe;
use super::reader::{Read, Reader};
use super::state::{StateStore, Stored};
use super::write::Writer;
use crate::alert::{self, Change, Ledger, Notice, email, notices, record};
use crate::config;
use crate::elastic::Client;
use crate::event::{DataStream, Document, Event};
use crate::network::{self, Network};
use crate::rules::{Engine, Rule};
use crate::slot::{self, ChainSpec};

/// Slots read back at a start: open splits and unsettled blocks are found again.
const LOOKBACK_SLOTS: i32 = 96;

/// Pause after Elasticsearch failed.
const RETRY: Duration = Duration::from_secs(2);

/// Where mails go and what they look like.
pub(super) struct Outgoing {
    pub outbox: mpsc::Sender<Stored>,
    pub mail: email::Config,
    pub style: email::Style,
}

pub(super) struct Judge {
    client: Client,
    namespace: String,
    config: config::Aggregator,
    writer: Writer,
    store: StateStore,
    engine: Engine,
    outgoing: Option<Outgoing>,
    /// Rounds in a row that Elasticsearch failed.
    failures: u32,
}

/// What was decided and is not yet stored. Nothing further is judged before it is.
#[derive(Default)]
struct Decided {
    notices: Vec<Notice>,
    changes: Vec<Change>,
}

impl Judge {
    pub(super) fn new(
        client: Client,
        namespace: String,
        config: config::Aggregator,
        rules: Vec<Rule>,
        outgoing: Option<Outgoing>,
    ) -> Self {
        Self {
            writer: Writer::new(client.clone(), &namespace, "aggregator"),
            store: StateStore::new(client.clone(), &namespace),
            engine: Engine::new(rules),
            client,
            namespace,
            config,
            outgoing,
            failures: 0,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let started = tokio::select! {
            started = self.start() => started?,
            () = stop.cancelled() => return Ok(()),
        };
        let (mut ledger, mut network, mut reader) = started;
        let mut decided = Decided::default();
        let mut tick = tokio::time::interval(self.config.period);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => break,
            }
            if let Err(error) = self
                .round(&mut reader, &mut network, &mut ledger, &mut decided)
                .await
            {
                self.say_lost(&error);
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = stop.cancelled() => break,
                }
            }
        }
        // What was decided in the last round but not stored would be decided again after a restart; storing it now
        // only spares the wait.
        self.settle(&mut decided)
            .await
            .context("cannot store the last decisions")?;
        self.writer
            .flush()
            .await
            .context("cannot store the last findings")?;
        Ok(())
    }

    /// Waits for Elasticsearch and for the first node that states its chain; loads what was decided before.
    async fn start(&mut self) -> anyhow::Result<(Ledger, Network, Reader)> {
        let mut waiting = false;
        let (states, chain) = loop {
            match self.learn().await {
                Ok((states, Some(chain))) => break (states, chain),
                Ok((_, None)) if !waiting => {
                    waiting = true;
                    info!("no node has reported yet; waiting for the first one");
                }
                Ok((_, None)) => {}
                Err(error) => self.say_lost(&error),
            }
            tokio::time::sleep(RETRY).await;
        };
        self.say_back();
        let now = slot::now();
        info!(
            network = chain.network,
            slot = chain.slot_at(now),
            alerts = states.len(),
            "watching"
        );

        let (ledger, orphans) = Ledger::load(states, &self.engine);
        for orphan in orphans {
            warn!(rule = orphan.rule, key = %orphan.key, "an open alert belongs to no rule any more and is kept as it is");
        }
        if let Some(outgoing) = &self.outgoing {
            for stored in self
                .store
                .open_notices()
                .await
                .context("cannot load the open notices")?
            {
                outgoing
                    .outbox
                    .send(stored)
                    .await
                    .context("the sender has ended")?;
            }
        }
        let settings = network::Settings {
            quorum: self.config.reorg_quorum,
            split_slots: self.config.split_min_slots,
            ..network::Settings::default()
        };
        let interests = interests(&self.engine, &chain);
        let reader = Reader::new(self.client.clone(), &self.namespace, interests, now);
        Ok((ledger, Network::new(chain, settings), reader))
    }

    async fn learn(&mut self) -> anyhow::Result<(Vec<alert::State>, Option<ChainSpec>)> {
        let (states, remembered) = self.store.load().await?;
        let stated = self.stated_chain().await?;
        if let (Some(stated), None) = (&stated, &remembered) {
            self.store.save_chain(stated).await?;
        }
        if let (Some(stated), Some(remembered)) = (&stated, &remembered)
            && stated != remembered
        {
            info!(
                network = stated.network,
                before = remembered.network,
                "the nodes state another chain than before"
            );
            self.store.save_chain(stated).await?;
        }
        Ok((states, stated.or(remembered)))
    }

    /// The chain of the newest status document that states one.
    async fn stated_chain(&self) -> anyhow::Result<Option<ChainSpec>> {
        let mut filter = vec![json!({"exists": {"field": "ethereum.spec.slot_duration_ms"}})];
        if let Some(network) = &self.config.network {
            filter.push(json!({"term": {"ethereum.network.name": network}}));
        }
        let body = json!({
            "size": 1, "track_total_hits": false,
            "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
            "query": {"bool": {"filter": filter}},
        });
        let answer = self
            .client
            .search(&DataStream::Node.name(&self.namespace), &body)
            .await?;
        let source = answer
            .pointer("/hits/hits/0/_source")
            .and_then(Value::as_object);
        Ok(source.and_then(|source| observe::chain_spec(&Document::from(source.clone()))))
    }

    /// One turn. An error means Elasticsearch; nothing was lost and the turn can be taken again.
    async fn round(
        &mut self,
        reader: &mut Reader,
        network: &mut Network,
        ledger: &mut Ledger,
        decided: &mut Decided,
    ) -> anyhow::Result<()> {
        self.settle(decided).await?;
        self.writer.flush().await?;
        let asked_at = slot::now();
        loop {
            let poll = reader.poll(asked_at).await?;
            for read in &poll.documents {
                self.observe(read, network);
            }
            if !poll.more {
                break;
            }
        }
        self.say_back();

        let now = slot::now();
        for finding in network.advance(now) {
            let event = finding.to_event(network.spec());
            self.write(event);
        }
        let transitions = alert::step(&mut self.engine, ledger, now, network.spec());
        for transition in &transitions {
            info!(
                rule = transition.rule.name, key = %transition.key, action = transition.action.name(),
                value = transition.value, "alert"
            );
            self.write(record(transition, network.spec()));
            if let Some(Outgoing { mail, style, .. }) = &self.outgoing {
                decided
                    .notices
                    .extend(notices(transition, network.spec(), style, mail));
            }
        }
        decided.changes.extend(ledger.take_changes());
        self.settle(decided).await?;
        self.writer.flush().await?;
        Ok(())
    }

    fn observe(&mut self, read: &Read, network: &mut Network) {
        if !observe::is_of_chain(&read.document, network.spec()) {
            return;
        }
        for observation in observe::observations(read) {
            network.observe(observation);
        }
        self.engine.observe(read.stream, &read.id, &read.document);
    }

    /// Queues an event, and shows it to the rules at once: reading it back would cost a refresh.
    fn write(&mut self, event: Event) {
        let sealed = self.writer.push(event);
        self.engine
            .observe(sealed.stream, &sealed.id, &sealed.document);
    }

    /// Stores notices first and states second: a crash in between finds the notices there when it decides again.
    async fn settle(&mut self, decided: &mut Decided) -> anyhow::Result<()> {
        while let Some(notice) = decided.notices.first() {
            if let Some(stored) = self.store.create_notice(notice).await?
                && let Some(outgoing) = &self.outgoing
            {
                outgoing
                    .outbox
                    .send(stored)
                    .await
                    .context("the sender has ended")?;
            }
            decided.notices.remove(0);
        }
        if !decided.changes.is_empty() {
            self.store.save_states(&decided.changes).await?;
            decided.changes.clear();
        }
        Ok(())
    }

    /// Said once, and not of a single failure: a stream's first index answers a moment after it is there.
    fn say_lost(&mut self, error: &anyhow::Error) {
        self.failures += 1;
        if self.failures == 2 {
            warn!("elasticsearch does not serve the aggregator, trying on: {error:#}");
        }
    }

    fn say_back(&mut self) {
        if self.failures >= 2 {
            info!(
                waiting = self.writer.waiting(),
                lost = self.writer.lost,
                "elasticsearch serves again"
            );
            self.engine.reading_since(slot::now());
        }
        self.failures = 0;
    }
}

/// What the chain's core reads, and what the rules read beside it.
fn interests(engine: &Engine, chain: &ChainSpec) -> Vec<Interest> {
    let slots = TimeDelta::milliseconds(chain.slot_duration_ms as i64) * LOOKBACK_SLOTS;
    let core = [DataStream::BeaconEvent, DataStream::Block, DataStream::Node];
    let mut interests: Vec<Interest> = core
        .into_iter()
        .map(|stream| Interest {
            stream,
            filter: None,
            lookback: slots,
        })
        .collect();
    for stream in engine.streams() {
        let lookback = engine.lookback(stream, chain);
        match interests
            .iter_mut()
            .find(|interest| interest.stream == stream)
        {
            Some(interest) => interest.lookback = interest.lookback.max(lookback),
            None => {
                let filter = engine.filter_dsl(stream);
                interests.push(Interest {
                    stream,
                    filter: Some(filter),
                    lookback,
                });
            }
        }
    }
    interests
}
