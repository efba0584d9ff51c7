//! Metrics of the machine by Metricbeat's names, one file per metric set.
//!
//! A set is pure: the text of `/proc` in, a sample or a document out. [`sampler`] alone reads files.

mod cpu;
mod diskio;
mod files;
mod filesystem;
mod load;
mod memory;
mod metadata;
mod network;
mod process_summary;
mod sampler;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use self::metadata::host_metadata;
use self::sampler::Sampler;
use crate::agent::outbox::Outbox;
use crate::event::DataStream;
use crate::{config, slot, tasks};

/// Shorter periods measure mostly the measuring.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// What is measured; one data stream each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum MetricSet {
    Cpu,
    Load,
    Memory,
    Network,
    Filesystem,
    Diskio,
    ProcessSummary,
}

impl MetricSet {
    const ALL: [Self; 7] = [
        Self::Cpu,
        Self::Load,
        Self::Memory,
        Self::Network,
        Self::Filesystem,
        Self::Diskio,
        Self::ProcessSummary,
    ];

    /// `metricset.name`
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Load => "load",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Filesystem => "filesystem",
            Self::Diskio => "diskio",
            Self::ProcessSummary => "process_summary",
        }
    }

    fn stream(self) -> DataStream {
        match self {
            Self::Cpu => DataStream::SystemCpu,
            Self::Load => DataStream::SystemLoad,
            Self::Memory => DataStream::SystemMemory,
            Self::Network => DataStream::SystemNetwork,
            Self::Filesystem => DataStream::SystemFilesystem,
            Self::Diskio => DataStream::SystemDiskio,
            Self::ProcessSummary => DataStream::SystemProcessSummary,
        }
    }
}

/// Samples on a fixed grid until `stop`; a tick that was missed (the machine slept) is left out, not caught up.
pub async fn run(
    config: config::Host,
    outbox: Outbox,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let period = config.period.max(MIN_PERIOD);
    let mut grid = tokio::time::interval(period);
    grid.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sampler = Sampler::new(&config, period, outbox.agent_id());
    loop {
        tokio::select! {
            _ = grid.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let at = slot::now();
        let events;
        (sampler, events) = tasks::blocking(move || {
            let events = sampler.sample(at);
            (sampler, events)
        })
        .await;
        for event in events {
            outbox.send(event).await;
        }
    }
}

/// Part of a whole, four decimals as Metricbeat; `None` of nothing.
fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| rounded(part / whole))
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
