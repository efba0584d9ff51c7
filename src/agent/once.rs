//! `ethmon agent --once`: reads all files there are, ships them and what waited, and says whether all was acknowledged.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::logs::UNREAD;
use super::packets::Captures;
use super::run::{Life, Plan};
use super::store::Beside;
use crate::{config, slot};

/// How often it is looked whether anything moves.
const LOOK: Duration = Duration::from_millis(200);
/// Refused documents that are named; the others are counted.
const NAMED: usize = 10;

/// `false`, and what is wrong on `out`, unless everything was acknowledged. Gives up when Elasticsearch took nothing for
/// `patience`.
pub async fn once(
    config: config::Agent,
    patience: Duration,
    stop: CancellationToken,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let data_dir = config.data_dir.clone();
    let began = slot::now();
    // Nothing is captured.
    let config = config::Agent {
        packets: None,
        ..config
    };
    let plan = Plan::new(config, Captures::default(), None).await?;
    let Some(life) = Life::begin(&plan.config, &stop).await? else {
        bail!("stopped before the store could be opened");
    };
    let Life { tasks, rounds } = life;
    let (counters, totals) = (Arc::clone(&rounds.counters), rounds.store.totals());
    let give_up = stop.child_token();
    let shipped = rounds.start(plan, true, &give_up).await?.join();
    let shipped = watch(shipped, &counters, patience, &give_up).await;
    let is_cut_short = give_up.is_cancelled();
    let waiting = totals.borrow().spool().records;
    drop((rounds, totals));
    tasks.join().await?;
    shipped?;

    let (acked, duplicates) = (
        counters.acked.load(Relaxed),
        counters.duplicates.load(Relaxed),
    );
    writeln!(
        out,
        "{acked} events acknowledged ({duplicates} of them were there already)"
    )?;
    let mut is_good = true;
    if is_cut_short || waiting > 0 {
        is_good = false;
        writeln!(
            out,
            "not everything was acknowledged: elasticsearch is {}, {waiting} events wait in the queue, and unacknowledged lines are read again the next time",
            counters.output().name()
        )?;
    }
    if let Some(unread) = counters.tallies().counted.get(UNREAD) {
        is_good = false;
        writeln!(out, "{unread} files could not be read to their ends")?;
    }
    let refused = counters.refused.load(Relaxed);
    if refused > 0 {
        is_good = false;
        writeln!(
            out,
            "{refused} events were refused and are kept (ethmon dead-letter):"
        )?;
        name_refused(&data_dir, began, out)?;
    }
    Ok(is_good)
}

/// Waits for the end, or makes one when nothing has moved for too long.
async fn watch(
    shipped: impl Future<Output = anyhow::Result<()>>,
    counters: &Counters,
    patience: Duration,
    give_up: &CancellationToken,
) -> anyhow::Result<()> {
    tokio::pin!(shipped);
    let (mut moved_at, mut known) = (Instant::now(), 0);
    loop {
        tokio::select! {
            shipped = &mut shipped => return shipped,
            () = tokio::time::sleep(LOOK) => {}
        }
        let settled = counters.acked.load(Relaxed) + counters.refused.load(Relaxed);
        let has_nothing_to_send = counters.held_events.load(Relaxed) == 0;
        if settled != known || has_nothing_to_send {
            (moved_at, known) = (Instant::now(), settled);
        } else if moved_at.elapsed() >= patience {
            give_up.cancel();
        }
    }
}

fn name_refused(
    data_dir: &Path,
    since: DateTime<Utc>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let mut named = 0;
    Beside::open(data_dir)?.each_dead_letter(|number, letter| {
        let Some(letter) = letter.filter(|letter| letter.at >= since && named < NAMED) else {
            return Ok(());
        };
        named += 1;
        let reason = letter.reason.replace('\n', " ");
        writeln!(
            out,
            "  {number}: {} {} from {}: {reason}",
            letter.index, letter.id, letter.origin
        )?;
        Ok(())
    })
}
