//! Polls the local execution client over JSON-RPC: one document per period, whether it answers or not.
//!
//! A method that the client lacks costs its fields and is named once.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use alloy::primitives::{B256, U64, U256};
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::types::SyncStatus;
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::agent::outbox::Outbox;
use crate::event::{DataStream, DocumentId, Event, timestamp};
use crate::{config, slot};

/// A node that accepts connections and does not answer is as good as none.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A block comes every few seconds at most.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// Polls on a fixed grid until `stop`.
pub async fn run(
    config: config::Execution,
    outbox: Outbox,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut grid = tokio::time::interval(config.period.max(MIN_PERIOD));
    grid.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut client = Client {
        provider: RootProvider::new_http(config.url),
        lacking: HashSet::new(),
        silent: false,
    };
    loop {
        tokio::select! {
            _ = grid.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let event = tokio::select! {
            event = client.poll(outbox.agent_id()) => event,
            () = stop.cancelled() => return Ok(()),
        };
        outbox.send(event).await;
    }
}

struct Client {
    provider: RootProvider,
    /// Methods whose absence was said.
    lacking: HashSet<&'static str>,
    /// That the client does not answer was said.
    silent: bool,
}

/// What one poll learnt; an absent value was refused, unreadable or never came.
#[derive(Debug, Default)]
struct Answers {
    head: Option<Head>,
    sync: Option<SyncStatus>,
    pool: Option<PoolStatus>,
    peers: Option<U64>,
    gas_price_wei: Option<u128>,
    priority_fee_wei: Option<u128>,
    chain_id: Option<u64>,
    client_version: Option<String>,
    /// Why there is no head.
    failure: Option<String>,
}

/// The few fields of a block that are shipped: alloy's own type refuses a header that lacks one of all the others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    number: U64,
    hash: B256,
    /// Seconds since 1970.
    timestamp: U64,
    base_fee_per_gas: Option<U64>,
    gas_used: U64,
    gas_limit: U64,
    /// Hashes, as asked for; counted only.
    transactions: Vec<IgnoredAny>,
}

/// `txpool_status`; no method of alloy's own without its transaction pool types.
#[derive(Debug, Deserialize)]
struct PoolStatus {
    pending: U64,
    queued: U64,
}

impl Client {
    async fn poll(&mut self, agent_id: &str) -> Event {
        let (asked_at, started) = (slot::now(), Instant::now());
        let answers = self.ask().await;
        self.say_when_silence_begins_or_ends(&answers);
        let stream = DataStream::Execution;
        let id = DocumentId::of(&[agent_id, stream.dataset(), &timestamp(asked_at)]);
        let spent_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let event = Event::new(stream, id, asked_at).with("event.duration", spent_ns);
        document(event, answers, slot::now())
    }

    async fn ask(&mut self) -> Answers {
        let node = &self.provider;
        let (head, sync, pool, peers, gas_price, priority_fee, chain_id, client_version) =
            tokio::join!(
                limited(node.raw_request::<_, Option<Head>>(
                    "eth_getBlockByNumber".into(),
                    ("latest", false)
                )),
                limited(node.syncing().into_future()),
                limited(node.raw_request::<_, PoolStatus>("txpool_status".into(), ())),
                limited(node.raw_request::<_, U64>("net_peerCount".into(), ())),
                limited(node.get_gas_price().into_future()),
                limited(node.get_max_priority_fee_per_gas().into_future()),
                limited(node.get_chain_id().into_future()),
                limited(node.get_client_version().into_future()),
            );
        let (head, failure) = match head {
            Ok(Some(head)) => (Some(head), None),
            Ok(None) => (None, Some("it has no latest block".to_owned())),
            Err(failure) => (None, Some(failure.reason)),
        };
        Answers {
            head,
            failure,
            sync: self.keep("eth_syncing", sync),
            pool: self.keep("txpool_status", pool),
            peers: self.keep("net_peerCount", peers),
            gas_price_wei: self.keep("eth_gasPrice", gas_price),
            priority_fee_wei: self.keep("eth_maxPriorityFeePerGas", priority_fee),
            chain_id: self.keep("eth_chainId", chain_id),
            client_version: self.keep("web3_clientVersion", client_version),
        }
    }

    /// The value, if any. Names a method once that the client answers with a refusal, until it answers with a value.
    fn keep<T>(&mut self, method: &'static str, answer: Result<T, Failure>) -> Option<T> {
        match answer {
            Ok(value) => {
                if self.lacking.remove(method) {
                    info!(method, "execution client answers this method again");
                }
                Some(value)
            }
            Err(failure) => {
                if failure.is_refusal && self.lacking.insert(method) {
                    let reason = failure.reason;
                    warn!(
                        method,
                        reason, "execution client refuses this method, its fields are left out"
                    );
                }
                None
            }
        }
    }

    fn say_when_silence_begins_or_ends(&mut self, answers: &Answers) {
        match &answers.failure {
            Some(reason) if !self.silent => {
                warn!(reason, "cannot read the head of the execution client")
            }
            None if self.silent => info!("execution client answers again"),
            _ => {}
        }
        self.silent = answers.failure.is_some();
    }
}

fn document(event: Event, answers: Answers, now: DateTime<Utc>) -> Event {
    let outcome = if answers.failure.is_none() {
        "success"
    } else {
        "failure"
    };
    let mut event = event
        .with("event.kind", "metric")
        .with("event.module", DataStream::Execution.module())
        .with("event.dataset", DataStream::Execution.dataset())
        .with("event.outcome", outcome)
        .with_some("error.message", answers.failure)
        .with_some("ethereum.execution.peers", answers.peers.and_then(long))
        .with_some(
            "ethereum.execution.gas_price_wei",
            answers.gas_price_wei.and_then(long),
        )
        .with_some(
            "ethereum.execution.priority_fee_wei",
            answers.priority_fee_wei.and_then(long),
        )
        .with_some(
            "ethereum.execution.chain_id",
            answers.chain_id.and_then(long),
        )
        .with_some("ethereum.execution.client_version", answers.client_version);
    if let Some(pool) = answers.pool {
        event = event
            .with_some("ethereum.execution.pending", long(pool.pending))
            .with_some("ethereum.execution.queued", long(pool.queued));
    }
    if let Some(sync) = answers.sync {
        event = event.with(
            "ethereum.execution.syncing",
            matches!(sync, SyncStatus::Info(_)),
        );
        if let SyncStatus::Info(sync) = sync {
            let block = |number: U256| long(number);
            event = event
                .with_some(
                    "ethereum.execution.sync.current_block",
                    block(sync.current_block),
                )
                .with_some(
                    "ethereum.execution.sync.highest_block",
                    block(sync.highest_block),
                );
        }
    }
    match answers.head {
        Some(head) => with_head(event, head, now),
        None => event,
    }
}

fn with_head(event: Event, head: Head, now: DateTime<Utc>) -> Event {
    let mined_at_ms = long(head.timestamp).and_then(|seconds| seconds.checked_mul(1000));
    let age_ms = mined_at_ms.and_then(|at| now.timestamp_millis().checked_sub(at));
    event
        .with_some("ethereum.block.number", long(head.number))
        .with("ethereum.execution.block_hash", head.hash.to_string())
        .with_some("ethereum.execution.block_age_ms", age_ms)
        .with_some(
            "ethereum.execution.base_fee_wei",
            head.base_fee_per_gas.and_then(long),
        )
        .with_some("ethereum.execution.gas_used", long(head.gas_used))
        .with_some("ethereum.execution.gas_limit", long(head.gas_limit))
        .with("ethereum.execution.transactions", head.transactions.len())
}

/// Elasticsearch's `long` is signed: a number beyond it would cost the whole document.
fn long(number: impl TryInto<i64>) -> Option<i64> {
    number.try_into().ok()
}

/// Why a method gave no value.
struct Failure {
    /// The client answered and said no: it lacks the method, or does not allow it.
    is_refusal: bool,
    reason: String,
}

async fn limited<T>(
    request: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_LIMIT, request).await {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => Err(Failure {
            is_refusal: false,
            reason: format!("no answer in {} s", ANSWER_LIMIT.as_secs()),
        }),
    }
}

/// Only the innermost cause is told: the ones around it repeat the URL, which may hold a key.
fn failure(error: &TransportError) -> Failure {
    let reason = match error {
        RpcError::ErrorResp(payload) => payload.message.to_string(),
        RpcError::DeserError { .. } => "its answer is not the JSON that was asked for".to_owned(),
        RpcError::Transport(TransportErrorKind::HttpError(http)) => {
            format!("HTTP status {}", http.status)
        }
        error => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            cause.to_string()
        }
    };
    Failure {
        is_refusal: matches!(error, RpcError::ErrorResp(_)),
        reason,
    }
}
