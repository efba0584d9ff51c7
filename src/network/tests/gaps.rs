//! Blocks that pass over others: because of a split, or by choice.

use super::*;

/// The last word on whether a split explains what a block passes over, and how often that was told otherwise before.
fn across(findings: &[Finding], block: &str) -> Vec<Option<bool>> {
    let mut told: Vec<_> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Block(told) if told.block.root == root_of(block) => Some(told.across_split),
            _ => None,
        })
        .collect();
    told.dedup();
    told
}

/// `m` and `n` make x11 to x14; `a` and `b`, who see nothing of it, y15 upon slot 10.
fn parted() -> Scene {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x11", 11, "g")
        .exists("x12", 12, "x11")
        .exists("x13", 13, "x12")
        .exists("x14", 14, "x13")
        .exists("y15", 15, "g")
        .exists("x16", 16, "x14");
    for node in ["a", "b", "m", "n"] {
        scene.head(node, 10.1, "g");
    }
    for node in ["m", "n"] {
        for (slot, block) in [(11.1, "x11"), (12.1, "x12"), (13.1, "x13"), (14.1, "x14")] {
            scene.head(node, slot, block);
        }
        scene.head(node, 16.1, "x16");
    }
    scene
}

#[test]
fn a_side_of_a_split_passes_over_the_other_sides_blocks() {
    let mut scene = parted();
    scene.head("a", 15.1, "y15").head("b", 15.1, "y15");
    // Each side gets the other's blocks when it is over, and they are told again.
    for node in ["m", "n"] {
        scene.import(node, 20.1, "y15");
    }
    for node in ["a", "b"] {
        for block in ["x11", "x12", "x13", "x14"] {
            scene.import(node, 20.2, block);
        }
        scene.head(node, 20.3, "x16");
    }
    let findings = scene.live_findings(30.0);
    assert_eq!(across(&findings, "y15"), [Some(true)]);
    assert_eq!(across(&findings, "x16"), [Some(true)], "over y15");
    assert_eq!(across(&findings, "x14"), [None]);
}

#[test]
fn who_builds_on_its_old_head_while_all_others_went_on_does_so_by_itself() {
    let mut scene = parted();
    for node in ["b", "m", "n"] {
        scene.import(node, 15.2, "y15");
    }
    for block in ["x11", "x12", "x13"] {
        scene.head("b", 14.2, block);
    }
    // The thawed node stands on its own block for half a slot.
    scene.head("b", 14.3, "x14").head("b", 16.1, "x16");
    scene.head("a", 15.1, "y15").head("a", 15.6, "x14");
    let findings = scene.live_findings(24.0);
    assert!(splits(&findings).is_empty());
    let told = across(&findings, "y15");
    assert_eq!(told.last(), Some(&Some(false)), "{told:?}");
    assert_eq!(across(&findings, "x16").last(), Some(&Some(false)));
}

#[test]
fn a_proposer_that_passes_over_blocks_of_its_own_side_does_so_by_choice() {
    let mut scene = parted();
    scene
        .exists("y16", 16, "y15")
        .exists("y17", 17, "y16")
        .exists("y18", 18, "y17")
        .exists("rogue", 19, "y15");
    for node in ["a", "b"] {
        for (slot, block) in [(15.1, "y15"), (16.1, "y16"), (17.1, "y17"), (18.1, "y18")] {
            scene.head(node, slot, block);
        }
        scene.import(node, 19.1, "rogue");
    }
    let findings = scene.live_findings(24.0);
    assert_eq!(across(&findings, "rogue"), [Some(false)]);
    assert_eq!(across(&findings, "y15"), [Some(true)]);
}
