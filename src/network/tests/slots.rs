use std::collections::BTreeMap;

use super::*;

fn last_status(findings: &[Finding]) -> BTreeMap<u64, (Status, Finality)> {
    let status = |finding: &Finding| match finding {
        Finding::Slot(slot) => Some((slot.slot, (slot.status, slot.finality))),
        _ => None,
    };
    findings.iter().filter_map(status).collect()
}

fn chain() -> Scene {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x11", 11, "g")
        .exists("x14", 14, "x11")
        .exists("stray", 13, "g")
        .exists("x18", 18, "x14");
    for node in ["a", "m"] {
        scene
            .head(node, 10.1, "g")
            .head(node, 11.1, "x11")
            .head(node, 14.1, "x14")
            .head(node, 18.1, "x18");
    }
    scene
}

#[test]
fn silence_of_all_nodes_is_no_missed_slot() {
    let findings = chain().live_findings(24.0);
    let statuses = last_status(&findings);
    assert_eq!(statuses.keys().next_back(), Some(&18), "{statuses:?}");
}

#[test]
fn gaps_in_the_chain_are_missed_and_stray_blocks_are_orphans_without_any_reorg() {
    let mut scene = chain();
    scene.import("m", 13.2, "stray");
    scene.tell("a", 21.2, Fact::Status { syncing: false });
    let findings = scene.live_findings(22.0);
    let statuses: Vec<_> = last_status(&findings)
        .into_iter()
        .map(|(slot, (status, _))| (slot, status))
        .collect();
    use Status::*;
    let expected = [
        Canonical, Canonical, Missed, Orphaned, Canonical, Missed, Missed, Missed, Canonical,
        Missed, Missed,
    ];
    assert_eq!(statuses, (10..).zip(expected).collect::<Vec<_>>());
    assert!(reorgs(&findings).is_empty());
}

#[test]
fn an_orphan_that_shows_up_late_corrects_its_slot() {
    let mut scene = chain();
    scene.import("m", 19.5, "stray");
    let findings = scene.live_findings(24.0);
    let of_13: Vec<_> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Slot(slot) if slot.slot == 13 => Some((slot.status, slot.revision)),
            _ => None,
        })
        .collect();
    assert_eq!(of_13, [(Status::Missed, 0), (Status::Orphaned, 1)]);
}

#[test]
fn finality_makes_final_what_a_quorum_finalized() {
    let mut scene = chain();
    let root = scene.block("x14").root;
    scene.tell("a", 19.0, Fact::Finalized { epoch: 2, root });
    assert!(
        last_status(&scene.live_findings(21.0))
            .values()
            .all(|(_, finality)| *finality == Finality::Provisional)
    );
    scene.tell("m", 19.1, Fact::Finalized { epoch: 2, root });
    let statuses = last_status(&scene.live_findings(21.0));
    let finals: Vec<_> = statuses
        .iter()
        .filter(|(_, status)| status.1 == Finality::Final)
        .map(|(slot, _)| *slot)
        .collect();
    assert_eq!(
        finals,
        (10..=16).collect::<Vec<_>>(),
        "up to the first slot of epoch 2, two after the block"
    );
    assert_eq!(statuses[&15], (Status::Missed, Finality::Final));
}

#[test]
fn a_slot_below_a_missing_link_is_not_judged() {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x11", 11, "g")
        .exists("x12", 12, "x11")
        .exists("x13", 13, "x12");
    scene
        .head("m", 10.1, "g")
        .only_head("m", 11.1, "x11")
        .head("m", 13.1, "x13");
    let statuses = last_status(&scene.findings(15.0));
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [10, 13]);
}

#[test]
fn the_branch_with_more_nodes_is_canonical() {
    let mut scene = Scene::from_slot(10);
    scene.exists("x", 11, "g").exists("y", 11, "g");
    for node in ["a", "b", "m"] {
        scene.head(node, 10.1, "g");
    }
    scene
        .head("a", 11.1, "x")
        .head("b", 11.1, "y")
        .head("m", 11.1, "y");
    let findings = scene.findings(13.0);
    let blocks: BTreeMap<_, _> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Block(block) => Some((block.block.root, block.status)),
            _ => None,
        })
        .collect();
    assert_eq!(blocks[&root_of("x")], Some(Status::Orphaned));
    assert_eq!(blocks[&root_of("y")], Some(Status::Canonical));
}
