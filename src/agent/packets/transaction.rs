//! What every transaction's document says: who asked whom, over what, from when to when.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::address::{Endpoint, FlowKey, Side};
use super::community_id::community_id;
use super::decode::{ICMP, ICMPV6, Mac, TCP, UDP};
use super::networks::Networks;
use super::stats::Stats;
use crate::config;
use crate::event::{DataStream, DocumentId, Event, timestamp};

/// What does not change while a capture goes on.
pub struct Setting {
    pub agent_id: String,
    /// Tells captures on one host apart.
    pub interface: String,
    pub networks: Networks,
    pub config: config::Packets,
}

/// A decoder's surroundings: the flow it looks at, and where it puts what it found.
pub struct Scene<'a> {
    pub setting: &'a Setting,
    pub key: FlowKey,
    pub client: Side,
    /// Type and code of an ICMP flow's first message.
    pub icmp: (u8, u8),
    /// Of the packet in hand, in nanoseconds since 1970.
    pub at: i64,
    pub stats: &'a mut Stats,
    pub out: &'a mut Vec<Event>,
}

/// Of one transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    pub from: i64,
    pub to: i64,
    /// Where both ends said something; the protocol's own bytes.
    pub client_bytes: u64,
    pub server_bytes: u64,
}

impl Scene<'_> {
    /// The same surroundings for another flow.
    pub fn of(&mut self, key: FlowKey) -> Scene<'_> {
        Scene {
            setting: self.setting,
            key,
            client: self.client,
            icmp: self.icmp,
            at: self.at,
            stats: &mut *self.stats,
            out: &mut *self.out,
        }
    }

    pub fn server_end(&self) -> Endpoint {
        self.key.end(self.client.other())
    }

    /// A document with everything that does not depend on the protocol. `what` tells transactions of one flow that
    /// began at the same moment apart.
    pub fn event(&self, stream: DataStream, protocol: &str, span: Span, what: &str) -> Event {
        let (client, server) = (self.key.end(self.client), self.server_end());
        let (client_ip, server_ip) = (client.address.ip(), server.address.ip());
        let community_id = community_id(&self.key, self.client, self.icmp);
        let id = DocumentId::of(&[
            &self.setting.agent_id,
            &self.setting.interface,
            stream.dataset(),
            &community_id,
            &span.from.to_string(),
            what,
        ]);
        let mut network = json!({
            "type": network_type(&self.key),
            "transport": transport_name(self.key.protocol),
            "community_id": community_id,
            "direction": self.setting.networks.direction(client_ip, server_ip),
            "bytes": span.client_bytes + span.server_bytes,
        });
        let kinds = if protocol == "icmp" {
            vec!["connection"]
        } else {
            network["protocol"] = protocol.into();
            vec!["connection", "protocol"]
        };
        let client = self.end(client, span.client_bytes);
        let server = self.end(server, span.server_bytes);
        Event::new(stream, id, nanos(span.from))
            .with("type", protocol)
            .with("source", client.clone())
            .with("client", client)
            .with("destination", server.clone())
            .with("server", server)
            .with("network", network)
            .with(
                "related.ip",
                json!([client_ip.to_string(), server_ip.to_string()]),
            )
            .with(
                "event",
                json!({
                    "kind": "event",
                    "category": ["network"],
                    "type": kinds,
                    "start": timestamp(nanos(span.from)),
                    "end": timestamp(nanos(span.to)),
                    "duration": span.to.saturating_sub(span.from).max(0),
                }),
            )
    }

    fn end(&self, end: Endpoint, bytes: u64) -> Value {
        let mut value = json!({"ip": end.address.ip().to_string(), "bytes": bytes});
        if matches!(self.key.protocol, TCP | UDP) {
            value["port"] = end.port.into();
        }
        value
    }
}

/// `network.type`
pub fn network_type(key: &FlowKey) -> &'static str {
    if key.is_v6() { "ipv6" } else { "ipv4" }
}

/// `network.transport`
pub fn transport_name(protocol: u8) -> String {
    let name = match protocol {
        TCP => "tcp",
        UDP => "udp",
        ICMP => "icmp",
        ICMPV6 => "ipv6-icmp",
        2 => "igmp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        89 => "ospf",
        132 => "sctp",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// As ECS writes it.
pub fn mac_text(mac: Mac) -> String {
    let mut text = String::with_capacity(17);
    for (place, byte) in mac.iter().enumerate() {
        let dash = if place == 0 { "" } else { "-" };
        text.push_str(&format!("{dash}{byte:02X}"));
    }
    text
}

pub fn nanos(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(at)
}

/// Bytes that should be text, at most so many characters of them.
pub fn text(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(bytes).chars().take(most).collect()
}
