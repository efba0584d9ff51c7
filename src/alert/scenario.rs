//! `ethmon rules test`: documents at offsets, a simulated clock, and the mails that must (and must not) come.
//!
//! ```toml
//! [[scenario]]
//! name = "two nodes reorganise nine slots apart: one incident"
//! until = "40 slots"
//!
//! [[scenario.document]]
//! at = "17 slots"                               # after genesis
//! set = { ethereum.reorg.blocks_dropped = 5 }
//!
//! [[scenario.expect]]                           # all mails, in order: none listed, none sent
//! at = "17 slots"
//! mail = "opened"
//! subject = "5 blocks dropped"
//! ```
//! Every scenario is also run with the documents repeated, and with a restart after each evaluation (in longer ones,
//! around every transition and at [`MAX_RESTARTS`] other places): neither may change a mail.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::email::{Style, render};
use super::{Action, Arrival, Simulation, Transition, simulate};
use crate::config::{self, Problem};
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::rules::{Period, Rule, SHIPPED_FILES, elapsed, parse};
use crate::slot::ChainSpec;

/// Longer scenarios restart at this many places, and around every transition.
const MAX_RESTARTS: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    chain: Chain,
    scenario: Vec<Scenario>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Chain {
    slot: Period,
    slots_per_epoch: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            slot: Period::Ms(12_000),
            slots_per_epoch: 32,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    until: Period,
    #[serde(default = "one_slot")]
    tick: Period,
    #[serde(default)]
    document: Vec<Template>,
    #[serde(default)]
    expect: Vec<Expectation>,
}

/// One document, or several at even distances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    at: Period,
    /// It can be read this much later.
    #[serde(default = "no_time")]
    late: Period,
    #[serde(default = "one_slot")]
    every: Period,
    #[serde(default = "once")]
    times: u32,
    /// A field that gets the number of the slot running at the document's time.
    slot_field: Option<String>,
    #[serde(default)]
    set: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    at: Period,
    mail: Action,
    #[serde(default = "network")]
    key: String,
    /// What the subject, the text part contain.
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
}

/// Runs scenario files (`NAME.scenario.toml` beside `NAME.toml`), those of directories, or without paths the shipped
/// ones, and reports one line per scenario. `false` if one failed.
pub fn test(paths: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut all_passed = true;
    let mut report = |rule: Rule, file: &str, scenarios: &str| -> anyhow::Result<()> {
        for (name, failures) in run(&rule, file, scenarios)? {
            match failures.is_empty() {
                true => writeln!(out, "ok      {}: {name}", rule.name)?,
                false => writeln!(out, "FAILED  {}: {name}\n{failures}", rule.name)?,
            }
            all_passed &= failures.is_empty();
        }
        Ok(())
    };
    if paths.is_empty() {
        for shipped in &SHIPPED_FILES {
            let rule = parse(&shipped.file(), shipped.rule)?;
            report(
                rule,
                &format!("{}.scenario.toml", shipped.name),
                shipped.scenarios,
            )?;
        }
    }
    for path in files(paths)? {
        let rule_path = path.with_file_name(rule_file(&path));
        let rule = parse(&rule_path.display().to_string(), &read(&rule_path)?)?;
        report(rule, &path.display().to_string(), &read(&path)?)?;
    }
    Ok(all_passed)
}

/// Name and complaints (empty: passed) of each scenario of a file.
fn run(rule: &Rule, file: &str, text: &str) -> Result<Vec<(String, String)>, Problem> {
    let File { chain, scenario } = config::parse::<File>(file, text, &|_| None)?;
    let mut spec = ChainSpec::example();
    spec.network = "scenario".into();
    spec.slot_duration_ms = chain.slot.resolve(&spec).num_milliseconds().max(1) as u64;
    spec.slots_per_epoch = chain.slots_per_epoch.max(1);
    let judged = |scenario: Scenario| {
        let failures = scenario.judge(rule, &spec);
        (scenario.name, failures)
    };
    Ok(scenario.into_iter().map(judged).collect())
}

impl Scenario {
    fn judge(&self, rule: &Rule, chain: &ChainSpec) -> String {
        let arrivals = self.arrivals(rule, chain);
        let mut simulation = Simulation {
            chain: chain.clone(),
            from: chain.genesis_time,
            to: chain.genesis_time + self.until.resolve(chain),
            tick: self.tick.resolve(chain),
            idle_tick: self.tick.resolve(chain),
            restart_at: None,
        };
        let rules = std::slice::from_ref(rule);
        let plain = simulate(rules, &arrivals, &simulation);
        if let Some(failure) = self.compare(&plain, chain) {
            return failure;
        }
        let backwards = arrivals.iter().rev();
        let repeated: Vec<Arrival> = backwards.chain(&arrivals).cloned().collect();
        let again = simulate(rules, &repeated, &simulation);
        if identities(&again) != identities(&plain) {
            return differs("with every document read twice", &again, chain);
        }
        for at in restarts(&simulation, &plain) {
            simulation.restart_at = Some(at);
            let restarted = simulate(rules, &arrivals, &simulation);
            if identities(&restarted) != identities(&plain) {
                let when = elapsed(at - chain.genesis_time);
                return differs(&format!("with a restart at {when}"), &restarted, chain);
            }
        }
        String::new()
    }

    fn arrivals(&self, rule: &Rule, chain: &ChainSpec) -> Vec<Arrival> {
        let stream = rule.settings.query.stream;
        let templates = self.document.iter().enumerate();
        templates
            .flat_map(|(index, template)| template.arrivals(index, stream, chain))
            .collect()
    }

    /// The mails of a run against the expected ones; `None` if they agree.
    fn compare(&self, transitions: &[Transition], chain: &ChainSpec) -> Option<String> {
        let mailed = mailed(transitions);
        for (index, expected) in self.expect.iter().enumerate() {
            let at = chain.genesis_time + expected.at.resolve(chain);
            let wanted = format!("{} {} {}", expected.at, expected.mail.name(), expected.key);
            let Some(got) = mailed.get(index) else {
                return Some(format!(
                    "        expected: {wanted}\n        got:      nothing"
                ));
            };
            let mail = render(got, chain, &Style::default()).unwrap_or_default();
            let right = got.at == at
                && got.action == expected.mail
                && got.key.to_string() == expected.key
                && mail.subject.contains(&expected.subject)
                && mail.text.contains(&expected.text);
            if !right {
                let (subject, got) = (mail.subject, describe(got, chain));
                return Some(format!(
                    "        expected: {wanted} {:?} {:?}\n        got:      {got} {subject:?}",
                    expected.subject, expected.text
                ));
            }
        }
        let surplus = mailed.get(self.expect.len())?;
        Some(format!(
            "        not expected: {}",
            describe(surplus, chain)
        ))
    }
}

impl Template {
    fn arrivals(&self, index: usize, stream: DataStream, chain: &ChainSpec) -> Vec<Arrival> {
        let first = chain.genesis_time + self.at.resolve(chain);
        let late = self.late.resolve(chain);
        let arrival = |nth: u32| {
            let at = first + self.every.resolve(chain) * nth as i32;
            let id = DocumentId::of(&["scenario", &index.to_string(), &nth.to_string()]);
            let mut event = Event::new(stream, id, at);
            if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&self.set) {
                let mut document = Document::from(fields);
                document.merge_missing(&event.document);
                event.document = document;
            }
            if let Some(field) = &self.slot_field {
                event.document.set_some(field, chain.slot_at(at));
            }
            event
                .document
                .set("event.created", crate::event::timestamp(at + late));
            Arrival {
                at: at + late,
                event,
            }
        };
        (0..self.times).map(arrival).collect()
    }
}

fn mailed(transitions: &[Transition]) -> Vec<&Transition> {
    transitions
        .iter()
        .filter(|transition| transition.action.is_mailed())
        .collect()
}

/// What must be the same in every run: which mails, of which incidents. A restart may delay one.
fn identities(transitions: &[Transition]) -> Vec<(Action, Option<String>)> {
    let incident = |transition: &&Transition| {
        let incident = transition.incident.as_ref();
        (
            transition.action,
            incident.map(|incident| incident.id.clone()),
        )
    };
    mailed(transitions).iter().map(incident).collect()
}

fn restarts(simulation: &Simulation, transitions: &[Transition]) -> Vec<DateTime<Utc>> {
    let span = simulation.to - simulation.from;
    let ticks = (span.num_milliseconds() / simulation.tick.num_milliseconds().max(1)).max(1);
    let stride = (ticks as usize).div_ceil(MAX_RESTARTS) as i32;
    let even =
        (0..ticks as i32 / stride).map(|nth| simulation.from + simulation.tick * stride * nth);
    let around = transitions.iter().flat_map(|transition| {
        [
            transition.at - simulation.tick,
            transition.at,
            transition.at + simulation.tick,
        ]
    });
    even.chain(around).collect()
}

fn differs(how: &str, transitions: &[Transition], chain: &ChainSpec) -> String {
    let lines = mailed(transitions)
        .into_iter()
        .map(|transition| describe(transition, chain));
    let lines = lines.collect::<Vec<_>>().join(", ");
    format!("        other mails {how}: {lines}")
}

fn describe(transition: &Transition, chain: &ChainSpec) -> String {
    let offset = elapsed(transition.at - chain.genesis_time);
    let slot = chain.slot_at(transition.at).unwrap_or_default();
    let (action, key) = (transition.action.name(), &transition.key);
    format!("{offset} (slot {slot}) {action} {key}")
}

fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path);
        for entry in entries.with_context(|| format!("cannot read {}", path.display()))? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(".scenario.toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn rule_file(scenario: &Path) -> String {
    let name = scenario.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "{}.toml",
        name.strip_suffix(".scenario.toml").unwrap_or(&name)
    )
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn one_slot() -> Period {
    Period::Slots(1)
}

fn no_time() -> Period {
    Period::ZERO
}

fn once() -> u32 {
    1
}

fn network() -> String {
    "network".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_rule_passes_its_scenarios() {
        let mut out = Vec::new();
        let passed = test(&[], &mut out).unwrap();
        let report = String::from_utf8(out).unwrap();
        assert!(passed, "\n{report}");
        for rule in crate::rules::shipped() {
            let lines = report.matches(&format!("ok      {}: ", rule.name)).count();
            assert!(
                lines >= 2,
                "{} lacks scenarios: fires and stays quiet",
                rule.name
            );
        }
    }

    #[test]
    fn a_wrong_expectation_fails() {
        let rules = crate::rules::shipped();
        let rule = rules.iter().find(|rule| rule.name == "reorg_deep").unwrap();
        let failures = |expect: &str| {
            let text = format!(
                "[[scenario]]\nname = \"x\"\nuntil = \"3 slots\"\n[[scenario.document]]\nat = \"1 slot\"\n\
                 set = {{ ethereum.reorg.blocks_dropped = 3 }}\n{expect}"
            );
            run(rule, "x", &text).unwrap().remove(0).1
        };
        let expect = |at: &str| format!("[[scenario.expect]]\nat = \"{at}\"\nmail = \"opened\"");
        assert_eq!(failures(&expect("1 slot")), "");
        assert!(failures("").contains("not expected"));
        assert!(failures(&expect("2 slots")).contains("got:      12 s (slot 1) opened network"));
    }
}
