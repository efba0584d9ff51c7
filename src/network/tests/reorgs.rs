use super::*;

/// 25 May 2022, reconstructed from the client's log: 3887074 came late, 3887075 was built on 3887073.
fn may_2022() -> Scene {
    let mut scene = Scene::from_slot(3_887_073);
    scene.exists("late", 3_887_074, "g");
    let names = ["75", "76", "77", "78", "79", "80", "81"];
    let mut parent = "g";
    scene
        .head("p", 3_887_073.1, "g")
        .head("a", 3_887_073.1, "g");
    for (slot, name) in (3_887_075..).zip(names) {
        scene.exists(name, slot, parent);
        scene
            .head("p", slot as f64 + 0.1, name)
            .head("a", slot as f64 + 0.1, name);
        parent = name;
    }
    scene.import("p", 3_887_081.9, "late");
    scene
}

#[test]
fn the_seven_block_reorg_of_may_2022_has_its_honest_sizes() {
    let mut scene = may_2022();
    scene.head("p", 3_887_082.0, "late");
    let (old, new) = (scene.block("81").root, scene.block("late").root);
    scene.tell(
        "p",
        3_887_082.01,
        Fact::Reorg(ReportedReorg {
            slot: 3_887_074,
            depth: 8,
            old_head: Some(old),
            new_head: Some(new),
        }),
    );
    let findings = scene.live_findings_from(3_887_073.0, 3_887_084.0);
    let found = reorgs(&findings);
    assert_eq!(found.len(), 1);
    let reorg = found[0];
    let fork = reorg.branches.as_ref().unwrap();
    assert_eq!(
        (fork.ancestor_slot, reorg.old_head.slot, reorg.new_head.slot),
        (Some(3_887_073), 3_887_081, 3_887_074)
    );
    assert_eq!((fork.old_side.len(), fork.new_side.len()), (7, 1));
    assert_eq!(
        (reorg.slot_span_old(), reorg.slot_span_new()),
        (Some(8), Some(1))
    );
    assert_eq!(
        reorg.nodes["p"].reported.map(|report| report.depth),
        Some(8)
    );
    assert!(!reorg.confirmed && !reorg.sync_artefact, "one of two nodes");

    let document = findings
        .iter()
        .find(|finding| matches!(finding, Finding::Reorg(_)))
        .unwrap()
        .to_event(&scene.spec)
        .document;
    assert_eq!(document.get_u64("ethereum.reorg.blocks_dropped"), Some(7));
    assert_eq!(document.get_u64("ethereum.reorg.slot_span_old"), Some(8));
    assert_eq!(
        document.get("ethereum.reported_depth").unwrap()[0]["depth"],
        8
    );
    assert_eq!(document.get_str("event.action"), Some("reorg"));
}

#[test]
fn two_nodes_make_one_event_and_confirm_it() {
    let mut scene = may_2022();
    scene
        .head("p", 3_887_082.0, "late")
        .head("a", 3_887_083.6, "late");
    let findings = scene.live_findings_from(3_887_073.0, 3_887_086.0);
    let steps: Vec<_> = reorgs(&findings)
        .iter()
        .map(|reorg| (reorg.revision, reorg.nodes.len(), reorg.confirmed))
        .collect();
    assert_eq!(steps, [(0, 1, false), (1, 2, true)]);
    let ids: Vec<_> = findings
        .iter()
        .map(|finding| finding.to_event(&scene.spec).id)
        .collect();
    assert_eq!(
        ids.iter().collect::<std::collections::HashSet<_>>().len(),
        ids.len()
    );
}

#[test]
fn over_and_back_within_a_second_are_two_reorgs_of_one_node() {
    let mut scene = Scene::from_slot(10);
    scene.exists("x", 11, "g").exists("y", 12, "g");
    scene
        .head("p", 10.1, "g")
        .head("p", 11.1, "x")
        .head("p", 12.1, "y")
        .only_head("p", 12.2, "x")
        .only_head("p", 12.3, "y");
    let found = scene.findings(20.0);
    let steps: Vec<_> = reorgs(&found)
        .iter()
        .map(|reorg| (reorg.new_head.slot, reorg.occurrence))
        .collect();
    assert_eq!(steps.len(), 3);
    for expected in [(12, 0), (11, 0), (12, 1)] {
        assert!(steps.contains(&expected), "{steps:?}");
    }
}

#[test]
fn a_link_that_comes_late_is_waited_for() {
    let mut scene = Scene::from_slot(10);
    scene.exists("x", 11, "g").exists("y", 12, "g");
    scene
        .head("p", 10.1, "g")
        .head("p", 11.1, "x")
        .only_head("p", 12.1, "y");
    assert!(reorgs(&scene.findings(14.0)).is_empty());
    scene.import("p", 14.0, "y");
    let found = scene.findings(15.0);
    assert_eq!(
        reorgs(&found)[0].branches.as_ref().unwrap().old_side.len(),
        1
    );
}

#[test]
fn an_ancestor_that_never_becomes_known_is_said_to_be_unknown() {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x", 11, "g")
        .exists("y", 11, "g")
        .exists("z", 13, "y");
    scene
        .head("p", 10.1, "g")
        .head("p", 11.1, "x")
        .only_head("p", 11.2, "y")
        .only_head("p", 13.1, "z");
    let mut network = scene.network_after(&scene.told);
    let found = network.advance(scene.at(20.0));
    let found = reorgs(&found);
    // Two blocks of one slot: surely a reorg. The step after it may be an extension: nothing is invented.
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].branches.clone(), found[0].slot_span_old()),
        (None, None)
    );
    assert_eq!(network.refused().unlinked, 1);
}

#[test]
fn a_step_back_to_the_parent_drops_a_block_and_adds_none() {
    let mut scene = Scene::from_slot(10);
    scene.exists("x", 11, "g");
    scene
        .head("p", 10.1, "g")
        .head("p", 11.1, "x")
        .only_head("p", 11.5, "g");
    let found = scene.findings(20.0);
    let fork = reorgs(&found)[0].branches.clone().unwrap();
    assert_eq!((fork.old_side.len(), fork.new_side.len()), (1, 0));
}

#[test]
fn a_syncing_node_makes_artefacts_and_confirms_nothing() {
    let mut scene = Scene::from_slot(10);
    scene.exists("x", 11, "g").exists("y", 12, "g");
    scene.tell("p", 10.0, Fact::Status { syncing: true });
    scene
        .head("p", 10.1, "g")
        .head("p", 11.1, "x")
        .head("p", 12.1, "y");
    let found = scene.findings(20.0);
    assert!(reorgs(&found)[0].sync_artefact && !reorgs(&found)[0].confirmed);
}

#[test]
fn a_lone_node_far_behind_is_catching_up() {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x", 11, "g")
        .exists("y", 12, "g")
        .exists("far", 60, "y");
    scene.head("p", 10.1, "g").head("p", 11.1, "x");
    scene
        .head("a", 12.1, "y")
        .head("a", 60.1, "far")
        .head("p", 60.5, "far");
    let found = scene.findings(70.0);
    let found = reorgs(&found);
    assert_eq!((found.len(), found[0].sync_artefact), (1, true));
}

#[test]
fn polled_heads_fill_in_only_where_the_stream_is_silent() {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x", 11, "g")
        .exists("y", 12, "g")
        .exists("z", 13, "y");
    scene
        .head("p", 10.1, "g")
        .head("p", 11.1, "x")
        .head("p", 12.1, "y");
    let [x, y, z] = ["x", "y", "z"].map(|name| Fact::PolledHead(scene.block(name)));
    // An answer that was read before the stream went on, and one that was read after.
    scene.tell("p", 12.15, x).tell("p", 12.2, y.clone());
    assert_eq!(reorgs(&scene.findings(20.0)).len(), 1);

    // The stream dies; polling sees two more changes.
    scene
        .import("p", 13.1, "z")
        .tell("p", 20.0, z)
        .tell("p", 22.0, y);
    let found = scene.findings(40.0);
    let steps: Vec<_> = reorgs(&found)
        .iter()
        .map(|reorg| reorg.new_head.slot)
        .collect();
    assert_eq!(
        steps,
        [12, 12],
        "over to y by the stream, back from z by polling"
    );
}

/// Lodestar, killed and started again before anything is finalized, begins at genesis.
#[test]
fn a_node_that_comes_back_on_an_older_head_is_catching_up() {
    let sync_artefact = |restarted: bool, others_went_on: bool| {
        let mut scene = Scene::from_slot(10);
        scene.exists("x", 11, "g").exists("y", 12, "x");
        for node in ["a", "p"] {
            scene.head(node, 10.1, "g").head(node, 11.1, "x").tell(
                node,
                11.8,
                Fact::Status { syncing: false },
            );
        }
        if others_went_on {
            scene.head("p", 12.1, "y");
        } else {
            scene.head("p", 12.1, "g");
        }
        for slot in 12..16 {
            let at = f64::from(slot) + 0.8;
            scene.tell("p", at, Fact::Status { syncing: false });
            if !restarted {
                scene.tell("a", at, Fact::Status { syncing: false });
            }
        }
        scene.tell("a", 16.2, Fact::PolledHead(scene.block("g")));
        scene.tell("a", 16.8, Fact::Status { syncing: true });
        let found = scene.live_findings_from(10.0, 20.0);
        let reorg = reorgs(&found)
            .into_iter()
            .rfind(|reorg| reorg.nodes.contains_key("a"))
            .unwrap();
        reorg.sync_artefact
    };
    assert!(sync_artefact(true, true));
    // One that was there all the time threw a block away, and where others did so too it is no node's own matter.
    assert!(!sync_artefact(false, true));
    assert!(!sync_artefact(true, false));
}
