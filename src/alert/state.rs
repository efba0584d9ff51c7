//! The state machine of one alert: inactive → pending → firing → recovering → inactive.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::incident::{Action, Incident, Transition};
use crate::event::DocumentId;
use crate::rules::{Evaluation, Key, NoData, Outcome, Rule};
use crate::slot::ChainSpec;

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub rule: String,
    pub key: Key,
    pub phase: Phase,
    /// When the phase began; for a pending alert in event time.
    pub since: DateTime<Utc>,
    pub no_data_since: Option<DateTime<Utc>>,
    /// What is or was wrong; absent while pending.
    pub incident: Option<Incident>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Inactive,
    Pending,
    Firing,
    Recovering,
}

/// What happened, and why where it is not the condition itself.
pub(super) type Step = (Action, Option<&'static str>);

impl State {
    /// The id of the document that holds the state of this alert.
    pub fn id(rule: &str, key: &Key) -> DocumentId {
        let parts = ["alert-state", rule].into_iter();
        let parts: Vec<&str> = parts
            .chain(key.values().iter().map(String::as_str))
            .collect();
        DocumentId::of(&parts)
    }

    /// How its incident was opened, for an outbox that may not have heard of it: a crash may have come between the storing
    /// of the state and that of its notices, which have the same ids as those of the opening itself.
    pub fn opening(&self, rule: &Arc<Rule>) -> Option<Transition> {
        let incident = self.incident.clone()?;
        Some(Transition {
            at: incident.fired_at,
            rule: Arc::clone(rule),
            key: self.key.clone(),
            action: Action::Opened,
            from: Phase::Pending,
            to: Phase::Firing,
            value: incident.value,
            limit: incident.limit,
            incident: Some(incident),
            reason: None,
        })
    }

    pub(super) fn inactive(rule: &Rule, key: &Key, now: DateTime<Utc>) -> Self {
        Self {
            rule: rule.name.clone(),
            key: key.clone(),
            phase: Phase::Inactive,
            since: now,
            no_data_since: None,
            incident: None,
        }
    }

    pub(super) fn advance(
        &mut self,
        evaluation: &Evaluation,
        now: DateTime<Utc>,
        chain: &ChainSpec,
    ) -> Option<Step> {
        let settings = &evaluation.rule.settings;
        let mut outcome = evaluation.outcome.clone();
        match (&outcome, settings.no_data) {
            (Outcome::NoData { .. }, NoData::Resolve) => outcome = Outcome::Clear { since: None },
            (Outcome::NoData { .. }, NoData::Keep) => {}
            _ => self.no_data_since = None,
        }
        match outcome {
            Outcome::Breach { since, last } => self.breach(evaluation, since, last, now, chain),
            Outcome::Hold => match self.phase {
                Phase::Pending => self.cancel(now, None),
                Phase::Recovering => self.refire(now),
                Phase::Inactive | Phase::Firing => self.remind(evaluation, now, chain),
            },
            Outcome::Clear { since } => self.clear(evaluation, since, now, chain),
            Outcome::NoData { reason } => {
                let since = *self.no_data_since.get_or_insert(now);
                let forgotten = now - since >= settings.forget_after.resolve(chain);
                match self.phase {
                    Phase::Pending => self.cancel(now, Some(reason)),
                    Phase::Firing | Phase::Recovering if forgotten => {
                        self.resolve(now, Some("no data for too long"))
                    }
                    _ => None,
                }
            }
            Outcome::Gone { reason } => match self.phase {
                Phase::Inactive => None,
                Phase::Pending => self.cancel(now, Some(reason)),
                Phase::Firing | Phase::Recovering => self.resolve(now, Some(reason)),
            },
        }
    }

    fn breach(
        &mut self,
        evaluation: &Evaluation,
        since: DateTime<Utc>,
        last: DateTime<Utc>,
        now: DateTime<Utc>,
        chain: &ChainSpec,
    ) -> Option<Step> {
        let hold_for = evaluation.rule.settings.hold_for.resolve(chain);
        match self.phase {
            Phase::Inactive | Phase::Pending => {
                let begins = self.phase == Phase::Inactive;
                if begins {
                    self.enter(Phase::Pending, since);
                }
                if now - self.since < hold_for {
                    return begins.then_some((Action::Pending, None));
                }
                self.incident = Some(Incident::open(evaluation, self.since, last, now));
                self.enter(Phase::Firing, now);
                Some((Action::Opened, None))
            }
            Phase::Firing | Phase::Recovering => {
                if let Some(incident) = &mut self.incident {
                    incident.update(evaluation, last);
                }
                match self.phase {
                    Phase::Recovering => self.refire(now),
                    _ => self.remind(evaluation, now, chain),
                }
            }
        }
    }

    fn clear(
        &mut self,
        evaluation: &Evaluation,
        since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        chain: &ChainSpec,
    ) -> Option<Step> {
        let begins = self.phase == Phase::Firing;
        if let Some(incident) = &mut self.incident {
            incident.end(evaluation, since);
        }
        match self.phase {
            Phase::Inactive => return None,
            Phase::Pending => return self.cancel(now, None),
            Phase::Firing => {
                if let Some(incident) = &mut self.incident {
                    let single_events = evaluation.rule.condition.ends_with_last_document();
                    let last = single_events.then_some(incident.last_at);
                    let ended = since.or(last).unwrap_or(now);
                    incident.ended_at =
                        Some(ended.clamp(incident.started_at, now.max(incident.started_at)));
                }
                self.enter(Phase::Recovering, now);
            }
            Phase::Recovering => {}
        }
        let keep = evaluation.rule.settings.keep_firing_for.resolve(chain);
        if now - self.since >= keep {
            return self.resolve(now, None);
        }
        begins.then_some((Action::Cleared, None))
    }

    fn remind(
        &mut self,
        evaluation: &Evaluation,
        now: DateTime<Utc>,
        chain: &ChainSpec,
    ) -> Option<Step> {
        let every = evaluation.rule.settings.remind_every?.resolve(chain);
        let incident = self.incident.as_mut()?;
        if now - incident.reminded_at.unwrap_or(incident.fired_at) < every {
            return None;
        }
        incident.reminded_at = Some(now);
        incident.reminders += 1;
        Some((Action::Reminded, None))
    }

    fn refire(&mut self, now: DateTime<Utc>) -> Option<Step> {
        if let Some(incident) = &mut self.incident {
            incident.ended_at = None;
        }
        self.enter(Phase::Firing, now);
        Some((Action::Refired, None))
    }

    fn cancel(&mut self, now: DateTime<Utc>, reason: Option<&'static str>) -> Option<Step> {
        self.enter(Phase::Inactive, now);
        Some((Action::Cancelled, reason))
    }

    fn resolve(&mut self, now: DateTime<Utc>, reason: Option<&'static str>) -> Option<Step> {
        if let Some(incident) = &mut self.incident {
            incident.ended_at.get_or_insert(now);
        }
        self.enter(Phase::Inactive, now);
        Some((Action::Resolved, reason))
    }

    fn enter(&mut self, phase: Phase, since: DateTime<Utc>) {
        self.phase = phase;
        self.since = since;
    }

    /// Measurements renew an incident at every evaluation; only what a restart could not find again is stored.
    pub(super) fn worth_storing(&self, after: &Self, rule: &Rule) -> bool {
        let essence = |state: &Self| {
            let incident = state.incident.as_ref();
            let single_events = rule.condition.ends_with_last_document();
            (
                state.phase,
                state.no_data_since,
                incident.map(|incident| (incident.peak.map(f64::to_bits), incident.reminders)),
                incident
                    .filter(|_| single_events)
                    .map(|incident| incident.last_at),
            )
        };
        essence(self) != essence(after)
    }
}
