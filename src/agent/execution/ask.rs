//! The questions of one poll, all at once, and what their answers are worth.

use std::time::Duration;

use alloy::primitives::{B256, U64};
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::types::SyncStatus;
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::chain::Link;
use super::said::Said;

/// A node that accepts connections and does not answer is as good as none.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What one poll learnt; an absent value was refused, unreadable or never came.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) head: Option<Head>,
    pub(super) sync: Option<SyncStatus>,
    pub(super) pool: Option<PoolStatus>,
    pub(super) peers: Option<U64>,
    pub(super) gas_price_wei: Option<u128>,
    pub(super) priority_fee_wei: Option<u128>,
    pub(super) chain_id: Option<u64>,
    pub(super) client_version: Option<String>,
    /// Why there is no head.
    pub(super) failure: Option<Failure>,
}

/// The few fields of a block that are shipped: alloy's own type refuses a header that lacks one of all the others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) number: U64,
    pub(super) hash: B256,
    pub(super) parent_hash: B256,
    /// Seconds since 1970.
    pub(super) timestamp: U64,
    pub(super) base_fee_per_gas: Option<U64>,
    pub(super) gas_used: U64,
    pub(super) gas_limit: U64,
    /// Hashes, as asked for; counted only.
    pub(super) transactions: Vec<IgnoredAny>,
}

impl Head {
    pub(super) fn link(&self) -> Link {
        Link {
            number: self.number.to(),
            hash: self.hash,
            parent: self.parent_hash,
        }
    }
}

/// `txpool_status`; no method of alloy's own without its transaction pool types.
#[derive(Debug, Deserialize)]
pub(super) struct PoolStatus {
    pub(super) pending: U64,
    pub(super) queued: U64,
}

/// Why a method gave no value.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client answered, but not with a value: it lacks the method, does not allow it, or means something else by it.
    Refused(String),
    /// Nobody answered, or not in time.
    Unanswered(String),
}

impl Failure {
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Refused(reason) | Self::Unanswered(reason) => reason,
        }
    }
}

pub(super) async fn all(node: &RootProvider, said: &mut Said) -> Answers {
    let (head, sync, pool, peers, gas_price, priority_fee, chain_id, client_version) = tokio::join!(
        limited(
            node.raw_request::<_, Option<Head>>("eth_getBlockByNumber".into(), ("latest", false))
        ),
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
        Ok(None) => (
            None,
            Some(Failure::Refused("it has no latest block".to_owned())),
        ),
        Err(failure) => (None, Some(failure)),
    };
    said.head(failure.as_ref().map(Failure::reason));
    Answers {
        head,
        failure,
        sync: said.keep("eth_syncing", sync),
        pool: said.keep("txpool_status", pool),
        peers: said.keep("net_peerCount", peers),
        gas_price_wei: said.keep("eth_gasPrice", gas_price),
        priority_fee_wei: said.keep("eth_maxPriorityFeePerGas", priority_fee),
        chain_id: said.keep("eth_chainId", chain_id),
        client_version: said.keep("web3_clientVersion", client_version),
    }
}

pub(super) async fn limited<T>(
    request: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_LIMIT, request).await {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => Err(Failure::Unanswered(format!(
            "no answer in {} s",
            ANSWER_LIMIT.as_secs()
        ))),
    }
}

/// Only the innermost cause is told: the ones around it repeat the URL, which may hold a key.
fn failure(error: &TransportError) -> Failure {
    match error {
        RpcError::ErrorResp(payload) => Failure::Refused(payload.message.to_string()),
        RpcError::NullResp => Failure::Refused("its answer is null".to_owned()),
        RpcError::DeserError { .. } => {
            Failure::Refused("its answer is not the JSON that was asked for".to_owned())
        }
        // Before some clients stands a proxy that lets a few methods through.
        RpcError::Transport(TransportErrorKind::HttpError(http)) => {
            let reason = format!("HTTP status {}", http.status);
            match http.status {
                400..=499 => Failure::Refused(reason),
                _ => Failure::Unanswered(reason),
            }
        }
        error => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            Failure::Unanswered(cause.to_string())
        }
    }
}
