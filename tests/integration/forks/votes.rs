//! What the stream said of votes, against what the chain's blocks include.

use std::collections::BTreeMap;

use ethmon::event::DataStream;
use serde_json::{Value, json};

use super::{SLOTS_PER_EPOCH, Stored};

/// Interop validators of the network, each of whom votes once in an epoch.
const VALIDATORS: u64 = 64;
const ELECTRA_EPOCH: u64 = 2;

/// Prysm sends the votes of its own validators one by one, since Electra as `single_attestation`, before that as
/// aggregates of one. Each slot's are in one document: no more than its committee has, and no fewer than the blocks show,
/// but for those that came when the slot was told. Gives the slots and votes compared.
pub(super) async fn assert_votes(stored: &Stored) -> (usize, u64) {
    let complete = json!({"term": {"ethereum.attestation.complete": true}});
    let mut heard = BTreeMap::new();
    for document in stored.all(DataStream::Attestation, complete).await {
        let slot = document["ethereum"]["slot"].as_u64().unwrap();
        let votes = document["ethereum"]["attestation"].clone();
        assert_eq!(heard.insert(slot, votes), None, "slot {slot} is told twice");
    }
    let told = json!({"bool": {"filter": [
        {"term": {"event.action": "slot"}}, {"term": {"ethereum.finality": "provisional"}}]}});
    let (mut compared, mut included_votes) = (BTreeMap::new(), 0);
    for document in stored.all(DataStream::Participation, told).await {
        let slot = document["ethereum"]["slot"].as_u64().unwrap();
        let included = &document["ethereum"]["participation"];
        let Some(votes) = heard.get(&slot) else {
            continue;
        };
        let is_electra = slot >= ELECTRA_EPOCH * SLOTS_PER_EPOCH;
        compared.insert(slot, assert_slot(votes, included, is_electra));
        included_votes += number(included, "attesters");
    }
    let late: u64 = heard
        .values()
        .map(|votes| number(votes, "stragglers"))
        .sum();
    let votes: u64 = compared.values().sum();
    assert!(
        votes + late >= included_votes,
        "{votes} and {late} of {included_votes}"
    );
    // Up to a few slots before the head, and so at least an epoch of Electra.
    let electra = compared.range(ELECTRA_EPOCH * SLOTS_PER_EPOCH..);
    assert!(electra.count() as u64 >= SLOTS_PER_EPOCH, "{compared:?}");
    assert!(
        compared.keys().next() < Some(&(ELECTRA_EPOCH * SLOTS_PER_EPOCH)),
        "{compared:?}"
    );
    for epoch in compared.keys().map(|slot| slot / SLOTS_PER_EPOCH) {
        let slots = epoch * SLOTS_PER_EPOCH..(epoch + 1) * SLOTS_PER_EPOCH;
        let votes: u64 = compared.range(slots).map(|(_, votes)| votes).sum();
        assert!(votes <= VALIDATORS, "epoch {epoch}: {compared:?}");
    }
    (compared.len(), votes)
}

/// The votes that were heard for a slot.
fn assert_slot(votes: &Value, included: &Value, is_electra: bool) -> u64 {
    let count = number(votes, "count");
    assert_eq!(number(included, "committee"), VALIDATORS / SLOTS_PER_EPOCH);
    assert!(count <= number(included, "committee"), "{votes} {included}");
    assert_eq!(number(votes, "committees"), u64::from(count > 0), "{votes}");
    assert_eq!(number(votes, "left_out"), 0, "{votes}");
    let (singles, named) = (number(votes, "singles"), number(votes, "validators"));
    if is_electra {
        assert_eq!(
            (named, singles),
            (count, count + number(votes, "duplicates")),
            "{votes}"
        );
    } else {
        assert_eq!((named, singles), (0, 0), "{votes}");
        assert!(number(votes, "aggregates") >= count, "{votes}");
    }
    count
}

fn number(of: &Value, name: &str) -> u64 {
    of[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: {of}"))
}
