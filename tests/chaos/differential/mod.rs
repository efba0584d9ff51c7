//! The same requests to our Elasticsearch and to a real one: the answers are equal, but for what is random or worded freely.

mod generate;
mod normalise;

use std::io::Write;
use std::time::Duration;

use ethmon::config;
use ethmon::elastic::{BackingIndex, Client};
use ethmon::setup::{self, Mode, Options};
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use url::Url;

use self::generate::{BACKING, Request};
use self::normalise::normalise;
use crate::environment;
use crate::server::Server;

const REQUESTS: usize = 400;

/// What both answer has been looked at by a person for each kind of mistake that [`generate`] makes.
#[tokio::test]
async fn differential() {
    let seed = environment::seed().unwrap_or_else(rand::random);
    let Some(real) = environment::elasticsearch() else {
        let mut screen = std::io::stderr();
        writeln!(
            screen,
            "SKIPPED: differential: ETHMON_TEST_ELASTICSEARCH is not set"
        )
        .unwrap();
        return;
    };
    if let Err(difference) = compare(&real, seed).await {
        panic!("{difference}");
    }
}

/// The same requests to both, in data streams of their own; `Err` is what differs.
async fn compare(real: &Url, seed: u64) -> Result<(), String> {
    let server = Server::start(seed, 1, Duration::from_secs(30));
    let ours = url_of(&server);
    let namespace = format!("c{}", uuid::Uuid::new_v4().simple());
    for host in [real, &ours] {
        install(host).await;
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut refused = 0;
    for number in 0..REQUESTS {
        let request = generate::request(&mut dice, &namespace);
        let (expected, found) = tokio::join!(
            send(&client, real, &request),
            send(&client, &ours, &request)
        );
        refused += usize::from(expected["status"] != 200);
        if request.target.ends_with("_rollover") {
            let indices = async |host| backing_indices(host, &request.stream).await.len();
            assert_eq!(indices(real).await, indices(&ours).await, "seed {seed}");
        }
        if expected != found {
            return Err(format!(
                "seed {seed}, request {number}: the real one says\n{}but ours\n{}to {}",
                normalise::difference(&expected, &found),
                normalise::difference(&found, &expected),
                request.show()
            ));
        }
    }
    for host in [real, &ours] {
        let never_written = format!("logs-ethereum.block-n{namespace}");
        assert_eq!(backing_indices(host, &never_written).await, []);
    }
    assert!(
        refused > REQUESTS / 50 && refused < REQUESTS / 2,
        "good and bad requests are mixed: {refused} of {REQUESTS} were refused (seed {seed})"
    );
    Ok(())
}

/// `ethmon setup` and the agent's own client find in ours what they need.
#[tokio::test]
async fn setup_takes_ours_for_an_elasticsearch() {
    let server = Server::start(1, 2, Duration::from_secs(30));
    let url = url_of(&server);
    install(&url).await;
    let second = install(&url).await;
    assert!(!second.contains("created"), "{second}");
    let config = config(&url);
    let mut report = Vec::new();
    let good = setup::check_output(&config, &mut report).await.unwrap();
    assert!(good, "{}", String::from_utf8_lossy(&report));
}

fn config(host: &Url) -> config::Elasticsearch {
    config::Elasticsearch {
        hosts: vec![host.clone()],
        ..config::Elasticsearch::default()
    }
}

/// Installs the shipped templates; what was done.
pub(crate) async fn install(host: &Url) -> String {
    let client = Client::new(&config(host)).unwrap();
    let options = Options {
        mode: Mode::Apply,
        only: None,
    };
    let mut report = Vec::new();
    let good = setup::run(&client, &options, &mut report).await.unwrap();
    let report = String::from_utf8(report).unwrap();
    assert!(good, "{report}");
    report
}

/// Oldest first, as the agent asks for them.
async fn backing_indices(host: &Url, stream: &str) -> Vec<BackingIndex> {
    let client = Client::new(&config(host)).unwrap();
    client.backing_indices(&[stream]).await.unwrap()
}

fn url_of(server: &Server) -> Url {
    format!("http://{}", server.addresses()[0]).parse().unwrap()
}

async fn send(client: &reqwest::Client, host: &Url, request: &Request) -> Value {
    let (target, media) = match request.target.contains(BACKING) {
        true => {
            let indices = backing_indices(host, &request.stream).await;
            let index = indices.last().map_or("none", |index| &index.name);
            (request.target.replace(BACKING, index), "application/json")
        }
        false => (request.target.clone(), "application/x-ndjson"),
    };
    let mut post = client
        .post(host.join(&target).unwrap())
        .header("content-type", media)
        .header("accept", "application/json");
    let mut body = request.body.clone();
    if request.is_gzipped {
        post = post.header("content-encoding", "gzip");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
    }
    let answer = post.body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    let product = answer.headers().get("x-elastic-product").cloned();
    assert_eq!(product.unwrap(), "Elasticsearch");
    let body: Value = answer.json().await.unwrap();
    normalise(status, &body)
}
