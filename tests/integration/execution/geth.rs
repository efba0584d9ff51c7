//! Geth: the client that most nodes run.

use super::*;

/// A chain of a block per second.
fn start() -> Client {
    Client::start("geth", &[("ETHMON_GETH_BLOCK_SECONDS", "1")])
}

#[tokio::test(flavor = "multi_thread")]
async fn its_head_moves_forth_and_back() {
    let client = start();
    let watch = Watch::start(&client, "");
    support::until("there are blocks to drop", async || {
        client.head().await > 10
    })
    .await;
    watch.sees(&client).await;
    let polls = watch.polls();
    let last = polls.last().unwrap();
    let version = field(last, "client_version").unwrap().as_str().unwrap();
    assert!(version.starts_with("Geth/v1."), "{version}");
    assert_eq!(field(last, "syncing"), Some(&json!(false)));
    for (name, value) in [("chain_id", 1337), ("peers", 0), ("queued", 0)] {
        assert_eq!(number(last, name), Some(value), "{name}: {last:?}");
    }
    for name in ["base_fee_wei", "priority_fee_wei", "gas_price_wei"] {
        assert!(number(last, name) > Some(0), "{name}: {last:?}");
    }

    let since = slot::now();
    let target = client.head().await - 8;
    client
        .ask("debug_setHead", json!([format!("0x{target:x}")]))
        .await;
    let poll = watch.poll(since, "is a reorg", |poll| {
        poll.get_str("event.action") == Some("reorg")
    });
    let reorg = |name: &str| number(&poll, &format!("reorg.{name}")).unwrap();
    let hash = |name: &str| field(&poll, &format!("reorg.{name}")).unwrap().clone();
    assert_eq!(reorg("ancestor_number"), target, "{poll:?}");
    assert_eq!(hash("ancestor_hash"), json!(client.hash(target).await));
    assert_eq!(reorg("blocks_dropped"), reorg("old_head_number") - target);
    assert_eq!(reorg("blocks_added"), reorg("new_head_number") - target);
    assert!(reorg("blocks_dropped") > 0);
    // The chain goes on from there, and so it is told: once.
    watch.sees(&client).await;
    let polls = watch.polls();
    let heads: Vec<_> = polls
        .iter()
        .filter_map(|poll| field(poll, "reorg.old_head_hash"))
        .collect();
    assert_eq!(heads, [&hash("old_head_hash")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_surge_of_its_pool_is_seen_by_the_next_poll() {
    let client = start();
    let signer = PrivateKeySigner::random();
    let accounts = client.ask("eth_accounts", json!([])).await;
    let wealth =
        json!([{"from": accounts[0], "to": signer.address(), "value": "0xde0b6b3a7640000"}]);
    client.ask("eth_sendTransaction", wealth).await;
    support::until("the sender has its ether", async || {
        let balance = client.node.get_balance(signer.address()).await.unwrap();
        balance > U256::ZERO
    })
    .await;
    let watch = Watch::start(&client, "");
    watch.sees(&client).await;
    // Below the least that the base fee can fall to: they stay, however many blocks come.
    client.fill_pool(signer, 2, 300, 40).await;
    assert_surge(&watch, slot::now(), 300, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_offer_costs_its_fields_and_its_log_is_followed() {
    let settings = [
        ("ETHMON_GETH_BLOCK_SECONDS", "1"),
        ("ETHMON_GETH_APIS", "eth,web3"),
    ];
    let client = Client::start("geth", &settings);
    let log = client.directory.path().join("geth.log");
    let section = format!("[[logs]]\npaths = [{log:?}]\nclient = \"geth\"\n");
    let watch = Watch::start(&client, &section);
    watch.sees(&client).await;
    watch.sees(&client).await;
    let last = watch.polls().pop().unwrap();
    assert_eq!(last.get_str("event.outcome"), Some("success"));
    for name in ["pending", "queued", "peers"] {
        assert!(field(&last, name).is_none(), "{name}: {last:?}");
    }
    assert!(number(&last, "base_fee_wei") > Some(0));

    client.service("stop");
    let lines = || std::fs::read_to_string(&log).unwrap().lines().count();
    let records = || watch.documents(DataStream::ClientLog);
    let messages = |records: &[Document]| {
        let of = |record: &Document| record.get_str("message").unwrap().to_owned();
        records.iter().map(of).collect::<Vec<_>>()
    };
    let is_last = |records: &[Document]| {
        let messages = messages(records);
        messages
            .iter()
            .any(|text| text.contains("Blockchain stopped"))
    };
    wait_until(
        || is_last(&records()),
        || format!("its last words are missing: {:#?}", messages(&records())),
    );
    let records = records();
    assert!(records.len() <= lines(), "no line is two records");
    for text in [
        "Chain ID:  1337",
        "HTTP server started",
        "Starting work on payload",
    ] {
        let found = messages(&records)
            .iter()
            .any(|message| message.contains(text));
        assert!(found, "{text}: {:#?}", messages(&records));
    }
    for record in &records {
        assert_eq!(record.get_str("service.name"), Some("geth"), "{record:?}");
        assert_eq!(record.get_str("ethereum.layer"), Some("execution"));
    }
    let (_, log) = watch.agent.stop();
    let refused = |method: &str| {
        let is_it = |line: &&str| line.contains("refuses this method") && line.contains(method);
        log.lines().filter(is_it).count()
    };
    let methods = ["txpool_status", "net_peerCount"];
    assert_eq!(methods.map(refused), [1, 1], "{log}");
}
