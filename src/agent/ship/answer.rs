//! What an answer, or its absence, means for each item of the request.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::doubt::Doubt;
use super::pace::{item_backoff, operator_wait};
use super::queue::{Batch, Item, Origin};
use super::{Sent, Ship};
use crate::agent::counters::Output;
use crate::agent::store::DeadLetter;
use crate::elastic::{BulkAnswer, SendError, Verdict};
use crate::slot;

impl Ship {
    pub(super) fn answered(
        &mut self,
        sent: Sent,
        took: Duration,
        outcome: Result<BulkAnswer, SendError>,
        now: Instant,
    ) {
        let Sent { batch, bytes, .. } = sent;
        match outcome {
            Ok(answer) => {
                self.connected();
                if sent.is_measure {
                    self.pace.measured(took);
                }
                self.judge(batch.items, answer.verdicts, sent.at, now);
            }
            Err(SendError::TooLarge { .. }) => {
                self.connected();
                self.pace.too_large(bytes);
                self.split_or_bury(
                    batch.items,
                    413,
                    "too_large",
                    &format!("a request of {bytes} bytes is too large for Elasticsearch"),
                );
            }
            Err(SendError::Refused { status, reason, .. }) => {
                self.connected();
                self.split_or_bury(batch.items, status, "request_refused", &reason);
            }
            Err(error) => {
                let mut batch = batch;
                if error.leaves_doubt() {
                    let items = batch.items.iter_mut();
                    items.for_each(|item| item.doubt(sent.at, now));
                }
                self.failed(batch, &error, now);
            }
        }
    }

    fn judge(&mut self, items: Vec<Item>, verdicts: Vec<Verdict>, sent_at: Instant, now: Instant) {
        let sent = items.len();
        let (mut soon, mut slowly) = (Vec::new(), Vec::new());
        for (mut item, verdict) in items.into_iter().zip(verdicts) {
            let waits_for_operator = verdict.waits_for_operator();
            if std::mem::take(&mut item.is_probe) {
                self.window.probe_answered(item.origin);
                if !waits_for_operator {
                    self.somebody_acted();
                }
            }
            match verdict {
                Verdict::Stored { duplicate } => {
                    self.counters.acked.fetch_add(1, Relaxed);
                    self.counters
                        .duplicates
                        .fetch_add(u64::from(duplicate), Relaxed);
                    self.settle(&item, None);
                }
                Verdict::Refused {
                    status,
                    kind,
                    reason,
                } => self.bury(item, Some(status), &kind, reason),
                Verdict::Retry { status, reason } => {
                    item.attempts += 1;
                    if status == 408 || status >= 500 {
                        item.doubt(sent_at, now);
                    }
                    if waits_for_operator {
                        self.tell_operator(&item, status, &reason);
                        item.is_probe = self.window.keep_as_probe(item.origin);
                        if item.is_probe {
                            slowly.push(item);
                        } else {
                            self.give_back(&item);
                        }
                    } else {
                        soon.push(item);
                    }
                }
            }
        }
        let again = soon.len() + slowly.len();
        self.counters.retried.fetch_add(again as u64, Relaxed);
        if !soon.is_empty() {
            self.pace.refused(soon.len() as f64 / sent as f64);
        }
        let attempts = soon
            .iter()
            .map(|item| item.attempts)
            .max()
            .unwrap_or_default();
        self.queue
            .again(soon, now + item_backoff(attempts, rand::random()));
        self.queue
            .again(slowly, now + operator_wait(rand::random()));
    }

    /// The culprit is found by halves; alone it is buried.
    fn split_or_bury(&mut self, mut items: Vec<Item>, status: u16, kind: &str, reason: &str) {
        match items.pop() {
            Some(item) if items.is_empty() => {
                self.bury(item, Some(status), kind, reason.to_owned())
            }
            Some(item) => {
                items.push(item);
                self.queue.split(items);
            }
            None => {}
        }
    }

    /// No word about any item: all of them again, once there is hope.
    pub(super) fn failed(&mut self, batch: Batch, error: &SendError, now: Instant) {
        let (output, retry_after) = match error {
            SendError::Unauthorized { .. } => (Output::Unauthorized, None),
            SendError::Busy { retry_after, .. } => (Output::Busy, *retry_after),
            _ => (Output::Lost, None),
        };
        self.queue.put_back(batch, now);
        if self.pace.failed(output, retry_after, now, rand::random()) {
            let unsupported = matches!(error, SendError::Unsupported { .. });
            let error = error.to_string();
            let waiting = self.waiting();
            match output {
                Output::Unauthorized => error!(
                    error,
                    waiting,
                    "elasticsearch refuses us; everything is kept until the credentials or privileges are put right"
                ),
                _ if unsupported => error!(error, waiting, "nothing is sent; everything is kept"),
                _ => warn!(error, waiting, "elasticsearch is lost; collecting goes on"),
            }
        }
    }

    fn connected(&mut self) {
        if self.pace.succeeded() {
            info!(waiting = self.waiting(), "elasticsearch is back");
        }
    }

    pub(super) fn bury(&mut self, item: Item, status: Option<u16>, kind: &str, reason: String) {
        let origin = match item.origin {
            Origin::Spool(_) => "spool",
            Origin::File(number) => self.progress.path(number),
        };
        if self.counters.refused.fetch_add(1, Relaxed) == 0 {
            let index = item.record.index();
            warn!(
                index,
                kind,
                reason,
                "elasticsearch refused a document; this and further ones are kept as dead letters"
            );
        }
        let mut letter = DeadLetter::of(&item.record, slot::now(), origin);
        (letter.status, letter.kind, letter.reason) = (status, kind.to_owned(), reason);
        self.settle(&item, Some(letter));
    }

    /// It stays in the spool, and is taken again once a probe says that somebody acted, or at the next start.
    fn give_back(&mut self, item: &Item) {
        let doubts = self.given_back.into_iter().chain(item.in_doubt);
        self.given_back = doubts.reduce(Doubt::join);
        self.window.remove(item.origin, item.record.len());
    }

    fn somebody_acted(&mut self) {
        self.operator_told = false;
        if self.window.take_given_back() {
            self.from_the_start = true;
            self.spool_has_more = true;
        }
    }

    /// The item has its outcome.
    pub(super) fn settle(&mut self, item: &Item, refused: Option<DeadLetter>) {
        self.window.remove(item.origin, item.record.len());
        match item.origin {
            Origin::Spool(key) => {
                self.outcomes.remove.push(key);
                self.outcomes.bury.extend(refused);
            }
            Origin::File(number) => self.progress.settle(number, refused),
        }
    }

    fn tell_operator(&mut self, item: &Item, status: u16, reason: &str) {
        if !std::mem::replace(&mut self.operator_told, true) {
            let index = item.record.index();
            warn!(
                index,
                status,
                reason,
                "elasticsearch cannot take documents until somebody acts; they are kept and tried slowly"
            );
        }
    }

    /// Events that Elasticsearch does not have, as far as they are known here.
    fn waiting(&self) -> u64 {
        let from_files = self.progress.open();
        self.store.totals().borrow().spool().records + from_files
    }

    pub(super) fn say_what_stays(&self) {
        let spool = self.store.totals().borrow().spool();
        if spool.records > 0 {
            info!(
                events = spool.records,
                bytes = spool.bytes,
                "what was not shipped stays in the spool"
            );
        }
    }
}
