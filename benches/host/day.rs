//! What a day of samples takes in the indices of a real server.

use std::time::Duration;

use ethmon::agent::host::Sampler;
use ethmon::config;
use ethmon::elastic::{BulkBody, Client, Limits};
use ethmon::setup::{self, Mode, Options, Part};
use ethmon::slot;

use crate::{at, envelope};

const SAMPLES_PER_DAY: f64 = 8_640.0;

pub(crate) fn run(url: &str, samples: u32, every: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(measure(url, samples, every));
}

async fn measure(url: &str, samples: u32, every: Duration) {
    // Each run in indices of its own: not every server can delete a data stream.
    let namespace = format!("host{}", slot::now().timestamp());
    let client = Client::new(&config::Elasticsearch {
        hosts: vec![url.parse().unwrap()],
        namespace: namespace.clone(),
        request_timeout: Duration::from_secs(120),
        ..config::Elasticsearch::default()
    });
    let client = client.unwrap();
    let mut report = Vec::new();
    let options = Options {
        mode: Mode::Apply,
        only: Some(Part::Templates),
    };
    setup::run(&client, &options, &mut report).await.unwrap();
    ship(&client, &namespace, samples, every).await;
    print_sizes(&client, &namespace, samples).await;
}

async fn ship(client: &Client, namespace: &str, samples: u32, every: Duration) {
    let envelope = envelope(namespace);
    let mut sampler = Sampler::new(&config::Host::default(), "agent");
    let mut grid = tokio::time::interval(every);
    let mut body = BulkBody::new(Limits::default());
    for sample in 0..samples {
        grid.tick().await;
        for event in sampler.sample(at(sample)) {
            let record = envelope.seal(event, at(sample));
            while !body
                .push(record.index(), record.id(), record.document())
                .unwrap()
            {
                send(client, &mut body).await;
            }
        }
        // A segment holds what came within a refresh interval: some samples.
        if sample % 6 == 5 || sample + 1 == samples {
            send(client, &mut body).await;
        }
    }
}

async fn send(client: &Client, body: &mut BulkBody) {
    let (bytes, items) = body.take();
    let answer = client.bulk(bytes, items).await.unwrap();
    assert!(
        answer
            .verdicts
            .iter()
            .all(|verdict| matches!(verdict, ethmon::elastic::Verdict::Stored { .. }))
    );
}

async fn print_sizes(client: &Client, namespace: &str, samples: u32) {
    let streams = format!("metrics-system.*-{namespace}");
    client
        .post(&format!("{streams}/_refresh"), &[], None)
        .await
        .unwrap();
    client
        .post(&format!("{streams}/_flush"), &[("force", "true")], None)
        .await
        .unwrap();
    let stats = client
        .get(&format!("{streams}/_stats/store,docs"), &[])
        .await
        .unwrap()
        .body;
    let scale = SAMPLES_PER_DAY / f64::from(samples);
    println!(
        "\n{:<26}{:>12}{:>12}{:>12}",
        "index", "documents", "bytes each", "MB a day"
    );
    let mut total = 0.0;
    for (index, stats) in stats["indices"].as_object().unwrap() {
        let documents = stats["primaries"]["docs"]["count"].as_f64().unwrap();
        let bytes = stats["primaries"]["store"]["size_in_bytes"]
            .as_f64()
            .unwrap();
        let a_day = bytes * scale / 1e6;
        total += a_day;
        let name = index.trim_start_matches(".ds-metrics-");
        let name = name.split('-').next().unwrap_or(name);
        println!(
            "{name:<26}{documents:>12}{:>12.0}{a_day:>12.2}",
            bytes / documents.max(1.0)
        );
    }
    println!("{:<26}{:>36.1}", "all", total);
}
