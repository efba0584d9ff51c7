//! What every document carries beside its own fields.
//!
//! A document that is a list of fields is written by the template of its shape; one that is a tree is merged with the
//! envelope field by field.

mod json;
mod template;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use self::json::{write_field, write_name};
use self::template::{CREATED, Templates};
use super::store::{Record, Sealed};
use crate::event::{DataStream, Document, Event, timestamp};
use crate::slot::ChainSpec;

/// The version of the Elastic Common Schema whose names the documents use.
const ECS_VERSION: &str = "8.17.0";

/// Room for nearly every record while it is written; what is left over is given back.
const TYPICAL_BYTES: usize = 2048;

/// Who speaks. What is learnt later (client, network) is set when it is known.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Kept in the store: the same over restarts.
    pub agent_id: String,
    /// Another one for each start.
    pub ephemeral_id: String,
    /// `[node] name`; the host's name where that is empty.
    pub node_name: String,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    /// `host.*`
    pub host: Document,
    /// Name and version of the beacon node's client.
    pub client: Option<(String, String)>,
    /// Name and genesis time.
    pub network: Option<(String, DateTime<Utc>)>,
}

impl Identity {
    pub fn set_network(&mut self, spec: &ChainSpec) {
        self.network = Some((spec.network.clone(), spec.genesis_time));
    }

    /// The part of the document that does not depend on the event.
    fn document(&self, stream: DataStream) -> Document {
        let mut document = self.host.clone();
        document.set("ecs.version", ECS_VERSION);
        document.set("data_stream.type", stream.kind());
        document.set("data_stream.dataset", stream.dataset());
        document.set("data_stream.namespace", self.namespace.as_str());
        document.set("event.module", stream.module());
        document.set("event.dataset", stream.dataset());
        document.set("agent.id", self.agent_id.as_str());
        document.set("agent.ephemeral_id", self.ephemeral_id.as_str());
        document.set("agent.name", self.node_name.as_str());
        document.set("agent.type", "ethmon");
        document.set("agent.version", env!("CARGO_PKG_VERSION"));
        if !self.labels.is_empty() {
            // A dot in an operator's label is part of its name.
            let labels = self
                .labels
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()));
            document.set("labels", labels.collect::<Map<_, Value>>());
        }
        document.set("ethereum.node.name", self.node_name.as_str());
        if stream.module() == "ethereum" {
            if let Some((name, version)) = &self.client {
                document.set("ethereum.node.client", name.as_str());
                document.set("ethereum.node.version", version.as_str());
            }
            if let Some((name, genesis_time)) = &self.network {
                document.set("ethereum.network.name", name.as_str());
                document.set("ethereum.network.genesis_time", timestamp(*genesis_time));
            }
        }
        document
    }
}

/// The identity in the form that documents are written with.
#[derive(Debug)]
pub struct Envelope {
    streams: BTreeMap<DataStream, StreamEnvelope>,
}

#[derive(Debug)]
struct StreamEnvelope {
    index: String,
    base: Document,
    templates: Templates,
}

impl Envelope {
    pub fn new(identity: &Identity) -> Self {
        let streams = DataStream::ALL.into_iter().map(|stream| {
            let envelope = StreamEnvelope {
                index: stream.name(&identity.namespace),
                base: identity.document(stream),
                templates: Templates::default(),
            };
            (stream, envelope)
        });
        Self {
            streams: streams.collect(),
        }
    }

    /// What [`Envelope::seal`] adds to a document of the stream where it does not have it.
    pub fn base(&self, stream: DataStream) -> &Document {
        &self.stream(stream).base
    }

    fn stream(&self, stream: DataStream) -> &StreamEnvelope {
        let Some(envelope) = self.streams.get(&stream) else {
            unreachable!("there is an envelope for every stream");
        };
        envelope
    }

    /// The event as it will lie in the spool and in Elasticsearch. Its own fields win.
    pub fn seal(&self, mut event: Event, now: DateTime<Utc>) -> Record {
        let mut bytes = Vec::with_capacity(TYPICAL_BYTES);
        let sealed = self.write(&mut bytes, &mut event, &Moment::of(now));
        bytes.shrink_to_fit();
        sealed.within(&bytes.into())
    }

    /// The same behind what is there already.
    pub fn write(&self, out: &mut Vec<u8>, event: &mut Event, now: &Moment) -> Sealed {
        let stream = self.stream(event.stream);
        Sealed::write(out, now.ms, &stream.index, event.id.as_str(), |out| {
            stream.write(out, &mut event.document, &now.text);
        })
    }
}

/// When an event was taken, in the forms that are written.
#[derive(Debug)]
pub struct Moment {
    /// Since 1970.
    ms: u64,
    text: String,
}

impl Moment {
    pub fn of(now: DateTime<Utc>) -> Self {
        Self {
            ms: u64::try_from(now.timestamp_millis()).unwrap_or_default(),
            text: timestamp(now),
        }
    }
}

impl StreamEnvelope {
    fn write(&self, out: &mut Vec<u8>, document: &mut Document, created: &str) {
        let base = self.base.as_map();
        let is_written = document
            .fields()
            .is_some_and(|fields| self.templates.of(fields, base).write(out, fields, created));
        if !is_written {
            if document.get(CREATED).is_none() {
                document.set_text(CREATED, created);
            }
            write_merged(out, document.as_map(), base);
        }
    }
}

/// As [`Document::merge_missing`] would, without building the result.
fn write_merged(out: &mut Vec<u8>, own: &Map<String, Value>, base: &Map<String, Value>) {
    let missing = base.iter().filter(|(name, _)| !own.contains_key(*name));
    out.push(b'{');
    for (position, (name, value)) in own.iter().chain(missing).enumerate() {
        if position > 0 {
            out.push(b',');
        }
        match (value, base.get(name)) {
            (Value::Object(own), Some(Value::Object(base))) => {
                write_name(out, name);
                write_merged(out, own, base);
            }
            _ => write_field(out, name, value),
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DocumentId;
    use serde_json::json;

    fn identity() -> Identity {
        let mut host = Document::default();
        host.set("host.name", "box");
        Identity {
            agent_id: "a1".into(),
            ephemeral_id: "e1".into(),
            node_name: "beacon-1".into(),
            namespace: "default".into(),
            labels: BTreeMap::from([("a.b".into(), "c".into())]),
            host,
            client: Some(("Lighthouse".into(), "v7".into())),
            network: Some(("mainnet".into(), DateTime::UNIX_EPOCH)),
        }
    }

    fn event(stream: DataStream) -> Event {
        Event::new(stream, DocumentId::of(&["x"]), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_encoded_document_is_what_merging_would_give() {
        let identity = identity();
        let envelope = Envelope::new(&identity);
        let now = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        for stream in DataStream::ALL {
            let event = event(stream)
                .with("message", "quote \" and \u{1} control")
                .with("event.action", "block")
                .with("ethereum.block.slot", 5)
                .with("ethereum.node.client", "own wins")
                .with("host", "a scalar in the way stays")
                .with("labels.own", true);
            let mut merged = event.document.clone();
            merged.set("event.created", timestamp(now));
            merged.merge_missing(&identity.document(stream));

            let record = envelope.seal(event, now);
            let document: Value = serde_json::from_slice(record.document()).unwrap();
            assert_eq!(document, merged.into_value());
            assert_eq!(record.index(), stream.name("default"));
            assert_eq!(record.id(), DocumentId::of(&["x"]).as_str());
        }
    }

    #[test]
    fn the_chain_is_named_where_a_chain_is_involved() {
        let envelope = Envelope::new(&identity());
        let seal = |stream| {
            let record = envelope.seal(event(stream), DateTime::UNIX_EPOCH);
            serde_json::from_slice::<Value>(record.document()).unwrap()
        };
        let block = seal(DataStream::Block);
        assert_eq!(block["ethereum"]["network"]["name"], "mainnet");
        assert_eq!(block["labels"], json!({"a.b": "c"}));
        assert_eq!(block["event"]["created"], "1970-01-01T00:00:00.000Z");
        let host = seal(DataStream::SystemCpu);
        assert_eq!(host["ethereum"], json!({"node": {"name": "beacon-1"}}));
    }
}
