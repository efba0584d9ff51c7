//! Something with a beginning and an end that documents announce, such as a head split.
//!
//! Fires while a span is open: a document with its id came, none that says it is closed. Several spans of one key
//! are one alert, over when the last one closes. A span nothing was heard of for `forget` counts as ended.
//!
//! ```toml
//! [condition]
//! type = "span"
//! id = "ethereum.split.id"
//! closed = [{ field = "event.action", is = "closed" }]
//! field = "ethereum.split.slots"     # the value in the mail
//! forget = "1d"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::condition::{Judgement, Kind, Outcome, Scene};
use super::filter::{Clause, values};
use super::period::Period;
use super::window::Sample;
use crate::event::Document;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    #[serde(rename = "type")]
    _kind: Kind,
    pub id: String,
    pub closed: Vec<Clause>,
    pub field: Option<String>,
    pub forget: Period,
}

impl Span {
    pub(super) fn sample(&self, document: &Document) -> Option<Sample> {
        let id = *values(document, &self.id).first()?;
        let value = self
            .field
            .as_ref()
            .and_then(|field| document.get_f64(field));
        Some(Sample {
            text: id.as_str().map_or_else(|| id.to_string(), str::to_owned),
            value: value.unwrap_or(f64::NAN),
            hit: self.closed.iter().all(|clause| clause.matches(document)),
            ..Sample::default()
        })
    }

    pub(super) fn judge(&self, scene: &Scene<'_>) -> Judgement {
        let samples = || scene.last(self.forget).map(|(_, sample)| sample);
        let mut closed = BTreeMap::new();
        for sample in samples().filter(|sample| sample.hit) {
            closed
                .entry(sample.text.as_str())
                .or_insert(sample.happened);
        }
        let open = || samples().filter(|sample| !closed.contains_key(sample.text.as_str()));
        let times = || open().map(|sample| sample.happened);
        let outcome = match (times().min(), times().max()) {
            (Some(since), Some(last)) => Outcome::Breach { since, last },
            _ => Outcome::Clear {
                since: closed.values().max().copied(),
            },
        };
        let value = open()
            .map(|sample| sample.value)
            .rfind(|value| value.is_finite());
        Judgement::new(outcome, value)
    }
}
