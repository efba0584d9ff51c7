//! All rules over all documents: observe as they come, evaluate when asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::condition::{Outcome, Scene};
use super::facts::{Details, Facts};
use super::key::Key;
use super::rule::Rule;
use super::window::{Window, counts_at};
use crate::event::{DataStream, Document, DocumentId};
use crate::slot::ChainSpec;

/// The rules with the documents they remember. What it answers is a function of the documents of each rule's
/// look-back and of `now`: a new engine fed with them again answers the same.
pub struct Engine {
    watches: Vec<Watch>,
    reading_since: Option<DateTime<Utc>>,
}

/// One rule's answer for one key at one time.
#[derive(Debug, Clone)]
pub struct Evaluation {
    pub rule: Arc<Rule>,
    pub key: Key,
    pub outcome: Outcome,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    pub facts: Facts,
}

/// What a rule could not count, for the aggregator's own report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub documents: u64,
    /// Without `@timestamp`.
    pub without_time: u64,
    /// Without a key field or without the field the condition needs.
    pub without_field: u64,
    /// Of keys beyond `max_keys`.
    pub refused_keys: u64,
    /// Pushed out of a full window.
    pub pushed_out: u64,
}

struct Watch {
    rule: Arc<Rule>,
    windows: BTreeMap<Key, Window>,
    counters: Counters,
}

impl Engine {
    /// Rules that are switched off are left out.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let enabled = rules.into_iter().filter(|rule| rule.settings.enabled);
        Self {
            watches: enabled.map(Watch::new).collect(),
            reading_since: None,
        }
    }

    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.watches.iter().map(|watch| &watch.rule)
    }

    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules().find(|rule| rule.name == name)
    }

    /// The data streams to read.
    pub fn streams(&self) -> BTreeSet<DataStream> {
        self.rules()
            .map(|rule| rule.settings.query.stream)
            .collect()
    }

    /// What to ask Elasticsearch of a stream: the documents that at least one rule counts. No bound on time.
    pub fn filter_dsl(&self, stream: DataStream) -> Value {
        let of_stream = self
            .rules()
            .filter(|rule| rule.settings.query.stream == stream);
        let should: Vec<Value> = of_stream.map(|rule| rule.filter_dsl()).collect();
        json!({"bool": {"should": should, "minimum_should_match": 1}})
    }

    /// How far back a stream must be read before the first evaluation.
    pub fn lookback(&self, stream: DataStream, chain: &ChainSpec) -> TimeDelta {
        let of_stream = self
            .rules()
            .filter(|rule| rule.settings.query.stream == stream);
        of_stream
            .map(|rule| rule.lookback(chain))
            .max()
            .unwrap_or_default()
    }

    /// Documents began to come again at `at`, after the source was away: no entity is called silent for what
    /// happened before. Called at a start too; without it, the first evaluation counts as the start.
    pub fn reading_since(&mut self, at: DateTime<Utc>) {
        self.reading_since = Some(at);
    }

    /// Takes a document in; repeated ones change nothing. Returns the number of rules that count it.
    pub fn observe(&mut self, stream: DataStream, id: &DocumentId, document: &Document) -> usize {
        let watches = self.watches.iter_mut();
        watches
            .filter(|watch| watch.rule.settings.query.stream == stream)
            .map(|watch| watch.observe(id, document))
            .filter(|counted| *counted)
            .count()
    }

    /// Judges every key that has documents, is listed, or is among `active` (those with a state in the ledger).
    pub fn evaluate<'a>(
        &mut self,
        now: DateTime<Utc>,
        chain: &ChainSpec,
        active: impl Fn(&str) -> Vec<&'a Key>,
    ) -> Vec<Evaluation> {
        let reading_since = *self.reading_since.get_or_insert(now);
        let watches = self.watches.iter_mut();
        watches
            .flat_map(|watch| {
                let active = active(&watch.rule.name);
                watch.evaluate(now, chain, reading_since, active)
            })
            .collect()
    }

    pub fn counters(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.watches
            .iter()
            .map(|watch| (watch.rule.name.as_str(), watch.counters))
    }
}

impl Watch {
    fn new(rule: Rule) -> Self {
        Self {
            rule: Arc::new(rule),
            windows: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    fn observe(&mut self, id: &DocumentId, document: &Document) -> bool {
        let settings = &self.rule.settings;
        if !settings.query.matches(document) {
            return false;
        }
        let Some(happened) = document.timestamp() else {
            self.counters.without_time += 1;
            return false;
        };
        let condition = &self.rule.condition;
        let key = Key::of(document, &settings.key);
        let (Some(key), Some(mut sample)) = (key, condition.sample(document)) else {
            self.counters.without_field += 1;
            return false;
        };
        if !self.windows.contains_key(&key) && self.windows.len() >= settings.max_keys {
            self.counters.refused_keys += 1;
            return false;
        }
        let created = document
            .get_str("event.created")
            .and_then(|text| text.parse().ok());
        let at = match condition.counts_when_found() {
            true => counts_at(happened, created),
            false => happened,
        };
        sample.happened = happened;
        if condition.is_evidence(&sample) {
            sample.details = Some(Box::new(Details::of(document, settings)));
        }
        let revision = document.get_u64("ethereum.revision").unwrap_or_default();
        let window = self.windows.entry(key).or_default();
        let pushed_out = window.insert(id, at, revision, sample);
        self.counters.pushed_out += pushed_out as u64;
        self.counters.documents += 1;
        true
    }

    fn evaluate(
        &mut self,
        now: DateTime<Utc>,
        chain: &ChainSpec,
        reading_since: DateTime<Utc>,
        active: Vec<&Key>,
    ) -> Vec<Evaluation> {
        let from = now - self.rule.lookback(chain);
        let keep_newest = self.rule.condition.remember(chain).is_some();
        for window in self.windows.values_mut() {
            window.prune(from, now, keep_newest);
        }
        self.windows.retain(|_, window| !window.is_empty());

        let mut keys: BTreeSet<Key> = self.windows.keys().cloned().collect();
        keys.extend(active.into_iter().cloned());
        keys.extend(self.rule.condition.expected().iter().cloned());
        let empty = Window::default();
        let mut evaluations = Vec::with_capacity(keys.len());
        for key in keys {
            let scene = Scene {
                expected: self.rule.condition.expected().contains(&key),
                window: self.windows.get(&key).unwrap_or(&empty),
                now,
                chain,
                reading_since,
            };
            let evaluation = self.judge(key, &scene);
            if let Outcome::Gone { .. } = evaluation.outcome {
                self.windows.remove(&evaluation.key);
            }
            evaluations.push(evaluation);
        }
        evaluations
    }

    fn judge(&self, key: Key, scene: &Scene<'_>) -> Evaluation {
        let rule = &self.rule;
        let judgement = rule.condition.judge(scene);
        let limit = rule.condition.limit(scene.chain);
        let facts = match judgement.outcome {
            Outcome::Breach { .. } => {
                let figures = [
                    ("value", rule.figure(judgement.value)),
                    ("limit", rule.figure(limit)),
                    ("key", super::clean(&key.to_string())),
                ];
                let from = scene.now - rule.condition.window(scene.chain);
                let all = scene.window.between(from, scene.now);
                let details = all
                    .rev()
                    .filter_map(|(_, sample)| sample.details.as_deref());
                Facts::collect(&rule.settings, &figures, details)
            }
            _ => Facts::default(),
        };
        Evaluation {
            rule: Arc::clone(rule),
            key,
            outcome: judgement.outcome,
            value: judgement.value,
            limit,
            facts,
        }
    }
}
