//! Which documents the aggregator reads. Pure.

use chrono::TimeDelta;
use serde_json::json;

use super::cursor::Interest;
use super::observe;
use crate::event::DataStream;
use crate::rules::Engine;
use crate::slot::ChainSpec;

/// Slots read back at a start: open splits and unsettled blocks are found again.
const LOOKBACK_SLOTS: i32 = 96;

/// What the chain's core reads, what it told in an earlier life, and what the rules read beside it. What it tells in
/// this one the rules have seen before it was stored.
pub(super) fn interests(engine: &Engine, chain: &ChainSpec, life: &str) -> Vec<Interest> {
    let slots = TimeDelta::milliseconds(chain.slot_duration_ms as i64) * LOOKBACK_SLOTS;
    let other_life = json!({"bool": {"must_not": [{"term": {"agent.ephemeral_id": life}}]}});
    let slashings = json!({"term": {"event.action": "equivocation"}});
    let core = [
        (DataStream::BeaconEvent, Some(observe::topics_dsl())),
        (DataStream::Block, None),
        (DataStream::Node, None),
        (DataStream::Attestation, None),
        // A slot's status is worked out here from all nodes; of the agents' own documents slashings alone are needed.
        (DataStream::Slot, Some(slashings)),
        (DataStream::NetworkBlock, Some(other_life.clone())),
        (DataStream::Reorg, Some(other_life.clone())),
        (DataStream::HeadSplit, Some(other_life.clone())),
        (DataStream::NetworkEvent, Some(other_life)),
    ];
    let mut interests: Vec<Interest> = core
        .into_iter()
        .map(|(stream, filter)| Interest {
            stream,
            filter,
            lookback: slots,
        })
        .collect();
    for stream in engine.streams() {
        let lookback = engine.lookback(stream, chain);
        let known = interests
            .iter_mut()
            .find(|interest| interest.stream == stream);
        let Some(known) = known else {
            interests.push(Interest {
                stream,
                filter: Some(engine.filter_dsl(stream)),
                lookback,
            });
            continue;
        };
        known.lookback = known.lookback.max(lookback);
        // Of the findings, rules have seen what this life told.
        if matches!(stream, DataStream::BeaconEvent | DataStream::Slot) {
            let either = [known.filter.take(), Some(engine.filter_dsl(stream))];
            known.filter = Some(json!({"bool": {"should": either}}));
        }
    }
    interests
}
