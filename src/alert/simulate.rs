//! Rules and ledger over documents on a clock of its own: for replays, rule tests and restarts that never happened.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Action, Ledger, State, Transition, step};
use crate::event::Event;
use crate::rules::{Engine, Key, Rule};
use crate::slot::ChainSpec;

/// A document and when it could be read.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub at: DateTime<Utc>,
    pub event: Event,
}

/// From then on [`Simulation::idle_tick`] counts.
const IDLE_AFTER: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Clone)]
pub struct Simulation {
    pub chain: ChainSpec,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Between evaluations; at least a millisecond.
    pub tick: TimeDelta,
    /// The same once nothing has come for [`IDLE_AFTER`]: only long memories run out then.
    pub idle_tick: TimeDelta,
    /// After the first evaluation at or after this time the process is lost: documents of the look-back are read
    /// again, states come from what was stored.
    pub restart_at: Option<DateTime<Utc>>,
}

/// An alert as a report lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    pub rule: String,
    pub key: String,
    #[serde(serialize_with = "time")]
    pub opened_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_time")]
    pub resolved_at: Option<DateTime<Utc>>,
}

/// All transitions, in order. Arrivals need not be sorted.
pub fn simulate(rules: &[Rule], arrivals: &[Arrival], run: &Simulation) -> Vec<Transition> {
    let mut arrivals: Vec<&Arrival> = arrivals.iter().collect();
    arrivals.sort_by_key(|arrival| arrival.at);
    let mut engine = Engine::new(rules.iter().cloned());
    let mut ledger = Ledger::default();
    let mut stored = BTreeMap::new();
    let mut transitions = Vec::new();
    let mut read = 0;
    let mut restart_at = run.restart_at;
    let mut now = run.from;
    while now <= run.to {
        let end = arrivals.partition_point(|arrival| arrival.at <= now);
        for arrival in &arrivals[read..end] {
            observe(&mut engine, &arrival.event);
        }
        read = end;
        transitions.extend(step(&mut engine, &mut ledger, now, &run.chain));
        for change in ledger.take_changes() {
            match change.state {
                Some(state) => stored.insert(change.id, state),
                None => stored.remove(&change.id),
            };
        }
        if restart_at.is_some_and(|at| at <= now) {
            restart_at = None;
            engine = Engine::new(rules.iter().cloned());
            engine.reading_since(now);
            for event in reread(&engine, &arrivals[..end], now, &run.chain) {
                observe(&mut engine, event);
            }
            ledger = Ledger::load(stored.values().filter_map(through_json), &engine).0;
        }
        let last = arrivals.last().map_or(run.from, |arrival| arrival.at);
        let tick = if now - last > IDLE_AFTER {
            run.idle_tick
        } else {
            run.tick
        };
        now += tick.max(TimeDelta::milliseconds(1));
    }
    transitions
}

/// The incidents among transitions, by opening time.
pub fn alerts(transitions: &[Transition]) -> Vec<Alert> {
    let of = |transition: &Transition| {
        transition
            .incident
            .as_ref()
            .map(|incident| incident.id.clone())
    };
    let resolved = |id: Option<String>| {
        let mut ends = transitions
            .iter()
            .filter(|end| end.action == Action::Resolved);
        ends.find(|end| of(end) == id).map(|end| end.at)
    };
    let opened = transitions
        .iter()
        .filter(|transition| transition.action == Action::Opened);
    let alert = |transition: &Transition| Alert {
        rule: transition.rule.name.clone(),
        key: transition.key.to_string(),
        opened_at: transition.at,
        resolved_at: resolved(of(transition)),
    };
    opened.map(alert).collect()
}

fn observe(engine: &mut Engine, event: &Event) {
    engine.observe(event.stream, &event.id, &event.document);
}

/// What a reader finds after a restart: each stream's look-back, and the newest document per key where keys are
/// remembered longer.
fn reread<'a>(
    engine: &Engine,
    arrivals: &[&'a Arrival],
    now: DateTime<Utc>,
    chain: &ChainSpec,
) -> Vec<&'a Event> {
    let created = |event: &Event| {
        let created = event.document.get_str("event.created")?;
        created.parse::<DateTime<Utc>>().ok()
    };
    let recent = |event: &&Event| {
        let from = now - engine.lookback(event.stream, chain);
        let times = [event.document.timestamp(), created(event)];
        times.into_iter().flatten().any(|at| at >= from)
    };
    let events = || arrivals.iter().map(|arrival| &arrival.event);
    let mut found: Vec<&Event> = events().filter(recent).collect();
    for rule in engine.rules() {
        if rule.newest_per_key(now, chain).is_some() {
            let settings = &rule.settings;
            let of_rule = events().filter(|event| event.stream == settings.query.stream);
            let newest: BTreeMap<Option<Key>, &Event> = of_rule
                .map(|event| (Key::of(&event.document, &settings.key), event))
                .collect();
            found.extend(newest.into_values());
        }
    }
    found
}

fn through_json(state: &State) -> Option<State> {
    serde_json::from_value(serde_json::to_value(state).ok()?).ok()
}

fn time<S: serde::Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::event::timestamp(*at))
}

fn optional_time<S: serde::Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}
