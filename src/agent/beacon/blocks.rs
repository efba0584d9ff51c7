//! Fetches every block the node tells of, canonical or not, while the node still has it, and tells each once.
//!
//! A block whose parent is not known brings its parent with it: that is the back-fill after a gap, and it is how both
//! branches of a reorg are read.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tracing::{debug, info};

use super::api::{Api, ApiError};
use super::backfill;
use super::context::Context;
use super::decode::{self, Contents};
use super::document;
use super::history::task as history;
use super::tracker::{PARENT_WAIT, Parent, Ready, Stage, Tracker};
use crate::slot::{self, BlockRef, Root};

/// Requests to the node at once: it has better things to do.
const MAX_REQUESTS: usize = 4;
/// A block is announced a little before REST has it; a node under load takes longer.
const RETRIES_MS: [u64; 4] = [200, 500, 1_000, 2_000];
/// What was not announced is there or is not.
const RETRIES_UNSEEN: usize = 1;
/// What the stream tells of by itself comes first: its times are the ones that count. A client may send a reorg before
/// the head it names, and the answer's head before the events that were waiting.
const EVENTS_FIRST: Duration = Duration::from_secs(1);

/// What the streams tell this task.
#[derive(Debug)]
pub(super) enum Input {
    Seen {
        root: Root,
        slot: Option<u64>,
        stage: Stage,
        /// `None`: while the agent stood still.
        at: Option<DateTime<Utc>>,
    },
    /// A block that ought to be known, as the old head of a reorg.
    Hint(Root),
    /// The stream began, or missed something: look where the head is.
    Resync,
}

enum Outcome {
    Block(Root, Result<Box<Contents>, String>),
    Head(Result<BlockRef, ApiError>),
    Hint(Root),
}

type Work = FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>;

/// Runs until the streams have ended or `stop`; what is in hand then is told as far as it is known.
pub(super) async fn run(
    context: Context,
    mut inbox: mpsc::Receiver<Input>,
    history: Option<mpsc::Sender<history::Input>>,
) -> anyhow::Result<()> {
    let mut blocks = Blocks {
        history,
        tracker: Tracker::new(context.config.backfill_blocks),
        requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
        head: None,
        told_head: None,
        noted: None,
        has_history: false,
        context,
    };
    if let Some(last) = backfill::recall(&blocks.context).await {
        blocks.tracker.remember(last.root, Some(last.slot));
        blocks.has_history = true;
    }
    let mut work = Work::new();
    loop {
        let now = Instant::now();
        for root in blocks.tracker.take_to_fetch(now) {
            work.push(Box::pin(blocks.fetch(root)));
        }
        let ready = blocks.tracker.take_ready(now);
        blocks.tell(ready).await;
        let wake = blocks.tracker.next_wake();
        tokio::select! {
            input = inbox.recv() => match input {
                Some(input) => blocks.take(input, &mut work),
                None => break,
            },
            Some(outcome) = work.next(), if !work.is_empty() => blocks.done(outcome),
            () = sleep_until(wake) => {}
            () = blocks.context.stop.cancelled() => break,
        }
    }
    let rest = blocks.tracker.take_ready(Instant::now() + PARENT_WAIT);
    blocks.tell(rest).await;
    Ok(())
}

struct Blocks {
    context: Context,
    tracker: Tracker,
    requests: Arc<Semaphore>,
    /// Learns what was told.
    history: Option<mpsc::Sender<history::Input>>,
    head: Option<Root>,
    /// The head that the history knows.
    told_head: Option<Root>,
    /// The head whose note is kept.
    noted: Option<Root>,
    /// Whether there is something told that a walk should reach.
    has_history: bool,
}

impl Blocks {
    fn take(&mut self, input: Input, work: &mut Work) {
        match input {
            Input::Seen {
                root,
                slot,
                stage,
                at,
            } => {
                if stage == Stage::Head {
                    self.head = Some(root);
                }
                if !self.tracker.sighted(root, slot, stage, at, Instant::now()) {
                    self.context.outbox.count("beacon_block_not_fetched", 1);
                }
            }
            Input::Hint(root) => work.push(Box::pin(async move {
                tokio::time::sleep(EVENTS_FIRST).await;
                Outcome::Hint(root)
            })),
            Input::Resync => {
                let api = self.context.api.clone();
                work.push(Box::pin(async move {
                    tokio::time::sleep(EVENTS_FIRST).await;
                    Outcome::Head(backfill::head(&api).await)
                }));
            }
        }
    }

    fn done(&mut self, outcome: Outcome) {
        let now = Instant::now();
        let walk = self.context.config.backfill_blocks;
        match outcome {
            Outcome::Block(root, Ok(contents)) => {
                let slot = contents.slot;
                match self.tracker.fetched(root, *contents, now) {
                    Parent::Known => self.has_history = true,
                    Parent::Missing(parent) => debug!(
                        block = root.short(),
                        parent = parent.short(),
                        "parent is not known, fetching it"
                    ),
                    Parent::Cut(parent) if self.has_history => {
                        self.context.outbox.count("beacon_backfill_cut", 1);
                        info!(
                            slot,
                            parent = parent.short(),
                            limit = walk,
                            "back-fill is at its limit, older blocks are left out"
                        );
                    }
                    // The first walk of all has nothing to reach.
                    Parent::Cut(_) => self.has_history = true,
                }
            }
            Outcome::Block(root, Err(reason)) => {
                if self.tracker.failed(root, reason.clone(), now) {
                    self.context.outbox.count("beacon_block_unavailable", 1);
                } else {
                    self.context.outbox.count("beacon_backfill_failed", 1);
                    debug!(block = root.short(), reason, "block cannot be back-filled");
                }
            }
            Outcome::Head(Ok(head)) => {
                self.head = Some(head.root);
                self.tracker.wanted(head.root, walk, now);
            }
            // The node is down; the stream says so and asks again when it is back.
            Outcome::Head(Err(error)) => self.context.count(&error),
            Outcome::Hint(root) => {
                self.tracker.wanted(root, walk, now);
            }
        }
    }

    async fn tell(&mut self, ready: Vec<Ready>) {
        for ready in ready {
            let event = self
                .context
                .with_setting(|setting| document::block(setting, &ready, slot::now()));
            self.context.outbox.send(event).await;
            if let Some(contents) = ready.contents {
                let block = Box::new(contents.into_block(ready.root));
                self.learn(history::Input::Block(block)).await;
            }
        }
        if self.head != self.told_head
            && let Some(head) = self.head
        {
            self.learn(history::Input::Head(head)).await;
            self.told_head = self.head;
        }
        // Noted after the document is sent, and once no older block is in hand: a crash between costs a repeated
        // document, never a missing one.
        let head = self
            .head
            .filter(|head| self.noted != Some(*head) && self.tracker.is_told(*head));
        if let Some(root) = head
            && let Some(slot) = self.tracker.slot_of(root)
            && self.tracker.is_all_told_up_to(slot)
        {
            backfill::remember(&self.context, BlockRef { slot, root }).await;
            self.noted = Some(root);
        }
    }

    async fn learn(&self, input: history::Input) {
        if let Some(history) = &self.history
            && history.send(input).await.is_err()
        {
            debug!("the history has ended");
        }
    }

    fn fetch(&self, root: Root) -> impl Future<Output = Outcome> + Send + 'static {
        let api = self.context.api.clone();
        let requests = Arc::clone(&self.requests);
        let is_seen = self.tracker.is_sighted(root);
        async move {
            let retries = if is_seen {
                &RETRIES_MS[..]
            } else {
                &RETRIES_MS[..RETRIES_UNSEEN]
            };
            let mut result = fetch_once(&api, &requests, root).await;
            for wait_ms in retries {
                if result.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(*wait_ms)).await;
                result = fetch_once(&api, &requests, root).await;
            }
            Outcome::Block(root, result)
        }
    }
}

async fn fetch_once(api: &Api, requests: &Semaphore, root: Root) -> Result<Box<Contents>, String> {
    let _permit = requests
        .acquire()
        .await
        .map_err(|error| error.to_string())?;
    let answer = api.get(&format!("/eth/v2/beacon/blocks/{root}")).await;
    let answer = answer.map_err(|error| error.to_string())?;
    decode::block(&answer).map(Box::new)
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
