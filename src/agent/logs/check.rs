//! `ethmon check logs`: what the agent would ship of a log, one document per line.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;

use super::client::Client;
use super::frame::{Framer, Line};
use super::multiline::{Joiner, Record};
use super::record::{Origin, Reading, event};
use super::text::time::Zone;
use crate::event::Event;
use crate::{config, slot};

/// The events of a text, as if it were a whole file of the client. Times without a year or zone are `now`'s year, UTC.
pub fn read(client: Client, text: &str, now: DateTime<Utc>) -> Vec<Event> {
    let reading = Reading {
        at: now,
        written_at: now,
        zone: Zone::Utc,
    };
    let origin = Origin {
        agent_id: "check",
        file_key: "text",
        path: "text",
        client,
    };
    let mut framer = Framer::new(0, config::Logs::default().max_line_bytes);
    let mut joiner = Joiner::default();
    let mut records = Vec::new();
    let mut join = |line: Line| {
        let begins_record = client.begins_record(&line.text);
        records.extend(joiner.push(line, begins_record));
    };
    framer.push(text.as_bytes(), &mut join);
    framer.finish().map(&mut join);
    records.extend(joiner.flush());
    let events = records.into_iter().map(|record| {
        let parsed = client.parse(&record.text, &reading);
        event(&record, parsed, origin, &reading)
    });
    events.collect()
}

#[derive(Debug, Default)]
struct Summary {
    records: u64,
    typed: u64,
    errors: u64,
}

/// Writes the documents of `files` to `out`, a summary to `err`. `false` if a record was cut or not UTF-8. A file whose
/// name ends in `.gz` is unpacked.
pub fn check(
    client: Client,
    files: &[PathBuf],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<bool> {
    let mut summary = Summary::default();
    for file in files {
        check_file(client, file, out, &mut summary)
            .with_context(|| format!("cannot check {}", file.display()))?;
    }
    let Summary {
        records,
        typed,
        errors,
    } = summary;
    let untyped = records - typed;
    writeln!(
        err,
        "records {records}, typed {typed}, untyped {untyped}, errors {errors}"
    )?;
    Ok(errors == 0)
}

fn check_file(
    client: Client,
    path: &Path,
    out: &mut dyn Write,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let file = File::open(path)?;
    let now = slot::now();
    let written_at = DateTime::<Utc>::from(file.metadata()?.modified()?).min(now);
    // Times of a file brought from elsewhere are UTC unless they say otherwise.
    let reading = Reading {
        at: now,
        written_at,
        zone: Zone::Utc,
    };
    let mut file: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz")
    {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let path = path.to_string_lossy();
    let origin = Origin {
        agent_id: "check",
        file_key: &path,
        path: &path,
        client,
    };
    let mut print = |record: Record| -> anyhow::Result<()> {
        let parsed = client.parse(&record.text, &reading);
        summary.records += 1;
        summary.typed += u64::from(parsed.is_typed());
        summary.errors += u64::from(record.is_cut || record.is_repaired);
        let event = event(&record, parsed, origin, &reading);
        serde_json::to_writer(&mut *out, &event.document)?;
        Ok(out.write_all(b"\n")?)
    };

    let mut framer = Framer::new(0, config::Logs::default().max_line_bytes);
    let mut joiner = Joiner::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let bytes = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let mut complete = Vec::new();
        framer.push(&buffer[..bytes], |line| {
            let begins_record = client.begins_record(&line.text);
            complete.extend(joiner.push(line, begins_record));
        });
        complete.into_iter().try_for_each(&mut print)?;
    }
    let last = framer.finish().and_then(|line| {
        let begins_record = client.begins_record(&line.text);
        joiner.push(line, begins_record)
    });
    last.into_iter().chain(joiner.flush()).try_for_each(print)
}
