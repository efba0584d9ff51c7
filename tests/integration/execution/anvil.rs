//! Anvil: a chain that does what it is told, block by block.

use rustix::process::Signal;

use super::*;

/// Blocks come when the test mines them.
fn start() -> Client {
    Client::start("anvil", &[("ETHMON_ANVIL_BLOCK_SECONDS", "3600")])
}

async fn mine(client: &Client, blocks: u64) {
    for _ in 0..blocks {
        client.ask("evm_mine", json!([])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_of_while_it_answers_and_while_it_does_not() {
    let client = Client::start("anvil", &[("ETHMON_ANVIL_BLOCK_SECONDS", "1")]);
    let watch = Watch::start(&client, "");
    let is_good = |poll: &Document| poll.get_str("event.outcome") == Some("success");
    watch.sees(&client).await;
    client.service("freeze");
    for _ in 0..2 {
        let silent = watch.poll(slot::now(), "fails", |poll| !is_good(poll));
        assert_eq!(silent.get_bool("ethereum.reachable"), Some(false));
        assert!(silent.get("ethereum.block.number").is_none());
    }
    client.service("thaw");
    let last = watch.poll(slot::now(), "succeeds", is_good);
    let numbers: Vec<u64> = watch
        .polls()
        .iter()
        .filter_map(|poll| poll.get_u64("ethereum.block.number"))
        .collect();
    let grows = numbers.is_sorted() && numbers.first() < numbers.last();
    assert!(grows, "{numbers:?}");
    let names = [
        "pending",
        "queued",
        "base_fee_wei",
        "priority_fee_wei",
        "gas_price_wei",
        "chain_id",
        "gas_limit",
        "block_age_ms",
    ];
    for name in names {
        let value = field(&last, name);
        assert!(value.is_some_and(Value::is_i64), "{name}: {last:?}");
    }
    let version = field(&last, "client_version").unwrap().as_str().unwrap();
    assert!(version.starts_with("anvil"), "{version}");
    let peers = field(&last, "peers");
    assert!(peers.is_none(), "anvil has no peers to tell of");
    let (_, log) = watch.agent.stop();
    let silence = log.matches("cannot read the head of the execution client");
    assert_eq!(silence.count(), 1, "{log}");
    let refusals = log.matches("refuses this method");
    assert_eq!(refusals.count(), 1, "anvil lacks net_peerCount:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reorgs_have_their_depth_and_their_heads() {
    let client = start();
    mine(&client, 6).await;
    let watch = Watch::start(&client, "");
    watch.sees(&client).await;

    // Three blocks are mined again: the depth counts blocks that are dropped.
    let (old, ancestor) = (client.hash(6).await, client.hash(3).await);
    // In one piece: no poll comes between dropping and mining.
    let since = slot::now();
    watch.agent.signal(Signal::STOP);
    client.ask("anvil_reorg", json!([3, []])).await;
    watch.agent.signal(Signal::CONT);
    let is_reorg = |poll: &Document| poll.get_str("event.action") == Some("reorg");
    let poll = watch.poll(since, "is a reorg", is_reorg);
    let reorg = |name: &str| field(&poll, &format!("reorg.{name}")).cloned();
    assert_eq!(reorg("blocks_dropped"), Some(json!(3)), "{poll:?}");
    assert_eq!(reorg("blocks_added"), Some(json!(3)));
    assert_eq!(reorg("old_head_number"), Some(json!(6)));
    assert_eq!(reorg("new_head_number"), Some(json!(6)));
    assert_eq!(reorg("old_head_hash"), Some(json!(old)));
    assert_eq!(reorg("new_head_hash"), Some(json!(client.hash(6).await)));
    assert_eq!(reorg("ancestor_number"), Some(json!(3)));
    assert_eq!(reorg("ancestor_hash"), Some(json!(ancestor)));
    assert_eq!(reorg("ancestor_known"), Some(json!(true)));

    // Back to an earlier state; then blocks follow that are none.
    let snapshot = client.ask("evm_snapshot", json!([])).await;
    mine(&client, 4).await;
    watch.sees(&client).await;
    let since = slot::now();
    client.ask("evm_revert", json!([snapshot])).await;
    let poll = watch.poll(since, "is a reorg", is_reorg);
    let names = ["reorg.blocks_dropped", "reorg.blocks_added"];
    let counts = names.map(|name| number(&poll, name));
    assert_eq!(counts, [Some(4), Some(0)], "{poll:?}");
    assert_eq!(number(&poll, "reorg.ancestor_number"), Some(6));
    mine(&client, 2).await;
    watch.sees(&client).await;
    let polls = watch.polls();
    let reorgs = polls.iter().filter(|poll| is_reorg(poll)).count();
    assert_eq!(reorgs, 2, "each is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_surge_of_the_pool_is_seen_by_the_next_poll() {
    let client = start();
    let watch = Watch::start(&client, "");
    watch.sees(&client).await;
    let before = watch.polls().pop().unwrap();
    assert_eq!(number(&before, "pending"), Some(0), "{before:?}");
    let signer = PrivateKeySigner::random();
    let wealth = json!([signer.address(), "0xde0b6b3a7640000"]);
    client.ask("anvil_setBalance", wealth).await;
    client.fill_pool(signer, 20_000_000_000, 300, 40).await;
    assert_surge(&watch, slot::now(), 300, 40);
}
