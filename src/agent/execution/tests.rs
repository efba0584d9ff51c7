//! Against a small node of our own, and silence.

use super::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::setup::assert_accepted;

fn client(url: &str) -> Client {
    Client {
        provider: RootProvider::new_http(url.parse().unwrap()),
        lacking: HashSet::new(),
        silent: false,
    }
}

/// A node of few methods: answers what `answer` says, one connection after the other, for ever.
async fn serve(listener: TcpListener, answer: fn(&str) -> Value) {
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
        let mut body = answer(call["method"].as_str().unwrap());
        body["jsonrpc"] = "2.0".into();
        body["id"] = call["id"].clone();
        let body = body.to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        let text = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        connection.write_all(text.as_bytes()).await.unwrap();
    }
}

async fn poll(client: &mut Client, listener: TcpListener, answer: fn(&str) -> Value) -> Event {
    let event = tokio::select! {
        event = client.poll("agent") => event,
        () = serve(listener, answer) => unreachable!(),
    };
    assert_accepted([&event]);
    event
}

#[tokio::test]
async fn a_refused_method_costs_its_fields_and_is_named_once() {
    fn answer(method: &str) -> Value {
        match method {
            "eth_getBlockByNumber" => json!({"result": {
                "number": "0x10", "hash": format!("0x{}", "ab".repeat(32)), "parentHash": format!("0x{}", "00".repeat(32)),
                "timestamp": "0x64", "baseFeePerGas": "0x7", "gasUsed": "0x5208", "gasLimit": "0x1c9c380",
                "transactions": [format!("0x{}", "cd".repeat(32))], "uncles": [], "ofALaterFork": "0x1"
            }}),
            "eth_syncing" => json!({"result": false}),
            "eth_gasPrice" => json!({"result": "0xffffffffffffffffffff"}),
            "web3_clientVersion" => json!({"result": "thin/1.0"}),
            _ => json!({"error": {"code": -32601, "message": "no such method"}}),
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let document = poll(&mut client, listener, answer).await.document;
    assert_eq!(
        document.get_str("event.outcome"),
        Some("success"),
        "{document:?}"
    );
    assert_eq!(document.get_u64("ethereum.block.number"), Some(16));
    assert_eq!(document.get_u64("ethereum.execution.base_fee_wei"), Some(7));
    assert_eq!(document.get_u64("ethereum.execution.transactions"), Some(1));
    assert_eq!(document.get_bool("ethereum.execution.syncing"), Some(false));
    assert!(
        document
            .get("ethereum.execution.block_age_ms")
            .unwrap()
            .as_i64()
            > Some(1_000_000)
    );
    let absent = ["pending", "queued", "peers", "gas_price_wei", "chain_id"];
    assert!(absent.iter().all(|field| {
        document
            .get(&format!("ethereum.execution.{field}"))
            .is_none()
    }));
    let mut lacking: Vec<_> = client.lacking.iter().copied().collect();
    lacking.sort_unstable();
    assert_eq!(
        lacking,
        [
            "eth_chainId",
            "eth_maxPriorityFeePerGas",
            "net_peerCount",
            "txpool_status"
        ]
    );
}

#[tokio::test]
async fn silence_is_a_document_too_and_tells_no_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-key", listener.local_addr().unwrap());
    drop(listener);
    let mut client = client(&url);
    let event = client.poll("agent").await;
    assert_accepted([&event]);
    let document = event.document;
    assert_eq!(document.get_str("event.outcome"), Some("failure"));
    let reason = document.get_str("error.message").unwrap();
    assert!(
        reason.contains("refused") && !reason.contains("secret-key"),
        "{reason}"
    );
    assert!(client.silent && client.lacking.is_empty());
}
