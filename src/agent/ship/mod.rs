//! Sends what the spool and the files hold to Elasticsearch, and keeps book: every item ends as stored or as a dead
//! letter, is sent again, or stays where it came from.
//!
//! One task: it holds what is under way ([`Queue`]), decides when to send ([`Pace`]), and asks the store to forget a
//! spooled record, or to move a file's offset, only once the outcome is known.

mod answer;
mod concurrency;
mod doubt;
mod files;
mod look_up;
mod pace;
mod queue;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::doubt::{Doubt, Known, LAST_LIFE_MS, age_at_start};
pub use self::files::LogBatch;
use self::files::Progress;
use self::look_up::Findings;
use self::pace::Pace;
use self::queue::{Batch, Item, Origin, Queue};
use self::window::Window;
use super::counters::{Counters, Output};
use super::store::{Change, Closed, Record, SpoolKey, StoreHandle};
use crate::elastic::{self, BulkAnswer, BulkBody, Client, SendError};
use crate::slot;

/// Records asked of the store at once.
const TAKE_RECORDS: usize = 1_600;
const TAKE_BYTES: usize = 1 << 20;
/// Lines may be read so many times further beyond the offsets that are kept than may be under way at once. One that is
/// refused again and again waits for seconds, in which hundreds of thousands behind it find their way.
const BEYOND_OFFSETS: usize = 64;
/// What can't be sent this long after a stop was asked for stays in the spool.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// One request.
pub const LIMITS: elastic::Limits = elastic::Limits {
    bytes: 3 << 19,
    items: 1_200,
};

pub struct Shipper {
    pub store: StoreHandle,
    pub files: mpsc::Receiver<LogBatch>,
    pub client: Client,
    pub counters: Arc<Counters>,
    pub limits: elastic::Limits,
}

/// Ships until `stop`, then flushes what can be flushed within [`FLUSH_LIMIT`] once `ended` says that no more events come.
/// Without a stop it ends when no more come, from nowhere, and all is shipped.
pub async fn run(
    shipper: Shipper,
    stop: CancellationToken,
    ended: CancellationToken,
) -> anyhow::Result<()> {
    let mut totals = shipper.store.totals();
    let Shipper {
        store,
        mut files,
        client,
        counters,
        limits,
    } = shipper;
    let renewed = client.clone();
    let mut ship = Ship::new(store, client, counters, limits);
    let mut deadline = None;
    loop {
        ship.go_on(deadline.is_some());
        if ship.is_finished(deadline.is_some()) {
            break;
        }
        let wake_at = ship.wake_at();
        tokio::select! {
            Some(done) = ship.work.next() => ship.finish(done)?,
            batch = files.recv(), if ship.takes_files() => match batch {
                Some(batch) => ship.accept(batch),
                None => ship.files_ended = true,
            },
            Ok(()) = totals.changed() => ship.spool_has_more = true,
            () = sleep_until(wake_at), if wake_at.is_some() => {}
            () = renewed.renewed(), if ship.pace.output() == Output::Unauthorized => {
                ship.pace.try_now(Instant::now());
            }
            () = stop.cancelled(), if deadline.is_none() => deadline = Some(Instant::now() + FLUSH_LIMIT),
            // The last events may still be on their way into the spool: asking it once more comes after them.
            () = ended.cancelled(), if !ship.sources_ended => {
                ship.sources_ended = true;
                ship.spool_has_more = true;
            }
            () = sleep_until(deadline), if deadline.is_some() => break,
        }
    }
    ship.say_what_stays();
    Ok(())
}

/// Work under way comes back as one of these.
enum Done {
    Taken(Result<Vec<(SpoolKey, Record)>, Closed>),
    Settled(Result<(), Closed>),
    Answered {
        sent: Sent,
        took: Duration,
        outcome: Result<BulkAnswer, SendError>,
    },
    LookedUp {
        batch: Batch,
        outcome: Result<Findings, SendError>,
    },
}

/// A request under way.
struct Sent {
    batch: Batch,
    /// Before compression.
    bytes: usize,
    at: Instant,
    /// As many requests were under way as allowed, and more would have followed: its time tells something.
    is_measure: bool,
}

struct Ship {
    store: StoreHandle,
    client: Client,
    counters: Arc<Counters>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    started_at: Instant,
    /// By the clock on the wall, milliseconds since 1970.
    started_ms: u64,
    /// Records that were in the spool at the start and have yet to be taken.
    left_over: u64,
    /// Under way.
    requests: usize,
    taking: bool,
    settling: bool,
    queue: Queue,
    pace: Pace,
    progress: Progress,
    /// Outcomes that are not yet in the store.
    outcomes: Change,
    body: BulkBody,
    window: Window,
    known: Known,
    spool_has_more: bool,
    /// Records that were given back to the spool are to be taken again.
    from_the_start: bool,
    /// Of all that were given back and are there yet: which of them, the spool does not know.
    given_back: Option<Doubt>,
    files_ended: bool,
    sources_ended: bool,
    /// A wait for a person was told.
    operator_told: bool,
}

impl Ship {
    fn new(
        store: StoreHandle,
        client: Client,
        counters: Arc<Counters>,
        limits: elastic::Limits,
    ) -> Self {
        let concurrency = client.concurrency();
        let window = Window::new(concurrency);
        let left_over = store.totals().borrow().spool().records;
        Self {
            store,
            client,
            counters,
            work: FuturesUnordered::new(),
            started_at: Instant::now(),
            started_ms: u64::try_from(slot::now().timestamp_millis()).unwrap_or_default(),
            left_over,
            requests: 0,
            taking: false,
            settling: false,
            queue: Queue::default(),
            pace: Pace::new(limits, concurrency),
            progress: Progress::new(window.most_events() * BEYOND_OFFSETS),
            outcomes: Change::default(),
            body: BulkBody::new(limits),
            window,
            known: Known::default(),
            spool_has_more: true,
            // Another shipper may have taken from this store before.
            from_the_start: true,
            given_back: None,
            files_ended: false,
            sources_ended: false,
            operator_told: false,
        }
    }

    /// Starts whatever can be started now.
    fn go_on(&mut self, hurry: bool) {
        let now = Instant::now();
        let max_items = self.pace.limits().items;
        while self.pace.may_send(now, self.requests) && self.queue.is_ready(now, max_items, hurry) {
            self.send(now);
        }
        if !self.taking && self.spool_has_more && self.window.has_room_for_spool() {
            self.taking = true;
            self.spool_has_more = false;
            let store = self.store.clone();
            let from_the_start = std::mem::take(&mut self.from_the_start);
            self.start(async move {
                Done::Taken(store.take(TAKE_RECORDS, TAKE_BYTES, from_the_start).await)
            });
        }
        if !self.settling {
            self.progress.collect(&mut self.outcomes);
            if !self.outcomes.is_empty() {
                self.settling = true;
                let (store, outcomes) = (self.store.clone(), std::mem::take(&mut self.outcomes));
                self.start(async move { Done::Settled(store.commit(outcomes).await) });
            }
        }
        let held = self.window.total();
        let counters = &self.counters;
        counters.held_events.store(held.events as u64, Relaxed);
        counters.held_bytes.store(held.bytes as u64, Relaxed);
        counters.output.store(self.pace.output() as u8, Relaxed);
    }

    fn send(&mut self, now: Instant) {
        self.body.set_limits(self.pace.limits());
        let (batch, bad) = self.queue.cut(now, &mut self.body);
        for (item, reason) in bad {
            self.bury(item, None, "not_sendable", reason.to_string());
        }
        let body = self.body.take();
        if self.queue.is_empty() {
            // Its memory goes with this body: who knows when the next one comes.
            self.body = BulkBody::new(self.pace.limits());
        }
        if batch.items.is_empty() {
            return;
        }
        self.requests += 1;
        if let Some(batch) = self.look_up(batch, now) {
            self.post(batch, body, now);
        }
    }

    fn post(&mut self, batch: Batch, (body, items): (Bytes, usize), now: Instant) {
        let hungry = self.queue.is_ready(now, self.pace.limits().items, false);
        let sent = Sent {
            batch,
            bytes: body.len(),
            at: now,
            is_measure: hungry && self.pace.is_full(self.requests),
        };
        let client = self.client.clone();
        self.start(async move {
            let outcome = client.bulk(body, items).await;
            Done::Answered {
                sent,
                took: now.elapsed(),
                outcome,
            }
        });
    }

    fn finish(&mut self, done: Done) -> anyhow::Result<()> {
        match done {
            Done::Taken(records) => {
                self.taking = false;
                let records = records?;
                self.spool_has_more |= !records.is_empty();
                let now = Instant::now();
                for (key, record) in records {
                    let was_there = self.left_over > 0;
                    self.left_over = self.left_over.saturating_sub(1);
                    let age_ms = age_at_start(was_there, record.taken_at_ms(), self.started_ms);
                    let doubt = age_ms.map(|age_ms| self.of_last_life(age_ms));
                    let doubt = doubt.into_iter().chain(self.given_back);
                    self.hold(record, Origin::Spool(key), doubt.reduce(Doubt::join), now);
                }
            }
            Done::Settled(outcome) => {
                self.settling = false;
                outcome?;
                if self.store.totals().borrow().spool().records == 0 {
                    self.given_back = None;
                }
            }
            Done::Answered {
                sent,
                took,
                outcome,
            } => {
                self.requests -= 1;
                self.counters
                    .bulk_answered(took, sent.bytes, outcome.is_ok());
                self.answered(sent, took, outcome, Instant::now());
            }
            Done::LookedUp { batch, outcome } => {
                self.requests -= 1;
                self.looked_up(batch, outcome, Instant::now());
            }
        }
        Ok(())
    }

    fn accept(&mut self, batch: LogBatch) {
        let (number, in_doubt, records) = self.progress.begin(batch);
        self.counters.received(records.iter().map(Record::dataset));
        let now = Instant::now();
        for (place, record) in records.into_iter().enumerate() {
            let doubt = (place < in_doubt).then(|| self.of_last_life(LAST_LIFE_MS));
            self.hold(record, Origin::File(number), doubt, now);
        }
    }

    fn of_last_life(&self, age_ms: u64) -> Doubt {
        let at = self.started_at;
        Doubt {
            at,
            age_ms,
            until: at,
        }
    }

    fn hold(&mut self, record: Record, origin: Origin, in_doubt: Option<Doubt>, now: Instant) {
        self.window.add(origin, record.len());
        let item = Item {
            record,
            origin,
            attempts: 0,
            is_probe: false,
            in_doubt,
        };
        self.queue.push(item, now);
    }

    fn takes_files(&self) -> bool {
        self.window.has_room_for_files() && self.progress.has_room() && !self.files_ended
    }

    /// All is shipped and kept, or a stop does not let us wait for better times.
    fn is_finished(&self, is_stopping: bool) -> bool {
        let drained = self.files_ended && !self.spool_has_more && !self.taking;
        let hopeless = is_stopping && self.pace.output() != Output::Ok;
        let settled = !self.settling && self.outcomes.is_empty();
        self.sources_ended
            && (hopeless || drained && self.queue.is_empty())
            && self.requests == 0
            && settled
    }

    /// When time alone may give something to do. A free place or an answer wakes by itself.
    fn wake_at(&self) -> Option<Instant> {
        let now = Instant::now();
        match self.pace.wake_at() {
            Some(until) if until > now => Some(until),
            _ if self.pace.may_send(now, self.requests) => self.queue.wake_at(),
            _ => None,
        }
    }

    fn start(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.work.push(Box::pin(work));
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
