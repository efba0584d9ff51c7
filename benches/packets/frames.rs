//! Ethernet frames made by hand.

use std::net::Ipv4Addr;

/// One end of a conversation.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
}

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;

pub(crate) fn tcp(from: End, to: End, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ip(from.ip, to.ip, TCP, 20 + payload.len());
    frame.extend(from.port.to_be_bytes());
    frame.extend(to.port.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(payload);
    frame
}

pub(crate) fn udp(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut frame = ip(from.ip, to.ip, UDP, 8 + payload.len());
    frame.extend(from.port.to_be_bytes());
    frame.extend(to.port.to_be_bytes());
    frame.extend((8 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend_from_slice(payload);
    frame
}

/// A request to answer, or the answer.
pub(crate) fn echo(from: Ipv4Addr, to: Ipv4Addr, kind: u8, id: u16, sequence: u16) -> Vec<u8> {
    let mut frame = ip(from, to, ICMP, 64);
    frame.extend([kind, 0, 0, 0]);
    frame.extend(id.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend([0x5a; 56]);
    frame
}

pub(crate) fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 12];
    frame.extend([0x08, 0x06]);
    frame.extend([0; 46]);
    frame
}

fn ip(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(34 + body);
    frame.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0]);
    frame.extend((20 + body as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame
}
