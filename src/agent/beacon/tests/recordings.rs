//! Streams and blocks of real nodes, as they were recorded.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::agent::beacon::decode;
use crate::agent::beacon::event::{self, BeaconEvent, Body};
use crate::agent::beacon::sse::FrameCutter;
use crate::agent::beacon::topics::Topic;

fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(path)
}

fn unpacked(path: &str) -> String {
    String::from_utf8(unpacked_bytes(path)).unwrap()
}

fn unpacked_bytes(path: &str) -> Vec<u8> {
    let file = std::fs::File::open(shared(path)).unwrap();
    let mut bytes = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(file);
    decoder.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Feeds `time<separator>line` recordings through the cutter and the reader.
fn read<'a>(lines: impl Iterator<Item = (DateTime<Utc>, &'a str)>) -> Vec<BeaconEvent> {
    let mut cutter = FrameCutter::new(4 << 20);
    let mut events = Vec::new();
    for (at, line) in lines {
        cutter.push(line.as_bytes(), at);
        cutter.push(b"\n", at);
        events.extend(std::iter::from_fn(|| cutter.pop()).map(event::read));
    }
    events
}

fn devnet(scenario: &str, node: &str) -> Vec<BeaconEvent> {
    let text = unpacked(&format!("devnet/{scenario}/node-{node}/sse.tsv.gz"));
    read(text.lines().map(|line| {
        let (ns, line) = line.split_once('\t').unwrap();
        (DateTime::from_timestamp_nanos(ns.parse().unwrap()), line)
    }))
}

fn by_topic(events: &[BeaconEvent]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.topic.name()).or_default() += 1;
    }
    counts
}

#[test]
fn every_event_of_every_devnet_recording_is_read() {
    for scenario in [
        "healthy-40",
        "split-8",
        "late-4",
        "geth-split-6",
        "mixed-split-9",
    ] {
        for node in ["a", "b"] {
            let events = devnet(scenario, node);
            assert!(events.len() > 50, "{scenario} {node}");
            for event in &events {
                assert_eq!(event.parse_error, None, "{scenario} {node} {}", event.topic);
                assert!(matches!(event.body, Body::Json(_)));
                assert!(!matches!(&event.topic, Topic::Other(name) if name.is_empty()));
                if event.topic.announces_block() {
                    assert!(event.slot.is_some() && event.block.is_some());
                }
                if event.topic.is_heavy() {
                    assert!(event.slot.is_some(), "{}", event.topic);
                }
            }
        }
    }
}

#[test]
fn counts_of_two_recordings() {
    let split = devnet("split-8", "a");
    let counts = by_topic(&split);
    assert_eq!(
        (
            counts["block"],
            counts["head"],
            counts["chain_reorg"],
            counts["attestation"]
        ),
        (35, 33, 1, 57)
    );
    let mixed = devnet("mixed-split-9", "a");
    let counts = by_topic(&mixed);
    assert_eq!(
        (
            counts["block_gossip"],
            counts["contribution_and_proof"],
            counts["payload_attributes"]
        ),
        (18, 663, 21)
    );
}

#[test]
fn prysms_crossed_reorg_is_kept_as_it_is() {
    let reorg = devnet("mixed-split-9", "a")
        .into_iter()
        .find(|event| event.topic == Topic::ChainReorg)
        .unwrap();
    let reported = reorg.reorg.unwrap();
    assert_eq!((reorg.slot, reported.depth), (Some(28), Some(18)));
    assert!(reported.old_head.unwrap().starts_with("0x7977e666"));
    assert!(reported.new_head.unwrap().starts_with("0xff6d7bc8"));
}

#[test]
fn prysms_own_recording_has_comments_and_all_topics() {
    let text = std::fs::read_to_string(shared("prysm/run1/all-topics.sse")).unwrap();
    let events = read(
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (seconds, line) = line.split_once(' ').unwrap_or((line, ""));
                let micros = (seconds.parse::<f64>().unwrap() * 1e6) as i64;
                (DateTime::from_timestamp_micros(micros).unwrap(), line)
            }),
    );
    let odd: Vec<_> = events
        .iter()
        .filter(|event| event.fault.is_some())
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert_eq!(
        by_topic(&events)["head"],
        text.matches(" event: head").count()
    );
    let silent = std::fs::read_to_string(shared("prysm/run1/silent-topic.sse")).unwrap();
    let silent = silent.lines().filter(|line| !line.starts_with('#'));
    let events = read(silent.map(|line| {
        (
            DateTime::UNIX_EPOCH,
            line.split_once(' ').map_or("", |(_, line)| line),
        )
    }));
    assert!(events.is_empty(), "comments are no events");
}

#[test]
fn mainnet_heads_name_the_blocks_that_were_then_asked_for() {
    let text = std::fs::read_to_string(shared("mainnet-sse/beacon_events.sse")).unwrap();
    let events = read(text.lines().map(|line| (DateTime::UNIX_EPOCH, line)));
    let heads: Vec<_> = events
        .iter()
        .filter(|event| event.topic == Topic::Head)
        .collect();
    assert_eq!(
        (heads.len(), heads[0].slot, heads[17].slot),
        (18, Some(12_902_352), Some(12_902_369))
    );
    let blocks = std::fs::read_to_string(shared("mainnet-sse/blocks-decoded.ndjson")).unwrap();
    for head in heads {
        let asked = format!("/eth/v2/beacon/blocks/{}", head.block.unwrap());
        let block = blocks
            .lines()
            .find(|line| line.contains(&asked))
            .map(serde_json::from_str::<Value>)
            .unwrap()
            .unwrap();
        assert_eq!(block["slot"].as_str().unwrap().parse().ok(), head.slot);
    }
}

/// What a signed Electra block says where SSZ puts it: fields of fixed size side by side, for a list the place of its
/// beginning in the body.
struct Ssz {
    bytes: Vec<u8>,
}

impl Ssz {
    /// Behind the message's place and signature, and the message's own fields and the place of its body.
    const BODY: usize = 4 + 96 + 8 + 8 + 32 + 32 + 4;
    /// Behind the randao reveal, the deposit vote, the graffiti and the places of five lists.
    const SYNC_BITS: usize = Self::BODY + 96 + 72 + 32 + 5 * 4;
    const PAYLOAD_PLACE: usize = Self::SYNC_BITS + 64 + 96;
    /// Behind those of the payload and the changes of credentials.
    const COMMITMENTS_PLACE: usize = Self::PAYLOAD_PLACE + 2 * 4;
    /// In the payload, behind the hashes, the fee recipient, the bloom filter and the block's number.
    const GAS_LIMIT: usize = 32 + 20 + 32 + 32 + 256 + 32 + 8;
    const COMMITMENT: u64 = 48;

    fn number<const N: usize>(&self, at: usize) -> u64 {
        let bytes: [u8; N] = self.bytes[at..at + N].try_into().unwrap();
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn sync_participants(&self) -> u64 {
        let bits = &self.bytes[Self::SYNC_BITS..][..64];
        bits.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }

    fn gas(&self) -> (u64, u64) {
        let payload = Self::BODY + self.number::<4>(Self::PAYLOAD_PLACE) as usize;
        let limit = payload + Self::GAS_LIMIT;
        (self.number::<8>(limit + 8), self.number::<8>(limit))
    }

    fn blobs(&self) -> u64 {
        let begin = self.number::<4>(Self::COMMITMENTS_PLACE);
        let end = self.number::<4>(Self::COMMITMENTS_PLACE + 4);
        (end - begin) / Self::COMMITMENT
    }
}

#[test]
fn mainnet_blocks_hold_what_stands_in_their_ssz() {
    let text = std::fs::read_to_string(shared("mainnet-sse/blocks-decoded.ndjson")).unwrap();
    let mut compared = 0;
    for line in text.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let answer = serde_json::json!({"version": "electra", "data": {"message": message}});
        let block = decode::block(&answer).unwrap();
        let bytes = unpacked_bytes(&format!("mainnet-sse/blocks/{}.ssz.gz", block.slot));
        let ssz = Ssz { bytes };
        assert_eq!(ssz.number::<8>(100), block.slot);
        let payload = block.payload.unwrap();
        assert_eq!(
            (payload.gas_used, payload.gas_limit),
            (Some(ssz.gas().0), Some(ssz.gas().1)),
            "{}",
            block.slot
        );
        assert_eq!(
            (block.blobs, block.sync_participants),
            (Some(ssz.blobs()), Some(ssz.sync_participants())),
            "{}",
            block.slot
        );
        compared += 1;
    }
    assert_eq!(compared, 19);
}

#[test]
fn every_recorded_block_is_decoded() {
    // How many there are, and their bytes as Lodestar's own serialiser writes them.
    for (scenario, blocks, ssz_bytes) in [
        ("healthy-40", 82, 148_634),
        ("split-8", 65, 134_393),
        ("late-4", 42, 80_854),
        ("geth-split-6", 61, 113_926),
        ("mixed-split-9", 78, 128_908),
    ] {
        let mut decoded = (0, 0);
        for node in ["a", "b"] {
            let text = unpacked(&format!("devnet/{scenario}/node-{node}/blocks.ndjson.gz"));
            for line in text.lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                if record["status"] != 200 {
                    continue;
                }
                let block = decode::block(&record["body"]).unwrap();
                let message = &record["body"]["data"]["message"];
                assert_eq!(message["slot"], block.slot.to_string());
                assert_eq!(message["parent_root"], block.parent_root.to_string());
                let payload = block.payload.unwrap();
                assert!(
                    payload.gas_limit.is_some()
                        && payload.transactions.is_some()
                        && block.sync_bits.is_some()
                );
                decoded.0 += 1;
                decoded.1 += block.size_bytes;
            }
        }
        assert_eq!(decoded, (blocks, ssz_bytes), "{scenario}");
    }
}
