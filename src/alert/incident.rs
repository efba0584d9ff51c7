//! What fired, and the steps of an alert that are recorded and mailed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::Phase;
use crate::event::DocumentId;
use crate::rules::{Evaluation, Facts, Key, Rule, Severity};

/// One time that an alert fired, from its opening to its resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Hash of rule, version, key and the event time of the opening: the same after a replay or a restart.
    pub id: String,
    pub severity: Severity,
    /// Since when the condition was met, event time.
    pub started_at: DateTime<Utc>,
    /// When the alert fired.
    pub fired_at: DateTime<Utc>,
    /// The newest evidence, event time.
    pub last_at: DateTime<Utc>,
    /// Since when the condition was no longer met.
    pub ended_at: Option<DateTime<Utc>>,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    /// The worst value, and the one fact as it was then.
    pub peak: Option<f64>,
    pub worst: String,
    pub facts: Facts,
    pub reminders: u32,
    pub reminded_at: Option<DateTime<Utc>>,
}

/// A step of one alert, to be recorded and perhaps mailed.
#[derive(Debug, Clone)]
pub struct Transition {
    pub at: DateTime<Utc>,
    pub rule: Arc<Rule>,
    pub key: Key,
    pub action: Action,
    pub from: Phase,
    pub to: Phase,
    pub incident: Option<Incident>,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    /// Why, where it is not the condition itself.
    pub reason: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Pending,
    Cancelled,
    Opened,
    Reminded,
    Cleared,
    Refired,
    Resolved,
}

impl Incident {
    pub(super) fn open(
        evaluation: &Evaluation,
        started_at: DateTime<Utc>,
        last_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let rule = &evaluation.rule;
        let version = rule.settings.version.to_string();
        let time = started_at.timestamp_millis().to_string();
        let mut parts = vec!["incident", &rule.name, &version, &time];
        parts.extend(evaluation.key.values().iter().map(String::as_str));
        Self {
            id: DocumentId::of(&parts).to_string(),
            severity: rule.settings.severity,
            started_at,
            fired_at: now,
            last_at,
            ended_at: None,
            value: evaluation.value,
            limit: evaluation.limit,
            peak: evaluation.value,
            worst: evaluation.facts.line.clone(),
            facts: evaluation.facts.clone(),
            reminders: 0,
            reminded_at: None,
        }
    }

    pub(super) fn update(&mut self, evaluation: &Evaluation, last_at: DateTime<Utc>) {
        let worse = |value: &f64, peak: f64| match evaluation.rule.condition.worse_is_lower() {
            true => *value < peak,
            false => *value > peak,
        };
        self.value = evaluation.value;
        let candidate = evaluation
            .value
            .filter(|value| self.peak.is_none_or(|peak| worse(value, peak)));
        if candidate.is_some() {
            self.peak = candidate;
            self.worst.clone_from(&evaluation.facts.line);
        }
        self.last_at = self.last_at.max(last_at);
        self.learn(evaluation);
    }

    /// Takes over what documents say of how it ended, if any do.
    pub(super) fn end(&mut self, evaluation: &Evaluation, since: Option<DateTime<Utc>>) {
        let is_its_own = since.is_some_and(|since| since >= self.started_at);
        if is_its_own && evaluation.facts != Facts::default() {
            self.learn(evaluation);
        }
    }

    fn learn(&mut self, evaluation: &Evaluation) {
        let limit = evaluation.rule.settings.show_newest;
        self.facts.renew(&evaluation.facts, limit);
    }
}
