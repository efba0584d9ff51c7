//! The agent's one database, `DATA_DIR/agent.redb`: spool, registry of files, dead letters, notes.
//!
//! [`Store`] is synchronous and has one owner, the task in [`writer`]; everybody else holds a [`StoreHandle`]. What one
//! commit does is a value, [`Change`], so that a commit that failed (full disk) can be tried again as it was.

mod dead;
mod record;
mod spool;
mod writer;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use redb::{
    ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    TableDefinition, TableError,
};

pub use self::dead::DeadLetter;
pub use self::record::{Priority, Record};
pub use self::spool::{Count, SpoolKey, Totals};
pub use self::writer::{Closed, Requests, StoreHandle, run};

/// Key: priority and sequence number, so that the oldest of a class is the first of a range.
const SPOOL: TableDefinition<(u8, u64), &[u8]> = TableDefinition::new("spool");
const DEAD_LETTERS: TableDefinition<u64, &[u8]> = TableDefinition::new("dead_letters");
const REGISTRY: TableDefinition<&str, &[u8]> = TableDefinition::new("registry");
const NOTES: TableDefinition<&str, &[u8]> = TableDefinition::new("notes");
/// Records and bytes per priority (and of the dead letters, under [`spool::DEAD`]): a start counts nothing.
const TOTALS: TableDefinition<u8, (u64, u64)> = TableDefinition::new("totals");

/// Pages redb keeps in memory. What is queued is read once and written once, so more would not pay.
const CACHE_BYTES: usize = 4 << 20;

/// How much may lie in the store.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub spool_bytes: u64,
    pub dead_letter_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            spool_bytes: 1 << 30,
            dead_letter_bytes: 256 << 20,
        }
    }
}

/// What one commit does: all of it or nothing.
#[derive(Debug, Default)]
pub struct Change {
    pub append: Vec<(Priority, Record)>,
    pub remove: Vec<SpoolKey>,
    pub bury: Vec<DeadLetter>,
    pub unbury: Vec<u64>,
    /// Entries of the registry of files; `None` forgets the file.
    pub registry: Vec<(String, Option<Vec<u8>>)>,
    pub notes: Vec<(String, Vec<u8>)>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        self.append.is_empty()
            && self.remove.is_empty()
            && self.bury.is_empty()
            && self.unbury.is_empty()
            && self.registry.is_empty()
            && self.notes.is_empty()
    }

    /// This change and then `later`, as one.
    fn merge(&mut self, later: Self) {
        self.append.extend(later.append);
        self.remove.extend(later.remove);
        self.bury.extend(later.bury);
        self.unbury.extend(later.unbury);
        self.registry.extend(later.registry);
        self.notes.extend(later.notes);
    }
}

/// A record that had to give way, or did not get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub reason: &'static str,
    pub dataset: String,
}

pub struct Store {
    path: PathBuf,
    limits: Limits,
    /// `None` after an I/O error, until the next use opens it again: redb asks for that.
    database: Option<Database>,
    totals: Totals,
    next: spool::Next,
}

impl Store {
    /// Opens or creates the database. A second agent on the directory is refused.
    pub fn open(data_dir: &Path, limits: Limits) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot create {}", data_dir.display()))?;
        let mut store = Self {
            path: data_dir.join("agent.redb"),
            limits,
            database: None,
            totals: Totals::default(),
            next: spool::Next::default(),
        };
        store.reopen()?;
        Ok(store)
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Writes durably. Says what had to give way for it.
    pub fn commit(&mut self, change: &Change) -> anyhow::Result<Vec<Dropped>> {
        self.reopen()?;
        let outcome = self.try_commit(change);
        if outcome.is_err() {
            self.database = None;
        }
        outcome
    }

    /// The next records to ship, oldest first, none twice in the life of this process; at least one if there is any.
    pub fn take(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> anyhow::Result<Vec<(SpoolKey, Record)>> {
        let mut next = self.next;
        let taken =
            self.read(|read| next.take(&read.open_table(SPOOL)?, max_records, max_bytes))?;
        self.next = next;
        Ok(taken)
    }

    /// What was taken and is still there is taken again.
    pub fn take_from_the_start(&mut self) {
        self.next.take_from_the_start();
    }

    /// When the oldest record was taken, in milliseconds since 1970.
    pub fn oldest_ms(&mut self) -> anyhow::Result<Option<u64>> {
        self.read(|read| spool::oldest_ms(&read.open_table(SPOOL)?))
    }

    pub fn note(&mut self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        self.read(|read| {
            let value = read.open_table(NOTES)?.get(key)?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    pub fn registry(&mut self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        self.read(|read| {
            use redb::ReadableTable as _;
            let mut entries = Vec::new();
            for entry in read.open_table(REGISTRY)?.iter()? {
                let (key, value) = entry?;
                entries.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(entries)
        })
    }

    /// The oldest dead letters.
    pub fn dead_letters(&mut self, max: usize) -> anyhow::Result<Vec<(u64, DeadLetter)>> {
        self.read(|read| {
            let mut letters = Vec::new();
            dead::each(&read.open_table(DEAD_LETTERS)?, max, |key, letter| {
                letters.push((key, letter));
                Ok(())
            })?;
            Ok(letters)
        })
    }

    fn try_commit(&mut self, change: &Change) -> anyhow::Result<Vec<Dropped>> {
        let Some(database) = &self.database else {
            bail!("cannot use {}: it is not open", self.path.display());
        };
        let mut write = database.begin_write()?;
        // Two flushes instead of one, and an agent that was killed opens at once instead of reading its whole spool.
        write.set_quick_repair(true);
        let (mut totals, mut next) = (self.totals, self.next);
        let mut drops = Vec::new();
        {
            let mut table = write.open_table(SPOOL)?;
            spool::remove(&mut table, &change.remove, &mut totals)?;
            let limit = self.limits.spool_bytes;
            spool::append(
                &mut table,
                &change.append,
                limit,
                &mut next,
                &mut totals,
                &mut drops,
            )?;
            let mut table = write.open_table(DEAD_LETTERS)?;
            dead::remove(&mut table, &change.unbury, &mut totals)?;
            let limit = self.limits.dead_letter_bytes;
            dead::append(&mut table, &change.bury, limit, &mut totals, &mut drops)?;
            let mut table = write.open_table(REGISTRY)?;
            for (key, entry) in &change.registry {
                match entry {
                    Some(entry) => table.insert(key.as_str(), entry.as_slice())?,
                    None => table.remove(key.as_str())?,
                };
            }
            let mut table = write.open_table(NOTES)?;
            for (key, value) in &change.notes {
                table.insert(key.as_str(), value.as_slice())?;
            }
            let mut table = write.open_table(TOTALS)?;
            for (class, count) in totals.changed_since(&self.totals) {
                table.insert(class, (count.records, count.bytes))?;
            }
        }
        write.commit()?;
        (self.totals, self.next) = (totals, next);
        Ok(drops)
    }

    fn read<T>(
        &mut self,
        work: impl FnOnce(&ReadTransaction) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.reopen()?;
        let Some(database) = &self.database else {
            bail!("cannot use {}: it is not open", self.path.display());
        };
        let outcome = database
            .begin_read()
            .map_err(Into::into)
            .and_then(|read| work(&read));
        if outcome.is_err() {
            self.database = None;
        }
        outcome
    }

    fn reopen(&mut self) -> anyhow::Result<()> {
        if self.database.is_some() {
            return Ok(());
        }
        let database = builder()
            .create(&self.path)
            .map_err(|error| open_error(&self.path, error))?;
        let write = database.begin_write()?;
        for table in [NOTES, REGISTRY] {
            write.open_table(table)?;
        }
        write.open_table(DEAD_LETTERS)?;
        self.next.continue_after(&write.open_table(SPOOL)?)?;
        self.totals = Totals::read(&write.open_table(TOTALS)?)?;
        write.commit()?;
        self.database = Some(database);
        Ok(())
    }
}

/// Reads dead letters, also while an agent has the store open.
pub fn read_dead_letters(
    data_dir: &Path,
    each: impl FnMut(u64, DeadLetter) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = data_dir.join("agent.redb");
    let database: Box<dyn ReadableDatabase> = match builder().open_read_only(&path) {
        Ok(database) => Box::new(database) as Box<ReadOnlyDatabase>,
        // The agent was killed: only a writer may put the file in order.
        Err(DatabaseError::RepairAborted) => Box::new(
            builder()
                .open(&path)
                .map_err(|error| open_error(&path, error))?,
        ),
        Err(error) => return Err(open_error(&path, error)),
    };
    let read = database.begin_read()?;
    match read.open_table(DEAD_LETTERS) {
        Ok(table) => dead::each(&table, usize::MAX, each),
        Err(TableError::TableDoesNotExist(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// One process writes; others may read beside it.
fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

fn open_error(path: &Path, error: DatabaseError) -> anyhow::Error {
    let dir = path.parent().unwrap_or(path).display();
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            anyhow::anyhow!("cannot use {dir}: another ethmon agent (or tool) has it open")
        }
        error => anyhow::Error::new(error).context(format!("cannot open {}", path.display())),
    }
}

#[cfg(test)]
mod tests;
