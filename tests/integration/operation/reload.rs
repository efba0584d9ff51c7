//! SIGHUP: the configuration is read again, and taken over or refused.

use std::fs;

use rustix::process::Signal;

use super::{Site, messages, wait_for_messages, wait_until};
use crate::bulk_server::{Act, BulkServer};

#[test]
fn a_reload_takes_over_new_logs_and_new_credentials() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    fs::write(site.path("key"), "first:key").unwrap();
    let credentials = format!("api_key_file = {:?}\n", site.path("key"));
    site.configure(
        &server.url(),
        &format!("{credentials}{}", site.logs("a.log")),
    );
    site.append("a.log", "one\n");
    site.append("b.log", "two\n");
    let agent = site.start();
    wait_for_messages(&server, &["one"]);
    let before = server.authorizations().pop().unwrap();

    fs::write(site.path("key"), "second:key").unwrap();
    let both = format!("{credentials}{}{}", site.logs("a.log"), site.logs("b.log"));
    site.configure(&server.url(), &both);
    agent.signal(Signal::HUP);
    wait_for_messages(&server, &["one", "two"]);
    site.append("a.log", "three\n");
    wait_for_messages(&server, &["one", "three", "two"]);
    let after = server.authorizations().pop().unwrap();
    assert!(
        before.starts_with("apikey ") && before != after,
        "{before} {after}"
    );
    let (status, log) = agent.stop();
    assert!(status.success(), "{log}");
    assert_eq!(
        log.matches("taking over the new configuration").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_bad_configuration_is_told_with_its_place_and_the_old_one_stays() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    site.configure(&server.url(), &site.logs("a.log"));
    site.append("a.log", "one\n");
    let agent = site.start();
    wait_for_messages(&server, &["one"]);

    site.configure(&server.url(), "[hots]\n");
    agent.signal(Signal::HUP);
    agent.wait_for_log("agent.toml:4:2: unknown field `hots`");
    site.configure(&server.url(), "api_key_file = \"/nowhere\"\n");
    agent.signal(Signal::HUP);
    agent.wait_for_log("from /nowhere");
    site.configure(&server.url(), "[[logs]]\npaths = [\"/var/log/[\"]\n");
    agent.signal(Signal::HUP);
    agent.wait_for_logs("the old one stays", 3);

    site.append("a.log", "two\n");
    wait_for_messages(&server, &["one", "two"]);
    let (status, log) = agent.stop();
    assert!(status.success() && !log.contains("taking over"), "{log}");
}

#[test]
fn reloads_in_mid_stream_lose_nothing_and_repeat_nothing() {
    const LINES: usize = 3_000;
    let site = Site::new();
    let server = BulkServer::start(|number, _| match number % 4 {
        1 => Act::Whole(503, "", ""),
        2 => Act::Items(|item| {
            item.id
                .ends_with('7')
                .then_some((429, "es_rejected_execution_exception"))
        }),
        3 => Act::Close { store: true },
        _ => Act::Serve,
    });
    site.configure(&server.url(), &site.logs("a.log"));
    let agent = site.start();
    agent.wait_for_log("agent starts");
    for round in 0..6 {
        let lines = (round * LINES / 6..(round + 1) * LINES / 6).map(|line| format!("{line:06}\n"));
        site.append("a.log", &lines.collect::<String>());
        if round > 0 {
            agent.signal(Signal::HUP);
            agent.wait_for_logs("taking over the new configuration", round);
        }
    }
    wait_until(
        || messages(&server).len() >= LINES,
        || format!("{} stored\n{}", messages(&server).len(), agent.log()),
    );
    let expected: Vec<String> = (0..LINES).map(|line| format!("{line:06}")).collect();
    assert_eq!(messages(&server), expected);
    assert!(agent.stop().0.success());
}

#[test]
fn another_data_directory_is_moved_to() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    site.configure(&server.url(), "");
    let agent = site.start();
    server.wait_for(1);
    let config = fs::read_to_string(site.path("agent.toml")).unwrap();
    fs::write(
        site.path("agent.toml"),
        config.replace("/data\"", "/moved\""),
    )
    .unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for_logs("agent starts", 2);
    assert!(site.path("moved/agent.redb").exists());
    assert!(agent.stop().0.success());
}
