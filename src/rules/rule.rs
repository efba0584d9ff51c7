//! A rule file: what it is called, which documents it reads, when it fires, what its mail says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::condition::{Condition, Kind};
use super::filter::Query;
use super::period::{Period, elapsed};
use crate::config::{self, Problem};
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
    /// Keys watched at once; further ones are refused and counted.
    #[serde(default = "thousand")]
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

/// Changes to rules from the configuration: `[rules.override.NAME]`, merged into the rule's file before it is read.
pub type Overrides = BTreeMap<String, toml::Table>;

#[derive(Debug, Clone, Deserialize)]
struct Tagged {
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Deserialize)]
struct FirstPass {
    condition: Tagged,
}

#[derive(Deserialize)]
struct SecondPass<C> {
    condition: toml::Spanned<C>,
}

/// Reads a rule; complaints carry file, line and column.
pub fn parse(file: &str, text: &str) -> Result<Rule, Problem> {
    // Two passes keep the places: serde's tagged enums forget where in the file a value stood.
    let kind = read::<FirstPass>(file, text)?.condition.kind;
    let settings = read::<Settings>(file, text)?;
    let (condition, place) = match kind {
        Kind::Threshold => condition(file, text, Condition::Threshold)?,
        Kind::Absence => condition(file, text, Condition::Absence)?,
        Kind::Event => condition(file, text, Condition::Event)?,
        Kind::Span => condition(file, text, Condition::Span)?,
    };
    if let Some(message) = condition.complaint() {
        let line = text.get(..place).unwrap_or(text).matches('\n').count() + 1;
        return Err(Problem {
            file: file.to_owned(),
            at: Some((line, 1)),
            message: format!("condition: {message}"),
        });
    }
    let stem = Path::new(file).file_stem().unwrap_or_default();
    Ok(Rule {
        name: stem.to_string_lossy().into_owned(),
        settings,
        condition,
    })
}

/// As [`parse`], with the configuration's changes to this rule.
pub fn parse_with(file: &str, text: &str, overrides: &Overrides) -> Result<Rule, Problem> {
    let rule = parse(file, text)?;
    let Some(changes) = overrides.get(&rule.name) else {
        return Ok(rule);
    };
    let in_override = |message: String| Problem {
        file: format!("[rules.override.{}]", rule.name),
        at: None,
        message,
    };
    let mut table: toml::Table =
        toml::from_str(text).map_err(|error| in_override(error.message().to_owned()))?;
    merge(&mut table, changes);
    parse(file, &table.to_string()).map_err(|problem| in_override(problem.message))
}

/// The shipped rules and those of `dirs`, changed by `overrides`. A rule of a directory replaces the shipped one of
/// its name. An override of no rule is an error: it is a typing mistake.
pub fn load(dirs: &[PathBuf], overrides: &Overrides) -> anyhow::Result<Vec<Rule>> {
    let mut rules = BTreeMap::new();
    for (file, text) in super::shipped::FILES {
        let rule = parse_with(file, text, overrides)?;
        rules.insert(rule.name.clone(), rule);
    }
    for path in rule_files(dirs)? {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| anyhow::anyhow!("cannot read {file}: {error}"))?;
        let rule = parse_with(&file, &text, overrides)?;
        rules.insert(rule.name.clone(), rule);
    }
    if let Some(name) = overrides.keys().find(|name| !rules.contains_key(*name)) {
        let known: Vec<&str> = rules.keys().map(String::as_str).collect();
        anyhow::bail!(
            "[rules.override.{name}]: no such rule, there are {}",
            known.join(", ")
        );
    }
    Ok(rules.into_values().collect())
}

/// `NAME.toml` of the directories, sorted; scenarios are left to the rule tests.
fn rule_files(dirs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for dir in dirs {
        let entries = std::fs::read_dir(dir).map_err(|error| {
            anyhow::anyhow!("cannot read the rules in {}: {error}", dir.display())
        })?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".toml") && !name.ends_with(".scenario.toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

impl Rule {
    /// The documents this rule reads of `[from, to)`, as Query DSL. Documents count by their time; those found late
    /// by the time they were created.
    pub fn query_dsl(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Value {
        let between = |field: &str| {
            let (from, to) = (event::timestamp(from), event::timestamp(to));
            json!({"range": {field: {"gte": from, "lt": to}}})
        };
        let time = if self.condition.counts_when_found() {
            let should = [between("@timestamp"), between("event.created")];
            json!({"bool": {"should": should, "minimum_should_match": 1}})
        } else {
            between("@timestamp")
        };
        let mut filter = vec![time];
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

fn read<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, Problem> {
    // A rule is not a place for secrets: `${…}` stays an error like an unset variable.
    config::parse(file, text, &|_| None)
}

fn condition<C: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
    variant: fn(C) -> Condition,
) -> Result<(Condition, usize), Problem> {
    let spanned = read::<SecondPass<C>>(file, text)?.condition;
    let place = spanned.span().start;
    Ok((variant(spanned.into_inner()), place))
}

fn merge(into: &mut toml::Table, changes: &toml::Table) {
    for (name, change) in changes {
        match (into.get_mut(name), change) {
            (Some(toml::Value::Table(into)), toml::Value::Table(change)) => merge(into, change),
            _ => {
                into.insert(name.clone(), change.clone());
            }
        }
    }
}

fn first() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn thousand() -> usize {
    1_000
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
