//! The program asks a real time server, chrony, whose clock is not this machine's.

use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ethmon::event::{DataStream, Document};
use ethmon::setup::template_accepts;
use ethmon::system;
use serde_json::Value;

use crate::beacon_node::BeaconNode;
use crate::bulk_server::{Act, BulkServer};
use crate::operation::{Site, wait_until};
use crate::support;

/// Stopped with the test.
struct Chrony {
    directory: tempfile::TempDir,
    address: String,
}

impl Chrony {
    fn start(seconds_ahead: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = service("start")
            .arg(directory.path())
            .env("ETHMON_CHRONY_AHEAD", seconds_ahead)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "cannot start chrony");
        let address = String::from_utf8(output.stdout).unwrap();
        let address = address.trim().to_owned();
        Self { directory, address }
    }

    fn freeze(&self) {
        let directory = self.directory.path();
        assert!(service("freeze").arg(directory).status().unwrap().success());
    }
}

impl Drop for Chrony {
    fn drop(&mut self) {
        service("stop").arg(self.directory.path()).status().ok();
    }
}

fn service(action: &str) -> Command {
    let mut command = Command::new(support::root().join("deploy/services/chrony"));
    command.arg(action);
    command
}

fn section(node: &BeaconNode, servers: &[&str]) -> String {
    format!(
        "[beacon]\nurl = \"{}\"\nsummaries = false\nntp_servers = {servers:?}\n",
        node.url()
    )
}

/// The documents of the stream that a time server corrected.
fn corrected(server: &BulkServer, stream: DataStream) -> Vec<Document> {
    let stored = server.stored().into_iter();
    let documents = stored.filter_map(|id| match server.document(&id) {
        Some(Value::Object(object)) => Some(Document::from(object)),
        _ => None,
    });
    let is_it = |document: &Document| {
        document.get_str("data_stream.dataset") == Some(stream.dataset())
            && document.get_str("ethereum.clock.source") == Some("ntp")
    };
    let documents: Vec<_> = documents.filter(is_it).collect();
    for document in &documents {
        assert_eq!(template_accepts(stream, document), Ok(()));
    }
    documents
}

#[test]
fn every_beacon_document_tells_by_how_much_it_was_corrected() {
    // Behind by more than a second: chrony mistakes the kernel's time of arrival for its own where they are nearer.
    let chrony = Chrony::start("-2.5");
    let node = BeaconNode::start(Duration::from_millis(500), 200);
    let server = BulkServer::start(|_, _| Act::Serve);
    let site = Site::new();
    // Nobody listens at the first.
    let servers = ["127.0.0.1:1", &chrony.address];
    site.configure(&server.url(), &section(&node, &servers));
    let agent = site.start();
    let streams = [DataStream::BeaconEvent, DataStream::Block, DataStream::Node];
    for stream in streams {
        wait_until(
            || corrected(&server, stream).len() >= 2,
            || format!("no {stream:?} is corrected:\n{}", agent.log()),
        );
    }
    let number = |document: &Document, name: &str| document.get_f64(name).unwrap();
    for document in streams.map(|stream| corrected(&server, stream)).concat() {
        let offset_ms = number(&document, "ethereum.clock_offset_ms");
        let uncertainty_ms = number(&document, "ethereum.clock.uncertainty_ms");
        // Set apart by chrony's own precision.
        let is_true = (offset_ms - 2_500.0).abs() <= uncertainty_ms + 1.0;
        assert!(is_true, "{offset_ms} ± {uncertainty_ms}");
        assert!(uncertainty_ms < 1_000.0, "{uncertainty_ms}");
    }
    for document in corrected(&server, DataStream::BeaconEvent) {
        let genesis = document.get_str("ethereum.network.genesis_time").unwrap();
        let genesis: DateTime<Utc> = genesis.parse().unwrap();
        let slot = number(&document, "ethereum.slot");
        let since_slot = document.timestamp().unwrap() - genesis - TimeDelta::seconds(slot as i64);
        let arrival_ms = number(&document, "ethereum.arrival_ms");
        let offset_ms = number(&document, "ethereum.clock_offset_ms");
        let expected = since_slot.num_milliseconds() as f64 - offset_ms;
        assert!((arrival_ms - expected).abs() <= 2.0, "{document:?}");
    }
    for document in corrected(&server, DataStream::Node) {
        let server = document.get_str("ethereum.clock.server");
        assert_eq!(server, Some(chrony.address.as_str()));
        let kernel = system::clock::read().map(|clock| clock.is_synchronized);
        assert_eq!(document.get_bool("ethereum.clock.synchronized"), kernel);
    }
}

#[test]
fn check_beacon_shows_the_clock() {
    let chrony = Chrony::start("1.5");
    let node = BeaconNode::start(Duration::from_secs(1), 100);
    let site = Site::new();
    let check = |servers: &[&str]| {
        site.configure("http://127.0.0.1:1", &section(&node, servers));
        let mut command = Command::new(env!("CARGO_BIN_EXE_ethmon"));
        command.args(["check", "beacon", "--config"]);
        let output = command.arg(site.path("agent.toml")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let clock = text.split_once("\nclock ").map(|(_, clock)| clock.trim());
        let clock = clock.unwrap_or_else(|| panic!("{text}")).to_owned();
        (output.status.success(), clock)
    };
    let by_kernel = match system::clock::read() {
        Some(clock) if clock.is_synchronized => "ms by the kernel",
        Some(_) => "unknown: the kernel says that nothing keeps it right",
        None => "unknown: the kernel can't be asked",
    };

    let (is_good, clock) = check(&[&chrony.address]);
    let (measured, kernel) = clock.split_once('\n').unwrap();
    assert!(is_good && kernel.contains(by_kernel), "{clock}");
    let [offset, "ms", "±", uncertainty, "ms", "by", server] =
        measured.split(' ').collect::<Vec<_>>()[..]
    else {
        panic!("{measured}");
    };
    let [offset, uncertainty] = [offset, uncertainty].map(|ms| ms.parse::<f64>().unwrap());
    assert!((offset + 1_500.0).abs() <= uncertainty + 1.1, "{measured}");
    assert_eq!(server, chrony.address);

    let (is_good, clock) = check(&[]);
    assert!(is_good && clock.contains(by_kernel), "{clock}");

    chrony.freeze();
    let (is_good, clock) = check(&[&chrony.address]);
    assert!(!is_good && clock.starts_with("failed: "), "{clock}");
    assert!(clock.contains(by_kernel), "{clock}");
}
