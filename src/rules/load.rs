//! Rule files → rules: two passes that keep places, the configuration's changes, further directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::condition::{Condition, Kind};
use super::rule::{Rule, Settings, Tagged};
use crate::config::{self, Problem};

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

/// Changes to rules by name, from the configuration: `[rules.override.NAME]`.
pub type Overrides = BTreeMap<String, toml::Table>;

/// As [`parse`], with the configuration's changes merged into the file before it is read.
pub fn parse_with(file: &str, text: &str, overrides: &Overrides) -> Result<Rule, Problem> {
    let rule = parse(file, text)?;
    let Some(changes) = overrides.get(&rule.name) else {
        return Ok(rule);
    };
    let in_override = |message: String| Problem {
        file: format!("rules.override.{}", rule.name),
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
    for shipped in super::shipped::FILES {
        let rule = parse_with(&shipped.file(), shipped.rule, overrides)?;
        rules.insert(rule.name.clone(), rule);
    }
    for path in rule_files(dirs)? {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        let rule = parse_with(&file, &text, overrides)?;
        rules.insert(rule.name.clone(), rule);
    }
    if let Some(name) = overrides.keys().find(|name| !rules.contains_key(*name)) {
        let known: Vec<&str> = rules.keys().map(String::as_str).collect();
        let known = known.join(", ");
        bail!("rules.override.{name}: no rule is called so; there are {known}");
    }
    Ok(rules.into_values().collect())
}

/// `NAME.toml` of the directories, sorted; scenarios are left to the rule tests.
fn rule_files(dirs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for dir in dirs {
        let entries = std::fs::read_dir(dir)
            .with_context(|| format!("cannot read the rules in {}", dir.display()))?;
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

#[derive(Deserialize)]
struct FirstPass {
    condition: Tagged,
}

#[derive(Deserialize)]
struct SecondPass<C> {
    condition: toml::Spanned<C>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Period;

    const RULE: &str = r#"
title = "t"
severity = "warning"
why = "w"
first_step = "f"
fact = "{value}"
key = ["ethereum.node.name"]
[query]
stream = "metrics-ethereum.node"
[condition]
type = "threshold"
aggregate = "last"
field = "ethereum.peers.connected"
over = "4 slots"
below = 10
"#;

    #[track_caller]
    fn complaint(from: &str, to: &str) -> String {
        assert!(RULE.contains(from));
        let text = RULE.replacen(from, to, 1);
        parse("r.toml", &text).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_name_their_place() {
        let begins = |complaint: String, expected: &str| {
            assert!(complaint.starts_with(expected), "{complaint}");
        };
        begins(complaint("why", "wy"), "r.toml:4:1: unknown field `wy`");
        begins(
            complaint("below", "bellow"),
            "r.toml:15:1: unknown field `bellow`",
        );
        begins(
            complaint("\"threshold\"", "\"treshold\""),
            "r.toml:11:8: unknown variant",
        );
        begins(
            complaint("4 slots", "4 slotz"),
            "r.toml:14:8: not a length of time: \"4 slotz\"",
        );
        begins(
            complaint("metrics-ethereum.node", "nodes"),
            "r.toml:9:10: no data stream \"nodes\"",
        );
        begins(
            complaint("below = 10", ""),
            "r.toml:10:1: condition: give either above or below",
        );
        begins(
            complaint("below = 10", "below = 10\nrecover = 5"),
            "r.toml:10:1: condition: recover",
        );
        begins(
            complaint("field", "# field"),
            "r.toml:10:1: condition: this aggregate needs a field",
        );
        let clause = "node\"\nwhere = [\n  { field = \"a\", equals = 2 },\n]";
        begins(
            complaint("node\"\n[condition]", &format!("{clause}\n[condition]")),
            "r.toml:11:",
        );
    }

    fn overrides(text: &str) -> Overrides {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn overrides_change_single_values_and_are_checked() {
        let with = |text: &str| parse_with("r.toml", RULE, &overrides(text));
        let rule = with("[r]\nfor = \"5m\"\n[r.condition]\nbelow = 1").unwrap();
        assert_eq!(rule.settings.hold_for, Period::Ms(300_000));
        let Condition::Threshold(threshold) = &rule.condition else {
            unreachable!()
        };
        assert_eq!((threshold.below, threshold.min_documents), (Some(1.0), 1));
        let complaint = |text: &str| with(text).unwrap_err().to_string();
        let wrong = complaint("[r.condition]\nbelow = \"x\"");
        assert!(
            wrong.starts_with("rules.override.r: invalid type"),
            "{wrong}"
        );
        let wrong = complaint("[r]\nnonsense = 1");
        assert!(
            wrong.starts_with("rules.override.r: unknown field `nonsense`"),
            "{wrong}"
        );
    }

    #[test]
    fn directories_add_and_replace_and_typing_mistakes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("own.toml"), RULE).unwrap();
        std::fs::write(dir.path().join("own.scenario.toml"), "not a rule").unwrap();
        std::fs::write(dir.path().join("reorg_deep.toml"), RULE).unwrap();
        let dirs = [dir.path().to_owned()];
        let rules = load(&dirs, &Overrides::new()).unwrap();
        assert_eq!(rules.len(), super::super::shipped::FILES.len() + 1);
        let named = |name: &str| rules.iter().find(|rule| rule.name == name);
        assert_eq!(named("reorg_deep").unwrap().settings.title, "t");
        assert!(named("own").is_some());

        let error = load(&[], &overrides("[reorgs]\nenabled = false")).unwrap_err();
        let error = error.to_string();
        assert!(
            error
                .starts_with("rules.override.reorgs: no rule is called so; there are attestation_"),
            "{error}"
        );
    }

    #[test]
    fn every_rule_file_is_shipped() {
        let files = rule_files(&["rules".into()]).unwrap();
        let shipped = super::super::shipped();
        let names: Vec<_> = files
            .iter()
            .filter_map(|file| file.file_stem()?.to_str())
            .collect();
        let shipped: Vec<_> = shipped.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, shipped);
    }
}
