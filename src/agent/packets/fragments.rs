//! IP datagrams that came in pieces. Bounded in number, bytes and time; what never becomes whole is still counted as traffic.

use std::collections::{BTreeMap, HashMap};

use super::address::Address;
use super::decode::Packet;
use super::flow::Counts;

const MOST_DATAGRAMS: usize = 1_024;
const MOST_BYTES: usize = 4 << 20;
/// As long as most systems wait for the rest.
const PATIENCE: i64 = 30_000_000_000;

#[derive(Default)]
pub struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    held_bytes: usize,
}

type Key = (Address, Address, u8, u32);

struct Datagram {
    since: i64,
    packet: Packet<'static>,
    counts: Counts,
    pieces: BTreeMap<u32, Box<[u8]>>,
    /// Known once the last fragment is there.
    length: Option<u32>,
}

/// What is left of a datagram that is given up: its headers, its traffic, and its first piece where that came.
pub struct Rest {
    pub packet: Packet<'static>,
    pub counts: Counts,
    pub first: Box<[u8]>,
}

impl Fragments {
    /// Takes a fragment; returns the datagram's body and all its traffic once it is whole.
    pub fn add(
        &mut self,
        at: i64,
        packet: &Packet<'_>,
        wire_bytes: u32,
    ) -> Option<(Vec<u8>, Counts)> {
        let fragment = packet.fragment?;
        let key = (
            packet.source,
            packet.destination,
            packet.protocol,
            fragment.id,
        );
        let datagram = self.datagrams.entry(key).or_insert_with(|| Datagram {
            since: at,
            packet: Packet {
                macs: packet.macs,
                vlans: packet.vlans,
                source: packet.source,
                destination: packet.destination,
                protocol: packet.protocol,
                fragment: None,
                body: &[],
                missing: 0,
            },
            counts: Counts::default(),
            pieces: BTreeMap::new(),
            length: None,
        });
        datagram.counts.packets += 1;
        datagram.counts.bytes += u64::from(wire_bytes);
        if !fragment.more {
            datagram.length = Some(fragment.offset + packet.body.len() as u32);
        }
        let place = datagram.pieces.entry(fragment.offset);
        let mut added = 0;
        place.or_insert_with(|| {
            added = packet.body.len();
            packet.body.into()
        });
        self.held_bytes += added;
        let body = datagram.whole()?;
        let datagram = self.datagrams.remove(&key)?;
        self.held_bytes -= datagram.bytes();
        Some((body, datagram.counts))
    }

    /// The next datagram that waited too long, or has to go because there are too many.
    pub fn give_up(&mut self, now: i64) -> Option<Rest> {
        let is_full = self.datagrams.len() > MOST_DATAGRAMS || self.held_bytes > MOST_BYTES;
        let (key, oldest) = self
            .datagrams
            .iter()
            .min_by_key(|(_, datagram)| datagram.since)?;
        if !is_full && now.saturating_sub(oldest.since) < PATIENCE {
            return None;
        }
        let key = *key;
        let mut datagram = self.datagrams.remove(&key)?;
        self.held_bytes -= datagram.bytes();
        Some(Rest {
            packet: datagram.packet,
            counts: datagram.counts,
            first: datagram.pieces.remove(&0).unwrap_or_default(),
        })
    }

    /// Whether one has to go now.
    pub fn is_full(&self) -> bool {
        self.datagrams.len() > MOST_DATAGRAMS || self.held_bytes > MOST_BYTES
    }
}

impl Datagram {
    fn bytes(&self) -> usize {
        self.pieces.values().map(|piece| piece.len()).sum()
    }

    /// The pieces in order. Where they overlap, the one that begins first counts.
    fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length? as usize;
        if self.bytes() < length {
            return None;
        }
        let mut body = Vec::with_capacity(length);
        for (offset, piece) in &self.pieces {
            let known = body.len().checked_sub(*offset as usize)?;
            body.extend_from_slice(piece.get(known..).unwrap_or_default());
        }
        (body.len() >= length).then_some(body)
    }
}
