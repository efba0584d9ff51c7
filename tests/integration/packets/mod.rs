//! Captures that the tests make themselves (`record`: real tools that talk on loopback in a namespace of their own), read by
//! us and by tshark: what both see is the same.

mod damaged;
mod dns;
mod flows;
mod http;
mod icmp;
mod live;
mod replay;
mod sip;
mod tls;
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use ethmon::agent::packets;
use ethmon::config;
use serde_json::Value;

struct Recording {
    dir: tempfile::TempDir,
}

/// Made once for all tests of a run.
static RECORDING: OnceLock<Recording> = OnceLock::new();

fn recorded(name: &str) -> PathBuf {
    let recording = RECORDING.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(crate::support::root().join("tests/integration/packets/record"))
            .arg(dir.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "cannot record captures: {told}");
        Recording { dir }
    });
    recording.dir.path().join(name)
}

/// What `ethmon check packets` prints of a capture.
fn ours(capture: &Path) -> Vec<Value> {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let config = config::Packets::default();
    let files = [capture.to_owned()];
    packets::check(&config, &files, &mut out, &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(!told.contains("decoder_panics"), "{told}");
    let lines = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn of<'a>(documents: &'a [Value], dataset: &str) -> Vec<&'a Value> {
    let is = |document: &&Value| document["data_stream.dataset"] == dataset;
    documents.iter().filter(is).collect()
}

/// A field by its dotted name.
fn field<'a>(document: &'a Value, name: &str) -> &'a Value {
    document
        .pointer(&format!("/{}", name.replace('.', "/")))
        .unwrap_or(&Value::Null)
}

fn text(document: &Value, name: &str) -> String {
    match field(document, name) {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(document: &Value, name: &str) -> Option<u64> {
    field(document, name).as_u64()
}

/// One frame's fields by tshark, all values of each.
#[derive(Debug, Default, Clone)]
struct Row(BTreeMap<&'static str, Vec<String>>);

impl Row {
    fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn first(&self, name: &str) -> &str {
        self.all(name).first().map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        let text = self.first(name);
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    }

    fn is_set(&self, name: &str) -> bool {
        matches!(self.first(name), "1" | "True")
    }
}

/// Between values of one field.
const BETWEEN: char = '\u{1e}';

/// What tshark sees in the frames that the filter lets through; `options` as tshark takes them.
fn tshark(
    capture: &Path,
    options: &[&str],
    filter: &str,
    fields: &'static [&'static str],
) -> Vec<Row> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "separator=/t", "-E"]);
    command.arg(format!("aggregator={BETWEEN}")).args(options);
    if !filter.is_empty() {
        command.args(["-Y", filter]);
    }
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.arg("-r").arg(capture).output().unwrap();
    // It ends with 2 where a capture breaks off, and has told the rest by then.
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || told.contains("cut short"),
        "{told}"
    );
    let rows = String::from_utf8(output.stdout).unwrap();
    rows.lines()
        .map(|line| {
            let values = line.split('\t').map(|cell| match cell {
                "" => Vec::new(),
                cell => cell.split(BETWEEN).map(str::to_owned).collect(),
            });
            Row(fields.iter().copied().zip(values).collect())
        })
        .collect()
}

/// Seconds as tshark writes them, in nanoseconds.
fn nanoseconds(seconds: &str) -> i64 {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, ""));
    let part: String = part.chars().chain("000000000".chars()).take(9).collect();
    whole.parse::<i64>().unwrap() * 1_000_000_000 + part.parse::<i64>().unwrap()
}

/// A document's and tshark's idea of how long an answer took: tshark may show less of it.
fn assert_close(document: &Value, expected_ns: i64, within_ns: i64) {
    let duration = field(document, "event.duration").as_i64().unwrap();
    assert!(
        (duration - expected_ns).abs() <= within_ns,
        "{duration} is not {expected_ns}: {document}"
    );
}

/// The program itself, as an operator calls it.
#[test]
fn the_command_prints_documents_and_counts() {
    let output = Command::new(env!("CARGO_BIN_EXE_ethmon"))
        .args(["check", "packets"])
        .arg(recorded("icmp.pcap"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("icmp.pcap: packets_seen "), "{told}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!of(&documents, "network_traffic.icmp").is_empty());
}
