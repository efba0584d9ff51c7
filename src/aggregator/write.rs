//! Findings and alerts on their way back into Elasticsearch: bounded, in order, each with an outcome.

use std::collections::VecDeque;

use tracing::{error, warn};

use crate::elastic::{BulkBody, Client, Limits, SendError, Verdict};
use crate::event::{DataStream, Document, Event, timestamp};
use crate::slot;

/// Events waiting for Elasticsearch. While it is away nothing is read either, so little can come together.
const QUEUE: usize = 20_000;

/// ECS version of the field names.
const ECS_VERSION: &str = "8.17.0";

pub(super) struct Writer {
    client: Client,
    namespace: String,
    /// `agent.*` of what this process writes.
    identity: Document,
    /// `agent.ephemeral_id`: another in each run of the process.
    life: String,
    queue: VecDeque<Event>,
    /// Events that Elasticsearch refused, or that found the queue full.
    pub lost: u64,
}

impl Writer {
    pub(super) fn new(client: Client, namespace: &str, name: &str) -> Self {
        let mut identity = Document::default();
        identity.set("ecs.version", ECS_VERSION);
        let life = uuid::Uuid::new_v4().to_string();
        identity.set("agent.id", name);
        identity.set("agent.ephemeral_id", life.as_str());
        identity.set("agent.name", name);
        identity.set("agent.type", "ethmon-aggregator");
        identity.set("agent.version", env!("CARGO_PKG_VERSION"));
        Self {
            client,
            namespace: namespace.to_owned(),
            identity,
            life,
            queue: VecDeque::new(),
            lost: 0,
        }
    }

    /// Completes the event with the envelope and queues it. When the queue is full the oldest gives way, counted:
    /// findings are worked out again from the agents' documents after a restart.
    pub(super) fn push(&mut self, event: Event) -> &Event {
        if self.queue.len() >= QUEUE {
            self.queue.pop_front();
            self.lost += 1;
        }
        let sealed = self.seal(event);
        self.queue.push_back(sealed);
        &self.queue[self.queue.len() - 1]
    }

    /// Sends what waits; what must be tried again stays, in order.
    pub(super) async fn flush(&mut self) -> Result<(), SendError> {
        while !self.queue.is_empty() {
            let mut body = BulkBody::new(Limits::default());
            let mut taken = 0;
            for event in &self.queue {
                let index = event.stream.name(&self.namespace);
                let document = serde_json::to_vec(&event.document).unwrap_or_default();
                match body.push(&index, event.id.as_str(), &document) {
                    Ok(true) => taken += 1,
                    Ok(false) => break,
                    Err(bad) => {
                        error!(stream = %index, id = %event.id, "a finding cannot be sent: {bad}");
                        break;
                    }
                }
            }
            if taken == 0 {
                self.queue.pop_front();
                self.lost += 1;
                continue;
            }
            let (bytes, items) = body.take();
            let answer = self.client.bulk(bytes, items).await?;
            let mut again = Vec::new();
            for (event, verdict) in self.queue.drain(..taken).zip(answer.verdicts) {
                match verdict {
                    Verdict::Stored { .. } => {}
                    Verdict::Retry { .. } => again.push(event),
                    Verdict::Refused { kind, reason, .. } => {
                        self.lost += 1;
                        warn!(
                            stream = %event.stream.prefix(), id = %event.id, kind, reason,
                            "elasticsearch refused a finding"
                        );
                    }
                }
            }
            let waiting = !again.is_empty();
            for event in again.into_iter().rev() {
                self.queue.push_front(event);
            }
            if waiting {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(super) fn life(&self) -> &str {
        &self.life
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn seal(&self, mut event: Event) -> Event {
        let stream: DataStream = event.stream;
        let document = &mut event.document;
        document.merge_missing(&self.identity);
        document.set("data_stream.type", stream.kind());
        document.set("data_stream.dataset", stream.dataset());
        document.set("data_stream.namespace", self.namespace.as_str());
        document.set("event.module", stream.module());
        document.set("event.dataset", stream.dataset());
        if document.get("event.created").is_none() {
            document.set("event.created", timestamp(slot::now()));
        }
        event
    }
}
