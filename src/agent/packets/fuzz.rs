//! What must hold for any bytes on the wire. Each function panics where a promise is broken.

use super::address::{FlowKey, Side};
use super::decode::{self, ACK, Link, NO_VLAN, Packet, Tcp, Transport};
use super::dns::{self, Dns};
use super::icmp::Pings;
use super::label::Label;
use super::sip;
use super::talk::Conversation;
use super::transaction::{Scene, Setting};
use super::{Analyzer, Networks, Stats};
use crate::config;
use crate::event::{DataStream, Event};
use crate::fuzz::chunks;

/// What a connection may hold, whatever is said in it.
const MOST_HELD_BYTES: usize = 1 << 20;

const LINKS: [Link; 5] = [
    Link::Ethernet,
    Link::Raw,
    Link::Loopback,
    Link::Cooked,
    Link::Cooked2,
];

/// Frames of any link, each behind its length and the time that passed: every one is in a flow, or counted.
pub fn frame(input: &[u8]) {
    let Some((link, mut rest)) = input.split_first() else {
        return;
    };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    let config = config::Packets {
        max_flows: 50,
        ..config::Packets::default()
    };
    let mut analyzer = Analyzer::new(&config, "agent", "fuzz", &[], config.max_flows);
    let (mut at, mut out, mut frames) = (0, Vec::new(), 0);
    while let Some(([length, passed], after)) = rest.split_first_chunk::<2>() {
        let (frame, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        at += i64::from(*passed) * 100_000_000;
        frames += 1;
        let wire_bytes = u32::from(*length) + u32::from(passed & 1);
        analyzer.frame(link, at, wire_bytes, frame, &mut out);
        assert!(analyzer.flows() <= config.max_flows);
    }
    while analyzer.finish(&mut out) {}
    let stats = analyzer.stats();
    let in_flows: u64 = out
        .iter()
        .filter(|event| event.stream == DataStream::Flow)
        .filter_map(|event| event.document.get_u64("network.packets"))
        .sum();
    assert_eq!(in_flows + stats.malformed + stats.not_ip, frames);
    assert_eq!(stats.decoder_panics, 0);
}

/// A datagram, and the same and more on TCP, which gives the same documents however it is cut.
pub fn dns(input: &[u8]) {
    let stage = Stage::new(decode::UDP);
    let (mut stats, mut out) = (Stats::default(), Vec::new());
    let mut dns = Dns::default();
    let mut scene = stage.scene(&mut stats, &mut out);
    let is_message = dns.message(Side::High, input, &mut scene);
    assert_eq!(is_message, dns::message::parse(input).is_some());
    assert_eq!(stats.undecoded, u64::from(!is_message));
    assert_any_cut(input, Label::Dns, |events| events);
}

/// A datagram, and messages on TCP, which give the same documents however they are cut.
pub fn sip(input: &[u8]) {
    let stage = Stage::new(decode::UDP);
    let (mut stats, mut out) = (Stats::default(), Vec::new());
    sip::message(Side::Low, input, &mut stage.scene(&mut stats, &mut out));
    assert!(out.len() <= 1);
    assert_any_cut(input, Label::Sip, |events| events);
}

/// A handshake says the same however it is cut.
pub fn tls(input: &[u8]) {
    assert_any_cut(input, Label::Tls, |events| {
        let said = events
            .into_iter()
            .map(|event| event.document.get("tls").cloned());
        said.collect::<Vec<_>>()
    });
}

/// Messages are no longer than what was said, and end with the connection.
pub fn http(input: &[u8]) {
    let Some((cuts, turns)) = turns(input) else {
        return;
    };
    let (events, said) = (
        converse(Label::Http, &turns, cuts),
        turns.map(|(_, bytes)| bytes.len() as u64),
    );
    for (name, said) in [("client.bytes", said[0]), ("server.bytes", said[1])] {
        let bytes = events
            .iter()
            .filter_map(|event| event.document.get_u64(name));
        // Either end may have been taken for the client.
        assert!(bytes.sum::<u64>() <= said + turns[0].1.len() as u64 + turns[1].1.len() as u64);
    }
}

/// Messages of either version: each is in one document, as a request, as its response or alone.
pub fn icmp(input: &[u8]) {
    let Some((version, mut rest)) = input.split_first() else {
        return;
    };
    let protocol = match version & 1 {
        0 => decode::ICMP,
        _ => decode::ICMPV6,
    };
    let stage = Stage::new(protocol);
    let (mut stats, mut out) = (Stats::default(), Vec::new());
    let (mut pings, mut messages) = (Pings::default(), 0);
    while let Some((length, after)) = rest.split_first() {
        let (message, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let Transport::Icmp(icmp) = decode::transport(protocol, message) else {
            continue;
        };
        messages += 1;
        let from = Side::BOTH[usize::from(length & 1)];
        pings.message(from, &icmp, &mut stage.scene(&mut stats, &mut out));
    }
    while let Some((_, asked)) = pings.expired(i64::MAX) {
        asked.unanswered(&mut stage.scene(&mut stats, &mut out));
    }
    let told = out.iter().map(|event| {
        let has = |name| usize::from(event.document.get(name).is_some());
        has("icmp.request.type") + has("icmp.response.type")
    });
    assert_eq!(told.sum::<usize>(), messages);
}

/// Surroundings for a decoder.
struct Stage {
    setting: Setting,
    key: FlowKey,
}

impl Stage {
    fn new(protocol: u8) -> Self {
        let address = |last| super::address::Address::v4([10, 0, 0, last]);
        let packet = Packet {
            macs: None,
            vlans: [NO_VLAN; 2],
            source: address(1),
            destination: address(2),
            protocol,
            fragment: None,
            body: &[],
            missing: 0,
        };
        Self {
            setting: Setting {
                agent_id: "agent".into(),
                interface: "fuzz".into(),
                networks: Networks::default(),
                config: config::Packets::default(),
            },
            key: FlowKey::new(&packet, [40_000, 53]).0,
        }
    }

    fn scene<'a>(&'a self, stats: &'a mut Stats, out: &'a mut Vec<Event>) -> Scene<'a> {
        Scene {
            setting: &self.setting,
            key: self.key,
            client: Side::Low,
            icmp: (0, 0),
            at: 0,
            stats,
            out,
        }
    }
}

type Turns<'a> = [(Side, &'a [u8]); 2];

/// How segments are cut, what the client says, what the server says.
fn turns(input: &[u8]) -> Option<(&[u8], Turns<'_>)> {
    let (head, said) = input.split_first_chunk::<8>()?;
    let split = usize::from(u16::from_be_bytes([head[0], head[1]])) % (said.len() + 1);
    let (client, server) = said.split_at(split);
    Some((&input[2..8], [(Side::Low, client), (Side::High, server)]))
}

fn assert_any_cut<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    label: Label,
    view: impl Fn(Vec<Event>) -> T,
) {
    if let Some((cuts, turns)) = turns(input) {
        let whole = view(converse(label, &turns, &[]));
        assert_eq!(view(converse(label, &turns, cuts)), whole);
    }
}

/// What a connection gives in which each side speaks once, in segments.
fn converse(label: Label, turns: &Turns<'_>, cuts: &[u8]) -> Vec<Event> {
    let stage = Stage::new(decode::TCP);
    let (mut stats, mut out) = (Stats::default(), Vec::new());
    let Some(mut conversation) = Conversation::new(label, [None; 2]) else {
        return out;
    };
    let mut dns = Dns::default();
    for (from, said) in turns {
        let mut sequence = 0;
        for payload in chunks(said, cuts) {
            let tcp = Tcp {
                ports: [0, 0],
                sequence,
                flags: ACK,
                payload,
            };
            let mut scene = stage.scene(&mut stats, &mut out);
            conversation.segment(*from, &tcp, 0, &mut dns, &mut scene);
            sequence += payload.len() as u32;
            assert!(conversation.memory() <= MOST_HELD_BYTES);
        }
    }
    let mut scene = stage.scene(&mut stats, &mut out);
    conversation.end(&mut dns, &mut scene);
    while let Some((_, asked)) = dns.expired(i64::MAX) {
        asked.unanswered(&mut stage.scene(&mut stats, &mut out));
    }
    out
}
