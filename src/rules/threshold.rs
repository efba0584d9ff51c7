//! A figure over a sliding window against a limit.
//!
//! Fires when the aggregate of the window lies beyond the limit; recovers when it lies beyond `recover`. Between the
//! two nothing changes, so that a value at the limit does not mail every minute. An empty window is no data, except
//! for `count`, where it is 0.
//!
//! ```toml
//! [condition]
//! type = "threshold"
//! aggregate = "share"                 # percent of the documents that match
//! matching = [{ field = "ethereum.slot_status", is = "missed" }]
//! per = "ethereum.slot"               # several documents about a slot: the newest counts
//! over = "1h"
//! above = 5
//! recover = 2
//! min_documents = 100
//! ```
//!
//! With `usual_over = "6h"` the value is percent of the same aggregate over the six hours before the window: networks
//! differ in what is usual. Without `min_documents` in those hours too there is no judgement.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::condition::{Judgement, Kind, Outcome, Scene};
use super::filter::{Clause, values};
use super::period::Period;
use super::window::Sample;
use crate::event::Document;
use crate::slot::ChainSpec;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Read by the first pass, which chose this type.
    #[serde(rename = "type")]
    _kind: Kind,
    pub aggregate: Aggregate,
    /// The field aggregated; `count`, `share` and `run` need none.
    pub field: Option<String>,
    pub over: Period,
    /// The time before `over` with which the value is compared.
    pub usual_over: Option<Period>,
    pub above: Option<f64>,
    pub below: Option<f64>,
    /// The limit itself where it is absent.
    pub recover: Option<f64>,
    /// With fewer documents in the window there is no judgement.
    #[serde(default = "one")]
    pub min_documents: usize,
    /// Which documents `count`, `share` and `run` look for; all of the query where it is empty.
    #[serde(default)]
    pub matching: Vec<Clause>,
    /// A number field of which each value counts once, with its newest document.
    pub per: Option<String>,
    /// How far from 0 the value lies, to either side.
    #[serde(default)]
    pub absolute: bool,
    /// Factor on the value, as 100 makes percent of a ratio.
    #[serde(default = "unit_scale")]
    pub scale: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    Count,
    Min,
    Max,
    Avg,
    Sum,
    Last,
    Cardinality,
    /// Percent of the documents that match.
    Share,
    /// The longest unbroken run of matching documents.
    Run,
}

fn one() -> usize {
    1
}

fn unit_scale() -> f64 {
    1.0
}

impl Threshold {
    pub(super) fn complaint(&self) -> Option<String> {
        let counts = matches!(
            self.aggregate,
            Aggregate::Count | Aggregate::Share | Aggregate::Run
        );
        let problem = match (self.above, self.below, self.recover) {
            (None, None, _) | (Some(_), Some(_), _) => "give either above or below",
            (Some(above), _, Some(recover)) if recover > above => "recover lies above the limit",
            (_, Some(below), Some(recover)) if recover < below => "recover lies below the limit",
            _ if !counts && self.field.is_none() => "this aggregate needs a field",
            _ if counts && self.field.is_some() => "this aggregate takes no field",
            _ if self.usual_over.is_some() && self.adds_up() => {
                "usual_over compares averages, extremes, shares and last values"
            }
            _ if counts && self.absolute => "absolute goes with a field",
            _ if !counts && !self.matching.is_empty() => "matching goes with count, share and run",
            _ => return None,
        };
        Some(problem.into())
    }

    pub(super) fn sample(&self, document: &Document) -> Option<Sample> {
        let mut sample = Sample {
            hit: self.matching.iter().all(|clause| clause.matches(document)),
            per: None,
            ..Sample::default()
        };
        if let Some(per) = &self.per {
            sample.per = Some(document.get_u64(per)?);
        }
        if let Some(field) = &self.field {
            let value = *values(document, field).first()?;
            if self.aggregate == Aggregate::Cardinality {
                sample.text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
            } else {
                let value = value.as_f64()? * self.scale;
                sample.value = if self.absolute { value.abs() } else { value };
            }
        }
        Some(sample)
    }

    pub(super) fn limit(&self) -> f64 {
        self.above.or(self.below).unwrap_or_default()
    }

    pub(super) fn judge(&self, scene: &Scene<'_>) -> Judgement {
        let samples = self.counted(scene.last(self.over).map(|(_, sample)| sample));
        if samples.len() < self.min_documents && self.aggregate != Aggregate::Count {
            let reason = "too few documents in the window";
            return Judgement::new(Outcome::NoData { reason }, None);
        }
        let Some(percent) = self.percent_of_usual(scene) else {
            let reason = "too few documents to know what is usual";
            return Judgement::new(Outcome::NoData { reason }, None);
        };
        let value = self.aggregate.of(&samples) * percent;
        let outcome = if self.breaches(value) {
            let last = samples.last().map_or(scene.now, |sample| sample.happened);
            let since = self.since(&samples, percent).unwrap_or(last);
            Outcome::Breach { since, last }
        } else if self.recovered(value) {
            Outcome::Clear { since: None }
        } else {
            Outcome::Hold
        };
        Judgement::new(outcome, Some(value))
    }

    /// The documents of those before the window too.
    pub(super) fn lookback(&self, chain: &ChainSpec) -> TimeDelta {
        let before = self.usual_over.map(|usual| usual.resolve(chain));
        self.over.resolve(chain) + before.unwrap_or_default()
    }

    /// What makes of a value percent of what is usual; 1 where nothing is compared. `None` where nobody knows.
    fn percent_of_usual(&self, scene: &Scene<'_>) -> Option<f64> {
        if self.usual_over.is_none() {
            return Some(1.0);
        }
        let to = scene.now - self.over.resolve(scene.chain);
        let from = scene.now - self.lookback(scene.chain);
        let before = scene.window.between(from, to).map(|(_, sample)| sample);
        let samples = self.counted(before);
        let usual = self.aggregate.of(&samples);
        let known = samples.len() >= self.min_documents.max(1) && usual.abs() > f64::EPSILON;
        known.then_some(100.0 / usual)
    }

    /// Whether the value grows with the length of the window.
    fn adds_up(&self) -> bool {
        use Aggregate::{Cardinality, Count, Run, Sum};
        matches!(self.aggregate, Cardinality | Count | Run | Sum)
    }

    /// Those of the documents that count, oldest (or lowest `per`) first.
    fn counted<'a>(&self, all: impl Iterator<Item = &'a Sample>) -> Vec<&'a Sample> {
        if self.per.is_none() {
            return all.collect();
        }
        // Ascending time: a later document about the same slot takes the place of the earlier.
        let newest: BTreeMap<_, _> = all.map(|sample| (sample.per, sample)).collect();
        newest.into_values().collect()
    }

    fn breaches(&self, value: f64) -> bool {
        self.above.is_some_and(|above| value > above)
            || self.below.is_some_and(|below| value < below)
    }

    fn recovered(&self, value: f64) -> bool {
        match self.recover {
            None => !self.breaches(value),
            Some(recover) if self.above.is_some() => value <= recover,
            Some(recover) => value >= recover,
        }
    }

    /// Since when the limit is passed: where documents carry the value, the newest unbroken run of documents beyond
    /// it; where they are counted, the oldest one counted.
    fn since(&self, samples: &[&Sample], percent: f64) -> Option<DateTime<Utc>> {
        let first = match self.aggregate {
            Aggregate::Min | Aggregate::Max | Aggregate::Avg | Aggregate::Last => {
                let beyond = |sample: &&&Sample| self.breaches(sample.value * percent);
                let newest_run = samples.iter().rev().skip_while(|sample| !beyond(sample));
                newest_run.take_while(beyond).last()
            }
            Aggregate::Sum | Aggregate::Cardinality => samples.first(),
            Aggregate::Count | Aggregate::Share | Aggregate::Run => {
                samples.iter().find(|sample| sample.hit)
            }
        };
        first.map(|sample| sample.happened)
    }
}

impl Aggregate {
    fn of(self, samples: &[&Sample]) -> f64 {
        let values = samples.iter().map(|sample| sample.value);
        let hits = samples.iter().filter(|sample| sample.hit).count() as f64;
        let total = samples.len().max(1) as f64;
        match self {
            Self::Count => hits,
            Self::Share => 100.0 * hits / total,
            Self::Min => values.fold(f64::INFINITY, f64::min),
            Self::Max => values.fold(f64::NEG_INFINITY, f64::max),
            Self::Sum => values.sum(),
            Self::Avg => values.sum::<f64>() / total,
            Self::Last => samples.last().map_or(0.0, |sample| sample.value),
            Self::Cardinality => {
                let distinct: BTreeSet<&str> =
                    samples.iter().map(|sample| sample.text.as_str()).collect();
                distinct.len() as f64
            }
            Self::Run => {
                let runs = samples.split(|sample| !sample.hit).map(<[_]>::len);
                runs.max().unwrap_or_default() as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DocumentId;
    use crate::rules::window::Window;
    use crate::slot::ChainSpec;
    use chrono::TimeDelta;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000_000 + second)
    }

    /// The judgement at second 60 over documents `(second, value)`, the value also being the slot of `per`.
    fn judge(condition: &str, values: &[(i64, f64)]) -> Judgement {
        let text = format!("type = \"threshold\"\nover = \"60s\"\n{condition}");
        let threshold: Threshold = toml::from_str(&text).unwrap();
        assert_eq!(threshold.complaint(), None);
        let mut window = Window::default();
        for (nth, (second, value)) in values.iter().enumerate() {
            let mut document = Document::at(at(*second));
            document.set("v", *value);
            document.set("slot", *second / 10);
            let mut sample = threshold.sample(&document).unwrap();
            sample.happened = at(*second);
            window.insert(
                &DocumentId::of(&[&nth.to_string()]),
                at(*second),
                nth as u64,
                sample,
            );
        }
        threshold.judge(&Scene {
            window: &window,
            now: at(60),
            chain: &ChainSpec::example(),
            expected: false,
            reading_since: at(0),
        })
    }

    #[test]
    fn aggregates_over_the_window() {
        // The first document is just outside: the window is open at its old end.
        let values = [(0, 100.0), (10, 3.0), (20, 1.0), (30, 3.0), (60, 2.0)];
        let value = |aggregate: &str| {
            let needs_field = !matches!(aggregate, "count" | "share" | "run");
            let field = if needs_field {
                "field = \"v\""
            } else {
                "matching = [{ field = \"v\", gte = 2 }]"
            };
            let text = format!("aggregate = \"{aggregate}\"\n{field}\nabove = 1000");
            judge(&text, &values).value.unwrap()
        };
        let all = [
            "count",
            "min",
            "max",
            "avg",
            "sum",
            "last",
            "cardinality",
            "share",
            "run",
        ]
        .map(value);
        assert_eq!(all, [3.0, 1.0, 3.0, 2.25, 9.0, 2.0, 3.0, 75.0, 2.0]);
    }

    #[test]
    fn nothing_is_no_data_except_for_a_count() {
        let outcome =
            |aggregate: &str| judge(&format!("aggregate = {aggregate}\nbelow = 1"), &[]).outcome;
        assert!(matches!(
            outcome("\"last\"\nfield = \"v\""),
            Outcome::NoData { .. }
        ));
        assert!(matches!(outcome("\"share\""), Outcome::NoData { .. }));
        assert!(matches!(outcome("\"count\""), Outcome::Breach { .. }));
    }

    #[test]
    fn between_the_limits_nothing_changes() {
        let outcome = |value: f64| {
            let text = "aggregate = \"last\"\nfield = \"v\"\nabove = 90\nrecover = 85\nscale = 100";
            judge(text, &[(10, 0.95), (20, 0.5), (30, 0.91), (40, value)]).outcome
        };
        let breach = Outcome::Breach {
            since: at(30),
            last: at(40),
        };
        assert_eq!(outcome(0.92), breach);
        assert_eq!(outcome(0.88), Outcome::Hold);
        assert_eq!(outcome(0.85), Outcome::Clear { since: None });
    }

    #[test]
    fn absolute_values_lie_to_either_side_of_0() {
        let values = [(10, -150.0), (20, 130.0), (30, -120.0)];
        let value = |condition: &str| {
            let text = format!("aggregate = \"min\"\nfield = \"v\"\nabove = 100\n{condition}");
            let judgement = judge(&text, &values);
            let is_breach = matches!(judgement.outcome, Outcome::Breach { .. });
            (judgement.value, is_breach)
        };
        assert_eq!(value("absolute = true"), (Some(120.0), true));
        assert_eq!(value(""), (Some(-150.0), false));
    }

    #[test]
    fn the_newest_document_about_a_slot_counts() {
        let text = "aggregate = \"run\"\nper = \"slot\"\nabove = 2\nmatching = [{ field = \"v\", is = 1 }]";
        let run = |values: &[(i64, f64)]| judge(text, values).value;
        assert_eq!(run(&[(10, 1.0), (20, 1.0), (30, 1.0)]), Some(3.0));
        assert_eq!(
            run(&[(10, 1.0), (20, 1.0), (30, 1.0), (20, 0.0)]),
            Some(1.0)
        );
    }
}
