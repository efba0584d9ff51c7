//! Whole logs of recorded networks: what stands in them is found, and nothing is invented.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::agent::logs::{Client, check};
use crate::event::{DataStream, Document};
use crate::setup::template_accepts;

/// The documents of a log, and the numbers of the summary: records, typed, untyped, errors, unknown.
pub(super) fn documents(client: Client, log: &Path) -> (Vec<Document>, Vec<u64>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    check(client, &[log.to_owned()], &mut out, &mut err).unwrap();
    let document = |line: &str| {
        let document = match serde_json::from_str(line) {
            Ok(Value::Object(object)) => Document::from(object),
            other => panic!("not a document: {other:?}"),
        };
        assert_eq!(
            template_accepts(DataStream::ClientLog, &document),
            Ok(()),
            "{line}"
        );
        document
    };
    let summary = String::from_utf8(err).unwrap();
    let numbers = summary
        .split([' ', ',', '\n'])
        .filter_map(|word| word.parse().ok());
    (
        String::from_utf8(out)
            .unwrap()
            .lines()
            .map(document)
            .collect(),
        numbers.collect(),
    )
}

pub(super) fn text(log: &Path) -> String {
    let mut text = String::new();
    match log.extension().is_some_and(|extension| extension == "gz") {
        true => GzDecoder::new(File::open(log).unwrap())
            .read_to_string(&mut text)
            .unwrap(),
        false => File::open(log).unwrap().read_to_string(&mut text).unwrap(),
    };
    text
}

fn lodestar_logs() -> Vec<PathBuf> {
    let mut logs = vec![PathBuf::from("../shared/data/client-logs/lodestar.log")];
    for scenario in fs::read_dir("../shared/data/devnet").unwrap() {
        for node in ["node-a", "node-b"] {
            let folder = scenario.as_ref().unwrap().path().join(node);
            let own = ["beacon-debug.log.gz", "beacon-stdout.log.gz"].map(|name| folder.join(name));
            // The log of node A of the mixed network is Prysm's.
            logs.extend(
                own.into_iter()
                    .filter(|log| log.exists() && !text(log).starts_with("time=")),
            );
        }
    }
    assert!(logs.len() >= 18, "{logs:?}");
    logs
}

#[test]
fn chain_events_are_those_that_the_text_names() {
    // What a person would count in the text.
    let phrases = [
        ("head_updated", vec!["New chain head"]),
        ("block_imported", vec!["Block processed"]),
        ("block_received", vec!["Received gossip block"]),
        ("reorg", vec!["Chain reorg"]),
        (
            "finalized",
            vec!["Checkpoint finalized", "Fork choice finalized"],
        ),
        ("low_peers", vec!["Low peer count"]),
        ("late_block", vec![]),
    ];
    for log in lodestar_logs() {
        let text = text(&log);
        let (documents, summary) = documents(Client::Lodestar, &log);
        let mut actions = BTreeMap::<&str, usize>::new();
        for document in &documents {
            *actions
                .entry(document.get_str("event.action").unwrap())
                .or_default() += 1;
            check_place(document, &text);
        }
        for (action, phrases) in &phrases {
            let expected: usize = phrases
                .iter()
                .map(|phrase| text.matches(phrase).count())
                .sum();
            assert_eq!(
                actions.get(action).copied().unwrap_or(0),
                expected,
                "{action} in {}",
                log.display()
            );
        }
        assert_eq!(summary[0], documents.len() as u64);
        assert_eq!(summary[3], 0, "errors in {}", log.display());
    }
}

/// Every document begins where a line begins, and says what stands there.
fn check_place(document: &Document, text: &str) {
    let offset = usize::try_from(document.get_u64("log.offset").unwrap()).unwrap();
    assert!(offset == 0 || text.as_bytes()[offset - 1] == b'\n');
    let line = text[offset..].lines().next().unwrap();
    let is_json = line.starts_with('{');
    let message = document.get_str("message").unwrap();
    let last_word = message
        .lines()
        .next()
        .unwrap()
        .split(' ')
        .next_back()
        .unwrap();
    assert!(
        is_json || line.contains(last_word),
        "{message:?} is not in {line:?}"
    );
    let has_prefix = is_json || line.contains("\u{1b}[39m: ");
    assert_eq!(document.get("log.level").is_some(), has_prefix, "{line}");
    assert_eq!(
        document.get("ethereum.log.time_source").is_none(),
        has_prefix,
        "{line}"
    );
}

#[test]
fn values_that_stand_in_the_line_are_typed() {
    for log in lodestar_logs() {
        let (documents, _) = documents(Client::Lodestar, &log);
        let (mut with_values, mut typed) = (0, 0);
        for document in &documents {
            let message = document.get_str("message").unwrap();
            let fields = document.get("ethereum.log.fields");
            let names = |name: &str| {
                message.contains(&format!(" {name}="))
                    || fields.is_some_and(|fields| fields.get(name).is_some())
            };
            if names("slot") || message.contains("slot: ") {
                with_values += 1;
                typed += usize::from(document.get("ethereum.slot").is_some_and(Value::is_i64));
            }
        }
        assert_eq!(typed, with_values, "{}", log.display());
        assert!(with_values > 10, "{}", log.display());
    }
}

#[test]
fn stack_traces_are_part_of_the_record_before() {
    let (documents, _) = documents(
        Client::Lodestar,
        Path::new("../shared/data/client-logs/lodestar.log"),
    );
    assert!(documents.iter().all(|document| {
        !document
            .get_str("message")
            .unwrap()
            .trim_start()
            .starts_with("at ")
    }));
    let errors: Vec<_> = documents
        .iter()
        .filter_map(|document| document.get_str("error.message"))
        .collect();
    assert_eq!(errors[0], "No block found for id '13'");
    let traces = documents
        .iter()
        .filter(|document| document.get("error.stack_trace").is_some());
    assert_eq!(traces.count(), errors.len());
}
