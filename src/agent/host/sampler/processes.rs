//! The sets of processes: one walk through `/proc` for both of them.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::Sampler;
use crate::agent::host::files::Files;
use crate::agent::host::process::{
    self, Candidate, Cgroup, Command, CpuTime, Details, Machine, Membership, Process, Stat,
};
use crate::agent::host::{MetricSet, memory, process_summary};
use crate::config::{self, Pattern};
use crate::event::Event;

pub(super) struct Processes {
    by_cpu: usize,
    by_memory: usize,
    patterns: Vec<Pattern>,
    scan: Option<Scan>,
    known: HashMap<u64, Known>,
    scanned_at: Option<Instant>,
    /// CPU time of the groups of the processes that were reported last.
    groups: HashMap<String, CpuTime>,
    /// By uid; `None` is remembered too.
    users: HashMap<u32, Option<String>>,
}

/// Every process at one moment.
struct Scan {
    at: Instant,
    /// By pid, ascending.
    processes: Vec<(u64, Stat)>,
    not_understood: u64,
}

/// What is kept of a process from one sample to the next.
struct Known {
    started_ticks: u64,
    /// Another name is another program, with another command line.
    comm: String,
    ticks: u64,
    spent_ticks: Option<u64>,
    started_at: Option<DateTime<Utc>>,
    /// Of those that were ever reported: most processes never are.
    command: Option<Command>,
    is_wanted: bool,
}

impl Sampler {
    pub(super) fn process(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        let Some(scan) = self.scan() else { return };
        let processes = &mut self.processes;
        let elapsed = processes.scanned_at.map(|before| scan.at - before);
        let booted_at = self.stat.as_deref().and_then(booted_at);
        processes.recognise(&self.files, &scan, booted_at);
        let candidates: Vec<_> = scan
            .processes
            .iter()
            .map(|one| processes.candidate(one))
            .collect();
        let selected = process::select(&candidates, processes.by_cpu, processes.by_memory);

        let meminfo = self.files.read("proc/meminfo").unwrap_or_default();
        let machine = Machine {
            cores: self.cores(),
            memory_bytes: memory::parse(&meminfo).total_bytes(),
            page_bytes: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            elapsed,
        };
        let mut groups = HashMap::<String, (Cgroup, Option<CpuTime>)>::new();
        let tree = self.files.cgroup_tree();
        let mut buffer = Vec::new();
        for (pid, stat) in selected.iter().map(|at| &scan.processes[*at]) {
            self.processes
                .read_command(&self.files, *pid, stat, &mut buffer);
            let details = self.processes.details(&self.files, *pid, &mut buffer);
            let path = format!("proc/{pid}/cgroup");
            let membership = Membership::parse(self.files.volatile(&path, &mut buffer));
            let folder = membership.as_ref().and_then(Membership::folder);
            let cgroup = folder.zip(tree).map(|(folder, tree)| {
                let before = self.processes.groups.get(&folder).copied();
                let path = format!("{tree}/{folder}");
                let read = || (self.cgroup(&path), before);
                &*groups.entry(folder).or_insert_with(read)
            });
            let known = self.processes.known.get(pid);
            let Some((known, command)) = known.and_then(|one| Some((one, one.command.as_ref()?)))
            else {
                continue;
            };
            let process = Process {
                pid: *pid,
                stat,
                spent_ticks: known.spent_ticks,
                started_at: known.started_at,
                command,
                details: &details,
                membership: membership.as_ref(),
                cgroup,
            };
            let event = self.event(MetricSet::Process, &pid.to_string(), at);
            events.push(process::document(event, &process, machine));
        }
        let times = groups
            .into_iter()
            .map(|(folder, (now, _))| (folder, now.cpu));
        self.processes.groups = times.collect();
        self.processes.scanned_at = Some(scan.at);
        self.processes.scan = Some(scan);
    }

    pub(super) fn process_summary(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let scan = self.scan()?;
        let mut summary = process_summary::Sample::default();
        for (_, stat) in &scan.processes {
            summary.add(Some(stat.state));
        }
        for _ in 0..scan.not_understood {
            summary.add(None);
        }
        self.processes.scan = Some(scan);
        let threads = process_summary::threads(self.stat.as_deref().unwrap_or_default());
        let event = self.event(MetricSet::ProcessSummary, "", at);
        Some(process_summary::document(event, &summary, threads))
    }

    fn scan(&mut self) -> Option<Scan> {
        if let Some(scan) = self.processes.scan.take() {
            return Some(scan);
        }
        let names = self.files.names("proc")?;
        let mut pids: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        pids.sort_unstable();
        let mut scan = Scan {
            at: Instant::now(),
            processes: Vec::with_capacity(pids.len()),
            not_understood: 0,
        };
        let mut buffer = Vec::with_capacity(512);
        for pid in pids {
            let path = format!("proc/{pid}/stat");
            // A process that has ended since the listing is not counted.
            if self.files.read_volatile(&path, &mut buffer).is_ok() {
                match Stat::parse(&buffer) {
                    Some(stat) => scan.processes.push((pid, stat)),
                    None => scan.not_understood += 1,
                }
            }
        }
        Some(scan)
    }

    fn cgroup(&self, path: &str) -> Cgroup {
        let text = |file: &str| self.text(&format!("{path}/{file}")).unwrap_or_default();
        Cgroup::read(text)
    }
}

impl Processes {
    pub(super) fn new(config: &config::Host) -> Self {
        Self {
            by_cpu: config.processes_by_cpu,
            by_memory: config.processes_by_memory,
            patterns: config.processes.clone(),
            scan: None,
            known: HashMap::new(),
            scanned_at: None,
            groups: HashMap::new(),
            users: HashMap::new(),
        }
    }

    pub(super) fn forget_scan(&mut self) {
        self.scan = None;
    }

    /// Finds out what is new, forgets what has ended.
    fn recognise(&mut self, files: &Files, scan: &Scan, booted_at: Option<DateTime<Utc>>) {
        let mut before = std::mem::take(&mut self.known);
        let mut buffer = Vec::new();
        for (pid, stat) in &scan.processes {
            let old = before
                .remove(pid)
                .filter(|old| old.started_ticks == stat.started_ticks);
            let spent_ticks = old
                .as_ref()
                .and_then(|old| stat.ticks().checked_sub(old.ticks));
            let known = match old.filter(|old| old.comm == stat.name) {
                Some(old) => Known {
                    ticks: stat.ticks(),
                    spent_ticks,
                    ..old
                },
                None => {
                    let command = command(files, *pid, stat, &mut buffer);
                    let is_wanted = self.is_wanted(stat, &command);
                    Known {
                        started_ticks: stat.started_ticks,
                        comm: stat.name.clone(),
                        ticks: stat.ticks(),
                        spent_ticks,
                        started_at: booted_at
                            .and_then(|at| at.checked_add_signed(after_boot(stat)?)),
                        is_wanted,
                        command: is_wanted.then_some(command),
                    }
                }
            };
            self.known.insert(*pid, known);
        }
    }

    fn read_command(&mut self, files: &Files, pid: u64, stat: &Stat, buffer: &mut Vec<u8>) {
        if let Some(known) = self.known.get_mut(&pid) {
            let read = || command(files, pid, stat, buffer);
            known.command.get_or_insert_with(read);
        }
    }

    fn is_wanted(&self, stat: &Stat, command: &Command) -> bool {
        let name = command.name.as_deref().unwrap_or(&stat.name);
        let is_matched =
            |pattern: &Pattern| pattern.matches(name) || pattern.matches(&command.line);
        command.client.is_some() || self.patterns.iter().any(is_matched)
    }

    fn candidate(&self, (pid, stat): &(u64, Stat)) -> Candidate {
        let known = self.known.get(pid);
        Candidate {
            spent_ticks: known.and_then(|known| known.spent_ticks),
            rss_pages: stat.rss_pages,
            is_wanted: known.is_some_and(|known| known.is_wanted),
        }
    }

    fn details(&mut self, files: &Files, pid: u64, buffer: &mut Vec<u8>) -> Details {
        let path = |file: &str| format!("proc/{pid}/{file}");
        let memory = process::parse_statm(files.volatile(&path("statm"), buffer));
        let status = process::parse_status(files.volatile(&path("status"), buffer));
        let io = process::parse_io(files.volatile(&path("io"), buffer));
        let limits = process::parse_limits(files.volatile(&path("limits"), buffer));
        Details {
            memory,
            io,
            limits,
            open_files: files.open_files(pid),
            executable: files.link(&path("exe")),
            working_directory: files.link(&path("cwd")),
            user: status.effective_uid.map(|uid| self.user(files, uid)),
            status,
        }
    }

    /// The user's name, or the number of one that the host has no name for.
    fn user(&mut self, files: &Files, uid: u32) -> String {
        let known = self.users.entry(uid).or_insert_with(|| {
            let mut passwd = Vec::new();
            files.read_volatile("etc/passwd", &mut passwd).ok()?;
            user_name(&String::from_utf8_lossy(&passwd), uid)
        });
        known.clone().unwrap_or_else(|| uid.to_string())
    }
}

fn command(files: &Files, pid: u64, stat: &Stat, buffer: &mut Vec<u8>) -> Command {
    let path = format!("proc/{pid}/cmdline");
    match stat.is_kernel_thread() {
        true => Command::default(),
        false => Command::parse(files.volatile(&path, buffer), &stat.name),
    }
}

fn booted_at(stat: &str) -> Option<DateTime<Utc>> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    DateTime::from_timestamp(seconds.trim().parse().ok()?, 0)
}

fn after_boot(stat: &Stat) -> Option<chrono::TimeDelta> {
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let ms = u128::from(stat.started_ticks) * 1_000 / u128::from(ticks_per_second);
    chrono::TimeDelta::from_std(Duration::from_millis(u64::try_from(ms).ok()?)).ok()
}

/// `name:password:uid:…`
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut columns = line.split(':');
        let name = columns.next()?;
        let is_it = columns.nth(1)?.parse() == Ok(uid);
        is_it.then(|| name.to_owned())
    })
}
