//! Units of the systemd journal: `journalctl` reads it as a child process, its cursor is kept as a file's offset is.
//!
//! `journalctl --follow` shows the current boot alone, so each start first reads what there is since the cursor, over all
//! boots, and then follows. The child is started again, with back-off, whenever it ends.

mod child;
mod entry;
mod records;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::child::{Child, Output, StartError};
use self::records::Records;
use super::Tail;
use super::registry::JOURNAL;
use crate::agent::counters::Counters;
use crate::agent::outbox::Seal;
use crate::agent::ship::LogBatch;
use crate::config::{self, StartAt};
use crate::event::Event;
use crate::slot;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(60);

/// Further entries within this time go into the same batch.
const GATHER: Duration = Duration::from_millis(10);

/// One unit.
pub(super) struct Journal {
    pub(super) agent_id: String,
    /// A section with `journald`.
    pub(super) section: config::Logs,
    pub(super) journald: config::Journald,
    pub(super) unit: String,
    pub(super) seal: Seal,
    pub(super) batches: mpsc::Sender<LogBatch>,
    pub(super) counters: Arc<Counters>,
    /// Ends at the end of the journal.
    pub(super) once: bool,
}

/// How far a unit was read, as the registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Position {
    Beginning,
    /// Microseconds since 1970.
    SinceUs(i64),
    Cursor(String),
}

/// Nobody takes batches any more, or the agent stops.
struct Ended;

/// How far a unit is read in this life: an open record is behind what is kept, and is not read twice.
struct Progress<'a> {
    position: Position,
    records: Records<'a>,
}

impl Progress<'_> {
    /// What the next child begins behind.
    fn seen(&self) -> Position {
        match self.records.seen() {
            Some(cursor) => Position::Cursor(cursor.to_owned()),
            None => self.position.clone(),
        }
    }
}

/// No unit may have two cursors of one name.
pub(super) fn check(sections: &[config::Logs]) -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    for journald in sections
        .iter()
        .filter_map(|section| section.journald.as_ref())
    {
        for unit in &journald.units {
            ensure!(
                names.insert(name(journald, unit)),
                "the unit {unit} of the journal is named twice"
            );
        }
    }
    Ok(())
}

/// All units of all sections, each with what the registry holds of it.
pub(super) fn of(tail: &Tail, agent_id: &str) -> Vec<(Journal, Option<Vec<u8>>)> {
    let mut journals = Vec::new();
    for section in &tail.sections {
        let Some(journald) = &section.journald else {
            continue;
        };
        for unit in &journald.units {
            let journal = Journal {
                agent_id: agent_id.to_owned(),
                section: section.clone(),
                journald: journald.clone(),
                unit: unit.clone(),
                seal: tail.seal.clone(),
                batches: tail.batches.clone(),
                counters: Arc::clone(&tail.counters),
                once: tail.once,
            };
            let name = name(journald, unit);
            let kept = tail.registry.iter().find(|(kept, _)| *kept == name);
            journals.push((journal, kept.map(|(_, value)| value.clone())));
        }
    }
    journals
}

/// Under which the registry keeps the cursor.
fn name(journald: &config::Journald, unit: &str) -> String {
    match &journald.directory {
        None => format!("{JOURNAL}{unit}"),
        Some(directory) => format!("{JOURNAL}{}:{unit}", directory.display()),
    }
}

impl Journal {
    /// Follows the unit until `stop`. `kept` is what the registry holds.
    pub(super) async fn run(self, kept: Option<Vec<u8>>, stop: CancellationToken) {
        tokio::select! {
            _ = self.follow(kept) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn follow(&self, kept: Option<Vec<u8>>) -> Result<(), Ended> {
        let position = match kept.and_then(|kept| serde_json::from_slice(&kept).ok()) {
            Some(position) => position,
            None => self.begin().await?,
        };
        let mut progress = Progress {
            position,
            records: Records::new(&self.section, &self.unit, &self.agent_id),
        };
        let mut backoff = FIRST_BACKOFF;
        loop {
            let before = progress.seen();
            let outcome = match self.read(&mut progress, false).await? {
                Ok(()) if !self.once => self.read(&mut progress, true).await?,
                outcome => outcome,
            };
            if progress.seen() != before {
                backoff = FIRST_BACKOFF;
            }
            // Nothing will be read for a while.
            progress.records.flush();
            self.hand_on(&mut progress).await?;
            let journalctl = self.journald.journalctl.display();
            let reason = match outcome {
                Ok(()) if self.once => return Ok(()),
                Ok(()) => "it ended".to_owned(),
                Err(StartError::Failed(reason)) => reason,
                Err(StartError::Missing) => "there is no such program".to_owned(),
            };
            self.counters.count("journal_child_ended", 1);
            let again_in_s = backoff.as_secs();
            warn!(unit = self.unit, %journalctl, reason, again_in_s, "journal is not read for now");
            if self.once {
                self.counters.count(super::UNREAD, 1);
                return Ok(());
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    /// The first time. That it is not the first any more is kept before anything of the unit is.
    async fn begin(&self) -> Result<Position, Ended> {
        let position = match self.section.start_at {
            StartAt::Beginning => Position::Beginning,
            StartAt::End => Position::SinceUs(slot::now().timestamp_micros()),
        };
        info!(unit = self.unit, ?position, "following unit of the journal");
        self.send(Vec::new(), &position).await?;
        Ok(position)
    }

    /// Reads until the child ends. The outer result ends everything.
    async fn read(
        &self,
        progress: &mut Progress<'_>,
        is_following: bool,
    ) -> Result<Result<(), StartError>, Ended> {
        let begin = progress.seen();
        let mut child = match Child::start(&self.journald, &self.unit, &begin, is_following) {
            Ok(child) => child,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            let records = &mut progress.records;
            let wait = match (records.has_complete(), records.has_open()) {
                (true, _) => Some(GATHER),
                (false, true) => Some(self.section.multiline.timeout),
                (false, false) => None,
            };
            let output = match wait {
                Some(wait) => tokio::time::timeout(wait, child.next()).await.ok(),
                None => Some(child.next().await),
            };
            match output {
                Some(Output::Lines(lines)) => {
                    for line in lines {
                        progress.records.push(line, &self.counters);
                        if progress.records.is_enough() {
                            self.hand_on(progress).await?;
                        }
                    }
                }
                Some(Output::Ended(outcome)) => {
                    self.hand_on(progress).await?;
                    return Ok(outcome.map_err(StartError::Failed));
                }
                None if records.has_complete() => self.hand_on(progress).await?,
                None => records.flush(),
            }
        }
    }

    async fn hand_on(&self, progress: &mut Progress<'_>) -> Result<(), Ended> {
        let Some((events, cursor)) = progress.records.take(slot::now(), &self.counters) else {
            return Ok(());
        };
        progress.position = Position::Cursor(cursor);
        self.send(events, &progress.position).await
    }

    async fn send(&self, events: Vec<Event>, position: &Position) -> Result<(), Ended> {
        let sealed = events.into_iter().filter_map(|event| self.seal.seal(event));
        let records: Vec<_> = sealed.collect();
        let batch = LogBatch {
            file: name(&self.journald, &self.unit),
            path: format!("journal:{}", self.unit),
            // Text and numbers: this can't fail.
            entry: Some(serde_json::to_vec(position).unwrap_or_default()),
            in_doubt: records.len(),
            records,
        };
        self.batches.send(batch).await.map_err(|_| Ended)
    }
}
