//! Client logs: files are followed by [`tail`], cut into lines and records, and parsed by one file per client.
//!
//! A file is its own queue: the registry keeps how far each was shipped and acknowledged. Only [`tail`], [`scan`] and
//! [`mod@file`] touch the disk; lines, records, identity and formats are pure.

mod besu;
mod check;
mod client;
mod erigon;
mod fields;
mod file;
mod followed;
mod frame;
mod generic;
mod geth;
mod grandine;
mod hints;
mod identity;
mod keys;
mod lighthouse;
mod lodestar;
mod log4j;
mod logfmt;
mod multiline;
mod nethermind;
mod nimbus;
mod prysm;
mod recognise;
mod record;
mod registry;
mod reth;
mod scan;
mod tail;
mod teku;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod transport;
mod vocabulary;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::check::check;
pub use self::client::Client;
pub use self::record::{Parsed, Reading};
use self::registry::Kept;
use self::tail::{Pace, Tailer};
pub use self::text::time::Zone;
use super::counters::Counters;
use super::outbox::Outbox;
use super::ship::LogBatch;
use super::store::{Change, StoreHandle};
use crate::{config, tasks};

/// What the tailer of all sections works with.
pub struct Tail {
    pub sections: Vec<config::Logs>,
    /// The registry as the store holds it at the start.
    pub registry: Vec<(String, Vec<u8>)>,
    pub store: StoreHandle,
    pub batches: mpsc::Sender<LogBatch>,
    pub counters: Arc<Counters>,
}

/// Follows the files until `stop`, on a thread of its own: reading files blocks.
pub async fn run(tail: Tail, outbox: Outbox, stop: CancellationToken) -> anyhow::Result<()> {
    let Tail {
        sections,
        registry,
        store,
        batches,
        counters,
    } = tail;
    let (runtime, stopped) = (Handle::current(), stop.clone());
    let keep = move |registry: Vec<Kept>| {
        let change = Change {
            registry,
            ..Change::default()
        };
        runtime.block_on(async {
            tokio::select! {
                kept = store.commit(change) => kept.is_ok(),
                () = stopped.cancelled() => false,
            }
        })
    };
    let (known, orphans) = registry::load(registry);
    let mut tailer = Tailer::new(sections, known, batches, Pace::PRODUCTION)?;
    tailer.agent_id = outbox.agent_id().to_owned();
    tailer.counters = counters;
    tailer.keep = Box::new(keep);
    tailer.stop = stop;
    tasks::blocking(move || {
        (tailer.keep)(orphans);
        tailer.run();
    })
    .await;
    Ok(())
}
