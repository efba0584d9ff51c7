//! The engine against documents late, repeated, out of order and without end.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::{Engine, Evaluation, Key, Outcome, Overrides, Rule, load, parse, shipped};
use crate::event::{DataStream, Document, DocumentId};
use crate::slot::ChainSpec;

fn at(second: i64) -> DateTime<Utc> {
    ChainSpec::example().genesis_time + TimeDelta::seconds(second)
}

fn rule(name: &str) -> Rule {
    shipped()
        .into_iter()
        .find(|rule| rule.name == name)
        .unwrap()
}

fn node(name: &str, second: i64) -> (DataStream, DocumentId, Document) {
    let mut document = Document::at(at(second));
    document.set("ethereum.node.name", name);
    document.set("ethereum.sync.distance", second % 7);
    document.set("ethereum.peers.connected", second % 31);
    let id = DocumentId::of(&[name, &second.to_string()]);
    (DataStream::Node, id, document)
}

fn evaluate(engine: &mut Engine, second: i64) -> Vec<Evaluation> {
    // A key with a state in the ledger is answered of whatever the answer is.
    let keys = ["a", "b", "c"].map(|name| Key::new([name]));
    engine.evaluate(at(second), &ChainSpec::example(), |_| keys.iter().collect())
}

fn answers(evaluations: Vec<Evaluation>) -> Vec<String> {
    let answer = |evaluation: Evaluation| {
        let Evaluation {
            rule,
            key,
            outcome,
            value,
            facts,
            ..
        } = evaluation;
        format!("{} {key} {outcome:?} {value:?} {facts:?}", rule.name)
    };
    evaluations.into_iter().map(answer).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order, however often, and however much of the far past is missing: the same answer.
    #[test]
    fn answers_depend_on_the_documents_alone(
        seconds in prop::collection::vec((0_i64..600, 0_usize..3), 1..120),
        shuffled in any::<prop::sample::Index>(),
        now in 300_i64..700,
    ) {
        let names = ["a", "b", "c"];
        let documents: Vec<_> = seconds.iter().map(|(second, name)| node(names[*name], *second)).collect();
        let engine = || {
            let mut engine = Engine::new(["node_lagging", "low_peers"].map(rule));
            engine.reading_since(at(0));
            engine
        };
        let mut straight = engine();
        for (stream, id, document) in &documents {
            straight.observe(*stream, id, document);
        }
        let mut otherwise = engine();
        let turn = shuffled.index(documents.len());
        for (stream, id, document) in documents[turn..].iter().chain(&documents).rev() {
            let lookback = otherwise.lookback(*stream, &ChainSpec::example());
            if document.timestamp().unwrap() >= at(now) - lookback {
                otherwise.observe(*stream, id, document);
            }
        }
        prop_assert_eq!(answers(evaluate(&mut straight, now)), answers(evaluate(&mut otherwise, now)));
    }
}

#[test]
fn keys_beyond_the_limit_are_refused_and_counted() {
    let mut rule = rule("low_peers");
    rule.settings.max_keys = 2;
    let mut engine = Engine::new([rule]);
    for (nth, name) in ["a", "b", "c", "a", "d"].into_iter().enumerate() {
        let (stream, id, document) = node(name, nth as i64);
        engine.observe(stream, &id, &document);
    }
    let (_, counters) = engine.counters().next().unwrap();
    assert_eq!((counters.documents, counters.refused_keys), (3, 2));
    // Room again once the documents of a key are out of the window.
    evaluate(&mut engine, 900);
    let (stream, id, document) = node("d", 900);
    assert_eq!(engine.observe(stream, &id, &document), 1);
}

#[test]
fn documents_that_lack_what_a_rule_needs_are_counted() {
    let mut engine = Engine::new([rule("low_peers")]);
    let id = DocumentId::of(&["x"]);
    let mut document = Document::at(at(0));
    assert_eq!(engine.observe(DataStream::Node, &id, &document), 0);
    document.set("ethereum.node.name", "a");
    document.set("ethereum.peers.connected", "many");
    assert_eq!(engine.observe(DataStream::Node, &id, &document), 0);
    document.set("@timestamp", "yesterday");
    assert_eq!(engine.observe(DataStream::Node, &id, &document), 0);
    let (_, counters) = engine.counters().next().unwrap();
    assert_eq!((counters.without_field, counters.without_time), (2, 1));
}

#[test]
fn silence_before_the_reader_read_says_nothing() {
    let outcome = |engine: &mut Engine, second| evaluate(engine, second).remove(0).outcome;
    let mut engine = Engine::new([rule("node_silent")]);
    let (stream, id, document) = node("a", 0);
    engine.observe(stream, &id, &document);
    engine.reading_since(at(1_000));
    assert!(matches!(
        outcome(&mut engine, 1_030),
        Outcome::NoData { .. }
    ));
    let silent = outcome(&mut engine, 1_061);
    assert_eq!(
        silent,
        Outcome::Breach {
            since: at(0),
            last: at(1_061)
        }
    );
}

#[test]
fn of_keys_without_a_state_only_bad_news_is_told() {
    let mut engine = Engine::new([rule("low_peers")]);
    for second in [0, 12, 24, 36] {
        for (name, peers) in [("well", 31), ("ill", 0)] {
            let (stream, id, mut document) = node(name, second);
            document.set("ethereum.peers.connected", peers);
            engine.observe(stream, &id, &document);
        }
    }
    let chain = ChainSpec::example();
    let told = engine.evaluate(at(36), &chain, |_| Vec::new());
    let keys: Vec<String> = told.iter().map(|told| told.key.to_string()).collect();
    assert_eq!(keys, ["ill"]);
    let well = Key::new(["well"]);
    assert_eq!(engine.evaluate(at(36), &chain, |_| vec![&well]).len(), 2);
}

#[test]
fn a_listed_node_is_watched_before_it_was_seen() {
    let list: Overrides =
        toml::from_str("[node_silent.condition]\nexpect = [[\"a\"], [\"b\"]]").unwrap();
    let rules = load(&[], &list).unwrap();
    let mut engine = Engine::new(rules);
    engine.reading_since(at(0));
    let (stream, id, document) = node("a", 100);
    engine.observe(stream, &id, &document);
    let silent: Vec<Key> = evaluate(&mut engine, 110)
        .into_iter()
        .filter(|evaluation| evaluation.rule.name == "node_silent")
        .filter(|evaluation| matches!(evaluation.outcome, Outcome::Breach { .. }))
        .map(|evaluation| evaluation.key)
        .collect();
    assert_eq!(silent, [Key::new(["b"])]);
}

#[test]
fn one_query_asks_for_what_all_rules_of_a_stream_count() {
    let engine = Engine::new(["reorg_deep", "low_peers"].map(rule));
    assert_eq!(engine.streams().len(), 2);
    assert_eq!(
        engine.filter_dsl(DataStream::Reorg),
        json!({"bool": {"minimum_should_match": 1, "should": [{"bool": {"filter": [
            {"bool": {"must_not": [{"terms": {"ethereum.reorg.sync_artefact": [true]}}]}},
            {"bool": {"must_not": [{"terms": {"ethereum.reorg.lone": [true]}}]}}
        ]}}]}})
    );
    let silent = rule("node_silent");
    let newest = silent.newest_per_key(at(0), &ChainSpec::example()).unwrap();
    assert_eq!(newest["collapse"]["field"], "ethereum.node.name");
    assert!(
        rule("reorg_deep")
            .newest_per_key(at(0), &ChainSpec::example())
            .is_none()
    );
}

#[test]
fn a_rule_that_is_switched_off_is_not_run() {
    let mut off = rule("reorg_deep");
    off.settings.enabled = false;
    assert_eq!(Engine::new([off]).rules().count(), 0);
    assert!(parse("x.toml", "").is_err());
}
