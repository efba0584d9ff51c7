//! The recordings of real nodes against what is true of them, whole and damaged.

mod forms;
mod real;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Options, replay_all};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/devnet");
const SCENARIOS: [&str; 5] = [
    "healthy-40",
    "split-8",
    "late-4",
    "geth-split-6",
    "mixed-split-9",
];
const FILES: [&str; 4] = [
    "sse.tsv.gz",
    "rest.ndjson.gz",
    "heads.ndjson.gz",
    "blocks.ndjson.gz",
];

fn report(dir: &Path) -> Value {
    let mut out = Vec::new();
    let (_, failed) = replay_all(&[dir.to_owned()], &Options::default(), &mut out).unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    serde_json::from_slice(&out).unwrap()
}

fn troubles(dir: &Path) -> String {
    let mut text = Vec::new();
    let options = Options::default();
    let (troubles, _) = replay_all(&[dir.to_owned()], &options, &mut std::io::sink()).unwrap();
    troubles.write_to(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Copies a recording without its truth, and lets `damage` at it.
fn damaged(scenario: &str, damage: impl Fn(&Path)) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let from = PathBuf::from(RECORDINGS).join(scenario);
    fs::copy(from.join("run.json"), folder.path().join("run.json")).unwrap();
    for node in ["node-a", "node-b"] {
        fs::create_dir(folder.path().join(node)).unwrap();
        for file in FILES {
            let path = Path::new(node).join(file);
            fs::copy(from.join(&path), folder.path().join(&path)).unwrap();
        }
    }
    damage(folder.path());
    report(folder.path())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_lowercase()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Reorgs by node, slot statuses, and late imports by node, as the truth and as a report say them.
#[track_caller]
fn assert_true(scenario: &str, report: &Value) {
    let truth = fs::read(PathBuf::from(RECORDINGS).join(scenario).join("truth.json")).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();

    let expected: BTreeSet<_> = list(&truth["reorgs"])
        .iter()
        .map(|reorg| {
            let sizes = [
                &reorg["depth_blocks_dropped"],
                &reorg["depth_blocks_added"],
                &reorg["slot_span_old"],
                &reorg["slot_span_new"],
            ];
            (
                text(&reorg["node"]),
                text(&reorg["old_head"]),
                text(&reorg["new_head"]),
                sizes.map(|size| size.as_u64()),
            )
        })
        .collect();
    let found: BTreeSet<_> = list(&report["reorgs"])
        .iter()
        .flat_map(|reorg| {
            let sizes = [
                "blocks_dropped",
                "blocks_added",
                "slot_span_old",
                "slot_span_new",
            ];
            let of = move |node| {
                let heads = [&reorg["old_head"]["root"], &reorg["new_head"]["root"]].map(text);
                let [old, new] = heads;
                (text(node), old, new, sizes.map(|size| reorg[size].as_u64()))
            };
            list(&reorg["nodes"]).iter().map(of)
        })
        .collect();
    assert_eq!(found, expected, "{scenario}: reorgs");

    let end = truth["end_slot"].as_u64().unwrap();
    let statuses = |slots: &Value| -> Vec<_> {
        let slots = list(slots)
            .iter()
            .map(|slot| (slot["slot"].as_u64().unwrap(), text(&slot["status"])));
        slots.filter(|(slot, _)| *slot <= end).collect()
    };
    assert_eq!(
        statuses(&report["slots"]),
        statuses(&truth["slots"]),
        "{scenario}: slots"
    );

    let expected: BTreeSet<_> = list(&truth["late_imports"])
        .iter()
        .map(|late| (text(&late["node"]), late["slot"].as_u64().unwrap()))
        .collect();
    let found: BTreeSet<_> = list(&report["blocks"])
        .iter()
        .flat_map(|block| {
            let late = block["seen"]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(_, seen)| seen["late"] == true);
            late.map(|(node, _)| (node.clone(), block["slot"].as_u64().unwrap()))
        })
        .collect();
    assert_eq!(found, expected, "{scenario}: late imports");

    let roots = |blocks: &Value| -> BTreeSet<_> {
        list(blocks)
            .iter()
            .map(|block| text(&block["root"]))
            .collect()
    };
    assert_eq!(
        roots(&report["blocks"]),
        roots(&truth["blocks"]),
        "{scenario}: blocks"
    );
}

#[test]
fn recordings_replay_to_their_truth() {
    for scenario in SCENARIOS {
        let dir = PathBuf::from(RECORDINGS).join(scenario);
        assert_true(scenario, &report(&dir));
        assert_eq!(report(&dir), report(&dir), "deterministic");
    }
}

#[test]
fn whatever_one_file_is_missing_the_others_make_up_for_it() {
    for scenario in SCENARIOS {
        for file in FILES {
            for node in ["node-a", "node-b"] {
                let report = damaged(scenario, |dir| {
                    fs::remove_file(dir.join(node).join(file)).unwrap()
                });
                assert_true(scenario, &report);
            }
        }
        let without_run = damaged(scenario, |dir| {
            fs::remove_file(dir.join("run.json")).unwrap()
        });
        assert_true(scenario, &without_run);
    }
}

#[test]
fn a_file_that_is_cut_off_counts_as_far_as_it_goes() {
    for scenario in SCENARIOS {
        for (file, share) in [
            ("sse.tsv.gz", 2),
            ("sse.tsv.gz", 3),
            ("rest.ndjson.gz", 2),
            ("blocks.ndjson.gz", 3),
        ] {
            let report = damaged(scenario, |dir| {
                let path = dir.join("node-b").join(file);
                let bytes = fs::read(&path).unwrap();
                fs::write(&path, &bytes[..bytes.len() / share]).unwrap();
            });
            assert_true(scenario, &report);
        }
    }
}

#[test]
fn a_node_alone_sees_its_own_reorgs_and_the_others_blocks_as_missed() {
    let report = damaged("split-8", |dir| {
        fs::remove_dir_all(dir.join("node-a")).unwrap()
    });
    assert_eq!(
        (
            list(&report["reorgs"]).len(),
            list(&report["head_splits"]).len()
        ),
        (0, 0)
    );
    let missed = list(&report["slots"])
        .iter()
        .filter(|slot| slot["status"] == "missed");
    let missed: Vec<_> = missed.map(|slot| slot["slot"].as_u64().unwrap()).collect();
    assert_eq!(missed, [15, 16, 17, 18, 20]);
}

#[test]
fn damage_is_counted_and_named_and_whole_recordings_have_none() {
    for scenario in SCENARIOS {
        assert_eq!(troubles(&PathBuf::from(RECORDINGS).join(scenario)), "");
    }
    damaged("late-4", |dir| {
        fs::write(
            dir.join("node-a/heads.ndjson.gz"),
            "{\"t0_ns\":1,\n\nnull\n",
        )
        .unwrap();
        fs::write(
            dir.join("node-b/sse.tsv.gz"),
            "5\tevent: head\n5\tdata: {\n5\t\n6\tevent: head\n6\tdata: {",
        )
        .unwrap();
        let text = troubles(dir);
        for part in [
            "heads.ndjson.gz:1: line is no polled head, expected JSON with t0_ns, t1_ns, slot and root: 3",
            "event is not JSON: 1",
            "event cut off at the end: 1",
        ] {
            assert!(text.contains(part), "{text}");
        }
    });
}

#[test]
fn a_directory_without_nodes_or_clock_is_an_error() {
    let error = |dir: &Path| {
        let options = Options::default();
        let (_, failed) = replay_all(&[dir.to_owned()], &options, &mut Vec::new()).unwrap();
        format!("{:#}", failed[0])
    };
    let empty = tempfile::tempdir().unwrap();
    let told = error(empty.path());
    assert!(
        told.contains("no recording in it, expected a folder node-NAME"),
        "{told}"
    );
    fs::create_dir(empty.path().join("node-x")).unwrap();
    let told = error(empty.path());
    assert!(told.contains("cannot tell the chain's clock"), "{told}");
}
