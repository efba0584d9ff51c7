//! Stores as they were written by a version, kept in `tests/golden`: what waits in them is shipped by every later one, and
//! what was acknowledged of a file is not sent again.
//!
//! When the format changes, keep the old files and add one:
//! `cargo test --test integration operation::golden::make -- --ignored` writes `tests/golden/store-N.redb.gz`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use ethmon::agent::dead_letter::{self, Filter};
use ethmon::agent::store::{Change, DeadLetter, Limits, Priority, Record, Store};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{Site, messages, store_of};
use crate::bulk_server::{Act, BulkServer};
use crate::support;

const NEWEST: &str = "store-1.redb.gz";
const AGENT_ID: &str = "0b0a5f2e-3c1d-4a55-9a77-5f0f4f1d7c01";

fn golden() -> PathBuf {
    support::root().join("tests/golden")
}

fn record(dataset: &str, id: u64) -> Record {
    let index = format!("{dataset}-default");
    Record::new(
        1_700_000_000_000 + id,
        &index,
        &format!("golden-{id}"),
        |out| {
            let text = format!(
                "{{\"@timestamp\":\"2023-11-14T22:13:20.000Z\",\"data_stream\":{{\"dataset\":\"golden\"}},\"n\":{id}}}"
            );
            out.extend_from_slice(text.as_bytes());
        },
    )
}

/// What a golden store holds.
fn contents() -> Change {
    let letter = |id| {
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let mut letter = DeadLetter::of(&record("logs-ethereum.client", id), at, "/var/log/a.log");
        (letter.status, letter.kind) = (Some(400), "document_parsing_exception".into());
        letter.reason = "not a number".into();
        letter
    };
    Change {
        append: vec![
            (Priority::Metrics, record("metrics-system.cpu", 0)),
            (Priority::Client, record("metrics-ethereum.node", 1)),
            (Priority::Chain, record("logs-ethereum.block", 2)),
            (Priority::Chain, record("logs-ethereum.beacon_event", 3)),
        ],
        bury: vec![letter(4), letter(5)],
        notes: vec![("cursor".into(), b"17".to_vec())],
        ..Change::default()
    }
}

/// More than a fingerprint takes, so that the file is known wherever it lies.
fn acknowledged_lines() -> String {
    (0..60)
        .map(|number| format!("a line that was acknowledged, number {number}\n"))
        .collect()
}

#[test]
#[ignore = "writes a golden file; see above"]
fn make() {
    let path = golden().join(NEWEST);
    assert!(
        !path.exists(),
        "{} is there; name a new one",
        path.display()
    );
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    site.configure(&server.url(), &site.logs("a.log"));
    site.append("a.log", &acknowledged_lines());
    let data = site.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("agent.id"), AGENT_ID).unwrap();
    assert!(site.once().status.success());
    let mut store = Store::open(&data, Limits::default()).unwrap();
    store.commit(&contents()).unwrap();
    drop(store);
    let bytes = fs::read(store_of(&site)).unwrap();
    let mut file = GzEncoder::new(File::create(path).unwrap(), Compression::best());
    file.write_all(&bytes).unwrap();
    file.finish().unwrap();
}

#[test]
fn stores_of_earlier_versions_are_shipped_and_their_files_read_on() {
    let files: Vec<PathBuf> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.contains(&golden().join(NEWEST)));
    for path in files {
        let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(&path).unwrap())
            .read_to_end(&mut bytes)
            .unwrap();
        fs::create_dir(site.path("data")).unwrap();
        fs::write(store_of(&site), bytes).unwrap();
        site.configure(&server.url(), &site.logs("a.log"));
        site.append("a.log", &acknowledged_lines());
        site.append("a.log", "a new line\n");
        let data = site.path("data");
        assert_eq!(dead_letter::replay(&data, &Filter::default()).unwrap(), 2);
        let output = site.once();
        assert!(output.status.success(), "{}: {output:?}", path.display());
        assert_eq!(messages(&server), ["a new line"], "{}", path.display());
        let mut stored = server.stored();
        stored.retain(|id| id.starts_with("golden-"));
        let expected: Vec<String> = (0..6).map(|id| format!("golden-{id}")).collect();
        assert_eq!(stored, expected, "{}", path.display());
        assert_eq!(server.document("golden-5").unwrap()["n"], 5);
        assert_eq!(
            fs::read_to_string(data.join("agent.id")).unwrap().trim(),
            AGENT_ID
        );
    }
}
