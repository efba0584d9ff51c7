//! One captured frame taken apart in place: link, VLAN tags, IP, transport. Pure; nothing is copied.

use super::address::Address;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

pub type Mac = [u8; 6];

/// What stands before the IP header, by libpcap's number of the link type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Ethernet,
    /// BSD loopback: four bytes of address family.
    Loopback,
    Raw,
    /// Linux "any" device, both generations.
    Cooked,
    Cooked2,
}

impl Link {
    pub fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Ethernet,
            0 | 108 => Self::Loopback,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            _ => return None,
        })
    }
}

/// Why a frame is no packet of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecodable {
    /// ARP, LLDP and the like: nothing is lost.
    NotIp,
    /// The frame ends within a header, or a header contradicts itself.
    Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Source and destination.
    pub macs: Option<[Mac; 2]>,
    /// Ids from the outside in, [`NO_VLAN`] where there is no tag.
    pub vlans: [u16; 2],
    pub source: Address,
    pub destination: Address,
    /// As IANA numbers them, behind IPv6's extension headers.
    pub protocol: u8,
    pub fragment: Option<Fragment>,
    /// What follows the IP headers, link padding cut off.
    pub body: &'a [u8],
    /// Bytes of the body that the capture left out.
    pub missing: u32,
}

pub const NO_VLAN: u16 = u16::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    pub id: u32,
    /// In bytes.
    pub offset: u32,
    pub more: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    Tcp(Tcp<'a>),
    Udp(Udp<'a>),
    Icmp(Icmp<'a>),
    /// Another protocol, or a header that is cut or wrong.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp<'a> {
    pub ports: [u16; 2],
    pub sequence: u32,
    pub flags: u8,
    pub payload: &'a [u8],
}

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp<'a> {
    pub ports: [u16; 2],
    pub payload: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp<'a> {
    pub kind: u8,
    pub code: u8,
    /// Identifier and sequence number, where the type has them.
    pub id: u16,
    pub sequence: u16,
    /// Everything behind type, code and checksum.
    pub payload: &'a [u8],
}

/// Reads link and IP headers. `bytes` may be shorter than what was on the wire.
pub fn packet(link: Link, bytes: &[u8]) -> Result<Packet<'_>, Undecodable> {
    let frame = frame(link, bytes)?;
    match frame.ip.first().map(|first| first >> 4) {
        Some(4) => ipv4(&frame),
        Some(6) => ipv6(&frame),
        _ => Err(Undecodable::Malformed),
    }
}

/// Reads the header behind IP. `body` is a whole datagram, not a fragment of one.
pub fn transport(protocol: u8, body: &[u8]) -> Transport<'_> {
    let read = match protocol {
        TCP => tcp(body).map(Transport::Tcp),
        UDP => udp(body).map(Transport::Udp),
        ICMP | ICMPV6 => icmp(protocol, body).map(Transport::Icmp),
        _ => None,
    };
    read.unwrap_or(Transport::Other)
}

/// The link header's part of a packet.
struct Frame<'a> {
    macs: Option<[Mac; 2]>,
    vlans: [u16; 2],
    ip: &'a [u8],
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, and the one that was used before it.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

fn frame(link: Link, bytes: &[u8]) -> Result<Frame<'_>, Undecodable> {
    let (macs, kind, rest) = match link {
        Link::Raw => (None, IPV4, bytes),
        Link::Loopback => (None, IPV4, at(bytes, 4)?),
        Link::Ethernet => {
            let (header, rest) = bytes
                .split_first_chunk::<14>()
                .ok_or(Undecodable::Malformed)?;
            let mac = |from: usize| -> Mac { std::array::from_fn(|i| header[from + i]) };
            (Some([mac(6), mac(0)]), be16(header, 12), rest)
        }
        Link::Cooked => (None, number(bytes, 14)?, at(bytes, 16)?),
        Link::Cooked2 => (None, number(bytes, 0)?, at(bytes, 20)?),
    };
    let (mut kind, mut ip) = (kind, rest);
    let mut vlans = [NO_VLAN; 2];
    for tag in 0.. {
        if !TAGS.contains(&kind) {
            break;
        }
        // A third tag is read over: no network that a node stands in has it.
        let (id, next) = (number(ip, 0)? & 0x0fff, number(ip, 2)?);
        if let Some(place) = vlans.get_mut(tag) {
            *place = id;
        }
        kind = next;
        ip = at(ip, 4)?;
    }
    match kind {
        IPV4 | IPV6 => Ok(Frame { macs, vlans, ip }),
        _ => Err(Undecodable::NotIp),
    }
}

fn ipv4<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecodable> {
    let ip = frame.ip;
    let (header, _) = ip.split_first_chunk::<20>().ok_or(Undecodable::Malformed)?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total_bytes = match usize::from(be16(header, 2)) {
        // The network card cuts large packets into pieces after they were captured, and fills the length in.
        0 => ip.len(),
        total => total,
    };
    if header_bytes < 20 || total_bytes < header_bytes {
        return Err(Undecodable::Malformed);
    }
    let flags = be16(header, 6);
    let (offset, more) = (u32::from(flags & 0x1fff) * 8, flags & 0x2000 != 0);
    let fragment = (offset != 0 || more).then(|| Fragment {
        id: u32::from(be16(header, 4)),
        offset,
        more,
    });
    let (body, missing) = bounded(at(ip, header_bytes)?, total_bytes - header_bytes);
    Ok(Packet {
        macs: frame.macs,
        vlans: frame.vlans,
        source: Address::v4([header[12], header[13], header[14], header[15]]),
        destination: Address::v4([header[16], header[17], header[18], header[19]]),
        protocol: header[9],
        fragment,
        body,
        missing,
    })
}

/// More extension headers than this are an attempt to keep us busy.
const MOST_EXTENSIONS: usize = 8;

fn ipv6<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecodable> {
    let (header, rest) = frame
        .ip
        .split_first_chunk::<40>()
        .ok_or(Undecodable::Malformed)?;
    let address = |from: usize| Address::v6(std::array::from_fn(|i| header[from + i]));
    let (mut body, missing) = match usize::from(be16(header, 4)) {
        0 if header[6] != 0 && header[6] != 59 => (rest, 0),
        length => bounded(rest, length),
    };
    let mut protocol = header[6];
    let mut fragment = None;
    for _ in 0..MOST_EXTENSIONS {
        let bytes = match protocol {
            // Hop by hop, routing, destination options.
            0 | 43 | 60 => 8 + 8 * usize::from(byte(body, 1)?),
            44 => {
                let flags = number(body, 2)?;
                let id = u32::from(number(body, 4)?) << 16 | u32::from(number(body, 6)?);
                let (offset, more) = (u32::from(flags & 0xfff8), flags & 1 != 0);
                // A whole datagram may carry the header too.
                fragment = (offset != 0 || more).then_some(Fragment { id, offset, more });
                8
            }
            // Authentication.
            51 => 8 + 4 * usize::from(byte(body, 1)?),
            _ => break,
        };
        protocol = byte(body, 0)?;
        body = at(body, bytes)?;
        if fragment.is_some_and(|fragment| fragment.offset != 0) {
            break;
        }
    }
    Ok(Packet {
        macs: frame.macs,
        vlans: frame.vlans,
        source: address(8),
        destination: address(24),
        protocol,
        fragment,
        body,
        missing,
    })
}

fn tcp(body: &[u8]) -> Option<Tcp<'_>> {
    let (header, _) = body.split_first_chunk::<20>()?;
    let header_bytes = usize::from(header[12] >> 4) * 4;
    if header_bytes < 20 {
        return None;
    }
    Some(Tcp {
        ports: [be16(header, 0), be16(header, 2)],
        sequence: u32::from(be16(header, 4)) << 16 | u32::from(be16(header, 6)),
        flags: header[13],
        payload: body.get(header_bytes..)?,
    })
}

fn udp(body: &[u8]) -> Option<Udp<'_>> {
    let (header, payload) = body.split_first_chunk::<8>()?;
    let payload = match usize::from(be16(header, 4)) {
        0 => payload,
        length => &payload[..payload.len().min(length.checked_sub(8)?)],
    };
    Some(Udp {
        ports: [be16(header, 0), be16(header, 2)],
        payload,
    })
}

fn icmp(protocol: u8, body: &[u8]) -> Option<Icmp<'_>> {
    let (header, payload) = body.split_first_chunk::<4>()?;
    // Echo, and with IPv4 also timestamps, information and address masks.
    let is_numbered = match protocol {
        ICMP => matches!(header[0], 0 | 8 | 13..=18),
        _ => matches!(header[0], 128 | 129),
    };
    let (id, sequence) = match payload.first_chunk::<4>() {
        Some(numbers) if is_numbered => (be16(numbers, 0), be16(numbers, 2)),
        _ => (0, 0),
    };
    Some(Icmp {
        kind: header[0],
        code: header[1],
        id,
        sequence,
        payload,
    })
}

/// Cuts what follows the datagram (Ethernet pads short frames), or says how much of it is not there.
fn bounded(bytes: &[u8], length: usize) -> (&[u8], u32) {
    let missing = length.saturating_sub(bytes.len());
    (&bytes[..length.min(bytes.len())], missing as u32)
}

fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn at(bytes: &[u8], from: usize) -> Result<&[u8], Undecodable> {
    bytes.get(from..).ok_or(Undecodable::Malformed)
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, Undecodable> {
    bytes.get(at).copied().ok_or(Undecodable::Malformed)
}

fn number(bytes: &[u8], at: usize) -> Result<u16, Undecodable> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Undecodable::Malformed),
    }
}
