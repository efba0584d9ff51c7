//! Systemd as a script plays it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;

use crate::agent::host::Services;
use crate::config;
use crate::event::Event;
use crate::setup::assert_accepted;

const PERIOD: Duration = Duration::from_secs(60);

fn services(hostfs: &Path) -> Services {
    let config = config::Host {
        hostfs: hostfs.to_owned(),
        services: vec!["lighthouse*.service".into(), "-x".into()],
        ..config::Host::default()
    };
    Services::new(&config, "agent").with_program(&hostfs.join("systemctl"))
}

/// Replaced as a whole, so that no half of it is run.
fn script(hostfs: &Path, text: &str) {
    let new = hostfs.join("new");
    fs::write(&new, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, hostfs.join("systemctl")).unwrap();
}

async fn sample(services: &mut Services) -> Vec<Event> {
    let events = services.sample(DateTime::UNIX_EPOCH, PERIOD).await;
    assert_accepted(&events);
    events
}

#[tokio::test]
async fn units_as_systemd_shows_them() {
    let root = tempfile::tempdir().unwrap();
    let mut services = services(root.path());
    script(root.path(), "exit 9");
    assert_eq!(
        sample(&mut services).await,
        [],
        "this host does not run systemd"
    );

    fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
    assert_eq!(sample(&mut services).await, [], "systemctl fails");

    let asked = root.path().join("asked");
    let text = "echo Id=lighthouse.service; echo ActiveState=active; echo MemoryCurrent=5";
    script(
        root.path(),
        &format!("echo \"$TZ $@\" > {}; {text}", asked.display()),
    );
    let [event] = sample(&mut services).await.try_into().unwrap();
    assert_eq!(
        event.document.get_str("system.service.state"),
        Some("active")
    );
    assert_eq!(
        event
            .document
            .get_u64("system.service.resources.memory.usage.bytes"),
        Some(5)
    );
    assert_eq!(event.document.get_u64("metricset.period"), Some(60_000));
    let asked = fs::read_to_string(asked).unwrap();
    assert!(
        asked.starts_with("UTC show ") && asked.ends_with(" -- lighthouse*.service -x\n"),
        "{asked}"
    );

    fs::remove_file(root.path().join("systemctl")).unwrap();
    assert_eq!(sample(&mut services).await, [], "systemctl is missing");
}

#[tokio::test(start_paused = true)]
async fn systemd_that_does_not_answer_is_not_waited_for() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
    script(root.path(), "exec sleep 600");
    // The clock is the test's: the limit is reached as soon as nothing else happens.
    assert_eq!(sample(&mut services(root.path())).await, []);
}
