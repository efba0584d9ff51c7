//! The states of all alerts, per rule and key, and what of them is to be stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::incident::Transition;
use super::state::{Phase, State};
use crate::event::DocumentId;
use crate::rules::{Engine, Evaluation, Key};
use crate::slot::ChainSpec;

/// The alerts that are not inactive. Kept in Elasticsearch by the aggregator, document by document.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    states: BTreeMap<String, BTreeMap<Key, State>>,
    changed: BTreeSet<(String, Key)>,
}

/// What to store: the document's id, and its content or `None` to delete it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub id: DocumentId,
    pub state: Option<State>,
}

impl Ledger {
    /// The stored states. Those of rules that are gone or switched off come back, to be deleted and logged.
    pub fn load(states: impl IntoIterator<Item = State>, engine: &Engine) -> (Self, Vec<State>) {
        let mut ledger = Self::default();
        let mut orphans = Vec::new();
        for state in states {
            match engine.rule(&state.rule) {
                Some(_) => ledger.put(state),
                None => orphans.push(state),
            }
        }
        (ledger, orphans)
    }

    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.states.values().flat_map(BTreeMap::values)
    }

    /// The keys of a rule that have a state.
    pub fn keys(&self, rule: &str) -> Vec<&Key> {
        self.states
            .get(rule)
            .map(|keys| keys.keys().collect())
            .unwrap_or_default()
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        let change = |(rule, key): (String, Key)| Change {
            id: State::id(&rule, &key),
            state: self
                .states
                .get(&rule)
                .and_then(|keys| keys.get(&key))
                .cloned(),
        };
        changed.into_iter().map(change).collect()
    }

    /// Moves one alert. A source that cannot be read is not an evaluation: nothing is applied then, so nothing is
    /// reset and nothing fires again.
    pub fn apply(
        &mut self,
        evaluation: Evaluation,
        now: DateTime<Utc>,
        chain: &ChainSpec,
    ) -> Option<Transition> {
        let (rule, key) = (Arc::clone(&evaluation.rule), evaluation.key.clone());
        let before = self.states.get(&rule.name).and_then(|keys| keys.get(&key));
        let mut state = before
            .cloned()
            .unwrap_or_else(|| State::inactive(&rule, &key, now));
        let from = state.phase;
        let step = state.advance(&evaluation, now, chain);
        if before.is_none_or(|before| before.worth_storing(&state, &rule)) {
            self.changed.insert((rule.name.clone(), key.clone()));
        }
        let transition = step.map(|(action, reason)| Transition {
            at: now,
            key: key.clone(),
            action,
            from,
            to: state.phase,
            incident: state.incident.clone(),
            value: evaluation.value,
            limit: evaluation.limit,
            reason,
            rule: Arc::clone(&rule),
        });
        if state.phase != Phase::Inactive {
            self.put(state);
        } else if from != Phase::Inactive {
            self.remove(&rule.name, &key);
        } else {
            self.changed.remove(&(rule.name.clone(), key));
        }
        transition
    }

    fn put(&mut self, state: State) {
        let keys = self.states.entry(state.rule.clone()).or_default();
        keys.insert(state.key.clone(), state);
    }

    fn remove(&mut self, rule: &str, key: &Key) {
        if let Some(keys) = self.states.get_mut(rule) {
            keys.remove(key);
        }
    }
}
