//! Pings with and without answer, in fragments and whole, and what says that nobody listens.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Row, number, of, ours, recorded, text, tshark};

const FIELDS: &[&str] = &[
    "frame.time_epoch",
    "icmp.type",
    "icmp.code",
    "icmp.ident",
    "icmp.seq",
    "icmp.resptime",
    "icmpv6.type",
    "icmpv6.code",
    "icmpv6.echo.identifier",
    "icmpv6.echo.sequence_number",
    "data.len",
    "data",
];

type Kinds = (u64, Option<u64>, Option<u64>, Option<u64>);

/// Version, type and code of the request, type of the response.
fn ours_by_kind(documents: &[Value]) -> BTreeMap<Kinds, usize> {
    let mut kinds = BTreeMap::new();
    for document in of(documents, "network_traffic.icmp") {
        let key = (
            number(document, "icmp.version").unwrap(),
            number(document, "icmp.request.type"),
            number(document, "icmp.request.code"),
            number(document, "icmp.response.type"),
        );
        *kinds.entry(key).or_default() += 1;
    }
    kinds
}

/// Requests with the responses that have their number, and what stands alone.
fn theirs_by_kind(rows: &[Row]) -> BTreeMap<Kinds, usize> {
    let mut kinds = BTreeMap::new();
    for (version, kind, code, id, sequence, asks) in [
        (
            4,
            "icmp.type",
            "icmp.code",
            "icmp.ident",
            "icmp.seq",
            (8, 0),
        ),
        (
            6,
            "icmpv6.type",
            "icmpv6.code",
            "icmpv6.echo.identifier",
            "icmpv6.echo.sequence_number",
            (128, 129),
        ),
    ] {
        let of_version = rows.iter().filter(|row| !row.all(kind).is_empty());
        let (request, response) = asks;
        for row in of_version.clone() {
            let own = row.number(kind);
            if own == Some(response) {
                continue;
            }
            let is_answer = |other: &&Row| {
                other.number(kind) == Some(response)
                    && other.first(id) == row.first(id)
                    && other.first(sequence) == row.first(sequence)
            };
            let answered = own == Some(request) && of_version.clone().find(is_answer).is_some();
            let key = (version, own, row.number(code), answered.then_some(response));
            *kinds.entry(key).or_default() += 1;
        }
    }
    kinds
}

#[test]
fn requests_and_responses_are_those_that_tshark_sees() {
    let capture = recorded("icmp.pcap");
    let documents = ours(&capture);
    let rows = tshark(&capture, &[], "icmp or icmpv6", FIELDS);
    let theirs = theirs_by_kind(&rows);
    assert_eq!(ours_by_kind(&documents), theirs);
    assert_eq!(theirs.get(&(4, Some(8), Some(0), Some(0))), Some(&5));
    assert_eq!(theirs.get(&(6, Some(128), Some(0), Some(129))), Some(&5));
    assert_eq!(theirs.get(&(4, Some(8), Some(0), None)), Some(&1));
    assert!(theirs.contains_key(&(4, Some(3), Some(3), None)));
}

#[test]
fn times_are_those_that_tshark_measures() {
    let capture = recorded("icmp.pcap");
    let documents = ours(&capture);
    let mut ours: Vec<u64> = of(&documents, "network_traffic.icmp")
        .into_iter()
        .filter(|document| number(document, "icmp.version") == Some(4))
        .filter(|document| number(document, "icmp.response.type") == Some(0))
        .map(|document| number(document, "event.duration").unwrap() / 1_000)
        .collect();
    let rows = tshark(&capture, &[], "icmp.resptime", FIELDS);
    let mut theirs: Vec<u64> = rows
        .iter()
        .map(|row| (row.first("icmp.resptime").parse::<f64>().unwrap() * 1_000.0).round() as u64)
        .collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours.abs_diff(*theirs) <= 1, "{ours} µs is not {theirs} µs");
    }
}

#[test]
fn what_is_not_answered_is_an_error() {
    let documents = ours(&recorded("icmp.pcap"));
    let failed: Vec<&Value> = of(&documents, "network_traffic.icmp")
        .into_iter()
        .filter(|document| text(document, "destination.ip") == "192.0.2.1")
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(text(failed[0], "status"), "Error");
    assert_eq!(text(failed[0], "icmp.request.message"), "EchoRequest(0)");
    assert_eq!(text(failed[0], "error.message"), "no response was seen");
}
