//! What the streams hand on → documents, sums, and sightings of blocks.

use std::time::Duration;

use tokio::sync::mpsc;
use tracing::debug;

use super::attestations::Attestations;
use super::blocks;
use super::context::Context;
use super::document;
use super::event::BeaconEvent;
use super::heavy::Heavy;
use super::history::{Equivocation, equivocation};
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
            Received::Event(event) => *event,
            Received::Gap => {
                hand_on(&blocks, blocks::Input::Resync).await;
                continue;
            }
            Received::Heavy { .. } | Received::Began { .. } => continue,
        };
        if let Some(fault) = event.fault {
            context.outbox.count(fault.counter(), 1);
            debug!(topic = %event.topic, reason = event.parse_error, "event is odd");
        }
        for input in sightings(&event) {
            hand_on(&blocks, input).await;
        }
        if let Some(found) = Equivocation::of_event(&event) {
            let at = event.received_at;
            let document = context.with_setting(|setting| equivocation(setting, &found, at));
            context.outbox.send(document).await;
        }
        sequence += 1;
        let document = context.with_setting(|setting| document::event(setting, event, sequence));
        context.outbox.send(document).await;
    }
    Ok(())
}

/// Counts what the heavy stream tells; ends when it has ended and all counts are told.
pub(super) async fn heavy(
    context: Context,
    mut received: mpsc::Receiver<Received>,
) -> anyhow::Result<()> {
    let mut counts = Counts::default();
    let mut period = tokio::time::interval(SUMMARY_PERIOD);
    loop {
        let has_ended = tokio::select! {
            received = received.recv() => match received {
                Some(received) => {
                    counts.take(&context, received);
                    continue;
                }
                None => true,
            },
            _ = period.tick() => false,
        };
        let done = context.with_setting(|setting| {
            let now = slot::now();
            let mut done = counts.sums.take_done(setting, now, has_ended);
            done.extend(counts.votes.take_done(setting, now, has_ended));
            done
        });
        for document in done {
            context.outbox.send(document).await;
        }
        if has_ended {
            return Ok(());
        }
    }
}

#[derive(Default)]
struct Counts {
    votes: Attestations,
    sums: Summaries,
}

impl Counts {
    fn take(&mut self, context: &Context, received: Received) {
        let (told, at, is_doubtful) = match received {
            Received::Heavy {
                told,
                at,
                is_doubtful,
            } => (told, at, is_doubtful),
            Received::Began {
                at,
                has_votes: true,
            } => return self.votes.begun(at),
            Received::Began {
                has_votes: false, ..
            }
            | Received::Gap => return self.votes.broken(),
            Received::Event(_) => return,
        };
        match told {
            Heavy::Vote(vote) => context.with_setting(|setting| {
                self.votes.add(setting, &vote, at, is_doubtful);
            }),
            Heavy::Other { topic, slot, block } => {
                if !self.sums.add(topic, slot, block, at) {
                    context.outbox.count("beacon_summary_left_out", 1);
                }
            }
            Heavy::Foreign => {}
            Heavy::Odd(fault) => context.outbox.count(fault.counter(), 1),
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
        at: (!event.is_doubtful).then_some(event.received_at),
    };
    event.block.map(seen).into_iter().collect()
}

/// The other end is gone only when the agent stops.
async fn hand_on(blocks: &mpsc::Sender<blocks::Input>, input: blocks::Input) {
    if blocks.send(input).await.is_err() {
        debug!("no more blocks are taken");
    }
}
