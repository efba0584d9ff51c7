//! An hour without Elasticsearch at 5,000 events a second, as fast as the machine can: what the agent's shipping half
//! takes in memory and on disk meanwhile, and whether every event is either shipped afterwards or counted as dropped.
//!
//! `cargo bench --bench outage [-- --events N --spool BYTES]`; a measurement that is out of its bounds fails.

// Whoever runs it sees what it prints, and a mistake in it should end it.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ethmon::agent::counters::Counters;
use ethmon::agent::envelope::Identity;
use ethmon::agent::outbox::{Outbox, Seal};
use ethmon::agent::ship::{self, Shipper};
use ethmon::agent::store::{self, Limits, Store, StoreHandle};
use ethmon::config::{Compression, Elasticsearch};
use ethmon::elastic::Client;
use ethmon::event::{DataStream, DocumentId, Event};
use ethmon::slot;
use ethmon::tasks::Tasks;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const EVENTS: u64 = 5_000 * 3_600;
const SPOOL_BYTES: u64 = 1 << 30;
const MAX_RSS_BYTES: u64 = 48 << 20;

fn main() {
    let (mut events, mut spool_bytes) = (EVENTS, SPOOL_BYTES);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.windows(2) {
        match pair[0].as_str() {
            "--events" => events = pair[1].parse().unwrap(),
            "--spool" => spool_bytes = pair[1].parse().unwrap(),
            _ => {}
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(events, spool_bytes));
}

async fn run(events: u64, spool_bytes: u64) {
    let dir = tempfile::tempdir().unwrap();
    // A port that nobody listens on until the outage is over.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    println!("events {events}, spool limit {} MiB", spool_bytes >> 20);

    let began = Instant::now();
    let (counters, rss_bytes) = collect(
        dir.path(),
        &format!("http://{address}"),
        spool_bytes,
        events,
    )
    .await;
    let seconds = began.elapsed().as_secs_f64();
    let file_bytes = fs::metadata(dir.path().join("agent.redb")).unwrap().len();
    let dropped: u64 = counters.tallies().dropped.values().sum();
    println!(
        "outage: {seconds:.0} s, {:.0} events/s, RSS at most {:.1} MiB, file {} MiB, dropped {dropped}",
        events as f64 / seconds,
        rss_bytes as f64 / f64::from(1 << 20),
        file_bytes >> 20,
    );
    assert!(rss_bytes <= MAX_RSS_BYTES, "RSS above {MAX_RSS_BYTES}");

    let began = Instant::now();
    let mut store = Store::open(
        dir.path(),
        Limits {
            spool_bytes,
            ..Limits::default()
        },
    )
    .unwrap();
    let waiting = store.totals().spool().records;
    println!(
        "restart: store of {waiting} events checked and open in {:.2} s, RSS {:.1} MiB",
        began.elapsed().as_secs_f64(),
        rss() as f64 / f64::from(1 << 20)
    );
    assert!(store.take_rebuilt().is_empty());
    drop(store);
    assert_eq!(
        waiting + dropped,
        events,
        "every event waits or was counted"
    );

    let stored = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind(address).unwrap();
    let sink = Arc::clone(&stored);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sink = Arc::clone(&sink);
            thread::spawn(move || answer(stream, &sink));
        }
    });
    let began = Instant::now();
    let (_, rss_bytes) = collect(dir.path(), &format!("http://{address}"), spool_bytes, 0).await;
    println!(
        "return: {waiting} events shipped in {:.0} s, RSS at most {:.1} MiB, this sink included",
        began.elapsed().as_secs_f64(),
        rss_bytes as f64 / f64::from(1 << 20)
    );
    assert_eq!(stored.load(Relaxed), waiting);
}

/// Collects events; without any, ships what waits. Returns the counters and the highest RSS seen.
async fn collect(dir: &Path, url: &str, spool_bytes: u64, events: u64) -> (Arc<Counters>, u64) {
    let limits = Limits {
        spool_bytes,
        ..Limits::default()
    };
    let store = Store::open(dir, limits).unwrap();
    let (handle, requests) = StoreHandle::new(&store);
    let counters = Arc::new(Counters::default());
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let seal = Seal::new(Identity {
        agent_id: "outage".into(),
        ..Identity::default()
    });
    let config = Elasticsearch {
        hosts: vec![url.parse().unwrap()],
        compression: Compression::None,
        ..Elasticsearch::default()
    };
    let (files, inbox) = mpsc::channel(1);
    let outbox = Outbox::new(
        handle.clone(),
        seal.clone(),
        Arc::clone(&counters),
        ended.clone(),
    );
    let shipper = Shipper {
        store: handle.clone(),
        files: inbox,
        seal,
        client: Client::new(&config).unwrap(),
        counters: Arc::clone(&counters),
        limits: ship::LIMITS,
    };
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("store", store::run(store, requests, Arc::clone(&counters)));
    tasks.spawn("ship", ship::run(shipper, stop.clone(), ended));
    let highest = Arc::new(AtomicU64::new(0));
    let watched = Arc::clone(&highest);
    let watching = stop.clone();
    tasks.spawn("rss", async move {
        while !watching.is_cancelled() {
            watched.fetch_max(rss(), Relaxed);
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    });
    for number in 0..events {
        outbox.send(event(number)).await;
    }
    if events == 0 {
        let mut totals = handle.totals();
        totals
            .wait_for(|totals| totals.spool().records == 0)
            .await
            .unwrap();
    }
    drop((outbox, handle, files));
    stop.cancel();
    tasks.join().await.unwrap();
    (counters, highest.load(Relaxed))
}

/// Four measurements to one event of the chain.
fn event(number: u64) -> Event {
    let stream = match number % 5 {
        0 => DataStream::BeaconEvent,
        _ => DataStream::SystemCpu,
    };
    let id = DocumentId::existing(format!("outage-{number:012}"));
    Event::new(stream, id, slot::now())
        .with("ethereum.slot", number)
        .with("message", "x".repeat(400))
}

fn rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// Takes everything.
fn answer(stream: TcpStream, stored: &AtomicU64) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let items = memchr::memchr_iter(b'\n', &body).count() / 2;
        stored.fetch_add(items as u64, Relaxed);
        let items = vec![r#"{"create":{"status":201}}"#; items].join(",");
        let body = format!("{{\"errors\":false,\"took\":1,\"items\":[{items}]}}");
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all((head + &body).as_bytes()).unwrap();
    }
}
