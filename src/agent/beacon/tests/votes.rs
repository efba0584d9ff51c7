//! Electra's votes as Prysm sent them, counted by the agent and counted by hand.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::agent::beacon::attestations::raw::RawVotes;
use crate::chain_spec::{from_rest, unsigned};
use crate::event::Event;
use crate::slot::ChainSpec;

const RUN1_GENESIS: u64 = 1_795_252_973;
const RUN2_GENESIS: u64 = 1_795_254_240;

fn shared(path: &str) -> String {
    let path = format!("{}/../shared/data/prysm/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// Both runs had the same configuration, of which the first kept the node's answer.
fn spec(genesis_time: u64) -> ChainSpec {
    let spec = serde_json::from_str(&shared("run1/rest/spec.json")).unwrap();
    let mut genesis: Value = serde_json::from_str(&shared("run1/rest/genesis.json")).unwrap();
    genesis["data"]["genesis_time"] = genesis_time.into();
    from_rest(&genesis, &spec).unwrap()
}

fn lines(text: &str) -> impl Iterator<Item = (DateTime<Utc>, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (seconds, line) = line.split_once(' ').unwrap_or((line, ""));
        let micros: i64 = seconds.replace('.', "").parse().unwrap();
        (DateTime::from_timestamp_micros(micros).unwrap(), line)
    })
}

/// The documents of the slots that were heard from their beginning.
fn counted(text: &str, spec: &ChainSpec) -> Vec<Event> {
    let begun = lines(text).next().unwrap().0;
    let mut votes = RawVotes::new(spec.clone(), 1 << 20, begun);
    let mut documents = Vec::new();
    for (at, line) in lines(text) {
        documents.extend(votes.take_done(at));
        votes.push(format!("{line}\n").as_bytes(), at);
    }
    documents
        .retain(|event| event.document.get_bool("ethereum.attestation.complete") == Some(true));
    documents
}

#[derive(Debug, Default, PartialEq, Eq)]
struct ByHand {
    singles: u64,
    aggregates: u64,
    attesters: BTreeSet<u64>,
    committees: BTreeSet<usize>,
    /// By root: who voted alone, and the places that aggregates show.
    roots: BTreeMap<String, (BTreeSet<u64>, BTreeSet<usize>)>,
}

impl ByHand {
    /// Singles, aggregates, validators, committees, distinct votes, roots.
    fn figures(&self) -> [u64; 6] {
        let votes = self.roots.values();
        let votes = votes.map(|(alone, together)| alone.len().max(together.len()) as u64);
        [
            self.singles,
            self.aggregates,
            self.attesters.len() as u64,
            self.committees.len() as u64,
            votes.sum(),
            self.roots.len() as u64,
        ]
    }
}

/// The bits of a hexadecimal list, whose last marks its end where `is_marked`.
fn places(hex: &Value, is_marked: bool) -> BTreeSet<usize> {
    let bytes = hex::decode(&hex.as_str().unwrap()[2..]).unwrap();
    let bits = (0..bytes.len() * 8).filter(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1);
    let mut bits: BTreeSet<_> = bits.collect();
    if is_marked {
        bits.pop_last();
    }
    bits
}

/// What came before its slot was told, two slots after it began.
fn by_hand(text: &str, spec: &ChainSpec) -> BTreeMap<u64, ByHand> {
    let mut slots: BTreeMap<u64, ByHand> = BTreeMap::new();
    let mut topic = "";
    for (at, line) in lines(text) {
        if let Some(event) = line.strip_prefix("event: ") {
            topic = event;
        }
        let Some(data) = line
            .strip_prefix("data: ")
            .filter(|_| topic.ends_with("attestation"))
        else {
            continue;
        };
        let vote: Value = serde_json::from_str(data).unwrap();
        let slot = unsigned(&vote["data"]["slot"]).unwrap();
        if at >= spec.slot_start(slot + 2) {
            continue;
        }
        let count = slots.entry(slot).or_default();
        let root = vote["data"]["beacon_block_root"].as_str().unwrap();
        let of_root = count.roots.entry(root.to_owned()).or_default();
        if topic == "single_attestation" {
            let attester = unsigned(&vote["attester_index"]).unwrap();
            count.singles += 1;
            count.attesters.insert(attester);
            count
                .committees
                .insert(unsigned(&vote["committee_index"]).unwrap() as usize);
            of_root.0.insert(attester);
        } else {
            count.aggregates += 1;
            count
                .committees
                .extend(places(&vote["committee_bits"], false));
            of_root.1.extend(places(&vote["aggregation_bits"], true));
        }
    }
    slots
}

#[test]
fn each_slots_votes_are_those_in_the_stream() {
    for (path, genesis, slots, singles, aggregates) in [
        ("run1/all-topics.sse", RUN1_GENESIS, 138, 276, 0),
        ("run1/comma-form.sse", RUN1_GENESIS, 13, 26, 0),
        ("run2/nodeA.sse", RUN2_GENESIS, 43, 70, 32),
        ("run2/nodeB.sse", RUN2_GENESIS, 43, 62, 35),
    ] {
        let (text, spec) = (shared(path), spec(genesis));
        let expected = by_hand(&text, &spec);
        let mut sums = [0; 2];
        let documents = counted(&text, &spec);
        for event in &documents {
            let document = &event.document;
            let slot = document.get_u64("ethereum.slot").unwrap();
            let figures = [
                "singles",
                "aggregates",
                "validators",
                "committees",
                "count",
                "roots",
            ]
            .map(|name| {
                document
                    .get_u64(&format!("ethereum.attestation.{name}"))
                    .unwrap()
            });
            let by_hand = expected.get(&slot).map(ByHand::figures);
            assert_eq!(figures, by_hand.unwrap_or_default(), "{path}: slot {slot}");
            // Each slot has one committee of two, of 64 validators.
            assert!(
                figures[2] <= 2 && figures[3] <= 1 && figures[4] <= 2,
                "{path}: slot {slot}"
            );
            sums[0] += figures[0];
            sums[1] += figures[1];
        }
        assert_eq!(
            (documents.len(), sums),
            (slots, [singles, aggregates]),
            "{path}"
        );
    }
}
