//! Text → scenario. A mistake names its line.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};

use super::{Block, ExpectedReorg, Scenario, Step, What};
use crate::network::tests::root_of;
use crate::network::triage::Class;
use crate::slot::{BlockRef, ChainSpec, Root};

pub(in crate::network::tests) fn parse(text: &str) -> anyhow::Result<Scenario> {
    let mut scenario = Scenario {
        spec: ChainSpec::example(),
        nodes: BTreeMap::new(),
        blocks: BTreeMap::new(),
        steps: Vec::new(),
        until: 0,
        reorgs: Vec::new(),
        splits: Vec::new(),
        events: Vec::new(),
        never_attack: false,
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().collect();
        if let Some((statement, rest)) = words.split_first() {
            scenario
                .take(statement, rest)
                .with_context(|| format!("line {}: {line}", number + 1))?;
        }
    }
    ensure!(scenario.until > 0, "no `until SLOT`");
    Ok(scenario)
}

impl Scenario {
    fn take(&mut self, statement: &str, rest: &[&str]) -> anyhow::Result<()> {
        match (statement, rest) {
            ("chain", ["slot", slot, "epoch", epoch, "due", due]) => {
                self.spec.slot_duration_ms = seconds(slot)? as u64;
                self.spec.slots_per_epoch = epoch.parse()?;
                self.spec.attestation_due_ms = seconds(due)? as u64;
            }
            ("node", [names @ .., client]) => {
                for name in names {
                    self.nodes.insert((*name).into(), (*client).into());
                }
            }
            ("block", [name, slot, rest @ ..]) => self.block(name, slot.parse()?, rest)?,
            ("arrive", [block, rest @ ..]) => self.imports(block, rest, true)?,
            ("import", [block, rest @ ..]) => self.imports(block, rest, false)?,
            ("head", [block, nodes @ .., time]) => {
                let head = self.named(block)?.block;
                self.say(nodes, self.time(time)?, || What::Head(head))?;
            }
            ("votes", [slot, node, counts @ .., time]) => {
                let counted = counts.chunks(2).map(|pair| match pair {
                    [block, count] => Ok((self.named(block)?.block.root, count.parse()?)),
                    _ => bail!("a block without its votes"),
                });
                let by_root: Vec<(Root, u64)> = counted.collect::<anyhow::Result<_>>()?;
                let slot = slot.parse()?;
                self.say(&[node], self.time(time)?, || What::Votes {
                    slot,
                    by_root: by_root.clone(),
                })?;
            }
            ("justified", [nodes @ .., epoch, block, time]) => {
                let (epoch, root) = (epoch.parse()?, self.named(block)?.block.root);
                self.say(nodes, self.time(time)?, || What::Justified { epoch, root })?;
            }
            ("slashing", [node, slot, proposer, time]) => {
                let (slot, proposer) = (slot.parse()?, proposer.parse()?);
                self.say(&[node], self.time(time)?, || What::Slashing {
                    slot,
                    proposer,
                })?;
            }
            ("syncing" | "synced", [nodes @ .., time]) => {
                let syncing = statement == "syncing";
                self.say(nodes, self.time(time)?, || What::Syncing(syncing))?;
            }
            ("until", [slot]) => self.until = slot.parse()?,
            ("expect", ["reorg", old, "to", new, "drops", drops, "as", class]) => {
                let (old, new) = (self.named(old)?.block, self.named(new)?.block);
                self.reorgs.push(ExpectedReorg {
                    old,
                    new,
                    drops: drops.parse()?,
                    class: known_class(class)?,
                });
            }
            ("expect", ["equivocation", slot, validator]) => {
                let (slot, validator) = (slot.parse::<u64>()?, validator.parse::<u64>()?);
                self.events
                    .push(format!("equivocation {slot} by {validator}"));
            }
            ("expect", ["flip", "at", nodes]) => {
                self.events
                    .push(format!("flip at {}", nodes.parse::<usize>()?));
            }
            ("expect", ["run", from, "to", to, "as", class]) => {
                let (from, to) = (from.parse::<u64>()?, to.parse::<u64>()?);
                let class = known_class(class)?;
                self.events.push(format!("run {from} to {to} as {class}"));
            }
            ("expect", ["split", "as", class]) => self.splits.push(known_class(class)?),
            ("never", ["attack"]) => self.never_attack = true,
            _ => bail!("no such statement"),
        }
        Ok(())
    }

    fn block(&mut self, name: &str, slot: u64, rest: &[&str]) -> anyhow::Result<()> {
        let (parent, proposer) = match rest {
            ["proposer", proposer] if self.blocks.is_empty() => (root_of("before"), proposer),
            ["on", parent, "proposer", proposer] => (self.named(parent)?.block.root, proposer),
            _ => bail!("expected: block NAME SLOT on PARENT proposer INDEX"),
        };
        let block = Block {
            block: BlockRef {
                slot,
                root: root_of(name),
            },
            parent,
            proposer: proposer.parse()?,
        };
        let before = self.blocks.insert(name.into(), block);
        ensure!(before.is_none(), "a second block of this name");
        Ok(())
    }

    fn imports(&mut self, name: &str, rest: &[&str], head: bool) -> anyhow::Result<()> {
        let block = self.named(name)?;
        let mut nodes = Vec::new();
        for word in rest {
            if !is_time(word) {
                nodes.push(*word);
                continue;
            }
            let at = match word.starts_with('@') {
                true => self.time(word)?,
                false => self.spec.slot_start(block.block.slot) + delta(word)?,
            };
            self.say(&nodes, at, || What::Import { block, head })?;
            nodes.clear();
        }
        ensure!(nodes.is_empty(), "nodes without a time");
        Ok(())
    }

    fn say(
        &mut self,
        nodes: &[&str],
        at: DateTime<Utc>,
        what: impl Fn() -> What,
    ) -> anyhow::Result<()> {
        ensure!(!nodes.is_empty(), "no node");
        for name in nodes {
            let is_meant = |known: &&String| *name == "all" || known == name;
            let meant: Vec<_> = self.nodes.keys().filter(is_meant).cloned().collect();
            ensure!(!meant.is_empty(), "no node {name}");
            for node in meant {
                self.steps.push(Step {
                    node,
                    at,
                    what: what(),
                });
            }
        }
        Ok(())
    }

    fn named(&self, name: &str) -> anyhow::Result<Block> {
        let block = self.blocks.get(name).copied();
        block.with_context(|| format!("no block {name}"))
    }

    /// `@SLOT+SECONDS`
    fn time(&self, text: &str) -> anyhow::Result<DateTime<Utc>> {
        let parts = text.strip_prefix('@').and_then(|text| text.split_once('+'));
        let (slot, into) = parts.context("expected a time @SLOT+SECONDS")?;
        Ok(self.spec.slot_start(slot.parse()?) + delta(into)?)
    }
}

fn known_class(name: &str) -> anyhow::Result<String> {
    let known = Class::ALL.iter().any(|class| class.name() == name);
    ensure!(known, "no class {name}");
    Ok(name.into())
}

fn is_time(word: &str) -> bool {
    word.starts_with('@') || seconds(word).is_ok()
}

fn delta(text: &str) -> anyhow::Result<TimeDelta> {
    Ok(TimeDelta::milliseconds(seconds(text)?))
}

/// `9.5s` in milliseconds.
fn seconds(text: &str) -> anyhow::Result<i64> {
    let number = text
        .strip_suffix('s')
        .context("expected seconds, as 9.5s")?;
    let seconds: f64 = number.parse()?;
    Ok((seconds * 1000.0).round() as i64)
}

#[test]
fn mistakes_name_their_line() {
    let start = "node a X/1\nblock g 10 proposer 1\n";
    for (wrong, said) in [
        ("blok", "line 3"),
        ("block x 11 on y proposer 2", "no block y"),
        ("arrive g b 1s", "no node b"),
        ("arrive g a", "nodes without a time"),
        ("head g a 3s", "@SLOT+SECONDS"),
        ("expect split as bad_luck", "no class bad_luck"),
        ("votes 10 a g @11+0s", "a block without its votes"),
        ("# nothing", "until"),
    ] {
        let error = parse(&format!("{start}{wrong}"))
            .err()
            .map(|error| format!("{error:#}"));
        assert!(
            error.as_ref().is_some_and(|error| error.contains(said)),
            "{wrong}: {error:?}"
        );
    }
}
