use super::*;

fn seen(scene: &mut Scene, node: &str, name: &str, source: Source, ms: i64) {
    let block = scene.block(name);
    let slots = block.slot as f64 + ms as f64 / 4_000.0;
    let arrival_ms = Some(ms);
    scene.tell(
        node,
        slots,
        Fact::Seen {
            block,
            source,
            arrival_ms,
        },
    );
}

fn scene() -> Scene {
    let mut scene = Scene::from_slot(10);
    scene.exists("x", 11, "g");
    for node in ["a", "b", "m"] {
        scene.head(node, 10.1, "g");
    }
    scene
}

fn blocks(findings: &[Finding], root: Root) -> Vec<&NetworkBlock> {
    findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Block(block) if block.block.root == root => Some(block),
            _ => None,
        })
        .collect()
}

#[test]
fn first_seen_deltas_and_sources() {
    let mut scene = scene();
    seen(&mut scene, "a", "x", Source::Block, 300);
    seen(&mut scene, "a", "x", Source::Gossip, -20);
    seen(&mut scene, "m", "x", Source::Head, 500);
    seen(&mut scene, "m", "x", Source::Block, 480);
    let findings = scene.live_findings(14.0);
    let told = blocks(&findings, root_of("x"));
    assert_eq!(
        told.len(),
        1,
        "settled once a slot had passed: b never saw it"
    );
    let block = told[0];
    assert_eq!(
        (block.first_seen_ms, block.first_seen_node.as_deref()),
        (Some(-20), Some("a"))
    );
    let seen: Vec<_> = block
        .seen
        .iter()
        .map(|seen| (seen.node.as_ref(), seen.source.unwrap(), seen.delta_ms))
        .collect();
    assert_eq!(
        seen,
        [
            ("a", Source::Gossip, Some(0)),
            ("m", Source::Block, Some(500))
        ]
    );
    assert_eq!(
        (block.nodes_known, block.late_nodes, block.late),
        (3, 0, false)
    );
    assert_eq!(block.dispersion.unwrap().max, 500);
}

#[test]
fn one_frozen_node_is_late_alone_and_two_of_three_are_the_network() {
    let mut one = scene();
    for (node, ms) in [("a", 200), ("b", 210), ("m", 9_000)] {
        seen(&mut one, node, "x", Source::Block, ms);
    }
    let findings = one.findings(20.0);
    let block = blocks(&findings, root_of("x"))[0];
    assert_eq!((block.late_nodes, block.late), (1, false));

    let mut two = scene();
    for (node, ms) in [("a", 200), ("b", 1_333), ("m", 9_000)] {
        seen(&mut two, node, "x", Source::Block, ms);
    }
    let findings = two.findings(20.0);
    let block = blocks(&findings, root_of("x"))[0];
    assert_eq!((block.late_nodes, block.late), (2, true), "due at 1,333 ms");
}

#[test]
fn late_import_and_late_arrival_are_two_facts() {
    let mut scene = scene();
    seen(&mut scene, "a", "x", Source::Gossip, 100);
    seen(&mut scene, "a", "x", Source::Block, 3_400);
    seen(&mut scene, "b", "x", Source::Gossip, 3_000);
    seen(&mut scene, "relay", "x", Source::Gossip, 3_000);
    let findings = scene.findings(20.0);
    let block = blocks(&findings, root_of("x"))[0];
    let facts: Vec<_> = block
        .seen
        .iter()
        .map(|seen| (seen.arrival_late, seen.import_late, seen.late))
        .collect();
    let expected = [
        (Some(false), Some(true), true),
        (Some(true), None, false), // it imports other blocks, so it has not imported this one
        (Some(true), None, true),  // it never tells imports: its gossip has to stand for them
    ];
    assert_eq!(facts, expected);
}

#[test]
fn a_backfilled_block_has_no_arrival() {
    let mut scene = scene();
    let block = scene.block("x");
    let (source, arrival_ms) = (Source::Block, None);
    scene.tell(
        "a",
        15.0,
        Fact::Seen {
            block,
            source,
            arrival_ms,
        },
    );
    let findings = scene.findings(20.0);
    let block = blocks(&findings, root_of("x"))[0];
    assert_eq!(
        (block.first_seen_ms, block.dispersion, block.seen.len()),
        (None, None, 1)
    );
    let event = Finding::Block(block.clone()).to_event(&scene.spec);
    assert_eq!(event.document.get_u64("ethereum.nodes_seen"), Some(1));
    assert_eq!(event.document.get("ethereum.first_seen_ms"), None);
}

#[test]
fn a_straggler_is_an_update_with_an_id_of_its_own() {
    let mut scene = scene();
    seen(&mut scene, "a", "x", Source::Block, 300);
    seen(&mut scene, "b", "x", Source::Block, 310);
    seen(&mut scene, "m", "x", Source::Block, 7_000);
    // Somebody is heard after the slot: it is over for the nodes, not only for the clock.
    scene.tell("a", 12.1, Fact::Status { syncing: false });
    let findings = scene.live_findings(16.0);
    let told = blocks(&findings, root_of("x"));
    let steps: Vec<_> = told
        .iter()
        .map(|block| (block.revision, block.seen.len()))
        .collect();
    assert_eq!(steps, [(0, 2), (1, 3)]);
    let events: Vec<_> = told
        .iter()
        .map(|block| Finding::Block((*block).clone()).to_event(&scene.spec))
        .collect();
    assert_ne!(events[0].id, events[1].id);
    assert_eq!(events[1].document.get_str("event.action"), Some("updated"));
}

#[test]
fn implausible_observations_are_refused_and_counted() {
    let mut scene = scene();
    let far = BlockRef {
        slot: u64::MAX,
        root: root_of("far"),
    };
    scene.tell("a", 11.0, Fact::Head(far));
    scene.tell(
        "a",
        11.0,
        Fact::Finalized {
            epoch: u64::MAX,
            root: far.root,
        },
    );
    let g = scene.block("g");
    scene.tell("b", 11.0, Fact::Head(BlockRef { slot: 9, ..g }));
    let mut ancient = scene.told[0].clone();
    ancient.at = DateTime::<Utc>::MIN_UTC;
    scene.told.push(ancient.clone());
    ancient.at = DateTime::<Utc>::MAX_UTC;
    scene.told.push(ancient);
    let mut network = scene.network_after(&scene.told);
    network.advance(scene.at(14.0));
    let refused = network.refused();
    assert_eq!(
        (refused.future, refused.contradicting, refused.too_old),
        (3, 1, 1)
    );
}
