//! A document that is bad news by itself.
//!
//! The first one opens the incident, further ones belong to it, and it is over when none came for `quiet`. So a
//! join that reorganises two nodes nine slots apart is one incident.
//!
//! ```toml
//! [condition]
//! type = "event"
//! quiet = "12 slots"
//! field = "ethereum.reorg.blocks_dropped"   # the value in the mail: the largest of the incident
//! at_least = 2                              # smaller ones do not count
//! ```

use serde::Deserialize;

use super::condition::{Judgement, Kind, Outcome, Scene};
use super::filter::values;
use super::period::Period;
use super::window::Sample;
use crate::event::Document;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    #[serde(rename = "type")]
    _kind: Kind,
    pub quiet: Period,
    pub field: Option<String>,
    pub at_least: Option<f64>,
}

impl Event {
    pub(super) fn complaint(&self) -> Option<String> {
        let lacking = self.at_least.is_some() && self.field.is_none();
        lacking.then(|| "at_least needs a field".into())
    }

    pub(super) fn sample(&self, document: &Document) -> Option<Sample> {
        let value = match &self.field {
            Some(field) => values(document, field).first()?.as_f64()?,
            None => 1.0,
        };
        let hit = self.at_least.is_none_or(|least| value >= least);
        let sample = Sample {
            value,
            hit,
            ..Sample::default()
        };
        // What is too small must not keep an incident open either.
        hit.then_some(sample)
    }

    pub(super) fn judge(&self, scene: &Scene<'_>) -> Judgement {
        let samples = || scene.last(self.quiet).map(|(_, sample)| sample);
        let times = || samples().map(|sample| sample.happened);
        let (Some(since), Some(last)) = (times().min(), times().max()) else {
            return Judgement::new(Outcome::Clear { since: None }, None);
        };
        let value = match self.field {
            Some(_) => samples().map(|sample| sample.value).reduce(f64::max),
            None => Some(samples().count() as f64),
        };
        Judgement::new(Outcome::Breach { since, last }, value)
    }
}
