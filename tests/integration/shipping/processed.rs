//! What processors drop has its outcome: a file's offset moves on, and nothing waits in the spool.

use std::sync::Arc;

use ethmon::agent::process::Chain;
use ethmon::agent::store::{Limits, Store};
use ethmon::config;

use super::endpoint::{lines, records_left};
use super::{Agent, event, ids, wait};
use crate::bulk_server::{Act, BulkServer};

/// Drops odd slots, labels the others, fails on all.
const PROCESSORS: &str = r#"
[[processors]]
type = "drop_event"
when = 'ethereum.block.slot in [1, 3, 5, 7, 9]'

[[processors]]
type = "add_fields"
fields = { labels.kept = true }

[[processors]]
type = "convert"
field = "labels.kept"
as = "integer"
"#;

fn processors() -> Chain {
    let config = config::parse_agent("agent.toml", PROCESSORS, &|_| None);
    config.unwrap().processors
}

#[tokio::test]
async fn dropped_lines_move_the_offset_and_dropped_events_are_not_spooled() {
    let server = Arc::new(BulkServer::start(|_, _| Act::Serve));
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), &server.url());
    agent.send(0..2).await;
    wait(&server, |server| server.wait_for(2)).await;

    // As a reload would.
    agent.seal.set_processors(processors());
    agent.send(2..6).await;
    agent
        .files
        .send(lines(10, agent.sealed((6..9).map(event))))
        .await
        .unwrap();
    // Nothing of this batch is left.
    let last = lines(20, agent.sealed([event(9)]));
    agent.files.send(last).await.unwrap();
    wait(&server, |server| server.wait_for(6)).await;
    let counters = agent.end().await;

    let stored: Vec<String> = [0, 1, 2, 4, 6, 8]
        .map(|number| ids(number..number + 1))
        .concat();
    assert_eq!(server.stored(), stored);
    assert_eq!(
        server.document("000001").unwrap()["labels"],
        serde_json::Value::Null
    );
    assert_eq!(server.document("000008").unwrap()["labels"]["kept"], true);
    let tallies = counters.tallies();
    let processed: Vec<_> = tallies.processed.into_iter().collect();
    assert_eq!(
        processed,
        [
            ((1, "drop_event", "dropped"), 4),
            ((3, "convert", "not_a_number"), 4)
        ]
    );
    assert_eq!(tallies.received["ethereum.block"], 6);

    let mut store = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(
        store.registry().unwrap(),
        [("inode-1".to_owned(), vec![20])]
    );
    drop(store);
    assert_eq!(records_left(dir.path()), (0, 0));
}
