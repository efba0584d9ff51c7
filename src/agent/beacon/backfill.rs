//! Where the walk after a start or a gap begins and ends: the node's head now, and the last head that was told.
//!
//! The walk goes by root, never by slot: asking for a slot without a block writes a stack trace into Lodestar's log.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::{Api, ApiError};
use super::context::Context;
use crate::chain_spec::unsigned;
use crate::slot::{BlockRef, Root};

const NOTE: &str = "beacon.last_head";

/// The last head whose document is in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LastHead {
    /// A devnet started anew under the same address is another chain.
    genesis_validators_root: Root,
    head: BlockRef,
}

/// The node's head by REST.
pub(super) async fn head(api: &Api) -> Result<BlockRef, ApiError> {
    let answer = api.get("/eth/v1/beacon/headers/head").await?;
    let data = answer.get("data");
    let root = data
        .and_then(|data| data.get("root"))
        .and_then(Value::as_str);
    let root = root.and_then(|root| root.parse().ok());
    let slot = data.and_then(|data| data.pointer("/header/message/slot"));
    match (root, slot.and_then(unsigned)) {
        (Some(root), Some(slot)) => Ok(BlockRef { slot, root }),
        _ => Err(ApiError::Unreadable("head without root or slot".into())),
    }
}

/// The head told last in an earlier life of this agent, on this chain.
pub(super) async fn recall(context: &Context) -> Option<BlockRef> {
    let note = context.outbox.recall(NOTE).await?;
    let last: LastHead = serde_json::from_slice(&note).ok()?;
    let same_chain = last.genesis_validators_root == context.spec().genesis_validators_root;
    same_chain.then_some(last.head)
}

pub(super) async fn remember(context: &Context, head: BlockRef) {
    let last = LastHead {
        genesis_validators_root: context.spec().genesis_validators_root,
        head,
    };
    if let Ok(note) = serde_json::to_vec(&last) {
        context.outbox.remember(NOTE, note).await;
    }
}
