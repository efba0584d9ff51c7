//! What is measured; one data stream each.

use serde::Deserialize;

use crate::event::DataStream;

/// A metric set of Metricbeat's system module, by its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricSet {
    Cpu,
    Core,
    Load,
    Memory,
    Network,
    NetworkSummary,
    Filesystem,
    Fsstat,
    Diskio,
    Process,
    ProcessSummary,
    SocketSummary,
    Uptime,
    Users,
    Service,
    Raid,
}

/// How often a set is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Each `period`.
    Fast,
    /// Each `filesystem_period`.
    Filesystem,
    /// Each `slow_period`.
    Slow,
}

impl MetricSet {
    pub const ALL: [Self; 16] = [
        Self::Cpu,
        Self::Core,
        Self::Load,
        Self::Memory,
        Self::Network,
        Self::NetworkSummary,
        Self::Filesystem,
        Self::Fsstat,
        Self::Diskio,
        Self::Process,
        Self::ProcessSummary,
        Self::SocketSummary,
        Self::Uptime,
        Self::Users,
        Self::Service,
        Self::Raid,
    ];

    /// `metricset.name`
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Core => "core",
            Self::Load => "load",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::NetworkSummary => "network_summary",
            Self::Filesystem => "filesystem",
            Self::Fsstat => "fsstat",
            Self::Diskio => "diskio",
            Self::Process => "process",
            Self::ProcessSummary => "process_summary",
            Self::SocketSummary => "socket_summary",
            Self::Uptime => "uptime",
            Self::Users => "users",
            Self::Service => "service",
            Self::Raid => "raid",
        }
    }

    /// Cores are many, and few look at them one by one.
    pub fn is_default(self) -> bool {
        self != Self::Core
    }

    pub(super) fn stream(self) -> DataStream {
        match self {
            Self::Cpu => DataStream::SystemCpu,
            Self::Core => DataStream::SystemCore,
            Self::Load => DataStream::SystemLoad,
            Self::Memory => DataStream::SystemMemory,
            Self::Network => DataStream::SystemNetwork,
            Self::NetworkSummary => DataStream::SystemNetworkSummary,
            Self::Filesystem => DataStream::SystemFilesystem,
            Self::Fsstat => DataStream::SystemFsstat,
            Self::Diskio => DataStream::SystemDiskio,
            Self::Process => DataStream::SystemProcess,
            Self::ProcessSummary => DataStream::SystemProcessSummary,
            Self::SocketSummary => DataStream::SystemSocketSummary,
            Self::Uptime => DataStream::SystemUptime,
            Self::Users => DataStream::SystemUsers,
            Self::Service => DataStream::SystemService,
            Self::Raid => DataStream::SystemRaid,
        }
    }

    pub(super) fn pace(self) -> Pace {
        match self {
            Self::Filesystem | Self::Fsstat => Pace::Filesystem,
            Self::NetworkSummary | Self::Uptime | Self::Users | Self::Service | Self::Raid => {
                Pace::Slow
            }
            _ => Pace::Fast,
        }
    }
}
