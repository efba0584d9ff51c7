//! Documents of two agents on a chain with slots of one second, written as time goes by. The network can be split.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use chrono::{DateTime, TimeDelta, Utc};
use ethmon::elastic::{BulkBody, Client, Limits};
use ethmon::event::{DataStream, DocumentId, Event, timestamp};
use ethmon::slot::{BlockRef, ChainSpec, Root, now};
use ethmon::tasks::Tasks;
use tokio_util::sync::CancellationToken;

pub(crate) struct Fleet {
    pub(crate) split: Arc<AtomicBool>,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Fleet {
    /// Writes a slot's documents each second, from now on.
    pub(crate) fn start(client: Client, namespace: String) -> Self {
        let split = Arc::new(AtomicBool::new(false));
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        let chain = Chain::new(namespace, client, Arc::clone(&split));
        tasks.spawn("fleet", chain.run(stop.clone()));
        Self { split, tasks, stop }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.join().await.unwrap();
    }
}

struct Chain {
    spec: ChainSpec,
    namespace: String,
    client: Client,
    split: Arc<AtomicBool>,
    /// The head of each node.
    heads: [BlockRef; 2],
    /// Blocks and parents that a node has not seen because the network is split.
    unseen: [Vec<(BlockRef, Root)>; 2],
    sequence: u64,
}

const NAMES: [&str; 2] = ["n-a", "n-b"];

impl Chain {
    fn new(namespace: String, client: Client, split: Arc<AtomicBool>) -> Self {
        let genesis = BlockRef {
            slot: 0,
            root: root(0, 0),
        };
        let spec = ChainSpec {
            network: "fleet".into(),
            genesis_time: DateTime::from_timestamp(now().timestamp() - 1, 0).unwrap(),
            slot_duration_ms: 1_000,
            slots_per_epoch: 8,
            attestation_due_ms: 333,
            ..ChainSpec::example()
        };
        Self {
            spec,
            namespace,
            client,
            split,
            heads: [genesis; 2],
            unseen: [Vec::new(), Vec::new()],
            sequence: 0,
        }
    }

    async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        for slot in 1.. {
            let start = self.spec.slot_start(slot) + TimeDelta::milliseconds(100);
            let wait = (start - now()).to_std().unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => break,
            }
            self.write(slot, start).await;
        }
        Ok(())
    }

    async fn write(&mut self, slot: u64, at: DateTime<Utc>) {
        let split = self.split.load(SeqCst);
        let proposer = (slot % 2) as usize;
        let block = BlockRef {
            slot,
            root: root(slot, proposer as u8),
        };
        let parent = self.heads[proposer].root;
        let mut events = Vec::new();
        for node in 0..2 {
            if split && node != proposer {
                self.unseen[node].push((block, parent));
                continue;
            }
            for (missed, parent) in std::mem::take(&mut self.unseen[node]) {
                events.extend(self.import(node, missed, parent, at));
            }
            events.extend(self.import(node, block, parent, at));
            if self.heads[node] != block {
                self.heads[node] = block;
                events.push(self.stream_event(node, "head", block, at));
            }
        }
        for node in 0..2 {
            events.push(self.status(node, slot, at));
        }
        let mut body = BulkBody::new(Limits::default());
        for event in &events {
            let index = event.stream.name(&self.namespace);
            let document = serde_json::to_vec(&event.document).unwrap();
            assert_eq!(body.push(&index, event.id.as_str(), &document), Ok(true));
        }
        let (body, items) = body.take();
        let answer = self.client.bulk(body, items).await.unwrap();
        for verdict in answer.verdicts {
            assert!(
                matches!(verdict, ethmon::elastic::Verdict::Stored { .. }),
                "{verdict:?}"
            );
        }
    }

    fn import(
        &mut self,
        node: usize,
        block: BlockRef,
        parent: Root,
        at: DateTime<Utc>,
    ) -> [Event; 2] {
        let links = self
            .begin(DataStream::Block, node, at)
            .with("ethereum.block.slot", block.slot)
            .with("ethereum.block.root", block.root.to_string())
            .with("ethereum.block.parent_root", parent.to_string());
        [self.stream_event(node, "block", block, at), links]
    }

    fn stream_event(
        &mut self,
        node: usize,
        topic: &str,
        block: BlockRef,
        at: DateTime<Utc>,
    ) -> Event {
        let arrival_ms = self.spec.arrival_ms(block.slot, at, 0.0);
        self.begin(DataStream::BeaconEvent, node, at)
            .with("ethereum.topic", topic)
            .with("ethereum.slot", block.slot)
            .with("ethereum.block.root", block.root.to_string())
            .with("ethereum.arrival_ms", arrival_ms)
    }

    fn status(&mut self, node: usize, slot: u64, at: DateTime<Utc>) -> Event {
        let (spec, head) = (self.spec.clone(), self.heads[node]);
        let mut event = self
            .begin(DataStream::Node, node, at)
            .with("ethereum.head.slot", head.slot)
            .with("ethereum.head.root", head.root.to_string())
            .with("ethereum.sync.distance", slot - head.slot)
            .with("ethereum.sync.is_syncing", false)
            .with("ethereum.peers.connected", 50)
            .with("ethereum.spec.slot_duration_ms", spec.slot_duration_ms)
            .with("ethereum.spec.slots_per_epoch", spec.slots_per_epoch)
            .with("ethereum.spec.attestation_due_ms", spec.attestation_due_ms)
            .with(
                "ethereum.spec.sync_committee_size",
                spec.sync_committee_size,
            );
        let validators = spec.genesis_validators_root.to_string();
        event
            .document
            .set("ethereum.network.genesis_validators_root", validators);
        event
    }

    fn begin(&mut self, stream: DataStream, node: usize, at: DateTime<Utc>) -> Event {
        self.sequence += 1;
        let id = DocumentId::of(&[&self.namespace, &self.sequence.to_string()]);
        let mut event = Event::new(stream, id, at)
            .with("data_stream.type", stream.kind())
            .with("data_stream.dataset", stream.dataset())
            .with("data_stream.namespace", self.namespace.as_str())
            .with("ethereum.node.name", NAMES[node])
            .with("ethereum.node.client", "lodestar")
            .with("ethereum.node.version", "v1.5.1")
            .with("ethereum.network.name", self.spec.network.as_str())
            .with(
                "ethereum.network.genesis_time",
                timestamp(self.spec.genesis_time),
            );
        if stream == DataStream::BeaconEvent {
            event.document.set("event.sequence", self.sequence);
        }
        event
    }
}

fn root(slot: u64, side: u8) -> Root {
    let mut bytes = [side + 1; 32];
    bytes[..8].copy_from_slice(&slot.to_be_bytes());
    Root(bytes)
}
