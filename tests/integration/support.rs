//! What the integration tests share: the server, namespaces of their own, and a listener that answers what a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use ethmon::config::Elasticsearch;
use ethmon::elastic::{BulkBody, Client, Limits, SendError};
use ethmon::setup::{self, Mode, Options};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

/// Held by tests that change what all share: templates and state indices.
pub(crate) static TEMPLATES: Mutex<()> = Mutex::const_new(());

static INSTALLED: OnceCell<()> = OnceCell::const_new();

#[allow(clippy::disallowed_methods)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The server's URL; `None` after a loud line where there is none.
pub(crate) fn elasticsearch(test: &str) -> Option<Url> {
    if let Some(url) = environment("ETHMON_TEST_ELASTICSEARCH") {
        return Some(url.parse().unwrap());
    }
    assert!(
        environment("CI").is_none(),
        "ETHMON_TEST_ELASTICSEARCH is not set"
    );
    // Past the harness, which shows nothing of a test that passes.
    let mut screen = std::io::stderr();
    writeln!(
        screen,
        "SKIPPED: {test}: ETHMON_TEST_ELASTICSEARCH is not set"
    )
    .unwrap();
    None
}

/// A configuration with a namespace that no other test has.
pub(crate) fn config(hosts: &[&Url]) -> Elasticsearch {
    Elasticsearch {
        hosts: hosts.iter().map(|&host| host.clone()).collect(),
        namespace: format!("t{}", uuid::Uuid::new_v4().simple()),
        // A server that shares two cores with compilers and other servers is slow, not silent.
        request_timeout: Duration::from_secs(120),
        ..Elasticsearch::default()
    }
}

pub(crate) fn client(hosts: &[&Url]) -> Client {
    Client::new(&config(hosts)).unwrap()
}

/// A client of the shared server with the templates installed.
pub(crate) async fn ready(url: &Url) -> Client {
    let client = client(&[url]);
    INSTALLED
        .get_or_init(|| async {
            let _alone = TEMPLATES.lock().await;
            install(&client).await;
        })
        .await;
    client
}

/// Installs the templates.
pub(crate) async fn install(client: &Client) {
    let options = Options {
        mode: Mode::Apply,
        only: None,
    };
    let mut report = Vec::new();
    let good = setup::run(client, &options, &mut report).await.unwrap();
    assert!(good, "{}", String::from_utf8_lossy(&report));
}

/// A bulk body of (data stream, id, document).
pub(crate) fn bulk(items: &[(&str, &str, Value)]) -> (Bytes, usize) {
    let mut body = BulkBody::new(Limits::default());
    for (stream, id, document) in items {
        assert_eq!(
            body.push(stream, id, document.to_string().as_bytes()),
            Ok(true)
        );
    }
    body.take()
}

/// How many documents a search finds after a refresh.
pub(crate) async fn count(client: &Client, target: &str) -> u64 {
    client
        .post(&format!("{target}/_refresh"), &[], None)
        .await
        .unwrap();
    let query = serde_json::json!({"size": 0, "track_total_hits": true});
    let answer = settled(async || client.search(target, &query).await).await;
    answer["hits"]["total"]["value"].as_u64().unwrap()
}

/// The answer once the shards of all that is asked have started: a data stream exists a moment before its shard does, and
/// until then a search over it is refused.
pub(crate) async fn settled<T>(mut ask: impl AsyncFnMut() -> Result<T, SendError>) -> T {
    let mut answer = None;
    until("the shards have started", async || {
        answer = match ask().await {
            Err(SendError::Busy { status: 503, .. }) => None,
            answer => Some(answer.unwrap()),
        };
        answer.is_some()
    })
    .await;
    answer.unwrap()
}

/// Until it is so; fails after a minute and a half.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(90), wait).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}

/// An address where nobody listens.
pub(crate) fn dead_host() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap()
}

/// A server that reads one request per connection and writes `answer`, byte for byte; the question for its version it
/// answers as Elasticsearch does. Ends with the test process.
pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Url {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length, mut greeted) = (String::new(), 0, false);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                greeted |= line.starts_with("GET /_nodes/");
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            // The client may have gone.
            if greeted {
                let versions = r#"{"nodes":{"a":{"version":"9.3.2"}}}"#;
                stream
                    .write_all(http("200 OK", PRODUCT, versions).as_bytes())
                    .ok();
            } else {
                stream.write_all(&answer).ok();
            }
        }
    });
    url.parse().unwrap()
}

pub(crate) const PRODUCT: &str = "x-elastic-product: Elasticsearch\r\n";

/// An HTTP answer with the headers in order.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// An Elasticsearch of a test's own, stopped with it.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    pub(crate) url: Url,
}

impl Server {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ethmon-test")
            // Elasticsearch runs as another user.
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        let output = service()
            .arg("start")
            .arg(directory.path())
            .envs(settings.iter().copied())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "cannot start Elasticsearch");
        let url = String::from_utf8(output.stdout).unwrap();
        let url = url.lines().last().unwrap().parse().unwrap();
        Self { directory, url }
    }

    /// Its configuration, some of which it reads again when it changes.
    pub(crate) fn config_dir(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// `kill`, `stop`, `start` (where it was), `freeze`, `thaw`.
    pub(crate) fn service(&self, action: &str) {
        let mut command = service();
        let command = command.arg(action).arg(self.directory.path());
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "cannot {action} Elasticsearch");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        service()
            .arg("stop")
            .arg(self.directory.path())
            .status()
            .ok();
    }
}

fn service() -> Command {
    Command::new(root().join("deploy/services/elasticsearch"))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
