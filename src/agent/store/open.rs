//! Opens the database, checked as its state demands, and makes a new one of a damaged one.

use std::fs;
use std::path::Path;

use redb::{ConcurrencyMode, Database, DatabaseError};
use tracing::{error, warn};

use super::damage::{Damaged, guarded, is_damage, let_go};
use super::totals::Totals;
use super::{DEAD_LETTERS, NOTES, REGISTRY, SPOOL, Store, TOTALS, agent_id, salvage};

/// Pages redb keeps in memory. What is queued is read once and written once, so more would not pay.
const CACHE_BYTES: usize = 4 << 20;

/// One process writes.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {0}: another ethmon agent (or tool) has it open")]
struct InUse(String);

/// How far a file is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It was in use a moment ago, by this process.
    Known,
    /// Anything may have happened to it: every page is compared with its checksum.
    Checked,
}

impl Store {
    /// Makes sure that there is a database to work with. `trust` is for a file that is not open yet.
    pub(super) fn ensure_open(&mut self, trust: Trust) -> anyhow::Result<()> {
        if self.database.is_some() {
            return Ok(());
        }
        if self.damage.is_none() {
            match self.open_file(trust) {
                Err(error) if is_damage(&error) => self.damage = Some(format!("{error:#}")),
                outcome => return outcome,
            }
        }
        let reason = self.damage.clone().unwrap_or_default();
        if !self.may_rebuild {
            return Err(anyhow::anyhow!(
                "{} is damaged: {reason}; an agent sets it aside when it starts",
                self.path().display()
            ));
        }
        let known = self.totals_known.then_some(self.totals);
        let rebuilt = salvage::rebuild(&self.dir, &reason, known)?;
        error!(
            reason,
            set_aside = %rebuilt.set_aside.display(),
            kept_events = rebuilt.kept.spool().records,
            lost_events = rebuilt.before.map(|_| rebuilt.lost_events()),
            "the store was damaged: it is set aside, and a new one goes on with what could be read of it"
        );
        self.damage = None;
        self.rebuilt.push(rebuilt);
        self.open_file(Trust::Known)
    }

    fn open_file(&mut self, trust: Trust) -> anyhow::Result<()> {
        let path = self.path();
        self.notice_emptiness(&path)?;
        let mut builder = builder();
        builder.set_check_integrity_on_open(trust == Trust::Checked);
        let database = guarded(|| {
            let database = builder
                .create(&path)
                .map_err(|error| open_error(&path, error))?;
            let write = database.begin_write()?;
            for table in [NOTES, REGISTRY] {
                write.open_table(table)?;
            }
            {
                let (spool, dead) = (write.open_table(SPOOL)?, write.open_table(DEAD_LETTERS)?);
                self.next.continue_after(&spool)?;
                self.totals = match Totals::read(&write.open_table(TOTALS)?)? {
                    Some(totals) => totals,
                    None => {
                        warn!("the store's totals are damaged; they are counted anew");
                        Totals::count(&spool, &dead)?
                    }
                };
            }
            write.commit()?;
            Ok(database)
        })?;
        self.totals_known = true;
        self.database = Some(database);
        Ok(())
    }

    /// An agent with an identity had a store; one that is gone or empty was not emptied by us.
    fn notice_emptiness(&self, path: &Path) -> anyhow::Result<()> {
        if self.database.is_none() && agent_id::is_kept_in(&self.dir) {
            match fs::metadata(path) {
                Ok(metadata) if metadata.len() == 0 => {
                    return Err(Damaged("the file is empty".into()).into());
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => warn!(
                    path = %path.display(),
                    "the store is missing and made anew: files are read again from their beginning"
                ),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether opening failed because another process has the store.
    pub fn is_in_use(error: &anyhow::Error) -> bool {
        error.is::<InUse>()
    }

    /// What the database's own file did to it must not happen to us.
    pub(super) fn close(&mut self) {
        if let Some(database) = self.database.take() {
            let_go(database);
        }
    }
}

/// One process writes; others may read beside it.
pub(super) fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

pub(super) fn open_error(path: &Path, error: DatabaseError) -> anyhow::Error {
    let dir = path.parent().unwrap_or(path).display();
    match error {
        DatabaseError::DatabaseAlreadyOpen => InUse(dir.to_string()).into(),
        error => anyhow::Error::new(error).context(format!("cannot open {}", path.display())),
    }
}
