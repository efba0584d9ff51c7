//! Looks into a store without changing it, also while an agent has it open.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use redb::{DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable};
use tracing::warn;

use super::damage::guarded;
use super::open::{self, open_error};
use super::sealed::{self, Table};
use super::spool::{self, SpoolKey, Stored};
use super::totals::{Count, Totals};
use super::{DEAD_LETTERS, DeadLetter, FILE, NOTES, Priority, REGISTRY, SPOOL, TOTALS, dead};

/// A store as it was when this was opened.
pub struct Beside {
    read: ReadTransaction,
    /// Kept open for `read`.
    #[allow(dead_code)]
    database: Box<dyn ReadableDatabase>,
}

/// What waits for one data stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub priority: Priority,
    pub count: Count,
    /// When the oldest and the newest were taken, in milliseconds since 1970.
    pub oldest_ms: u64,
    pub newest_ms: u64,
}

/// What was found by reading everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub events: u64,
    pub dead_letters: u64,
    pub registry_entries: u64,
    pub notes: u64,
    /// Values that are not what was written, by table.
    pub damaged: BTreeMap<&'static str, u64>,
    /// Events that only a later version can read.
    pub later: u64,
    /// The stored totals are those that were counted.
    pub totals_agree: bool,
}

impl Beside {
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE);
        if !path.exists() {
            bail!(
                "cannot find an agent's store in {}: --data-dir names the data_dir of the agent's configuration",
                data_dir.display()
            );
        }
        guarded(|| {
            let database: Box<dyn ReadableDatabase> = match open::builder().open_read_only(&path) {
                Ok(database) => Box::new(database) as Box<ReadOnlyDatabase>,
                // The agent was killed: only a writer may put the file in order.
                Err(DatabaseError::RepairAborted) => Box::new(
                    open::builder()
                        .open(&path)
                        .map_err(|error| open_error(&path, error))?,
                ),
                Err(error) => return Err(open_error(&path, error)),
            };
            let read = database.begin_read()?;
            Ok(Self { read, database })
        })
        .with_context(|| format!("cannot read the store in {}", data_dir.display()))
    }

    pub fn totals(&self) -> anyhow::Result<Totals> {
        guarded(|| Totals::read(&self.read.open_table(TOTALS)?))?
            .context("cannot read the store's totals: they are damaged")
    }

    /// By data stream, from reading the whole spool.
    pub fn waiting(&self) -> anyhow::Result<BTreeMap<String, Waiting>> {
        let mut waiting = BTreeMap::<String, Waiting>::new();
        guarded(|| {
            for entry in self.read.open_table(SPOOL)?.iter()? {
                let (key, stored) = entry?;
                let key = SpoolKey::of(key.value());
                let Stored::Record(record) = spool::read(key, stored.value()) else {
                    continue;
                };
                let at = record.taken_at_ms();
                let Some(priority) = key.priority() else {
                    continue;
                };
                let entry = waiting.entry(record.index().to_owned()).or_insert(Waiting {
                    priority,
                    count: Count::default(),
                    oldest_ms: at,
                    newest_ms: at,
                });
                entry.count.add(record.len());
                entry.oldest_ms = entry.oldest_ms.min(at);
                entry.newest_ms = entry.newest_ms.max(at);
            }
            Ok(())
        })?;
        Ok(waiting)
    }

    pub fn registry(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        guarded(|| registry(&self.read.open_table(REGISTRY)?))
    }

    /// Number and letter; `None` for a damaged one.
    pub fn each_dead_letter(
        &self,
        mut each: impl FnMut(u64, Option<DeadLetter>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let table = guarded(|| Ok(self.read.open_table(DEAD_LETTERS)?))?;
        let mut entries = guarded(|| Ok(table.iter()?))?;
        loop {
            // A value that ends beyond its page makes the database panic when it is looked at.
            let next =
                guarded(|| {
                    let next = entries.next().transpose()?;
                    Ok(next.map(|(key, stored)| {
                        (key.value(), dead::read(key.value(), stored.value()))
                    }))
                });
            let Some((key, letter)) = next? else {
                break;
            };
            each(key, letter)?;
        }
        Ok(())
    }

    pub fn dead_letter(&self, number: u64) -> anyhow::Result<Option<DeadLetter>> {
        guarded(|| {
            let stored = self.read.open_table(DEAD_LETTERS)?.get(number)?;
            Ok(stored.and_then(|stored| dead::read(number, stored.value())))
        })
    }

    /// Reads everything and compares it with its checksums.
    pub fn verify(&self) -> anyhow::Result<Verified> {
        let mut found = Verified::default();
        guarded(|| {
            let spool = self.read.open_table(SPOOL)?;
            for entry in spool.iter()? {
                let (key, stored) = entry?;
                match spool::read(SpoolKey::of(key.value()), stored.value()) {
                    Stored::Record(_) => found.events += 1,
                    Stored::Later => found.later += 1,
                    Stored::Damaged => found.note("spool"),
                }
            }
            let letters = self.read.open_table(DEAD_LETTERS)?;
            for entry in letters.iter()? {
                let (key, stored) = entry?;
                match dead::read(key.value(), stored.value()) {
                    Some(_) => found.dead_letters += 1,
                    None => found.note("dead letters"),
                }
            }
            let tables = [
                (REGISTRY, Table::Registry, "registry"),
                (NOTES, Table::Notes, "notes"),
            ];
            for (definition, table, name) in tables {
                for entry in self.read.open_table(definition)?.iter()? {
                    let (key, stored) = entry?;
                    match (
                        sealed::open(table, key.value().as_bytes(), stored.value()),
                        table,
                    ) {
                        (None, _) => found.note(name),
                        (Some(_), Table::Registry) => found.registry_entries += 1,
                        (Some(_), _) => found.notes += 1,
                    }
                }
            }
            let stored = Totals::read(&self.read.open_table(TOTALS)?)?;
            found.totals_agree = stored == Some(Totals::count(&spool, &letters)?);
            Ok(())
        })?;
        Ok(found)
    }
}

impl Verified {
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.totals_agree
    }

    fn note(&mut self, table: &'static str) {
        *self.damaged.entry(table).or_default() += 1;
    }
}

pub(super) fn registry(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut entries = Vec::new();
    for entry in table.iter()? {
        let (key, stored) = entry?;
        let key = key.value();
        match sealed::open(Table::Registry, key.as_bytes(), stored.value()) {
            Some(value) => entries.push((key.to_owned(), value.to_vec())),
            None => warn!(
                key,
                "an entry of the registry of files is damaged and forgotten"
            ),
        }
    }
    Ok(entries)
}
