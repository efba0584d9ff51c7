//! Watches one beacon node: its event stream, the blocks it tells of, its state, and the clock all of it is measured by.
//!
//! ```text
//! stream ─→ intake ─→ outbox          sse cuts frames, event and heavy read them, topics finds what the node offers,
//!    │         ├─→ attestations       watchdog notices silence, pulse that we stood still
//!    │         └─→ blocks ─→ outbox   tracker knows which blocks are in hand, decode reads them, backfill walks
//!    └ gap ────────┘ └─→ history      who voted, who proposed, what became of each slot
//! status ─→ outbox    clock           document builds what is told
//! ```

pub mod api;
pub mod attestations;
mod backfill;
mod blocks;
pub mod check;
mod clock;
mod context;
pub mod decode;
mod document;
pub mod event;
pub mod fuzz;
pub mod heavy;
pub mod history;
mod intake;
mod pulse;
mod spec;
pub mod sse;
mod status;
mod stream;
mod summary;
pub mod topics;
mod tracker;
mod watchdog;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::api::Api;
use self::context::Context;
use self::stream::Kind;
use super::outbox::Outbox;
use crate::config::Beacon;
use crate::slot::{self, ChainSpec};
use crate::tasks::Tasks;

/// Events read and not yet told. When it is full the stream is read no further, and the node buffers.
const QUEUED_EVENTS: usize = 256;
/// The same for the heavy topics.
const QUEUED_VOTES: usize = 4_096;
const QUEUED_SIGHTINGS: usize = 1_024;
const QUEUED_BLOCKS: usize = 256;
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Watches the node until `stop`. A node that is down is waited for.
pub async fn run(config: Beacon, outbox: Outbox, stop: CancellationToken) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let api = Api::new(&config)?;
    let Some(spec) = first_answer(&api, &outbox, &stop).await else {
        return Ok(());
    };
    info!(node = %api.endpoint(), network = spec.network, slot_ms = spec.slot_duration_ms, late_from_ms = spec.attestation_due_ms, "watching a beacon node");
    outbox.set_network(&spec);

    let (specs, spec) = watch::channel(Arc::new(spec));
    let (clocks, clock) = watch::channel(clock::Clock::of_kernel());
    // A failure of one part ends the others and is told by name; the agent's own stop ends all.
    let stop = stop.child_token();
    let context = Context::new(Arc::clone(&config), api, outbox, spec, clock, stop.clone());
    spec::read_version(&context.api, &context.outbox, |version| {
        context.change(|state| state.version = version)
    })
    .await;

    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn(
        "beacon clock",
        clock::run(config.ntp_servers.clone(), clocks, stop),
    );
    let (events, received) = mpsc::channel(QUEUED_EVENTS);
    let (sightings, inbox) = mpsc::channel(QUEUED_SIGHTINGS);
    tasks.spawn(
        "beacon stream",
        stream::run(context.clone(), Kind::Main, events),
    );
    tasks.spawn(
        "beacon intake",
        intake::events(context.clone(), received, sightings),
    );
    let mut history = None;
    if config.participation {
        let (blocks, inbox) = mpsc::channel(QUEUED_BLOCKS);
        history = Some(blocks);
        tasks.spawn("beacon history", history::task::run(context.clone(), inbox));
    }
    tasks.spawn(
        "beacon blocks",
        blocks::run(context.clone(), inbox, history),
    );
    if config.attestations || config.summaries {
        let (votes, received) = mpsc::channel(QUEUED_VOTES);
        tasks.spawn(
            "beacon heavy stream",
            stream::run(context.clone(), Kind::Heavy, votes),
        );
        tasks.spawn("beacon votes", intake::heavy(context.clone(), received));
    }
    tasks.spawn("beacon status", status::run(context, specs));
    tasks.join().await
}

/// Asks until the node says which chain it is on; `None` when stopped before.
async fn first_answer(api: &Api, outbox: &Outbox, stop: &CancellationToken) -> Option<ChainSpec> {
    let mut wait = Duration::from_secs(1);
    let mut is_told = false;
    loop {
        let answer = tokio::select! {
            answer = spec::read_now(api) => answer,
            () = stop.cancelled() => return None,
        };
        let error = match answer {
            Ok(spec) => return Some(spec),
            Err(error) => format!("{error:#}"),
        };
        if !std::mem::replace(&mut is_told, true) {
            warn!(node = %api.endpoint(), error, "cannot read the chain from the beacon node, waiting for it");
        }
        outbox.count("beacon_not_ready", 1);
        outbox
            .send(status::never_answered(
                outbox.agent_id(),
                &error,
                slot::now(),
            ))
            .await;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return None,
        }
        wait = (wait * 2).min(MAX_BACKOFF);
    }
}
