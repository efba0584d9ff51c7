//! A server with security: wrong, changed and insufficient credentials. Nothing is lost for a wrong password.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ethmon::agent::counters::Output;
use ethmon::agent::ship;
use ethmon::config::{Elasticsearch, Secret};
use ethmon::elastic::{Client, SendError};
use ethmon::event::DataStream;
use ethmon::{setup, tasks};
use serde_json::json;

use super::relay::{Relay, Role};
use super::rollover::LostAnswer;
use super::{NONE, Tally, left, settled, tally};
use crate::shipping::{Agent, ids};
use crate::support::{self, Server, bulk, until};

/// What the README says an agent's login needs, and what it needs besides to look up documents in doubt.
const ROLES: &str = "
writer:
  cluster: [monitor]
  indices:
    - {names: ['logs-*', 'metrics-*'], privileges: [create_doc, auto_configure]}
reader:
  indices:
    - {names: ['logs-*', 'metrics-*'], privileges: [read, view_index_metadata]}
";

/// One server for all of these: each start takes many seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_security_is_told_who_we_are_and_nothing_is_lost_meanwhile() {
    if support::elasticsearch("a_server_with_security").is_none() {
        return;
    }
    let settings = [
        ("ETHMON_ES_SECURITY", "1"),
        ("ETHMON_ES_PASSWORD", "a-test-password"),
    ];
    let server = tasks::blocking(move || Server::start(&settings)).await;
    let server = Arc::new(server);
    write_roles(&server).await;
    let administrator = login(&server, "elastic", "a-test-password");
    wrong_credentials(&server).await;
    prepared(&administrator).await;
    let client = Client::new(&administrator).unwrap();

    write_users(&server, "first-password");
    let writer = login(&server, "writer", "first-password");
    until("the server knows the writer", async || {
        check(&writer).await.0
    })
    .await;
    a_changed_password(&server, &client).await;
    lacking_privileges(&server).await;
    a_rollover_with_and_without_the_right_to_look(&server, &client).await;
}

fn login(server: &Server, username: &str, password: &str) -> Elasticsearch {
    Elasticsearch {
        username: Some(username.into()),
        password: Some(Secret::new(password)),
        ..support::config(&[&server.url])
    }
}

async fn check(config: &Elasticsearch) -> (bool, String) {
    let mut report = Vec::new();
    let good = setup::check_output(config, &mut report).await.unwrap();
    (good, String::from_utf8(report).unwrap())
}

async fn wrong_credentials(server: &Server) {
    let nobody = support::config(&[&server.url]);
    let with_key = Elasticsearch {
        api_key: Some(Secret::new("bm9zdWNoOmtleQ==")),
        ..nobody.clone()
    };
    let name = DataStream::Block.name(&nobody.namespace);
    for config in [nobody, login(server, "elastic", "wrong"), with_key] {
        let document = json!({"@timestamp": "2026-01-01T00:00:00.000Z", "ethereum": {"slot": 1}});
        let (body, count) = bulk(&[(&name, "1", document)]);
        let error = Client::new(&config)
            .unwrap()
            .bulk(body, count)
            .await
            .unwrap_err();
        assert!(
            matches!(error, SendError::Unauthorized { status: 401, .. }),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("wrong"), "{error:?}");
        let (good, report) = check(&config).await;
        assert!(
            !good && report.contains("failed  sign in") && report.contains("check api_key(_file)"),
            "{report}"
        );
    }
}

async fn prepared(administrator: &Elasticsearch) {
    let client = Client::new(administrator).unwrap();
    let setup = async |mode| {
        let options = setup::Options {
            mode,
            only: Some(setup::Part::Templates),
        };
        let mut report = Vec::new();
        let good = setup::run(&client, &options, &mut report).await.unwrap();
        (good, String::from_utf8(report).unwrap())
    };
    let (good, report) = setup(setup::Mode::Check).await;
    assert!(
        !good && report.lines().all(|line| line.starts_with("missing")),
        "{report}"
    );
    let (good, report) = check(administrator).await;
    assert!(
        !good && report.contains("failed  templates") && report.contains("run ethmon setup"),
        "{report}"
    );
    let (good, report) = setup(setup::Mode::Apply).await;
    assert!(
        good && report.lines().all(|line| line.starts_with("created")),
        "{report}"
    );
    let (good, report) = check(administrator).await;
    assert!(
        good && report.contains("ok      sign in: as elastic")
            && report.contains("look-ups: permitted"),
        "{report}"
    );
}

/// Read before anybody has one of them: that a role is not there is remembered by the server, now and then for longer than
/// that is so.
async fn write_roles(server: &Server) {
    let config = server.config_dir();
    let log = config.with_file_name("logs").join("ethmon.log");
    replace(&config.join("roles.yml"), ROLES);
    until("the server has read the roles", async || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("updated roles"))
    })
    .await;
}

/// Of the file realm, which the server reads again when they change. A password that is no hash is itself.
fn write_users(server: &Server, password: &str) {
    let config = server.config_dir();
    let users = format!("writer:{password}\nreader:{password}\nstranger:{password}\n");
    replace(&config.join("users"), &users);
    let roles = "writer:writer\nreader:writer,reader\n";
    replace(&config.join("users_roles"), roles);
}

/// As a whole: nobody reads half of it.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// The password of a running agent stops being good, and its file holds the new one some time later.
async fn a_changed_password(server: &Server, client: &Client) {
    let (dir, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = secrets.path().join("password");
    replace(&file, "first-password\n");
    let config = Elasticsearch {
        username: Some("writer".into()),
        password_file: Some(file.clone()),
        ..support::config(&[&server.url])
    };
    let stream = DataStream::Block.name(&config.namespace);
    let agent = Agent::start_with(dir.path(), config, ship::LIMITS);
    agent.send(0..100).await;
    settled(&agent, 100).await;
    write_users(server, "second-password");
    let mut sent = 100;
    until("the server refuses the old password", async || {
        agent.send(sent..sent + 10).await;
        sent += 10;
        agent.counters.output() == Output::Unauthorized
    })
    .await;
    agent.send(sent..sent + 100).await;
    replace(&file, "second-password\n");
    settled(&agent, sent as u64 + 100).await;
    agent.end().await;
    let (waiting, letters) = left(dir.path());
    assert_eq!((waiting, letters.len()), (0, 0));
    let fault = "401, password changed while running";
    assert_eq!(
        tally(fault, client, &stream, &ids(0..sent + 100)).await,
        NONE
    );
}

/// The test distribution keeps no API keys, so what stands before it answers for an expired one, in Elasticsearch's words.
#[tokio::test]
async fn an_expired_api_key_pauses_until_the_file_holds_a_good_one() {
    let Some(url) = support::elasticsearch("an_expired_api_key_pauses") else {
        return;
    };
    let client = support::ready(&url).await;
    let relay = Relay::start(Role::Keys(url)).await;
    relay.accept_key("Zmlyc3Q6a2V5");
    let (dir, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = secrets.path().join("key");
    replace(&file, "Zmlyc3Q6a2V5\n");
    let config = Elasticsearch {
        api_key_file: Some(file.clone()),
        ..support::config(&[&relay.url()])
    };
    let (_, report) = check(&config).await;
    assert!(report.contains("ok      sign in"), "{report}");
    let stream = DataStream::Block.name(&config.namespace);
    let agent = Agent::start_with(dir.path(), config.clone(), ship::LIMITS);
    agent.send(0..100).await;
    settled(&agent, 100).await;

    relay.accept_key("c2Vjb25kOmtleQ==");
    agent.send(100..300).await;
    until("the key is refused", async || {
        agent.counters.output() == Output::Unauthorized
    })
    .await;
    let (_, report) = check(&config).await;
    assert!(
        report.contains("failed  sign in") && report.contains("api key is expired"),
        "{report}"
    );
    // What cannot be a key changes nothing.
    replace(&file, "two words\n");
    agent.send(300..400).await;
    assert_eq!(agent.counters.acked.load(Relaxed), 100);
    replace(&file, "c2Vjb25kOmtleQ==\n");
    settled(&agent, 400).await;
    agent.end().await;
    let (waiting, letters) = left(dir.path());
    assert_eq!((waiting, letters.len()), (0, 0));
    let fault = "401, API key expired, then replaced";
    assert_eq!(tally(fault, &client, &stream, &ids(0..400)).await, NONE);
}

async fn lacking_privileges(server: &Server) {
    let (good, report) = check(&login(server, "stranger", "second-password")).await;
    assert!(
        !good && report.contains("failed  privileges: lacking: monitor, "),
        "{report}"
    );
    let (good, report) = check(&login(server, "reader", "second-password")).await;
    assert!(!good && report.contains("lacking: monitor, "), "{report}");
}

async fn a_rollover_with_and_without_the_right_to_look(server: &Server, client: &Client) {
    let writer = login(server, "writer", "second-password");
    let lost = LostAnswer::new(&server.url, writer.clone(), client).await;
    lost.let_through();
    let fault = "answer cut off, then a rollover, with the right to look";
    let (tally, found) = lost.end(fault, client).await;
    assert_eq!(tally, NONE, "{found} were found to be there");
    assert!(found > 0);

    let another = || Elasticsearch {
        namespace: support::config(&[&server.url]).namespace,
        ..writer.clone()
    };
    let lost = LostAnswer::new(&server.url, another(), client).await;
    let_the_writer_read(server, false).await;
    lost.let_through();
    until("the look was refused", async || {
        lost.agent.counters.output() == Output::Unauthorized
    })
    .await;
    let_the_writer_read(server, true).await;
    let fault = "the same, and the right to look was taken for a moment";
    let (tally, found) = lost.end(fault, client).await;
    assert_eq!(tally, NONE, "{found} were found to be there");
    assert!(found > 0);

    let lost = LostAnswer::new(&server.url, another(), client).await;
    let_the_writer_read(server, false).await;
    lost.let_through();
    let fault = "the same without it: the stated limit";
    let (tally, found) = lost.end(fault, client).await;
    assert_eq!(found, 0);
    assert!(
        matches!(
            tally,
            Tally {
                lost: 0,
                duplicated: 1..=50
            }
        ),
        "nothing is lost, and what was in doubt is there twice: {tally:?}"
    );
}

/// Gives or takes the right, and waits until the server knows it.
async fn let_the_writer_read(server: &Server, may: bool) {
    let readers = if may { "writer,reader" } else { "reader" };
    let roles = format!("writer:writer\nreader:{readers}\n");
    replace(&server.config_dir().join("users_roles"), &roles);
    let probe = Client::new(&login(server, "writer", "second-password")).unwrap();
    until("the server knows the writer's roles", async || {
        probe.get("logs-*/_count", &[]).await.is_ok() == may
    })
    .await;
}
