//! Sends what the outbox holds: stored first, handed to the mail server second, marked third.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::state::{StateStore, Stored};
use crate::alert::email::Mailer;
use crate::alert::{Delivery, due};
use crate::slot;

/// New notices on their way to the sender. When it is full the judging waits: no notice is dropped.
pub(super) const QUEUE: usize = 256;

/// How often the outbox is looked through for notices to be tried again.
const TICK: Duration = Duration::from_secs(1);

/// Sends until `inbox` is closed or `stop`; what is not sent by then is in the index for the next start.
pub(super) async fn run(
    mailer: Mailer,
    max_attempts: u32,
    store: StateStore,
    mut inbox: mpsc::Receiver<Stored>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut outbox: BTreeMap<String, Stored> = BTreeMap::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            new = inbox.recv() => match new {
                Some(stored) => { outbox.insert(stored.notice.id.clone(), stored); }
                None => return Ok(()),
            },
            _ = tick.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        while let Ok(stored) = inbox.try_recv() {
            outbox.insert(stored.notice.id.clone(), stored);
        }
        let now = slot::now();
        let waiting = outbox.values().map(|stored| &stored.notice);
        let next: Vec<String> = due(waiting, now, mailer.longest_attempt())
            .iter()
            .map(|notice| notice.id.clone())
            .collect();
        for id in next {
            let Some(stored) = outbox.remove(&id) else {
                continue;
            };
            if let Some(left) = send(&mailer, max_attempts, &store, stored).await {
                outbox.insert(id, left);
            }
        }
    }
}

/// One attempt. Returns the notice as long as it is ours to finish.
async fn send(
    mailer: &Mailer,
    max_attempts: u32,
    store: &StateStore,
    mut stored: Stored,
) -> Option<Stored> {
    let before = stored.clone();
    stored.notice.begin(slot::now());
    let mut stored = match store.update_notice(&stored).await {
        Ok(Some(stored)) => stored,
        Ok(None) => {
            info!(
                notice = stored.notice.id,
                "another aggregator sends this notice"
            );
            return None;
        }
        Err(error) => {
            warn!(
                notice = stored.notice.id,
                "cannot mark a notice before sending it, it waits: {error}"
            );
            return Some(before);
        }
    };
    let verdict = mailer.send(&stored.notice).await;
    stored
        .notice
        .finish(verdict, slot::now(), max_attempts, rand::random());
    tell(&stored);
    // The mail is out: the mark must follow, however long Elasticsearch takes.
    loop {
        match store.update_notice(&stored).await {
            Ok(Some(marked)) => return (!marked.notice.is_final()).then_some(marked),
            Ok(None) => return None,
            Err(error) => {
                warn!(
                    notice = stored.notice.id,
                    "cannot mark a notice after sending it, trying on: {error}"
                );
                tokio::time::sleep(TICK).await;
            }
        }
    }
}

fn tell(stored: &Stored) {
    let notice = &stored.notice;
    let reply = notice.reply.as_deref().unwrap_or_default();
    match notice.delivery {
        Delivery::Sent { .. } => info!(
            to = notice.recipient,
            subject = notice.mail.subject,
            reply,
            "mail sent"
        ),
        Delivery::Dead { .. } => {
            error!(
                to = notice.recipient,
                subject = notice.mail.subject,
                reply,
                "mail given up"
            );
        }
        _ => warn!(
            to = notice.recipient,
            subject = notice.mail.subject,
            reply,
            "mail not sent yet"
        ),
    }
}
