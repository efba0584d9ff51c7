//! The agent's id, made once per data directory: the ids of all documents depend on it. It is kept in the store, and
//! in a file beside it that outlives a damaged store.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use tracing::warn;

use super::{Change, Store, salvage};

const NOTE: &str = "agent.id";
const FILE: &str = "agent.id";

/// Who the agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentId {
    pub id: String,
    /// Made a moment ago: no document has an id that depends on it.
    pub is_new: bool,
}

/// The id, from the store, from the file, or new; afterwards both have it.
pub fn agent_id(store: &mut Store) -> anyhow::Result<AgentId> {
    let noted = store.note(NOTE)?.and_then(|id| String::from_utf8(id).ok());
    let filed = read(&store.dir);
    let is_new = noted.is_none() && filed.is_none();
    let id = match (&noted, &filed) {
        (Some(id), _) | (None, Some(id)) => id.clone(),
        (None, None) => uuid::Uuid::new_v4().to_string(),
    };
    if noted.is_none() {
        store.commit(&Change {
            notes: vec![(NOTE.into(), id.clone().into_bytes())],
            ..Change::default()
        })?;
    }
    if filed.as_ref() != Some(&id) {
        if let Some(filed) = filed {
            warn!(
                filed,
                id, "the file agent.id held another id than the store, which counts"
            );
        }
        write(&store.dir, &id)?;
    }
    Ok(AgentId { id, is_new })
}

/// Whether an agent that lived here has left its id.
pub(super) fn is_kept_in(dir: &Path) -> bool {
    read(dir).is_some()
}

/// `None` for anything that is no id.
fn read(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join(FILE)).ok()?;
    let id = uuid::Uuid::parse_str(text.trim()).ok()?;
    Some(id.to_string())
}

fn write(dir: &Path, id: &str) -> anyhow::Result<()> {
    let (path, new) = (dir.join(FILE), dir.join("agent.id.new"));
    let written = File::create(&new).and_then(|mut file| {
        writeln!(file, "{id}")?;
        file.sync_all()?;
        fs::rename(&new, &path)
    });
    written.with_context(|| format!("cannot write {}", path.display()))?;
    salvage::sync(dir)
}
