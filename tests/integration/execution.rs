//! The execution collector against a real node (anvil), on to an endpoint that keeps what it is given.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ethmon::agent::execution;
use ethmon::config;
use ethmon::event::{DataStream, Document};
use ethmon::setup::template_accepts;
use serde_json::Value;
use url::Url;

use crate::bulk_server::{Act, BulkServer};
use crate::shipping::{Agent, wait};
use crate::support;

/// Stopped with the test.
struct Anvil {
    directory: tempfile::TempDir,
    url: Url,
}

impl Anvil {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = service("start")
            .arg(directory.path())
            .env("ETHMON_ANVIL_BLOCK_SECONDS", "1")
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "cannot start anvil");
        let url = String::from_utf8(output.stdout).unwrap();
        let url = url.lines().last().unwrap().parse().unwrap();
        Self { directory, url }
    }

    fn service(&self, action: &str) {
        let status = service(action).arg(self.directory.path()).status().unwrap();
        assert!(status.success(), "cannot {action} anvil");
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        service("stop").arg(self.directory.path()).status().ok();
    }
}

fn service(action: &str) -> Command {
    let mut command = Command::new(support::root().join("deploy/services/anvil"));
    command.arg(action);
    command
}

fn documents(server: &BulkServer) -> Vec<Document> {
    let ids = server.stored().into_iter();
    let documents = ids.map(|id| match server.document(&id) {
        Some(Value::Object(object)) => Document::from(object),
        other => panic!("{other:?}"),
    });
    let mut documents: Vec<_> = documents.collect();
    documents.sort_by_key(Document::timestamp);
    documents
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_node_is_told_of_while_it_answers_and_while_it_does_not() {
    let anvil = tokio::task::block_in_place(Anvil::start);
    let server = Arc::new(BulkServer::start(|_, _| Act::Serve));
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path(), &server.url());
    let config = config::Execution {
        url: anvil.url.clone(),
        period: Duration::from_secs(1),
    };
    let collect = execution::run(config, agent.outbox.clone(), agent.stop.clone());
    let (collected, ()) = tokio::join!(collect, async {
        wait(&server, |server| server.wait_for(3)).await;
        anvil.service("freeze");
        let so_far = server.stored().len();
        // The poll under way may still have been answered.
        wait(&server, move |server| server.wait_for(so_far + 2)).await;
        anvil.service("thaw");
        let so_far = server.stored().len();
        wait(&server, move |server| server.wait_for(so_far + 2)).await;
        agent.stop.cancel();
    });
    collected.unwrap();
    agent.end().await;

    let documents = documents(&server);
    for document in &documents {
        assert_eq!(template_accepts(DataStream::Execution, document), Ok(()));
    }
    let numbers: Vec<u64> = documents
        .iter()
        .filter_map(|document| document.get_u64("ethereum.block.number"))
        .collect();
    assert!(
        numbers.is_sorted() && numbers.first() < numbers.last(),
        "{numbers:?}"
    );
    let outcomes: Vec<_> = documents
        .iter()
        .map(|document| document.get_str("event.outcome"))
        .collect();
    assert!(outcomes.contains(&Some("failure")), "{outcomes:?}");
    let last = documents.last().unwrap();
    assert_eq!(last.get_str("event.outcome"), Some("success"), "{last:?}");
    let fields = [
        "pending",
        "queued",
        "base_fee_wei",
        "gas_price_wei",
        "chain_id",
        "gas_limit",
        "block_age_ms",
    ];
    for field in fields {
        let value = last.get(&format!("ethereum.execution.{field}"));
        assert!(value.is_some_and(Value::is_i64), "{field}: {last:?}");
    }
    let version = last.get_str("ethereum.execution.client_version").unwrap();
    assert!(version.starts_with("anvil"), "{version}");
    assert!(
        last.get("ethereum.execution.peers").is_none(),
        "anvil has no peers to tell of"
    );
}
