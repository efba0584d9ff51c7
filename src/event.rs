//! The one type that travels: a document on its way to a data stream. Knows nobody.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

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
    NetworkBlock,
    Reorg,
    HeadSplit,
    Alert,
    AgentReport,
    Flow,
    Dns,
    Http,
    Tls,
    Icmp,
    Sip,
    Traffic,
}

impl DataStream {
    pub const ALL: [Self; 24] = [
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
        Self::NetworkBlock,
        Self::Reorg,
        Self::HeadSplit,
        Self::Alert,
        Self::AgentReport,
        Self::Flow,
        Self::Dns,
        Self::Http,
        Self::Tls,
        Self::Icmp,
        Self::Sip,
        Self::Traffic,
    ];

    /// `logs` or `metrics`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::BeaconEvent
            | Self::Block
            | Self::ClientLog
            | Self::NetworkBlock
            | Self::Reorg
            | Self::HeadSplit
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
            Self::NetworkBlock => "ethereum.network_block",
            Self::Reorg => "ethereum.reorg",
            Self::HeadSplit => "ethereum.head_split",
            Self::Alert => "ethmon.alert",
            Self::AgentReport => "ethmon.agent",
            Self::Flow => "network_traffic.flow",
            Self::Dns => "network_traffic.dns",
            Self::Http => "network_traffic.http",
            Self::Tls => "network_traffic.tls",
            Self::Icmp => "network_traffic.icmp",
            Self::Sip => "network_traffic.sip",
            Self::Traffic => "ethereum.traffic",
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

/// A document's stable `_id`: the same fact always hashes to the same id, so that sending it twice stores it once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(String);

impl DocumentId {
    /// Hashes the parts with their lengths, so that `["a", "bc"]` and `["ab", "c"]` differ. 128 bits, hexadecimal.
    pub fn of(parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(hex::encode(&hasher.finalize()[..16]))
    }

    /// An id that was already given, read back from the spool or from Elasticsearch.
    pub fn existing(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.document.set(path, value);
        self
    }

    /// As [`Event::with`], leaving the field out where there is no value.
    #[must_use]
    pub fn with_some(mut self, path: &str, value: Option<impl Into<Value>>) -> Self {
        self.document.set_some(path, value);
        self
    }
}

/// A JSON object, built and read by dotted field names and stored nested, as Elastic's own agents store theirs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document(Map<String, Value>);

impl Document {
    pub fn at(at: DateTime<Utc>) -> Self {
        let mut document = Self::default();
        document.set("@timestamp", timestamp(at));
        document
    }

    /// `ethereum.block.slot` sets `{"ethereum": {"block": {"slot": …}}}`. A scalar in the way is replaced.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) {
        let mut object = &mut self.0;
        let mut rest = path;
        while let Some((head, tail)) = rest.split_once('.') {
            let child = object
                .entry(head)
                .or_insert_with(|| Value::Object(Map::new()));
            if !child.is_object() {
                *child = Value::Object(Map::new());
            }
            let Value::Object(inner) = child else { return };
            object = inner;
            rest = tail;
        }
        object.insert(rest.to_owned(), value.into());
    }

    pub fn set_some(&mut self, path: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(path, value);
        }
    }

    /// Reads a field whether it is stored nested, dotted, or half of each, as foreign documents may be.
    pub fn get(&self, path: &str) -> Option<&Value> {
        lookup(&self.0, path)
    }

    pub fn get_str(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }

    pub fn get_u64(&self, path: &str) -> Option<u64> {
        self.get(path)?.as_u64()
    }

    pub fn get_f64(&self, path: &str) -> Option<f64> {
        self.get(path)?.as_f64()
    }

    pub fn get_bool(&self, path: &str) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// `@timestamp`, where it is there and is a time.
    pub fn timestamp(&self) -> Option<DateTime<Utc>> {
        self.get_str("@timestamp")?.parse().ok()
    }

    /// Adds what is missing here from `other`, object by object; what is here stays.
    pub fn merge_missing(&mut self, other: &Document) {
        merge(&mut self.0, &other.0);
    }

    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

impl From<Map<String, Value>> for Document {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl serde::Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// RFC 3339, UTC, milliseconds: the resolution of Elasticsearch's `date`.
pub fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn lookup<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.')
        .find_map(|(dot, _)| lookup(object.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    fn fields_are_set_nested_and_read_either_way() {
        let mut document = Document::default();
        document.set("ethereum.block.slot", 5);
        document.set("ethereum.block.root", "0x01");
        assert_eq!(
            document.clone().into_value(),
            json!({"ethereum": {"block": {"slot": 5, "root": "0x01"}}})
        );
        assert_eq!(document.get_u64("ethereum.block.slot"), Some(5));

        let Value::Object(dotted) = json!({"ethereum.block": {"slot": 6}, "a": {"b.c": 1}}) else {
            unreachable!()
        };
        let dotted = Document::from(dotted);
        assert_eq!(dotted.get_u64("ethereum.block.slot"), Some(6));
        assert_eq!(dotted.get_u64("a.b.c"), Some(1));
        assert_eq!(dotted.get("a.b.d"), None);
    }

    #[test]
    fn ids_depend_on_the_parts_and_not_on_their_joint() {
        assert_eq!(DocumentId::of(&["a", "bc"]), DocumentId::of(&["a", "bc"]));
        assert_ne!(DocumentId::of(&["a", "bc"]), DocumentId::of(&["ab", "c"]));
        assert_eq!(DocumentId::of(&["a"]).as_str().len(), 32);
    }

    #[test]
    fn merging_keeps_what_is_there() {
        let mut document = Document::default();
        document.set("host.name", "own");
        let mut base = Document::default();
        base.set("host.name", "other");
        base.set("host.arch", "x86_64");
        document.merge_missing(&base);
        assert_eq!(
            document.into_value(),
            json!({"host": {"name": "own", "arch": "x86_64"}})
        );
    }
}
