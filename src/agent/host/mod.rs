//! Metrics of the machine by Metricbeat's names, one file per metric set.
//!
//! A set is pure: the text of `/proc` in, a sample or a document out. [`sampler`] alone reads files.

mod core;
mod counter;
mod cpu;
mod diskio;
mod files;
mod filesystem;
mod fsstat;
mod load;
mod memory;
mod metadata;
mod network;
mod network_summary;
mod origin;
mod process;
mod process_summary;
mod raid;
mod sampler;
mod schedule;
mod service;
mod services;
mod set;
#[cfg(target_os = "linux")]
mod sock_diag;
mod socket_summary;
#[cfg(test)]
mod tests;
mod uptime;
mod users;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use self::metadata::host_metadata;
pub use self::sampler::Sampler;
use self::services::Services;
pub use self::set::MetricSet;
use crate::agent::outbox::Outbox;
use crate::{config, slot, tasks};

/// Samples on a fixed grid until `stop`; a tick that was missed (the machine slept) is left out, not caught up.
pub async fn run(
    config: config::Host,
    outbox: Outbox,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut sampler = Sampler::new(&config, outbox.agent_id());
    let mut services = Services::new(&config, outbox.agent_id());
    let mut grid = tokio::time::interval(sampler.schedule().period());
    grid.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = grid.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let at = slot::now();
        let due = sampler.schedule().due();
        let with_services = due.contains(&MetricSet::Service);
        let period = sampler.schedule().period_of(MetricSet::Service);
        // Systemd is asked while the files are read: it may take its time.
        let asking = async {
            match with_services {
                true => services.sample(at, period).await,
                false => Vec::new(),
            }
        };
        let reading = tasks::blocking(move || {
            let events = sampler.sample_sets(&due, at);
            (sampler, events)
        });
        let (read, asked) = tokio::join!(reading, asking);
        let events;
        (sampler, events) = read;
        for event in events.into_iter().chain(asked) {
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
