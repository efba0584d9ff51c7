//! `ethmon aggregator` between a real Elasticsearch and a real mail server, killed while an alert fires and while it recovers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ethmon::elastic::Client;
use ethmon::event::DataStream;
use serde_json::json;

use crate::fleet::Fleet;
use crate::mail_server::MailServer;
use crate::support;

const PATIENCE: Duration = Duration::from_secs(60);

/// Ends with the test, however that ends.
struct Aggregator(Child);

impl Aggregator {
    fn start(config: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_ethmon"))
            .args(["aggregator", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Aggregator {
    /// As a crash would: nothing is flushed, nothing is marked.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Subject and number of copies of each mail, by its Message-ID.
async fn copies(server: &MailServer) -> BTreeMap<String, (String, u64)> {
    let mails = server.mails().await;
    let mut copies = BTreeMap::new();
    for mail in mails.as_array().unwrap() {
        let id = mail["messageId"].as_str().unwrap().to_owned();
        let subject = mail["subject"].as_str().unwrap().to_owned();
        let (said, times) = copies.entry(id).or_insert((subject.clone(), 0));
        assert_eq!(*said, subject, "one Message-ID, two mails");
        *times += 1;
    }
    copies
}

/// Waits for a mail whose subject contains all the words.
async fn wait_for_mail(server: &MailServer, words: [&str; 2]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mails = copies(server).await;
        let subjects: Vec<&String> = mails.values().map(|(subject, _)| subject).collect();
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
         [mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"ethmon@example.org\"\nto = [\"oncall@example.org\"]\ntimeout = \"2s\"\n\
         [rules.override.late_block_run]\nenabled = false\n",
        server.smtp_port
    );
    std::fs::write(&config, text).unwrap();

    let fleet = Fleet::start(client.clone(), namespace.clone());
    let aggregator = Aggregator::start(&config);
    // The split begins while somebody watches, and the aggregator dies as soon as it has said so.
    tokio::time::sleep(Duration::from_secs(4)).await;
    fleet.split.store(true, SeqCst);
    wait_for_mail(&server, ["CRITICAL", "head_split"]).await;
    drop(aggregator);
    let aggregator = Aggregator::start(&config);
    tokio::time::sleep(Duration::from_secs(3)).await;
    fleet.split.store(false, SeqCst);
    wait_for_mail(&server, ["CRITICAL", "reorg"]).await;
    drop(aggregator);
    let aggregator = Aggregator::start(&config);
    wait_for_mail(&server, ["RESOLVED", "head_split"]).await;
    wait_for_mail(&server, ["RESOLVED", "reorg"]).await;
    drop(aggregator);
    // Once more over the whole history: it has all been said.
    let aggregator = Aggregator::start(&config);
    tokio::time::sleep(Duration::from_secs(4)).await;
    drop(aggregator);
    fleet.end().await;
    let opened = json!({"size": 0, "track_total_hits": true, "query": {"bool": {"filter": [
        {"term": {"event.action": "opened"}}, {"terms": {"rule.name": ["head_split", "reorg_deep"]}}
    ]}}});
    let alerts = DataStream::Alert.name(&namespace);
    let answer = client.search(&alerts, &opened).await.unwrap();
    assert_eq!(
        answer["hits"]["total"]["value"], 2,
        "one opening per incident"
    );

    let mails = copies(&server).await;
    let of = |kind: &str, rule: &str| {
        let subjects = mails.values().map(|(subject, _)| subject);
        subjects
            .filter(|subject| subject.contains(kind) && subject.contains(rule))
            .count()
    };
    let counts = [
        of("CRITICAL", "head_split"),
        of("RESOLVED", "head_split"),
        of("CRITICAL", "reorg"),
        of("RESOLVED", "reorg"),
        mails.len(),
    ];
    assert_eq!(counts, [1, 1, 1, 1, 4], "{mails:#?}");
    // Only where the kill fell between the mail server's yes and its mark was the same mail handed over again.
    for (subject, times) in mails.values() {
        let attempts = attempts(&client, &namespace, subject).await;
        assert!(
            *times <= attempts,
            "{subject:?} came {times} times of {attempts} attempts"
        );
    }
}

/// How often a mail was begun, as the outbox has it.
async fn attempts(client: &Client, namespace: &str, subject: &str) -> u64 {
    let refreshed = client.post("ethmon-notices/_refresh", &[], None).await;
    assert!(refreshed.unwrap().is_success());
    let query = json!({"size": 100, "query": {"term": {"namespace": namespace}}});
    let answer = client.search("ethmon-notices", &query).await.unwrap();
    let hits = answer["hits"]["hits"].as_array().unwrap();
    let mut notices = hits.iter().map(|hit| &hit["_source"]);
    let notice = notices.find(|notice| notice["mail"]["subject"] == subject);
    notice.unwrap()["attempts"].as_u64().unwrap()
}
