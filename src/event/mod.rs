//! The one type that travels: a document on its way to a data stream. Knows nobody.

mod document;
mod fields;
mod id;
mod pairs;

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use serde_json::Value;

pub use self::document::Document;
pub use self::fields::{Fields, Path, Scalar};
pub use self::id::{DocumentId, IdOf};
pub use self::pairs::Pairs;

/// Where a document goes. The name is `TYPE-DATASET-NAMESPACE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataStream {
    BeaconEvent,
    Block,
    Node,
    Execution,
    ClientLog,
    SystemCpu,
    SystemLoad,
    SystemMemory,
    SystemNetwork,
    SystemFilesystem,
    SystemDiskio,
    SystemProcessSummary,
    SystemCore,
    SystemNetworkSummary,
    SystemFsstat,
    SystemProcess,
    SystemSocketSummary,
    SystemUptime,
    SystemUsers,
    SystemService,
    SystemRaid,
    NetworkBlock,
    Reorg,
    HeadSplit,
    NetworkEvent,
    Alert,
    AgentReport,
    Flow,
    Dns,
    Http,
    Tls,
    Icmp,
    Sip,
    Traffic,
    Attestation,
    Participation,
    Slot,
}

impl DataStream {
    pub const ALL: [Self; 37] = [
        Self::BeaconEvent,
        Self::Block,
        Self::Node,
        Self::Execution,
        Self::ClientLog,
        Self::SystemCpu,
        Self::SystemLoad,
        Self::SystemMemory,
        Self::SystemNetwork,
        Self::SystemFilesystem,
        Self::SystemDiskio,
        Self::SystemProcessSummary,
        Self::SystemCore,
        Self::SystemNetworkSummary,
        Self::SystemFsstat,
        Self::SystemProcess,
        Self::SystemSocketSummary,
        Self::SystemUptime,
        Self::SystemUsers,
        Self::SystemService,
        Self::SystemRaid,
        Self::NetworkBlock,
        Self::Reorg,
        Self::HeadSplit,
        Self::NetworkEvent,
        Self::Alert,
        Self::AgentReport,
        Self::Flow,
        Self::Dns,
        Self::Http,
        Self::Tls,
        Self::Icmp,
        Self::Sip,
        Self::Traffic,
        Self::Attestation,
        Self::Participation,
        Self::Slot,
    ];

    /// `logs` or `metrics`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::BeaconEvent
            | Self::Block
            | Self::Slot
            | Self::ClientLog
            | Self::NetworkBlock
            | Self::Reorg
            | Self::HeadSplit
            | Self::NetworkEvent
            | Self::Alert
            | Self::Flow
            | Self::Dns
            | Self::Http
            | Self::Tls
            | Self::Icmp
            | Self::Sip => "logs",
            _ => "metrics",
        }
    }

    /// `ethereum.block`, `system.cpu`, …: also `event.dataset`.
    pub fn dataset(self) -> &'static str {
        match self {
            Self::BeaconEvent => "ethereum.beacon_event",
            Self::Block => "ethereum.block",
            Self::Node => "ethereum.node",
            Self::Execution => "ethereum.execution",
            Self::ClientLog => "ethereum.client",
            Self::SystemCpu => "system.cpu",
            Self::SystemLoad => "system.load",
            Self::SystemMemory => "system.memory",
            Self::SystemNetwork => "system.network",
            Self::SystemFilesystem => "system.filesystem",
            Self::SystemDiskio => "system.diskio",
            Self::SystemProcessSummary => "system.process.summary",
            Self::SystemCore => "system.core",
            Self::SystemNetworkSummary => "system.network_summary",
            Self::SystemFsstat => "system.fsstat",
            Self::SystemProcess => "system.process",
            Self::SystemSocketSummary => "system.socket.summary",
            Self::SystemUptime => "system.uptime",
            Self::SystemUsers => "system.users",
            Self::SystemService => "system.service",
            Self::SystemRaid => "system.raid",
            Self::NetworkBlock => "ethereum.network_block",
            Self::Reorg => "ethereum.reorg",
            Self::HeadSplit => "ethereum.head_split",
            Self::NetworkEvent => "ethereum.network_event",
            Self::Alert => "ethmon.alert",
            Self::AgentReport => "ethmon.agent",
            Self::Flow => "network_traffic.flow",
            Self::Dns => "network_traffic.dns",
            Self::Http => "network_traffic.http",
            Self::Tls => "network_traffic.tls",
            Self::Icmp => "network_traffic.icmp",
            Self::Sip => "network_traffic.sip",
            Self::Traffic => "ethereum.traffic",
            Self::Attestation => "ethereum.attestation",
            Self::Participation => "ethereum.participation",
            Self::Slot => "ethereum.slot",
        }
    }

    /// `event.module`: the part of the dataset before the first dot.
    pub fn module(self) -> &'static str {
        self.dataset().split('.').next().unwrap_or_default()
    }

    pub fn name(self, namespace: &str) -> String {
        format!("{}-{}-{namespace}", self.kind(), self.dataset())
    }

    /// The reverse of `TYPE-DATASET`, as spooled records and rules name streams.
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| {
            prefix
                .strip_prefix(stream.kind())
                .and_then(|rest| rest.strip_prefix('-'))
                == Some(stream.dataset())
        })
    }

    /// `TYPE-DATASET`: the stream without its namespace.
    pub fn prefix(self) -> String {
        format!("{}-{}", self.kind(), self.dataset())
    }
}

/// A document and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub stream: DataStream,
    pub id: DocumentId,
    pub document: Document,
}

impl Event {
    /// An event whose document has `@timestamp` set and nothing else.
    pub fn new(stream: DataStream, id: DocumentId, at: DateTime<Utc>) -> Self {
        Self {
            stream,
            id,
            document: Document::at(at),
        }
    }

    /// Sets a field by its dotted path and returns the event, for building in one expression.
    #[must_use]
    pub fn with(mut self, path: impl Into<Path>, value: impl Into<Value>) -> Self {
        self.document.set(path, value);
        self
    }

    /// As [`Event::with`], leaving the field out where there is no value.
    #[must_use]
    pub fn with_some(mut self, path: impl Into<Path>, value: Option<impl Into<Value>>) -> Self {
        self.document.set_some(path, value);
        self
    }
}

/// RFC 3339, UTC, milliseconds: the resolution of Elasticsearch's `date`.
pub fn timestamp(at: DateTime<Utc>) -> String {
    let mut text = String::with_capacity(24);
    write_timestamp(&mut text, at);
    text
}

/// Appends [`timestamp`].
fn write_timestamp(out: &mut String, at: DateTime<Utc>) {
    let (date, time) = (at.date_naive(), at.time());
    let ms = time.nanosecond() / 1_000_000;
    let (Ok(year @ 0..=9_999), 0..1_000) = (u32::try_from(date.year()), ms) else {
        // A leap second, or beyond what four digits can say.
        out.push_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true));
        return;
    };
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |end: usize, digits: usize, mut number: u32| {
        for digit in text[end - digits..end].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(4, 4, year);
    put(7, 2, date.month());
    put(10, 2, date.day());
    put(13, 2, time.hour());
    put(16, 2, time.minute());
    put(19, 2, time.second());
    put(23, 3, ms);
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_follow_the_scheme() {
        assert_eq!(
            DataStream::Block.name("default"),
            "logs-ethereum.block-default"
        );
        for stream in DataStream::ALL {
            assert_eq!(DataStream::from_prefix(&stream.prefix()), Some(stream));
        }
    }

    #[test]
    fn times_are_written_as_chrono_writes_them() {
        let leap = "2016-12-31T23:59:60.250Z";
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2025-11-21T09:09:52.099Z",
            "9999-12-31T23:59:59.999Z",
            "-0001-01-01T00:00:00.000Z",
            "+10000-01-01T00:00:00.001Z",
            leap,
        ] {
            assert_eq!(timestamp(text.parse().unwrap()), text);
        }
        let with_ns = "2025-11-21T09:09:52.099999999Z".parse().unwrap();
        assert_eq!(timestamp(with_ns), "2025-11-21T09:09:52.099Z");
    }
}
