//! `ethmon agent --once`: all there is, and an exit code that says whether it arrived.

use super::{Site, messages, text};
use crate::bulk_server::{Act, BulkServer};

#[test]
fn everything_is_shipped_and_the_next_run_has_nothing_to_do() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    site.configure(&server.url(), &site.logs("*.log"));
    let lines: String = (0..5_000).map(|line| format!("line {line:05}\n")).collect();
    site.append("a.log", &lines);
    site.append("b.log", "whole\nwithout an end");
    let output = site.once();
    assert_eq!(
        text(&output.stdout),
        "5002 events acknowledged (0 of them were there already)\n"
    );
    assert!(output.status.success());
    assert_eq!(messages(&server).len(), 5_002);

    let output = site.once();
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("0 events acknowledged"));
    assert_eq!(server.duplicates(), 0);
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let site = Site::new();
    let server = BulkServer::start(|number, _| match number {
        0 => Act::Whole(503, "", ""),
        1 => Act::Items(|_| Some((429, "es_rejected_execution_exception"))),
        _ => Act::Serve,
    });
    site.configure(&server.url(), &site.logs("a.log"));
    site.append("a.log", "one\ntwo\n");
    let output = site.once();
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert_eq!(messages(&server), ["one", "two"]);
}

#[test]
fn what_was_refused_is_named() {
    let site = Site::new();
    let server = BulkServer::start(|_, _| {
        Act::Items(|item| {
            let is_bad = item.document["message"] == "bad";
            is_bad.then_some((400, "document_parsing_exception"))
        })
    });
    site.configure(&server.url(), &site.logs("a.log"));
    site.append("a.log", "good\nbad\n");
    let output = site.once();
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("1 events were refused"), "{told}");
    let place = site.path("a.log");
    let expected = format!(
        "from {}: document_parsing_exception: as scripted",
        place.display()
    );
    assert!(told.contains(&expected), "{told}");
    assert_eq!(messages(&server), ["good"]);
}

#[test]
fn without_elasticsearch_it_gives_up_and_keeps_all() {
    let site = Site::new();
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    site.configure(&format!("http://{nobody}"), &site.logs("a.log"));
    site.append("a.log", "one\n");
    let output = site.once_with_patience("1s");
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("not everything was acknowledged: elasticsearch is lost"),
        "{told}"
    );

    let server = BulkServer::start(|_, _| Act::Serve);
    site.configure(&server.url(), &site.logs("a.log"));
    assert!(site.once().status.success());
    assert_eq!(messages(&server), ["one"]);
}
