//! `ethmon check logs`: what the agent would ship of a log, one document per line.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;

use super::client::Client;
use super::lines::{LANES, Lines, Shape};
use super::multiline::Record;
use super::record::{Origin, Place, Reading, event, fill};
use super::text::time::Zone;
use crate::event::{DataStream, DocumentId, Event, IdOf};
use crate::{config, slot};

/// The events of a text: see [`each`].
pub fn read(client: Client, text: &str, now: DateTime<Utc>) -> Vec<Event> {
    let mut events = Vec::new();
    each(client, text, now, |event| events.push(event.clone()));
    events
}

/// Hands out the event of each record of a text, as if it were a whole file of the client. Times without a year or zone
/// are `now`'s year, UTC.
pub fn each(client: Client, text: &str, now: DateTime<Utc>, mut take: impl FnMut(&Event)) {
    let reading = Reading {
        at: now,
        written_at: now,
        zone: Zone::Utc,
    };
    let ids = IdOf::new(&["check", "text"]);
    let place = Place::File {
        ids: &ids,
        path: "text",
    };
    let mut lines = lines_of(client);
    let mut records = lines.push(text.as_bytes());
    records.extend(lines.finish());
    let client = lines.recogniser().client();
    let origin = Origin {
        agent_id: "check",
        place,
        client,
    };
    let mut event = Event::new(DataStream::ClientLog, DocumentId::of(&[]), now);
    for record in &records {
        let reading = reading.of(record);
        let parsed = client.parse_plain(&record.text, &reading);
        fill(&mut event, record, parsed, origin, &reading);
        take(&event);
    }
}

#[derive(Debug, Default)]
struct Summary {
    records: u64,
    typed: u64,
    errors: u64,
    unknown: u64,
}

/// Writes the documents of `files` to `out`, a summary to `err`: `untyped` records carry nothing beyond time, level and
/// text, `unknown` ones are not in the client's format. `false` if a record was cut or not UTF-8. A file whose name ends
/// in `.gz` is unpacked.
pub fn check(
    client: Client,
    files: &[PathBuf],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<bool> {
    let mut summary = Summary::default();
    for file in files {
        check_file(client, file, out, err, &mut summary)
            .with_context(|| format!("cannot check {}", file.display()))?;
    }
    let Summary {
        records,
        typed,
        errors,
        unknown,
    } = summary;
    let untyped = records - typed;
    writeln!(
        err,
        "records {records}, typed {typed}, untyped {untyped}, errors {errors}, unknown {unknown}"
    )?;
    Ok(errors == 0)
}

fn check_file(
    client: Client,
    path: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
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
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = read_some(&mut *file, &mut buffer)?;
    let mut client = client;
    if client == Client::Auto {
        let mut lines = lines_of(client);
        lines.push(&buffer[..filled]);
        client = lines.recogniser().client();
        let path = path.display();
        match client {
            Client::Auto => writeln!(err, "{path}: no client's format recognised")?,
            client => writeln!(err, "{path}: recognised as {}", client.name())?,
        }
    }
    let path = path.to_string_lossy();
    let ids = IdOf::new(&["check", &path]);
    let origin = Origin {
        agent_id: "check",
        place: Place::File {
            ids: &ids,
            path: &path,
        },
        client,
    };
    let mut print = |record: Record| -> anyhow::Result<()> {
        let reading = reading.of(&record);
        let parsed = client.parse_plain(&record.text, &reading);
        summary.records += 1;
        summary.typed += u64::from(parsed.is_typed());
        summary.errors += u64::from(record.is_cut || record.is_repaired);
        summary.unknown += u64::from(!parsed.is_known);
        let event = event(&record, parsed, origin, &reading);
        serde_json::to_writer(&mut *out, &event.document)?;
        Ok(out.write_all(b"\n")?)
    };

    let mut lines = lines_of(client);
    while filled > 0 {
        let records = lines.push(&buffer[..filled]);
        records.into_iter().try_for_each(&mut print)?;
        filled = read_some(&mut *file, &mut buffer)?;
    }
    lines.finish().into_iter().try_for_each(print)
}

/// As a section with no other key than the client has them.
fn lines_of(client: Client) -> Lines {
    let section = config::Logs {
        client,
        ..config::Logs::default()
    };
    Lines::new(Shape::of(&section), 0, [0; LANES])
}

/// 0 at the end.
fn read_some(file: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
