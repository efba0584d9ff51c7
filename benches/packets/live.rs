//! An interface: a generator on one end of a pair, the agent's own capture on the other.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use ethmon::agent::outbox::Outbox;
use ethmon::agent::packets::{self, Captures};
use ethmon::config::{self, Traffic as Allowed};
use pcap::Capture;
use tokio_util::sync::CancellationToken;

use crate::traffic::Traffic;
use crate::{cpu_seconds, resident_mib};

/// Frames that are made beforehand and sent again and again.
const PREPARED: usize = 200_000;

/// Calls this program again, where it may make interfaces and disturbs nobody.
pub(crate) fn in_namespace(packets: usize) {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let status = command
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--in-namespace", "--packets", &packets.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

pub(crate) fn run(packets: usize) {
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        assert!(status.unwrap().success(), "ip {arguments}");
    };
    ip("link add bench0 type veth peer name bench1");
    ip("link set bench0 up");
    ip("link set bench1 up");
    let mut traffic = Traffic::new(2_000);
    let frames: Vec<Vec<u8>> = (0..PREPARED).map(|_| traffic.frame()).collect();
    for per_second in [200_000, 400_000, usize::MAX] {
        measure(packets, &frames, per_second);
    }
}

/// Packets that the interface received, by its own counter.
fn received() -> u64 {
    let output = Command::new("ip")
        .args(["-s", "-j", "link", "show", "bench1"])
        .output()
        .unwrap();
    let links: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
}

fn measure(packets: usize, frames: &[Vec<u8>], per_second: usize) {
    let mut sender = Capture::from_device("bench0").unwrap().open().unwrap();
    let config = config::Packets {
        interfaces: vec!["bench1".into()],
        traffic: Allowed::All,
        ..config::Packets::default()
    };
    let captures = Captures::open_keeping_privilege(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (outbox, mut events) = Outbox::in_memory("agent", 10_000);
    let stop = CancellationToken::new();
    let running = runtime.spawn(packets::run(config, captures, outbox.clone(), stop.clone()));
    let documents = runtime.spawn(async move {
        let mut documents = 0_u64;
        while events.recv().await.is_some() {
            documents += 1;
        }
        documents
    });
    let is_done = Arc::new(AtomicBool::new(false));
    let (cpu, began, received_before) = (cpu_seconds(), Instant::now(), received());
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for number in 0..packets {
                sender
                    .sendpacket(frames[number % frames.len()].as_slice())
                    .unwrap();
                // A rate is kept by small bursts.
                if per_second != usize::MAX && number % 64 == 0 {
                    let due = Duration::from_secs_f64(number as f64 / per_second as f64);
                    while began.elapsed() < due {
                        std::hint::spin_loop();
                    }
                }
            }
            is_done.store(true, Relaxed);
            began.elapsed()
        });
        sending.join().unwrap()
    });
    // What is still in the kernel's buffer.
    let mut seen = 0;
    loop {
        thread::sleep(Duration::from_millis(1_500));
        let now = outbox.counted("packets_seen");
        if std::mem::replace(&mut seen, now) == now {
            break;
        }
    }
    let received = received() - received_before;
    stop.cancel();
    runtime.block_on(running).unwrap().unwrap();
    let dropped = outbox.counted("packets_kernel_dropped");
    let lost_documents = outbox.counted("packets_events_dropped");
    seen = outbox.counted("packets_seen");
    drop(outbox);
    let documents = runtime.block_on(documents).unwrap();
    let wanted = match per_second {
        usize::MAX => "as fast as it goes".to_owned(),
        rate => format!("{} k/s wanted", rate / 1_000),
    };
    println!(
        "live, {wanted}: {packets} sent at {:.0} k/s, {received} received by the interface, {seen} seen, {dropped} dropped by the kernel, {documents} documents ({lost_documents} dropped), \
         {:.1} s CPU with the generator's, {:.0} MiB resident",
        packets as f64 / sent.as_secs_f64() / 1e3,
        cpu_seconds() - cpu,
        resident_mib()
    );
}
