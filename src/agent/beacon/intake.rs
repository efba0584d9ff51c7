//! What the streams hand on → documents, sums, and sightings of blocks.

use std::time::Duration;

use tokio::sync::mpsc;
use tracing::debug;

use super::blocks;
use super::context::Context;
use super::document;
use super::event::BeaconEvent;
use super::stream::Received;
use super::summary::Summaries;
use super::topics::Topic;
use super::tracker::Stage;
use crate::slot;

/// How often sums are looked at.
const SUMMARY_PERIOD: Duration = Duration::from_secs(1);

/// Tells every event of the main stream; ends when the stream has ended and all is told.
pub(super) async fn events(
    context: Context,
    mut received: mpsc::Receiver<Received>,
    blocks: mpsc::Sender<blocks::Input>,
) -> anyhow::Result<()> {
    let mut sequence = 0;
    while let Some(received) = received.recv().await {
        let event = match received {
            Received::Gap => {
                hand_on(&blocks, blocks::Input::Resync).await;
                continue;
            }
            Received::Event(event) => *event,
        };
        if let Some(fault) = event.fault {
            context.outbox.count(fault.counter(), 1);
            debug!(topic = %event.topic, reason = event.parse_error, "event is odd");
        }
        for input in sightings(&event) {
            hand_on(&blocks, input).await;
        }
        sequence += 1;
        let document = context.with_setting(|setting| document::event(setting, event, sequence));
        context.outbox.send(document).await;
    }
    Ok(())
}

/// Sums up the heavy stream; ends when it has ended and all sums are told.
pub(super) async fn summaries(
    context: Context,
    mut received: mpsc::Receiver<Received>,
) -> anyhow::Result<()> {
    let mut sums = Summaries::default();
    let mut period = tokio::time::interval(SUMMARY_PERIOD);
    loop {
        let has_ended = tokio::select! {
            received = received.recv() => match received {
                Some(Received::Event(event)) => {
                    if let Some(fault) = event.fault {
                        context.outbox.count(fault.counter(), 1);
                    }
                    if !sums.add(&event) {
                        context.outbox.count("beacon_summary_left_out", 1);
                    }
                    continue;
                }
                Some(Received::Gap) => continue,
                None => true,
            },
            _ = period.tick() => false,
        };
        let done = context.with_setting(|setting| sums.take_done(setting, slot::now(), has_ended));
        for document in done {
            context.outbox.send(document).await;
        }
        if has_ended {
            return Ok(());
        }
    }
}

/// The blocks an event tells of.
fn sightings(event: &BeaconEvent) -> Vec<blocks::Input> {
    let stage = match event.topic {
        Topic::BlockGossip => Stage::Gossip,
        Topic::Block => Stage::Import,
        Topic::Head | Topic::HeadV2 => Stage::Head,
        Topic::ChainReorg => {
            // Prysm 6.1.4 puts a state root where the new head should be. Its head event follows anyway, so only the
            // old head is worth a look; it is nearly always known.
            let old_head = event
                .reorg
                .as_ref()
                .and_then(|reorg| reorg.old_head.as_deref()?.parse().ok());
            return old_head.map(blocks::Input::Hint).into_iter().collect();
        }
        _ => return Vec::new(),
    };
    let seen = |root| blocks::Input::Seen {
        root,
        slot: event.slot,
        stage,
        at: event.received_at,
    };
    event.block.map(seen).into_iter().collect()
}

/// The other end is gone only when the agent stops.
async fn hand_on(blocks: &mpsc::Sender<blocks::Input>, input: blocks::Input) {
    if blocks.send(input).await.is_err() {
        debug!("no more blocks are taken");
    }
}
