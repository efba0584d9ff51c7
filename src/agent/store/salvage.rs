//! A damaged database is set aside and a new one is made of what can still be read in it.
//!
//! The new file is complete before the old one gives up its name, so that a crash at any moment leaves either the one
//! or the other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use redb::{AccessGuard, Database, Key, ReadTransaction, ReadableDatabase, ReadableTable};
use redb::{TableDefinition, TableHandle};

use super::damage::{guarded, let_go};
use super::evidence::Evidence;
use super::sealed::{self, Table};
use super::spool::SpoolKey;
use super::totals::Totals;
use super::{DEAD_LETTERS, FILE, NOTES, REGISTRY, SPOOL, TOTALS, open};
use crate::slot;

const REBUILDING: &str = "agent.redb.rebuilding";
const SET_ASIDE: &str = "agent.redb.damaged-";
/// Older ones are removed: a failing disk must not fill itself with them.
const KEPT_ASIDE: usize = 3;
/// Entries and bytes copied in one commit.
const CHUNK: usize = 1_000;
const CHUNK_BYTES: usize = 4 << 20;

/// A store that was damaged and made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// What was wrong.
    pub reason: String,
    /// The damaged file's new place.
    pub set_aside: PathBuf,
    /// What the new store begins with.
    pub kept: Totals,
    /// What the damaged store held; `None` where nobody knows any more.
    pub before: Option<Totals>,
}

impl Rebuilt {
    /// Spooled events that are known to be lost.
    pub fn lost_events(&self) -> u64 {
        let lost = |before: Totals| before.spool().records - self.kept.spool().records;
        self.before.map_or(0, lost)
    }

    pub fn lost_dead_letters(&self) -> u64 {
        let lost =
            |before: Totals| before.dead_letters().records - self.kept.dead_letters().records;
        self.before.map_or(0, lost)
    }
}

/// What a crash interrupted: the new file was complete, and the old one is already set aside.
pub(super) fn finish_interrupted(dir: &Path) -> anyhow::Result<()> {
    let (path, rebuilding) = (dir.join(FILE), dir.join(REBUILDING));
    if !path.exists() && rebuilding.exists() {
        rename(&rebuilding, &path)?;
        sync(dir)?;
    }
    Ok(())
}

/// `known`: the totals as they were in memory, where the store was in use.
pub(super) fn rebuild(dir: &Path, reason: &str, known: Option<Totals>) -> anyhow::Result<Rebuilt> {
    let (path, rebuilding) = (dir.join(FILE), dir.join(REBUILDING));
    if let Err(error) = fs::remove_file(&rebuilding)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot remove {}", rebuilding.display()));
    }
    let target = open::builder()
        .create(&rebuilding)
        .with_context(|| format!("cannot create {}", rebuilding.display()))?;
    let mut kept = Totals::default();
    let mut before = known;
    // The source may be unreadable from its first page on, and may panic even when it is closed.
    let source = guarded(|| {
        let evidence = Evidence::open(&path)?;
        Ok(open::builder().open_read_only_with_backend(evidence)?)
    });
    if let Ok(source) = source {
        let read = guarded(|| Ok(source.begin_read()?));
        if let Ok(read) = read {
            before = before.or_else(|| stored_totals(&read));
            copy_all(&read, &target, &mut kept)?;
            let_go(read);
        }
        let_go(source);
    }
    let write = target.begin_write()?;
    kept.write(&Totals::default(), &mut write.open_table(TOTALS)?)?;
    write.commit()?;
    target.close()?;
    // A store can't have held less than what was found in it.
    let before = before.filter(|before| {
        before.spool().records >= kept.spool().records
            && before.dead_letters().records >= kept.dead_letters().records
    });
    let set_aside = free_name(dir);
    rename(&path, &set_aside)?;
    rename(&rebuilding, &path)?;
    sync(dir)?;
    remove_oldest(dir);
    Ok(Rebuilt {
        reason: reason.to_owned(),
        set_aside,
        kept,
        before,
    })
}

fn stored_totals(read: &ReadTransaction) -> Option<Totals> {
    guarded(|| Totals::read(&read.open_table(TOTALS)?)).ok()?
}

/// Small tables first: whose lines were acknowledged matters more than what waits.
fn copy_all(read: &ReadTransaction, target: &Database, kept: &mut Totals) -> anyhow::Result<()> {
    let text = |table| {
        move |key: &str, stored: &[u8]| sealed::open(table, key.as_bytes(), stored).is_some()
    };
    copy(read, target, NOTES, text(Table::Notes), |_, _| {})?;
    copy(read, target, REGISTRY, text(Table::Registry), |_, _| {})?;
    copy(
        read,
        target,
        DEAD_LETTERS,
        |key, stored| sealed::open(Table::DeadLetters, &key.to_le_bytes(), stored).is_some(),
        |_, bytes| kept.dead_letters_mut().add(bytes),
    )?;
    copy(
        read,
        target,
        SPOOL,
        |key, stored| sealed::open(Table::Spool, &SpoolKey::of(key).to_bytes(), stored).is_some(),
        |key, bytes| kept.class_mut(key.0).add(bytes),
    )
}

type Entry<'txn, K> = (AccessGuard<'txn, K>, AccessGuard<'txn, &'static [u8]>);

/// Copies from the first entry up to a damaged page, and from the last one down to it.
fn copy<K: Key + 'static>(
    read: &ReadTransaction,
    target: &Database,
    definition: TableDefinition<'static, K, &'static [u8]>,
    is_sound: impl Fn(K::SelfType<'_>, &[u8]) -> bool,
    mut count: impl FnMut(K::SelfType<'_>, usize),
) -> anyhow::Result<()> {
    let Ok(table) = guarded(|| Ok(read.open_table(definition)?)) else {
        return Ok(());
    };
    for backwards in [false, true] {
        let Ok(mut entries) = guarded(|| Ok(table.iter()?)) else {
            break;
        };
        let mut last: Option<Vec<u8>> = None;
        loop {
            let (mut chunk, mut bytes): (Vec<Entry<'_, K>>, _) = (Vec::new(), 0);
            while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
                // A key that is no text, and a value that ends beyond its page, make the database panic when they are
                // looked at.
                let next = guarded(|| {
                    let next = match backwards {
                        false => entries.next(),
                        true => entries.next_back(),
                    };
                    let Some((key, value)) = next.transpose()? else {
                        return Ok(None);
                    };
                    let this = K::as_bytes(&key.value()).as_ref().to_vec();
                    let length = value.value().len();
                    Ok(Some((key, value, this, length)))
                });
                let Ok(Some((key, value, this, length))) = next else {
                    break;
                };
                // Pages that lead back to each other would never end.
                let goes_on = last.as_ref().is_none_or(|last| {
                    let order = K::compare(last, &this);
                    if backwards {
                        order.is_gt()
                    } else {
                        order.is_lt()
                    }
                });
                if !goes_on {
                    break;
                }
                last = Some(this);
                bytes += length;
                chunk.push((key, value));
            }
            if chunk.is_empty() {
                break;
            }
            let write = target.begin_write()?;
            {
                let mut table = write.open_table(definition)?;
                for (key, value) in &chunk {
                    let stored = value.value();
                    if is_sound(key.value(), stored) && table.insert(key.value(), stored)?.is_none()
                    {
                        count(key.value(), sealed::value_len(stored));
                    }
                }
            }
            write.commit()?;
        }
    }
    tracing::debug!(table = definition.name(), "table salvaged");
    Ok(())
}

/// `agent.redb.damaged-20261121T154700Z`, with a number behind it where that exists.
fn free_name(dir: &Path) -> PathBuf {
    let name = format!("{SET_ASIDE}{}", slot::now().format("%Y%m%dT%H%M%SZ"));
    let numbered = (1..).map(|number| dir.join(format!("{name}-{number}")));
    let mut names = std::iter::once(dir.join(&name)).chain(numbered);
    names.find(|name| !name.exists()).unwrap_or(dir.join(name))
}

/// Files that were set aside, oldest first.
fn set_aside(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with(SET_ASIDE))
    };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_aside).collect();
    found.sort();
    found
}

fn remove_oldest(dir: &Path) {
    let aside = set_aside(dir);
    let surplus = aside.len().saturating_sub(KEPT_ASIDE);
    for path in &aside[..surplus] {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a damaged store");
        }
    }
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {}", from.display()))
}

/// A new name is durable once its directory is.
pub(super) fn sync(dir: &Path) -> anyhow::Result<()> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("cannot flush {}", dir.display()))
}
