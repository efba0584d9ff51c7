//! `ethmon check beacon`: what the node offers, step by step, in words.

use std::io::Write;
use std::time::Duration;

use super::api::{Api, ApiError};
use super::topics::{self, Negotiation, Topic};
use super::{backfill, clock, spec};
use crate::config::Beacon;
use crate::slot;

/// A subscription that is not refused within this is taken: some nodes answer with the first event only.
const TOPIC_WAIT: Duration = Duration::from_secs(2);

/// Writes one line per step; `false` if the agent could not work with this node.
pub async fn check(config: &Beacon, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    let api = Api::new(config)?;
    writeln!(out, "node      {}", api.endpoint())?;
    let version = match api.get("/eth/v1/node/version").await {
        Ok(answer) => answer
            .pointer("/data/version")
            .and_then(|text| text.as_str())
            .unwrap_or("unknown")
            .to_owned(),
        Err(error) => {
            writeln!(out, "version   failed: {error}")?;
            return Ok(false);
        }
    };
    writeln!(out, "version   {version}")?;
    let spec = match spec::read_now(&api).await {
        Ok(spec) => spec,
        Err(error) => {
            writeln!(out, "chain     failed: {error:#}")?;
            return Ok(false);
        }
    };
    let running = spec.slot_at(slot::now());
    writeln!(
        out,
        "chain     {}, slots of {} ms, late from {} ms on, {}",
        spec.network,
        spec.slot_duration_ms,
        spec.attestation_due_ms,
        running.map_or_else(
            || format!("genesis at {}", spec.genesis_time),
            |slot| format!("slot {slot}")
        )
    )?;
    let mut is_good = true;
    match backfill::head(&api).await {
        Ok(head) => {
            let behind = running.unwrap_or(0).saturating_sub(head.slot);
            writeln!(
                out,
                "head      slot {} {}, {behind} behind the clock",
                head.slot,
                head.root.short()
            )?;
        }
        Err(error) => {
            is_good = false;
            writeln!(out, "head      failed: {error}")?;
        }
    }
    for (name, wanted) in [
        ("events", topics::light(&config.extra_topics)),
        ("summaries", topics::heavy()),
    ] {
        if name == "summaries" && !config.summaries {
            continue;
        }
        let wanted = wanted
            .into_iter()
            .filter(|topic| !topics::is_harmful(topic, &version))
            .collect();
        let (taken, refused) = match offered(&api, wanted).await {
            Ok(answer) => answer,
            Err(error) => {
                is_good = false;
                writeln!(out, "{name:9} failed: {error}")?;
                continue;
            }
        };
        is_good &= !(taken.is_empty() && name == "events");
        let names: Vec<&str> = taken.iter().map(Topic::name).collect();
        writeln!(
            out,
            "{name:9} {}",
            if names.is_empty() { "none" } else { "taken: " }.to_owned() + &names.join(" ")
        )?;
        if !refused.is_empty() {
            writeln!(out, "          refused: {}", refused.join(" "))?;
        }
    }
    match clock::measure_any(&config.ntp_servers).await {
        Ok(measured) => writeln!(
            out,
            "clock     {:+.1} ms ± {:.1} ms by {}",
            measured.offset_ms, measured.uncertainty_ms, measured.server
        )?,
        Err(_) if config.ntp_servers.is_empty() => {
            writeln!(out, "clock     taken as right: beacon.ntp_servers is empty")?
        }
        Err(error) => {
            is_good = false;
            writeln!(out, "clock     failed: {error:#}")?;
        }
    }
    Ok(is_good)
}

/// The topics a node takes together, and those it refuses.
async fn offered(api: &Api, wanted: Vec<Topic>) -> Result<(Vec<Topic>, Vec<String>), ApiError> {
    let mut negotiation = Negotiation::new(wanted, &std::collections::BTreeSet::new());
    loop {
        let asked = negotiation.ask().to_vec();
        let refused = || negotiation.refused().iter().cloned().collect();
        if asked.is_empty() {
            return Ok((asked, refused()));
        }
        let is_last = negotiation.is_last_question();
        match tokio::time::timeout(TOPIC_WAIT, api.stream(&topics::path(&asked))).await {
            Ok(Err(ApiError::Refused { status, text }))
                if super::stream::is_about_topics(status) =>
            {
                negotiation.refuse(&text)
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) | Err(_) if is_last => return Ok((asked, refused())),
            Ok(Ok(_)) | Err(_) => negotiation.accept(),
        }
    }
}
