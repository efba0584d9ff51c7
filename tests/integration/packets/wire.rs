//! Captures, taken apart and written again, to be damaged or to be put on another network.

use std::fs;
use std::path::Path;

/// One frame of a capture.
#[derive(Clone)]
pub(super) struct Frame {
    /// Seconds and microseconds.
    at: [u32; 2],
    /// On the wire.
    length: u32,
    pub(super) bytes: Vec<u8>,
}

const HEADER: usize = 24;
pub(super) const ETHERNET: usize = 14;

/// Of a capture as this machine writes them: pcap, microseconds.
pub(super) fn frames(capture: &Path) -> Vec<Frame> {
    let file = fs::read(capture).unwrap();
    assert_eq!(file[..4], 0xa1b2_c3d4_u32.to_ne_bytes());
    let mut rest = &file[HEADER..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let number = |at: usize| u32::from_ne_bytes(*rest[at..].first_chunk().unwrap());
        let kept = number(8) as usize;
        frames.push(Frame {
            at: [number(0), number(4)],
            length: number(12),
            bytes: rest[16..16 + kept].to_vec(),
        });
        rest = &rest[16 + kept..];
    }
    frames
}

/// Ethernet frames, with the header of the capture that they were taken from.
pub(super) fn write(capture: &Path, frames: &[Frame]) {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_ne_bytes());
    file.extend([2_u16, 4].map(u16::to_ne_bytes).concat());
    file.extend([0_u32, 0, 262_144, 1].map(u32::to_ne_bytes).concat());
    for frame in frames {
        let [s, us] = frame.at;
        let kept = frame.bytes.len() as u32;
        let header = [s, us, kept, frame.length];
        file.extend(header.map(u32::to_ne_bytes).concat());
        file.extend(&frame.bytes);
    }
    fs::write(capture, file).unwrap();
}

impl Frame {
    /// The same behind VLAN tags, from the outside in.
    pub(super) fn tagged(mut self, tags: &[u16]) -> Self {
        let mut between = Vec::new();
        for (place, tag) in tags.iter().enumerate() {
            let is_inner = place + 1 == tags.len();
            let kind: u16 = if is_inner { 0x8100 } else { 0x88a8 };
            between.extend(kind.to_be_bytes());
            between.extend(tag.to_be_bytes());
        }
        self.length += between.len() as u32;
        self.bytes.splice(12..12, between);
        self
    }

    /// As if the capture had kept only so many bytes.
    pub(super) fn cut(mut self, most: usize) -> Self {
        self.bytes.truncate(most);
        self
    }
}

/// Numbers that look random and are the same each time.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed * 2 + 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}
