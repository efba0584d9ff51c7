//! `[host]`: metrics of the machine.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Pattern;
use crate::agent::host::MetricSet;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// One sample of each set per period.
    #[serde(with = "super::duration")]
    pub period: Duration,
    /// File systems fill slowly and are many: they have a period of their own, rounded up to whole `period`s.
    #[serde(with = "super::duration")]
    pub filesystem_period: Duration,
    /// Of what changes rarely or says much at once: `network_summary`, `uptime`, `users`, `service`, `raid`.
    #[serde(with = "super::duration")]
    pub slow_period: Duration,
    /// Where the host's `/` is mounted; other than `/` in a container.
    pub hostfs: PathBuf,
    /// Absent: all but `core`.
    pub sets: Option<Vec<MetricSet>>,
    /// So many of the processes that used most CPU time since the sample before. Each takes some 3 MB a day in the index;
    /// Ethereum clients come besides.
    pub processes_by_cpu: usize,
    /// So many of the processes with most memory.
    pub processes_by_memory: usize,
    /// Processes reported in any case, as Ethereum clients are: by name or command line.
    pub processes: Vec<Pattern>,
    /// Units whose state is reported, as `systemctl` takes patterns.
    pub services: Vec<String>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(10),
            filesystem_period: Duration::from_secs(60),
            slow_period: Duration::from_secs(60),
            hostfs: "/".into(),
            sets: None,
            processes_by_cpu: 3,
            processes_by_memory: 3,
            processes: Vec::new(),
            services: SERVICES.map(str::to_owned).into(),
        }
    }
}

/// As clients' units are called in packages, guides and installers.
const SERVICES: [&str; 18] = [
    "ethmon*.service",
    "lighthouse*.service",
    "prysm*.service",
    "teku*.service",
    "nimbus*.service",
    "lodestar*.service",
    "grandine*.service",
    "geth*.service",
    "nethermind*.service",
    "besu*.service",
    "erigon*.service",
    "reth*.service",
    "beacon*.service",
    "consensus*.service",
    "execution*.service",
    "validator*.service",
    "eth[12]*.service",
    "mev-boost*.service",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_by_name_and_processes_by_pattern() {
        let text = "period = \"5s\"\nsets = [\"cpu\", \"network_summary\"]\nprocesses = [\"^mev-\"]\nservices = []\n";
        let host: Host = toml::from_str(text).unwrap();
        let sets = vec![MetricSet::Cpu, MetricSet::NetworkSummary];
        assert_eq!(host.sets, Some(sets));
        assert!(host.processes[0].matches("mev-boost") && host.services.is_empty());
        assert_eq!(host.slow_period, Duration::from_secs(60));

        let error = toml::from_str::<Host>("sets = [\"cpus\"]").unwrap_err();
        let message = error.message();
        assert!(
            message.contains("cpus") && message.contains("network_summary"),
            "{message}"
        );
        assert!(toml::from_str::<Host>("processes = [\"(\"]").is_err());
        assert!(toml::from_str::<Host>("top = 5").is_err());
    }
}
