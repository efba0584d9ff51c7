//! Published attacks and their harmless look-alikes, each told as documents in and out of order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::scenario::{self, Told};
use super::*;
use crate::network::triage::Class;

/// Ways in which documents overtake each other; 0 is none.
const DISORDERS: [u64; 4] = [0, 1, 2, 3];

pub(super) fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/network/tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

pub(super) fn load(name: &str) -> scenario::Scenario {
    let found = files()
        .into_iter()
        .find(|path| path.file_stem().unwrap() == name)
        .unwrap();
    scenario::parse(&std::fs::read_to_string(found).unwrap()).unwrap()
}

type LastReorgs<'a> = BTreeMap<(BlockRef, BlockRef, u32), &'a Reorg>;

/// The class last told of each reorg with the blocks it dropped, and of each split.
fn last_told(told: &[Told]) -> (LastReorgs<'_>, BTreeMap<String, &HeadSplit>) {
    let mut reorgs = BTreeMap::new();
    let mut splits = BTreeMap::new();
    for told in told {
        match &told.finding {
            Finding::Reorg(reorg) => {
                reorgs.insert((reorg.old_head, reorg.new_head, reorg.occurrence), reorg);
            }
            Finding::Split(split) => {
                splits.insert(split.id.as_str().to_owned(), split);
            }
            _ => {}
        }
    }
    (reorgs, splits)
}

/// Equivocations, flips and late runs as they were told last.
fn last_events(told: &[Told]) -> Vec<String> {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for told in told {
        let (thing, event) = match &told.finding {
            Finding::Offence(offence) => {
                let thing = format!("equivocation {} by {:?}", offence.slot, offence.validators);
                let event = thing.replace(['[', ']'], "");
                (thing, event)
            }
            Finding::Flip(flip) => {
                let thing = format!("flip {:?} {:?}", flip.from, flip.to);
                (thing, format!("flip at {}", flip.nodes.len()))
            }
            Finding::LateRun(run) => {
                let class = run.triage.class.name();
                let event = format!("run {} to {} as {class}", run.from_slot, run.to_slot);
                (format!("run {}", run.from_slot), event)
            }
            _ => continue,
        };
        last.insert(thing, event);
    }
    last.into_values().collect()
}

/// What differs from the file's expectations; one line of the table for each thing compared.
fn compare(name: &str, disorder: u64, table: &mut String) -> Vec<String> {
    let scenario = load(name);
    let told = scenario::run(&scenario, disorder);
    let (reorgs, splits) = last_told(&told);
    let mut wrong = Vec::new();
    let mut check = |what: &str, expected: String, got: String, reason: &str| {
        table.push_str(&format!("| {name} | {what} | {expected} | {got} |\n"));
        if expected != got {
            wrong.push(format!(
                "{name}, disorder {disorder}, {what}: expected {expected}, got {got}: {reason}"
            ));
        }
    };
    check(
        "reorgs",
        scenario.reorgs.len().to_string(),
        reorgs.len().to_string(),
        &format!("{:?}", reorgs.keys()),
    );
    for expected in &scenario.reorgs {
        let found = reorgs
            .values()
            .find(|reorg| (reorg.old_head, reorg.new_head) == (expected.old, expected.new));
        let dropped = found.and_then(|reorg| Some(reorg.branches.as_ref()?.old_side.len()));
        let class = found.map_or("none", |reorg| reorg.triage.class.name());
        check(
            &format!("reorg {} to {}", expected.old.slot, expected.new.slot),
            format!("{} ({})", expected.class, expected.drops),
            format!("{class} ({})", dropped.unwrap_or(0)),
            found.map_or("", |reorg| reorg.triage.reason.as_str()),
        );
    }
    let classes: Vec<_> = splits
        .values()
        .map(|split| split.triage.class.name())
        .collect();
    let reasons: Vec<_> = splits
        .values()
        .map(|split| split.triage.reason.as_str())
        .collect();
    check(
        "splits",
        scenario.splits.join(", "),
        classes.join(", "),
        &reasons.join("; "),
    );
    let events = last_events(&told);
    if !(events.is_empty() && scenario.events.is_empty()) {
        let reasons = told.iter().rev().find_map(|told| match &told.finding {
            Finding::LateRun(run) => Some(run.triage.reason.as_str()),
            _ => None,
        });
        check(
            "events",
            scenario.events.join(", "),
            events.join(", "),
            reasons.unwrap_or_default(),
        );
    }
    if scenario.never_attack {
        let attacks = told.iter().filter_map(|told| match &told.finding {
            Finding::Reorg(reorg) => Some(&reorg.triage),
            Finding::Split(split) => Some(&split.triage),
            Finding::LateRun(run) => Some(&run.triage),
            _ => None,
        });
        let attacks: Vec<_> = attacks
            .filter(|triage| triage.class.looks_like() == "attack")
            .collect();
        check(
            "ever an attack",
            "no".into(),
            if attacks.is_empty() { "no" } else { "yes" }.into(),
            "",
        );
    }
    for told in &told {
        crate::setup::assert_accepted([&told.finding.to_event(&scenario.spec)]);
    }
    wrong
}

#[test]
fn each_scenario_has_its_class_in_any_order() {
    let mut table = String::new();
    let mut wrong = Vec::new();
    let files = files();
    assert!(files.len() >= 20, "{} scenarios", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        for disorder in DISORDERS {
            let mut rows = String::new();
            wrong.extend(compare(name, disorder, &mut rows));
            if disorder == 0 {
                table += &rows;
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n\n{table}", wrong.join("\n"));
    insta::assert_snapshot!(table);
}

#[test]
fn each_class_has_a_scenario() {
    let classes: std::collections::BTreeSet<_> = files()
        .iter()
        .flat_map(|file| {
            let scenario = scenario::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
            let reorgs: Vec<_> = scenario
                .reorgs
                .into_iter()
                .map(|reorg| reorg.class)
                .collect();
            [reorgs, scenario.splits].concat()
        })
        .collect();
    for class in Class::ALL {
        assert!(classes.contains(class.name()), "{}", class.name());
    }
}

/// What people needed days for: sizes, sides by version, within two slots.
#[test]
fn may_2022_is_told_within_two_slots() {
    for disorder in DISORDERS {
        let scenario = load("may_2022");
        let told = scenario::run(&scenario, disorder);
        let deep = |told: &&Told| matches!(&told.finding, Finding::Reorg(reorg) if reorg.old_head.slot == 3_887_081);
        let first = told.iter().find(deep).unwrap();
        let Finding::Reorg(reorg) = &first.finding else {
            unreachable!()
        };
        let fork = reorg.branches.as_ref().unwrap();
        assert_eq!(
            (fork.old_side.len(), fork.ancestor_slot),
            (7, Some(3_887_073))
        );
        assert_eq!(
            (reorg.slot_span_old(), reorg.slot_span_new()),
            (Some(8), Some(1))
        );
        assert_eq!(reorg.triage.class, Class::ClientSplit);
        for version in ["v0.36.0", "v0.37.0", "client version mix differs"] {
            assert!(
                reorg.triage.reason.contains(version),
                "{}",
                reorg.triage.reason
            );
        }
        assert!(
            first.at - reorg.at() <= TimeDelta::seconds(24),
            "{}",
            first.at
        );
        // The split was told long before it ended, with its sides.
        let split = |told: &&Told| matches!(&told.finding, Finding::Split(split) if split.triage.class == Class::ClientSplit);
        let split = told.iter().find(split).unwrap();
        assert!(
            split.at <= scenario.spec.slot_start(3_887_079),
            "{}",
            split.at
        );
    }
}

/// No class is claimed for a cut network, but the reason says what points to one, in minority and majority alike.
#[test]
fn what_a_cut_leaves_behind_is_said() {
    let scenario = scenario::parse(
        "chain slot 12s epoch 4 due 3.999s
         node a b c Lodestar/v1.5.1
         block g 10 proposer 1
         block left 12 on g proposer 3
         block right 13 on g proposer 4
         block next 17 on right proposer 6
         arrive g all 1s
         arrive left a 1s
         arrive right b c 1s
         import right a @16+8s
         arrive next all 1s
         until 24
         expect reorg left to next drops 1 as unknown",
    )
    .unwrap();
    let told = scenario::run(&scenario, 0);
    let (reorgs, _) = last_told(&told);
    let reasons: Vec<_> = reorgs
        .values()
        .map(|reorg| reorg.triage.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "the block of slot 12 was seen by 1 of 3 nodes, the block of slot 13 came 1.0 s after its slot began to the \
             first node and 44.0 s after to the last: as when connections between nodes are cut, or nodes stand still"
        ]
    );
}
