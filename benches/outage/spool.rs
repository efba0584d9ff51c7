//! Events of live sources: they go to the spool, the oldest and least important ones give way when it is full. The
//! agent's shipping half, without what collects.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

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
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::MAX_RSS_MIB;
use crate::memory::{forget_highest, highest_mib};
use crate::sink::Sink;

pub(crate) async fn run(events: u64, spool_bytes: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (address, me) = (Sink::reserve(), std::process::id());
    let limits = Limits {
        spool_bytes,
        ..Limits::default()
    };

    forget_highest(me);
    let began = Instant::now();
    let counters = collect(dir.path(), address, limits, events).await;
    let (seconds, mib) = (began.elapsed().as_secs_f64(), highest_mib(me));
    let dropped: u64 = counters.tallies().dropped.values().sum();
    println!(
        "spool: outage: {events} events in {seconds:.0} s, {:.0} a second; RSS at most {mib:.1} MiB, file {} MiB, dropped {dropped}",
        events as f64 / seconds,
        fs::metadata(dir.path().join("agent.redb")).unwrap().len() >> 20,
    );
    assert!(mib <= MAX_RSS_MIB, "RSS above {MAX_RSS_MIB} MiB");

    forget_highest(me);
    let began = Instant::now();
    let mut store = Store::open(dir.path(), limits).unwrap();
    let waiting = store.totals().spool().records;
    println!(
        "spool: restart: {waiting} events checked in {:.2} s; RSS at most {:.1} MiB",
        began.elapsed().as_secs_f64(),
        highest_mib(me)
    );
    assert!(store.take_rebuilt().is_empty());
    drop(store);
    assert_eq!(
        waiting + dropped,
        events,
        "every event waits or was counted"
    );

    forget_highest(me);
    let sink = Sink::start(address);
    let began = Instant::now();
    collect(dir.path(), address, limits, 0).await;
    let mib = highest_mib(me);
    println!(
        "spool: return: {waiting} events shipped in {:.0} s; RSS at most {mib:.1} MiB",
        began.elapsed().as_secs_f64(),
    );
    assert_eq!(sink.count(), waiting);
    assert!(mib <= MAX_RSS_MIB, "RSS above {MAX_RSS_MIB} MiB");
}

/// Collects events; without any, ships what waits.
async fn collect(dir: &Path, address: SocketAddr, limits: Limits, events: u64) -> Arc<Counters> {
    let store = Store::open(dir, limits).unwrap();
    let (handle, requests) = StoreHandle::new(&store);
    let counters = Arc::new(Counters::default());
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let seal = Seal::new(Identity {
        agent_id: "outage".into(),
        ..Identity::default()
    });
    let config = Elasticsearch {
        hosts: vec![format!("http://{address}").parse().unwrap()],
        compression: Compression::None,
        ..Elasticsearch::default()
    };
    let (files, inbox) = mpsc::channel(1);
    let outbox = Outbox::new(handle.clone(), seal, Arc::clone(&counters), ended.clone());
    let shipper = Shipper {
        store: handle.clone(),
        files: inbox,
        client: Client::new(&config).unwrap(),
        counters: Arc::clone(&counters),
        limits: ship::LIMITS,
    };
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("store", store::run(store, requests, Arc::clone(&counters)));
    tasks.spawn("ship", ship::run(shipper, stop.clone(), ended));
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
    counters
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
