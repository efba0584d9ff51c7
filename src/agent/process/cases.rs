//! `ethmon check processors`: test cases for a configuration's processors.
//!
//! ```toml
//! [[case]]
//! name = "the token is not shipped"
//! client = "lighthouse"                       # whose log line it is, or …
//! line = "…"
//! # stream = "metrics-system.cpu"             # … a document of a stream, as a table or as JSON
//! # document = { system.cpu.total.pct = 0.7 }
//! # json = '{"system": {"cpu": {"total": {"pct": 0.7}}}}'
//! expect = { log.level = "info" }             # fields that have to be there, with their values
//! absent = ["labels.token"]                   # fields that must not be there
//! # dropped = true                            # nothing comes out
//! # failed = ["3 convert not_a_number"]       # processors that fail on the event: by default none may
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::add_fields::flatten;
use super::{Fate, Note};
use crate::agent::envelope::{Envelope, Identity};
use crate::agent::{self, logs};
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::{config, slot};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    name: String,
    client: Option<logs::Client>,
    line: Option<String>,
    stream: Option<String>,
    document: Option<Map<String, Value>>,
    json: Option<String>,
    /// The document's `_id`, for `sample`.
    id: Option<String>,
    expect: Map<String, Value>,
    absent: Vec<String>,
    dropped: bool,
    failed: Vec<String>,
}

/// Writes one line per case to `out`, and what differs below it. `false` if anything does.
pub fn check(
    config: &config::Agent,
    files: &[PathBuf],
    out: &mut dyn Write,
) -> anyhow::Result<bool> {
    let host = Document::default();
    let identity: Identity = agent::identity(config, "check".into(), "check", host);
    let envelope = Envelope::new(&identity);
    let (mut all, mut failed) = (0, 0);
    for file in files {
        let name = file.display().to_string();
        for case in read(file)? {
            let differences = run(config, &envelope, &case)
                .with_context(|| format!("{name}: the case {:?}", case.name))?;
            all += 1;
            failed += usize::from(!differences.is_empty());
            let word = if differences.is_empty() {
                "ok"
            } else {
                "FAILED"
            };
            writeln!(out, "{word:<6}  {name}: {}", case.name)?;
            for difference in differences {
                writeln!(out, "        {}", difference.replace('\n', "\n        "))?;
            }
        }
    }
    writeln!(
        out,
        "{} processors, {all} cases, {failed} failed",
        config.processors.len()
    )?;
    Ok(failed == 0)
}

fn read(path: &Path) -> anyhow::Result<Vec<Case>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    // Log lines may hold `${…}` of their own: nothing is replaced.
    let cases: Cases = config::parse(&file, &text, &|name| Some(format!("${{{name}}}")))?;
    ensure!(
        !cases.cases.is_empty(),
        "{file}: there is no [[case]] in this file"
    );
    Ok(cases.cases)
}

/// What differs from what is expected.
fn run(config: &config::Agent, envelope: &Envelope, case: &Case) -> anyhow::Result<Vec<String>> {
    let mut event = event(case, slot::now())?;
    let base = envelope.base(event.stream);
    let mut failed = Vec::new();
    let mut dropped_by = None;
    let fate = config
        .processors
        .apply(&mut event, base, |note| match note {
            Note { failure: None, .. } => dropped_by = Some(note),
            Note { number, kind, .. } => failed.push(format!("{number} {kind} {}", note.outcome())),
        });
    let mut differences = Vec::new();
    if failed != case.failed {
        differences.push(match case.failed.is_empty() {
            true => format!("failed: {}", failed.join(", ")),
            false => compared("failed", &case.failed.join(", "), &failed.join(", ")),
        });
    }
    match (case.dropped, fate) {
        (true, Fate::Dropped) => return Ok(differences),
        (true, Fate::Kept) => differences.push("expected to be dropped, and is kept".into()),
        (false, Fate::Dropped) => {
            let Note { number, kind, .. } = dropped_by.context("nobody dropped it")?;
            differences.push(format!("dropped by processor {number} ({kind})"));
            return Ok(differences);
        }
        (false, Fate::Kept) => {}
    }
    let mut sealed = event.document;
    sealed.merge_missing(base);
    let mut expected = Vec::new();
    flatten(
        String::new(),
        &Value::Object(case.expect.clone()),
        &mut expected,
    );
    for (path, expected) in expected {
        let found = sealed.get(&path);
        if !found.is_some_and(|found| is_same(&expected, found)) {
            let found = found.map_or("nothing".to_owned(), Value::to_string);
            differences.push(compared(&path, &expected.to_string(), &found));
        }
    }
    for path in &case.absent {
        if let Some(found) = sealed.get(path) {
            differences.push(compared(path, "nothing", &found.to_string()));
        }
    }
    Ok(differences)
}

fn compared(what: &str, expected: &str, found: &str) -> String {
    format!("{what}\n  expected {expected}\n  found    {found}")
}

/// 1 and 1.0 are the same number.
fn is_same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn event(case: &Case, now: DateTime<Utc>) -> anyhow::Result<Event> {
    ensure!(!case.name.is_empty(), "it needs a name");
    let checks = !case.expect.is_empty() || !case.absent.is_empty();
    ensure!(
        checks != case.dropped || (!checks && !case.failed.is_empty()),
        "it needs either fields to expect or miss, or `dropped = true`"
    );
    let mut event = match (&case.line, &case.document, &case.json) {
        (Some(line), None, None) => {
            ensure!(
                case.stream.is_none(),
                "a line has no `stream`, but a `client`"
            );
            let client = case.client.unwrap_or(logs::Client::Generic);
            let mut events = logs::read(client, line, now);
            ensure!(
                events.len() == 1,
                "its line holds {} records, not one",
                events.len()
            );
            events.remove(0)
        }
        (None, Some(document), None) => of_document(case, document.clone(), now)?,
        (None, None, Some(json)) => {
            let document = serde_json::from_str(json).context("cannot read its json")?;
            of_document(case, document, now)?
        }
        _ => bail!("it needs one of `line`, `document` and `json`"),
    };
    if let Some(id) = &case.id {
        event.id = DocumentId::existing(id.as_str());
    }
    Ok(event)
}

fn of_document(
    case: &Case,
    fields: Map<String, Value>,
    now: DateTime<Utc>,
) -> anyhow::Result<Event> {
    ensure!(
        case.client.is_none(),
        "a document has no `client`, but a `stream`"
    );
    let name = case.stream.as_deref().context("it needs a `stream`")?;
    let stream = DataStream::from_prefix(name)
        .with_context(|| format!("no data stream is called {name:?}"))?;
    let mut event = Event::new(stream, DocumentId::of(&["check", &case.name]), now);
    // Written nested or dotted, it is stored as collectors store it.
    let mut leaves = Vec::new();
    flatten(String::new(), &Value::Object(fields), &mut leaves);
    for (path, value) in leaves {
        event.document.set(&path, value);
    }
    Ok(event)
}
