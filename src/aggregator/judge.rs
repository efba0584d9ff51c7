//! The loop around the pure core: read, observe, judge, write, and only then go on.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::interests::interests;
use super::losses::{self, Loss, Losses};
use super::observe;
use super::reader::{self, Read, Reader};
use super::state::{StateStore, Stored};
use super::write::Writer;
use crate::alert::{self, Change, Ledger, Notice, email, notices, record};
use crate::config;
use crate::elastic::Client;
use crate::event::{DataStream, Document, Event};
use crate::network::{self, Network};
use crate::rules::{Engine, Rule};
use crate::slot::{self, ChainSpec};

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
    losses: Losses,
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
            losses: Losses::default(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let started = tokio::select! {
            started = self.start() => started,
            () = stop.cancelled() => return Ok(()),
        };
        let (mut ledger, mut network, mut reader) = started;
        let mut decided = Decided {
            notices: self.openings(&ledger, network.spec()),
            ..Decided::default()
        };
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
        self.store(&mut decided)
            .await
            .context("cannot store the last decisions")?;
        Ok(())
    }

    /// Waits for Elasticsearch and for the first node that states its chain; loads what was decided before.
    async fn start(&mut self) -> (Ledger, Network, Reader) {
        let mut waiting = false;
        loop {
            match self.try_start().await {
                Ok(Some(started)) => {
                    self.say_back();
                    return started;
                }
                Ok(None) => {
                    if !std::mem::replace(&mut waiting, true) {
                        info!("no node has reported yet; waiting for the first one");
                    }
                }
                Err(error) => self.say_lost(&error),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// `None` while no node has stated its chain.
    async fn try_start(&mut self) -> anyhow::Result<Option<(Ledger, Network, Reader)>> {
        let (states, chain) = self.learn().await?;
        let Some(chain) = chain else { return Ok(None) };
        let now = slot::now();
        let interests = interests(&self.engine, &chain, self.writer.life());
        let reader = Reader::new(self.client.clone(), &self.namespace, interests, now);
        // What another life of this process wrote a moment ago belongs to the past that is judged first.
        reader.refresh().await?;
        self.recall_entities(now, &chain).await?;
        if let Some(outgoing) = &self.outgoing {
            for stored in self.store.open_notices().await? {
                let sent = outgoing.outbox.send(stored).await;
                sent.context("the sender has ended")?;
            }
        }
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
        let settings = network::Settings {
            quorum: self.config.reorg_quorum,
            split_slots: self.config.split_min_slots,
            ..network::Settings::default()
        };
        Ok(Some((ledger, Network::new(chain, settings), reader)))
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

    /// Shows the rules that watch for silence whom they knew longer ago than the reader looks back.
    async fn recall_entities(
        &mut self,
        now: DateTime<Utc>,
        chain: &ChainSpec,
    ) -> anyhow::Result<()> {
        let rules: Vec<_> = self.engine.rules().cloned().collect();
        for rule in rules {
            let Some(query) = rule.newest_per_key(now, chain) else {
                continue;
            };
            let stream = rule.settings.query.stream;
            let answer = self
                .client
                .search(&stream.name(&self.namespace), &query)
                .await?;
            for read in reader::documents(answer) {
                self.engine.observe(read.stream, &read.id, &read.document);
            }
        }
        Ok(())
    }

    /// One turn. An error means Elasticsearch; nothing was lost and the turn can be taken again.
    async fn round(
        &mut self,
        reader: &mut Reader,
        network: &mut Network,
        ledger: &mut Ledger,
        decided: &mut Decided,
    ) -> anyhow::Result<()> {
        self.store(decided).await?;
        self.read(reader, network).await?;
        self.say_back();

        let now = slot::now();
        for finding in network.advance(now) {
            let event = finding.to_event(network.spec());
            // After a start the past is worked out again; what was told then is no news.
            if !reader.knows(event.stream, &event.id) {
                self.write(event);
            }
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
        self.store(decided).await
    }

    /// Page by page to the end of what is there: judged is what is known, and half of a slot would be half the nodes.
    async fn read(&mut self, reader: &mut Reader, network: &mut Network) -> anyhow::Result<()> {
        let asked_at = slot::now();
        let mut page = reader.begin(asked_at).await?;
        let mut documents = 0;
        loop {
            documents += page.documents.len();
            for read in &page.documents {
                self.observe(read, network);
            }
            if !page.more {
                break;
            }
            page = reader.go_on(asked_at).await?;
        }
        let now = slot::now();
        let took = now - asked_at;
        if took > TimeDelta::milliseconds(network.spec().slot_duration_ms as i64) {
            let seconds = took.num_seconds();
            warn!(
                documents,
                seconds, "reading what is new took longer than a slot"
            );
        }
        let counts = losses::counts(&self.engine, network.refused(), &self.writer, reader);
        for Loss { reason, more, all } in self.losses.news(now, counts) {
            warn!(reason, more, all, "left out of what is judged");
        }
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

    /// The notices by which the open incidents began: all but those of a crash are there already.
    fn openings(&self, ledger: &Ledger, chain: &ChainSpec) -> Vec<Notice> {
        let Some(Outgoing { mail, style, .. }) = &self.outgoing else {
            return Vec::new();
        };
        let opening = |state: &alert::State| state.opening(self.engine.rule(&state.rule)?);
        ledger
            .states()
            .filter_map(opening)
            .flat_map(|opening| notices(&opening, chain, style, mail))
            .collect()
    }

    /// Stores findings first, then the states that begin or go on, notices, and the states that end. After a crash in
    /// between, what led to a state is there to be read; an incident whose opening was not told yet is there to be told;
    /// one whose end was told but not stored ends once more, and the notice that is decided again is found.
    async fn store(&mut self, decided: &mut Decided) -> anyhow::Result<()> {
        self.writer.flush().await?;
        let changes = &mut decided.changes;
        changes.sort_by_key(|change| change.state.is_none());
        let going = changes.partition_point(|change| change.state.is_some());
        self.store.save_states(&changes[..going]).await?;
        changes.drain(..going);
        while let Some(notice) = decided.notices.first() {
            if let Some(stored) = self.store.create_notice(notice).await?
                && let Some(outgoing) = &self.outgoing
            {
                let sent = outgoing.outbox.send(stored).await;
                sent.context("the sender has ended")?;
            }
            decided.notices.remove(0);
        }
        self.store.save_states(&decided.changes).await?;
        decided.changes.clear();
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
