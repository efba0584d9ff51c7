//! The kinds of condition, and what they answer.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::absence::Absence;
use super::event::Event;
use super::key::Key;
use super::period::Period;
use super::span::Span;
use super::threshold::Threshold;
use super::window::{LATE_LIMIT, Sample, Window};
use crate::event::Document;
use crate::slot::ChainSpec;

/// What makes a rule fire: one variant, one file.
#[derive(Debug, Clone)]
pub enum Condition {
    Threshold(Threshold),
    Absence(Absence),
    Event(Event),
    Span(Span),
}

/// `[condition] type = "…"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Threshold,
    Absence,
    Event,
    Span,
}

/// What a condition says about one key at one time.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The condition is met since the first time and as late as the last time (both event time).
    Breach {
        since: DateTime<Utc>,
        last: DateTime<Utc>,
    },
    /// Between the limit and the recovery limit: a firing alert stays, no other one begins.
    Hold,
    /// Not met; since when, if the documents tell.
    Clear { since: Option<DateTime<Utc>> },
    /// The documents do not allow a judgement.
    NoData { reason: &'static str },
    /// The entity is no longer watched.
    Gone { reason: &'static str },
}

impl Outcome {
    /// Whether it says something of a key of which nothing is known yet.
    pub(super) fn is_news(&self) -> bool {
        matches!(self, Self::Breach { .. })
    }
}

/// A condition's answer with the figures behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    pub outcome: Outcome,
    pub value: Option<f64>,
}

impl Judgement {
    pub(super) fn new(outcome: Outcome, value: Option<f64>) -> Self {
        Self { outcome, value }
    }
}

/// What a condition judges by: the documents of one key and the time.
pub(super) struct Scene<'a> {
    pub window: &'a Window,
    pub now: DateTime<Utc>,
    pub chain: &'a ChainSpec,
    /// The key is listed in the rule.
    pub expected: bool,
    /// When documents began to come (again): silence before it says nothing.
    pub reading_since: DateTime<Utc>,
}

impl Scene<'_> {
    /// The documents of the last `over`, oldest first.
    pub(super) fn last(
        &self,
        over: Period,
    ) -> impl DoubleEndedIterator<Item = (DateTime<Utc>, &Sample)> {
        self.window
            .between(self.now - over.resolve(self.chain), self.now)
    }
}

impl Condition {
    /// What the condition needs of a document; `None` where the document lacks it.
    pub(super) fn sample(&self, document: &Document) -> Option<Sample> {
        match self {
            Self::Threshold(threshold) => threshold.sample(document),
            Self::Absence(_) => Some(Sample::default()),
            Self::Event(event) => event.sample(document),
            Self::Span(span) => span.sample(document),
        }
    }

    pub(super) fn judge(&self, scene: &Scene<'_>) -> Judgement {
        match self {
            Self::Threshold(threshold) => threshold.judge(scene),
            Self::Absence(absence) => absence.judge(scene),
            Self::Event(event) => event.judge(scene),
            Self::Span(span) => span.judge(scene),
        }
    }

    /// The value against which a mail compares; for an absence, seconds.
    pub(super) fn limit(&self, chain: &ChainSpec) -> Option<f64> {
        match self {
            Self::Threshold(threshold) => Some(threshold.limit()),
            Self::Absence(absence) => Some(absence.after.resolve(chain).as_seconds_f64()),
            Self::Event(event) => event.at_least,
            Self::Span(_) => None,
        }
    }

    /// How the limit reads after the value: `above`, `below`, `at least`.
    pub fn relation(&self) -> &'static str {
        match self {
            Self::Threshold(threshold) if threshold.below.is_some() => "below",
            Self::Threshold(_) | Self::Span(_) => "above",
            Self::Absence(_) => "longer than",
            Self::Event(_) => "at least",
        }
    }

    /// Whether a lower value is the worse one.
    pub fn worse_is_lower(&self) -> bool {
        matches!(self, Self::Threshold(threshold) if threshold.below.is_some())
    }

    /// Whether an incident is over with its last document, not when that was noticed.
    pub fn ends_with_last_document(&self) -> bool {
        matches!(self, Self::Event(_))
    }

    /// The documents that a judgement rests on, and a mail may quote, are at most this old.
    pub(super) fn window(&self, chain: &ChainSpec) -> TimeDelta {
        match self {
            Self::Threshold(threshold) => threshold.over.resolve(chain),
            Self::Absence(absence) => absence.remember.resolve(chain),
            Self::Event(event) => event.quiet.resolve(chain),
            Self::Span(span) => span.forget.resolve(chain),
        }
    }

    /// How far back documents are read at a start, by their `@timestamp`.
    pub(super) fn lookback(&self, chain: &ChainSpec) -> TimeDelta {
        match self {
            // Twice, to know when an entity that fell silent came back; the silent ones are asked for by key.
            Self::Absence(absence) => absence.after.resolve(chain) * 2,
            // What was found late counts by when it was found.
            Self::Event(_) => self.window(chain) + LATE_LIMIT,
            Self::Threshold(threshold) => threshold.lookback(chain),
            Self::Span(_) => self.window(chain),
        }
    }

    /// How long after the last document the condition may still change: not by what was usual before.
    pub(super) fn patience(&self, chain: &ChainSpec) -> TimeDelta {
        match self {
            Self::Absence(_) => self.lookback(chain),
            Self::Event(_) | Self::Threshold(_) | Self::Span(_) => self.window(chain),
        }
    }

    /// How long a silent key stays known; `None` where keys go with their documents.
    pub(super) fn remember(&self, chain: &ChainSpec) -> Option<TimeDelta> {
        match self {
            Self::Absence(absence) => Some(absence.remember.resolve(chain)),
            _ => None,
        }
    }

    /// A late document counts when it was found, not when it happened: true of single events, not of measurements.
    pub(super) fn counts_when_found(&self) -> bool {
        matches!(self, Self::Event(_))
    }

    /// Whether a document speaks for the condition, so that a mail may quote it.
    pub(super) fn is_evidence(&self, sample: &Sample) -> bool {
        match self {
            Self::Threshold(_) | Self::Event(_) => sample.hit,
            Self::Absence(_) | Self::Span(_) => true,
        }
    }

    /// Whether a mail about this outcome quotes the document. One that closes a span is not about what is open; the
    /// last one says how it ended.
    pub(super) fn quotes(&self, sample: &Sample, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Span(_), Outcome::Breach { .. }) => !sample.hit,
            (Self::Span(_), Outcome::Clear { since: Some(end) }) => {
                sample.hit && sample.happened >= *end
            }
            (_, outcome) => matches!(outcome, Outcome::Breach { .. }),
        }
    }

    /// Keys that are watched before anything was seen of them.
    pub(super) fn expected(&self) -> &[Key] {
        match self {
            Self::Absence(absence) => &absence.expect,
            _ => &[],
        }
    }

    /// What is wrong with the figures, beyond their types.
    pub(super) fn complaint(&self) -> Option<String> {
        match self {
            Self::Threshold(threshold) => threshold.complaint(),
            Self::Event(event) => event.complaint(),
            Self::Absence(_) | Self::Span(_) => None,
        }
    }
}
