//! What a split's documents say, asked of a real Elasticsearch: who moved, what each side runs and has justified.

use ethmon::elastic::Verdict;
use ethmon::event::{DataStream, Event};
use ethmon::network::{Fact, Finding, Network, Observation, Settings};
use ethmon::slot::{BlockRef, ChainSpec, Root};
use serde_json::{Value, json};

use crate::support::{self, bulk};

const A: u8 = 100;
const B: u8 = 200;

fn block(branch: u8, slot: u64) -> BlockRef {
    BlockRef {
        slot,
        root: Root([branch + slot as u8; 32]),
    }
}

fn client(node: &str) -> &'static str {
    match node {
        "a1" | "a2" => "Prysm/v6.1.4",
        "a3" => "Prysm/v6.1.3",
        _ => "Lodestar/v1.5.1",
    }
}

/// Three nodes on branch A and two on B from slot 11 to 17; `a3` goes over to B in slot 15, `b2` syncs from slot 16 on,
/// `new` comes to A in slot 16, and all others follow A from slot 18 on.
fn split(spec: &ChainSpec) -> Vec<Event> {
    let mut network = Network::new(spec.clone(), Settings::default());
    let mut events = Vec::new();
    for slot in 10..24 {
        let mut say = |node: &str, fact: Fact| {
            let at = spec.slot_start(slot) + chrono::TimeDelta::seconds(1);
            network.observe(Observation {
                node: node.into(),
                client: Some(client(node).into()),
                at,
                order: 0,
                fact,
            });
        };
        for node in ["a1", "a2", "a3", "b1", "b2", "new"] {
            let branch = match (node, slot) {
                ("new", ..16) => continue,
                (_, 10 | 18..) | ("a1" | "a2" | "new", _) | ("a3", ..15) => A,
                _ => B,
            };
            let syncing = node == "b2" && slot >= 16;
            let parent = if slot == 11 { A } else { branch };
            let block_fact = Fact::Block {
                block: block(branch, slot),
                parent_root: block(parent, slot - 1).root,
                proposer_index: Some(slot),
            };
            let (epoch, root) = (1, block(branch, slot).root);
            say(node, Fact::Status { syncing });
            say(node, block_fact);
            say(node, Fact::Head(block(branch, slot)));
            say(node, Fact::Justified { epoch, root });
            say(node, Fact::Finalized { epoch, root });
        }
        let findings = network.advance(spec.slot_start(slot + 1));
        let splits = findings.iter();
        let splits = splits.filter(|finding| matches!(finding, Finding::Split(_)));
        events.extend(splits.map(|finding| finding.to_event(spec)));
    }
    events
}

#[tokio::test]
async fn who_moved_can_be_asked() {
    let Some(url) = support::elasticsearch("who_moved_can_be_asked") else {
        return;
    };
    let elastic = support::ready(&url).await;
    let stream = DataStream::HeadSplit.name(&format!("t{}", uuid::Uuid::new_v4().simple()));
    let spec = ChainSpec {
        slots_per_epoch: 8,
        ..ChainSpec::example()
    };
    let events = split(&spec);
    let items: Vec<_> = events
        .iter()
        .map(|event| {
            let document = event.document.clone().into_value();
            (stream.as_str(), event.id.as_str(), document)
        })
        .collect();
    let (body, count) = bulk(&items);
    let verdicts = elastic.bulk(body, count).await.unwrap().verdicts;
    let stored = vec![Verdict::Stored { duplicate: false }; items.len()];
    assert_eq!(verdicts, stored);
    assert_eq!(support::count(&elastic, &stream).await, items.len() as u64);

    let nested = |list: &str, fields: Value| {
        let path = format!("ethereum.split.{list}");
        let fields = fields.as_object().unwrap().iter();
        let terms: Vec<Value> = fields
            .map(|(field, value)| json!({"term": {format!("{path}.{field}"): value}}))
            .collect();
        json!({"nested": {"path": path, "query": {"bool": {"filter": terms}}}})
    };
    let found = async |query: Value| {
        let body = json!({"query": query, "sort": ["@timestamp"], "_source": ["event.action"]});
        let answer = elastic.search(&stream, &body).await.unwrap();
        let hits = answer["hits"]["hits"].as_array().unwrap().clone();
        let actions = hits.iter().map(|hit| {
            hit["_source"]["event"]["action"]
                .as_str()
                .unwrap()
                .to_owned()
        });
        actions.collect::<Vec<_>>()
    };
    let over = json!({"node": "a3", "client": "Prysm", "version": "v6.1.3"});
    assert_eq!(found(nested("moved", over)).await, ["updated", "closed"]);
    let back = json!({"node": "a3", "to_slot": 18});
    assert_eq!(found(nested("moved", back)).await, ["closed"]);
    let syncing = json!({"node": "b2", "reason": "syncing"});
    assert_eq!(found(nested("left", syncing)).await, ["updated"]);
    assert_eq!(
        found(nested("joined", json!({"node": "new"}))).await,
        ["updated"]
    );
    let mix = nested("groups.mix", json!({"version": "v6.1.4", "node_count": 2}));
    let everywhere = ["opened", "updated", "updated", "closed"];
    assert_eq!(found(mix).await, everywhere);
    for of in ["groups.justified", "groups.finalized", "justified"] {
        assert_eq!(found(nested(of, json!({"epoch": 1}))).await, everywhere);
    }
    let apart = json!({"term": {"ethereum.split.justified_contradict": true}});
    assert_eq!(found(apart).await, everywhere[..3]);
    let long = json!({"range": {"ethereum.split.duration_ms": {"gte": 6 * 12_000}}});
    assert_eq!(found(long).await, ["closed"]);
    let path = format!("_data_stream/{stream}");
    elastic.delete(&path, &[]).await.unwrap();
}
