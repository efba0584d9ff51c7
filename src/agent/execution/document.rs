//! What one poll learnt → its document. Pure.

use std::time::Duration;

use alloy::rpc::types::SyncStatus;
use chrono::{DateTime, Utc};

use super::ask::{Answers, Failure, Head, PoolStatus};
use super::chain::Reorg;
use crate::event::{DataStream, Document, DocumentId, Event, timestamp};

/// `asked_at` is the poll's time, `answered_at` that of the head, `spent` how long all of it took.
pub(super) fn of(
    agent_id: &str,
    answers: Answers,
    reorg: Option<Reorg>,
    asked_at: DateTime<Utc>,
    answered_at: DateTime<Utc>,
    spent: Duration,
) -> Event {
    let stream = DataStream::Execution;
    let id = DocumentId::of(&[agent_id, stream.dataset(), &timestamp(asked_at)]);
    let (action, outcome) = match (&answers.failure, &reorg) {
        (Some(Failure::Unanswered(_)), _) => ("unreachable", "failure"),
        (Some(Failure::Refused(_)), _) => ("polled", "failure"),
        (None, Some(_)) => ("reorg", "success"),
        (None, None) => ("polled", "success"),
    };
    let mut event = Event::new(stream, id, asked_at)
        .with(
            "event.duration",
            u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX),
        )
        .with("event.kind", "metric")
        .with("event.module", stream.module())
        .with("event.dataset", stream.dataset())
        .with("event.action", action)
        .with("event.outcome", outcome)
        .with("ethereum.reachable", action != "unreachable");
    let document = &mut event.document;
    let failure = answers.failure.as_ref().map(Failure::reason);
    document.set_some("error.message", failure);
    let mut set = |name: &str, value: Option<i64>| {
        document.set_some(format!("ethereum.execution.{name}"), value);
    };
    set("peers", answers.peers.and_then(long));
    set("gas_price_wei", answers.gas_price_wei.and_then(long));
    set("priority_fee_wei", answers.priority_fee_wei.and_then(long));
    set("chain_id", answers.chain_id.and_then(long));
    if let Some(PoolStatus { pending, queued }) = answers.pool {
        set("pending", long(pending));
        set("queued", long(queued));
    }
    if let Some(SyncStatus::Info(sync)) = &answers.sync {
        set("sync.current_block", long(sync.current_block));
        set("sync.highest_block", long(sync.highest_block));
    }
    let syncing = answers.sync.map(|sync| matches!(sync, SyncStatus::Info(_)));
    document.set_some("ethereum.execution.syncing", syncing);
    document.set_some("ethereum.execution.client_version", answers.client_version);
    if let Some(head) = answers.head {
        set_head(document, &head, answered_at);
    }
    if let Some(reorg) = reorg {
        set_reorg(document, &reorg);
    }
    event
}

fn set_head(document: &mut Document, head: &Head, now: DateTime<Utc>) {
    let mined_at_ms = long(head.timestamp).and_then(|seconds| seconds.checked_mul(1000));
    let age_ms = mined_at_ms.and_then(|at| now.timestamp_millis().checked_sub(at));
    document.set_some("ethereum.block.number", long(head.number));
    document.set("ethereum.execution.block_hash", head.hash.to_string());
    let mut set = |name: &str, value: Option<i64>| {
        document.set_some(format!("ethereum.execution.{name}"), value);
    };
    set("block_age_ms", age_ms);
    set("base_fee_wei", head.base_fee_per_gas.and_then(long));
    set("gas_used", long(head.gas_used));
    set("gas_limit", long(head.gas_limit));
    set("transactions", long(head.transactions.len()));
}

fn set_reorg(document: &mut Document, reorg: &Reorg) {
    let mut set = |name: &str, number: u64| {
        document.set_some(format!("ethereum.execution.reorg.{name}"), long(number));
    };
    set("blocks_dropped", reorg.blocks_dropped);
    set("blocks_added", reorg.blocks_added);
    set("old_head_number", reorg.old_head.number);
    set("new_head_number", reorg.new_head.number);
    if let Some((number, _)) = reorg.ancestor {
        set("ancestor_number", number);
    }
    let is_known = reorg.ancestor.is_some();
    document.set("ethereum.execution.reorg.ancestor_known", is_known);
    for (name, hash) in [
        ("old_head_hash", Some(reorg.old_head.hash)),
        ("new_head_hash", Some(reorg.new_head.hash)),
        ("ancestor_hash", reorg.ancestor.map(|(_, hash)| hash)),
    ] {
        let name = format!("ethereum.execution.reorg.{name}");
        document.set_some(name, hash.map(|hash| hash.to_string()));
    }
}

/// Elasticsearch's `long` is signed: a number beyond it would cost the whole document.
fn long(number: impl TryInto<i64>) -> Option<i64> {
    number.try_into().ok()
}
