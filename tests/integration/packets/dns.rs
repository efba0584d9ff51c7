//! DNS over UDP and TCP, as dig asked it.

use serde_json::{Value, json};

use super::{Row, assert_close, field, nanoseconds, number, of, ours, recorded, text, tshark};

pub(super) const FIELDS: &[&str] = &[
    "frame.protocols",
    "dns.id",
    "udp.dstport",
    "tcp.dstport",
    "dns.flags.opcode",
    "dns.flags.authoritative",
    "dns.flags.truncated",
    "dns.flags.recdesired",
    "dns.flags.recavail",
    "dns.flags.authenticated",
    "dns.flags.checkdisable",
    "dns.flags.rcode",
    "dns.qry.name",
    "dns.qry.type",
    "dns.count.answers",
    "dns.count.auth_rr",
    "dns.count.add_rr",
    "dns.resp.name",
    "dns.resp.type",
    "dns.resp.ttl",
    "dns.a",
    "dns.aaaa",
    "dns.cname",
    "dns.ptr.domain_name",
    "dns.mx.mail_exchange",
    "dns.srv.target",
    "dns.txt",
    "dns.rr.udp_payload_size",
    "dns.time",
    "udp.length",
    "dns.length",
    "_ws.malformed",
];

/// The number that a name stands for.
fn kind(name: &str) -> String {
    let known = [
        ("A", 1),
        ("NS", 2),
        ("CNAME", 5),
        ("SOA", 6),
        ("PTR", 12),
        ("MX", 15),
        ("TXT", 16),
        ("AAAA", 28),
        ("SRV", 33),
        ("OPT", 41),
    ];
    let found = known.iter().find(|(known, _)| *known == name);
    found.map_or(name.to_owned(), |(_, number)| number.to_string())
}

pub(super) fn client_port(row: &Row) -> Option<u64> {
    row.number("udp.dstport").or(row.number("tcp.dstport"))
}

/// What a response's document says, compared field by field.
fn compare(row: &Row, document: &Value) {
    let same = |name: &str, by_tshark: &str| {
        let expected = row.number(by_tshark);
        assert_eq!(number(document, name), expected, "{name}: {document}");
    };
    same("dns.id", "dns.id");
    same("dns.answers_count", "dns.count.answers");
    same("dns.authorities_count", "dns.count.auth_rr");
    for (name, by_tshark) in [
        ("authoritative", "dns.flags.authoritative"),
        ("truncated_response", "dns.flags.truncated"),
        ("recursion_desired", "dns.flags.recdesired"),
        ("recursion_available", "dns.flags.recavail"),
        ("authentic_data", "dns.flags.authenticated"),
        ("checking_disabled", "dns.flags.checkdisable"),
    ] {
        let ours = field(document, &format!("dns.flags.{name}"));
        assert_eq!(ours, &json!(row.is_set(by_tshark)), "{name}: {document}");
    }
    let code = match row.number("dns.flags.rcode") {
        Some(0) => "NOERROR",
        Some(3) => "NXDOMAIN",
        other => panic!("{other:?} was not asked for"),
    };
    assert_eq!(text(document, "dns.response_code"), code);
    assert_eq!(
        text(document, "dns.question.name"),
        row.first("dns.qry.name")
    );
    let asked = text(document, "dns.question.type");
    assert_eq!(kind(&asked), row.first("dns.qry.type"));
    answers(row, document);

    let opt_size = row.number("dns.rr.udp_payload_size");
    let has_opt = row.all("dns.resp.type").iter().any(|kind| kind == "41");
    assert_eq!(number(document, "dns.opt.udp_size").is_some(), has_opt);
    if has_opt {
        assert_eq!(number(document, "dns.opt.udp_size"), opt_size);
    }
    let bytes = match row.number("udp.length") {
        Some(length) => length - 8,
        None => row.number("dns.length").unwrap() + 2,
    };
    assert_eq!(number(document, "server.bytes"), Some(bytes), "{document}");
    assert_close(document, nanoseconds(row.first("dns.time")), 1_000);
}

fn answers(row: &Row, document: &Value) {
    let empty = Vec::new();
    let answers = field(document, "dns.answers").as_array().unwrap_or(&empty);
    // The OPT record has no time to live with tshark either.
    let of_records = |name: &str| -> Vec<String> {
        let texts = answers.iter().map(|answer| match &answer[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        texts.collect()
    };
    assert_eq!(of_records("ttl"), row.all("dns.resp.ttl"), "{document}");
    let types: Vec<String> = of_records("type").iter().map(|name| kind(name)).collect();
    let numbers = &row.all("dns.resp.type")[..answers.len()];
    assert_eq!(
        types
            .iter()
            .map(|text| text.trim_start_matches("TYPE"))
            .collect::<Vec<_>>(),
        numbers
    );
    // tshark takes the names of services apart.
    let named = answers.iter().filter(|answer| answer["type"] != "SRV");
    let names: Vec<String> = named.map(|answer| text(answer, "name")).collect();
    let mut theirs = row.all("dns.resp.name").to_vec();
    theirs.retain(|name| name != "<Root>");
    assert_eq!(names, theirs, "{document}");
    let data = |wanted: &str| -> Vec<String> {
        let found = answers.iter().filter(|answer| answer["type"] == wanted);
        found.map(|answer| text(answer, "data")).collect()
    };
    for (kind, by_tshark) in [
        ("A", "dns.a"),
        ("AAAA", "dns.aaaa"),
        ("CNAME", "dns.cname"),
        ("PTR", "dns.ptr.domain_name"),
        ("MX", "dns.mx.mail_exchange"),
        ("SRV", "dns.srv.target"),
    ] {
        assert_eq!(data(kind), row.all(by_tshark), "{kind}: {document}");
    }
    let resolved = field(document, "dns.resolved_ip").as_array();
    let resolved = resolved.map_or(0, Vec::len);
    assert_eq!(resolved, data("A").len() + data("AAAA").len());
}

#[test]
fn every_answer_is_what_tshark_reads() {
    let capture = recorded("dns.pcap");
    let documents = ours(&capture);
    let answered: Vec<&Value> = of(&documents, "network_traffic.dns")
        .into_iter()
        .filter(|document| text(document, "dns.type") == "answer")
        .collect();
    let rows = tshark(&capture, &[], "dns.flags.response == 1", FIELDS);
    assert!(rows.len() > 30, "{} answers were recorded", rows.len());
    assert_eq!(answered.len(), rows.len());
    for row in &rows {
        let is_same = |document: &&&Value| {
            number(document, "dns.id") == row.number("dns.id")
                && number(document, "client.port") == client_port(row)
        };
        let same: Vec<_> = answered.iter().filter(is_same).collect();
        assert_eq!(same.len(), 1, "{row:?}");
        compare(row, same[0]);
    }
    let over_tcp = rows.iter().filter(|row| !row.all("dns.length").is_empty());
    assert!(over_tcp.count() > 10, "dig asked on TCP too");
}

#[test]
fn a_question_without_answer_is_told() {
    let documents = ours(&recorded("dns.pcap"));
    let silent: Vec<_> = of(&documents, "network_traffic.dns")
        .into_iter()
        .filter(|document| text(document, "dns.question.name") == "silent.example.org")
        .collect();
    assert_eq!(silent.len(), 1);
    assert_eq!(text(silent[0], "status"), "Error");
    assert_eq!(text(silent[0], "error.message"), "no answer was seen");
    let parts = documents
        .iter()
        .find(|document| text(document, "dns.question.name") == "alias.deep.example.co.uk")
        .unwrap();
    assert_eq!(
        text(parts, "dns.question.registered_domain"),
        "example.co.uk"
    );
    assert_eq!(text(parts, "dns.question.subdomain"), "alias.deep");
    assert_eq!(text(parts, "dns.question.top_level_domain"), "co.uk");
}
