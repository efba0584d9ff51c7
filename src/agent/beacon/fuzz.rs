//! What must hold for any bytes of the heavy stream. See [`crate::fuzz`].

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::attestations::raw::RawVotes;
use super::heavy::{self, Heavy, Vote, Voters};
use super::sse::Frame;
use super::topics::Topic;
use crate::event::Event;
use crate::fuzz::{chunks, frames};
use crate::slot::ChainSpec;

/// Bytes of the input that say where reads end.
const HEAD: usize = 7;
const FRAME_LIMIT: usize = 1 << 20;
/// The slot in which all of it comes, and one in which everything is told.
const RECEIVED_SLOT: u64 = 40;
const TOLD_SLOT: u64 = RECEIVED_SLOT + 4;

/// A vote holds what stands in its text, and the votes of a slot are counted alike however their bytes come.
pub fn heavy(input: &[u8]) {
    let Some((cuts, bytes)) = input.split_at_checked(HEAD) else {
        return;
    };
    for frame in frames(&[bytes], FRAME_LIMIT) {
        match heavy::read(&frame) {
            Heavy::Vote(vote) => assert_same(&vote, &frame),
            Heavy::Foreign => assert!(!Topic::from_name(&frame.event).is_heavy()),
            Heavy::Other { .. } | Heavy::Odd(_) => {}
        }
    }
    let counted = count(&[bytes]);
    assert_eq!(count(&chunks(bytes, cuts)), counted, "a split changes it");
    let (events, documents) = counted;
    let sum = |name: &str| -> u64 {
        let field = format!("ethereum.attestation.{name}");
        let of = |event: &Event| event.document.get_u64(&field).unwrap_or_default();
        documents.iter().map(of).sum()
    };
    let counted = sum("singles") + sum("aggregates");
    let passed_over = sum("stragglers") + sum("left_out");
    assert!(counted <= events && events <= counted + passed_over);
    assert!(sum("validators") + sum("duplicates") <= sum("singles"));
}

fn count(chunks: &[&[u8]]) -> (u64, Vec<Event>) {
    let spec = ChainSpec::example();
    let at = |slot| -> DateTime<Utc> { spec.slot_start(slot) };
    let mut votes = RawVotes::new(spec.clone(), FRAME_LIMIT, at(RECEIVED_SLOT - 2));
    for chunk in chunks {
        votes.push(chunk, at(RECEIVED_SLOT));
    }
    let documents = votes.take_done(at(TOLD_SLOT));
    (votes.events(), documents)
}

/// The same read in the plainest way there is.
fn assert_same(vote: &Vote, frame: &Frame) {
    let Ok(told) = serde_json::from_str::<Value>(&frame.data) else {
        panic!("a vote from {:?}", frame.data);
    };
    // A list stands for an object, its fields in order: nobody sends it, and it does no harm.
    let data = field(&told, "data", 4);
    let target = field(data, "target", 3);
    assert_eq!(number(field(data, "slot", 0)), Some(vote.slot));
    assert_eq!(number(field(target, "epoch", 0)), Some(vote.target_epoch));
    for (root, text) in [
        (vote.root, field(data, "beacon_block_root", 2)),
        (vote.target_root, field(target, "root", 1)),
    ] {
        let digits = text.as_str().map(str::to_lowercase).unwrap_or_default();
        assert!(digits.ends_with(&hex::encode(root.0)), "{digits}");
    }
    match &vote.by {
        Voters::One { validator, .. } => {
            let told = field(&told, "attester_index", 3);
            assert_eq!(number(told), Some(*validator));
        }
        Voters::Many { committees, bits } => {
            let set = ones(field(&told, "aggregation_bits", 0));
            let counted: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(counted + 1, set, "of these one marks the end");
            match field(&told, "committee_bits", 1) {
                Value::Null => assert_eq!(committees.count_ones(), 1),
                told => assert_eq!(committees.count_ones(), ones(told)),
            }
        }
    }
}

fn field<'a>(of: &'a Value, name: &str, place: usize) -> &'a Value {
    of.get(name)
        .or_else(|| of.get(place))
        .unwrap_or(&Value::Null)
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn ones(hex: &Value) -> u32 {
    let digits = hex.as_str().and_then(|text| text.strip_prefix("0x"));
    let digits = digits.unwrap_or_default().chars();
    digits
        .filter_map(|digit| Some(digit.to_digit(16)?.count_ones()))
        .sum()
}
