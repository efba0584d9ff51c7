//! The node's own account of itself, once a slot: sync, peers, head, finality, version.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use super::api::ApiError;
use super::backfill;
use super::clock::Clock;
use super::context::Context;
use super::spec;
use crate::chain_spec::unsigned;
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::slot::{self, ChainSpec};

/// `/eth/v1/node/peers` names every peer; their directions change slowly.
const PEERS_EVERY_POLLS: u64 = 5;

/// Parameters read in the last slot of an epoch wait for the next one; a slot is no longer anywhere.
const MAX_FORK_WAIT: Duration = Duration::from_secs(30);

/// Polls until `stop`, at two thirds of each slot: after the head of the slot, before the next.
pub(super) async fn run(
    context: Context,
    specs: watch::Sender<Arc<ChainSpec>>,
) -> anyhow::Result<()> {
    let stop = context.stop.clone();
    let mut poller = Poller {
        context,
        specs,
        polls: 0,
        is_reachable: true,
        peers: None,
    };
    loop {
        let wait = until_next(&poller.context.spec(), slot::now());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return Ok(()),
        }
        tokio::select! {
            () = poller.poll() => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

struct Poller {
    context: Context,
    specs: watch::Sender<Arc<ChainSpec>>,
    polls: u64,
    is_reachable: bool,
    /// Peers in and out at the last look.
    peers: Option<(u64, u64)>,
}

impl Poller {
    async fn poll(&mut self) {
        let now = slot::now();
        let spec = self.context.spec();
        let api = &self.context.api;
        let wants_peers = self.polls.is_multiple_of(PEERS_EVERY_POLLS);
        let (syncing, peer_count, head, finality, peers) = tokio::join!(
            api.get("/eth/v1/node/syncing"),
            api.get("/eth/v1/node/peer_count"),
            backfill::head(api),
            api.get("/eth/v1/beacon/states/head/finality_checkpoints"),
            async {
                if wants_peers {
                    Some(api.get("/eth/v1/node/peers?state=connected").await)
                } else {
                    None
                }
            },
        );
        self.polls += 1;
        let errors = [
            syncing.as_ref().err(),
            peer_count.as_ref().err(),
            head.as_ref().err(),
            finality.as_ref().err(),
        ];
        for error in errors.iter().flatten() {
            self.context.count(error);
        }
        // One endpoint that is missing costs its fields; no answer at all is the node.
        let unreachable = match &errors {
            [
                Some(first @ ApiError::Unreachable(_)),
                Some(_),
                Some(_),
                Some(_),
            ] => Some(first.to_string()),
            _ => None,
        };
        let was_reachable = std::mem::replace(&mut self.is_reachable, unreachable.is_none());
        match (&unreachable, was_reachable) {
            (Some(reason), true) => {
                warn!(node = %api.endpoint(), reason, "beacon node does not answer")
            }
            (None, false) => {
                info!(node = %api.endpoint(), "beacon node answers again");
                self.context.is_back.notify_waiters();
            }
            _ => {}
        }
        if unreachable.is_some() {
            // What it said before it went away holds no longer.
            self.context.change(|state| state.syncing = None);
        }
        if let Some(epoch) = finality.as_ref().ok().and_then(finalized_epoch) {
            self.context
                .change(|state| state.finalized_epoch = Some(epoch));
        }
        if let Ok(syncing) = &syncing {
            let is_syncing = flag(syncing, "is_syncing");
            self.context
                .change(|state| state.syncing = is_syncing.or(state.syncing));
        }
        match peers {
            Some(Ok(answer)) => self.peers = Some(directions(&answer)),
            Some(Err(_)) => self.peers = None,
            None => {}
        }
        let mut event = begin(&self.context, &spec, now, unreachable.is_none());
        let document = &mut event.document;
        let first_error =
            unreachable.or_else(|| errors.into_iter().flatten().next().map(ToString::to_string));
        document.set_some("error.message", first_error);
        if let Ok(answer) = syncing {
            set_syncing(document, &answer);
        }
        if let Ok(answer) = peer_count {
            for name in ["connected", "connecting", "disconnected", "disconnecting"] {
                document.set_some(format!("ethereum.peers.{name}"), number(&answer, name));
            }
            if let Some((inbound, outbound)) = self.peers {
                document.set("ethereum.peers.inbound", inbound);
                document.set("ethereum.peers.outbound", outbound);
            }
        }
        let mut head_slot = None;
        if let Ok(head) = head {
            head_slot = Some(head.slot);
            document.set("ethereum.head.root", head.root.to_string());
            document.set("ethereum.head.slot", head.slot);
            // By the clock: clients call themselves synced several slots behind.
            let running = spec.slot_at(now).unwrap_or(0);
            document.set("ethereum.sync.distance", running.saturating_sub(head.slot));
        }
        if let Ok(answer) = finality {
            set_finality(document, &answer, head_slot.map(|slot| spec.epoch_of(slot)));
        }
        self.context.outbox.send(event).await;
        self.refresh(&spec, now, was_reachable).await;
    }

    /// Version and spec are read again in the last slot of each epoch, for the one to come, and when the node is back.
    async fn refresh(&self, spec: &ChainSpec, now: DateTime<Utc>, was_reachable: bool) {
        if !self.is_reachable {
            return;
        }
        let running = spec.slot_at(now).unwrap_or(0);
        let is_last_of_epoch = (running + 1).is_multiple_of(spec.slots_per_epoch);
        if !is_last_of_epoch && was_reachable {
            return;
        }
        spec::read_version(&self.context.api, &self.context.outbox, |version| {
            self.context.change(|state| state.version = version);
        })
        .await;
        match spec::read(&self.context.api, spec.epoch_of(running + 1)).await {
            Ok(new) if new != *spec => {
                if new.genesis_validators_root != spec.genesis_validators_root {
                    warn!(network = new.network, "the node is on another chain now");
                } else {
                    info!(
                        attestation_due_ms = new.attestation_due_ms,
                        "the chain's parameters changed"
                    );
                }
                // What arrives before the fork is judged by what holds until then.
                let begins = new.slot_start(running + 1);
                if is_last_of_epoch && let Ok(wait) = (begins - slot::now()).to_std() {
                    tokio::time::sleep(wait.min(MAX_FORK_WAIT)).await;
                }
                self.context.outbox.set_network(&new);
                self.specs.send_replace(Arc::new(new));
            }
            Ok(_) => {}
            Err(_) => self.context.outbox.count("beacon_spec_unreadable", 1),
        }
    }
}

/// A node's document without anything the node said.
fn begin(context: &Context, spec: &ChainSpec, now: DateTime<Utc>, is_reachable: bool) -> Event {
    let clock = context.clock.borrow().clone();
    let id = DocumentId::of(&[
        context.outbox.agent_id(),
        "node",
        &now.timestamp_micros().to_string(),
    ]);
    let running = spec.slot_at(now);
    let state = context.polled();
    let stream = state.stream;
    let silent = stream.last_event.map(|last| last.elapsed().as_millis());
    let mut event = Event::new(DataStream::Node, id, now)
        .with("event.kind", "metric")
        .with(
            "event.action",
            if is_reachable {
                "polled"
            } else {
                "unreachable"
            },
        )
        .with("ethereum.reachable", is_reachable)
        .with(
            "ethereum.network.genesis_validators_root",
            spec.genesis_validators_root.to_string(),
        )
        .with("ethereum.spec.slot_duration_ms", spec.slot_duration_ms)
        .with("ethereum.spec.slots_per_epoch", spec.slots_per_epoch)
        .with("ethereum.spec.attestation_due_ms", spec.attestation_due_ms)
        .with("ethereum.spec.aggregate_due_ms", spec.aggregate_due_ms)
        .with(
            "ethereum.spec.sync_committee_size",
            spec.sync_committee_size,
        )
        .with_some("ethereum.slot", running)
        .with_some("ethereum.epoch", running.map(|slot| spec.epoch_of(slot)))
        .with("ethereum.stream.connected", stream.connected)
        .with("ethereum.stream.stale", stream.stale || stream.was_stale)
        .with_some(
            "ethereum.stream.silent_ms",
            silent.and_then(|ms| u64::try_from(ms).ok()),
        )
        .with("ethereum.agent.pauses", state.pauses)
        .with_some(
            "ethereum.agent.paused_ms",
            state
                .longest_pause
                .and_then(|pause| u64::try_from(pause.as_millis()).ok()),
        )
        .with("ethereum.stream.reconnects", stream.reconnects)
        .with("ethereum.stream.events", stream.events)
        .with("ethereum.stream.topics", stream.topics)
        .with("ethereum.stream.refused", stream.refused);
    let document = &mut event.document;
    document.set("event.created", crate::event::timestamp(now));
    clock.stamp(document);
    clock.stamp_details(document);
    event
}

fn set_syncing(document: &mut Document, answer: &Value) {
    document.set_some("ethereum.sync.is_syncing", flag(answer, "is_syncing"));
    document.set_some(
        "ethereum.sync.reported_distance",
        number(answer, "sync_distance"),
    );
    document.set_some("ethereum.optimistic", flag(answer, "is_optimistic"));
    document.set_some("ethereum.el_offline", flag(answer, "el_offline"));
}

fn finalized_epoch(answer: &Value) -> Option<u64> {
    number(answer.pointer("/data/finalized")?, "epoch")
}

fn set_finality(document: &mut Document, answer: &Value, head_epoch: Option<u64>) {
    let finalized = finalized_epoch(answer);
    let justified = answer.pointer("/data/current_justified");
    let justified = justified.and_then(|checkpoint| number(checkpoint, "epoch"));
    document.set_some("ethereum.justified.epoch", justified);
    document.set_some("ethereum.finalized.epoch", finalized);
    let root = |name: &str| answer.pointer(&format!("/data/{name}/root"))?.as_str();
    document.set_some("ethereum.justified.root", root("current_justified"));
    document.set_some("ethereum.finalized.root", root("finalized"));
    // By the head's epoch: by the clock it is one more until the first block of an epoch.
    let lag = |epoch: Option<u64>| Some(head_epoch?.saturating_sub(epoch?));
    document.set_some("ethereum.finality_lag", lag(finalized));
    document.set_some("ethereum.justification_lag", lag(justified));
}

/// Connected peers by who dialled: in, out.
fn directions(answer: &Value) -> (u64, u64) {
    let peers = answer.get("data").and_then(Value::as_array);
    let count = |direction: &str| {
        let connected = |peer: &&Value| {
            peer.get("state")
                .and_then(Value::as_str)
                .is_none_or(|state| state == "connected")
        };
        let same = |peer: &&Value| peer.get("direction").and_then(Value::as_str) == Some(direction);
        peers.map_or(0, |peers| {
            peers.iter().filter(connected).filter(same).count() as u64
        })
    };
    (count("inbound"), count("outbound"))
}

/// From the object or from its `data`; only what fits an Elasticsearch `long`.
fn number(answer: &Value, name: &str) -> Option<u64> {
    let value = answer.get("data").unwrap_or(answer).get(name)?;
    unsigned(value).filter(|number| i64::try_from(*number).is_ok())
}

fn flag(answer: &Value, name: &str) -> Option<bool> {
    answer.get("data")?.get(name)?.as_bool()
}

/// From `now` to two thirds of the running slot, or of the next. Counts back before genesis too.
fn until_next(spec: &ChainSpec, now: DateTime<Utc>) -> Duration {
    let slot_ms = spec.slot_duration_ms as i64;
    let since_ms = (now - spec.genesis_time).num_milliseconds();
    let into_ms = since_ms.rem_euclid(slot_ms);
    let wait_ms = (slot_ms * 2 / 3 - into_ms).rem_euclid(slot_ms);
    TimeDelta::milliseconds(if wait_ms == 0 { slot_ms } else { wait_ms })
        .to_std()
        .unwrap_or_default()
}

/// The document for a node that has not answered once: without a spec there is no slot.
pub(super) fn never_answered(agent_id: &str, reason: &str, now: DateTime<Utc>) -> Event {
    let id = DocumentId::of(&[agent_id, "node", &now.timestamp_micros().to_string()]);
    let mut event = Event::new(DataStream::Node, id, now)
        .with("event.kind", "metric")
        .with("event.action", "unreachable")
        .with("event.created", crate::event::timestamp(now))
        .with("ethereum.reachable", false)
        .with("ethereum.stream.connected", false)
        .with("error.message", reason);
    // Servers are asked once there is a node whose arrivals are to be corrected.
    let clock = Clock::of_kernel();
    clock.stamp(&mut event.document);
    clock.stamp_details(&mut event.document);
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn polls_are_at_two_thirds_of_a_slot() {
        let spec = ChainSpec::example();
        for (into_ms, wait_ms) in [
            (0, 8_000),
            (7_999, 1),
            (8_000, 12_000),
            (8_001, 11_999),
            (11_000, 9_000),
            (-12_000, 8_000),
        ] {
            let now = spec.genesis_time + TimeDelta::milliseconds(into_ms);
            assert_eq!(
                until_next(&spec, now),
                Duration::from_millis(wait_ms),
                "{into_ms}"
            );
        }
    }

    #[test]
    fn answers_in_either_form_and_with_nonsense() {
        let mut document = Document::default();
        set_syncing(
            &mut document,
            &json!({"data": {"sync_distance": 3, "is_syncing": "yes", "el_offline": true}}),
        );
        assert_eq!(document.get_u64("ethereum.sync.reported_distance"), Some(3));
        assert_eq!(document.get_bool("ethereum.el_offline"), Some(true));
        assert_eq!(document.get("ethereum.sync.is_syncing"), None);
        set_finality(
            &mut document,
            &json!({"data": {"finalized": {"epoch": "18446744073709551615", "root": "0x"}}}),
            Some(5),
        );
        assert_eq!(document.get("ethereum.finality_lag"), None);
        set_finality(
            &mut document,
            &json!({"data": {"finalized": {"epoch": "3"}}}),
            Some(5),
        );
        assert_eq!(document.get_u64("ethereum.finality_lag"), Some(2));
        let peers = json!({"data": [{"direction": "inbound", "state": "connected"}, {"direction": "outbound", "state": "disconnected"}, 7]});
        assert_eq!(directions(&peers), (1, 0));
    }
}
