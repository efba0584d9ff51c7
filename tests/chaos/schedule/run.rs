//! One schedule, from the first line to the comparison.

use std::fs;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;

use ethmon::agent::store::Beside;
use ethmon::event::DataStream;
use serde_json::Value;
use tokio::time::Instant;

use super::agent::Agent;
use super::outcome::{Outcome, beginning, compare};
use super::plan::Plan;
use super::steps::{AgentStep, SkyStep};
use super::writer::{Banners, POISON, Writer};
use crate::differential::install;
use crate::server::Server;
use crate::server::cluster::Cluster;
use crate::server::fault::Weather;

/// After the faults have ended; the agent's own longest wait is a minute.
const DEADLINE: Duration = Duration::from_secs(180);

/// How long a request is waited for that could be left unanswered.
const UNANSWERED_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Report {
    pub(super) outcome: Outcome,
    pub(super) starts: usize,
    pub(super) requests: u64,
    pub(super) faults: u64,
}

/// `Err` says what went wrong besides lost or doubled lines.
pub(super) fn run(plan: &Plan, folder: &Path) -> Result<Report, String> {
    fs::create_dir_all(folder.join("logs/old")).unwrap();
    let server = Server::start(plan.seed, plan.hosts, plan.request_timeout);
    server.set_max_body_bytes(plan.max_body_bytes);
    set_up(&server);
    if plan.has_poison {
        server.set_poison(POISON);
    }
    let mut agent = Agent::configure(folder, plan, &server.addresses());
    let banners = Banners::default();
    let mut writers: Vec<Writer> = (plan.files.iter().zip(1..))
        .map(|(file, number)| {
            let seed = plan.seed + number;
            Writer::new(file, &banners, folder, seed, plan.has_poison)
        })
        .collect();

    scope(|threads| {
        for writer in &mut writers {
            let (server, banners) = (&server, &banners);
            threads.spawn(move || {
                writer.run(&|lines, limit| {
                    server.wait(limit, |cluster| {
                        first_missing(cluster, lines, banners).is_none()
                    })
                });
            });
        }
        threads.spawn(|| change_the_sky(plan, &server));
        drive(plan, &mut agent, &server)
    })?;

    settle(plan, &mut agent, &server, &writers, &banners)?;
    agent.stop()?;
    // A further life must find nothing to repeat: the last lines come after all it could.
    agent.start();
    writers.iter_mut().for_each(|writer| writer.write_line(20));
    settle(plan, &mut agent, &server, &writers, &banners)?;
    agent.stop()?;
    if memchr::memmem::find(&agent.log(), b"panicked at").is_some() {
        return Err("the agent panicked".into());
    }

    let refused = dead_letters(folder);
    let written = || writers.iter().flat_map(|writer| &writer.lines);
    let outcome = server.with(|cluster| {
        let none = Default::default();
        let stored = stream(cluster).map_or(&none, |stream| stream.messages());
        compare(written(), stored, &refused)
    });
    let (requests, faults) = server.tally();
    Ok(Report {
        outcome,
        starts: agent.starts,
        requests,
        faults: faults.values().sum(),
    })
}

pub(super) fn set_up(server: &Server) {
    let url = format!("http://{}", server.addresses()[0]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(install(&url.parse().unwrap()));
}

pub(super) fn stream(cluster: &Cluster) -> Option<&crate::server::cluster::Stream> {
    cluster.stream(&DataStream::ClientLog.name("default"))
}

/// Poisoned lines are not expected.
fn first_missing<'a>(
    cluster: &Cluster,
    lines: impl IntoIterator<Item = &'a String>,
    banners: &Banners,
) -> Option<&'a String> {
    let stream = stream(cluster);
    let is_stored =
        |line: &str| stream.is_some_and(|stream| stream.documents(line) >= banners.written(line));
    lines
        .into_iter()
        .find(|line| !is_stored(line) && !line.contains(POISON))
}

fn change_the_sky(plan: &Plan, server: &Server) {
    for (pause, step) in &plan.sky {
        sleep(*pause);
        match step {
            SkyStep::Weather(weather) => server.set_weather(weather.clone()),
            SkyStep::Down { host, for_ } => {
                server.go_down(*host);
                sleep(*for_);
                server.come_up(*host);
            }
            SkyStep::Rollover => {
                server.with(|cluster| cluster.rollover(&DataStream::ClientLog.name("default")));
            }
        }
    }
    server.set_weather(Weather::default());
}

/// Ends with the agent running.
fn drive(plan: &Plan, agent: &mut Agent, server: &Server) -> Result<(), String> {
    agent.start();
    for (pause, step) in &plan.agent {
        sleep(*pause);
        agent.check_alive()?;
        match *step {
            AgentStep::Kill { down } => {
                agent.kill();
                sleep(down);
                agent.start();
            }
            AgentStep::KillUnanswered { down } => {
                server.hold_next_answer(UNANSWERED_WITHIN);
                agent.kill();
                server.let_answer_go();
                sleep(down);
                agent.start();
            }
            AgentStep::Stop { down } => {
                agent.stop()?;
                sleep(down);
                agent.start();
            }
            AgentStep::Freeze(time) => {
                agent.freeze();
                sleep(time);
                agent.thaw();
            }
            AgentStep::Reload => agent.reload(),
            AgentStep::SetClock { seconds } => agent.set_clock(seconds),
        }
    }
    Ok(())
}

/// Waits until every line is stored, or refused where it is poisoned.
fn settle(
    plan: &Plan,
    agent: &mut Agent,
    server: &Server,
    writers: &[Writer],
    banners: &Banners,
) -> Result<(), String> {
    let lines = || writers.iter().flat_map(|writer| &writer.lines);
    let poisoned = lines().filter(|line| line.contains(POISON)).count();
    let began = Instant::now();
    loop {
        agent.check_alive()?;
        let is_stored = server.wait(Duration::from_millis(500), |cluster| {
            first_missing(cluster, lines(), banners).is_none()
        });
        // Read beside the running agent, and beside one that is just starting after a kill.
        let is_refused = !plan.has_poison || dead_letters(agent.folder()).len() >= poisoned;
        if is_stored && is_refused {
            return Ok(());
        }
        if began.elapsed() > DEADLINE {
            let missing = server.with(|cluster| {
                let is_missing =
                    |line: &&String| first_missing(cluster, [*line], banners).is_some();
                let missing: Vec<&String> = lines().filter(is_missing).collect();
                let first = missing.first().map(|line| beginning(line));
                format!("{} lines, the first {first:?}", missing.len())
            });
            let refused = dead_letters(agent.folder()).len();
            return Err(format!(
                "not everything arrived within {} s: missing {missing}; {refused} of {poisoned} poisoned lines are dead letters",
                DEADLINE.as_secs()
            ));
        }
        if is_stored {
            sleep(Duration::from_millis(100));
        }
    }
}

/// The messages of all dead letters.
fn dead_letters(folder: &Path) -> Vec<String> {
    let mut messages = Vec::new();
    // Not there before the agent's first start.
    let read = Beside::open(&folder.join("data")).and_then(|store| {
        store.each_dead_letter(|_, letter| {
            if let Some(letter) = letter {
                let document: Value = serde_json::from_str(letter.document.get())?;
                messages.push(document["message"].as_str().unwrap_or_default().to_owned());
            }
            Ok(())
        })
    });
    if read.is_ok() { messages } else { Vec::new() }
}
