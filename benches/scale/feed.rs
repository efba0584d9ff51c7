//! Sends what the agents have to send, when they would, through the product's own encoder and client.

use std::collections::BTreeMap;

use anyhow::ensure;
use chrono::{DateTime, TimeDelta, Utc};
use ethmon::elastic::{BulkBody, Client, Limits, Verdict};
use ethmon::slot::now;

use crate::envelope::Delivery;

/// Documents of so long go together, those of all agents: a thousand small requests would measure Elasticsearch.
const STEP: TimeDelta = TimeDelta::milliseconds(100);

pub(crate) struct Feed {
    client: Client,
    waiting: BTreeMap<(DateTime<Utc>, u64), Delivery>,
    number: u64,
    /// When the last document about each slot's block was acknowledged.
    pub(crate) stored: BTreeMap<u64, DateTime<Utc>>,
    pub(crate) documents: u64,
    /// How far the sending lagged behind the time at which agents would have sent, at most.
    pub(crate) lag: TimeDelta,
}

impl Feed {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            waiting: BTreeMap::new(),
            number: 0,
            stored: BTreeMap::new(),
            documents: 0,
            lag: TimeDelta::zero(),
        }
    }

    pub(crate) fn add(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.number += 1;
            self.waiting.insert((delivery.at, self.number), delivery);
        }
    }

    /// Sends until `end` what falls due before it.
    pub(crate) async fn send_until(&mut self, end: DateTime<Utc>) -> anyhow::Result<()> {
        loop {
            let moment = now().min(end);
            self.send_due(moment).await?;
            if now() >= end && self.waiting.keys().next().is_none_or(|(at, _)| *at > end) {
                return Ok(());
            }
            let wait = (moment + STEP).min(end) - now();
            tokio::time::sleep(wait.to_std().unwrap_or_default()).await;
        }
    }

    async fn send_due(&mut self, moment: DateTime<Utc>) -> anyhow::Result<()> {
        while self
            .waiting
            .keys()
            .next()
            .is_some_and(|(at, _)| *at <= moment)
        {
            let mut body = BulkBody::new(Limits::default());
            let mut blocks = Vec::new();
            while let Some(entry) = self.waiting.first_entry() {
                let delivery = entry.get();
                let fits = delivery.at <= moment
                    && body.push(&delivery.index, delivery.id.as_str(), &delivery.document)?;
                if !fits {
                    break;
                }
                self.lag = self.lag.max(now() - delivery.at);
                blocks.extend(entry.remove().block_of);
            }
            let (bytes, items) = body.take();
            let answer = self.client.bulk(bytes, items).await?;
            let mut verdicts = answer.verdicts.iter();
            let odd = verdicts.find(|verdict| !matches!(verdict, Verdict::Stored { .. }));
            ensure!(odd.is_none(), "a document was not stored: {odd:?}");
            self.documents += items as u64;
            let stored = now();
            for slot in blocks {
                self.stored.insert(slot, stored);
            }
        }
        Ok(())
    }
}
