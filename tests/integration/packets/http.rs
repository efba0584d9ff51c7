//! HTTP/1.x, as curl spoke it with a server of Python.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Row, assert_close, nanoseconds, number, of, ours, recorded, text, tshark};

const FIELDS: &[&str] = &[
    "frame.number",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.len",
    "http.request.method",
    "http.request.uri",
    "http.request.version",
    "http.host",
    "http.user_agent",
    "http.response.code",
    "http.response.phrase",
    "http.request_in",
    "http.time",
    "http.content_length",
    "http.file_data",
];

/// The Beacon API's port.
const AS_HTTP: [&str; 2] = ["-d", "tcp.port==5052,http"];

fn expected_query(uri: &str) -> String {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    query.replace("token=secret", "token=REDACTED")
}

fn compare(request: &Row, response: &Row, document: &Value) {
    let uri = request.first("http.request.uri");
    let path = uri.split('?').next().unwrap();
    let method = request.first("http.request.method");
    assert_eq!(
        text(document, "http.request.method"),
        method.to_ascii_lowercase()
    );
    assert_eq!(text(document, "url.path"), path);
    assert_eq!(text(document, "url.query"), expected_query(uri));
    assert_eq!(text(document, "query"), format!("{method} {path}"));
    let host = request.first("http.host");
    let place = format!(
        "{}:{}",
        text(document, "url.domain"),
        text(document, "url.port")
    );
    assert_eq!(place, host);
    assert_eq!(
        text(document, "user_agent.original"),
        request.first("http.user_agent")
    );
    assert_eq!(
        number(document, "http.response.status_code"),
        response.number("http.response.code")
    );
    let phrase = response.first("http.response.phrase").to_ascii_lowercase();
    assert_eq!(text(document, "http.response.status_phrase"), phrase);
    let version = request.first("http.request.version");
    assert_eq!(format!("HTTP/{}", text(document, "http.version")), version);
    let body = number(document, "http.response.body.bytes").unwrap_or(0);
    match (response.number("http.content_length"), method) {
        (Some(length), "GET" | "POST") => assert_eq!(body, length, "{document}"),
        (_, "HEAD") => assert_eq!(body, 0),
        _ => assert!(body > 0, "{document}"),
    }
    assert_eq!(
        number(document, "http.request.body.bytes"),
        request.number("http.content_length")
    );
    // tshark measures from the end of the request, where that came at once the beginning, to the end that it sees.
    if method == "GET" && path != "/until-close" {
        assert_close(document, nanoseconds(response.first("http.time")), 1_000);
    }
}

#[test]
fn every_request_and_response_is_what_tshark_reads() {
    let capture = recorded("http.pcap");
    let documents = ours(&capture);
    let exchanges = of(&documents, "network_traffic.http");
    let rows = tshark(&capture, &AS_HTTP, "http", FIELDS);
    let responses: Vec<&Row> = rows
        .iter()
        .filter(|row| !row.all("http.request_in").is_empty())
        .collect();
    assert!(responses.len() >= 8, "{} were recorded", responses.len());
    assert_eq!(exchanges.len(), responses.len());
    for response in responses {
        let asked = response.first("http.request_in");
        let request = rows
            .iter()
            .find(|row| row.first("frame.number") == asked)
            .unwrap();
        let uri = request.first("http.request.uri");
        let is_same = |document: &&&Value| {
            number(document, "client.port") == request.number("tcp.srcport")
                && text(document, "url.path") == uri.split('?').next().unwrap()
        };
        let same: Vec<_> = exchanges.iter().filter(is_same).collect();
        assert_eq!(same.len(), 1, "{uri}");
        compare(request, response, same[0]);
    }
}

/// Heads, bodies and chunks' framing together are all that went through the connections.
#[test]
fn bytes_are_those_of_the_connections() {
    let capture = recorded("http.pcap");
    let mut by_connection: BTreeMap<(u64, bool), u64> = BTreeMap::new();
    let rows = tshark(
        &capture,
        &AS_HTTP,
        "tcp.port == 5052 and not tcp.analysis.retransmission",
        FIELDS,
    );
    let mut continued = Vec::new();
    for row in &rows {
        let ports = ["tcp.srcport", "tcp.dstport"].map(|name| row.number(name).unwrap());
        let is_client = ports[1] == 5052;
        let port = if is_client { ports[0] } else { ports[1] };
        *by_connection.entry((port, is_client)).or_default() += row.number("tcp.len").unwrap();
        if row.first("http.response.code") == "100" {
            continued.push(port);
            // The announcement of a response is not one.
            *by_connection.entry((port, false)).or_default() -= row.number("tcp.len").unwrap();
        }
    }
    assert_eq!(continued.len(), 1, "curl waits to be told to go on");
    let mut sums: BTreeMap<(u64, bool), u64> = BTreeMap::new();
    for document in of(&ours(&capture), "network_traffic.http") {
        let port = number(document, "client.port").unwrap();
        for (end, is_client) in [("client.bytes", true), ("server.bytes", false)] {
            *sums.entry((port, is_client)).or_default() += number(document, end).unwrap();
        }
    }
    assert_eq!(sums, by_connection);
}

#[test]
fn secrets_stay_where_they_are() {
    let documents = ours(&recorded("http.pcap"));
    let all = serde_json::to_string(&documents).unwrap();
    assert!(!all.contains("token=secret") && !all.contains("hidden"));
    let agents = all.matches("curl/").count();
    assert!(agents > 0, "other headers are kept");
}
