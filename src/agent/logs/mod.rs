//! Client logs: files are followed by [`tail`], cut into lines and records, and parsed by one file per client.
//!
//! A file is its own queue: the registry keeps how far each was shipped and acknowledged. Only [`tail`], [`scan`] and
//! [`mod@file`] touch the disk; lines, records, identity and formats are pure.

mod besu;
mod check;
mod client;
mod container;
mod contents;
mod erigon;
mod fields;
mod file;
mod followed;
mod frame;
pub mod fuzz;
mod generic;
mod geth;
mod grandine;
mod gzip;
mod hints;
mod identity;
mod journal;
mod keys;
mod known;
mod lighthouse;
mod lines;
mod listing;
mod lodestar;
mod log4j;
mod logfmt;
mod multiline;
mod nethermind;
mod nimbus;
mod opening;
mod prysm;
mod recognise;
mod record;
mod registry;
mod rescan;
mod reth;
mod scan;
mod schedule;
mod slots;
mod tail;
mod teku;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod transport;
mod turns;
mod vocabulary;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::check::{check, each, read};
pub use self::client::Client;
pub use self::record::{Parsed, Reading};
use self::registry::Kept;
pub use self::registry::{RegistryEntry, registry_entries};
pub use self::tail::UNREAD;
use self::tail::{Pace, Tailer};
pub use self::text::time::Zone;
use super::counters::Counters;
use super::outbox::{Outbox, Seal};
use super::sheet::Sheet;
use super::ship::LogBatch;
use super::store::{Change, StoreHandle};
use crate::config;
use crate::tasks::{self, Tasks};

/// What the tailer of all sections works with.
pub struct Tail {
    pub sections: Vec<config::Logs>,
    /// The registry as the store holds it at the start.
    pub registry: Vec<(String, Vec<u8>)>,
    pub store: StoreHandle,
    pub seal: Seal,
    pub batches: mpsc::Sender<LogBatch>,
    pub counters: Arc<Counters>,
    /// No agent of this id was here before: nothing can be stored already.
    pub is_first_life: bool,
    /// Ends at the end of all files; what could not be read is counted as [`UNREAD`].
    pub once: bool,
}

/// What can be said of the sections without looking at a file: whether their patterns can be read, and whether each
/// unit of a journal is followed once.
pub fn check_sections(sections: &[config::Logs]) -> anyhow::Result<()> {
    journal::check(sections)?;
    scan::Scanner::new(sections).map(drop)
}

/// Follows files and journals until `stop`.
pub async fn run(tail: Tail, outbox: Outbox, stop: CancellationToken) -> anyhow::Result<()> {
    let mut tasks = Tasks::new(stop.clone());
    for (journal, kept) in journal::of(&tail, outbox.agent_id()) {
        let stop = stop.clone();
        let name = format!("journal of {}", journal.unit);
        tasks.spawn(name, async move {
            journal.run(kept, stop).await;
            Ok(())
        });
    }
    let tailer = follow_files(tail, outbox.agent_id().to_owned(), stop);
    tasks.spawn("files", tailer);
    tasks.join().await
}

/// On a thread of its own: reading files blocks.
async fn follow_files(tail: Tail, agent_id: String, stop: CancellationToken) -> anyhow::Result<()> {
    let Tail {
        mut sections,
        registry,
        store,
        seal,
        batches,
        counters,
        is_first_life,
        once,
    } = tail;
    sections.retain(|section| section.journald.is_none());
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
    tailer.agent_id = agent_id;
    tailer.counters = counters;
    tailer.sheet = Sheet::new(seal);
    tailer.keep = Box::new(keep);
    tailer.stop = stop;
    tailer.is_first_life = is_first_life;
    tailer.once = once;
    tasks::blocking(move || {
        (tailer.keep)(orphans);
        tailer.run();
    })
    .await;
    Ok(())
}
