//! Rules' filters and alert records against a real Elasticsearch, mails against a real mail server.

use std::sync::Arc;

use chrono::TimeDelta;
use ethmon::alert::email::{self, Mailer, Style, Verdict};
use ethmon::alert::{Arrival, Notice, Simulation, Transition, notices, record, simulate};
use ethmon::elastic::Verdict as Stored;
use ethmon::event::{DataStream, Document, DocumentId, Event};
use ethmon::rules::{Query, Rule, shipped};
use ethmon::slot::ChainSpec;
use serde_json::{Value, json};

use crate::mail_server::MailServer;
use crate::support::{self, bulk};

const FILTERS: [&str; 12] = [
    r#"{ field = "flag", is = true }"#,
    r#"{ field = "flag", not = true }"#,
    r#"{ field = "word", in = ["x", "y"] }"#,
    r#"{ field = "word", not_in = ["x", "y"] }"#,
    r#"{ field = "number", gte = 2 }"#,
    r#"{ field = "number", gt = 2, lt = 7.5 }"#,
    r#"{ field = "number", is = 2 }"#,
    r#"{ field = "word", exists = true }"#,
    r#"{ field = "word", exists = false }"#,
    r#"{ field = "inner.word", is = "x" }"#,
    r#"{ any = [{ field = "flag", is = true }, { field = "number", lte = 2 }] }"#,
    r#"{ field = "word", exists = true }, { any = [{ field = "flag", exists = false }, { field = "number", gt = 2 }] }"#,
];

fn documents() -> Vec<Value> {
    let mut documents = Vec::new();
    for flag in [json!(true), json!(false), json!(null), json!([false, true])] {
        for word in [
            json!("x"),
            json!(["y", "z"]),
            json!("z"),
            json!([]),
            json!(null),
        ] {
            for number in [json!(2), json!(7.5), json!([1, 3]), json!(null)] {
                let inner = json!([{"word": word.clone()}, {"word": "z"}]);
                documents
                    .push(json!({"flag": flag, "word": word, "number": number, "inner": inner}));
            }
        }
    }
    documents
}

#[tokio::test]
async fn filters_find_in_elasticsearch_what_they_match_in_memory() {
    let Some(url) = support::elasticsearch("filters_find_in_elasticsearch") else {
        return;
    };
    let client = support::client(&[&url]);
    let index = format!("scratch-{}", uuid::Uuid::new_v4().simple());
    let keyword = json!({"type": "keyword"});
    let mappings = json!({"mappings": {"properties": {
        "flag": {"type": "boolean"}, "word": keyword, "number": {"type": "double"},
        "inner": {"properties": {"word": keyword}}}}});
    assert!(
        client
            .put(&index, &[], Some(&mappings))
            .await
            .unwrap()
            .is_success()
    );
    let documents = documents();
    for (id, document) in documents.iter().enumerate() {
        let reply = client
            .put(&format!("{index}/_doc/{id}"), &[], Some(document))
            .await;
        assert!(reply.unwrap().is_success());
    }
    client
        .post(&format!("{index}/_refresh"), &[], None)
        .await
        .unwrap();

    for filter in FILTERS {
        let query = format!("stream = \"logs-ethereum.reorg\"\nwhere = [{filter}]");
        let query: Query = toml::from_str(&query).unwrap();
        let body =
            json!({"size": 1000, "_source": false, "query": {"bool": {"filter": query.dsl()}}});
        let answer = client.search(&index, &body).await.unwrap();
        let hits = answer["hits"]["hits"].as_array().unwrap().iter();
        let mut found: Vec<usize> = hits
            .map(|hit| hit["_id"].as_str().unwrap().parse().unwrap())
            .collect();
        found.sort_unstable();
        let matches = |document: &Value| {
            let fields = document.as_object().unwrap().clone();
            query.matches(&Document::from(fields))
        };
        let matched: Vec<usize> = (0..documents.len())
            .filter(|id| matches(&documents[*id]))
            .collect();
        assert!(
            !matched.is_empty() && matched.len() < documents.len(),
            "{filter}"
        );
        assert_eq!(found, matched, "{filter}");
    }
    client.delete(&index, &[]).await.unwrap();
}

fn rule(name: &str) -> Rule {
    shipped()
        .into_iter()
        .find(|rule| rule.name == name)
        .unwrap()
}

/// A reorg that two nodes make, from its first document to its resolution.
fn reorg() -> (ChainSpec, Vec<Transition>) {
    let chain = ChainSpec::example();
    let arrival = |slot: u64, node: &str, client: &str, dropped: u64| {
        let at = chain.slot_start(slot) + TimeDelta::milliseconds(700);
        let event = Event::new(DataStream::Reorg, DocumentId::of(&[node]), at)
            .with("ethereum.nodes", vec![node])
            .with("ethereum.clients", vec![client])
            .with("ethereum.reorg.blocks_dropped", dropped)
            .with("ethereum.reorg.blocks_added", 3)
            .with("ethereum.reorg.ancestor_slot", 12)
            .with("ethereum.reorg.old_head_slot", 20)
            .with(
                "ethereum.reorg.old_head_root",
                format!("0x{}", "e4".repeat(32)),
            )
            .with("ethereum.reorg.new_head_slot", 19)
            .with(
                "ethereum.reorg.new_head_root",
                format!("0x{}", "07".repeat(32)),
            )
            .with("ethereum.reorg.confirmed", node == "beacon-a");
        Arrival { at, event }
    };
    let arrivals = [
        arrival(21, "beacon-b", "lodestar/1.5.1 <grün>", 5),
        arrival(26, "beacon-a", "prysm/6.1.4", 4),
    ];
    let simulation = Simulation {
        chain: chain.clone(),
        from: chain.slot_start(0),
        to: chain.slot_start(60),
        tick: TimeDelta::seconds(4),
        idle_tick: TimeDelta::seconds(4),
        restart_at: None,
    };
    let transitions = simulate(&[rule("reorg_deep")], &arrivals, &simulation);
    (chain, transitions)
}

/// Its mails to one recipient, in order.
pub(crate) fn notices_of_a_reorg() -> Vec<Notice> {
    let text = "host = \"localhost\"\nfrom = \"ethmon@example.org\"\nto = [\"oncall@example.org\"]";
    let config: email::Config = toml::from_str(text).unwrap();
    let (chain, transitions) = reorg();
    let style = Style::new(None, &config);
    let notices = transitions
        .iter()
        .flat_map(|transition| notices(transition, &chain, &style, &config));
    notices.collect()
}

#[tokio::test]
async fn alert_records_fit_their_template() {
    let Some(url) = support::elasticsearch("alert_records_fit_their_template") else {
        return;
    };
    let client = support::ready(&url).await;
    let (chain, transitions) = reorg();
    assert_eq!(transitions.len(), 2);
    let stream = DataStream::Alert.name(&format!("t{}", uuid::Uuid::new_v4().simple()));
    let records: Vec<Event> = transitions
        .iter()
        .map(|transition| record(transition, &chain))
        .collect();
    let items = records.iter().map(|event| {
        let document = event.document.clone().into_value();
        (stream.as_str(), event.id.as_str(), document)
    });
    let items: Vec<_> = items.collect();
    let (body, count) = bulk(&items);
    let answer = client.bulk(body, count).await.unwrap();
    assert!(
        answer
            .verdicts
            .iter()
            .all(|verdict| matches!(verdict, Stored::Stored { .. })),
        "{:?}",
        answer.verdicts
    );
    assert_eq!(support::count(&client, &stream).await, 2);
    client
        .delete(&format!("_data_stream/{stream}"), &[])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_firing_and_its_recovery_arrive_as_one_thread() {
    if support::elasticsearch("a_firing_and_its_recovery_arrive").is_none() {
        return;
    }
    let server = MailServer::start();
    let text = format!(
        "host = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"ethmon <ethmon@example.org>\"\n\
         to = [\"oncall@example.org\", \"Bea <bea@example.org>\"]",
        server.smtp_port
    );
    let config: email::Config = toml::from_str(&text).unwrap();
    let mailer = Arc::new(Mailer::smtp(&config).unwrap());
    mailer.check().await.unwrap();
    let style = Style::new(Some("https://kibana.example.org".into()), &config);
    let (chain, transitions) = reorg();
    for transition in &transitions {
        for notice in notices(transition, &chain, &style, &config) {
            let verdict = mailer.send(&notice).await;
            assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
        }
    }
    let mails = server.mails().await;
    let mails: Vec<&Value> = mails.as_array().unwrap().iter().collect();
    assert_eq!(mails.len(), 4);
    let header = |mail: &Value, name: &str| {
        mail["headers"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let subject = |mail: &Value| mail["subject"].as_str().unwrap().to_owned();
    let (opened, resolved): (Vec<&Value>, Vec<&Value>) = mails
        .into_iter()
        .partition(|mail| subject(mail).contains("CRITICAL"));
    assert_eq!((opened.len(), resolved.len()), (2, 2));
    assert_eq!(
        subject(opened[0]),
        "[ethmon] [CRITICAL] reorg_deep: network, 5 blocks dropped, 3 added after slot 12"
    );
    assert_eq!(
        subject(resolved[0]),
        "[ethmon] [RESOLVED] reorg_deep: network, nothing further for 12 slots"
    );
    assert_eq!(
        header(resolved[0], "references"),
        header(opened[0], "message-id")
    );
    assert_eq!(
        header(resolved[0], "in-reply-to"),
        header(opened[0], "message-id")
    );
    for mail in opened {
        assert!(mail["html"].as_str().unwrap().contains("&lt;grün&gt;"));
        assert!(
            mail["text"]
                .as_str()
                .unwrap()
                .contains("lodestar/1.5.1 <grün>")
        );
    }
}
