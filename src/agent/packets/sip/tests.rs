//! Messages made by hand; a real exchange is compared with tshark in tests/integration.

use proptest::prelude::*;

use super::message::{Start, parse, party, uri};
use super::sdp;

const REGISTER: &[u8] = b"REGISTER sip:sip.example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.2;branch=z9\r\n\
    f: \"A, B\" <sip:a:secret@example.org:5070>;tag=6b\r\nTo: <sip:a@example.org>\r\nCall-ID: 1@x\r\nCSeq: 75 REGISTER\r\n\
    Contact: <sip:a@[::1]:5060;line=ac>;expires=1200;q=0.5\r\nContent-Length: 3\r\n\r\nabcdef";

#[test]
fn a_request_is_read_whole() {
    let message = parse(REGISTER).unwrap();
    assert!(matches!(
        message.start,
        Start::Request {
            method: "REGISTER",
            ..
        }
    ));
    assert_eq!((message.version, message.body), ("2.0", &b"abc"[..]));
    let from = party(message.first("from").unwrap()).unwrap();
    assert_eq!(
        (from.display, from.parameter("tag")),
        (Some("A, B"), Some("6b"))
    );
    let from = uri(from.uri).unwrap();
    assert_eq!(
        (from.username, from.host, from.port),
        (Some("a"), "example.org", Some(5070))
    );
    let contact = party(message.first("contact").unwrap()).unwrap();
    let place = uri(contact.uri).unwrap();
    assert_eq!((place.host, place.port), ("::1", Some(5060)));
    assert_eq!(
        super::uri_fields("sip:a:secret@example.org")["original"],
        "sip:a@example.org"
    );
}

#[test]
fn other_text_is_no_message() {
    for text in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SIP/2.0 abc\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\n",
        b"\r\n\r\n",
    ] {
        assert_eq!(parse(text), None);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..300_usize) {
        parse(&bytes);
        sdp(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        party(&text);
        uri(&text);
        let mut nearly = REGISTER.to_vec();
        let at = at.min(nearly.len());
        nearly.splice(at..at, bytes.iter().copied().take(4));
        parse(&nearly);
    }
}
