//! `ethmon check beacon`: what the node offers, step by step, in words.

use std::io::Write;
use std::time::Duration;

use super::api::{Api, ApiError};
use super::clock::{self, Clock};
use super::history::task as duties;
use super::topics::{self, Negotiation, Topic};
use super::{backfill, spec};
use crate::chain_spec::unsigned;
use crate::config::Beacon;
use crate::slot::{self, ChainSpec};

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
    let slot = running.unwrap_or(0);
    let blobs = spec.max_blobs(slot);
    writeln!(
        out,
        "spec      {} slots an epoch, votes due at {} ms, their aggregates at {} ms, sync committee of {}, {}",
        spec.slots_per_epoch,
        spec.attestation_due_ms,
        spec.aggregate_due_ms,
        spec.sync_committee_size,
        blobs.map_or_else(
            || "no blobs".to_owned(),
            |most| format!("at most {most} blobs a block")
        ),
    )?;
    let mut is_good = check_sync(&api, out).await?;
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
    if config.participation {
        check_duties(&api, &spec, slot, out).await?;
    }
    for (name, wanted) in [
        ("events", topics::light(&config.extra_topics)),
        (
            "votes",
            topics::heavy(config.attestations, config.summaries),
        ),
    ] {
        let wanted: Vec<Topic> = wanted
            .into_iter()
            .filter(|topic| !topics::is_harmful(topic, &version))
            .collect();
        if wanted.is_empty() {
            continue;
        }
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
    is_good &= check_clock(&config.ntp_servers, out).await?;
    Ok(is_good)
}

/// The node's own account. One that syncs can be watched: it is told, and no fault.
async fn check_sync(api: &Api, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    let answer = match api.get("/eth/v1/node/syncing").await {
        Ok(answer) => answer,
        Err(error) => {
            writeln!(out, "sync      failed: {error}")?;
            return Ok(false);
        }
    };
    let flag = |name: &str| answer.pointer(&format!("/data/{name}"))?.as_bool();
    let distance = answer.pointer("/data/sync_distance").and_then(unsigned);
    let mut words = vec![
        match flag("is_syncing") {
            Some(true) => "syncing",
            Some(false) => "in sync",
            None => "unknown",
        }
        .to_owned(),
    ];
    words.extend(distance.map(|slots| format!("{slots} slots behind by its own account")));
    if flag("is_optimistic") == Some(true) {
        words.push("optimistic: its execution client has not checked the head".into());
    }
    if flag("el_offline") == Some(true) {
        words.push("it says that its execution client is offline".into());
    }
    writeln!(out, "sync      {}", words.join(", "))?;
    Ok(true)
}

/// Whether the node says who proposes and who votes. Without it participation is counted as far as votes show it.
async fn check_duties(
    api: &Api,
    spec: &ChainSpec,
    slot: u64,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let epoch = spec.epoch_of(slot);
    let proposers = duties::proposers(api, epoch).await;
    let committees = duties::committees(api, spec, slot).await;
    let words = |name: &str, answer: Result<usize, String>| match answer {
        Ok(0) => format!("{name}: none in the answer"),
        Ok(count) => format!("{name}: {count}"),
        Err(error) => format!("{name}: {error}"),
    };
    let proposers = proposers.map(|duties| duties.len());
    let committees = committees.map(|sizes| sizes.map_or(0, |sizes| sizes.len()));
    writeln!(
        out,
        "duties    {}, {}",
        words("proposers", proposers.map_err(|error| error.to_string())),
        words("committees", committees.map_err(|error| error.to_string())),
    )?;
    Ok(())
}

/// What arrivals would be corrected by. `false` if servers are named and none answers.
async fn check_clock(servers: &[String], out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    let kernel = Clock::of_kernel();
    let mut is_good = true;
    if !servers.is_empty() {
        match clock::measure_any(servers).await {
            Ok(measured) => writeln!(out, "clock     {measured}")?,
            Err(error) => {
                is_good = false;
                writeln!(out, "clock     failed: {error:#}")?;
            }
        }
    }
    let by_kernel = match (&kernel.estimate, kernel.is_synchronized) {
        (Some(estimate), _) => estimate.to_string(),
        (None, Some(_)) => "unknown: the kernel says that nothing keeps it right".to_owned(),
        (None, None) => "unknown: the kernel can't be asked".to_owned(),
    };
    writeln!(
        out,
        "{:9} {by_kernel}",
        if servers.is_empty() { "clock" } else { "" }
    )?;
    if servers.is_empty() && kernel.estimate.is_none() {
        writeln!(
            out,
            "          taken as right, for beacon.ntp_servers is empty"
        )?;
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
