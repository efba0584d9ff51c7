//! Against a small node of our own, and silence.

use super::*;
use alloy::primitives::B256;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::event::Document;
use crate::setup::assert_accepted;

/// A node of few methods, asked over real connections.
struct Node {
    listener: TcpListener,
    client: Client,
}

impl Node {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret-key", listener.local_addr().unwrap());
        let client = Client::new(RootProvider::new_http(url.parse().unwrap()));
        Self { listener, client }
    }

    /// One poll, during which every question gets the answer of `answer` to its method and parameters.
    async fn poll(&mut self, answer: impl Fn(&str, &Value) -> Value) -> Document {
        let event = tokio::select! {
            event = self.client.poll("agent") => event,
            () = serve(&self.listener, answer) => unreachable!(),
        };
        assert_accepted([&event]);
        event.document
    }
}

/// One connection after the other, for ever.
async fn serve(listener: &TcpListener, answer: impl Fn(&str, &Value) -> Value) {
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let call: Value = loop {
            connection.read_buf(&mut request).await.unwrap();
            let head = memchr::memmem::find(&request, b"\r\n\r\n");
            if let Some(Ok(call)) = head.map(|end| serde_json::from_slice(&request[end + 4..])) {
                break call;
            }
        };
        let mut body = answer(call["method"].as_str().unwrap(), &call["params"]);
        body["jsonrpc"] = "2.0".into();
        body["id"] = call["id"].clone();
        let body = body.to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        let text = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        connection.write_all(text.as_bytes()).await.unwrap();
    }
}

fn refused() -> Value {
    json!({"error": {"code": -32601, "message": "no such method"}})
}

/// Block `number` of a branch; branches share the blocks up to 10.
fn block(number: u64, branch: u8) -> Value {
    let hash = |number: u64| {
        let of = if number > 10 { branch } else { 0 };
        B256::from([of.wrapping_mul(100).wrapping_add(number as u8); 32]).to_string()
    };
    json!({
        "number": format!("0x{number:x}"), "hash": hash(number), "parentHash": hash(number.saturating_sub(1)),
        "timestamp": "0x64", "baseFeePerGas": "0x7", "gasUsed": "0x5208", "gasLimit": "0x1c9c380",
        "transactions": [format!("0x{}", "cd".repeat(32))], "uncles": [], "ofALaterFork": "0x1"
    })
}

/// A client whose chain is the one of `branch` up to `head`.
fn chain(head: u64, branch: u8) -> impl Fn(&str, &Value) -> Value {
    move |method, params| {
        let blocks = || (0..=head).map(|number| block(number, branch));
        let found = match (method, params[0].as_str()) {
            ("eth_getBlockByNumber", Some("latest")) => blocks().next_back(),
            ("eth_getBlockByNumber", _) => blocks().find(|block| block["number"] == params[0]),
            ("eth_getBlockByHash", _) => blocks().find(|block| block["hash"] == params[0]),
            ("eth_chainId", _) => return json!({"result": "0x539"}),
            _ => return refused(),
        };
        json!({ "result": found })
    }
}

fn reorg(document: &Document) -> Option<[Option<u64>; 5]> {
    let number = |name: &str| document.get_u64(&format!("ethereum.execution.reorg.{name}"));
    let numbers = [
        "old_head_number",
        "new_head_number",
        "ancestor_number",
        "blocks_dropped",
        "blocks_added",
    ]
    .map(number);
    let is_one = document.get_str("event.action") == Some("reorg");
    assert_eq!(is_one, numbers[0].is_some(), "{document:?}");
    is_one.then_some(numbers)
}

#[tokio::test]
async fn a_refused_method_costs_its_fields_and_is_named_once() {
    fn answer(method: &str, _: &Value) -> Value {
        match method {
            "eth_getBlockByNumber" => json!({"result": block(16, 0)}),
            "eth_syncing" => json!({"result": false}),
            "eth_gasPrice" => json!({"result": "0xffffffffffffffffffff"}),
            "web3_clientVersion" => json!({"result": "thin/1.0"}),
            "net_peerCount" => json!({"result": {"peers": "many"}}),
            _ => refused(),
        }
    }
    let mut node = Node::start().await;
    let document = node.poll(answer).await;
    let outcome = document.get_str("event.outcome");
    assert_eq!(outcome, Some("success"), "{document:?}");
    assert_eq!(document.get_u64("ethereum.block.number"), Some(16));
    let field = |name: &str| document.get(&format!("ethereum.execution.{name}"));
    assert_eq!(field("base_fee_wei"), Some(&json!(7)));
    assert_eq!(field("transactions"), Some(&json!(1)));
    assert_eq!(field("syncing"), Some(&json!(false)));
    assert!(field("block_age_ms").unwrap().as_i64() > Some(1_000_000));
    let absent = ["pending", "queued", "peers", "gas_price_wei", "chain_id"];
    assert!(absent.iter().all(|name| field(name).is_none()));

    let lacking = |node: &Node| {
        let mut names: Vec<_> = node.client.said.lacking.iter().copied().collect();
        names.sort_unstable();
        names
    };
    let named = [
        "eth_chainId",
        "eth_getBlockByHash",
        "eth_maxPriorityFeePerGas",
        "net_peerCount",
        "txpool_status",
    ];
    assert_eq!(lacking(&node), named);
    node.poll(|method, params| match method {
        "txpool_status" => json!({"result": {"pending": "0x3", "queued": "0x0"}}),
        _ => answer(method, params),
    })
    .await;
    assert_eq!(lacking(&node), &named[..4], "one of them answers now");
}

#[tokio::test]
async fn silence_is_a_document_too_and_tells_no_url() {
    let mut node = Node::start().await;
    node.poll(chain(3, 0)).await;
    let known = node.client.said.lacking.clone();
    let address = node.listener.local_addr().unwrap();
    drop(node.listener);
    for _ in 0..2 {
        let event = node.client.poll("agent").await;
        assert_accepted([&event]);
        let document = event.document;
        assert_eq!(document.get_str("event.outcome"), Some("failure"));
        assert_eq!(document.get_str("event.action"), Some("unreachable"));
        assert_eq!(document.get_bool("ethereum.reachable"), Some(false));
        let reason = document.get_str("error.message").unwrap();
        let is_plain = reason.contains("refused") && !reason.contains("secret-key");
        assert!(is_plain, "{reason}");
        assert!(node.client.said.is_silent);
        assert_eq!(node.client.said.lacking, known, "each method is not named");
    }
    node.listener = TcpListener::bind(address).await.unwrap();
    let document = node.poll(chain(4, 0)).await;
    assert_eq!(document.get_bool("ethereum.reachable"), Some(true));
    assert!(!node.client.said.is_silent);
}

#[tokio::test]
async fn a_client_without_a_head_answers_all_the_same() {
    let mut node = Node::start().await;
    let document = node.poll(|_, _| json!({"result": null})).await;
    assert_eq!(document.get_bool("ethereum.reachable"), Some(true));
    assert_eq!(document.get_str("event.outcome"), Some("failure"));
    let reason = document.get_str("error.message");
    assert_eq!(reason, Some("it has no latest block"));
    let document = node.poll(|_, _| refused()).await;
    assert_eq!(document.get_bool("ethereum.reachable"), Some(true));
    let said = &node.client.said;
    assert!(
        said.is_silent && said.lacking.is_empty(),
        "said once for all"
    );
}

#[tokio::test]
async fn reorgs_are_found_between_polls() {
    let mut node = Node::start().await;
    let mut seen = Vec::new();
    for (head, branch) in [(8, 0), (13, 1), (13, 1), (15, 2), (14, 2), (20, 2)] {
        seen.push(reorg(&node.poll(chain(head, branch)).await));
    }
    let over = |numbers: [u64; 5]| Some(numbers.map(Some));
    let expected = [
        None,
        None,
        None,
        over([13, 15, 10, 3, 5]),
        over([15, 14, 14, 1, 0]),
        None,
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn after_a_long_silence_the_old_head_is_asked_for() {
    for (branch, expected) in [(1, None), (2, Some([13, 120, 0, 1, 1]))] {
        let mut node = Node::start().await;
        assert_eq!(reorg(&node.poll(chain(13, 1)).await), None);
        let document = node.poll(chain(120, branch)).await;
        let [old, new, _, dropped, added] = expected.unwrap_or_default();
        let expected = expected.map(|_| [Some(old), Some(new), None, Some(dropped), Some(added)]);
        assert_eq!(reorg(&document), expected);
        let is_known = document.get_bool("ethereum.execution.reorg.ancestor_known");
        assert_eq!(is_known, expected.map(|_| false));
    }
}

#[tokio::test]
async fn another_chain_is_no_reorg_and_a_failed_walk_is_made_up_for() {
    let mut node = Node::start().await;
    node.poll(chain(13, 1)).await;
    let broken = chain(15, 2);
    let document = node
        .poll(|method, params| match method {
            "eth_getBlockByHash" => refused(),
            _ => broken(method, params),
        })
        .await;
    assert_eq!(reorg(&document), None, "not known yet");
    let document = node.poll(chain(16, 2)).await;
    let expected = [13, 16, 10, 3, 6].map(Some);
    assert_eq!(reorg(&document), Some(expected), "of the poll before");
    let elsewhere = chain(12, 3);
    let document = node
        .poll(|method, params| match method {
            "eth_chainId" => json!({"result": "0x1"}),
            _ => elsewhere(method, params),
        })
        .await;
    assert_eq!(reorg(&document), None);
}
