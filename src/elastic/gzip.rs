//! Bodies packed as gzip (RFC 1952) over DEFLATE (RFC 1951). Pure.
//!
//! A bulk body is hundreds of documents that differ in a few values, and packing it was what an event cost most. So this
//! encoder does the least that finds what repeats: one pass over the body where it lies, one place remembered for every
//! four bytes, and the codes that the RFC fixes (§3.2.6), which need neither counting nor sending. `cargo bench --bench
//! gzip` prints what that saves beside the library's fastest level, and what it costs in size.

/// How far back DEFLATE can point.
const WINDOW: usize = 32 << 10;
/// What a copy is at least worth: found by so many bytes.
const SHORTEST: usize = 4;
/// The longest copy in one piece, and the shortest that DEFLATE has a code for.
const LONGEST_PIECE: usize = 258;
const SHORTEST_PIECE: usize = 3;
/// Places remembered, as a power of two: those of about a window.
const PLACES: u32 = 14;

/// A header without name or time, from a Unix, packed fast.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];
/// One block, the last, with the fixed codes.
const BLOCK: Code = Code {
    bits: 0b011,
    count: 3,
};
const END_OF_BLOCK: Code = Code { bits: 0, count: 7 };

static LITERALS: [Code; 256] = literals();
static LENGTHS: [Code; LONGEST_PIECE + 1] = lengths();

/// What gzip makes of it.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = Bits::new(body.len());
    out.put(BLOCK);
    let mut places = vec![0_u32; 1 << PLACES];
    let mut at = 0;
    while let Some(four) = four(body, at) {
        out.make_room();
        let place = &mut places[(four.wrapping_mul(0x9e37_79b1) >> (32 - PLACES)) as usize];
        let before = *place as usize;
        // Beyond 4 GiB it is cut, and then lies too far back to be used.
        *place = at as u32;
        let distance = at.wrapping_sub(before);
        // Where nothing was remembered this is the body's beginning, which for itself is no distance.
        if distance.wrapping_sub(1) < WINDOW && self::four(body, before) == Some(four) {
            let length = SHORTEST + common(body, before + SHORTEST, at + SHORTEST);
            out.copy(length, distance);
            at += length;
        } else {
            out.put(LITERALS[usize::from(body[at])]);
            at += 1;
        }
    }
    for byte in &body[at..] {
        out.make_room();
        out.put(LITERALS[usize::from(*byte)]);
    }
    out.put(END_OF_BLOCK);
    let mut packed = out.end();
    packed.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    // By its definition the length is given modulo 2³².
    packed.extend_from_slice(&(body.len() as u32).to_le_bytes());
    packed
}

#[inline]
fn four(body: &[u8], at: usize) -> Option<u32> {
    let bytes = body.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// How many bytes are the same from both places on; the first is the earlier one.
#[inline]
fn common(body: &[u8], before: usize, at: usize) -> usize {
    let (earlier, _) = body[before..].as_chunks();
    let (later, tail) = body[at..].as_chunks();
    for (number, (one, other)) in earlier.iter().zip(later).enumerate() {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return 8 * number + differ.trailing_zeros() as usize / 8;
        }
    }
    let same = 8 * later.len();
    let pairs = body[before + same..].iter().zip(tail);
    same + pairs.take_while(|(one, other)| one == other).count()
}

/// Bits as they are written: the first in the lowest place.
#[derive(Debug, Clone, Copy)]
struct Code {
    bits: u32,
    count: u8,
}

impl Code {
    const NONE: Self = Self { bits: 0, count: 0 };

    /// Huffman codes begin with their highest bit (§3.1.1).
    const fn huffman(code: u32, count: u8) -> Self {
        Self {
            bits: code.reverse_bits() >> (32 - count),
            count,
        }
    }

    /// Followed by a number, which begins with its lowest bit.
    const fn then(self, extra: u32, count: u8) -> Self {
        Self {
            bits: self.bits | extra << self.count,
            count: self.count + count,
        }
    }
}

/// §3.2.6, values 0 to 255.
const fn literals() -> [Code; 256] {
    let mut codes = [Code::NONE; 256];
    let mut byte = 0;
    while byte < 256 {
        codes[byte as usize] = match byte {
            0..144 => Code::huffman(0x30 + byte, 8),
            _ => Code::huffman(0x190 + byte - 144, 9),
        };
        byte += 1;
    }
    codes
}

/// §3.2.5: lengths from 3 on in groups of four codes, each group's codes standing for twice as many lengths as those of the
/// group before; the last code for 258 alone. Values 257 to 285 of §3.2.6.
const fn lengths() -> [Code; LONGEST_PIECE + 1] {
    let mut codes = [Code::NONE; LONGEST_PIECE + 1];
    let (mut length, mut number) = (SHORTEST_PIECE, 0_u32);
    while length < LONGEST_PIECE {
        let extra = if number < 8 { 0 } else { number as u8 / 4 - 1 };
        let mut offset = 0;
        while offset < 1 << extra && length < LONGEST_PIECE {
            codes[length] = length_code(number).then(offset, extra);
            offset += 1;
            length += 1;
        }
        number += 1;
    }
    codes[LONGEST_PIECE] = length_code(28);
    codes
}

const fn length_code(number: u32) -> Code {
    match number {
        0..23 => Code::huffman(number + 1, 7),
        _ => Code::huffman(0xc0 + number - 23, 8),
    }
}

/// §3.2.5: distances in pairs of codes, each pair's codes standing for twice as many distances as those of the pair before.
#[inline]
fn distance_code(distance: usize) -> Code {
    let from_one = distance as u32 - 1;
    if from_one < 4 {
        return Code::huffman(from_one, 5);
    }
    let extra = from_one.ilog2() - 1;
    let number = 2 * extra + (from_one >> extra);
    Code::huffman(number, 5).then(from_one & ((1 << extra) - 1), extra as u8)
}

/// What was packed, with its last bits not yet written.
struct Bits {
    bytes: Vec<u8>,
    /// How much of `bytes` counts.
    written: usize,
    waiting: u64,
    count: u8,
}

impl Bits {
    /// More than is written between two times that room is made, a copy's further pieces apart.
    const ROOM: usize = 64;

    fn new(body: usize) -> Self {
        let mut bytes = vec![0; body / 6 + Self::ROOM];
        bytes[..HEADER.len()].copy_from_slice(&HEADER);
        Self {
            bytes,
            written: HEADER.len(),
            waiting: 0,
            count: 0,
        }
    }

    #[inline]
    fn make_room(&mut self) {
        if self.written + Self::ROOM > self.bytes.len() {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let more = self.bytes.len() / 2 + Self::ROOM;
        self.bytes.resize(self.bytes.len() + more, 0);
    }

    /// At most 57 bits fit beside those that wait, and no code is as long.
    #[inline]
    fn put(&mut self, code: Code) {
        self.waiting |= u64::from(code.bits) << self.count;
        self.count += code.count;
        self.bytes[self.written..][..8].copy_from_slice(&self.waiting.to_le_bytes());
        let whole = self.count / 8;
        self.written += usize::from(whole);
        self.waiting >>= 8 * whole;
        self.count %= 8;
    }

    /// The bytes of so far back once more.
    #[inline]
    fn copy(&mut self, length: usize, distance: usize) {
        let distance = distance_code(distance);
        let mut left = length;
        while left > LONGEST_PIECE {
            // What is left must have a code, too.
            let piece = LONGEST_PIECE.min(left - SHORTEST_PIECE);
            self.put(LENGTHS[piece]);
            self.put(distance);
            self.make_room();
            left -= piece;
        }
        self.put(LENGTHS[left]);
        self.put(distance);
    }

    fn end(mut self) -> Vec<u8> {
        let rest = usize::from(self.count > 0);
        self.bytes.truncate(self.written + rest);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let mut decoder = GzDecoder::new(packed);
        decoder.read_to_end(&mut body).unwrap();
        assert!(decoder.into_inner().is_empty(), "something is left over");
        body
    }

    #[track_caller]
    fn comes_back(body: &[u8]) {
        assert!(unpacked(&gzip(body)) == body, "{} bytes", body.len());
    }

    #[test]
    fn every_length_and_every_distance_comes_back() {
        for length in 0..3 * LONGEST_PIECE {
            comes_back(&vec![b'a'; length]);
        }
        let noise = |seed: u32| {
            let next = |x: &u32| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            std::iter::successors(Some(seed), next).map(|x| (x >> 24) as u8)
        };
        let edges = (0..16).flat_map(|power| [-1_i32, 0, 1].map(|by| (1 << power) + by));
        for distance in edges.filter_map(|distance| usize::try_from(distance).ok()) {
            let gap: Vec<u8> = noise(7).take(distance).collect();
            comes_back(&[b"0123456789".as_slice(), &gap, b"0123456789"].concat());
        }
        for byte in 0..=255 {
            comes_back(&[byte]);
        }
        comes_back(&noise(1).take(100_000).collect::<Vec<_>>());
    }

    #[test]
    fn documents_that_are_alike_take_little_room() {
        let document = |number: u32| {
            let id = format!("{:08x}", number.wrapping_mul(0x9e37_79b1));
            format!(
                r#"{{"create":{{"_index":"logs-ethereum.client-default","_id":"{id}"}}}}{}"#,
                "\n{\"host\":{\"name\":\"beacon-1\",\"architecture\":\"x86_64\"}}\n"
            )
        };
        let body: String = (0..1_000).map(document).collect();
        let packed = gzip(body.as_bytes());
        assert!(unpacked(&packed) == body.as_bytes());
        assert!(packed.len() * 6 < body.len(), "{}", packed.len());
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(
            pieces in vec((vec(any::<u8>(), 0..40), 0_usize..600), 0..60),
        ) {
            let mut body = Vec::new();
            for (piece, times) in pieces {
                let repeated = piece.iter().copied().cycle().take(piece.len().min(1) * times);
                body.extend(repeated);
                body.extend_from_slice(&piece);
            }
            prop_assert_eq!(unpacked(&gzip(&body)), body);
        }
    }
}
