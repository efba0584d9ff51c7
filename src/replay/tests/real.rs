//! Recordings of other forms, against what their descriptions and their own bytes say.

use std::collections::BTreeMap;
use std::io::Read;

use super::*;
use crate::agent::beacon::decode;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");

fn shared(path: &str) -> PathBuf {
    PathBuf::from(DATA).join(path)
}

fn statuses(report: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for slot in list(&report["slots"]) {
        *counts.entry(text(&slot["status"])).or_default() += 1;
    }
    counts
}

fn block(report: &Value, slot: u64) -> &Value {
    let mut blocks = list(&report["blocks"]).iter();
    blocks.find(|block| block["slot"] == slot).unwrap()
}

/// Prysm's only word on it is an event with two fields exchanged; the answers of this run have one parent link. The
/// clock is in what it says of its next payloads, the other links in its log, with roots cut short.
#[test]
fn a_reorg_of_prysm_after_a_split_has_its_true_size() {
    let dir = shared("prysm/run2");
    let report = report(&dir);
    assert_eq!(report["nodes"], serde_json::json!(["A", "B"]));
    let reorgs = list(&report["reorgs"]);
    assert_eq!(reorgs.len(), 1);
    let reorg = &reorgs[0];
    assert_eq!(reorg["nodes"], serde_json::json!(["A"]));
    let at = |name: &str| {
        (
            reorg[name]["slot"].as_u64().unwrap(),
            text(&reorg[name]["root"])[..10].to_owned(),
        )
    };
    assert_eq!(at("ancestor"), (20, "0x54109632".into()));
    assert_eq!(at("old_head"), (42, "0x08689d72".into()));
    assert_eq!(at("new_head"), (33, "0x97a520a9".into()));
    // As Geth beneath it: dropped 13, added 6.
    for (name, size) in [
        ("blocks_dropped", 13),
        ("blocks_added", 6),
        ("slot_span_old", 22),
        ("slot_span_new", 13),
    ] {
        assert_eq!(reorg[name], size, "{name}");
    }
    assert_eq!(reorg["reported_depth"], serde_json::json!({"A": 22}));
    let splits = list(&report["head_splits"]);
    assert_eq!(splits.len(), 1);
    assert_eq!(
        (&splits[0]["from_slot"], &splits[0]["to_slot"]),
        (&21.into(), &43.into())
    );
    let orphaned = list(&report["slots"])
        .iter()
        .filter(|slot| slot["status"] == "orphaned");
    let orphaned: Vec<_> = orphaned
        .map(|slot| slot["slot"].as_u64().unwrap())
        .collect();
    assert_eq!(orphaned, [37, 39, 41, 42]);
    assert_eq!(statuses(&report)["canonical"], 41);
    assert_eq!(troubles(&dir), "");
}

#[test]
fn three_streams_of_prysm_are_heard_and_the_rest_is_said() {
    let dir = shared("prysm/run1");
    let report = report(&dir);
    assert_eq!(
        report["nodes"],
        serde_json::json!(["all-topics", "comma-form", "silent-topic"])
    );
    // 140 slots, one block each, none late, in the middle 270.6 ms after its slot began.
    let blocks = list(&report["blocks"]);
    let slots: Vec<_> = blocks
        .iter()
        .map(|block| block["slot"].as_u64().unwrap())
        .collect();
    assert_eq!(slots, (9..149).collect::<Vec<_>>());
    let mut arrivals: Vec<_> = blocks
        .iter()
        .map(|block| block["seen"]["all-topics"]["arrival_ms"].as_i64().unwrap())
        .collect();
    arrivals.sort_unstable();
    assert_eq!(arrivals[70], 270);
    assert_eq!(
        (
            list(&report["reorgs"]).len(),
            list(&report["head_splits"]).len()
        ),
        (0, 0)
    );
    // The log that has the links is cut at slot 90.
    assert_eq!(
        statuses(&report),
        BTreeMap::from([("canonical".to_owned(), 82)])
    );
    let answer = fs::read(dir.join("rest/block-head.json")).unwrap();
    let whole = decode::block(&serde_json::from_slice(&answer).unwrap()).unwrap();
    let with_size: Vec<_> = blocks
        .iter()
        .filter(|block| !block["size"].is_null())
        .collect();
    assert_eq!(with_size, [block(&report, whole.slot)]);
    assert_eq!(with_size[0]["size"], whole.size_bytes);
    let troubles = troubles(&dir);
    assert!(
        troubles.contains("silent-topic.sse: no event in it: 1"),
        "{troubles}"
    );
    assert!(
        troubles.contains("run1: head change whose parent links are in no answer: 58"),
        "{troubles}"
    );
}

/// 18 heads without times; blocks beside them as their contents and as SSZ.
#[test]
fn mainnet_heads_without_times_have_blocks_and_no_arrivals() {
    let dir = shared("mainnet-sse");
    let report = report(&dir);
    assert_eq!(
        statuses(&report),
        BTreeMap::from([("canonical".to_owned(), 18)])
    );
    for (slot, blobs, sync) in [
        (12_902_352, 3, 510),
        (12_902_356, 6, 509),
        (12_902_358, 6, 510),
        (12_902_365, 9, 257),
        (12_902_369, 8, 366),
    ] {
        let block = block(&report, slot);
        assert_eq!(
            (&block["blobs"], &block["sync_participants"]),
            (&blobs.into(), &sync.into()),
            "{slot}"
        );
    }
    for block in list(&report["blocks"]) {
        let file = fs::File::open(dir.join(format!("blocks/{}.ssz.gz", block["slot"]))).unwrap();
        let mut ssz = Vec::new();
        flate2::read::GzDecoder::new(file)
            .read_to_end(&mut ssz)
            .unwrap();
        assert_eq!(block["size"], ssz.len(), "{}", block["slot"]);
        assert_eq!(block["first_seen_ms"], Value::Null);
    }
    let told = "beacon_events.sse: events without receive time, put where their slot begins: 19";
    assert!(troubles(&dir).contains(told));
}

/// Headers asked for by slot, each dated to the second by the node's own clock.
#[test]
fn answers_alone_show_the_chain() {
    let dir = shared("sepolia-46-slots");
    let report = report(&dir);
    let slots: Vec<_> = list(&report["slots"])
        .iter()
        .map(|slot| slot["slot"].as_u64().unwrap())
        .collect();
    assert_eq!(slots.last(), Some(&7_688_028));
    assert_eq!(statuses(&report).keys().collect::<Vec<_>>(), ["canonical"]);
    assert!(block(&report, 7_687_984)["proposer_index"].is_u64());
    assert_eq!(troubles(&dir), "");
}

/// The size of a block is that which the agent tells, from the same answer.
#[test]
fn blocks_have_the_size_that_the_agent_tells() {
    for (scenario, unknown) in [("healthy-40", 0), ("geth-split-6", 0)] {
        let dir = PathBuf::from(RECORDINGS).join(scenario);
        let report = report(&dir);
        let mut sizes = BTreeMap::new();
        for node in ["a", "b"] {
            let file = fs::File::open(dir.join(format!("node-{node}/blocks.ndjson.gz"))).unwrap();
            let mut lines = String::new();
            flate2::read::GzDecoder::new(file)
                .read_to_string(&mut lines)
                .unwrap();
            for answer in lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
            {
                if let Ok(block) = decode::block(&answer["body"]) {
                    let root = text(&answer["path"]).rsplit('/').next().unwrap().to_owned();
                    sizes.insert(root, block.size_bytes);
                }
            }
        }
        let blocks = list(&report["blocks"]);
        let lacking = blocks
            .iter()
            .filter(|block| block["size"].is_null())
            .count();
        assert_eq!(lacking, unknown, "{scenario}");
        for block in blocks {
            assert_eq!(
                block["size"].as_u64(),
                sizes.get(&text(&block["root"])).copied(),
                "{scenario} {}",
                block["slot"]
            );
        }
    }
}
