//! Who moved in a split, and what the sides run and have justified.

use serde_json::{Value, json};

use super::*;
use crate::setup::assert_accepted;

/// After slot 10 `m` and `n` follow x11, x13, …; `a`, `b` and `c` follow y12, y14, …, up to slot 25.
fn split() -> Scene {
    const NAMES: [(&str, u64); 15] = [
        ("x11", 11),
        ("y12", 12),
        ("x13", 13),
        ("y14", 14),
        ("x15", 15),
        ("y16", 16),
        ("x17", 17),
        ("y18", 18),
        ("x19", 19),
        ("y20", 20),
        ("x21", 21),
        ("y22", 22),
        ("x23", 23),
        ("y24", 24),
        ("x25", 25),
    ];
    let mut scene = Scene::from_slot(10);
    let mut parents = HashMap::from([("x", "g"), ("y", "g")]);
    for node in ["a", "b", "c", "m", "n"] {
        scene.head(node, 10.1, "g");
    }
    for (name, slot) in NAMES {
        let side = &name[..1];
        let parent = parents.insert(side, name).unwrap();
        scene.exists(name, slot, parent);
        let nodes = if side == "x" { "mn" } else { "abc" };
        for node in nodes.chars().map(String::from) {
            scene.head(&node, slot as f64 + 0.1, name);
        }
    }
    scene
}

/// Without what a node says from some slot on.
fn silence(scene: &mut Scene, node: &str, from: f64) {
    let from = scene.at(from);
    scene
        .told
        .retain(|said| said.node != node || said.at < from);
}

fn slots(row: &Move) -> (String, Option<u64>, Option<u64>) {
    let slot = |block: Option<BlockRef>| block.map(|block| block.slot);
    (row.node.to_string(), slot(row.from), slot(row.to))
}

/// Of each step after the opening: its kind and slot, who moved, joined, left.
fn story(findings: &[Finding]) -> Vec<String> {
    let list = |rows: Vec<String>| rows.join(" ");
    let row = |row: &Move| {
        let (node, from, to) = slots(row);
        let slot = |slot: Option<u64>| slot.map_or("-".into(), |slot| slot.to_string());
        format!("{node}:{}>{}", slot(from), slot(to))
    };
    let step = |split: &&HeadSplit| {
        let moves = &split.moves;
        let left = |(left, absence): &(Move, Absence)| format!("{} {}", row(left), absence.name());
        format!(
            "{:?} {} | {} | {} | {}",
            split.step,
            split.to_slot,
            list(moves.moved.iter().map(row).collect()),
            list(moves.joined.iter().map(row).collect()),
            list(moves.left.iter().map(left).collect()),
        )
    };
    splits(findings).iter().map(step).collect()
}

#[test]
fn who_goes_over_is_told_at_each_step_and_who_comes_back_within_a_slot_is_not() {
    let mut scene = split();
    silence(&mut scene, "b", 15.0);
    // Over for good, back again two slots later, and once over and back within a slot.
    scene
        .head("b", 15.5, "x15")
        .head("b", 17.5, "y16")
        .head("b", 19.2, "x19")
        .only_head("b", 19.6, "y18");
    for node in ["m", "n"] {
        silence(&mut scene, node, 20.0);
        scene.head(node, 20.4, "y20");
    }
    let expected = [
        "Opened 14 |  |  | ",
        "Updated 16 | b:14>15 |  | ",
        "Updated 18 | b:17>16 |  | ",
        "Closed 20 | m:19>20 n:19>20 |  | ",
    ];
    for findings in [scene.findings(24.0), scene.live_findings(24.0)] {
        assert_eq!(story(&findings), expected);
    }
}

#[test]
fn nodes_that_come_and_go_are_told_apart_from_those_that_move() {
    let mut scene = split();
    for node in ["b", "c", "n"] {
        silence(&mut scene, node, 15.0);
    }
    // `b` syncs and stands where it stood; `n` goes back below the fork and comes out on the other side; `z` is new;
    // nothing is heard of `c` any more.
    scene
        .tell("b", 11.3, Fact::Status { syncing: false })
        .tell("b", 15.3, Fact::Status { syncing: true })
        .only_head("n", 15.4, "g")
        .tell("b", 17.3, Fact::Status { syncing: false })
        .head("n", 18.3, "y16")
        .head("z", 19.3, "x19");
    for slot in 19..26 {
        let status = || Fact::Status { syncing: false };
        for node in ["b", "n", "z"] {
            scene.tell(node, slot as f64 + 0.5, status());
        }
    }
    let findings = scene.live_findings(25.0);
    assert_eq!(
        story(&findings),
        [
            "Opened 14 |  |  | ",
            "Updated 16 |  |  | b:14>- syncing n:15>- undecided",
            "Updated 18 |  | b:16>16 | ",
            "Updated 19 | n:17>18 |  | ",
            "Updated 20 |  | z:->19 | ",
            "Updated 23 |  |  | c:22>- silent",
        ]
    );
}

#[test]
fn two_nodes_that_change_places_have_both_moved() {
    let mut scene = split();
    for node in ["b", "c", "n"] {
        silence(&mut scene, node, 0.0);
    }
    for node in ["a", "m"] {
        silence(&mut scene, node, 15.0);
    }
    scene.head("m", 15.3, "y14").head("a", 15.3, "x15");
    // All on one side for an instant; the sets of nodes are the same afterwards.
    let findings = scene.findings(17.5);
    assert_eq!(story(&findings)[1], "Updated 16 | a:14>15 m:15>14 |  | ");
}

#[test]
fn a_split_that_ends_with_a_side_gone_silent_has_nobody_who_moved() {
    let mut scene = split();
    for node in ["m", "n"] {
        silence(&mut scene, node, 16.0);
    }
    let findings = scene.live_findings(28.0);
    assert_eq!(
        story(&findings).last().unwrap(),
        "Closed 23 |  |  | m:15>- silent n:15>- silent"
    );
}

/// A scene in which the sides have justified different blocks of one epoch, and one node is an epoch behind.
fn justified() -> Scene {
    let mut scene = split();
    let [g, x, y] = ["g", "x11", "y12"].map(|name| scene.block(name).root);
    for (node, epoch, root) in [
        ("a", 2, y),
        ("b", 2, y),
        ("c", 1, g),
        ("m", 2, x),
        ("n", 2, x),
    ] {
        scene
            .tell(node, 13.9, Fact::Justified { epoch: 1, root: g })
            .tell(node, 14.9, Fact::Justified { epoch, root })
            .tell(node, 14.9, Fact::Finalized { epoch: 1, root: g });
    }
    silence(&mut scene, "c", 15.0);
    scene.head("c", 15.5, "x15");
    for node in ["m", "n", "c"] {
        silence(&mut scene, node, 18.0);
        scene.head(node, 18.4, "y18");
    }
    for said in &mut scene.told {
        let version = match said.node.as_str() {
            "a" | "b" => "Prysm/v6.1.4",
            "c" => "Prysm/v6.1.3",
            _ => "Lodestar/v1.5.1",
        };
        said.client = Some(version.into());
    }
    scene
}

#[test]
fn each_side_tells_what_it_has_justified() {
    let scene = justified();
    let findings = scene.findings(24.0);
    let found = splits(&findings);
    let counts = |counts: &std::collections::BTreeMap<Checkpoint, usize>| -> Vec<_> {
        let counts = counts.iter();
        counts.map(|((epoch, _), nodes)| (*epoch, *nodes)).collect()
    };
    // At the opening all stood on one checkpoint; what is said later of later times does not count.
    assert_eq!(counts(&found[0].justified), [(1, 5)]);
    assert!(!found[0].justified_contradict);
    assert_eq!(counts(&found[1].justified), [(1, 1), (2, 2), (2, 2)]);
    assert!(found[1].justified_contradict);
    let larger = &found[1].groups[0];
    assert_eq!(counts(&larger.justified), [(1, 1), (2, 2)], "one is behind");
    assert_eq!(counts(&larger.finalized), [(1, 3)]);
    assert_eq!(found[0].duration(), TimeDelta::seconds(8));
}

#[test]
fn the_documents_say_all_of_it() {
    let scene = justified();
    let findings = scene.findings(24.0);
    let documents: Vec<Value> = findings
        .iter()
        .filter(|finding| matches!(finding, Finding::Split(_)))
        .map(|finding| {
            let event = finding.to_event(&scene.spec);
            assert_accepted([&event]);
            let mut value = event.document.into_value();
            let fields = value["ethereum"].as_object_mut().unwrap();
            fields.remove("triage");
            value
        })
        .collect();
    insta::assert_json_snapshot!(documents);
}

#[test]
fn a_document_of_a_thousand_nodes_is_bounded_and_its_counts_are_exact() {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x11", 11, "g")
        .exists("y12", 12, "g")
        .exists("x15", 15, "x11");
    for nth in 0..1_000_u32 {
        let node = format!("n{nth:03}");
        let side = if nth < 500 { "x11" } else { "y12" };
        scene.head(&node, 10.1, "g").head(&node, 12.2, side);
        // Three hundred go over in one slot.
        if nth >= 700 {
            scene.head(&node, 15.0 + f64::from(nth) / 2_000.0, "x15");
        }
    }
    let (findings, spec) = (scene.findings(18.0), &scene.spec);
    let found = splits(&findings);
    assert_eq!(found.len(), 2, "opened, and one update for all of them");
    let event = Finding::Split(found[1].clone()).to_event(spec);
    assert_accepted([&event]);
    let field = |name: &str| {
        event
            .document
            .get(&format!("ethereum.split.{name}"))
            .cloned()
    };
    let count = |name: &str| field(name).as_ref().and_then(Value::as_u64);
    assert_eq!(count("node_count"), Some(1_000));
    assert_eq!(count("moved_count"), Some(300));
    assert_eq!(count("moved_cut"), Some(300 - 64));
    assert_eq!(field("moved").unwrap().as_array().unwrap().len(), 64);
    assert_eq!(count("nodes_cut"), Some(1_000 - 256));
    let groups = field("groups").unwrap();
    assert_eq!(groups[0]["node_count"], json!(800));
    assert_eq!(groups[0]["nodes_cut"], json!(800 - 256));
    assert_eq!(groups[0]["nodes"].as_array().unwrap().len(), 256);
    assert_eq!(groups[1]["nodes_cut"], Value::Null, "all 200 are there");
    let bytes = event.document.into_value().to_string().len();
    assert!(bytes < 64 * 1024, "{bytes}");
}
