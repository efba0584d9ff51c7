//! All rules over all documents: observe as they come, evaluate when asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::condition::{Judgement, Outcome, Scene};
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

    /// Judges every key that has documents, is listed, or is among `active` (those with a state in the ledger). Of keys
    /// without a state only those are answered of that there is something to say: most are well, second after second.
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
        let keys = if settings.each_value {
            Key::each_of(document, &settings.key)
        } else {
            Key::of(document, &settings.key).into_iter().collect()
        };
        let Some(mut sample) = condition.sample(document).filter(|_| !keys.is_empty()) else {
            self.counters.without_field += 1;
            return false;
        };
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
        let mut counted = false;
        for key in keys {
            if !self.windows.contains_key(&key) && self.windows.len() >= settings.max_keys {
                self.counters.refused_keys += 1;
                continue;
            }
            let window = self.windows.entry(key).or_default();
            let pushed_out = window.insert(id, at, revision, sample.clone());
            self.counters.pushed_out += pushed_out as u64;
            counted = true;
        }
        self.counters.documents += u64::from(counted);
        counted
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

        let expected = self.rule.condition.expected();
        let (mut evaluations, mut gone) = (Vec::new(), Vec::new());
        let mut answer = |key: &Key, window: &Window, is_active: bool| {
            let scene = Scene {
                expected: expected.contains(key),
                window,
                now,
                chain,
                reading_since,
            };
            let judgement = self.rule.condition.judge(&scene);
            if let Outcome::Gone { .. } = judgement.outcome {
                gone.push(key.clone());
            }
            if is_active || judgement.outcome.is_news() {
                evaluations.push(self.evaluation(key, &scene, judgement));
            }
        };
        let active: BTreeSet<&Key> = active.into_iter().collect();
        for (key, window) in &self.windows {
            answer(key, window, active.contains(key));
        }
        let empty = Window::default();
        let silent = active.iter().copied().chain(expected);
        let silent: BTreeSet<&Key> = silent
            .filter(|key| !self.windows.contains_key(*key))
            .collect();
        for key in silent {
            answer(key, &empty, active.contains(key));
        }
        evaluations.sort_by(|one, other| one.key.cmp(&other.key));
        for key in gone {
            self.windows.remove(&key);
        }
        evaluations
    }

    fn evaluation(&self, key: &Key, scene: &Scene<'_>, judgement: Judgement) -> Evaluation {
        let rule = &self.rule;
        let limit = rule.condition.limit(scene.chain);
        let facts = match judgement.outcome {
            Outcome::Breach { .. } | Outcome::Clear { since: Some(_) } => {
                let figures = [
                    ("value", rule.figure(judgement.value)),
                    ("limit", rule.figure(limit)),
                    ("key", super::clean(&key.to_string())),
                ];
                let from = scene.now - rule.condition.window(scene.chain);
                let all = scene.window.between(from, scene.now);
                let mut details = all
                    .rev()
                    .filter(|(_, sample)| rule.condition.quotes(sample, &judgement.outcome))
                    .filter_map(|(_, sample)| sample.details.as_deref())
                    .peekable();
                match details.peek() {
                    Some(_) => Facts::collect(&rule.settings, &figures, details),
                    None => Facts::default(),
                }
            }
            _ => Facts::default(),
        };
        Evaluation {
            rule: Arc::clone(rule),
            key: key.clone(),
            outcome: judgement.outcome,
            value: judgement.value,
            limit,
            facts,
        }
    }
}
