//! The sets against what others read of the same machine at the same moment.
//!
//! A counter lies between what the other says before and after. A value that moves both ways is what the other says on
//! one side at least, in one of many attempts.

mod cgroups;
mod procfs;
mod tools;

use std::fmt::Debug;
use std::path::Path;
use std::process::Command;

use chrono::DateTime;

use super::sampler;
use crate::agent::host::{MetricSet, Sampler};
use crate::config;
use crate::event::Document;

/// On a busy machine the two readings fall into one moment only now and then.
const ATTEMPTS: usize = 400;

/// A set's documents at this moment.
fn documents(set: MetricSet) -> Vec<Document> {
    let mut sampler = sampler(Path::new("/"));
    let events = sampler.sample_sets(&[set], DateTime::UNIX_EPOCH);
    events.into_iter().map(|event| event.document).collect()
}

fn document(set: MetricSet) -> Document {
    let mut documents = documents(set);
    assert_eq!(documents.len(), 1, "{set:?}");
    documents.remove(0)
}

/// All processes, whatever they take.
fn processes() -> Vec<Document> {
    let config = config::Host {
        processes: vec![".".parse().unwrap()],
        ..config::Host::default()
    };
    let mut sampler = Sampler::new(&config, "agent");
    let events = sampler.sample_sets(&[MetricSet::Process], DateTime::UNIX_EPOCH);
    events.into_iter().map(|event| event.document).collect()
}

#[track_caller]
fn number(document: &Document, field: &str) -> u64 {
    document
        .get_u64(field)
        .unwrap_or_else(|| panic!("{field} is missing"))
}

/// For counters: theirs, ours, theirs, in this order of time.
#[track_caller]
fn assert_between<K: Debug>(what: K, before: u64, ours: u64, after: u64) {
    assert!(
        (before..=after).contains(&ours),
        "{what:?}: {ours} is not between {before} and {after}"
    );
}

/// For values that move both ways.
#[track_caller]
fn assert_meet<T: PartialEq + Debug>(mut theirs: impl FnMut() -> T, mut ours: impl FnMut() -> T) {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let (before, ours, after) = (theirs(), ours(), theirs());
        if ours == before || ours == after {
            return;
        }
        last = Some((before, ours, after));
    }
    panic!("before, ours, after: {last:#?}");
}

/// What a program prints; `None`, and a line that says so, where this machine has no such program.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let run = Command::new(program).args(args).env("LC_ALL", "C").output();
    let Ok(output) = run else {
        println!("skipped: there is no {program} here");
        return None;
    };
    assert!(output.status.success(), "{program}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}
