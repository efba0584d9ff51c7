//! What a real Elasticsearch does when it fails, and what is lost or stored twice by it: nothing.
//!
//! Servers with settings of their own are started once for all faults that need the same settings. Each fault has a
//! namespace, and so a data stream, of its own.

mod certificates;
mod concurrency;
mod credentials;
mod order;
mod pressure;
mod relay;
mod rollover;
mod tls;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ethmon::agent::counters::Counters;
use ethmon::agent::store::{DeadLetter, Limits, Store};
use ethmon::elastic::Client;
use serde_json::{Value, json};

use crate::shipping::Agent;
use crate::support::until;

/// What became of the documents of one data stream.
#[derive(Debug, PartialEq, Eq)]
struct Tally {
    lost: usize,
    duplicated: usize,
}

const NONE: Tally = Tally {
    lost: 0,
    duplicated: 0,
};

/// Compares what the stream holds, in all its backing indices, with the ids that were sent; tells it as a row of the table.
async fn tally(fault: &str, client: &Client, stream: &str, sent: &[String]) -> Tally {
    let held = ids_in(client, stream).await;
    let distinct: BTreeSet<_> = held.iter().collect();
    let tally = Tally {
        lost: sent.iter().filter(|id| !distinct.contains(id)).count(),
        duplicated: held.len() - distinct.len(),
    };
    let strangers = distinct.len() + tally.lost - sent.len();
    assert_eq!(strangers, 0, "{fault}: documents that nobody sent");
    let Tally { lost, duplicated } = tally;
    tell(&format!(
        "| {fault} | {} | {lost} | {duplicated} |",
        sent.len()
    ));
    tally
}

/// Shown where the tests run with `--nocapture`.
#[allow(clippy::print_stdout)]
fn tell(line: &str) {
    println!("{line}");
}

async fn ids_in(client: &Client, stream: &str) -> Vec<String> {
    client
        .post(&format!("{stream}/_refresh"), &[], None)
        .await
        .unwrap();
    let keep = [("keep_alive", "1m")];
    let point = client.post(&format!("{stream}/_pit"), &keep, None).await;
    let point = &point.unwrap().body["id"];
    let mut query = json!({
        "size": 5_000, "_source": false, "pit": {"id": point}, "sort": [{"_shard_doc": "asc"}]
    });
    let mut ids = Vec::new();
    loop {
        let answer = client.search("", &query).await.unwrap();
        let hits = answer["hits"]["hits"].as_array().unwrap();
        let id = |hit: &Value| hit["_id"].as_str().unwrap().to_owned();
        ids.extend(hits.iter().map(id));
        match hits.last() {
            Some(last) => query["search_after"] = last["sort"].clone(),
            None => return ids,
        }
    }
}

/// Until so many items have their outcome, stored or buried.
async fn settled(agent: &Agent, items: u64) {
    let done = |counters: &Counters| counters.acked.load(Relaxed) + counters.refused.load(Relaxed);
    let counters = Arc::clone(&agent.counters);
    until(&format!("{items} items are settled"), async || {
        done(&counters) >= items
    })
    .await;
}

/// What an agent that ended left behind: records that wait, and dead letters.
fn left(dir: &Path) -> (u64, Vec<DeadLetter>) {
    let mut store = Store::open(dir, Limits::default()).unwrap();
    let letters = store.dead_letters(100).unwrap();
    let letters = letters.into_iter().map(|(_, letter)| letter).collect();
    (store.totals().spool().records, letters)
}
