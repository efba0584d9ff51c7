//! `ethmon registry`: how far each log file is acknowledged, and forgetting it.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::columns;
use super::logs::{RegistryEntry, registry_entries};
use super::store::{Beside, Change, Store};

/// One line per file: bytes acknowledged, bytes the file of that name has now, how many are behind, key, path. Works
/// beside a running agent.
pub fn show(data_dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let heading = ["acknowledged", "size", "behind", "key", "path"];
    let mut rows = vec![heading.map(str::to_owned)];
    for entry in registry_entries(Beside::open(data_dir)?.registry()?) {
        // Nothing is behind in a file that is gone: its descriptor was read to its end.
        let size = fs::metadata(&entry.path).ok().map(|file| file.len());
        let behind = size.map(|size| size.saturating_sub(entry.offset));
        let shown = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |n| n.to_string());
        rows.push([
            entry.offset.to_string(),
            shown(size),
            shown(behind),
            entry.key,
            entry.path,
        ]);
    }
    columns::write(&rows, out)
}

/// Forgets the files of this path, or all of them: the agent reads them again from their beginning, under the same ids.
/// Returns how many. Refused while an agent runs.
pub fn reset(data_dir: &Path, path: Option<&str>) -> anyhow::Result<usize> {
    let mut store = Store::open_existing(data_dir).context("cannot change the registry")?;
    let entries = registry_entries(store.registry()?);
    let meant = entries
        .into_iter()
        .filter(|entry| path.is_none_or(|path| entry.path == path));
    let meant: Vec<RegistryEntry> = meant.collect();
    if let (Some(path), []) = (path, meant.as_slice()) {
        anyhow::bail!("cannot forget {path}: the registry does not know it");
    }
    let names = meant.iter().flat_map(|entry| entry.names.clone());
    let change = Change {
        registry: names.map(|name| (name, None)).collect(),
        ..Change::default()
    };
    if !change.is_empty() {
        store.commit(&change)?;
    }
    Ok(meant.len())
}
