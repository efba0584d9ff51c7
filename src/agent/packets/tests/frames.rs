//! Frames made by hand, and the analyzer that takes them.

use crate::agent::packets::decode::Link;
use crate::agent::packets::{Analyzer, Stats};
use crate::config;
use crate::event::{DataStream, Document, Event};

pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const START: i64 = 1_700_000_000 * SECOND;

/// Ethernet with as many VLAN tags as given.
pub(super) fn ethernet(tags: &[u16], ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for (place, tag) in tags.iter().enumerate() {
        let outer = place + 1 < tags.len();
        frame.extend(if outer { [0x88, 0xa8] } else { [0x81, 0x00] });
        frame.extend(tag.to_be_bytes());
    }
    let is_v6 = ip.first().is_some_and(|first| first >> 4 == 6);
    frame.extend(if is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    frame.extend_from_slice(ip);
    frame
}

/// `fragment` is id, offset in bytes, and whether more follow.
pub(super) fn ipv4(
    ends: [[u8; 4]; 2],
    protocol: u8,
    fragment: (u16, u16, bool),
    body: &[u8],
) -> Vec<u8> {
    let (id, offset, more) = fragment;
    let mut ip = vec![0x45, 0];
    ip.extend((20 + body.len() as u16).to_be_bytes());
    ip.extend(id.to_be_bytes());
    ip.extend((offset / 8 + (u16::from(more) << 13)).to_be_bytes());
    ip.extend([64, protocol, 0, 0]);
    ip.extend(ends.concat());
    ip.extend_from_slice(body);
    ip
}

pub(super) fn ipv6(ends: [u8; 2], protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend((body.len() as u16).to_be_bytes());
    ip.extend([protocol, 64]);
    for end in ends {
        ip.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
    }
    ip.extend_from_slice(body);
    ip
}

pub(super) fn udp(ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let mut udp: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    udp.extend((8 + payload.len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend_from_slice(payload);
    udp
}

pub(super) fn tcp(ports: [u16; 2], sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut tcp: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    tcp.extend_from_slice(payload);
    tcp
}

pub(super) const OURS: [u8; 4] = [10, 0, 0, 1];
pub(super) const THEIRS: [u8; 4] = [8, 8, 8, 8];

/// From us to them.
pub(super) fn outward(protocol: u8, body: &[u8]) -> Vec<u8> {
    ethernet(&[], &ipv4([OURS, THEIRS], protocol, (0, 0, false), body))
}

/// From them to us.
pub(super) fn inward(protocol: u8, body: &[u8]) -> Vec<u8> {
    ethernet(&[], &ipv4([THEIRS, OURS], protocol, (0, 0, false), body))
}

pub(super) struct Rig {
    pub(super) analyzer: Analyzer,
    pub(super) events: Vec<Event>,
}

impl Rig {
    pub(super) fn new(change: impl FnOnce(&mut config::Packets)) -> Self {
        let mut config = config::Packets::default();
        change(&mut config);
        Self {
            analyzer: Analyzer::new(&config, "agent", "test", &[], config.max_flows),
            events: Vec::new(),
        }
    }

    /// `at` is in nanoseconds after [`START`].
    pub(super) fn frame(&mut self, at: i64, frame: &[u8]) {
        let length = frame.len() as u32;
        self.analyzer
            .frame(Link::Ethernet, START + at, length, frame, &mut self.events);
    }

    pub(super) fn finish(mut self) -> (Vec<Event>, Stats) {
        while self.analyzer.finish(&mut self.events) {}
        crate::setup::assert_accepted(&self.events);
        (self.events, *self.analyzer.stats())
    }
}

pub(super) fn of(events: &[Event], stream: DataStream) -> Vec<&Document> {
    let of_stream = events.iter().filter(|event| event.stream == stream);
    of_stream.map(|event| &event.document).collect()
}
