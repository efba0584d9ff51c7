//! What real chains say: 46 slots of Sepolia and the recorded devnets, whose truth was worked out independently.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::duties::{Committees, Proposers};
use super::tally::tally;
use super::*;
use crate::agent::beacon::decode;
use crate::chain_spec::unsigned;

fn shared(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(path);
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn block(slot: u64, number: u8, parent: u8, proposer: u64) -> Block {
    Block {
        root: Root([number; 32]),
        slot,
        parent: Root([parent; 32]),
        proposer: Some(proposer),
        votes: Vec::new(),
    }
}

fn at(running_slot: u64) -> Moment {
    Moment {
        running_slot,
        is_well: true,
        finalized_epoch: None,
    }
}

/// The recorded answers: headers, votes in blocks, committees, duties.
fn sepolia() -> History {
    let mut history = History::new(32);
    let (mut blocks, mut votes) = (BTreeMap::new(), BTreeMap::new());
    for line in shared("sepolia-46-slots/responses.ndjson.gz").lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        let path = answer["path"].as_str().unwrap();
        let body = answer["body"].clone();
        let last: Option<u64> = path.rsplit(['/', '=']).next().unwrap().parse().ok();
        if path.contains("/committees") {
            let committees: Committees = serde_json::from_value(body).unwrap();
            let slot = last.unwrap();
            history.committees(slot, committees.of_slot(slot, 32));
        } else if path.contains("/duties/proposer/") {
            let duties: Proposers = serde_json::from_value(body).unwrap();
            history.duties(duties.by_slot());
        } else if path.contains("/attestations") && path.contains("/blocks/") {
            let slot: u64 = path.split('/').nth(5).unwrap().parse().unwrap();
            votes.insert(slot, included::read(body["data"].as_array().unwrap()));
        } else if path.contains("/headers/")
            && let Some(slot) = last.filter(|slot| *slot >= 7_687_982)
        {
            let message = &body["data"]["header"]["message"];
            let block = Block {
                root: body["data"]["root"].as_str().unwrap().parse().unwrap(),
                slot,
                parent: message["parent_root"].as_str().unwrap().parse().unwrap(),
                proposer: unsigned(&message["proposer_index"]),
                votes: Vec::new(),
            };
            blocks.insert(slot, block);
        }
    }
    for (slot, mut block) in blocks {
        block.votes = votes.remove(&slot).unwrap();
        history.head(block.root);
        assert_eq!(history.block(block), None);
    }
    history
}

#[test]
fn sepolia_missed_four_votes_and_no_head() {
    let history = sepolia();
    let line = history.chain.line();
    let missed = [7_687_983, 7_687_990, 7_688_015, 7_688_025];
    for slot in 7_687_982..=7_688_027 {
        let sizes = history.sizes[&slot].as_ref().unwrap();
        let tally = tally(&line, sizes, slot, 32).unwrap();
        assert!([55, 56].contains(&tally.committee), "{slot}");
        let absent = u64::from(missed.contains(&slot));
        assert_eq!(tally.attesters, tally.committee - absent, "{slot}");
        assert_eq!(tally.head_correct, tally.attesters, "{slot}");
        assert_eq!(tally.distances, [(1, tally.attesters)].into(), "{slot}");
        assert_eq!(tally.head_timely, tally.attesters);
        assert_eq!(tally.unfit, 0, "{slot}");
        let by_votes = tally::sizes_by_votes(&line, slot, 32).unwrap();
        assert_eq!(&by_votes, sizes, "an aggregate is as long as its committee");
    }
}

#[test]
fn sepolia_in_statements() {
    let mut history = sepolia();
    history.advance(at(7_688_030));
    let said = history.advance(at(7_688_032));
    let votes: Vec<_> = said
        .iter()
        .filter_map(|statement| match statement {
            Statement::Votes(votes) => Some(votes),
            Statement::Slot(_) => None,
        })
        .collect();
    // The first whole epoch begins with slot 7688000; by 32 those up to 26 have had their time.
    assert_eq!(votes.len(), 27);
    for votes in votes {
        assert!(matches!(votes.scope, Scope::Slot(7_688_000..=7_688_026)));
        let tally = &votes.tally;
        assert_eq!(tally.target_correct, tally.attesters);
        assert_eq!((votes.is_final, votes.slots_told), (false, 1));
    }
}

#[test]
fn sepolia_proposers_did_their_duty() {
    let mut history = sepolia();
    assert_eq!(history.advance(at(7_688_027)), [], "the walk may go on");
    let said = history.advance(at(7_688_029));
    let slots: Vec<_> = said
        .into_iter()
        .filter_map(|statement| match statement {
            Statement::Slot(status) => Some(status),
            Statement::Votes(_) => None,
        })
        .collect();
    assert_eq!(slots.len(), 45);
    for status in slots {
        assert_eq!(status.status, Status::Canonical);
        assert_eq!(status.duty, status.proposer);
        assert!(status.duty.is_some() && !status.is_duplicate);
    }
}

/// Compares with the truth file, which another program made from the same blocks.
fn devnet(scenario: &str, slots_per_epoch: u64) {
    let folder = format!("{}/../shared/data/devnet", env!("CARGO_MANIFEST_DIR"));
    let truth = std::fs::read_to_string(format!("{folder}/{scenario}/truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let mut history = History::new(slots_per_epoch);
    for node in ["a", "b"] {
        let text = shared(&format!("devnet/{scenario}/node-{node}/blocks.ndjson.gz"));
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let root = record["path"].as_str().unwrap().rsplit('/').next().unwrap();
            if let Ok(contents) = decode::block(&record["body"]) {
                history.block(contents.into_block(root.parse().unwrap()));
            }
        }
    }
    let head = truth["final_head"]["A"]["root"].as_str();
    history.head(head.unwrap().parse().unwrap());
    let line = history.chain.line();
    let oldest = line.oldest_slot().unwrap();
    let mut compared = 0;
    for expected in truth["attestations_by_duty_slot"].as_array().unwrap() {
        let slot = expected["slot"].as_u64().unwrap();
        let included = expected["included"].as_u64().unwrap();
        if slot < oldest || included == 0 {
            continue;
        }
        let sizes = tally::sizes_by_votes(&line, slot, slots_per_epoch).unwrap();
        let tally = tally(&line, &sizes, slot, slots_per_epoch).unwrap();
        let distances = expected["distances"].as_object().unwrap().iter();
        let distances: BTreeMap<u64, u64> = distances
            .map(|(distance, voters)| (distance.parse().unwrap(), voters.as_u64().unwrap()))
            .collect();
        let told = (tally.committee, tally.attesters, tally.head_correct);
        let number = |name: &str| expected[name].as_u64().unwrap();
        let wanted = (number("committee"), included, number("head_correct"));
        assert_eq!(told, wanted, "{scenario} slot {slot}");
        assert_eq!(tally.distances, distances, "{scenario} slot {slot}");
        compared += 1;
    }
    assert!(compared > 15, "{scenario}: {compared}");
    let end = line.head().unwrap().slot;
    history.advance(at(end - 2));
    let said = history.advance(at(end));
    let said: BTreeMap<u64, Status> = said
        .into_iter()
        .filter_map(|statement| match statement {
            Statement::Slot(status) => Some((status.slot, status.status)),
            Statement::Votes(_) => None,
        })
        .collect();
    for expected in truth["slots"].as_array().unwrap() {
        let status = match expected["status"].as_str().unwrap() {
            "canonical" => Status::Canonical,
            "orphaned" => Status::Orphaned,
            _ => Status::Missed,
        };
        let slot = expected["slot"].as_u64().unwrap();
        if slot > oldest && slot < end {
            assert_eq!(said.get(&slot), Some(&status), "{scenario} slot {slot}");
        }
    }
}

#[test]
fn devnets_agree_with_their_truth() {
    for scenario in ["healthy-40", "late-4", "split-8", "geth-split-6"] {
        devnet(scenario, 8);
    }
    devnet("mixed-split-9", 32);
}

#[test]
fn a_status_changes_visibly_and_ends_with_finality() {
    let mut history = History::new(4);
    let said = |history: &mut History, moment: Moment| -> Vec<_> {
        let said = history.advance(moment).into_iter();
        said.filter_map(|statement| match statement {
            Statement::Slot(told) => Some((told.slot, told.status, told.revision, told.is_final)),
            Statement::Votes(_) => None,
        })
        .collect()
    };
    for (slot, number, parent) in [(1, 1, 0), (2, 2, 1), (4, 4, 2)] {
        history.block(block(slot, number, parent, slot));
    }
    history.head(Root([4; 32]));
    assert_eq!(said(&mut history, at(2)), []);
    let first = said(&mut history, at(4));
    assert_eq!(
        first,
        [
            (2, Status::Canonical, 0, false),
            (3, Status::Missed, 0, false)
        ]
    );
    // A block of slot 3 turns up, and the chain goes on upon it.
    for (slot, number, parent) in [(3, 3, 2), (5, 5, 3)] {
        history.block(block(slot, number, parent, slot));
    }
    history.head(Root([5; 32]));
    let changed = said(&mut history, at(5));
    assert_eq!(
        changed,
        [
            (3, Status::Canonical, 1, false),
            (4, Status::Orphaned, 0, false)
        ]
    );
    let silent = Moment {
        is_well: false,
        ..at(9)
    };
    assert_eq!(said(&mut history, silent), [], "a node that is not well");
    let by_clock = said(&mut history, at(8));
    assert_eq!(by_clock.len(), 2, "{by_clock:?}");
    assert_eq!(by_clock[1], (6, Status::Missed, 0, false));
    let finalized = Moment {
        finalized_epoch: Some(1),
        ..at(8)
    };
    let done = said(&mut history, finalized);
    assert_eq!(done.len(), 3);
    assert!(
        done.iter()
            .all(|(slot, .., is_final)| *slot <= 4 && *is_final)
    );
    assert_eq!(said(&mut history, finalized), []);
}

#[test]
fn two_blocks_of_one_proposer_are_told_at_once() {
    let mut history = History::new(8);
    assert_eq!(history.block(block(5, 1, 0, 7)), None);
    assert_eq!(history.block(block(5, 1, 0, 7)), None, "the same again");
    assert_eq!(history.block(block(5, 2, 0, 8)), None, "somebody else's");
    let found = history.block(block(5, 3, 0, 7)).unwrap();
    assert_eq!((found.kind, found.slot), ("duplicate_proposal", 5));
    assert_eq!(found.validators, [7]);
    assert_eq!(found.roots, [Root([1; 32]), Root([3; 32])]);
}

#[test]
fn memory_ends_somewhere() {
    let mut history = History::new(32);
    for slot in 1..2_000_u64 {
        for number in 0..20 {
            let mut made_up = block(slot, number, number, 1);
            made_up.root.0[..8].copy_from_slice(&slot.to_le_bytes());
            history.block(made_up);
        }
        history.head(Root([9; 32]));
        history.advance(at(slot));
    }
    let kept = (1..2_000).map(|slot| history.chain.of_slot(slot).count());
    assert!(kept.sum::<usize>() <= 16 * 1_025);
}

#[test]
fn an_epoch_is_told_when_its_votes_are_in_and_again_when_no_more_may_come() {
    let mut history = History::new(4);
    let (mut told, mut asked) = (Vec::new(), 0);
    for slot in 1..=20_u64 {
        let mut made = block(slot, slot as u8, slot as u8 - 1, 1);
        made.votes.push(included::Included {
            slot: slot - 1,
            head: Root([slot as u8 - 1; 32]),
            source: included::Checkpoint {
                epoch: 0,
                root: Root::ZERO,
            },
            target: included::Checkpoint {
                epoch: (slot - 1) / 4,
                root: Root([((slot - 1) / 4 * 4) as u8; 32]),
            },
            committees: 1,
            bits: vec![0b111],
            members: 4,
        });
        history.block(made);
        history.head(Root([slot as u8; 32]));
        for statement in history.advance(at(slot)) {
            if let Statement::Votes(votes) = statement
                && let Scope::Epoch(epoch) = votes.scope
            {
                let tally = &votes.tally;
                let counts = (tally.attesters, tally.committee, tally.target_correct);
                told.push((slot, epoch, votes.is_final, counts));
                assert_eq!((votes.slots_known, votes.slots_told), (4, 2));
                assert_eq!(tally.source_correct, Some(12));
            }
        }
        while let Some(wanted) = history.wants_committees_of(slot) {
            // Every second answer is none: the votes show the size then.
            asked += 1;
            history.committees(wanted, (wanted % 2 == 0).then(|| vec![4]));
        }
    }
    let all = (12, 16, 12);
    assert_eq!(
        told,
        [
            (13, 1, false, all),
            (13, 1, true, all),
            (17, 2, false, all),
            (17, 2, true, all),
        ]
    );
    assert!(asked > 12);
}

#[test]
fn lodestars_exchanged_committees_are_not_believed() {
    let committee = |index: u64, slot: u64| serde_json::json!({"index": index.to_string(), "slot": slot.to_string(), "validators": ["6", "15"]});
    let sizes = |committees: Vec<Value>, slot| {
        let answer = serde_json::json!({"data": committees});
        let answer: Committees = serde_json::from_value(answer).unwrap();
        answer.of_slot(slot, 8)
    };
    // As recorded in `devnet/healthy-40`: the index counts the slots.
    let exchanged: Vec<_> = (0..8).map(|index| committee(index, 0)).collect();
    assert_eq!(sizes(exchanged.clone(), 0), None);
    assert_eq!(sizes(exchanged, 17), None);
    assert_eq!(
        sizes(vec![committee(1, 9), committee(0, 9)], 9),
        Some(vec![2, 2])
    );
    assert_eq!(
        sizes(vec![committee(1, 9)], 9),
        None,
        "the first is missing"
    );
}
