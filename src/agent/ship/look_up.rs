//! Asks Elasticsearch what became of items that were sent and never answered for, before they are sent again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;
use tracing::warn;

use super::doubt::{List, Refusal, plan};
use super::queue::{Batch, Item, fill};
use super::{Done, Ship};
use crate::elastic::{Client, SendError};

/// What a look-up found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) list: List,
    /// By data stream and id.
    pub(super) stored: HashSet<(String, String)>,
}

impl Ship {
    /// Asks about those of the batch that may be there already, and gives the batch back where nobody needs to be asked.
    pub(super) fn look_up(&mut self, batch: Batch, now: Instant) -> Option<Batch> {
        let is_in_doubt = |item: &Item| item.in_doubt.is_some();
        if !self.known.may_look(now) || !batch.items.iter().any(is_in_doubt) {
            return Some(batch);
        }
        let list = self.known.list(&batch.items, now);
        if let Ok(list) = &list
            && plan(wanted(&batch.items, now), &list.indices).is_empty()
        {
            return Some(batch);
        }
        let items = wanted(&batch.items, now)
            .map(|(stream, id, age_ms)| (stream.to_owned(), id.to_owned(), age_ms))
            .collect();
        let looked = look_up(self.client.clone(), list, items, now);
        self.start(async move {
            let outcome = looked.await;
            Done::LookedUp { batch, outcome }
        });
        None
    }

    /// What was found has its outcome; the rest is sent at once, since what was found out grows old.
    pub(super) fn looked_up(
        &mut self,
        batch: Batch,
        outcome: Result<Findings, SendError>,
        now: Instant,
    ) {
        let stored = match outcome {
            Ok(Findings { list, stored }) => {
                self.known.learn(list);
                stored
            }
            Err(error) => {
                let lasts = match &error {
                    SendError::Unauthorized { status: 401, .. } | SendError::Unsupported { .. } => {
                        None
                    }
                    error if error.is_temporary() => None,
                    error => match self.known.refused(error.is_lack_of_rights(), now) {
                        Refusal::Wait => None,
                        Refusal::GoOn { is_news } => Some(is_news),
                    },
                };
                match lasts {
                    None => return self.failed(batch, &error, now),
                    Some(true) => warn!(
                        error = error.to_string(),
                        "documents in doubt cannot be looked up (privileges read and view_index_metadata): \
                         a rollover at the wrong moment would store them twice"
                    ),
                    Some(false) => {}
                }
                HashSet::new()
            }
        };
        let Batch { items, alone } = batch;
        let mut rest = Vec::with_capacity(items.len());
        for item in items {
            let key = (item.record.index().to_owned(), item.record.id().to_owned());
            if item.in_doubt.is_some() && stored.contains(&key) {
                if item.is_probe {
                    self.window.probe_answered(item.origin);
                }
                self.counters.acked.fetch_add(1, Relaxed);
                self.counters.duplicates.fetch_add(1, Relaxed);
                self.settle(&item, None);
            } else {
                rest.push(item);
            }
        }
        self.send_looked_up(Batch { items: rest, alone }, now);
    }

    fn send_looked_up(&mut self, batch: Batch, now: Instant) {
        let Batch { items, alone } = batch;
        let (mut left, mut bad) = (VecDeque::from(items), Vec::new());
        if !left.is_empty() && self.pace.may_send(now, self.requests) {
            self.body.set_limits(self.pace.limits());
            let items = fill(&mut left, &mut self.body, &mut bad);
            let body = self.body.take();
            self.requests += 1;
            self.post(Batch { items, alone }, body, now);
        }
        for (item, reason) in bad {
            self.bury(item, None, "not_sendable", reason.to_string());
        }
        if !left.is_empty() {
            let items = left.into();
            self.queue.put_back(Batch { items, alone }, now);
        }
    }
}

/// Those in doubt, as [`plan`] takes them.
fn wanted(items: &[Item], now: Instant) -> impl Iterator<Item = (&str, &str, u64)> {
    items.iter().filter_map(move |item| {
        let (record, doubt) = (&item.record, item.in_doubt?);
        Some((record.index(), record.id(), doubt.age_ms(now)))
    })
}

/// Looks for what is in doubt. `list` as [`super::doubt::Known::list`] gave it.
async fn look_up(
    client: Client,
    list: Result<List, Arc<[String]>>,
    items: Vec<(String, String, u64)>,
    now: Instant,
) -> Result<Findings, SendError> {
    let list = match list {
        Ok(list) => list,
        Err(streams) => {
            let names: Vec<_> = streams.iter().map(String::as_str).collect();
            let indices = client.backing_indices(&names).await?.into();
            List {
                asked_at: now,
                streams,
                indices,
            }
        }
    };
    let mut stored = HashSet::new();
    let wanted = items
        .iter()
        .map(|(stream, id, age_ms)| (stream.as_str(), id.as_str(), *age_ms));
    for (name, ids) in plan(wanted, &list.indices) {
        let held = client.held(name, &ids).await?;
        let stream = list.indices.iter().find(|index| index.name == name);
        let stream = stream.map_or("", |index| index.stream.as_str());
        stored.extend(held.into_iter().map(|id| (stream.to_owned(), id)));
    }
    Ok(Findings { list, stored })
}
