//! `ethmon replay DIR…`: recorded node data through the core that runs live, as one JSON report for each directory.
//!
//! - `files` lines of recordings, whole or damaged · `sse`, `rest` what a line says · `recording` a directory
//! - `report` what the core found
//!
//! A directory holds a folder `node-NAME` for each node. Everything in it may be missing, cut off or damaged: what is
//! there is used, what is not is counted and named on standard error.

mod files;
mod recording;
mod report;
mod rest;
mod sse;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::TimeDelta;

use crate::network::{Fact, Finding, Network, Settings};
use files::Troubles;
use recording::Recording;
use report::Report;

/// Replays each directory and writes one line of JSON for each; what could not be used is named on standard error.
pub fn run(dirs: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<()> {
    let troubles = replay_all(dirs, out)?;
    troubles
        .write_to(&mut std::io::stderr().lock())
        .context("cannot write to standard error")
}

fn replay_all(dirs: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<Troubles> {
    let mut troubles = Troubles::default();
    for dir in dirs {
        let report = replay(dir, &mut troubles)
            .with_context(|| format!("cannot replay {}", dir.display()))?;
        serde_json::to_writer(&mut *out, &report).context("cannot write the report")?;
        writeln!(out).context("cannot write the report")?;
    }
    out.flush().context("cannot write the report")?;
    Ok(troubles)
}

fn replay(dir: &Path, troubles: &mut Troubles) -> anyhow::Result<Report> {
    let recording = Recording::load(dir, troubles)?;
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
    Ok(Report::new(&recording, &findings))
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
fn judge(recording: &Recording, network: &mut Network) -> Vec<Finding> {
    let slot = TimeDelta::milliseconds(recording.spec.slot_duration_ms as i64);
    let mut findings = Vec::new();
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
    let mut next = None;
    for observation in &recording.observations {
        let at = observation.at;
        if next.is_none_or(|next| at >= next) {
            findings.extend(network.advance(at));
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
    findings.extend(network.advance(recording.ended_at + slot * patience as i32));
    findings
}
