//! Asks Elasticsearch what became of items that were sent and never answered for, before they are sent again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;
use tracing::warn;

use super::doubt::plan;
use super::queue::{Batch, Item};
use super::{Done, Ship};
use crate::elastic::{BackingIndex, Client, SendError};

/// What a look-up found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) list: Arc<Vec<BackingIndex>>,
    /// By data stream and id.
    pub(super) stored: HashSet<(String, String)>,
}

impl Ship {
    /// Asks about those of the batch that may be there already, and gives the batch back where nobody needs to be asked.
    pub(super) fn look_up(&mut self, mut batch: Batch, now: Instant) -> Option<Batch> {
        let is_in_doubt = |item: &Item| item.in_doubt.is_some();
        if !self.known.may_look() || !batch.items.iter().any(is_in_doubt) {
            return Some(batch);
        }
        let list = self.known.list(&batch.items, now);
        if let Ok(list) = &list
            && plan(wanted(&batch.items, now), list).is_empty()
        {
            for item in &mut batch.items {
                item.in_doubt = None;
            }
            return Some(batch);
        }
        let items = wanted(&batch.items, now)
            .map(|(stream, id, age_ms)| (stream.to_owned(), id.to_owned(), age_ms))
            .collect();
        let looked = look_up(self.client.clone(), list, items);
        self.start(async move {
            let outcome = looked.await;
            Done::LookedUp { batch, outcome }
        });
        None
    }

    /// What was found has its outcome; the rest is sent next.
    pub(super) fn looked_up(
        &mut self,
        batch: Batch,
        outcome: Result<Findings, SendError>,
        now: Instant,
    ) {
        let stored = match outcome {
            Ok(Findings { list, stored }) => {
                self.known.learn(list, now);
                stored
            }
            Err(error)
                if error.is_temporary() || matches!(error, SendError::Unsupported { .. }) =>
            {
                return self.failed(batch, &error, now);
            }
            Err(error @ SendError::Unauthorized { status: 401, .. }) => {
                return self.failed(batch, &error, now);
            }
            Err(error) => {
                if self.known.deny() {
                    warn!(
                        error = error.to_string(),
                        "documents in doubt cannot be looked up (privileges read and view_index_metadata): \
                         a rollover at the wrong moment would store them twice"
                    );
                }
                HashSet::new()
            }
        };
        let Batch { items, alone } = batch;
        let mut rest = Vec::with_capacity(items.len());
        for mut item in items {
            let key = (item.record.index().to_owned(), item.record.id().to_owned());
            if item.in_doubt.take().is_some() && stored.contains(&key) {
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
        if !rest.is_empty() {
            self.queue.put_back(Batch { items: rest, alone }, now);
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

/// Looks for what is in doubt. `list` as [`Known::list`] gave it.
async fn look_up(
    client: Client,
    list: Result<Arc<Vec<BackingIndex>>, Vec<String>>,
    items: Vec<(String, String, u64)>,
) -> Result<Findings, SendError> {
    let list = match list {
        Ok(list) => list,
        Err(streams) => {
            let streams: Vec<_> = streams.iter().map(String::as_str).collect();
            Arc::new(client.backing_indices(&streams).await?)
        }
    };
    let mut stored = HashSet::new();
    let wanted = items
        .iter()
        .map(|(stream, id, age_ms)| (stream.as_str(), id.as_str(), *age_ms));
    for (name, ids) in plan(wanted, &list) {
        let held = client.held(name, &ids).await?;
        let stream = list.iter().find(|index| index.name == name);
        let stream = stream.map_or("", |index| index.stream.as_str());
        stored.extend(held.into_iter().map(|id| (stream.to_owned(), id)));
    }
    Ok(Findings { list, stored })
}
