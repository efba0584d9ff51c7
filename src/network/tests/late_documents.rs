//! An agent that was away for an hour: what it tells changes the record, and the change can be seen.

use super::*;
use crate::slot::ChainSpec;

const FIRST: u64 = 100;
const LAST: u64 = 500;

/// An hour and a little, in slots of 12 s.
const AWAY_SLOTS: u64 = 310;

fn root(slot: u64) -> Root {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&slot.to_be_bytes());
    Root(bytes)
}

fn block(slot: u64) -> BlockRef {
    BlockRef {
        slot,
        root: root(slot),
    }
}

/// What a node says of a block that it imported `ms` into its slot.
fn imported(
    spec: &ChainSpec,
    node: &str,
    block: BlockRef,
    parent: Root,
    ms: i64,
) -> Vec<Observation> {
    let at = spec.slot_start(block.slot) + TimeDelta::milliseconds(ms);
    let facts = [
        Fact::Seen {
            block,
            source: Source::Block,
            arrival_ms: Some(ms),
        },
        Fact::Block {
            block,
            parent_root: parent,
            proposer_index: Some(block.slot),
        },
        Fact::Head(block),
    ];
    let observation = |(order, fact)| Observation {
        node: node.into(),
        client: None,
        at,
        order,
        fact,
    };
    (0..).zip(facts).map(observation).collect()
}

/// Two nodes see a chain that lacks slot 150; the third, which is away from slot 140 on, saw a block there.
fn told_while_away(spec: &ChainSpec) -> (Network, Vec<Finding>, Vec<Observation>) {
    let mut network = Network::new(spec.clone(), Settings::default());
    let mut findings = Vec::new();
    let mut kept_back = Vec::new();
    for slot in FIRST..LAST {
        if slot == 150 {
            let orphan = BlockRef {
                slot,
                root: Root([7; 32]),
            };
            let mut told = imported(spec, "c", orphan, root(149), 900);
            told.truncate(2);
            kept_back.extend(told);
        } else {
            let parent = if slot == 151 {
                root(149)
            } else {
                root(slot - 1)
            };
            for node in ["a", "b"] {
                let told = imported(spec, node, block(slot), parent, 500);
                told.into_iter().for_each(|said| network.observe(said));
            }
            let told = imported(spec, "c", block(slot), parent, 5_000);
            if (140..140 + AWAY_SLOTS).contains(&slot) {
                kept_back.extend(told);
            } else {
                told.into_iter().for_each(|said| network.observe(said));
            }
        }
        findings.extend(network.advance(spec.slot_start(slot + 1)));
        if slot == 140 + AWAY_SLOTS {
            kept_back.drain(..).for_each(|said| network.observe(said));
        }
    }
    (network, findings, kept_back)
}

#[test]
fn an_hour_late_is_not_too_late() {
    let spec = ChainSpec::example();
    let (network, findings, _) = told_while_away(&spec);
    assert_eq!(network.refused().too_old, 0);

    let statuses: Vec<_> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Slot(slot) if slot.slot == 150 => {
                Some((slot.status.name(), slot.revision, slot.proposer_index))
            }
            _ => None,
        })
        .collect();
    assert_eq!(statuses, [("missed", 0, None), ("orphaned", 1, Some(150))]);

    let of_block = |slot: u64| -> Vec<&NetworkBlock> {
        findings
            .iter()
            .filter_map(|finding| match finding {
                Finding::Block(told) if told.block == block(slot) => Some(told),
                _ => None,
            })
            .collect()
    };
    let told = of_block(200);
    let steps: Vec<_> = told
        .iter()
        .map(|block| (block.revision, block.seen.len(), block.late_alone.len()))
        .collect();
    assert_eq!(steps, [(0, 2, 0), (1, 3, 1)]);
    let events: Vec<_> = told
        .iter()
        .map(|told| Finding::Block((*told).clone()).to_event(&spec))
        .collect();
    assert_eq!(events[1].document.get_u64("ethereum.revision"), Some(1));
    assert_eq!(events[1].document.get_str("event.action"), Some("updated"));
    assert_ne!(events[0].id, events[1].id);
    // The parent of the block after it lies two back: with an orphan between, and no longer with a missed slot.
    let missed: Vec<_> = of_block(151)
        .iter()
        .map(|block| block.missed_between)
        .collect();
    assert_eq!(missed.last(), Some(&Some(0)), "{missed:?}");
    assert_eq!(missed.first(), Some(&Some(1)));
}

#[test]
fn clients_are_compared_with_what_is_usual_for_them() {
    let spec = ChainSpec::example();
    let mut network = Network::new(spec.clone(), Settings::default());
    let mut last = None;
    // The second client always stamps 300 ms later; the third node is of it, and 500 ms slower in the end.
    for slot in FIRST..FIRST + 60 {
        let slow = if slot == FIRST + 59 { 500 } else { 0 };
        for (node, client, ms) in [
            ("a", "Lighthouse/v7", 1_000),
            ("b", "Teku/v25", 1_300),
            ("c", "Teku/v25", 1_300 + slow),
        ] {
            let (size, kilobytes) = (Some(80_000 + slot % 7 * 10_000), slot % 7);
            // Dispersion grows with size, by 10 ms for 10 kB.
            let ms = ms + i64::from(node != "a") * kilobytes as i64 * 10;
            for mut said in imported(&spec, node, block(slot), root(slot - 1), ms) {
                said.client = Some(client.into());
                network.observe(said.clone());
                said.fact = Fact::Contents {
                    block: block(slot),
                    contents: Contents {
                        size_bytes: size,
                        blobs: Some(3),
                        ..Contents::default()
                    },
                };
                network.observe(said);
            }
        }
        for finding in network.advance(spec.slot_start(slot + 2)) {
            if let Finding::Block(told) = finding {
                assert!(!told.slowness.is_some_and(|slowness| slowness.slow) || slow > 0);
                last = Some(told);
            }
        }
    }
    let told = last.unwrap();
    assert_eq!(told.block.slot, FIRST + 59);
    let excess: Vec<_> = told
        .seen
        .iter()
        .map(|seen| seen.excess_ms.unwrap())
        .collect();
    assert_eq!(excess[0], 0, "first, as always");
    assert!(excess[1].abs() <= 30, "as usual: {excess:?}");
    assert!((470..=530).contains(&excess[2]), "slower: {excess:?}");
    let teku = &told.clients[1];
    assert_eq!((teku.client.as_str(), teku.nodes), ("Teku", 2));
    assert!((290..=370).contains(&teku.baseline_ms.unwrap()), "{teku:?}");
    let slowness = told.slowness.unwrap();
    assert!(
        slowness.slow && (490..=510).contains(&slowness.residual_ms),
        "{slowness:?}"
    );
}
