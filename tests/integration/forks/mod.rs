//! The agent beside a real Prysm, from genesis over Deneb, Electra and Fulu to the first finality, into a real Elasticsearch.

mod prysm;
mod votes;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use ethmon::elastic::Client;
use ethmon::event::DataStream;
use ethmon::slot;
use serde_json::{Value, json};

use self::prysm::Prysm;
use crate::operation::Site;
use crate::support;

/// From which epoch on each fork holds on the network of `deploy/services/prysm`.
const FORKS: [(u64, &str); 4] = [(0, "capella"), (1, "deneb"), (2, "electra"), (3, "fulu")];
const SLOTS_PER_EPOCH: u64 = 32;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes: tests/run forks"]
async fn prysm_is_followed_from_genesis_over_three_forks_to_the_first_finality() {
    let Some(url) = support::elasticsearch("prysm_is_followed") else {
        return;
    };
    let client = support::ready(&url).await;
    let namespace = support::config(&[&url]).namespace;
    let stored = Stored { client, namespace };
    let prysm = Prysm::start();
    let site = Site::new();
    site.configure(url.as_str(), &prysm.sections(&stored.namespace));
    let config = site.path("agent.toml");
    assert_check(&run(&["check", "beacon", "--config"], &config));
    let agent = site.start();
    let begun = slot::now().timestamp();
    assert!(begun < prysm.genesis, "the network was there before us");

    prysm.wait_for_finality().await;
    let chain = prysm.chain().await;
    support::until("the head's block is searchable", async || {
        stored.count(DataStream::Block).await >= chain.len() as u64
    })
    .await;
    let last = stored.wait_for_finality().await;
    let (status, log) = agent.stop();
    assert!(status.success(), "{log}");
    assert_quiet(&log);
    let letters = run(&["dead-letter", "list", "--data-dir"], &site.path("data"));
    let letters = String::from_utf8_lossy(&letters.stdout).into_owned();
    assert_eq!(letters.lines().count(), 1, "only a heading: {letters}");

    let arrivals = assert_blocks(&stored, &chain).await;
    assert_events(&stored, &chain).await;
    assert_finality(&prysm, &last).await;
    assert_clients(&stored).await;
    let (slots, votes) = votes::assert_votes(&stored).await;
    writeln!(
        std::io::stderr(),
        "forks: {} blocks over {} forks, imported {} to {} ms into their slot, half of them by {} ms; epoch {} final; {} client records; {votes} votes in {slots} slots",
        chain.len(),
        FORKS.len(),
        arrivals[0],
        arrivals[arrivals.len() - 1],
        arrivals[arrivals.len() / 2],
        last["ethereum"]["finalized"]["epoch"],
        stored.count(DataStream::ClientLog).await,
    )
    .unwrap();
}

/// What the node offers is taken; refused is only what 6.1.4 does not know.
fn assert_check(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for expected in [
        "version   Prysm/v6.1.4",
        "slots of 4000 ms, late from 1333 ms on",
        "taken: head block chain_reorg finalized_checkpoint",
        "taken: attestation contribution_and_proof single_attestation",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

/// Nothing but the machine's clock, which nobody may keep, is worth a warning.
fn assert_quiet(log: &str) {
    let is_loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    let loud: Vec<_> = log
        .lines()
        .filter(is_loud)
        .filter(|line| !line.contains("clock"))
        .collect();
    assert!(loud.is_empty(), "{loud:#?}");
}

/// Each block of the chain once, as it was told, with the fork's own fields. The milliseconds of the imports, sorted.
async fn assert_blocks(stored: &Stored, chain: &BTreeMap<String, (u64, String)>) -> Vec<i64> {
    let documents = stored
        .all(DataStream::Block, json!({"match_all": {}}))
        .await;
    let mut arrivals = Vec::new();
    let mut found = BTreeMap::new();
    for document in &documents {
        let block = &document["ethereum"]["block"];
        let slot = block["slot"].as_u64().unwrap();
        if slot == 0 {
            continue; // the genesis block arrives nowhere
        }
        let fork = document["ethereum"]["fork"].as_str().unwrap();
        let root = block["root"].as_str().unwrap().to_owned();
        assert_eq!(
            found.insert(root, (slot, fork.to_owned())),
            None,
            "{document}"
        );
        let epoch = slot / SLOTS_PER_EPOCH;
        let current = FORKS.iter().rfind(|(from, _)| *from <= epoch).unwrap();
        assert_eq!(current.1, fork, "{document}");
        // Capella knows no blobs, and has no limit for them.
        assert_eq!(
            block["blob_fullness"] == json!(0.0),
            epoch >= 1,
            "{document}"
        );
        assert_eq!(document["ethereum"]["backfilled"], false, "{document}");
        let arrival = document["ethereum"]["arrival"]["import_ms"].as_i64();
        arrivals.push(arrival.unwrap_or_else(|| panic!("no arrival: {document}")));
    }
    // What came after we asked the node is not in its answer.
    found.retain(|root, _| chain.contains_key(root));
    assert_eq!(&found, chain);
    arrivals.sort_unstable();
    assert!(arrivals[0] > 0, "{arrivals:?}");
    arrivals
}

/// Each block was told of once by both topics, and the first final checkpoint once.
async fn assert_events(stored: &Stored, chain: &BTreeMap<String, (u64, String)>) {
    for topic in ["block", "head"] {
        let query = json!({"term": {"ethereum.topic": topic}});
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for event in stored.all(DataStream::BeaconEvent, query).await {
            let root = event["ethereum"]["block"]["root"].as_str().unwrap();
            *told.entry(root.to_owned()).or_default() += 1;
        }
        told.retain(|root, _| chain.contains_key(root));
        let once: BTreeMap<_, _> = chain.keys().map(|root| (root.clone(), 1)).collect();
        assert_eq!(told, once, "{topic}");
    }
    let query = json!({"term": {"ethereum.topic": "finalized_checkpoint"}});
    let checkpoints = stored.all(DataStream::BeaconEvent, query).await;
    assert_eq!(checkpoints.len(), 1, "{checkpoints:#?}");
}

/// The agent's last word about finality is the node's.
async fn assert_finality(prysm: &Prysm, last: &Value) {
    let path = "/eth/v1/beacon/states/head/finality_checkpoints";
    let node = prysm.get(path).await;
    let told = &last["ethereum"]["finalized"];
    assert_eq!(node["data"]["finalized"]["root"], told["root"]);
    let epoch = told["epoch"].to_string();
    assert_eq!(node["data"]["finalized"]["epoch"], json!(epoch));
    assert_eq!(last["ethereum"]["finality_lag"], 2, "{last}");
    assert_eq!(last["ethereum"]["stream"]["reconnects"], 0, "{last}");
}

/// Every line of Prysm, of its validators and of Geth was read in its client's own format, and Geth was asked in vain never.
async fn assert_clients(stored: &Stored) {
    let strange = json!({"term": {"log.flags": "unknown_format"}});
    let strange = stored.all(DataStream::ClientLog, strange).await;
    assert!(strange.is_empty(), "{strange:#?}");
    for name in ["prysm", "geth"] {
        let imported = json!({"bool": {"filter": [
            {"term": {"service.name": name}}, {"term": {"event.action": "block_imported"}}]}});
        let imported = stored.all(DataStream::ClientLog, imported).await;
        assert!(imported.len() > 100, "{name}: {}", imported.len());
    }
    let failed = json!({"bool": {"must_not": {"term": {"event.outcome": "success"}}}});
    let failed = stored.all(DataStream::Execution, failed).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What a test's agent has stored.
struct Stored {
    client: Client,
    namespace: String,
}

impl Stored {
    async fn count(&self, stream: DataStream) -> u64 {
        support::count(&self.client, &stream.name(&self.namespace)).await
    }

    async fn all(&self, stream: DataStream, query: Value) -> Vec<Value> {
        let body = json!({"size": 10_000, "query": query, "sort": ["@timestamp"]});
        let name = stream.name(&self.namespace);
        self.client
            .post(&format!("{name}/_refresh"), &[], None)
            .await
            .unwrap();
        let answer = self.client.search(&name, &body).await.unwrap();
        let hits = answer["hits"]["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["_source"].clone()).collect()
    }

    /// The first account of the node with a final epoch.
    async fn wait_for_finality(&self) -> Value {
        let query = json!({"range": {"ethereum.finalized.epoch": {"gt": 0}}});
        let mut found = Vec::new();
        support::until("finality is told", async || {
            found = self.all(DataStream::Node, query.clone()).await;
            !found.is_empty()
        })
        .await;
        found.remove(0)
    }
}

fn run(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ethmon"));
    command.args(arguments).arg(path).output().unwrap()
}
