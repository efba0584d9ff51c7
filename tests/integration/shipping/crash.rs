//! A process that collects and ships is killed without warning, again and again.
//!
//! The child is this test binary, running [`child`] alone.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::sleep;
use std::time::Duration;

use ethmon::agent::ship;
use ethmon::config::Elasticsearch;
use ethmon::event::DataStream;
use ethmon::tasks;
use rand::Rng;

use super::{Agent, config, event, ids};
use crate::bulk_server::{Act, BulkServer};
use crate::support;

const CHILD: &str = "ETHMON_TEST_CHILD";

/// Sends events from where the last life remembered to have been, then waits until all is shipped.
#[tokio::test]
#[ignore = "the child of the other tests here"]
async fn child() {
    #[allow(clippy::disallowed_methods)]
    let Ok(arguments) = std::env::var(CHILD) else {
        return;
    };
    let [dir, url, namespace, count] = arguments.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let count: usize = count.parse().unwrap();
    let config = Elasticsearch {
        namespace: namespace.into(),
        ..config(url)
    };
    let agent = Agent::start_with(Path::new(dir), config, ship::LIMITS);
    let next = agent.outbox.recall("next").await;
    let mut next = next.map_or(0, |bytes| usize::from_le_bytes(bytes.try_into().unwrap()));
    while next < count {
        agent.outbox.send(event(next)).await;
        next += 1;
        agent
            .outbox
            .remember("next", next.to_le_bytes().to_vec())
            .await;
        if next % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    agent.end().await;
}

fn start_child(dir: &Path, url: &str, namespace: &str, count: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shipping::crash::child", "--ignored"])
        .env(
            CHILD,
            format!("{} {url} {namespace} {count}", dir.display()),
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills it some times at random moments, and lets it end in the end.
fn kill_and_finish(dir: &Path, url: &str, namespace: &str, count: usize) {
    let mut luck = rand::rng();
    for _ in 0..8 {
        let mut child = start_child(dir, url, namespace, count);
        sleep(Duration::from_millis(luck.random_range(50..400)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // A life ends within its flush limit; the second one ships what was still waiting for another attempt.
    for _ in 0..2 {
        let mut child = start_child(dir, url, namespace, count);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_twice() {
    const COUNT: usize = 20_000;
    let server = BulkServer::start(|number, _| match number % 7 {
        3 => Act::Whole(503, "", ""),
        5 => Act::Items(|item| {
            item.id
                .ends_with("99")
                .then_some((429, "es_rejected_execution_exception"))
        }),
        _ => Act::Serve,
    });
    let dir = tempfile::tempdir().unwrap();
    kill_and_finish(dir.path(), &server.url(), "default", COUNT);
    assert_eq!(server.stored(), ids(0..COUNT));
}

#[test]
fn killed_between_answer_and_commit_the_repetition_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    // Answers are held back until the test has killed the child: stored there, not known here.
    let (stored, killed): (_, Receiver<()>) = sync_channel(0);
    let mut killed = Some(killed);
    let server = Arc::new(BulkServer::start(move |_, _| match killed.take() {
        Some(killed) => Act::StoreThenWait(killed),
        None => Act::Serve,
    }));
    let mut child = start_child(dir.path(), &server.url(), "default", 100);
    server.wait_for(1);
    child.kill().unwrap();
    child.wait().unwrap();
    stored.send(()).unwrap();

    assert!(
        start_child(dir.path(), &server.url(), "default", 100)
            .wait()
            .unwrap()
            .success()
    );
    assert_eq!(server.stored(), ids(0..100));
    // Further requests may have been on their way when it was killed.
    let torn = server.requests()[0];
    assert!(
        server.duplicates() >= torn,
        "all {torn} of the torn request came again, were answered 409, and taken as stored: {}",
        server.duplicates()
    );
}

#[tokio::test]
async fn killed_before_a_real_elasticsearch_nothing_is_lost_and_nothing_twice() {
    const COUNT: usize = 20_000;
    let Some(url) = support::elasticsearch("killed_before_a_real_elasticsearch") else {
        return;
    };
    let client = support::ready(&url).await;
    let namespace = support::config(&[&url]).namespace;
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = (dir.path().to_owned(), namespace.clone());
    tasks::blocking(move || kill_and_finish(&path, url.as_str(), &target, COUNT)).await;
    let stream = DataStream::Block.name(&namespace);
    assert_eq!(support::count(&client, &stream).await, COUNT as u64);
}
