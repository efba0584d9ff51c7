//! Votes in both forms, late, odd and too many; and those a real Prysm told of.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::raw::RawVotes;
use super::*;
use crate::agent::beacon::clock::Clock;
use crate::agent::beacon::heavy::Voters;
use crate::setup::assert_accepted;
use crate::slot::ChainSpec;

/// A vote for slot 5, and the document of that slot.
struct Counted {
    spec: ChainSpec,
    clock: Clock,
    votes: Attestations,
}

impl Counted {
    fn new() -> Self {
        let spec = ChainSpec::example();
        let mut votes = Attestations::default();
        votes.begun(spec.slot_start(5));
        Self {
            spec,
            clock: Clock::default(),
            votes,
        }
    }

    fn add(&mut self, slot: u64, root: u8, by: Voters, ms: i64) {
        self.add_at(slot, root, by, ms, false);
    }

    fn add_at(&mut self, slot: u64, root: u8, by: Voters, ms: i64, is_doubtful: bool) {
        let vote = Vote {
            slot,
            root: Root([root; 32]),
            target_epoch: 0,
            target_root: Root([9; 32]),
            by,
        };
        let at = self.spec.slot_start(5) + TimeDelta::milliseconds(ms);
        let setting = Setting {
            agent_id: "a",
            spec: &self.spec,
            clock: &self.clock,
            syncing: None,
        };
        self.votes.add(&setting, &vote, at, is_doubtful);
    }

    fn done(&mut self, slot: u64) -> Vec<Event> {
        let now = self.spec.slot_start(slot);
        let setting = Setting {
            agent_id: "a",
            spec: &self.spec,
            clock: &self.clock,
            syncing: None,
        };
        let done = self.votes.take_done(&setting, now, false);
        assert_accepted(&done);
        done
    }
}

fn one(validator: u64, committee: u64) -> Voters {
    Voters::One {
        validator,
        committee,
    }
}

fn many(committees: u64, bits: &[u8]) -> Voters {
    let bits = bits.to_vec();
    Voters::Many { committees, bits }
}

fn number(event: &Event, name: &str) -> Option<u64> {
    let path = format!("ethereum.attestation.{name}");
    event.document.get_u64(&path)
}

fn numbers<const N: usize>(event: &Event, names: [&str; N]) -> [u64; N] {
    names.map(|name| number(event, name).unwrap())
}

#[test]
fn a_vote_in_both_forms_counts_once() {
    let mut counted = Counted::new();
    // Committee 0: three alone, two of them again in an aggregate. Committee 1: five, in two aggregates that overlap.
    for validator in [10, 20, 30] {
        counted.add(5, 1, one(validator, 0), 4_000 + validator as i64);
    }
    counted.add(5, 1, many(1, &[0b011]), 8_100);
    counted.add(5, 1, many(2, &[0b0_0111]), 7_900);
    counted.add(5, 1, many(2, &[0b1_1110]), 7_950);
    counted.add(5, 2, one(40, 2), 4_100);
    counted.add(5, 1, one(10, 0), 4_200);
    assert!(counted.done(6).is_empty(), "the slot is not over");
    let done = counted.done(7);
    assert_eq!(done.len(), 1);
    let told = numbers(
        &done[0],
        ["singles", "aggregates", "validators", "committees", "count"],
    );
    assert_eq!(told, [5, 3, 4, 3, 3 + 5 + 1]);
    let told = numbers(
        &done[0],
        ["late", "duplicates", "roots", "targets", "due_ms"],
    );
    assert_eq!(told, [1, 1, 2, 1, 8_000]);
    let votes = done[0].document.get("ethereum.attestation.votes").unwrap();
    let (first, second) = (Root([1; 32]), Root([2; 32]));
    assert_eq!(
        votes,
        &json!([{"root": first, "count": 8}, {"root": second, "count": 1}])
    );
    let arrival = ["arrival_ms.min", "arrival_ms.p50", "arrival_ms.max"];
    let [least, middle, last] = numbers(&done[0], arrival);
    assert_eq!((least, last), (4_010, 4_100), "single votes only");
    assert!(middle.abs_diff(4_020) <= 10);
    let complete = done[0].document.get_bool("ethereum.attestation.complete");
    assert_eq!(complete, Some(true));
}

#[test]
fn aggregates_of_several_committees_are_a_lower_bound_of_all() {
    let mut counted = Counted::new();
    counted.add(5, 1, one(1, 0), 4_000);
    counted.add(5, 1, many(0b11, &[0xff]), 12_500);
    counted.add(5, 1, many(0b111, &[0x0f]), 12_500);
    assert_eq!(numbers(&counted.done(7)[0], ["count", "late"]), [8, 2]);
}

#[test]
fn silence_is_told_and_what_comes_too_late_or_early_is_counted() {
    let mut counted = Counted::new();
    counted.add(5, 1, one(1, 0), 4_000);
    counted.add(5_000_000, 1, one(2, 0), 4_000);
    counted.add(5, 1, one(u64::MAX, 0), 4_000);
    counted.add(5, 1, one(3, 64), 4_000);
    assert_eq!(
        numbers(&counted.done(7)[0], ["left_out", "validators"]),
        [3, 1]
    );
    counted.add(5, 1, one(4, 0), 25_000);
    let done = counted.done(9);
    assert_eq!(done.len(), 2, "slots 6 and 7, in which nothing came");
    assert_eq!(numbers(&done[0], ["count", "stragglers"]), [0, 1]);
    assert_eq!(number(&done[0], "arrival_ms.p50"), None);
    counted.votes.broken();
    assert!(counted.done(12).is_empty(), "nobody listened");
}

#[test]
fn a_pause_leaves_votes_and_takes_their_times() {
    let mut counted = Counted::new();
    counted.add_at(5, 1, one(1, 0), 9_000, true);
    counted
        .votes
        .begun(counted.spec.slot_start(5) + TimeDelta::seconds(9));
    let done = counted.done(7);
    assert_eq!(numbers(&done[0], ["count", "late"]), [1, 0]);
    assert_eq!(number(&done[0], "arrival_ms.max"), None);
    let complete = done[0].document.get_bool("ethereum.attestation.complete");
    assert_eq!(complete, Some(false));
}

#[test]
fn made_up_roots_and_mixes_are_bounded() {
    let mut counted = Counted::new();
    for number in 0..200_u64 {
        counted.add(5, number as u8, many(1, &[1]), 4_000);
        counted.add(5, 0, many(3 << (number % 60), &[1]), 4_000);
    }
    counted.add(5, 0, many(1, &[0xff; 300]), 4_000);
    let done = counted.done(7);
    assert_eq!(numbers(&done[0], ["roots", "aggregates"]), [16, 401]);
    assert!(number(&done[0], "left_out").unwrap() > 184);
}

/// The chain of the recording begins when its node says.
#[test]
fn votes_that_a_real_prysm_told_of() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/prysm/run1");
    let json = |name: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(folder.join("rest").join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let spec = crate::chain_spec::from_rest(&json("genesis.json"), &json("spec.json")).unwrap();
    let text = std::fs::read_to_string(folder.join("all-topics.sse")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut votes: Option<RawVotes> = None;
    let (mut counts, mut end) = (Vec::new(), DateTime::<Utc>::UNIX_EPOCH);
    for line in lines {
        let (seconds, line) = line.split_once(' ').unwrap_or((line, ""));
        end = DateTime::from_timestamp_micros((seconds.parse::<f64>().unwrap() * 1e6) as i64)
            .unwrap();
        let votes = votes.get_or_insert_with(|| RawVotes::new(spec.clone(), 1 << 20, end));
        votes.push(format!("{line}\n").as_bytes(), end);
        counts.extend(votes.take_done(end));
    }
    let mut votes = votes.unwrap();
    counts.extend(votes.take_done(end + TimeDelta::seconds(60)));
    let singles: u64 = counts
        .iter()
        .filter_map(|told| number(told, "singles"))
        .sum();
    assert_eq!(
        singles as usize,
        text.matches(" event: single_attestation").count()
    );
    let aggregates: u64 = counts
        .iter()
        .filter_map(|told| number(told, "aggregates"))
        .sum();
    assert_eq!(
        aggregates as usize,
        text.matches(" event: attestation\n").count()
    );
    for told in &counts {
        let [singles, validators, count] = numbers(told, ["singles", "validators", "count"]);
        // 64 validators over 32 slots: two a slot, whether alone or put together.
        assert!(validators <= singles && count <= 2, "{:?}", told.document);
    }
    assert!(counts.iter().any(|told| number(told, "count") == Some(2)));
}
