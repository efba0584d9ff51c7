//! Documents of the agents → observations of the chain. Pure; what a document lacks is no observation.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::reader::Read;
use crate::chain_spec::unsigned;
use crate::event::{DataStream, Document};
use crate::network::{Ballot, Contents, Fact, Observation, ReportedReorg, Source};
use crate::slot::{BlockRef, ChainSpec, Root};

/// The topics of the event stream that say something about the chain; all others are left in the index.
const TOPICS: [&str; 8] = [
    "head",
    "head_v2",
    "block",
    "block_gossip",
    "chain_reorg",
    "finalized_checkpoint",
    "attestation",
    "single_attestation",
];

/// Query DSL for the stream events of which [`observations`] makes anything.
pub(super) fn topics_dsl() -> Value {
    json!({"terms": {"ethereum.topic": TOPICS}})
}

/// The chain a node document speaks of, as far as the agent stated it.
pub(super) fn chain_spec(document: &Document) -> Option<ChainSpec> {
    Some(ChainSpec {
        network: document.get_str("ethereum.network.name")?.to_owned(),
        genesis_validators_root: root(document, "ethereum.network.genesis_validators_root")?,
        genesis_time: document
            .get_str("ethereum.network.genesis_time")?
            .parse()
            .ok()?,
        slot_duration_ms: positive(document, "ethereum.spec.slot_duration_ms")?,
        slots_per_epoch: positive(document, "ethereum.spec.slots_per_epoch")?,
        attestation_due_ms: positive(document, "ethereum.spec.attestation_due_ms")?,
        // An older agent does not state it, and nothing here is judged by it.
        aggregate_due_ms: positive(document, "ethereum.spec.aggregate_due_ms").unwrap_or(0),
        sync_committee_size: positive(document, "ethereum.spec.sync_committee_size")?,
        // Blob fullness is worked out by the agent, which knows the schedule.
        blob_schedule: Vec::new(),
    })
}

/// Whether a document belongs to the chain that is watched. Documents of hosts belong to none.
pub(super) fn is_of_chain(document: &Document, spec: &ChainSpec) -> bool {
    let name = document.get_str("ethereum.network.name");
    let genesis: Option<DateTime<Utc>> = document
        .get_str("ethereum.network.genesis_time")
        .and_then(|text| text.parse().ok());
    let validators = root(document, "ethereum.network.genesis_validators_root");
    name.is_none_or(|name| name == spec.network)
        && genesis.is_none_or(|genesis| genesis == spec.genesis_time)
        && validators.is_none_or(|validators| validators == spec.genesis_validators_root)
}

/// What a document says about the chain.
pub fn observations(read: &Read) -> Vec<Observation> {
    let document = &read.document;
    let Some(node) = document.get_str("ethereum.node.name") else {
        return Vec::new();
    };
    let Some(received) = document.timestamp() else {
        return Vec::new();
    };
    let offset_ms = document.get_f64("ethereum.clock_offset_ms").unwrap_or(0.0);
    let offset = TimeDelta::microseconds((offset_ms * 1000.0) as i64);
    let at = received.checked_sub_signed(offset).unwrap_or(received);
    let order = document.get_u64("event.sequence").unwrap_or(0);
    let facts = match read.stream {
        DataStream::BeaconEvent => stream_event(document),
        DataStream::Block => block(document),
        DataStream::Node => status(document),
        DataStream::Attestation => attestations(document).into_iter().collect(),
        DataStream::Slot => slashing(document).into_iter().collect(),
        _ => Vec::new(),
    };
    let client = client(document);
    let observation = |fact| Observation {
        node: node.to_owned(),
        client: client.clone(),
        at,
        order,
        fact,
    };
    facts.into_iter().map(observation).collect()
}

fn stream_event(document: &Document) -> Vec<Fact> {
    let topic = document.get_str("ethereum.topic").unwrap_or_default();
    if document.get("ethereum.summary.count").is_some() {
        return votes(document, topic).into_iter().collect();
    }
    let block = block_ref(document, "ethereum.slot", "ethereum.block.root");
    match topic {
        "head" | "head_v2" => {
            let Some(block) = block else {
                return Vec::new();
            };
            vec![seen(document, block, Source::Head), Fact::Head(block)]
        }
        "chain_reorg" => {
            let Some(slot) = document.get_u64("ethereum.slot") else {
                return Vec::new();
            };
            let Some(depth) = document.get_u64("ethereum.reported_depth") else {
                return Vec::new();
            };
            vec![Fact::Reorg(ReportedReorg {
                slot,
                depth,
                old_head: root(document, "ethereum.reorg.old_head_root"),
                new_head: root(document, "ethereum.reorg.new_head_root"),
            })]
        }
        "finalized_checkpoint" => finalized(document).into_iter().collect(),
        _ => match (Source::from_name(topic), block) {
            (Some(source), Some(block)) => vec![seen(document, block, source)],
            _ => Vec::new(),
        },
    }
}

fn seen(document: &Document, block: BlockRef, source: Source) -> Fact {
    let arrival_ms = document
        .get("ethereum.arrival_ms")
        .and_then(serde_json::Value::as_i64);
    Fact::Seen {
        block,
        source,
        arrival_ms,
    }
}

fn block(document: &Document) -> Vec<Fact> {
    let Some(block) = block_ref(document, "ethereum.block.slot", "ethereum.block.root") else {
        return Vec::new();
    };
    let mut facts = Vec::new();
    if let Some(parent_root) = root(document, "ethereum.block.parent_root") {
        let proposer_index = document.get_u64("ethereum.block.proposer_index");
        facts.push(Fact::Block {
            block,
            parent_root,
            proposer_index,
        });
    }
    let contents = contents(document);
    if contents != Contents::default() {
        facts.push(Fact::Contents { block, contents });
    }
    if document.get_bool("ethereum.backfilled") == Some(true) {
        facts.push(Fact::Seen {
            block,
            source: Source::Poll,
            arrival_ms: None,
        });
    }
    facts
}

fn contents(document: &Document) -> Contents {
    Contents {
        size_bytes: document.get_u64("ethereum.block.size"),
        blobs: document.get_u64("ethereum.block.blobs"),
        sync_participants: document.get_u64("ethereum.block.sync_committee.participants"),
        sync_size: document.get_u64("ethereum.block.sync_committee.size"),
    }
}

fn status(document: &Document) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(syncing) = document.get_bool("ethereum.sync.is_syncing") {
        facts.push(Fact::Status { syncing });
    }
    if let Some(head) = block_ref(document, "ethereum.head.slot", "ethereum.head.root") {
        facts.push(Fact::PolledHead(head));
    }
    facts.extend(finalized(document));
    facts.extend(justified(document));
    facts
}

/// The votes of a slot as the agent counted them, each once whatever form it came in.
fn attestations(document: &Document) -> Option<Fact> {
    let slot = document.get_u64("ethereum.slot")?;
    let total = document.get_u64("ethereum.attestation.count")?;
    let by_root = listed(document, "ethereum.attestation.votes");
    let ballot = Ballot { total, by_root };
    Some(Fact::Votes { slot, ballot })
}

/// Of a slot's votes, summed up by an older agent. The sums of other topics are no votes.
fn votes(document: &Document, topic: &str) -> Option<Fact> {
    if !matches!(topic, "attestation" | "single_attestation") {
        return None;
    }
    let slot = document.get_u64("ethereum.slot")?;
    let total = document.get_u64("ethereum.summary.count")?;
    let mut by_root = listed(document, "ethereum.summary.votes");
    // Agents that don't list the roots name the one with most votes.
    if by_root.is_empty() {
        let top = root(document, "ethereum.summary.top_root")?;
        by_root.insert(top, document.get_u64("ethereum.summary.top_root_count")?);
    }
    let ballot = Ballot { total, by_root };
    Some(Fact::Votes { slot, ballot })
}

fn listed(document: &Document, path: &str) -> BTreeMap<Root, u64> {
    let votes = document.get(path).and_then(Value::as_array);
    let vote = |vote: &Value| {
        Some((
            vote["root"].as_str()?.parse().ok()?,
            vote["count"].as_u64()?,
        ))
    };
    votes.into_iter().flatten().filter_map(vote).collect()
}

/// What an agent heard of validators that signed twice. That two blocks were made for a slot is known by the blocks.
fn slashing(document: &Document) -> Option<Fact> {
    let slot = document.get_u64("ethereum.slot")?;
    let listed = document.get("ethereum.equivocation.validators")?;
    let validators = match listed {
        Value::Array(items) => items.iter().filter_map(unsigned).collect(),
        one => vec![unsigned(one)?],
    };
    match document.get_str("ethereum.equivocation.kind")? {
        "proposer_slashing" => Some(Fact::Slashing {
            slot,
            proposer_index: *validators.first()?,
        }),
        "attester_slashing" => Some(Fact::VoteSlashing { slot, validators }),
        _ => None,
    }
}

fn justified(document: &Document) -> Option<Fact> {
    Some(Fact::Justified {
        epoch: document.get_u64("ethereum.justified.epoch")?,
        root: root(document, "ethereum.justified.root")?,
    })
}

fn finalized(document: &Document) -> Option<Fact> {
    Some(Fact::Finalized {
        epoch: document.get_u64("ethereum.finalized.epoch")?,
        root: root(document, "ethereum.finalized.root")?,
    })
}

/// `Lodestar/v1.5.1`, or the name alone.
fn client(document: &Document) -> Option<String> {
    let name = document.get_str("ethereum.node.client")?;
    Some(match document.get_str("ethereum.node.version") {
        Some(version) => format!("{name}/{version}"),
        None => name.to_owned(),
    })
}

fn block_ref(document: &Document, slot: &str, block: &str) -> Option<BlockRef> {
    Some(BlockRef {
        slot: document.get_u64(slot)?,
        root: root(document, block)?,
    })
}

fn root(document: &Document, path: &str) -> Option<Root> {
    document.get_str(path)?.parse().ok()
}

fn positive(document: &Document, path: &str) -> Option<u64> {
    document.get_u64(path).filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DocumentId;

    fn read(stream: DataStream, fields: serde_json::Value) -> Read {
        let serde_json::Value::Object(map) = fields else {
            unreachable!()
        };
        Read {
            stream,
            id: DocumentId::of(&["x"]),
            document: Document::from(map),
        }
    }

    #[test]
    fn a_head_event_is_an_arrival_and_a_head() {
        let root = Root([3; 32]);
        let observations = observations(&read(
            DataStream::BeaconEvent,
            json!({
                "@timestamp": "2026-11-21T10:00:00.500Z",
                "event": {"sequence": 7},
                "ethereum": {
                    "node": {"name": "a", "client": "Lodestar", "version": "v1.5.1"},
                    "topic": "head", "slot": 5, "block": {"root": root}, "arrival_ms": -3, "clock_offset_ms": 100.0,
                },
            }),
        ));
        let block = BlockRef { slot: 5, root };
        assert_eq!(observations.len(), 2);
        assert_eq!(
            observations[0].fact,
            Fact::Seen {
                block,
                source: Source::Head,
                arrival_ms: Some(-3)
            }
        );
        assert_eq!(observations[1].fact, Fact::Head(block));
        assert_eq!(observations[1].order, 7);
        assert_eq!(observations[1].client.as_deref(), Some("Lodestar/v1.5.1"));
        assert_eq!(
            observations[1].at,
            "2026-11-21T10:00:00.400Z".parse::<DateTime<Utc>>().unwrap()
        );
    }

    #[test]
    fn documents_without_their_facts_say_nothing() {
        for document in [
            json!({"@timestamp": "2026-11-21T10:00:00Z", "ethereum": {"topic": "head"}}),
            json!({"ethereum": {"node": {"name": "a"}, "topic": "head", "slot": 5}}),
            json!({"@timestamp": "2026-11-21T10:00:00Z", "ethereum": {"node": {"name": "a"}, "topic": "head", "slot": -5}}),
        ] {
            assert_eq!(
                observations(&read(DataStream::BeaconEvent, document)),
                Vec::new()
            );
        }
    }

    #[test]
    fn votes_are_read_as_the_agent_counted_them() {
        let root = Root([3; 32]);
        let told = observations(&read(
            DataStream::Attestation,
            json!({
                "@timestamp": "2026-11-21T10:00:00Z",
                "ethereum": {"node": {"name": "a"}, "slot": 5,
                    "attestation": {"count": 12, "votes": [{"root": root, "count": 9}, {"root": "0x12", "count": 3}]}},
            }),
        ));
        let ballot = Ballot {
            total: 12,
            by_root: [(root, 9)].into(),
        };
        assert_eq!(told[0].fact, Fact::Votes { slot: 5, ballot });
    }

    #[test]
    fn documents_of_another_chain_are_told_apart() {
        let spec = ChainSpec::example();
        let of = |name: &str| {
            let mut document = Document::default();
            document.set("ethereum.network.name", name);
            is_of_chain(&document, &spec)
        };
        assert!(of("mainnet") && !of("sepolia"));
        assert!(is_of_chain(&Document::default(), &spec));
    }
}
