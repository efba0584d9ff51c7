//! One direction of a TCP connection put in order. Bounded: what comes too early is held for a while, then the hole before
//! it is given up.

/// What a decoder is given, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Data(&'a [u8]),
    /// So many bytes were not captured.
    Gap(u32),
}

/// Held for one direction at most.
const MOST_HELD_BYTES: usize = 256 << 10;
const MOST_HELD_SEGMENTS: usize = 128;
/// A hole that is not filled for so long will not be.
const GAP_PATIENCE: i64 = 1_000_000_000;

#[derive(Debug, Default)]
pub struct Stream {
    /// The sequence number that comes next; none before the first segment.
    next: Option<u32>,
    /// By sequence number, from the oldest on.
    held: Vec<(u32, Box<[u8]>)>,
    held_bytes: usize,
    hole_since: i64,
}

impl Stream {
    pub fn new(next: Option<u32>) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    /// A SYN takes a sequence number of its own. A second one is the first again.
    pub fn begin(&mut self, sequence: u32) {
        self.next.get_or_insert(sequence.wrapping_add(1));
    }

    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Takes a segment, gives what is in order now. `missing` bytes at its end were not captured.
    pub fn segment(
        &mut self,
        at: i64,
        sequence: u32,
        payload: &[u8],
        missing: u32,
        sink: &mut impl FnMut(Piece<'_>),
    ) {
        let next = *self.next.get_or_insert(sequence);
        let ahead = distance(next, sequence);
        if ahead > 0 {
            self.hold(at, sequence, payload);
        } else {
            self.deliver(sequence, payload, sink);
            if missing > 0 {
                self.skip(missing, sink);
            }
        }
        self.release(sink);
        if self.is_overfull() || (!self.held.is_empty() && at - self.hole_since > GAP_PATIENCE) {
            self.give_up_hole(sink);
        }
    }

    /// Delivers what is held though the hole before it stays.
    pub fn give_up_hole(&mut self, sink: &mut impl FnMut(Piece<'_>)) {
        let (Some(next), Some((first, _))) = (self.next, self.held.first()) else {
            return;
        };
        self.skip(first.wrapping_sub(next), sink);
        self.release(sink);
    }

    fn hold(&mut self, at: i64, sequence: u32, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        if self.held.is_empty() {
            self.hole_since = at;
        }
        let place = self
            .held
            .partition_point(|(other, _)| distance(*other, sequence) > 0);
        // The longer of two with the same beginning holds the other.
        match self.held.get(place) {
            Some((other, bytes)) if *other == sequence && bytes.len() >= payload.len() => return,
            _ => self.held.insert(place, (sequence, payload.into())),
        }
        self.held_bytes += payload.len();
    }

    fn release(&mut self, sink: &mut impl FnMut(Piece<'_>)) {
        let mut released = 0;
        while let (Some(next), Some((sequence, bytes))) = (self.next, self.held.get(released)) {
            if distance(next, *sequence) > 0 {
                break;
            }
            let (sequence, bytes) = (*sequence, bytes.clone());
            self.held_bytes -= bytes.len();
            released += 1;
            self.deliver(sequence, &bytes, sink);
        }
        self.held.drain(..released);
    }

    /// A segment that begins at or before what comes next.
    fn deliver(&mut self, sequence: u32, payload: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
        let Some(next) = self.next else { return };
        let known = next.wrapping_sub(sequence) as usize;
        let Some(new) = payload.get(known..).filter(|new| !new.is_empty()) else {
            return;
        };
        self.next = Some(next.wrapping_add(new.len() as u32));
        sink(Piece::Data(new));
    }

    fn skip(&mut self, bytes: u32, sink: &mut impl FnMut(Piece<'_>)) {
        self.next = self.next.map(|next| next.wrapping_add(bytes));
        sink(Piece::Gap(bytes));
    }

    fn is_overfull(&self) -> bool {
        self.held_bytes > MOST_HELD_BYTES || self.held.len() > MOST_HELD_SEGMENTS
    }
}

/// How far `to` is after `from`, on a circle.
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Plays segments and returns what came out; a gap is `_` for each byte.
    fn play(segments: &[(i64, u32, &[u8])]) -> Vec<u8> {
        let mut stream = Stream::default();
        let mut out = Vec::new();
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Data(bytes) => out.extend_from_slice(bytes),
            Piece::Gap(bytes) => out.resize(out.len() + bytes as usize, b'_'),
        };
        for (at, sequence, payload) in segments {
            stream.segment(*at, *sequence, payload, 0, &mut sink);
        }
        assert_eq!(stream.held.is_empty(), stream.held_bytes == 0);
        out
    }

    #[test]
    fn order_repeats_and_overlaps() {
        assert_eq!(
            play(&[(0, 5, b"ab"), (0, 9, b"ef"), (0, 7, b"cd")]),
            b"abcdef"
        );
        assert_eq!(
            play(&[(0, 5, b"abc"), (0, 5, b"abc"), (0, 6, b"bcd")]),
            b"abcd"
        );
        let wrap = u32::MAX;
        assert_eq!(
            play(&[(0, wrap, b"ab"), (0, 2, b"d"), (0, 1, b"c")]),
            b"abcd"
        );
    }

    #[test]
    fn a_hole_is_given_up_in_time() {
        assert_eq!(play(&[(0, 0, b"a"), (0, 3, b"d")]), b"a");
        assert_eq!(
            play(&[(0, 0, b"a"), (0, 3, b"d"), (2_000_000_000, 4, b"e")]),
            b"a__de"
        );
        let much = vec![b'x'; MOST_HELD_BYTES + 1];
        assert_eq!(play(&[(0, 0, b"a"), (0, 2, &much)]).len(), much.len() + 2);
    }

    proptest! {
        /// Whatever the order, cuts and repeats: if all of it came, all of it comes out once.
        #[test]
        fn any_order_gives_the_text(
            text in proptest::collection::vec(any::<u8>(), 1..200),
            cuts in proptest::collection::vec((0..200_usize, 1..60_usize), 0..30),
            start in any::<u32>(),
            rotate in 0..30_usize,
        ) {
            let mut segments: Vec<(usize, usize)> = (0..text.len()).step_by(17).map(|from| (from, 17)).collect();
            segments.extend(cuts);
            let middle = rotate % segments.len();
            segments.rotate_left(middle);
            let mut stream = Stream::default();
            stream.begin(start.wrapping_sub(1));
            let mut out = Vec::new();
            for (from, length) in segments {
                let from = from.min(text.len());
                let payload = &text[from..(from + length).min(text.len())];
                stream.segment(0, start.wrapping_add(from as u32), payload, 0, &mut |piece| match piece {
                    Piece::Data(bytes) => out.extend_from_slice(bytes),
                    Piece::Gap(_) => out.clear(),
                });
            }
            prop_assert_eq!(out, text);
        }
    }
}
