//! What every transaction's document says: who asked whom, over what, from when to when.

use chrono::{DateTime, Utc};

use super::address::{Endpoint, FlowKey, Side};
use super::community_id::community_id;
use super::decode::{ICMP, ICMPV6, TCP, UDP};
use super::networks::Networks;
use super::short::Short;
use super::stats::Stats;
use crate::config;
use crate::event::{DataStream, Document, DocumentId, Event};

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
    pub fn event(
        &self,
        stream: DataStream,
        protocol: &'static str,
        span: Span,
        what: &str,
    ) -> Event {
        let (client, server) = (self.key.end(self.client), self.server_end());
        let (client_ip, server_ip) = (client.address.ip(), server.address.ip());
        let community_id = community_id(&self.key, self.client, self.icmp);
        let id = DocumentId::of(&[
            &self.setting.agent_id,
            &self.setting.interface,
            stream.dataset(),
            &community_id,
            Short::of(span.from).as_str(),
            what,
        ]);
        let mut event = Event::new(stream, id, nanos(span.from));
        let document = &mut event.document;
        document.set_word("type", protocol);
        let (client_text, server_text) = (client_ip.to_string(), server_ip.to_string());
        for (end, text, bytes, names) in [
            (client, &client_text, span.client_bytes, &CLIENT),
            (server, &server_text, span.server_bytes, &SERVER),
        ] {
            for [ip, bytes_name, port] in names {
                document.set_text(*ip, text);
                document.set(*bytes_name, bytes);
                if matches!(self.key.protocol, TCP | UDP) {
                    document.set(*port, end.port);
                }
            }
        }
        document.set("related.ip", vec![client_text, server_text]);
        document.set_word("network.type", network_type(&self.key));
        set_transport(document, self.key.protocol);
        document.set_text("network.community_id", &community_id);
        let direction = self.setting.networks.direction(client_ip, server_ip);
        document.set_word("network.direction", direction);
        document.set("network.bytes", span.client_bytes + span.server_bytes);
        let mut kinds = vec!["connection"];
        if protocol != "icmp" {
            document.set_word("network.protocol", protocol);
            kinds.push("protocol");
        }
        document.set_word("event.kind", "event");
        document.set("event.category", vec!["network"]);
        document.set("event.type", kinds);
        document.set_time("event.start", nanos(span.from));
        document.set_time("event.end", nanos(span.to));
        let duration = span.to.saturating_sub(span.from).max(0);
        document.set("event.duration", duration);
        event
    }
}

/// Each end has two names, and under each an address, bytes and a port.
const CLIENT: [[&str; 3]; 2] = [
    ["source.ip", "source.bytes", "source.port"],
    ["client.ip", "client.bytes", "client.port"],
];
const SERVER: [[&str; 3]; 2] = [
    ["destination.ip", "destination.bytes", "destination.port"],
    ["server.ip", "server.bytes", "server.port"],
];

/// `network.type`
pub fn network_type(key: &FlowKey) -> &'static str {
    if key.is_v6() { "ipv6" } else { "ipv4" }
}

/// Sets `network.transport`: IANA's name, or the number.
pub fn set_transport(document: &mut Document, protocol: u8) {
    match transport_name(protocol) {
        Some(name) => document.set_word("network.transport", name),
        None => document.set("network.transport", protocol.to_string()),
    }
}

pub fn transport_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
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
        _ => return None,
    })
}

pub fn nanos(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(at)
}

/// Bytes that should be text, at most so many characters of them.
pub fn text(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(bytes).chars().take(most).collect()
}
