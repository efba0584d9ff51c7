//! The central process: reads what all agents shipped, judges, writes findings and alerts, mails.
//!
//! `interests`, `cursor`, `gaps`, `reader` what is new in the data streams · `observe` documents → observations of the chain ·
//! `judge` the loop around the pure core · `losses` what was left out · `write` findings back · `state` alert states and notices · `sender` mail

mod cursor;
mod gaps;
mod interests;
mod judge;
mod losses;
mod observe;
mod reader;
mod sender;
mod state;
mod write;

pub use self::observe::observations;
pub use self::reader::Read;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::judge::{Judge, Outgoing};
use self::state::StateStore;
use crate::alert::email::{Mailer, Style};
use crate::config;
use crate::elastic::Client;
use crate::rules;
use crate::tasks::Tasks;

/// Runs until `stop`, or until a part of it cannot go on.
pub async fn run(config: config::AggregatorFile, stop: CancellationToken) -> anyhow::Result<()> {
    let client = Client::new(&config.elasticsearch)?;
    let namespace = config.elasticsearch.namespace.as_str();
    let rules = rules::load(&config.rules.dirs, &config.rules.overrides)?;
    info!(
        rules = rules.len(),
        hosts = client.hosts().join(", "),
        namespace,
        "aggregator starts"
    );

    let mut tasks = Tasks::new(stop.clone());
    let outgoing = match &config.mail {
        Some(mail) => {
            let mailer = Mailer::smtp(mail).context("cannot use the [mail] section")?;
            let (outbox, inbox) = mpsc::channel(sender::QUEUE);
            let store = StateStore::new(client.clone(), namespace);
            tasks.spawn(
                "send mail",
                sender::run(mailer, mail.max_attempts, store, inbox, stop.clone()),
            );
            Some(Outgoing {
                outbox,
                mail: mail.clone(),
                style: Style::new(config.aggregator.kibana_url.clone(), mail),
            })
        }
        None => {
            warn!("there is no [mail] section: alerts are recorded and not mailed");
            None
        }
    };
    let judge = Judge::new(
        client,
        namespace.to_owned(),
        config.aggregator,
        rules,
        outgoing,
    );
    tasks.spawn("judge", judge.run(stop));
    tasks.join().await
}
