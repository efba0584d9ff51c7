//! An agent whose store was damaged starts, says so, keeps its identity, and repeats nothing.

use std::fs;

use super::{Site, messages, store_of, text, wait_for_messages, wait_until};
use crate::bulk_server::{Act, BulkServer};

fn agent_id(server: &BulkServer) -> Vec<String> {
    let documents = server
        .stored()
        .into_iter()
        .filter_map(|id| server.document(&id));
    let mut ids: Vec<String> = documents
        .map(|document| document["agent"]["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

#[test]
fn files_are_read_again_without_duplicates_and_the_damage_is_told() {
    for damage in [
        // Nothing can be read of it.
        (|bytes: &mut Vec<u8>| bytes.truncate(5_000)) as fn(&mut Vec<u8>),
        |bytes| bytes.clear(),
        // Something can.
        |bytes| {
            while let Some(at) = bytes.windows(5).position(|window| window == b"a.log") {
                bytes[at] = b'A';
            }
        },
    ] {
        let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
        site.configure(&server.url(), &site.logs("a.log"));
        site.append("a.log", "one\ntwo\n");
        let agent = site.start();
        wait_for_messages(&server, &["one", "two"]);
        assert!(agent.stop().0.success());

        let mut bytes = fs::read(store_of(&site)).unwrap();
        damage(&mut bytes);
        fs::write(store_of(&site), &bytes).unwrap();
        site.append("a.log", "three\n");
        let agent = site.start();
        wait_for_messages(&server, &["one", "three", "two"]);
        wait_until(|| agent_reports_damage(&server), || agent.log());
        let (status, log) = agent.stop();
        assert!(status.success(), "{log}");
        assert!(
            log.contains("the store was damaged: it is set aside"),
            "{log}"
        );
        assert_eq!(agent_id(&server).len(), 1, "ids depend on it");
        assert_eq!(messages(&server), ["one", "three", "two"]);
        let aside = fs::read_dir(site.path("data")).unwrap().flatten();
        let aside = aside.filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("agent.redb.damaged-")
        });
        assert_eq!(aside.count(), 1);
    }
}

fn agent_reports_damage(server: &BulkServer) -> bool {
    let documents = server
        .stored()
        .into_iter()
        .filter_map(|id| server.document(&id));
    let mut reports =
        documents.filter(|document| document["data_stream"]["dataset"] == "ethmon.agent");
    reports.any(|report| report["ethmon"]["agent"]["store"]["damaged"] == 1)
}

#[test]
fn tools_tell_of_damage_and_leave_it_to_the_agent() {
    let (site, server) = (Site::new(), BulkServer::start(|_, _| Act::Serve));
    site.configure(&server.url(), &site.logs("a.log"));
    site.append("a.log", "one\n");
    assert!(site.once().status.success());
    let run = |arguments: &[&str]| {
        let output = super::ethmon(arguments)
            .arg("--data-dir")
            .arg(site.path("data"))
            .output()
            .unwrap();
        (
            output.status.success(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let (is_good, told) = run(&["queue", "verify"]);
    assert!(is_good && told.ends_with("store: ok\n"), "{told}");
    let (is_good, told) = run(&["registry", "show"]);
    let path = site.path("a.log");
    assert!(
        is_good && told.ends_with(&format!("  {}\n", path.display())),
        "{told}"
    );
    let line: Vec<&str> = told.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(line[..3], ["4", "4", "0"], "acknowledged, size, behind");
    let (is_good, told) = run(&["registry", "reset", "/nowhere"]);
    assert!(
        !is_good && told.contains("the registry does not know it"),
        "{told}"
    );
    let (is_good, told) = run(&["registry", "reset", path.to_str().unwrap()]);
    assert!(is_good && told.ends_with("runs: 1\n"), "{told}");
    // Its line is read again, and recognised.
    assert!(site.once().status.success());
    assert_eq!((server.stored().len(), server.duplicates()), (1, 1));

    let mut bytes = fs::read(store_of(&site)).unwrap();
    bytes.truncate(5_000);
    fs::write(store_of(&site), &bytes).unwrap();
    for command in [
        &["queue", "verify"][..],
        &["registry", "reset", "--all"],
        &["dead-letter", "purge", "--all"],
    ] {
        let (is_good, told) = run(command);
        assert!(!is_good && told.contains("is damaged"), "{told}");
    }
    assert_eq!(fs::read(store_of(&site)).unwrap(), bytes);
}
