//! What goes over the wire, by Packetbeat's names: flows, transactions, and each period's sums.
//!
//! Everything but [`capture`], [`captures`] and [`live`] is pure: frames with their times in, documents out. A protocol is one file (or folder), a
//! variant of `Talk` in [`talk`] where it runs on TCP, else its arm in [`decoders`].

pub mod address;
pub mod analyzer;
mod capture;
mod captures;
mod check;
pub mod community_id;
pub mod decode;
pub mod decoders;
pub mod dns;
pub mod filter;
pub mod flow;
pub mod fragments;
pub mod fuzz;
pub mod http;
pub mod icmp;
pub mod label;
mod live;
pub mod networks;
pub mod pending;
mod short;
pub mod sip;
pub mod stats;
pub mod stream;
pub mod summary;
pub mod table;
pub mod talk;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod transaction;

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use self::analyzer::Analyzer;
use self::capture::Ended;
pub use self::captures::Captures;
pub use self::check::check;
pub use self::decode::Link;
pub use self::filter::BpfFilter;
pub use self::networks::Networks;
pub use self::stats::Stats;
use super::outbox::Outbox;
use crate::config;
use crate::tasks::{self, Tasks};

/// Batches of documents between a capture's thread and the outbox.
const BATCHES: usize = 16;

/// Runs one thread per source until `stop`, or until the file has been read.
pub async fn run(
    config: config::Packets,
    captures: Captures,
    outbox: Outbox,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let own = tasks::blocking(captures::own_addresses).await;
    let sources = captures.sources(&config)?;
    let flows_each = config.max_flows / sources.len().max(1);
    let mut all = Tasks::new(stop.clone());
    for source in sources {
        let name = source.name();
        let (sender, mut batches) = mpsc::channel(BATCHES);
        let mut analyzer = Analyzer::new(&config, outbox.agent_id(), &name, &own, flows_each);
        let (captures, counting, ending) = (captures.clone(), outbox.clone(), stop.clone());
        all.spawn(
            format!("capture {name}"),
            tasks::thread(format!("packets {name}"), move || {
                let counted = Mutex::new(Stats::default());
                let report = |analyzer: &Analyzer| count(&counting, &counted, analyzer.stats());
                match source.follow(&mut analyzer, &sender, &ending, report) {
                    Ok(Ended::Stopped(live)) => captures.give_back(live),
                    Ok(Ended::Read(file)) => captures.has_read(&file),
                    Ok(Ended::CutShort) => {}
                    // A broken capture is no reason to stop watching the node.
                    Err(error) => error!(error = format!("{error:#}"), "a capture has ended"),
                }
                Ok(())
            }),
        );
        let outbox = outbox.clone();
        all.spawn(format!("documents of {name}"), async move {
            while let Some(batch) = batches.recv().await {
                for event in batch {
                    outbox.send(event).await;
                }
            }
            Ok(())
        });
    }
    drop(outbox);
    all.join().await
}

/// Adds what was counted since the last time to the agent's own report.
fn count(outbox: &Outbox, counted: &Mutex<Stats>, now: &Stats) {
    let mut before = counted.lock().unwrap_or_else(PoisonError::into_inner);
    for ((name, now), (_, before)) in now.named().into_iter().zip(before.named()) {
        // The kernel's own counters may begin anew.
        let more = now.saturating_sub(before);
        if more > 0 {
            outbox.count(name, more);
        }
    }
    *before = *now;
}
