//! Messages in every cut; whole connections are in tests/integration.

use proptest::prelude::*;

use super::head::{Head, Start};
use super::message::{Expect, Message, Reader};
use crate::agent::packets::stream::Piece;

struct Nothing;

impl Expect for Nothing {
    fn has_no_body(&mut self, _: &Head) -> bool {
        false
    }
}

fn read(pieces: &[Piece<'_>]) -> Vec<Message> {
    let mut reader = Reader::default();
    let mut done = Vec::new();
    for piece in pieces {
        reader.take(0, *piece, &mut Nothing, &mut |message| done.push(message));
    }
    reader.end(&mut |message| done.push(message));
    done
}

const STREAM: &[u8] = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
    5;ext=1\r\nhello\r\n3\r\nyou\r\n0\r\nTrailer: t\r\n\r\n\
    GET / HTTP/1.0\r\n\r\nPUT /l HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET /last HTTP/1.1\r\n\r\n";

fn targets(messages: &[Message]) -> Vec<(&str, u64)> {
    let targets = messages
        .iter()
        .filter_map(|message| match &message.head.start {
            Start::Request { target, .. } => Some((target.as_str(), message.body_bytes)),
            Start::Response { .. } => None,
        });
    targets.collect()
}

#[test]
fn messages_follow_each_other() {
    let messages = read(&[Piece::Data(STREAM)]);
    assert_eq!(
        targets(&messages),
        [("/a?b=c", 8), ("/", 0), ("/l", 4), ("/last", 0)]
    );
    let bytes: u64 = messages.iter().map(|message| message.bytes).sum();
    assert_eq!(bytes, STREAM.len() as u64);
    assert!(messages.iter().all(|message| !message.is_cut));
}

#[test]
fn a_hole_in_a_body_is_counted_and_elsewhere_ends_it() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let whole = read(&[Piece::Data(head), Piece::Gap(10), Piece::Data(head)]);
    assert_eq!(whole.len(), 2);
    assert_eq!((whole[0].body_bytes, whole[0].is_cut), (10, false));
    let cut = read(&[Piece::Data(head), Piece::Gap(11), Piece::Data(b"x")]);
    assert_eq!(cut.len(), 1);
    assert!(cut[0].is_cut);
}

#[test]
fn a_place_that_is_lost_is_found_again() {
    let messages = read(&[
        Piece::Data(b"\x00\x01 the middle of a body\r\n\r\n"),
        Piece::Data(b"more of it"),
        Piece::Data(b"GET /again HTTP/1.1\r\n\r\n"),
    ]);
    assert_eq!(targets(&messages), [("/again", 0)]);
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    let messages = read(&[
        Piece::Data(b"HTTP/1.0 200 OK\r\n\r\n<html>"),
        Piece::Data(b"x"),
    ]);
    assert_eq!((messages[0].body_bytes, messages[0].is_cut), (7, false));
}

proptest! {
    #[test]
    fn cuts_do_not_matter(cuts in proptest::collection::vec(1..40_usize, 0..40)) {
        let mut rest = STREAM;
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(Piece::Data(piece));
            rest = after;
        }
        pieces.push(Piece::Data(rest));
        let (cut, whole) = (read(&pieces), read(&[Piece::Data(STREAM)]));
        prop_assert_eq!(targets(&cut), targets(&whole));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..160_usize) {
        read(&[Piece::Data(&bytes), Piece::Gap(3), Piece::Data(&bytes)]);
        let mut nearly = STREAM.to_vec();
        nearly.splice(at..at, bytes.iter().copied().take(5));
        read(&[Piece::Data(&nearly)]);
    }
}
