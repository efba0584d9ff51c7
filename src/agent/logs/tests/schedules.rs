//! Random schedules of writing, rotation, packing, kills and slow shippers: every line arrives once, whatever the seed.
//!
//! `cargo test --lib schedules -- --ignored --nocapture` runs six hundred seeds; each step is printed before it is taken.

use std::collections::HashSet;
use std::fs::{self, File};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn lose_and_repeat_nothing() {
    for seed in 0..12 {
        Schedule::new(seed).run().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn lose_and_repeat_nothing_part_one_of_many() {
    for seed in 1_000..1_200 {
        Schedule::new(seed).run().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn lose_and_repeat_nothing_part_two_of_many() {
    for seed in 1_200..1_400 {
        Schedule::new(seed).run().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn lose_and_repeat_nothing_part_three_of_many() {
    for seed in 1_400..1_600 {
        Schedule::new(seed).run().await;
    }
}

struct Schedule {
    seed: u64,
    random: StdRng,
    rig: Rig,
    /// Files that programs write to, `NAME.log`.
    names: Vec<String>,
    /// Each program begins its files with one and the same line.
    has_banners: bool,
    /// Files that hold nothing else: two of them that were rotated would be one file to anybody who looks.
    opened: HashSet<String>,
    lines: Vec<String>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut rig = Rig::new("*.log*");
        // Some without a hint, some with fewer places than files.
        rig.is_deaf = random.random_ratio(1, 4);
        // Longer than it takes to pack a file and to be sure that it is packed.
        rig.pace.rotated = Duration::from_secs(10);
        rig.max_open = random.random_ratio(1, 3).then_some(2);
        let names = (0..random.random_range(1..4)).map(|name| format!("client{name}"));
        Self {
            seed,
            names: names.collect(),
            random,
            rig,
            has_banners: StdRng::seed_from_u64(!seed).random(),
            opened: HashSet::new(),
            lines: Vec::new(),
        }
    }

    async fn run(mut self) {
        self.rig.start();
        for step in 0..40 {
            self.step(step).await;
        }
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        self.rig.expect(&lines).await;
        let counted = self.rig.counters.tallies().counted;
        assert!(counted.is_empty(), "{counted:?}");
        self.rig.kill().await;
    }

    async fn step(&mut self, step: u32) {
        let name = self.names[self.random.random_range(0..self.names.len())].clone();
        let (log, rotated) = (format!("{name}.log"), format!("{name}.log.{step}"));
        let is_there = self.rig.path(&log).exists();
        let has_lines = is_there && !self.opened.contains(&log);
        let action = self.random.random_range(0..12);
        println!("step {step}: {action} {log}, {} lines", self.lines.len());
        match action {
            0 if has_lines => self.rig.rename(&log, &rotated),
            1 if has_lines => {
                fs::copy(self.rig.path(&log), self.rig.path(&rotated)).unwrap();
                self.rig.truncate(&log);
            }
            2 => {
                self.rig.kill().await;
                self.rig.start();
            }
            3 => {
                let is_committed = self.random.random();
                self.rig.take_what_is_there(is_committed);
            }
            4 => self.pack(&name),
            // What is acknowledged may go.
            5 if has_lines && self.rig.is_acknowledged_to_the_end(&log) => {
                fs::remove_file(self.rig.path(&log)).unwrap();
            }
            _ if self.has_banners && !is_there => {
                let banner = format!("=== {log} was opened");
                self.rig.append(&log, format!("{banner}\n"));
                self.lines.push(banner);
                self.opened.insert(log.clone());
                if self.random.random() {
                    self.write(&log);
                }
            }
            _ => self.write(&log),
        }
    }

    fn write(&mut self, log: &str) {
        self.opened.remove(log);
        let mut text = String::new();
        for _ in 0..self.random.random_range(1..30) {
            let filler = "x".repeat(self.random.random_range(0..80));
            let line = format!("seed {} line {} {filler}", self.seed, self.lines.len());
            text.push_str(&line);
            text.push('\n');
            self.lines.push(line.trim_end().to_owned());
        }
        // In pieces that end anywhere.
        let at = self.random.random_range(0..=text.len());
        self.rig.append(log, &text[..at]);
        self.rig.append(log, &text[at..]);
    }

    /// The newest rotated file that is not packed yet, as `gzip` does it: the original's time, then the original goes.
    fn pack(&mut self, name: &str) {
        let prefix = format!("{name}.log.");
        let rotated = (0..40).rev().map(|step| format!("{prefix}{step}"));
        let Some(plain) = rotated
            .into_iter()
            .find(|name| self.rig.path(name).exists())
        else {
            return;
        };
        let (from, to) = (self.rig.path(&plain), self.rig.path(&format!("{plain}.gz")));
        let written_at = fs::metadata(&from).unwrap().modified().unwrap();
        let mut encoder = GzEncoder::new(File::create(to).unwrap(), Compression::fast());
        std::io::copy(&mut File::open(&from).unwrap(), &mut encoder).unwrap();
        encoder.finish().unwrap().set_modified(written_at).unwrap();
        fs::remove_file(from).unwrap();
    }
}
