//! The client against a real Elasticsearch, and against things that are none.

use std::time::Duration;

use ethmon::config::Elasticsearch;
use ethmon::elastic::{CasOutcome, Client, SendError, Verdict};
use ethmon::event::DataStream;
use serde_json::{Value, json};

use crate::support::{self, PRODUCT, answering, bulk, http};

const STORED: Verdict = Verdict::Stored { duplicate: false };
const DUPLICATE: Verdict = Verdict::Stored { duplicate: true };

fn document(slot: u64) -> Value {
    json!({"@timestamp": "2026-01-01T00:00:00.000Z", "ethereum": {"slot": slot}})
}

#[tokio::test]
async fn a_repeated_bulk_is_harmless() {
    let Some(url) = support::elasticsearch("a_repeated_bulk_is_harmless") else {
        return;
    };
    let client = support::ready(&url).await;
    let name = DataStream::Block.name(&support::config(&[&url]).namespace);
    // Large enough to be compressed.
    let ids: Vec<_> = (0..200).map(|id| format!("{id:032x}")).collect();
    let items: Vec<_> = ids.iter().map(|id| (&*name, &**id, document(5))).collect();
    for expected in [STORED, DUPLICATE] {
        let (body, count) = bulk(&items);
        let answer = client.bulk(body, count).await.unwrap();
        assert_eq!(answer.verdicts, vec![expected; 200]);
    }
    assert_eq!(support::count(&client, &name).await, 200);
}

#[tokio::test]
async fn each_item_has_its_own_verdict() {
    let Some(url) = support::elasticsearch("each_item_has_its_own_verdict") else {
        return;
    };
    let client = support::ready(&url).await;
    let namespace = support::config(&[&url]).namespace;
    let name = DataStream::Block.name(&namespace);
    let unknown = json!({"@timestamp": "2026-01-01T00:00:00.000Z", "ethereum": {"nope": 1}});
    let ill_typed = json!({"@timestamp": "2026-01-01T00:00:00.000Z", "ethereum": {"slot": "five"}});
    let elsewhere = format!("notastream-{namespace}");
    let (body, count) = bulk(&[
        (&name, "good", document(1)),
        (&name, "unknown", unknown),
        (&name, "ill-typed", ill_typed),
        (&name, "timeless", json!({"ethereum": {"slot": 1}})),
        (&elsewhere, "no template", document(1)),
        (&name, "good too", document(2)),
    ]);
    let verdicts = client.bulk(body, count).await.unwrap().verdicts;
    let kinds: Vec<_> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Stored { .. } => "stored",
            Verdict::Refused { kind, .. } => kind,
            Verdict::Retry { .. } if verdict.waits_for_operator() => "waits for the operator",
            Verdict::Retry { .. } => "retry",
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "stored",
            "strict_dynamic_mapping_exception",
            "document_parsing_exception",
            "document_parsing_exception",
            "waits for the operator",
            "stored",
        ]
    );
    assert_eq!(support::count(&client, &name).await, 2);
}

#[tokio::test]
async fn blocks_on_an_index_are_retried_and_not_held_against_the_document() {
    let Some(url) = support::elasticsearch("blocks_on_an_index_are_retried") else {
        return;
    };
    let client = support::ready(&url).await;
    let name = DataStream::Block.name(&support::config(&[&url]).namespace);
    let send = async |id: &str| {
        let (body, count) = bulk(&[(&name, id, document(1))]);
        client.bulk(body, count).await.unwrap().verdicts.remove(0)
    };
    let set = async |block: &str, on: Value| {
        let reply = client
            .put(&format!("{name}/_settings"), &[], Some(&json!({block: on})))
            .await
            .unwrap();
        assert!(reply.is_success(), "{}", reply.reason());
    };
    assert_eq!(send("1").await, STORED);
    set("index.blocks.write", true.into()).await;
    let blocked = send("2").await;
    assert!(blocked.waits_for_operator(), "{blocked:?}");
    set("index.blocks.write", Value::Null).await;
    // What the flood stage of a filling disk sets.
    set("index.blocks.read_only_allow_delete", true.into()).await;
    let flooded = send("2").await;
    assert!(
        matches!(flooded, Verdict::Retry { status: 429, .. }),
        "{flooded:?}"
    );
    set("index.blocks.read_only_allow_delete", Value::Null).await;
    assert_eq!(send("2").await, STORED);
}

#[tokio::test]
async fn a_dead_host_costs_nothing_but_its_turn() {
    let Some(url) = support::elasticsearch("a_dead_host_costs_nothing") else {
        return;
    };
    support::ready(&url).await;
    let (dead, sick) = (
        support::dead_host(),
        answering(http("503 Service Unavailable", "", "no master")),
    );
    let name = DataStream::Block.name(&support::config(&[&url]).namespace);
    let client = support::client(&[&dead, &url]);
    for id in 0..6 {
        let (body, count) = bulk(&[(&name, &id.to_string(), document(1))]);
        assert_eq!(client.bulk(body, count).await.unwrap().verdicts, [STORED]);
    }
    // A host that answers but cannot serve fails the requests it gets; every other one is stored.
    let client = support::client(&[&sick, &url]);
    let mut failed = 0;
    for id in 6..12 {
        let (body, count) = bulk(&[(&name, &id.to_string(), document(1))]);
        match client.bulk(body, count).await {
            Ok(answer) => assert_eq!(answer.verdicts, [STORED]),
            Err(SendError::Busy { status: 503, .. }) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // Never two in a row. How long it rests is a matter of luck, and proven without a clock beside the circuit breaker.
    assert!((1..=3).contains(&failed), "{failed}");
}

#[tokio::test]
async fn compare_and_set_has_one_winner() {
    let Some(url) = support::elasticsearch("compare_and_set_has_one_winner") else {
        return;
    };
    let client = support::ready(&url).await;
    let id = format!("a/b c?{}", uuid::Uuid::new_v4());
    let index = "ethmon-states";
    assert_eq!(client.document(index, &id).await.unwrap(), None);
    assert_eq!(
        client.document("ethmon-nosuchindex", &id).await.unwrap(),
        None
    );
    let lease = |owner: &str| json!({"owner": owner});
    let set = async |owner: &str, expected| {
        client
            .compare_and_set(index, &id, &lease(owner), expected)
            .await
            .unwrap()
    };
    assert!(matches!(set("a", None).await, CasOutcome::Written { .. }));
    assert_eq!(set("b", None).await, CasOutcome::Conflict);
    let read = client.document(index, &id).await.unwrap().unwrap();
    assert_eq!(read.source, lease("a"));
    let version = Some((read.seq_no, read.primary_term));
    let (first, second) = (set("b", version).await, set("c", version).await);
    assert!(matches!(first, CasOutcome::Written { .. }));
    assert_eq!(second, CasOutcome::Conflict);
    assert_eq!(
        client.document(index, &id).await.unwrap().unwrap().source,
        lease("b")
    );
}

#[tokio::test]
async fn searches_are_whole_or_fail() {
    let Some(url) = support::elasticsearch("searches_are_whole_or_fail") else {
        return;
    };
    let client = support::ready(&url).await;
    let all = json!({"query": {"match_all": {}}});
    let answer = client
        .search("logs-nosuch-*,ethmon-nosuch", &all)
        .await
        .unwrap();
    assert_eq!(answer["hits"]["total"]["value"], 0);
    let wrong = client
        .search("logs-*", &json!({"query": {"nope": {}}}))
        .await
        .unwrap_err();
    assert!(
        matches!(wrong, SendError::Refused { status: 400, .. }),
        "{wrong}"
    );
    // An index whose only shard can live nowhere.
    let stuck = format!("stuck-{}", uuid::Uuid::new_v4().simple());
    let settings = json!({"settings": {"index.routing.allocation.require._name": "absent"}});
    let query = [("wait_for_active_shards", "0"), ("timeout", "1s")];
    client.put(&stuck, &query, Some(&settings)).await.unwrap();
    let partial = client
        .search(&format!("{stuck},ethmon-states"), &all)
        .await
        .unwrap_err();
    assert!(
        matches!(partial, SendError::Busy { status: 503, .. }),
        "{partial}"
    );
    client.delete(&stuck, &[]).await.unwrap();
}

#[tokio::test]
async fn what_is_not_elasticsearch_stores_nothing() {
    let page = "<html><body>Please sign in</body></html>";
    let stored = r#"{"errors":false,"took":1,"items":[{"create":{"status":201}}]}"#;
    let two = r#"{"errors":false,"took":1,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#;
    for (answer, expected) in [
        (
            http("200 OK", "content-type: text/html\r\n", page),
            "Unreadable",
        ),
        (http("200 OK", "", stored), "Unreadable"),
        (http("200 OK", PRODUCT, page), "Unreadable"),
        (http("200 OK", PRODUCT, &stored[..40]), "Unreadable"),
        (http("200 OK", PRODUCT, two), "Unreadable"),
        (http("200 OK", PRODUCT, ""), "Unreadable"),
        (http("201 Created", PRODUCT, stored), "Unreadable"),
        (http("400 Bad Request", "", page), "Unreadable"),
        (http("404 Not Found", "", page), "Unreadable"),
        (
            http(
                "400 Bad Request",
                "",
                r#"{"error":{"type":"x","reason":"y"},"status":400}"#,
            ),
            "Refused",
        ),
        (http("401 Unauthorized", "", ""), "Unauthorized"),
        (http("403 Forbidden", "", page), "Unauthorized"),
        (
            http(
                "403 Forbidden",
                "",
                r#"{"error":{"type":"cluster_block_exception","reason":"read-only"}}"#,
            ),
            "Busy",
        ),
        (http("413 Content Too Large", "", ""), "TooLarge"),
        (
            http("429 Too Many Requests", "retry-after: 7\r\n", "{}"),
            "Busy",
        ),
        (http("502 Bad Gateway", "", page), "Busy"),
        (
            http("200 OK", PRODUCT, stored).replace("content-length: ", "content-length: 9"),
            "Unreachable",
        ),
        ("HTTP/1.1 200 OK\r\n".into(), "Unreachable"),
        (String::new(), "Unreachable"),
        (http("200 OK", PRODUCT, stored), "stored"),
    ] {
        let client = support::client(&[&answering(answer.clone())]);
        let (body, count) = bulk(&[("logs-a-b", "1", document(1))]);
        let error = match client.bulk(body, count).await {
            Ok(answer) => {
                assert_eq!((&answer.verdicts[..], expected), (&[STORED][..], "stored"));
                continue;
            }
            Err(error) => error,
        };
        assert!(
            format!("{error:?}").starts_with(expected),
            "{answer}\n{error:?}"
        );
        if let SendError::Busy {
            status: 429,
            retry_after,
            ..
        } = error
        {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_in_time() {
    // Bound and never accepted: the kernel completes the connection, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap())
        .parse()
        .unwrap();
    let config = Elasticsearch {
        request_timeout: Duration::from_secs(1),
        ..support::config(&[&url])
    };
    let began = tokio::time::Instant::now();
    let (body, count) = bulk(&[("logs-a-b", "1", document(1))]);
    let error = Client::new(&config)
        .unwrap()
        .bulk(body, count)
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::Unreachable { .. }), "{error}");
    assert!(
        error.to_string().contains("no answer within 1 s"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}
