//! Equivocations, alternating justification and runs of late blocks: the same whoever speaks first, and however often.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::event::DocumentId;

/// Two blocks for slot 12, three late blocks in a row, and a checkpoint that goes over and back at two nodes.
fn eventful() -> Scene {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x11", 11, "g")
        .exists("x12", 12, "x11")
        .exists("y12", 12, "x11")
        .exists("x13", 13, "x12");
    scene
        .exists("x14", 14, "x13")
        .exists("x15", 15, "x14")
        .exists("x16", 16, "x15");
    for node in ["a", "b", "m"] {
        scene
            .head(node, 10.1, "g")
            .head(node, 11.1, "x11")
            .head(node, 12.1, "x12")
            .head(node, 13.1, "x13")
            .head(node, 14.6, "x14")
            .head(node, 15.6, "x15")
            .head(node, 16.6, "x16");
    }
    scene.import("b", 12.3, "y12");
    let slashing = Fact::Slashing {
        slot: 12,
        proposer_index: 1,
    };
    let votes = Fact::VoteSlashing {
        slot: 13,
        validators: vec![9, 4],
    };
    scene.tell("a", 14.2, slashing).tell("m", 15.0, votes);
    let (x, y) = (scene.block("x12").root, scene.block("y12").root);
    for (slots, epoch, root) in [(13.0, 1, x), (14.0, 1, y), (15.0, 1, x)] {
        for node in ["a", "m"] {
            scene.tell(node, slots, Fact::Justified { epoch, root });
        }
    }
    scene
}

fn events(findings: &[Finding]) -> Vec<&Finding> {
    let is_event = |finding: &&Finding| {
        matches!(
            finding,
            Finding::Offence(_) | Finding::Flip(_) | Finding::LateRun(_)
        )
    };
    findings.iter().filter(is_event).collect()
}

#[test]
fn each_is_told_with_its_evidence() {
    let findings = eventful().findings(24.0);
    let [
        Finding::LateRun(run),
        Finding::Offence(blocks),
        Finding::Offence(votes),
        Finding::Flip(flip),
    ] = events(&findings)[..]
    else {
        panic!("{:?}", events(&findings));
    };
    assert_eq!((run.from_slot, run.to_slot, run.slots), (14, 16, 3));
    assert_eq!((blocks.slot, blocks.validators.as_slice()), (12, &[1][..]));
    let by_block: Vec<_> = blocks
        .blocks
        .iter()
        .map(|block| block.nodes.len())
        .collect();
    assert_eq!(by_block, [3, 1]);
    assert_eq!(blocks.at, eventful().at(12.3), "when the second block came");
    assert_eq!(blocks.slashing_heard_by.len(), 1);
    assert_eq!((votes.slot, votes.validators.as_slice()), (13, &[4, 9][..]));
    assert!(flip.confirmed && flip.nodes.len() == 2);
    assert_eq!((flip.at, flip.checkpoints.len()), (eventful().at(15.0), 2));
    for finding in events(&findings) {
        crate::setup::assert_accepted([&finding.to_event(&eventful().spec)]);
    }
}

#[test]
fn one_node_that_changes_its_mind_is_not_the_network() {
    let mut scene = eventful();
    scene
        .told
        .retain(|said| said.node != "m" || !matches!(said.fact, Fact::Justified { .. }));
    let findings = scene.findings(24.0);
    let flips = events(&findings)
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::Flip(flip) => Some(flip.confirmed),
            _ => None,
        });
    assert_eq!(flips.collect::<Vec<_>>(), [false]);
}

#[test]
fn a_restart_tells_the_first_word_under_the_same_id() {
    let scene = eventful();
    let first_words = |findings: Vec<Finding>| -> BTreeSet<DocumentId> {
        let told = events(&findings)
            .into_iter()
            .map(|finding| finding.to_event(&scene.spec));
        told.filter(|event| event.document.get_u64("ethereum.revision") == Some(0))
            .map(|event| event.id)
            .collect()
    };
    let uninterrupted = first_words(scene.live_findings(24.0));
    assert_eq!(uninterrupted.len(), 4);
    assert_eq!(
        first_words(scene.live_findings_from(18.0, 24.0)),
        uninterrupted
    );
}

proptest! {
    #[test]
    fn order_and_repetition_change_nothing(
        told in Just(eventful().told).prop_shuffle(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let scene = eventful();
        let expected = scene.findings(24.0);
        let repeated: Vec<_> = again.iter().map(|index| told[index.index(told.len())].clone()).collect();
        let shuffled = [told, repeated].concat();
        let mut network = scene.network_after(&shuffled);
        let found = network.advance(scene.at(24.0));
        prop_assert_eq!(events(&found), events(&expected));
        shuffled.into_iter().for_each(|observation| network.observe(observation));
        let later = network.advance(scene.at(26.0));
        prop_assert!(events(&later).is_empty(), "{:?}", events(&later));
    }
}
