//! What every document of an agent has, and when it is on its way.

use chrono::{DateTime, TimeDelta, Utc};
use ethmon::event::{DataStream, DocumentId, Event, timestamp};
use ethmon::slot::ChainSpec;

use crate::chain::Node;

/// A document that an agent sends.
pub(crate) struct Delivery {
    pub(crate) at: DateTime<Utc>,
    pub(crate) stream: DataStream,
    pub(crate) index: String,
    pub(crate) id: DocumentId,
    pub(crate) document: Vec<u8>,
    /// The slot whose block it tells of.
    pub(crate) block_of: Option<u64>,
}

/// Every agent sends what has come together in about half a second.
const BATCH_MS: u64 = 500;

pub(crate) struct Writer {
    namespace: String,
    pub(crate) spec: ChainSpec,
    /// Of the document begun last.
    pub(crate) sequence: u64,
    pub(crate) out: Vec<Delivery>,
}

impl Writer {
    pub(crate) fn new(namespace: &str, spec: &ChainSpec) -> Self {
        Self {
            namespace: namespace.to_owned(),
            spec: spec.clone(),
            sequence: 0,
            out: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, stream: DataStream, node: &Node, at: DateTime<Utc>) -> Event {
        self.sequence += 1;
        let id = DocumentId::of(&[&self.namespace, &self.sequence.to_string()]);
        let mut event = Event::new(stream, id, at)
            .with("ecs.version", "8.17.0")
            .with("data_stream.type", stream.kind())
            .with("data_stream.dataset", stream.dataset())
            .with("data_stream.namespace", self.namespace.as_str())
            .with("event.module", stream.module())
            .with("event.dataset", stream.dataset())
            .with("event.created", timestamp(at))
            .with("agent.id", format!("6d1e7c52-90c1-4a1e-8f3e-{}", node.name))
            .with("agent.ephemeral_id", "b3f0c2a4-54c7-4f0b-9d1b-7e0b3f7f2d11")
            .with("agent.name", node.name.as_str())
            .with("agent.type", "ethmon")
            .with("agent.version", "0.1.0")
            .with("host.name", node.name.as_str())
            .with("host.hostname", node.name.as_str())
            .with("host.architecture", "x86_64")
            .with("labels.region", "eu")
            .with("ethereum.node.name", node.name.as_str())
            .with("ethereum.node.client", node.client.name)
            .with("ethereum.node.version", node.client.version)
            .with("ethereum.network.name", self.spec.network.as_str())
            .with(
                "ethereum.network.genesis_time",
                timestamp(self.spec.genesis_time),
            );
        if stream == DataStream::BeaconEvent {
            event.document.set("event.sequence", self.sequence);
        }
        if matches!(
            stream,
            DataStream::BeaconEvent | DataStream::Block | DataStream::Node
        ) {
            event.document.set("ethereum.clock.source", "kernel");
            event.document.set("ethereum.clock_offset_ms", 0.2);
        }
        if matches!(stream, DataStream::BeaconEvent | DataStream::Block) {
            event.document.set("ethereum.syncing", false);
        }
        event
    }

    pub(crate) fn send(
        &mut self,
        node: &Node,
        event: Event,
        told: DateTime<Utc>,
        block_of: Option<u64>,
    ) {
        // Agents do not send in step.
        let phase = node
            .name
            .bytes()
            .fold(0, |sum, byte| sum * 31 + u64::from(byte))
            % BATCH_MS;
        let ms = told.timestamp_millis() as u64 + phase;
        let at = told + TimeDelta::milliseconds((BATCH_MS - ms % BATCH_MS) as i64);
        self.out.push(Delivery {
            at,
            stream: event.stream,
            index: event.stream.name(&self.namespace),
            id: event.id,
            document: serde_json::to_vec(&event.document).unwrap_or_default(),
            block_of,
        });
    }
}
