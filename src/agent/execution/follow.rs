//! Fetches the blocks between the head of the last poll and that of this one, and asks whether the old head still stands.

use std::time::Duration;

use alloy::primitives::{B256, U64};
use alloy::providers::{Provider, RootProvider};
use serde::Deserialize;

use super::ask::{Failure, limited};
use super::chain::{Branch, Chain, Change, Link, Reorg};
use super::said::Said;

/// A walk that takes longer is cut: the next poll matters more.
const WALK_LIMIT: Duration = Duration::from_secs(5);

/// Of a block what links it. A full node has the parents of its head, whatever else it prunes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    number: U64,
    hash: B256,
    parent_hash: B256,
}

/// Follows the chain to a new head; a reorg on the way there is returned.
pub(super) async fn to(
    head: Link,
    chain: &mut Chain,
    node: &RootProvider,
    said: &mut Said,
) -> Option<Reorg> {
    let mut branch = Branch::new(head);
    let walk = async {
        while let Some(parent) = chain.wanted(&branch) {
            match block(node, "eth_getBlockByHash", parent).await? {
                Some(block) if branch.push(block) => {}
                // Older than what this node has.
                _ => break,
            }
        }
        Ok(())
    };
    // What was fetched until the time was over is good.
    if let Ok(walked) = tokio::time::timeout(WALK_LIMIT, walk).await {
        // Else nothing is remembered of this head, and the next poll walks on from the old one.
        said.keep("eth_getBlockByHash", walked)?;
    }
    match chain.take(branch) {
        Change::Followed => None,
        Change::Reorged(reorg) => Some(reorg),
        Change::Leapt { from } => {
            let stands_there = block(node, "eth_getBlockByNumber", U64::from(from.number)).await;
            let stands_there = said.keep("eth_getBlockByNumber", stands_there)??;
            (stands_there.hash != from.hash).then_some(Reorg {
                old_head: from,
                new_head: head,
                ancestor: None,
                blocks_dropped: 1,
                blocks_added: 1,
            })
        }
    }
}

async fn block(
    node: &RootProvider,
    method: &'static str,
    which: impl serde::Serialize + Clone + std::fmt::Debug + Send + Sync + Unpin,
) -> Result<Option<Link>, Failure> {
    let block = limited(node.raw_request::<_, Option<Block>>(method.into(), (which, false)));
    Ok(block.await?.map(|block| Link {
        number: block.number.to(),
        hash: block.hash,
        parent: block.parent_hash,
    }))
}
