//! The shipped rules over the scenarios: what is mailed of an attack, and what not of its look-alike.

use std::collections::BTreeSet;

use super::scenario;
use super::triage::{files, load};
use super::*;
use crate::alert::{Arrival, Simulation, alerts, simulate};

/// The rules that a scenario sets off, however its documents overtake each other.
fn opened(name: &str, disorder: u64) -> BTreeSet<String> {
    let scenario = load(name);
    let spec = &scenario.spec;
    let told = scenario::run(&scenario, disorder);
    let arrivals: Vec<Arrival> = told
        .iter()
        .map(|told| Arrival {
            at: told.at,
            event: told.finding.to_event(spec),
        })
        .collect();
    let Some(first) = arrivals.first() else {
        return BTreeSet::new();
    };
    let run = Simulation {
        chain: spec.clone(),
        from: first.at,
        to: spec.slot_start(scenario.until + 2),
        tick: TimeDelta::seconds(4),
        idle_tick: TimeDelta::seconds(4),
        restart_at: None,
    };
    let opened = alerts(&simulate(&crate::rules::shipped(), &arrivals, &run));
    opened
        .into_iter()
        .map(|alert| format!("{} {}", alert.rule, alert.key))
        .collect()
}

#[test]
fn each_scenario_sets_off_its_rules() {
    let mut table = String::new();
    for file in files() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let in_order = opened(name, 0);
        assert_eq!(opened(name, 2), in_order, "{name}, out of order");
        let listed: Vec<_> = in_order.into_iter().collect();
        table.push_str(&format!("{name}: {}\n", listed.join(", ")));
    }
    insta::assert_snapshot!(table);
}
