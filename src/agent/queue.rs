//! `ethmon queue`: what waits on disk, and whether it can all be read.

use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::columns;
use super::store::{Beside, Priority, Store};
use crate::event::timestamp;

/// One line per data stream with what waits for it, least important first, and one for all. Works beside a running
/// agent.
pub fn inspect(data_dir: &Path, now: DateTime<Utc>, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Beside::open(data_dir)?;
    let totals = store.totals()?;
    let waiting = store.waiting()?;
    let heading = ["priority", "events", "bytes", "oldest", "age_s", "stream"];
    let mut rows = vec![heading.map(str::to_owned)];
    for priority in Priority::ALL {
        for (index, waiting) in &waiting {
            if waiting.priority != priority {
                continue;
            }
            let oldest = i64::try_from(waiting.oldest_ms).unwrap_or(i64::MAX);
            let oldest = DateTime::from_timestamp_millis(oldest).unwrap_or_default();
            rows.push([
                priority.name().to_owned(),
                waiting.count.records.to_string(),
                waiting.count.bytes.to_string(),
                timestamp(oldest),
                (now - oldest).num_seconds().max(0).to_string(),
                index.clone(),
            ]);
        }
    }
    for (name, count) in [
        ("all", totals.spool()),
        ("dead-letters", totals.dead_letters()),
    ] {
        let (records, bytes) = (count.records.to_string(), count.bytes.to_string());
        let nothing = || "-".to_owned();
        rows.push([
            name.to_owned(),
            records,
            bytes,
            nothing(),
            nothing(),
            nothing(),
        ]);
    }
    columns::write(&rows, out)
}

/// Reads everything and compares it with its checksums; `false` where something is damaged. Where no agent runs, the
/// pages between the values are compared too.
pub fn verify(data_dir: &Path, out: &mut dyn Write) -> anyhow::Result<bool> {
    let is_in_use = match Store::open_existing(data_dir) {
        Ok(store) => {
            drop(store);
            writeln!(out, "pages: ok")?;
            false
        }
        Err(error) if Store::is_in_use(&error) => {
            writeln!(
                out,
                "pages: not compared while an agent runs; it did so when it started"
            )?;
            true
        }
        Err(error) => {
            writeln!(out, "pages: {error:#}")?;
            return Ok(false);
        }
    };
    let found = Beside::open(data_dir)?.verify()?;
    writeln!(
        out,
        "events: {}\ndead letters: {}\nregistry entries: {}\nnotes: {}",
        found.events, found.dead_letters, found.registry_entries, found.notes
    )?;
    if found.later > 0 {
        writeln!(out, "events of a later version: {}", found.later)?;
    }
    for (table, count) in &found.damaged {
        writeln!(
            out,
            "damaged: {count} in {table}; the agent drops and counts them"
        )?;
    }
    if !found.totals_agree {
        writeln!(out, "damaged: the totals are not those of what is there")?;
    }
    let whole = if is_in_use { "values" } else { "store" };
    if found.is_sound() {
        writeln!(out, "{whole}: ok")?;
    }
    Ok(found.is_sound())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::{Change, Limits, Record};

    fn text(write: impl FnOnce(&mut dyn Write)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_waits_is_shown_and_verified_beside_an_agent_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Limits::default()).unwrap();
        let record = |index, at| Record::new(at, index, "id", |out| out.extend_from_slice(b"{}"));
        let block = "logs-ethereum.block-default";
        store
            .commit(&Change {
                append: vec![
                    (Priority::Chain, record(block, 5_000)),
                    (Priority::Chain, record(block, 6_000)),
                    (
                        Priority::Metrics,
                        record("metrics-system.cpu-default", 7_000),
                    ),
                ],
                registry: vec![("file/x".into(), Some(b"{}".to_vec()))],
                ..Change::default()
            })
            .unwrap();
        let now = DateTime::from_timestamp(65, 0).unwrap();
        let shown = text(|out| inspect(dir.path(), now, out).unwrap());
        let rows: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let (at_5, at_7) = ("1970-01-01T00:00:05.000Z", "1970-01-01T00:00:07.000Z");
        let cpu = "metrics-system.cpu-default";
        assert_eq!(rows[1], ["metrics", "1", "43", at_7, "58", cpu]);
        assert_eq!(rows[2], ["chain", "2", "88", at_5, "60", block]);
        assert_eq!(rows[3], ["all", "3", "131", "-", "-", "-"]);

        let beside = text(|out| assert!(verify(dir.path(), out).unwrap()));
        assert!(beside.starts_with("pages: not compared") && beside.ends_with("values: ok\n"));
        drop(store);
        let alone = text(|out| assert!(verify(dir.path(), out).unwrap()));
        assert_eq!(
            alone,
            "pages: ok\nevents: 3\ndead letters: 0\nregistry entries: 1\nnotes: 0\nstore: ok\n"
        );
    }

    #[test]
    fn damage_is_told_and_left_to_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        assert!(inspect(dir.path(), DateTime::UNIX_EPOCH, &mut Vec::new()).is_err());
        let mut store = Store::open(dir.path(), Limits::default()).unwrap();
        let record = Record::new(1, "logs-a-default", "id", |out| {
            out.extend_from_slice(b"{\"find\":\"me\"}");
        });
        store
            .commit(&Change {
                append: vec![(Priority::Chain, record)],
                ..Change::default()
            })
            .unwrap();
        drop(store);
        let path = dir.path().join("agent.redb");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes
            .windows(4)
            .position(|window| window == b"find")
            .unwrap();
        bytes[at] = b'k';
        std::fs::write(&path, &bytes).unwrap();
        let told = text(|out| assert!(!verify(dir.path(), out).unwrap()));
        assert!(told.contains("is damaged"), "{told}");
        assert_eq!(
            std::fs::read(&path).unwrap().len(),
            bytes.len(),
            "still there"
        );
    }
}
