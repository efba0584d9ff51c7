//! A rule file: what it is called, which documents it reads, when it fires, what its mail says.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::condition::{Condition, Kind};
use super::filter::Query;
use super::period::{Period, elapsed};
use crate::event;
use crate::slot::ChainSpec;

#[derive(Debug, Clone)]
pub struct Rule {
    /// The file's name without its ending.
    pub name: String,
    pub settings: Settings,
    pub condition: Condition,
}

/// Everything in a rule file but the condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What has happened, as a headline.
    pub title: String,
    /// Part of every incident's id: raise it when the rule means something new.
    #[serde(default = "first")]
    pub version: u32,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub severity: Severity,
    /// Why it matters and what to do first, for a reader woken by the mail.
    pub why: String,
    pub first_step: String,
    /// One line for subject and mail; `{value}`, `{limit}`, `{key}` and `{field.path}` are filled in.
    pub fact: String,
    /// Unit of value and limit; `block|blocks` for one and for several.
    #[serde(default)]
    pub unit: String,
    /// One alert per value of these fields; none: one alert for the network.
    #[serde(default)]
    pub key: Vec<String>,
    /// A document with several values of the first key field counts for each of them, not for the first alone.
    #[serde(default)]
    pub each_value: bool,
    /// Keys watched at once; further ones are refused and counted.
    #[serde(default = "most_keys")]
    pub max_keys: usize,
    /// How long the condition must hold before the alert fires.
    #[serde(default = "zero", rename = "for")]
    pub hold_for: Period,
    /// How long it must stay clear before the alert is resolved.
    #[serde(default = "zero")]
    pub keep_firing_for: Period,
    pub remind_every: Option<Period>,
    #[serde(default)]
    pub no_data: NoData,
    /// A firing alert without data for so long is resolved, and says so.
    #[serde(default = "day")]
    pub forget_after: Period,
    pub query: Query,
    /// Read by the first pass; the condition itself is [`Rule::condition`].
    #[serde(rename = "condition")]
    _condition: Tagged,
    /// Fields that name the affected nodes beside `ethereum.node.name`, and clients beside `ethereum.node.client`.
    #[serde(default = "nodes")]
    pub nodes: Vec<String>,
    #[serde(default = "clients")]
    pub clients: Vec<String>,
    /// Where the slot stands; the first field a document has.
    #[serde(default = "slot")]
    pub slot: Vec<String>,
    /// Fields of the documents that the mail lists.
    #[serde(default)]
    pub show: Vec<Show>,
    /// Of several documents with the same value of this field the mail lists the newest alone.
    pub show_one_per: Option<String>,
    /// Documents that it lists: the newest.
    #[serde(default = "five")]
    pub show_newest: usize,
}

/// **critical**: the network or own duties are at stake now; **warning**: look today; **info**: recorded, not mailed
/// unless the mail section asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a firing alert does while its documents stay away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoData {
    /// Stays as it is until `forget_after`.
    #[default]
    Keep,
    /// Counts as clear.
    Resolve,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    pub field: String,
    pub label: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Tagged {
    #[serde(rename = "type")]
    pub kind: Kind,
}

impl Rule {
    /// The documents this rule counts, as a Query DSL clause without bounds on time.
    pub fn filter_dsl(&self) -> Value {
        json!({"bool": {"filter": self.settings.query.dsl()}})
    }

    /// The same for `[from, to)`, as links, backtests and ad hoc questions need it.
    pub fn query_dsl(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Value {
        let (from, to) = (event::timestamp(from), event::timestamp(to));
        let mut filter = vec![json!({"range": {"@timestamp": {"gte": from, "lt": to}}})];
        filter.extend(self.settings.query.dsl());
        json!({"bool": {"filter": filter}})
    }

    /// A value or limit with its unit, for people.
    pub fn figure(&self, value: Option<f64>) -> String {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return "?".into();
        };
        if matches!(self.condition, Condition::Absence(_)) {
            return elapsed(TimeDelta::milliseconds((value * 1_000.0) as i64));
        }
        let number = match value {
            whole if whole.fract() == 0.0 => format!("{whole}"),
            small if small.abs() < 1.0 => format!("{small:.3}"),
            value => format!("{value:.1}"),
        };
        let unit = &self.settings.unit;
        let unit = match unit.split_once('|') {
            Some((one, many)) => {
                if value == 1.0 {
                    one
                } else {
                    many
                }
            }
            None => unit,
        };
        format!("{number} {unit}").trim_end().to_owned()
    }

    /// How far back documents must be read before the first evaluation.
    pub fn lookback(&self, chain: &ChainSpec) -> TimeDelta {
        self.condition.lookback(chain)
    }

    /// How long after the last document the rule may still change its mind.
    pub fn patience(&self, chain: &ChainSpec) -> TimeDelta {
        self.condition.patience(chain)
    }

    /// The newest document of each key as a search body, for rules that watch entities longer than their look-back.
    /// `None` for others. Only the first key field can be collapsed on; one document of it makes the key known.
    pub fn newest_per_key(&self, now: DateTime<Utc>, chain: &ChainSpec) -> Option<Value> {
        let remember = self.condition.remember(chain)?;
        let field = self.settings.key.first()?;
        Some(json!({
            "size": self.settings.max_keys.min(10_000),
            "query": self.query_dsl(now - remember, now),
            "collapse": {"field": field},
            "sort": [{"@timestamp": "desc"}],
        }))
    }
}

fn first() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// More than the nodes that the core remembers, with two file systems each; and no more than one page of Elasticsearch's
/// tells after a restart.
fn most_keys() -> usize {
    10_000
}

fn five() -> usize {
    5
}

fn zero() -> Period {
    Period::ZERO
}

fn day() -> Period {
    Period::DAY
}

fn nodes() -> Vec<String> {
    vec!["ethereum.nodes".into()]
}

fn clients() -> Vec<String> {
    vec!["ethereum.clients".into()]
}

fn slot() -> Vec<String> {
    ["ethereum.slot", "ethereum.head.slot"]
        .map(Into::into)
        .to_vec()
}
