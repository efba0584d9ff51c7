//! `ethmon check packets`: what the agent would ship of a capture, one document per line.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Map, Value};

use super::Analyzer;
use super::capture::{Source, open_file};
use crate::config;

/// Writes the documents of `files` to `out`, each with its `data_stream.dataset`, and the counters to `err`. `false` if
/// anything could not be decoded.
pub fn check(
    config: &config::Packets,
    files: &[PathBuf],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<bool> {
    let mut is_clean = true;
    for file in files {
        let source = open_file(file)?;
        let name = source.name();
        let mut analyzer = Analyzer::new(config, "check", &name, &[], config.max_flows);
        let mut written = Ok(());
        let Source::File(replay) = source else {
            continue;
        };
        let read = replay.read(&mut analyzer, |batch| {
            written = batch.into_iter().try_for_each(|event| {
                let mut document = Map::new();
                let dataset = event.stream.dataset().into();
                document.insert("data_stream.dataset".into(), dataset);
                document.insert("_id".into(), event.id.as_str().into());
                let Value::Object(fields) = event.document.into_value() else {
                    return Ok(());
                };
                document.extend(fields);
                serde_json::to_writer(&mut *out, &document)?;
                writeln!(out)
            });
            written.is_ok()
        });
        written?;
        read.with_context(|| format!("cannot check {}", file.display()))?;
        let stats = analyzer.stats();
        is_clean &= stats.malformed + stats.transport_malformed + stats.undecoded == 0;
        let counted = stats.named().into_iter().filter(|(_, count)| *count > 0);
        let counted: Vec<String> = counted
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        writeln!(err, "{name}: {}", counted.join(", "))?;
    }
    Ok(is_clean)
}
