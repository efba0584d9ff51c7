//! Messages made by hand; real ones are compared with tshark in tests/integration.

use proptest::prelude::*;

use super::message::{Data, parse};

/// A response to `a.example.com` with a compressed name, an address and an OPT record.
fn response() -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x85, 0x80, 0, 1, 0, 2, 0, 0, 0, 1];
    bytes.extend(b"\x01a\x07example\x03com\x00\x00\x01\x00\x01");
    bytes.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01b\xc0\x0e");
    bytes.extend(b"\xc0\x2b\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x01\x02\x03\x04");
    bytes.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00");
    bytes
}

#[test]
fn a_response_is_read_whole() {
    let message = parse(&response()).unwrap();
    assert!(!message.is_cut && message.is_response());
    assert_eq!(message.question.unwrap().name, "a.example.com");
    assert_eq!(message.answers[0].data, Data::Text("b.example.com".into()));
    assert_eq!(message.answers[1].name, "b.example.com");
    assert_eq!(message.answers[1].data, Data::Ip([1, 2, 3, 4].into()));
    assert_eq!(
        message.opt.map(|opt| (opt.udp_size, opt.dnssec_ok)),
        Some((1232, true))
    );
}

#[test]
fn pointers_lead_backwards_only() {
    let mut bytes = response();
    bytes[12..14].copy_from_slice(&[0xc0, 0x0c]);
    assert_eq!(parse(&bytes), None);
}

#[test]
fn odd_names_are_escaped() {
    let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(b"\x05a.\\\xff \x00\x00\x01\x00\x01");
    assert_eq!(
        parse(&bytes).unwrap().question.unwrap().name,
        "a\\.\\\\\\255 "
    );
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse(&bytes);
    }

    #[test]
    fn nearly_right_bytes(place in 0..90_usize, byte in any::<u8>(), length in 0..100_usize) {
        let mut bytes = response();
        if let Some(at) = bytes.get_mut(place) {
            *at = byte;
        }
        bytes.truncate(length);
        parse(&bytes);
    }
}
