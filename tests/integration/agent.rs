//! The program itself: `ethmon agent` between a beacon node and Elasticsearch, killed, stopped and started twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ethmon::agent::store::{Limits, Store};
use ethmon::event::DataStream;
use ethmon::tasks;
use rand::Rng;
use serde_json::json;
use tokio::time::Instant;

use crate::beacon_node::{BeaconNode, root};
use crate::bulk_server::{Act, BulkServer};
use crate::support;

const BLOCKS: u64 = 60;

fn configure(dir: &Path, node: &BeaconNode, elasticsearch: &str, namespace: &str) -> PathBuf {
    let path = dir.join("agent.toml");
    let text = format!(
        "data_dir = \"{}\"\n[node]\nname = \"n1\"\n[elasticsearch]\nhosts = [\"{elasticsearch}\"]\nnamespace = \"{namespace}\"\n[beacon]\nurl = \"{}\"\nsummaries = false\n",
        dir.join("data").display(),
        node.url(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn agent(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ethmon"));
    command.arg("agent").arg("--config").arg(config);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// As systemd would stop it.
fn terminate(child: Child) -> Output {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    child.wait_with_output().unwrap()
}

/// How often each block is stored, by root.
fn blocks(server: &BulkServer) -> BTreeMap<String, usize> {
    let mut blocks = BTreeMap::new();
    for id in server.stored() {
        let document = server.document(&id).unwrap();
        if document["data_stream"]["dataset"] == "ethereum.block" {
            let root = document["ethereum"]["block"]["root"].as_str().unwrap();
            *blocks.entry(root.to_owned()).or_default() += 1;
        }
    }
    blocks
}

/// Kills agent after agent while the chain grows, then starts one that lives.
fn kill_while_growing(config: &Path, node: &BeaconNode) -> Child {
    let mut luck = rand::rng();
    while node.head() < BLOCKS {
        let mut child = agent(config).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(luck.random_range(1_000..4_000)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    agent(config).spawn().unwrap()
}

#[test]
fn killed_in_mid_stream_every_block_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let node = BeaconNode::start(Duration::from_millis(200), BLOCKS);
    let server = BulkServer::start(|number, _| match number % 5 {
        2 => Act::Whole(503, "", ""),
        4 => Act::Close { store: true },
        _ => Act::Serve,
    });
    let config = configure(dir.path(), &node, &server.url(), "default");
    let child = kill_while_growing(&config, &node);
    // It lives once it sends; before that it may not even listen to signals.
    server.wait_for_requests(server.requests().len() + 1);
    let limit = Instant::now() + Duration::from_secs(40);
    while blocks(&server).len() < BLOCKS as usize && Instant::now() < limit {
        sleep(Duration::from_millis(200));
    }
    let began = Instant::now();
    let output = terminate(child);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && began.elapsed() < Duration::from_secs(10),
        "{log}"
    );
    let expected = (1..=BLOCKS).map(|number| (root(number), 1)).collect();
    assert_eq!(blocks(&server), expected, "{log}");
}

#[tokio::test]
async fn killed_before_a_real_elasticsearch_every_block_is_there_once() {
    let Some(url) = support::elasticsearch("killed_before_a_real_elasticsearch") else {
        return;
    };
    let client = support::ready(&url).await;
    let namespace = support::config(&[&url]).namespace;
    let dir = tempfile::tempdir().unwrap();
    let node = BeaconNode::start(Duration::from_millis(200), BLOCKS);
    let config = configure(dir.path(), &node, url.as_str(), &namespace);
    let child = tasks::blocking(move || kill_while_growing(&config, &node)).await;

    let stream = DataStream::Block.name(&namespace);
    let limit = Instant::now() + Duration::from_secs(60);
    while support::count(&client, &stream).await < BLOCKS && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let output = tasks::blocking(move || terminate(child)).await;
    let log = String::from_utf8_lossy(&output.stderr);
    let query =
        json!({"size": 0, "aggs": {"roots": {"cardinality": {"field": "ethereum.block.root"}}}});
    let answer = client.search(&stream, &query).await.unwrap();
    let roots = answer["aggregations"]["roots"]["value"].as_u64();
    assert_eq!(
        (support::count(&client, &stream).await, roots),
        (BLOCKS, Some(BLOCKS)),
        "{log}"
    );
}

#[test]
fn a_second_agent_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let node = BeaconNode::start(Duration::from_secs(1), 1);
    let server = BulkServer::start(|_, _| Act::Serve);
    let config = configure(dir.path(), &node, &server.url(), "default");
    let first = agent(&config).spawn().unwrap();
    // Its first report says that it runs.
    server.wait_for(1);
    let second = agent(&config).output().unwrap();
    assert!(terminate(first).status.success());
    let message = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{message}");
    let data = dir.path().join("data");
    let expected = format!(
        "cannot use {}: another ethmon agent (or tool) has it open",
        data.display()
    );
    assert!(message.contains(&expected), "{message}");
}

/// `ethmon queue` and `ethmon dead-letter` put in order what a killed agent left, and have it for themselves meanwhile.
#[test]
fn an_agent_waits_for_a_tool_that_has_the_store_for_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let node = BeaconNode::start(Duration::from_secs(1), 1);
    let server = BulkServer::start(|_, _| Act::Serve);
    let config = configure(dir.path(), &node, &server.url(), "default");
    let tool = Store::open(&dir.path().join("data"), Limits::default()).unwrap();
    let mut child = agent(&config).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let mut said = said.lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("waiting for the store")));
    drop(tool);
    server.wait_for(1);
    assert!(terminate(child).status.success());
}

#[test]
fn trouble_with_elasticsearch_is_told_once_and_so_is_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let node = BeaconNode::start(Duration::from_millis(200), 30);
    let server = BulkServer::start(|number, _| match number {
        0..4 => Act::Close { store: false },
        _ => Act::Serve,
    });
    let config = configure(dir.path(), &node, &server.url(), "default");
    let child = agent(&config).spawn().unwrap();
    server.wait_for(30);
    let output = terminate(child);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        log.matches("elasticsearch is lost; collecting goes on")
            .count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches("elasticsearch is back").count(), 1, "{log}");
}
