//! `ethmon aggregator` between a real Elasticsearch and a real mail server, killed while an alert fires and while it recovers.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::fleet::Fleet;
use crate::mail_server::MailServer;
use crate::support;

const PATIENCE: Duration = Duration::from_secs(60);

fn start(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ethmon"))
        .args(["aggregator", "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// As a crash would: nothing is flushed, nothing is marked.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn subjects(server: &MailServer) -> Vec<String> {
    let mails = server.mails().await;
    let mut subjects: Vec<String> = mails
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| mail["subject"].as_str().unwrap().to_owned())
        .collect();
    subjects.sort();
    subjects
}

/// Waits for a mail whose subject contains all the words.
async fn wait_for_mail(server: &MailServer, words: [&str; 2]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let subjects = subjects(server).await;
        if subjects
            .iter()
            .any(|subject| words.iter().all(|word| subject.contains(word)))
        {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "no mail with {words:?} among {subjects:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn killed_and_started_again_it_neither_loses_a_mail_nor_sends_one_twice() {
    let Some(url) = support::elasticsearch("killed_and_started_again_it_neither_loses_a_mail")
    else {
        return;
    };
    let client = support::ready(&url).await;
    let server = MailServer::start();
    let namespace = format!("t{}", uuid::Uuid::new_v4().simple());
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("aggregator.toml");
    let text = format!(
        "[elasticsearch]\nhosts = [\"{url}\"]\nnamespace = \"{namespace}\"\n[aggregator]\n\
         [mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"ethmon@example.org\"\nto = [\"oncall@example.org\"]\n",
        server.smtp_port
    );
    std::fs::write(&config, text).unwrap();

    let fleet = Fleet::start(client, namespace);
    let aggregator = start(&config);
    // The split begins while somebody watches, and the aggregator dies as soon as it has said so.
    tokio::time::sleep(Duration::from_secs(4)).await;
    fleet.split.store(true, SeqCst);
    wait_for_mail(&server, ["CRITICAL", "head_split"]).await;
    kill(aggregator);
    let aggregator = start(&config);
    tokio::time::sleep(Duration::from_secs(3)).await;
    fleet.split.store(false, SeqCst);
    wait_for_mail(&server, ["CRITICAL", "reorg"]).await;
    kill(aggregator);
    let aggregator = start(&config);
    wait_for_mail(&server, ["RESOLVED", "head_split"]).await;
    wait_for_mail(&server, ["RESOLVED", "reorg"]).await;
    kill(aggregator);
    // Once more over the whole history: it has all been said.
    let aggregator = start(&config);
    tokio::time::sleep(Duration::from_secs(4)).await;
    kill(aggregator);
    fleet.end().await;

    let subjects = subjects(&server).await;
    let of = |kind: &str, rule: &str| {
        subjects
            .iter()
            .filter(|subject| subject.contains(kind) && subject.contains(rule))
            .count()
    };
    let counts = [
        of("CRITICAL", "head_split"),
        of("RESOLVED", "head_split"),
        of("CRITICAL", "reorg"),
        of("RESOLVED", "reorg"),
        subjects.len(),
    ];
    assert_eq!(counts, [1, 1, 1, 1, 4], "{subjects:#?}");
}
