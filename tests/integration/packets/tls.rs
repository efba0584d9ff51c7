//! Handshakes that openssl makes with itself, TLS 1.2 and 1.3, resumed and failed.

use std::process::Command;

use serde_json::Value;

use super::{Row, field, number, of, ours, recorded, text, tshark};

const FIELDS: &[&str] = &[
    "tcp.stream",
    "tcp.srcport",
    "tcp.dstport",
    "tls.handshake.type",
    "tls.handshake.version",
    "tls.handshake.ja3",
    "tls.handshake.ja3s",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_alpn_str",
    "tls.handshake.extensions.supported_version",
    "tls.handshake.ciphersuite",
    "tls.handshake.session_id",
    "tls.handshake.extensions_supported_group",
    "tls.handshake.sig_hash_alg",
    "tls.alert_message.desc",
    "x509af.serialNumber",
];

fn length(document: &Value, name: &str) -> usize {
    field(document, name).as_array().map_or(0, Vec::len)
}

fn compare_client(row: &Row, document: &Value) {
    let client_hello = "tls.detailed.client_hello";
    assert_eq!(
        text(document, "tls.client.ja3"),
        row.first("tls.handshake.ja3")
    );
    assert_eq!(
        text(document, "tls.client.server_name"),
        row.first("tls.handshake.extensions_server_name")
    );
    let suites = "tls.client.supported_ciphers";
    assert_eq!(
        length(document, suites),
        row.all("tls.handshake.ciphersuite").len()
    );
    let all = serde_json::to_string(field(document, "tls")).unwrap();
    assert!(!all.contains("unknown"), "everything has a name: {all}");
    for (ours, theirs) in [
        (
            "supported_groups",
            "tls.handshake.extensions_supported_group",
        ),
        ("signature_algorithms", "tls.handshake.sig_hash_alg"),
        (
            "supported_versions",
            "tls.handshake.extensions.supported_version",
        ),
    ] {
        let name = format!("{client_hello}.extensions.{ours}");
        assert_eq!(length(document, &name), row.all(theirs).len(), "{ours}");
    }
    let protocols = format!("{client_hello}.extensions.application_layer_protocol_negotiation");
    let protocols: Vec<&str> = field(document, &protocols)
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    assert_eq!(protocols, row.all("tls.handshake.extensions_alpn_str"));
    assert_eq!(
        text(document, &format!("{client_hello}.session_id")),
        row.first("tls.handshake.session_id").replace(':', "")
    );
}

fn compare_server(row: &Row, document: &Value) {
    assert_eq!(
        text(document, "tls.server.ja3s"),
        row.first("tls.handshake.ja3s")
    );
    let version = match row.first("tls.handshake.extensions.supported_version") {
        "" => row.first("tls.handshake.version"),
        newer => newer,
    };
    let version = match version {
        "0x0303" => "1.2",
        "0x0304" => "1.3",
        other => panic!("{other} was not asked for"),
    };
    assert_eq!(text(document, "tls.version"), version);
    let cipher = match row.first("tls.handshake.ciphersuite") {
        "0x1302" => "TLS_AES_256_GCM_SHA384",
        "0x1303" => "TLS_CHACHA20_POLY1305_SHA256",
        "0xc02f" => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "0xc030" => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        other => panic!("{other} was not asked for"),
    };
    assert_eq!(text(document, "tls.cipher"), cipher);
}

#[test]
fn every_handshake_is_what_tshark_reads() {
    let capture = recorded("tls.pcap");
    let documents = ours(&capture);
    let handshakes = of(&documents, "network_traffic.tls");
    let rows = tshark(&capture, &[], "tls.handshake or tls.alert_message", FIELDS);
    let first = |row: &&Row| row.first("tls.handshake.type").to_owned();
    let hellos: Vec<&Row> = rows.iter().filter(|row| first(row) == "1").collect();
    assert_eq!(hellos.len(), 6);
    assert_eq!(handshakes.len(), hellos.len());
    for hello in hellos {
        let port = hello.number("tcp.srcport");
        let is_same = |document: &&&Value| number(document, "client.port") == port;
        let document = *handshakes.iter().find(is_same).unwrap();
        compare_client(hello, document);
        let stream = hello.first("tcp.stream");
        let mut of_stream = rows.iter().filter(|row| row.first("tcp.stream") == stream);
        match of_stream.clone().find(|row| first(row) == "2") {
            Some(row) => {
                compare_server(row, document);
                assert_eq!(text(document, "status"), "OK", "{document}");
            }
            None => {
                let alert = of_stream
                    .find_map(|row| row.all("tls.alert_message.desc").first())
                    .unwrap();
                assert_eq!(alert, "40");
                let alerts = field(document, "tls.detailed.alert_types");
                assert_eq!(alerts, &serde_json::json!(["handshake_failure"]));
                assert_eq!(text(document, "status"), "Error");
            }
        }
    }
    let resumed = handshakes
        .iter()
        .filter(|document| field(document, "tls.resumed") == true);
    assert_eq!(resumed.count(), 1);
    let chosen: Vec<String> = handshakes
        .iter()
        .map(|document| text(document, "tls.next_protocol"))
        .collect();
    // TLS 1.3 encrypts what the server chose.
    assert!(chosen.iter().all(String::is_empty), "{chosen:?}");
}

#[test]
fn the_certificate_is_what_openssl_reads() {
    let documents = ours(&recorded("tls.pcap"));
    let shown: Vec<&Value> = of(&documents, "network_traffic.tls")
        .into_iter()
        .filter(|document| !field(document, "tls.server.hash").is_null())
        .collect();
    // TLS 1.2, not resumed.
    assert_eq!(shown.len(), 2);
    let openssl = Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-enddate", "-sha256"])
        .args(["-fingerprint", "-subject", "-nameopt", "RFC2253"])
        .args(["-dateopt", "iso_8601", "-in"])
        .arg(recorded("server.pem"))
        .output()
        .unwrap();
    let told = String::from_utf8(openssl.stdout).unwrap();
    let value = |name: &str| {
        let line = told.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once('=').unwrap().1.trim().to_owned()
    };
    for document in shown {
        let server = field(document, "tls.server");
        assert_eq!(
            text(server, "hash.sha256"),
            value("sha256").replace(':', "")
        );
        assert_eq!(text(server, "subject"), value("subject"));
        assert_eq!(text(server, "issuer"), value("subject"));
        let ends = value("notAfter").replace(' ', "T").replace('Z', ".000Z");
        assert_eq!(text(server, "not_after"), ends);
        let x509 = &server["x509"];
        assert_eq!(x509["alternative_names"][0], "node.example.org");
        assert_eq!(x509["alternative_names"][1], "127.0.0.1");
        assert_eq!(x509["public_key_size"], 2048);
        assert_eq!(x509["signature_algorithm"], "SHA256-RSA");
        let serial = text(server, "x509.serial_number");
        assert_eq!(serial, decimal(&value("serial")));
    }
}

fn decimal(hex: &str) -> String {
    // The lowest digit first.
    let mut digits = vec![0];
    for digit in hex.chars() {
        let mut carry = digit.to_digit(16).unwrap();
        for place in &mut digits {
            let value = *place * 16 + carry;
            (*place, carry) = (value % 10, value / 10);
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    let digits = digits.iter().rev();
    digits.map(ToString::to_string).collect()
}
