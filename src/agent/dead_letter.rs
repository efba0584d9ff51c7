//! `ethmon dead-letter`: what Elasticsearch refused, for a person to look at, to send again or to throw away.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use clap::Args;

use super::columns;
use super::store::{Beside, Change, DeadLetter, Priority, Store};
use crate::event::{DataStream, timestamp};
use crate::slot;

/// Letters put back in one commit, and their bytes.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 4 << 20;

/// Which letters are meant; by default all of them.
#[derive(Debug, Clone, Default, Args)]
pub struct Filter {
    /// Only letters whose kind or reason contains this, whatever the case.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only letters for data streams that begin like this.
    #[arg(long)]
    pub stream: Option<String>,
    /// Only these, by the numbers `list` shows.
    #[arg(long = "number", value_name = "NUMBER")]
    pub numbers: Vec<u64>,
}

impl Filter {
    fn takes(&self, key: u64, letter: &DeadLetter) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(part);
        let reason = self.reason.as_ref().map(|part| part.to_lowercase());
        reason.is_none_or(|part| has(&letter.kind, &part) || has(&letter.reason, &part))
            && self
                .stream
                .as_ref()
                .is_none_or(|stream| letter.index.starts_with(stream))
            && (self.numbers.is_empty() || self.numbers.contains(&key))
    }

    fn takes_all(&self) -> bool {
        self.reason.is_none() && self.stream.is_none() && self.numbers.is_empty()
    }
}

/// One line per letter, with tabs between the fields: there may be very many, and a reason is a sentence. Works beside a
/// running agent.
pub fn list(data_dir: &Path, filter: &Filter, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "number\ttime\tstream\tid\tstatus\tkind\treason")?;
    each(data_dir, filter, |key, letter| {
        let DeadLetter {
            at,
            status,
            kind,
            reason,
            index,
            id,
            ..
        } = letter;
        let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let reason = reason.replace(['\n', '\r', '\t'], " ");
        // Elasticsearch's reasons begin with the kind, which has a column of its own.
        let bare = reason
            .strip_prefix(&kind)
            .and_then(|rest| rest.strip_prefix(": "));
        let reason = bare.unwrap_or(&reason);
        writeln!(
            out,
            "{key}\t{}\t{index}\t{id}\t{status}\t{kind}\t{reason}",
            timestamp(at)
        )?;
        Ok(())
    })
}

/// One line per data stream, status and kind, with the number of letters and the times of the first and the last. Works
/// beside a running agent.
pub fn count(data_dir: &Path, filter: &Filter, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut counts = BTreeMap::new();
    each(data_dir, filter, |_, letter| {
        let key = (letter.index, letter.status, letter.kind);
        let (count, _, last) = counts.entry(key).or_insert((0_u64, letter.at, letter.at));
        *count += 1;
        *last = letter.at;
        Ok(())
    })?;
    let heading = ["count", "stream", "status", "kind", "first", "last"];
    let mut rows = vec![heading.map(str::to_owned)];
    for ((index, status, kind), (count, first, last)) in counts {
        let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let (first, last) = (timestamp(first), timestamp(last));
        rows.push([count.to_string(), index, status, kind, first, last]);
    }
    columns::write(&rows, out)
}

/// One letter as JSON, the document included. Works beside a running agent.
pub fn show(data_dir: &Path, number: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let found = Beside::open(data_dir)?.dead_letter(number)?;
    let letter = found
        .with_context(|| format!("cannot show dead letter {number}: there is none to be read"))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&letter)?)?;
    Ok(())
}

/// Puts letters back into the spool, under their ids; the agent ships them at its next start. Returns how many.
pub fn replay(data_dir: &Path, filter: &Filter) -> anyhow::Result<usize> {
    let now_ms = u64::try_from(slot::now().timestamp_millis()).unwrap_or_default();
    let mut replayed = 0;
    change_letters(data_dir, |store, letters| {
        let mut change = Change::default();
        for (key, letter) in letters {
            let letter = letter.filter(|letter| filter.takes(key, letter));
            let Some(letter) = letter else { continue };
            let prefix = letter.index.rsplit_once('-').map(|(prefix, _)| prefix);
            let stream = prefix.and_then(DataStream::from_prefix);
            let priority = stream.map_or(Priority::Client, Priority::of);
            change.append.push((priority, letter.to_record(now_ms)));
            change.unbury.push(key);
        }
        let bytes: usize = change.append.iter().map(|(_, record)| record.len()).sum();
        ensure!(
            store.totals().spool().bytes + bytes as u64 <= store.limits().spool_bytes,
            "cannot put more dead letters back: the spool is full ({replayed} were put back)"
        );
        replayed += change.append.len();
        Ok(change)
    })?;
    Ok(replayed)
}

/// Forgets letters; without a filter also those that cannot be read any more. Returns how many.
pub fn purge(data_dir: &Path, filter: &Filter) -> anyhow::Result<usize> {
    let mut purged = 0;
    change_letters(data_dir, |_, letters| {
        let takes = |(key, letter): &(u64, Option<DeadLetter>)| match letter {
            Some(letter) => filter.takes(*key, letter),
            None => filter.takes_all(),
        };
        let unbury: Vec<_> = letters.iter().filter(|letter| takes(letter)).collect();
        purged += unbury.len();
        Ok(Change {
            unbury: unbury.into_iter().map(|(key, _)| *key).collect(),
            ..Change::default()
        })
    })?;
    Ok(purged)
}

fn each(
    data_dir: &Path,
    filter: &Filter,
    mut each: impl FnMut(u64, DeadLetter) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    Beside::open(data_dir)?.each_dead_letter(|key, letter| match letter {
        Some(letter) if filter.takes(key, &letter) => each(key, letter),
        _ => Ok(()),
    })
}

/// Shows all letters in chunks, and commits what is made of each chunk. The store's one writer must be gone.
fn change_letters(
    data_dir: &Path,
    mut change: impl FnMut(&Store, Vec<(u64, Option<DeadLetter>)>) -> anyhow::Result<Change>,
) -> anyhow::Result<()> {
    let mut store = Store::open_existing(data_dir).context("cannot change dead letters")?;
    let mut from = 0;
    loop {
        let letters = store.dead_letters_from(from, CHUNK, CHUNK_BYTES)?;
        let Some((last, _)) = letters.last() else {
            return Ok(());
        };
        from = last + 1;
        let change = change(&store, letters)?;
        if !change.is_empty() {
            store.commit(&change)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::{Limits, Record};

    const ALL: Filter = Filter {
        reason: None,
        stream: None,
        numbers: Vec::new(),
    };

    fn store_with_letters(dir: &Path, count: u64) -> Store {
        let mut store = Store::open(dir, Limits::default()).unwrap();
        let letter = |number: u64| {
            let record = Record::new(
                5,
                "logs-ethereum.block-default",
                &format!("id-{number}"),
                |out| {
                    out.extend_from_slice(br#"{"a":"b"}"#);
                },
            );
            let mut letter = DeadLetter::of(&record, chrono::DateTime::UNIX_EPOCH, "spool");
            (letter.status, letter.kind) = (Some(400), "document_parsing_exception".into());
            letter.reason = "document_parsing_exception: line one\nline two".into();
            letter
        };
        let bury = (0..count).map(letter).collect();
        store
            .commit(&Change {
                bury,
                ..Change::default()
            })
            .unwrap();
        store
    }

    #[test]
    fn letters_are_listed_and_shown_while_the_agent_runs_and_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let agent = store_with_letters(dir.path(), 2);
        let mut out = Vec::new();
        list(dir.path(), &ALL, &mut out).unwrap();
        let line = "1\t1970-01-01T00:00:00.000Z\tlogs-ethereum.block-default\tid-1\t400\tdocument_parsing_exception\tline one line two";
        assert_eq!(String::from_utf8(out).unwrap().lines().nth(2), Some(line));
        let mut out = Vec::new();
        show(dir.path(), 1, &mut out).unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(shown["document"]["a"], "b");
        assert!(show(dir.path(), 7, &mut Vec::new()).is_err());

        let error = format!("{:#}", replay(dir.path(), &ALL).unwrap_err());
        assert!(
            error.starts_with("cannot change dead letters: ") && error.contains("has it open"),
            "{error}"
        );
        drop(agent);
    }

    #[test]
    fn replayed_letters_are_in_the_spool_under_their_ids() {
        let dir = tempfile::tempdir().unwrap();
        drop(store_with_letters(dir.path(), 1_234));
        assert_eq!(replay(dir.path(), &ALL).unwrap(), 1_234);
        let mut store = Store::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(store.totals().dead_letters().records, 0);
        let taken = store.take(2_000, usize::MAX).unwrap();
        assert_eq!(taken.len(), 1_234);
        assert_eq!(
            (taken[7].1.id(), taken[7].1.document()),
            ("id-7", &br#"{"a":"b"}"#[..])
        );
    }

    #[test]
    fn purged_letters_are_gone_and_a_missing_store_is_not_created() {
        let dir = tempfile::tempdir().unwrap();
        assert!(purge(dir.path(), &ALL).is_err());
        assert!(!dir.path().join("agent.redb").exists());
        drop(store_with_letters(dir.path(), 3));
        assert_eq!(purge(dir.path(), &ALL).unwrap(), 3);
        assert_eq!(purge(dir.path(), &ALL).unwrap(), 0);
    }

    #[test]
    fn a_filter_chooses_what_is_listed_counted_replayed_and_purged() {
        let dir = tempfile::tempdir().unwrap();
        drop(store_with_letters(dir.path(), 5));
        let numbers = |numbers: &[u64]| Filter {
            numbers: numbers.to_vec(),
            ..Filter::default()
        };
        let reason = |part: &str| Filter {
            reason: Some(part.into()),
            ..Filter::default()
        };
        let lines = |filter: &Filter| {
            let mut out = Vec::new();
            list(dir.path(), filter, &mut out).unwrap();
            String::from_utf8(out).unwrap().lines().count() - 1
        };
        assert_eq!(
            (lines(&reason("PARSING")), lines(&reason("nothing"))),
            (5, 0)
        );
        let stream = |stream: &str| Filter {
            stream: Some(stream.into()),
            ..Filter::default()
        };
        assert_eq!(
            (lines(&stream("logs-eth")), lines(&stream("metrics"))),
            (5, 0)
        );

        assert_eq!(replay(dir.path(), &numbers(&[1, 3])).unwrap(), 2);
        assert_eq!(purge(dir.path(), &numbers(&[0, 1])).unwrap(), 1);
        let mut out = Vec::new();
        count(dir.path(), &ALL, &mut out).unwrap();
        let counted = String::from_utf8(out).unwrap();
        let line: Vec<&str> = counted.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            line[..4],
            [
                "2",
                "logs-ethereum.block-default",
                "400",
                "document_parsing_exception"
            ]
        );
        let store = Store::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(
            (
                store.totals().spool().records,
                store.totals().dead_letters().records
            ),
            (2, 2)
        );
    }
}
