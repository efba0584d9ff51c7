//! The ledger where scenarios of shipped rules do not reach.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::event::{DataStream, Document, DocumentId};
use crate::rules::{Overrides, load};

struct World {
    engine: Engine,
    ledger: Ledger,
    chain: ChainSpec,
}

impl World {
    /// The rule about peers with other settings.
    fn new(settings: &str) -> Self {
        let overrides: Overrides = toml::from_str(&format!("[low_peers]\n{settings}")).unwrap();
        let rules = load(&[], &overrides).unwrap();
        Self {
            engine: Engine::new(rules.into_iter().filter(|rule| rule.name == "low_peers")),
            ledger: Ledger::default(),
            chain: ChainSpec::example(),
        }
    }

    fn at(&self, second: i64) -> DateTime<Utc> {
        self.chain.genesis_time + TimeDelta::seconds(second)
    }

    /// A status with so many peers, and what follows from it.
    fn peers(&mut self, second: i64, peers: u64) -> Vec<(Action, Phase, Phase)> {
        let mut document = Document::at(self.at(second));
        document.set("ethereum.node.name", "a");
        document.set("ethereum.peers.connected", peers);
        let id = DocumentId::of(&[&second.to_string()]);
        self.engine.observe(DataStream::Node, &id, &document);
        self.step(second)
    }

    fn step(&mut self, second: i64) -> Vec<(Action, Phase, Phase)> {
        let now = self.at(second);
        let transitions = step(&mut self.engine, &mut self.ledger, now, &self.chain);
        transitions
            .iter()
            .map(|transition| (transition.action, transition.from, transition.to))
            .collect()
    }
}

#[test]
fn the_whole_way_of_an_alert() {
    use super::{Action::*, Phase};
    let mut world = World::new(
        "for = \"60s\"\nkeep_firing_for = \"60s\"\n[low_peers.condition]\nover = \"20s\"",
    );
    assert_eq!(world.peers(0, 50), []);
    assert_eq!(
        world.peers(30, 3),
        [(Pending, Phase::Inactive, Phase::Pending)]
    );
    assert_eq!(
        world.peers(60, 40),
        [(Cancelled, Phase::Pending, Phase::Inactive)]
    );
    assert_eq!(
        world.peers(90, 3),
        [(Pending, Phase::Inactive, Phase::Pending)]
    );
    assert_eq!(world.peers(120, 3), []);
    assert_eq!(
        world.peers(150, 2),
        [(Opened, Phase::Pending, Phase::Firing)]
    );
    assert_eq!(
        world.peers(180, 40),
        [(Cleared, Phase::Firing, Phase::Recovering)]
    );
    // Between the limits: not clear enough, and no second incident.
    assert_eq!(
        world.peers(210, 12),
        [(Refired, Phase::Recovering, Phase::Firing)]
    );
    assert_eq!(
        world.peers(240, 40),
        [(Cleared, Phase::Firing, Phase::Recovering)]
    );
    assert_eq!(world.peers(270, 40), []);
    assert_eq!(
        world.peers(300, 40),
        [(Resolved, Phase::Recovering, Phase::Inactive)]
    );
    assert_eq!(world.ledger.states().count(), 0);
}

#[test]
fn reminders_come_at_their_pace_and_are_told_apart() {
    let mut world = World::new("for = \"0s\"\nremind_every = \"5m\"");
    let mut reminded = Vec::new();
    for minute in 0..12 {
        let actions = world.peers(minute * 60, 1);
        reminded.extend(
            actions
                .iter()
                .filter(|step| step.0 == Action::Reminded)
                .map(|_| minute),
        );
    }
    assert_eq!(reminded, [5, 10]);
    let state = world.ledger.states().next().unwrap();
    assert_eq!(state.incident.as_ref().unwrap().reminders, 2);
}

#[test]
fn only_what_matters_is_stored_again() {
    let mut world = World::new("for = \"0s\"");
    world.peers(0, 5);
    let changes = world.ledger.take_changes();
    assert_eq!(changes.len(), 1);
    assert!(changes[0].state.is_some());
    world.peers(12, 5);
    assert_eq!(world.ledger.take_changes(), []);
    world.peers(60, 4);
    assert_eq!(world.ledger.take_changes().len(), 1, "a new peak");
}

#[test]
fn states_survive_storage_and_those_of_gone_rules_come_back() {
    let mut world = World::new("for = \"0s\"");
    world.peers(0, 5);
    let state = world.ledger.states().next().unwrap();
    let stored = serde_json::to_string(state).unwrap();
    let again: State = serde_json::from_str(&stored).unwrap();
    assert_eq!(&again, state);
    let mut orphan = again.clone();
    orphan.rule = "gone".into();
    let (ledger, orphans) = Ledger::load([again, orphan.clone()], &world.engine);
    assert_eq!((ledger.states().count(), orphans), (1, vec![orphan]));
}

#[test]
fn a_restart_finds_the_notice_of_an_opening_by_its_state() {
    let mut world = World::new("for = \"0s\"");
    let style = email::Style::default();
    let config: email::Config =
        toml::from_str("host = \"127.0.0.1\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]")
            .unwrap();
    let mut document = Document::at(world.at(0));
    document.set("ethereum.node.name", "a");
    document.set("ethereum.peers.connected", 1);
    let id = DocumentId::of(&["x"]);
    world.engine.observe(DataStream::Node, &id, &document);
    let now = world.at(0);
    let transitions = step(&mut world.engine, &mut world.ledger, now, &world.chain);
    let told = notices(&transitions[0], &world.chain, &style, &config);
    assert_eq!(told.len(), 1);
    // It goes on, gets worse and seems to end before the restart.
    world.peers(12, 0);
    for second in (24..).step_by(12) {
        world.peers(second, 50);
        let state = world.ledger.states().next().unwrap();
        let opening = state.opening(&transitions[0].rule).unwrap();
        let again = notices(&opening, &world.chain, &style, &config);
        assert_eq!(again[0].id, told[0].id);
        assert_eq!(again[0].mail.subject, told[0].mail.subject);
        if state.phase == Phase::Recovering {
            break;
        }
    }
}

#[test]
fn a_record_made_twice_is_the_same_document() {
    let mut twice = Vec::new();
    for mut world in [World::new("for = \"0s\""), World::new("for = \"0s\"")] {
        let now = world.at(0);
        let mut document = Document::at(now);
        document.set("ethereum.node.name", "a");
        document.set("ethereum.peers.connected", 1);
        world
            .engine
            .observe(DataStream::Node, &DocumentId::of(&["x"]), &document);
        let transitions = step(&mut world.engine, &mut world.ledger, now, &world.chain);
        twice.push(record(&transitions[0], &world.chain));
    }
    assert_eq!(twice[0], twice[1]);
    assert_eq!(
        twice[0].document.get_str("ethmon.alert.state"),
        Some("firing")
    );
    assert_eq!(twice[0].document.get_str("event.action"), Some("opened"));
}
