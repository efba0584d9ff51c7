//! `ethmon dead-letter`: what Elasticsearch refused, for a person to look at, to send again or to throw away.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::store::{Change, DeadLetter, Limits, Priority, Store, read_dead_letters};
use crate::event::{DataStream, timestamp};
use crate::slot;

/// Letters put back in one commit.
const CHUNK: usize = 500;

/// One line per letter: number, time, index, id, status, kind, reason. Works beside a running agent.
pub fn list(data_dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    read_dead_letters(data_dir, |key, letter| {
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
        writeln!(
            out,
            "{key}\t{}\t{index}\t{id}\t{status}\t{kind}\t{reason}",
            timestamp(at)
        )?;
        Ok(())
    })
}

/// One letter as JSON, the document included. Works beside a running agent.
pub fn show(data_dir: &Path, number: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut found = None;
    read_dead_letters(data_dir, |key, letter| {
        if key == number {
            found = Some(letter);
        }
        Ok(())
    })?;
    let letter =
        found.with_context(|| format!("cannot show dead letter {number}: there is none"))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&letter)?)?;
    Ok(())
}

/// Puts all letters back into the spool, under their ids; the agent ships them at its next start. Returns how many.
pub fn replay(data_dir: &Path) -> anyhow::Result<usize> {
    let mut store = open_alone(data_dir)?;
    let now_ms = u64::try_from(slot::now().timestamp_millis()).unwrap_or_default();
    let mut replayed = 0;
    loop {
        let mut change = Change::default();
        for (key, letter) in store.dead_letters(CHUNK)? {
            let prefix = letter.index.rsplit_once('-').map(|(prefix, _)| prefix);
            let stream = prefix.and_then(DataStream::from_prefix);
            let priority = stream.map_or(Priority::Client, Priority::of);
            change.append.push((priority, letter.to_record(now_ms)));
            change.unbury.push(key);
        }
        if change.append.is_empty() {
            return Ok(replayed);
        }
        let bytes: usize = change.append.iter().map(|(_, record)| record.len()).sum();
        ensure!(
            store.totals().spool().bytes + bytes as u64 <= store.limits().spool_bytes,
            "cannot put more dead letters back: the spool is full ({replayed} were put back)"
        );
        replayed += change.append.len();
        store.commit(&change)?;
    }
}

/// Forgets all letters. Returns how many.
pub fn purge(data_dir: &Path) -> anyhow::Result<usize> {
    let mut store = open_alone(data_dir)?;
    let mut purged = 0;
    loop {
        let unbury: Vec<_> = store
            .dead_letters(CHUNK)?
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        if unbury.is_empty() {
            return Ok(purged);
        }
        purged += unbury.len();
        store.commit(&Change {
            unbury,
            ..Change::default()
        })?;
    }
}

/// Changing the store needs its one writer to be gone.
fn open_alone(data_dir: &Path) -> anyhow::Result<Store> {
    if !data_dir.join("agent.redb").exists() {
        bail!("cannot find an agent's store in {}", data_dir.display());
    }
    Store::open(data_dir, Limits::default())
        .context("cannot change dead letters: stop the agent first")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::Record;

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
            letter.reason = "line one\nline two".into();
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
        list(dir.path(), &mut out).unwrap();
        let line = "1\t1970-01-01T00:00:00.000Z\tlogs-ethereum.block-default\tid-1\t400\tdocument_parsing_exception\tline one line two";
        assert_eq!(String::from_utf8(out).unwrap().lines().nth(1), Some(line));
        let mut out = Vec::new();
        show(dir.path(), 1, &mut out).unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(shown["document"]["a"], "b");
        assert!(show(dir.path(), 7, &mut Vec::new()).is_err());

        let error = format!("{:#}", replay(dir.path()).unwrap_err());
        assert!(
            error.starts_with("cannot change dead letters: stop the agent first"),
            "{error}"
        );
        drop(agent);
    }

    #[test]
    fn replayed_letters_are_in_the_spool_under_their_ids() {
        let dir = tempfile::tempdir().unwrap();
        drop(store_with_letters(dir.path(), 1_234));
        assert_eq!(replay(dir.path()).unwrap(), 1_234);
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
        assert!(purge(dir.path()).is_err());
        assert!(!dir.path().join("agent.redb").exists());
        drop(store_with_letters(dir.path(), 3));
        assert_eq!(purge(dir.path()).unwrap(), 3);
        assert_eq!(purge(dir.path()).unwrap(), 0);
    }
}
