//! What a server costs that refuses some items for now, counted in requests and items: time depends on the machine.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::agent::Agent;
use super::plan::Plan;
use super::run::{set_up, stream};
use crate::server::Server;
use crate::server::fault::{Kind, Weather};

const LINES: usize = 15_000;

const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn a_tenth_refused_costs_a_tenth_more_and_holds_nobody_up() {
    let (requests, items) = ship(&[]);
    // A few documents are the agent's own report.
    assert!(items < LINES as u64 + 100, "{items} items were sent");
    let (more_requests, more_items) = ship(&[Kind::TenthBusy]);
    // Each is sent 1 / 0.9 times on average: whoever sends the neighbours again too, sends far more.
    let more = more_items as f64 / LINES as f64;
    assert!(more > 1.05 && more < 1.2, "{more_items} items were sent");
    // What was refused goes with what is new. A last few go by themselves, a tenth of them each time.
    assert!(
        more_requests <= 3 * requests + 20,
        "{more_requests} requests instead of {requests}"
    );
}

/// Bulk requests and items that it took to store all lines.
fn ship(trouble: &[Kind]) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        files: Vec::new(),
        hosts: 1,
        is_compressed: false,
        request_timeout: Duration::from_secs(60),
        ..Plan::draw(1)
    };
    let server = Server::start(1, plan.hosts, plan.request_timeout);
    set_up(&server);
    server.set_weather(Weather {
        share: 1.0,
        kinds: trouble.to_vec(),
    });
    write_lines(folder.path());
    let mut agent = Agent::configure(folder.path(), &plan, &server.addresses());
    agent.start();
    let is_complete = server.wait(PATIENCE, |cluster| {
        stream(cluster).is_some_and(|stream| stream.messages().len() == LINES)
    });
    assert!(is_complete, "not everything arrived");
    agent.stop().unwrap();
    (server.tally().0, server.items())
}

fn write_lines(folder: &Path) {
    let mut text = String::new();
    for number in 0..LINES {
        writeln!(text, "line {number:06} of a log that is shipped").unwrap();
    }
    fs::create_dir_all(folder.join("logs")).unwrap();
    fs::write(folder.join("logs/node.log"), text).unwrap();
}
