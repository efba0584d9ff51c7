//! IP datagrams that came in pieces. Bounded in number, bytes and time; what never becomes whole is still counted as traffic.

use std::collections::{HashMap, VecDeque};

use super::address::Address;
use super::decode::Packet;
use super::flow::Counts;

const MOST_DATAGRAMS: usize = 1_024;
const MOST_BYTES: usize = 4 << 20;
/// Of one datagram: 64 KiB in pieces of the smallest size that a path may have.
const MOST_PIECES: usize = 128;
/// As long as most systems wait for the rest.
const PATIENCE: i64 = 30_000_000_000;

#[derive(Default)]
pub struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    /// In the order in which they began; those that are whole by now are passed over.
    order: VecDeque<(i64, Key)>,
    held_bytes: usize,
}

type Key = (Address, Address, u8, u32);

struct Datagram {
    since: i64,
    packet: Packet<'static>,
    counts: Counts,
    /// By offset.
    pieces: Vec<(u32, Box<[u8]>)>,
    held_bytes: usize,
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
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            self.order.push_back((at, key));
            Datagram::new(at, packet)
        });
        datagram.counts.packets += 1;
        datagram.counts.bytes += u64::from(wire_bytes);
        if !fragment.more {
            let behind = fragment.offset + packet.body.len() as u32;
            datagram.length = Some(behind + packet.missing);
        }
        self.held_bytes += datagram.keep(fragment.offset, packet.body);
        let body = datagram.whole()?;
        let datagram = self.remove(&key)?;
        Some((body, datagram.counts))
    }

    /// The next datagram that waited too long, or has to go because there are too many.
    pub fn give_up(&mut self, now: i64) -> Option<Rest> {
        while let Some((since, key)) = self.order.front().copied() {
            let is_there = self
                .datagrams
                .get(&key)
                .is_some_and(|datagram| datagram.since == since);
            if is_there && !self.is_full() && now.saturating_sub(since) < PATIENCE {
                return None;
            }
            self.order.pop_front();
            if is_there {
                let datagram = self.remove(&key)?;
                let mut pieces = datagram.pieces.into_iter();
                let first = pieces.next().filter(|(offset, _)| *offset == 0);
                return Some(Rest {
                    packet: datagram.packet,
                    counts: datagram.counts,
                    first: first.map(|(_, piece)| piece).unwrap_or_default(),
                });
            }
        }
        None
    }

    /// Whether one has to go now.
    pub fn is_full(&self) -> bool {
        self.order.len() > MOST_DATAGRAMS || self.held_bytes > MOST_BYTES
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.held_bytes -= datagram.held_bytes;
        Some(datagram)
    }
}

impl Datagram {
    fn new(since: i64, packet: &Packet<'_>) -> Self {
        let headers = Packet {
            macs: packet.macs,
            vlans: packet.vlans,
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            fragment: None,
            body: &[],
            missing: 0,
        };
        Self {
            since,
            packet: headers,
            counts: Counts::default(),
            pieces: Vec::new(),
            held_bytes: 0,
            length: None,
        }
    }

    /// Returns how many bytes are held more. Of two pieces with one beginning the first stays.
    fn keep(&mut self, offset: u32, piece: &[u8]) -> usize {
        if self.pieces.len() >= MOST_PIECES {
            return 0;
        }
        match self.pieces.binary_search_by_key(&offset, |(at, _)| *at) {
            Ok(_) => 0,
            Err(place) => {
                self.pieces.insert(place, (offset, piece.into()));
                self.held_bytes += piece.len();
                piece.len()
            }
        }
    }

    /// The pieces in order. Where they overlap, the one that begins first counts.
    fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length? as usize;
        if self.held_bytes < length {
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
