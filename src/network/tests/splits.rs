use super::*;

/// Two nodes part after slot 10: `m` builds x11, x13, x15, `a` builds y12, y14, y16. They meet at slot 17.
fn split() -> Scene {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x11", 11, "g")
        .exists("x13", 13, "x11")
        .exists("x15", 15, "x13");
    scene
        .exists("y12", 12, "g")
        .exists("y14", 14, "y12")
        .exists("y16", 16, "y14")
        .exists("y17", 17, "y16");
    scene.head("m", 10.1, "g").head("a", 10.1, "g");
    scene
        .head("m", 11.1, "x11")
        .head("m", 13.1, "x13")
        .head("m", 15.1, "x15");
    scene
        .head("a", 12.1, "y12")
        .head("a", 14.1, "y14")
        .head("a", 16.1, "y16")
        .head("a", 17.1, "y17");
    scene
}

fn steps(findings: &[Finding]) -> Vec<(Step, u64, u64)> {
    splits(findings)
        .iter()
        .map(|split| (split.step, split.from_slot, split.to_slot))
        .collect()
}

#[test]
fn a_split_opens_after_two_slots_and_closes_once_healed() {
    let mut scene = split();
    scene.head("m", 17.2, "y17");
    for findings in [scene.findings(30.0), scene.live_findings(24.0)] {
        assert_eq!(
            steps(&findings),
            [(Step::Opened, 11, 14), (Step::Closed, 11, 17)]
        );
        let split = splits(&findings)[0];
        assert_eq!(
            (split.ancestor, split.ancestor_slot),
            (root_of("g"), Some(10))
        );
        let sides: Vec<_> = split
            .groups
            .iter()
            .map(|group| {
                (
                    group.nodes.iter().next().unwrap().as_ref(),
                    group.clients.len(),
                )
            })
            .collect();
        assert_eq!(sides.len(), 2);
        assert!(sides.contains(&("a", 1)) && sides.contains(&("m", 1)));
        let document = findings
            .iter()
            .find(|finding| matches!(finding, Finding::Split(_)))
            .unwrap()
            .to_event(&scene.spec)
            .document;
        assert_eq!(
            document.get("ethereum.clients").unwrap(),
            &serde_json::json!(["Lodestar", "Prysm"])
        );
        assert_eq!(document.get_u64("ethereum.split.slots"), Some(4));
    }
}

#[test]
fn going_over_and_back_while_healing_is_one_split() {
    let mut scene = split();
    scene
        .head("m", 16.5, "y16")
        .only_head("m", 17.3, "x15")
        .head("m", 18.5, "y17");
    assert_eq!(
        steps(&scene.findings(30.0)),
        [(Step::Opened, 11, 14), (Step::Closed, 11, 18)]
    );
}

#[test]
fn a_node_that_changes_sides_is_an_update_when_the_slot_ends() {
    let mut scene = split();
    scene.head("b", 12.2, "y12").head("b", 15.5, "x13");
    let findings = scene.findings(18.0);
    assert_eq!(
        steps(&findings)[..2],
        [(Step::Opened, 11, 14), (Step::Updated, 11, 16)]
    );
    let largest = &splits(&findings)[1].groups[0];
    assert_eq!(
        largest
            .nodes
            .iter()
            .map(|node| node.as_ref())
            .collect::<Vec<_>>(),
        ["b", "m"]
    );
}

#[test]
fn a_node_merely_behind_is_no_split() {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x", 11, "g")
        .exists("y", 12, "x")
        .exists("z", 19, "y");
    scene
        .head("m", 10.1, "g")
        .head("a", 10.1, "g")
        .head("a", 11.1, "x")
        .head("a", 12.1, "y")
        .head("a", 19.1, "z");
    scene.tell("m", 19.0, Fact::Status { syncing: false });
    assert!(splits(&scene.findings(24.0)).is_empty());
}

#[test]
fn a_late_block_of_one_slot_is_no_split() {
    let mut scene = Scene::from_slot(10);
    scene.exists("x", 11, "g").exists("y", 12, "g");
    scene
        .head("m", 10.1, "g")
        .head("a", 10.1, "g")
        .head("m", 11.9, "x")
        .head("a", 12.1, "y")
        .head("m", 13.1, "y");
    assert!(splits(&scene.findings(24.0)).is_empty());
}

#[test]
fn a_node_that_went_silent_or_syncs_holds_no_split_open() {
    let mut scene = split();
    scene.exists("y30", 30, "y17").head("a", 30.1, "y30");
    let findings = scene.live_findings(33.0);
    assert_eq!(
        steps(&findings).last().map(|step| step.0),
        Some(Step::Closed)
    );

    let mut scene = split();
    scene.tell("m", 11.0, Fact::Status { syncing: true });
    assert!(splits(&scene.findings(18.0)).is_empty());
}

#[test]
fn the_same_branches_may_split_again() {
    let mut scene = split();
    scene.head("m", 16.5, "y16");
    for slot in 17..24 {
        scene.tell("m", f64::from(slot), Fact::Status { syncing: false });
        scene.tell("a", f64::from(slot), Fact::Status { syncing: false });
    }
    scene.only_head("m", 20.5, "x15").head("m", 23.9, "y17");
    let findings = scene.findings(30.0);
    let found = splits(&findings);
    let actions: Vec<_> = found.iter().map(|split| split.step).collect();
    assert_eq!(
        actions,
        [Step::Opened, Step::Closed, Step::Opened, Step::Closed]
    );
    assert!(found[0].id == found[1].id && found[1].id != found[2].id && found[2].id == found[3].id);
}
