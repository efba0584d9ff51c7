//! The agent's one database, `DATA_DIR/agent.redb`: spool, registry of files, dead letters, notes.
//!
//! [`Store`] is synchronous and has one owner, the task in [`writer`]; everybody else holds a [`StoreHandle`]. What one
//! commit does is a value, [`Change`], so that a commit that failed (full disk) can be tried again as it was.

mod agent_id;
mod beside;
mod damage;
mod dead;
mod evidence;
mod open;
mod record;
mod salvage;
mod sealed;
mod spool;
mod totals;
mod writer;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition};
use tracing::warn;

pub use self::agent_id::{AgentId, agent_id};
pub use self::beside::{Beside, Verified, Waiting};
pub use self::damage::is_full;
use self::damage::{guarded, is_damage};
pub use self::dead::DeadLetter;
use self::open::Trust;
pub use self::record::{Priority, Record, Sealed};
pub use self::salvage::Rebuilt;
use self::sealed::Table;
pub use self::spool::SpoolKey;
pub use self::totals::{Count, Totals};
pub use self::writer::{Closed, Requests, StoreHandle, run};

/// The database in its directory.
const FILE: &str = "agent.redb";
/// Key: priority and sequence number, so that the oldest of a class is the first of a range.
const SPOOL: TableDefinition<(u8, u64), &[u8]> = TableDefinition::new("spool");
const DEAD_LETTERS: TableDefinition<u64, &[u8]> = TableDefinition::new("dead_letters");
const REGISTRY: TableDefinition<&str, &[u8]> = TableDefinition::new("registry");
const NOTES: TableDefinition<&str, &[u8]> = TableDefinition::new("notes");
/// Records and bytes per priority, and of the dead letters.
const TOTALS: TableDefinition<u8, &[u8]> = TableDefinition::new("totals");

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
    dir: PathBuf,
    limits: Limits,
    /// `None` after an error, until the next use opens it again: redb asks for that.
    database: Option<Database>,
    totals: Totals,
    /// `totals` are those of the file.
    totals_known: bool,
    next: spool::Next,
    /// Records that were to be shipped and cannot be read; the next commit drops and counts them.
    damaged: Vec<SpoolKey>,
    /// Why the file can't be used any more.
    damage: Option<String>,
    may_rebuild: bool,
    /// What the owner has not yet heard of.
    rebuilt: Vec<Rebuilt>,
}

impl Store {
    /// Opens or creates the database, and checks all of it. A second agent on the directory is refused; a damaged
    /// database is set aside, and a new one made of what can be read of it ([`Store::take_rebuilt`]).
    pub fn open(data_dir: &Path, limits: Limits) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot create {}", data_dir.display()))?;
        Self::open_with(data_dir, limits, true)
    }

    /// For tools: neither creates a store nor mends one.
    pub fn open_existing(data_dir: &Path) -> anyhow::Result<Self> {
        if !data_dir.join(FILE).exists() {
            bail!(
                "cannot find an agent's store in {}: --data-dir names the data_dir of the agent's configuration",
                data_dir.display()
            );
        }
        Self::open_with(data_dir, Limits::default(), false)
    }

    fn open_with(data_dir: &Path, limits: Limits, may_rebuild: bool) -> anyhow::Result<Self> {
        let mut store = Self {
            dir: data_dir.to_owned(),
            limits,
            database: None,
            totals: Totals::default(),
            totals_known: false,
            next: spool::Next::default(),
            damaged: Vec::new(),
            damage: None,
            may_rebuild,
            rebuilt: Vec::new(),
        };
        if may_rebuild {
            salvage::finish_interrupted(data_dir)?;
        }
        store.ensure_open(Trust::Checked)?;
        Ok(store)
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The next use begins with setting the database aside.
    pub(super) fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Databases that were damaged and made anew since this was asked last.
    pub fn take_rebuilt(&mut self) -> Vec<Rebuilt> {
        std::mem::take(&mut self.rebuilt)
    }

    /// Writes durably. Says what had to give way for it.
    pub fn commit(&mut self, change: &Change) -> anyhow::Result<Vec<Dropped>> {
        self.ensure_open(Trust::Known)?;
        let outcome = guarded(|| self.try_commit(change));
        self.judged(outcome)
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
        self.damaged.extend(taken.damaged);
        Ok(taken.records)
    }

    /// What was taken and is still there is taken again.
    pub fn take_from_the_start(&mut self) {
        self.next.take_from_the_start();
    }

    /// When the oldest record was taken, in milliseconds since 1970.
    pub fn oldest_ms(&mut self) -> anyhow::Result<Option<u64>> {
        self.read(|read| spool::oldest_ms(&read.open_table(SPOOL)?))
    }

    /// `None` also for a damaged one.
    pub fn note(&mut self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        self.read(|read| {
            let stored = read.open_table(NOTES)?.get(key)?;
            let value = stored
                .as_ref()
                .and_then(|stored| sealed::open(Table::Notes, key.as_bytes(), stored.value()));
            if stored.is_some() && value.is_none() {
                warn!(key, "a note in the store is damaged and forgotten");
            }
            Ok(value.map(<[u8]>::to_vec))
        })
    }

    /// Without the damaged ones: their files are read again, and their lines recognised by their ids.
    pub fn registry(&mut self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        self.read(|read| beside::registry(&read.open_table(REGISTRY)?))
    }

    /// The oldest dead letters.
    pub fn dead_letters(&mut self, max: usize) -> anyhow::Result<Vec<(u64, DeadLetter)>> {
        let letters = self.dead_letters_from(0, max, usize::MAX)?;
        let sound = |(key, letter): (u64, Option<DeadLetter>)| Some((key, letter?));
        Ok(letters.into_iter().filter_map(sound).collect())
    }

    /// The oldest dead letters from a number on, at least one if there is any; `None` for a damaged one.
    pub fn dead_letters_from(
        &mut self,
        from: u64,
        max: usize,
        max_bytes: usize,
    ) -> anyhow::Result<Vec<(u64, Option<DeadLetter>)>> {
        self.read(|read| {
            let (mut letters, mut bytes) = (Vec::new(), 0);
            for entry in read.open_table(DEAD_LETTERS)?.range(from..)?.take(max) {
                let (key, stored) = entry?;
                bytes += stored.value().len();
                letters.push((key.value(), dead::read(key.value(), stored.value())));
                if bytes >= max_bytes {
                    break;
                }
            }
            Ok(letters)
        })
    }

    fn try_commit(&mut self, change: &Change) -> anyhow::Result<Vec<Dropped>> {
        let Some(database) = &self.database else {
            bail!("cannot use {}: it is not open", self.path().display());
        };
        let mut write = database.begin_write()?;
        // Two flushes instead of one, and an agent that was killed opens at once instead of reading its whole spool.
        write.set_quick_repair(true);
        let (mut totals, mut next) = (self.totals, self.next);
        let mut drops = Vec::new();
        {
            let mut table = write.open_table(SPOOL)?;
            spool::drop_damaged(&mut table, &self.damaged, &mut totals, &mut drops)?;
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
            let mut sealed = Vec::new();
            let mut table = write.open_table(REGISTRY)?;
            for (key, entry) in &change.registry {
                let name = key.as_bytes();
                match entry {
                    Some(entry) => {
                        let value = sealed::seal(Table::Registry, name, entry, &mut sealed);
                        table.insert(key.as_str(), value)?
                    }
                    None => table.remove(key.as_str())?,
                };
            }
            let mut table = write.open_table(NOTES)?;
            for (key, value) in &change.notes {
                let value = sealed::seal(Table::Notes, key.as_bytes(), value, &mut sealed);
                table.insert(key.as_str(), value)?;
            }
            totals.write(&self.totals, &mut write.open_table(TOTALS)?)?;
        }
        write.commit()?;
        (self.totals, self.next) = (totals, next);
        self.damaged.clear();
        Ok(drops)
    }

    fn read<T>(
        &mut self,
        work: impl FnOnce(&ReadTransaction) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.ensure_open(Trust::Known)?;
        let Some(database) = &self.database else {
            bail!("cannot use {}: it is not open", self.path().display());
        };
        let outcome = guarded(|| {
            let read = database.begin_read()?;
            work(&read)
        });
        self.judged(outcome)
    }

    /// After an error the database is closed; one that is damaged is not opened again.
    fn judged<T>(&mut self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        if let Err(error) = &outcome {
            if is_damage(error) {
                self.damage = Some(format!("{error:#}"));
            }
            self.close();
        }
        outcome
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }
}

#[cfg(test)]
mod tests;
