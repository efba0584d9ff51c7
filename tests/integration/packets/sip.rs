//! Calls that sipp makes, message by message.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Row, number, of, ours, recorded, text, tshark};

const FIELDS: &[&str] = &[
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "sip.Method",
    "sip.r-uri",
    "sip.Status-Code",
    "sip.Call-ID",
    "sip.CSeq.seq",
    "sip.CSeq.method",
    "sip.from.user",
    "sip.from.host",
    "sip.from.tag",
    "sip.to.user",
    "sip.to.host",
    "sip.to.tag",
    "sip.contact.uri",
    "sip.Via",
    "sip.Max-Forwards",
    "sip.Content-Type",
    "sip.Content-Length",
    "sdp.owner.username",
    "sdp.owner.sessionid",
    "sdp.connection_info.address",
    "sdp.session_name",
];

/// Our name of a field, and tshark's.
const SAME: [(&str, &str); 20] = [
    ("source.port", "udp.srcport"),
    ("destination.port", "udp.dstport"),
    ("sip.method", "sip.Method"),
    ("sip.uri.original", "sip.r-uri"),
    ("sip.code", "sip.Status-Code"),
    ("sip.call_id", "sip.Call-ID"),
    ("sip.cseq.code", "sip.CSeq.seq"),
    ("sip.cseq.method", "sip.CSeq.method"),
    ("sip.from.uri.username", "sip.from.user"),
    ("sip.from.uri.host", "sip.from.host"),
    ("sip.from.tag", "sip.from.tag"),
    ("sip.to.uri.username", "sip.to.user"),
    ("sip.to.uri.host", "sip.to.host"),
    ("sip.to.tag", "sip.to.tag"),
    ("sip.max_forwards", "sip.Max-Forwards"),
    ("sip.content_type", "sip.Content-Type"),
    ("sip.content_length", "sip.Content-Length"),
    ("sip.sdp.owner.username", "sdp.owner.username"),
    ("sip.sdp.owner.session_id", "sdp.owner.sessionid"),
    ("sip.sdp.connection.address", "sdp.connection_info.address"),
];

fn theirs(row: &Row) -> BTreeMap<&'static str, String> {
    let fields = SAME.iter().map(|(ours, theirs)| {
        let value = row.first(theirs);
        (*ours, value.to_owned())
    });
    fields.collect()
}

fn own(document: &Value) -> BTreeMap<&'static str, String> {
    let fields = SAME.iter().map(|(ours, _)| (*ours, text(document, ours)));
    fields.collect()
}

#[test]
fn every_message_is_what_tshark_reads() {
    let capture = recorded("sip.pcap");
    let documents = ours(&capture);
    let messages = of(&documents, "network_traffic.sip");
    let rows = tshark(&capture, &[], "sip", FIELDS);
    assert!(rows.len() >= 15, "{} messages were recorded", rows.len());
    assert_eq!(messages.len(), rows.len());
    // Both in the order of the capture.
    let mut in_order = messages.clone();
    in_order.sort_by_key(|document| text(document, "event.start"));
    let mut expected: Vec<_> = rows.iter().map(theirs).collect();
    let mut found: Vec<_> = in_order.iter().map(|document| own(document)).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for document in messages {
        let is_response = number(document, "sip.code").is_some();
        let kind = if is_response { "response" } else { "request" };
        assert_eq!(text(document, "sip.type"), kind);
    }
    let bytes: u64 = rows
        .iter()
        .map(|row| row.number("udp.length").unwrap() - 8)
        .sum();
    let ours: u64 = of(&documents, "network_traffic.sip")
        .iter()
        .map(|document| number(document, "network.bytes").unwrap())
        .sum();
    assert_eq!(ours, bytes);
}
