//! The status page of a running agent, over a port and over a socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;

use super::{Site, wait_for_messages, wait_until};
use crate::bulk_server::{Act, BulkServer};

/// Status, head and body.
fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String, String) {
    // A server that has seen enough may close before it has read all.
    stream.write_all(request.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_default(),
        head.to_lowercase(),
        body.to_owned(),
    )
}

fn get(address: &str, path: &str) -> (u16, String, String) {
    let stream = TcpStream::connect(address).unwrap();
    exchange(stream, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn metrics_and_health_follow_what_happens() {
    let site = Site::new();
    let is_locked = Arc::new(AtomicBool::new(false));
    let locked = Arc::clone(&is_locked);
    let server = BulkServer::start(move |_, _| match locked.load(Relaxed) {
        true => Act::Whole(401, "", "{}"),
        false => Act::Serve,
    });
    let address = free_port();
    let status = format!("[status]\nlisten = \"{address}\"\n{}", site.logs("a.log"));
    site.configure(&server.url(), &status);
    site.append("a.log", "one\ntwo\n");
    let agent = site.start();
    wait_for_messages(&server, &["one", "two"]);

    let (status, head, page) = get(&address, "/metrics");
    assert_eq!(status, 200, "{page}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let received = "ethmon_agent_events_received_total{dataset=\"ethereum.client\"} 2\n";
    assert!(page.contains(received), "{page}");
    wait_until(
        || {
            get(&address, "/metrics")
                .2
                .contains("ethmon_agent_output_state{state=\"ok\"} 1\n")
        },
        || get(&address, "/metrics").2,
    );
    assert_eq!(get(&address, "/health/live").0, 200);
    assert_eq!(get(&address, "/health/ready").0, 200);

    is_locked.store(true, Relaxed);
    site.append("a.log", "three\n");
    wait_until(
        || get(&address, "/health/ready").0 == 503,
        || get(&address, "/health/ready").2,
    );
    let (_, head, body) = get(&address, "/health/ready");
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], "not_ready");
    assert_eq!(body["reasons"][0]["reason"], "elasticsearch_unauthorized");
    assert_eq!(
        get(&address, "/health/live").0,
        200,
        "a lost Elasticsearch is no reason to restart"
    );
    assert!(agent.stop().0.success());
}

#[test]
fn odd_requests_are_refused_and_slow_ones_do_not_keep_others_out() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    let address = free_port();
    site.configure(
        &server.url(),
        &format!("[status]\nlisten = \"{address}\"\n"),
    );
    let agent = site.start();
    wait_until(|| TcpStream::connect(&address).is_ok(), || agent.log());
    assert_eq!(get(&address, "/").0, 404);
    let post = "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(exchange(TcpStream::connect(&address).unwrap(), post).0, 405);
    let many: String = (0..200)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    let many = format!("GET /metrics HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert_eq!(
        exchange(TcpStream::connect(&address).unwrap(), &many).0,
        431
    );
    let long = format!(
        "GET /metrics HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(100_000)
    );
    assert_ne!(
        exchange(TcpStream::connect(&address).unwrap(), &long).0,
        200
    );

    // More than are served at once; each is closed when its time for a head is over.
    let silent: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    for stream in &silent {
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
    }
    assert_eq!(get(&address, "/health/live").0, 200);
    drop(silent);
    assert!(agent.stop().0.success());
}

#[test]
fn a_socket_in_the_file_system_is_answered_on_and_replaced_when_its_agent_was_killed() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    let socket = site.path("agent.sock");
    let section = format!("[status]\nlisten = \"unix:{}\"\n", socket.display());
    site.configure(&server.url(), &section);
    let live = || {
        let stream = UnixStream::connect(&socket).ok()?;
        let request = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
        Some(exchange(stream, request).2)
    };
    let expected = Some("{\"status\":\"live\"}\n".to_owned());
    drop({
        let agent = site.start();
        wait_until(|| live() == expected, || agent.log());
        let mode = socket.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        agent
    });
    assert!(socket.exists(), "it was killed");
    let agent = site.start();
    wait_until(|| live() == expected, || agent.log());
    assert!(agent.stop().0.success());
    assert!(!socket.exists());
}

#[test]
fn a_port_that_is_taken_is_an_error_at_the_start() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    site.configure(
        &server.url(),
        &format!("[status]\nlisten = \"{address}\"\n"),
    );
    let agent = site.start();
    agent.wait_for_log(&format!("cannot listen on http://{address}"));
}
