//! One fleet, from its first slot to its last.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use ethmon::elastic::Client;
use ethmon::event::DataStream;
use ethmon::slot::now;
use serde_json::{Value, json};

use crate::aggregator::Aggregator;
use crate::chain::{Chain, Course, Kind, STORY};
use crate::envelope::Writer;
use crate::feed::Feed;
use crate::proxy::{Count, Proxy};

/// Between the documents that state the chain and the first slot that counts.
const WARM_UP: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) slots: u64,
    pub(crate) slot_ms: u64,
    /// Elasticsearch does not answer the aggregator for so long, from the fourth slot on.
    pub(crate) stall: Duration,
}

/// The aggregator, and where its configuration and its log go.
pub(crate) struct Place<'a> {
    pub(crate) program: &'a Path,
    pub(crate) scratch: &'a Path,
}

/// What a run came to; figures per slot unless said otherwise.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) nodes: usize,
    pub(crate) sent: f64,
    pub(crate) read: f64,
    pub(crate) requests: f64,
    pub(crate) read_bytes: f64,
    pub(crate) cpu: Vec<Duration>,
    pub(crate) elasticsearch_cpu: Duration,
    /// At the end of the run, and the most of it, in bytes.
    pub(crate) memory: (u64, u64),
    /// From a slot's last document about its block to the status of the slot, and to the record of the block.
    pub(crate) judged: Vec<TimeDelta>,
    pub(crate) told: Vec<TimeDelta>,
    pub(crate) slowest_request: Duration,
    pub(crate) lag: TimeDelta,
    /// From the end of a stall to the last word about a slot that ended before it.
    pub(crate) caught_up: Option<TimeDelta>,
    pub(crate) slots_judged: usize,
    pub(crate) reorgs: usize,
    pub(crate) splits: usize,
    pub(crate) missed: usize,
    pub(crate) late: usize,
}

pub(crate) async fn run(
    client: &Client,
    url: &str,
    plan: Plan,
    place: &Place<'_>,
) -> anyhow::Result<Outcome> {
    let namespace = format!("scale{}.{}", plan.nodes, now().timestamp());
    let slot_long = TimeDelta::milliseconds(plan.slot_ms as i64);
    let course = Course {
        slot_ms: plan.slot_ms,
        // Finality comes within a short run; every slot becomes final once, as on mainnet.
        slots_per_epoch: 4,
        story_every: STORY,
    };
    let mut chain = Chain::new(plan.nodes, course, now() + WARM_UP);
    let mut writer = Writer::new(&namespace, &chain.spec);
    let mut feed = Feed::new(client.clone());

    feed.add(writer.greeting(&chain, now()));
    feed.send_until(now()).await?;
    client
        .post(&format!("*-{namespace}/_refresh"), &[], None)
        .await?;
    let proxy = Proxy::default();
    let proxied = proxy.start(url)?;
    let aggregator = Aggregator::start(place.program, place.scratch, &proxied, &namespace)?;
    let mut outcome = Outcome {
        nodes: plan.nodes,
        ..Outcome::default()
    };
    let mut kinds = BTreeMap::new();
    let mut began = None;
    let mut cpu = Duration::ZERO;
    for slot in chain.first..chain.first + plan.slots {
        let next = chain.next(slot);
        kinds.insert(slot, next.kind);
        feed.add(writer.slot(&chain, &next));
        let start = chain.spec.slot_start(slot);
        feed.send_until(start).await?;
        let before = *began.get_or_insert_with(|| proxy.count());
        if slot == chain.first {
            proxy.take_slowest();
            cpu = aggregator.cpu()?;
            outcome.elasticsearch_cpu = elasticsearch_cpu(client).await?;
            feed.documents = 0;
        }
        if slot == chain.first + 3 && !plan.stall.is_zero() {
            proxy.stall(plan.stall);
        }
        feed.send_until(start + slot_long).await?;
        let used = aggregator.cpu()?;
        outcome
            .cpu
            .push(used.saturating_sub(std::mem::replace(&mut cpu, used)));
        if slot + 1 == chain.first + plan.slots {
            outcome.fill(plan.slots as f64, before, &proxy, &feed);
            outcome.memory = aggregator.memory()?;
            let all = elasticsearch_cpu(client)
                .await?
                .saturating_sub(outcome.elasticsearch_cpu);
            outcome.elasticsearch_cpu = all / plan.slots as u32;
        }
    }
    // Summaries that are still on their way, and the last slot's judgement.
    feed.send_until(now() + slot_long + TimeDelta::seconds(4))
        .await?;
    outcome
        .judge(client, &namespace, &kinds, &proxy, &feed)
        .await?;
    Ok(outcome)
}

impl Outcome {
    fn fill(&mut self, slots: f64, before: Count, proxy: &Proxy, feed: &Feed) {
        let count = proxy.count();
        self.sent = feed.documents as f64 / slots;
        self.read = (count.hits - before.hits) as f64 / slots;
        self.requests = (count.requests - before.requests) as f64 / slots;
        self.read_bytes = (count.bytes - before.bytes) as f64 / slots;
        self.slowest_request = proxy.take_slowest();
        self.lag = feed.lag;
    }

    /// What the aggregator wrote, and when that was stored.
    async fn judge(
        &mut self,
        client: &Client,
        namespace: &str,
        kinds: &BTreeMap<u64, Kind>,
        proxy: &Proxy,
        feed: &Feed,
    ) -> anyhow::Result<()> {
        let records = all(client, &DataStream::NetworkBlock.name(namespace)).await?;
        let stored_first = |of: &dyn Fn(&Value) -> bool| -> BTreeMap<u64, DateTime<Utc>> {
            let mut times = BTreeMap::new();
            for record in records.iter().filter(|record| of(record)) {
                let slot = record["ethereum"]["slot"].as_u64();
                let created = record["event"]["created"]
                    .as_str()
                    .and_then(|text| text.parse().ok());
                let stored = created.and_then(|created| proxy.written_after(created));
                if let (Some(slot), Some(stored)) = (slot, stored) {
                    let known = times.entry(slot).or_insert(stored);
                    *known = stored.min(*known);
                }
            }
            times
        };
        let action = |record: &Value| {
            record["event"]["action"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let judged = stored_first(&|record| action(record).ends_with("_slot"));
        let told = stored_first(&|record| action(record) == "settled");
        self.caught_up = proxy.stalled_until().and_then(|end| {
            let during = feed.stored.iter().filter(|(_, stored)| **stored < end);
            let words = during.filter_map(|(slot, _)| told.get(slot).max(judged.get(slot)));
            words.map(|at| *at - end).max()
        });
        self.slots_judged = kinds
            .keys()
            .filter(|slot| judged.contains_key(slot))
            .count();
        for (slot, kind) in kinds.iter().filter(|(_, kind)| kind.is_taken_by_all()) {
            let last = feed
                .stored
                .get(slot)
                .with_context(|| format!("{kind:?} slot {slot} without a block"))?;
            let after =
                |times: &BTreeMap<u64, DateTime<Utc>>| times.get(slot).map(|at| *at - *last);
            self.judged.extend(after(&judged));
            self.told.extend(after(&told));
        }
        let distinct = |of: &dyn Fn(&Value) -> bool| {
            let slots = records.iter().filter(|record| of(record));
            slots
                .filter_map(|record| record["ethereum"]["slot"].as_u64())
                .filter(|slot| kinds.contains_key(slot))
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        };
        self.missed = distinct(&|record| action(record) == "missed_slot");
        self.late = distinct(&|record| record["ethereum"]["late"] == true);
        let reorgs = all(client, &DataStream::Reorg.name(namespace)).await?;
        self.reorgs = reorgs
            .iter()
            .filter(|reorg| action(reorg) == "reorg")
            .count();
        let splits = all(client, &DataStream::HeadSplit.name(namespace)).await?;
        self.splits = splits
            .iter()
            .filter(|split| action(split) == "opened")
            .count();
        Ok(())
    }
}

async fn all(client: &Client, stream: &str) -> anyhow::Result<Vec<Value>> {
    client
        .post(
            &format!("{stream}/_refresh"),
            &[("ignore_unavailable", "true")],
            None,
        )
        .await?;
    let fields = [
        "ethereum.slot",
        "ethereum.late",
        "event.action",
        "event.created",
    ];
    let body = json!({"size": 10_000, "_source": fields, "sort": [{"@timestamp": {"order": "asc", "unmapped_type": "date"}}]});
    let mut answer = client.search(stream, &body).await?;
    let hits = answer["hits"]["hits"].take();
    let Value::Array(hits) = hits else {
        return Ok(Vec::new());
    };
    Ok(hits
        .into_iter()
        .map(|mut hit| hit["_source"].take())
        .collect())
}

/// As Elasticsearch itself counts it, over all its nodes.
async fn elasticsearch_cpu(client: &Client) -> anyhow::Result<Duration> {
    let reply = client.get("_nodes/stats/process", &[]).await?;
    let nodes = reply.body["nodes"]
        .as_object()
        .context("no statistics of the nodes")?;
    let total = nodes
        .values()
        .filter_map(|node| node.pointer("/process/cpu/total_in_millis")?.as_u64());
    Ok(Duration::from_millis(total.sum()))
}
