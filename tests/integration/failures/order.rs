//! A poisonous item delays none of its neighbours: by the order in which documents arrive.

use std::sync::{Arc, Mutex};

use super::concurrency::{agent, lines};
use super::left;
use crate::bulk_server::{Act, BulkServer};
use crate::shipping::{id, wait};

const POISON: &str = "000050";

#[tokio::test]
async fn an_item_refused_again_and_again_arrives_last_and_everybody_else_in_order() {
    // As long as any other document is missing.
    let mut others = 0;
    let server = Arc::new(BulkServer::start(move |_, items| {
        others += items.iter().filter(|item| item.id != POISON).count();
        match others {
            1_999 => Act::Serve,
            _ => Act::Refuse(Box::new(|item| item.id == POISON)),
        }
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir, &server, 1);
    agent.files.send(lines(&agent, 0..2_000)).await.unwrap();
    wait(&server, |server| server.wait_for(2_000)).await;
    agent.end().await;
    let order = server.order();
    let undisturbed: Vec<_> = (0..2_000)
        .map(|number| id(number).to_string())
        .filter(|id| id != POISON)
        .collect();
    let others: Vec<_> = order.iter().filter(|id| *id != POISON).cloned().collect();
    assert_eq!(others, undisturbed);
    // It may share the last requests with others, and with the others of that request only.
    let behind = order.iter().rev().position(|id| id == POISON).unwrap();
    assert!(behind <= 100, "{behind} documents came after it");
}

#[tokio::test]
async fn a_refused_document_costs_its_neighbours_nothing() {
    let server = Arc::new(BulkServer::start(|_, _| {
        Act::Items(|item| (item.id == POISON).then_some((400, "document_parsing_exception")))
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir, &server, 1);
    agent.files.send(lines(&agent, 0..1_000)).await.unwrap();
    wait(&server, |server| server.wait_for(999)).await;
    agent.end().await;
    let expected = (0..1_000).map(|number| id(number).to_string());
    let expected: Vec<_> = expected.filter(|id| id != POISON).collect();
    assert_eq!(server.order(), expected);
    assert_eq!(
        server.requests().iter().sum::<usize>(),
        1_000,
        "nobody was sent twice"
    );
    let (_, letters) = left(dir.path());
    assert_eq!((letters.len(), letters[0].id.as_str()), (1, POISON));
}

/// Everything of the first request is under suspicion; what comes after it does not wait for the search.
#[tokio::test]
async fn the_search_for_a_culprit_delays_only_those_under_suspicion() {
    const REFUSAL: &str =
        r#"{"error":{"type":"illegal_argument_exception","reason":"malformed"},"status":400}"#;
    let log = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&log);
    let server = Arc::new(BulkServer::start(move |_, items| {
        let ids: Vec<_> = items.iter().map(|item| item.id.clone()).collect();
        let poisoned = ids.iter().any(|id| id == POISON);
        requests.lock().unwrap().push(ids);
        match poisoned {
            true => Act::Whole(400, "x-elastic-product: Elasticsearch\r\n", REFUSAL),
            false => Act::Serve,
        }
    }));
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir, &server, 1);
    agent.files.send(lines(&agent, 0..1_000)).await.unwrap();
    wait(&server, |server| server.wait_for(999)).await;
    agent.end().await;
    let log = log.lock().unwrap();
    let found = log.iter().position(|ids| *ids == [POISON]).unwrap();
    let searched = log[1..found]
        .iter()
        .filter(|ids| ids[0].as_str() < "000100")
        .count();
    let others = found - 1 - searched;
    assert!(
        others + 1 >= searched,
        "{searched} requests of the search let {others} others pass"
    );
    assert_eq!(left(dir.path()).1[0].kind, "request_refused");
}
