//! `ethmon replay DIR…`: recorded node data through the core that runs live, as one JSON report for each directory.
//!
//! - `layout` which file holds what · `files` lines of recordings, whole or damaged · `stamp`, `stream`, `rest`, `blocks`,
//!   `logs` what a line says, by the agent's own readers · `votes` votes counted
//! - `clock` the chain's clock · `node` one node's files · `links` what holds whenever it was read · `recording` all of it
//! - `report` what the core found
//!
//! Everything may be missing, cut off or damaged: what is there is used, what is not is counted and named on standard
//! error, with the file and the first line.

mod blocks;
mod clock;
mod files;
pub mod fuzz;
mod layout;
mod links;
mod logs;
mod node;
mod recording;
mod report;
mod rest;
mod stamp;
mod stream;
mod votes;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};

use crate::alert;
use crate::network::{Fact, Finding, Network, Settings};
use crate::rules;
pub use clock::Options;
use files::Troubles;
use recording::Recording;
use report::Report;

/// Replays each directory and writes one line of JSON for each recording in it; what could not be used is named on
/// standard error. A recording that cannot be replayed does not keep the others from it.
pub fn run(dirs: &[PathBuf], options: &Options, out: &mut dyn Write) -> anyhow::Result<()> {
    let (troubles, failed) = replay_all(dirs, options, out)?;
    let err = &mut std::io::stderr().lock();
    troubles
        .write_to(err)
        .context("cannot write to standard error")?;
    let mut failed = failed.into_iter();
    let Some(last) = failed.next_back() else {
        return Ok(());
    };
    for error in failed {
        writeln!(err, "{error:#}").context("cannot write to standard error")?;
    }
    Err(last)
}

fn replay_all(
    dirs: &[PathBuf],
    options: &Options,
    out: &mut dyn Write,
) -> anyhow::Result<(Troubles, Vec<anyhow::Error>)> {
    let (mut troubles, mut failed) = (Troubles::default(), Vec::new());
    for dir in dirs {
        let found = match layout::recordings(dir) {
            Ok(found) => found,
            Err(error) => {
                failed.push(error.context(format!("cannot replay {}", dir.display())));
                continue;
            }
        };
        for path in found {
            let report = replay(&path, options, &mut troubles);
            match report.with_context(|| format!("cannot replay {}", path.display())) {
                Ok(report) => {
                    // Of several in one directory each says which it is.
                    let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy();
                    let report = report.named(&name);
                    serde_json::to_writer(&mut *out, &report).context("cannot write the report")?;
                    writeln!(out).context("cannot write the report")?;
                }
                Err(error) => failed.push(error),
            }
        }
    }
    out.flush().context("cannot write the report")?;
    Ok((troubles, failed))
}

fn replay(dir: &Path, options: &Options, troubles: &mut Troubles) -> anyhow::Result<Report> {
    let recording = Recording::load(dir, options, troubles)?;
    let mut network = Network::new(recording.spec.clone(), settings());
    let findings = judge(&recording, &mut network);
    let refused = network.refused();
    for (reason, count) in [
        ("about a slot in the future", refused.future),
        (
            "contradicting what another answer said of a root",
            refused.contradicting,
        ),
        (
            "beyond the limits of the core",
            refused.over_limit + refused.too_old,
        ),
        (
            "head change whose parent links are in no answer",
            refused.unlinked,
        ),
    ] {
        troubles.add(dir, reason, count);
    }
    let alerts = alerts(&recording, &findings);
    let findings: Vec<Finding> = findings.into_iter().map(|told| told.finding).collect();
    Ok(Report::new(&recording, &findings, alerts))
}

/// A finding and when the core told it.
struct Told {
    at: DateTime<Utc>,
    finding: Finding,
}

/// What the shipped rules make of the findings, on the recording's clock. Recordings hold no host metrics and no agent's
/// documents, so the rules over those see nothing.
fn alerts(recording: &Recording, findings: &[Told]) -> Vec<alert::Alert> {
    let spec = &recording.spec;
    let (Some(first), Some(last)) = (findings.first(), findings.last()) else {
        return Vec::new();
    };
    let rules = rules::shipped();
    let patience = rules
        .iter()
        .map(|rule| rule.patience(spec))
        .max()
        .unwrap_or_default();
    let arrival = |told: &Told| alert::Arrival {
        at: told.at,
        event: told.finding.to_event(spec),
    };
    // What the core can only say of the time after the recording is nobody's fault.
    let is_recorded = |arrival: &alert::Arrival| {
        arrival
            .event
            .document
            .timestamp()
            .is_some_and(|at| at <= recording.ended_at)
    };
    let arrivals: Vec<alert::Arrival> = findings.iter().map(arrival).filter(is_recorded).collect();
    let run = alert::Simulation {
        chain: spec.clone(),
        from: first.at,
        to: last.at + patience,
        tick: TimeDelta::seconds(1),
        idle_tick: TimeDelta::minutes(1),
        restart_at: None,
    };
    alert::alerts(&alert::simulate(&rules, &arrivals, &run))
}

/// Nothing of a recording is forgotten.
fn settings() -> Settings {
    Settings {
        slots_kept: u64::MAX,
        links_kept: u64::MAX,
        blocks_limit: usize::MAX,
        ..Settings::default()
    }
}

/// Tells the core everything in the order in which it was received, and lets it judge once a slot, as live.
fn judge(recording: &Recording, network: &mut Network) -> Vec<Told> {
    let slot = TimeDelta::milliseconds(recording.spec.slot_duration_ms as i64);
    let mut findings = Vec::new();
    let mut advance = |network: &mut Network, at| {
        findings.extend(
            network
                .advance(at)
                .into_iter()
                .map(|finding| Told { at, finding }),
        );
    };
    // A parent link holds whenever it was read, and an answer at the end may be the only one that has it.
    for observation in &recording.observations {
        if let Fact::Block {
            block,
            parent_root,
            proposer_index,
        } = observation.fact
        {
            network.learn(block, parent_root, proposer_index);
        }
    }
    for (block, parent_root, proposer_index) in &recording.links {
        network.learn(*block, *parent_root, *proposer_index);
    }
    let mut next = None;
    for observation in &recording.observations {
        let at = observation.at;
        if next.is_none_or(|next| at >= next) {
            advance(network, at);
            next = Some(at + slot);
        }
        network.observe(observation.clone());
    }
    // Everything that waits for something has waited long enough by then; no node counts as gone yet.
    let settings = settings();
    let patience = settings
        .link_slots
        .max(settings.split_slots)
        .max(settings.settle_slots)
        + 1;
    advance(network, recording.ended_at + slot * patience as i32);
    findings
}
