//! Polls the local execution client over JSON-RPC: one document per period, whether it answers or not.
//!
//! ```text
//! ask ─→ follow (fetches what chain wants) ─→ document ─→ outbox
//! ```
//! A method that the client lacks costs its fields, and a silent client costs all but the status: each is said once.

mod ask;
mod chain;
mod document;
mod follow;
mod said;

#[cfg(test)]
mod tests;

use std::time::Duration;

use alloy::providers::RootProvider;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::ask::Answers;
use self::chain::{Chain, Reorg};
use self::said::Said;
use crate::agent::outbox::Outbox;
use crate::event::Event;
use crate::{config, slot};

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
    let mut client = Client::new(RootProvider::new_http(config.url));
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

/// The client, and what is known of it from earlier polls.
struct Client {
    node: RootProvider,
    said: Said,
    chain: Chain,
    /// Another chain's blocks are no reorg.
    chain_id: Option<u64>,
}

impl Client {
    fn new(node: RootProvider) -> Self {
        Self {
            node,
            said: Said::default(),
            chain: Chain::default(),
            chain_id: None,
        }
    }

    async fn poll(&mut self, agent_id: &str) -> Event {
        let (asked_at, started) = (slot::now(), Instant::now());
        let answers = ask::all(&self.node, &mut self.said).await;
        // A block's age is counted to the moment it was read, not to the end of a walk.
        let answered_at = slot::now();
        let reorg = self.follow(&answers).await;
        let spent = started.elapsed();
        document::of(agent_id, answers, reorg, asked_at, answered_at, spent)
    }

    async fn follow(&mut self, answers: &Answers) -> Option<Reorg> {
        let head = answers.head.as_ref()?.link();
        if let Some(id) = answers.chain_id {
            let known = self.chain_id.replace(id);
            if known.is_some_and(|known| known != id) {
                self.chain = Chain::default();
            }
        }
        follow::to(head, &mut self.chain, &self.node, &mut self.said).await
    }
}
