//! A program that logs, and what rotates its files.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::plan::FilePlan;
use super::steps::{Banner, FileStep, Names};

/// A step that needs everything stored is left out after so long without it.
const STORED_WITHIN: Duration = Duration::from_secs(3);

pub(super) const POISON: &str = "poison";

/// Whether all these lines were stored within the time.
pub(super) type AreStored<'a> = &'a (dyn Fn(&[String], Duration) -> bool + Sync);

/// How often each banner was written so far, by any writer: only when all are stored, a certain one is.
#[derive(Debug, Default)]
pub(super) struct Banners(Mutex<HashMap<String, usize>>);

impl Banners {
    /// How often the line must be stored to be stored for sure.
    pub(super) fn written(&self, line: &str) -> usize {
        self.0.lock().unwrap().get(line).copied().unwrap_or(1)
    }

    fn add(&self, line: &str) {
        *self.0.lock().unwrap().entry(line.to_owned()).or_default() += 1;
    }
}

pub(super) struct Writer<'a> {
    plan: &'a FilePlan,
    banners: &'a Banners,
    folder: PathBuf,
    file: File,
    dice: StdRng,
    has_poison: bool,
    /// Of the files rotated so far.
    rotations: u32,
    /// Every line that was written, as its document must show it.
    pub(super) lines: Vec<String>,
    /// From which of them on the present file has them.
    begins_at: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        plan: &'a FilePlan,
        banners: &'a Banners,
        folder: &Path,
        seed: u64,
        has_poison: bool,
    ) -> Self {
        let folder = folder.join("logs");
        let file = open(&folder.join(plan.name));
        let mut writer = Self {
            plan,
            banners,
            folder,
            file,
            dice: StdRng::seed_from_u64(seed),
            has_poison,
            rotations: 0,
            lines: Vec::new(),
            begins_at: 0,
        };
        writer.greet();
        writer
    }

    pub(super) fn run(&mut self, are_stored: AreStored) {
        for (pause, step) in &self.plan.steps {
            sleep(*pause);
            self.step(step, are_stored);
        }
        // A banner alone is in the eye of nobody another file.
        self.write_line(40);
    }

    pub(super) fn write_line(&mut self, line_bytes: usize) {
        let line = self.next_line(line_bytes);
        self.put(&line);
    }

    fn step(&mut self, step: &FileStep, are_stored: AreStored) {
        match *step {
            FileStep::Write { lines, line_bytes } => {
                let lines: Vec<u8> = (0..lines)
                    .flat_map(|_| self.next_record(line_bytes))
                    .collect();
                self.put(&lines);
            }
            FileStep::Trickle { lines, pause } => {
                for _ in 0..lines {
                    let line = self.next_line(60);
                    for piece in line.chunks(25) {
                        self.put(piece);
                        sleep(pause / 4);
                    }
                }
            }
            FileStep::Halves { pause } => {
                let line = self.next_line(80);
                self.put_in_halves(&line, || sleep(pause));
            }
            FileStep::Rename {
                gap,
                late_lines,
                in_a_line,
            } => {
                let (from, to) = (self.path(), self.make_room());
                let rename = || fs::rename(from, to).unwrap();
                match in_a_line {
                    true => {
                        let line = self.next_line(80);
                        self.put_in_halves(&line, rename);
                    }
                    false => rename(),
                }
                (0..late_lines).for_each(|_| self.write_line(50));
                sleep(gap);
                self.open_anew();
            }
            FileStep::CopyTruncate { piece_bytes, pause } => {
                let to = self.make_room();
                copy(&self.path(), &to, piece_bytes, pause);
                self.file.set_len(0).unwrap();
                self.begins_at = self.lines.len();
            }
            FileStep::Pack { age, pause } => self.pack(age, pause),
            FileStep::Recreate => {
                if are_stored(&self.lines[self.begins_at..], STORED_WITHIN) {
                    fs::remove_file(self.path()).unwrap();
                    self.open_anew();
                }
            }
            FileStep::Truncate => {
                // Without a line of its own, nobody could tell the contents before from those after.
                let own = self.lines.len() - self.begins_at;
                if own > 1 && are_stored(&self.lines[self.begins_at..], STORED_WITHIN) {
                    self.file.set_len(0).unwrap();
                    self.begins_at = self.lines.len();
                }
            }
            FileStep::Touch { seconds } => {
                let by = Duration::from_secs(seconds.unsigned_abs());
                let time = match seconds < 0 {
                    true => now() - by,
                    false => now() + by,
                };
                self.file.set_modified(time).unwrap();
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(self.plan.name)
    }

    fn open_anew(&mut self) {
        self.file = open(&self.path());
        self.begins_at = self.lines.len();
        self.greet();
    }

    fn greet(&mut self) {
        let banner = match self.plan.banner {
            Banner::None => return,
            Banner::Own => format!("=== {} was opened", self.plan.name),
            Banner::Common => "=== log was opened".to_owned(),
        };
        self.banners.add(&banner);
        self.lines.push(banner.clone());
        self.put(format!("{banner}\n").as_bytes());
        if self.dice.random() {
            sleep(Duration::from_millis(self.dice.random_range(0..1_500)));
        }
        // Two rotated files with a banner and nothing else are the same file to anybody who looks.
        self.write_line(30);
    }

    /// Makes way for the file that is rotated now, and says where it goes.
    fn make_room(&mut self) -> PathBuf {
        self.rotations += 1;
        if self.plan.names == Names::Numbered {
            for age in (1..self.rotations).rev() {
                let (from, to) = (self.rotated(age - 1), self.rotated(age));
                match from.exists() {
                    true => fs::rename(from, to).unwrap(),
                    false => fs::rename(packed(&from), packed(&to)).unwrap(),
                }
            }
        }
        self.rotated(0)
    }

    /// The file rotated last has the age 0, the one before 1.
    fn rotated(&self, age: u32) -> PathBuf {
        let name = self.plan.name;
        let number = self.rotations - age;
        match self.plan.names {
            Names::Numbered => self.folder.join(format!("{name}.{}", age + 1)),
            Names::Dated => self.folder.join(format!("{name}-{}", 20_261_100 + number)),
            Names::Moved => self.folder.join("old").join(format!("{name}.{number}")),
        }
    }

    fn pack(&self, age: u32, pause: Duration) {
        if age >= self.rotations || !self.rotated(age).exists() {
            return;
        }
        let from = self.rotated(age);
        let bytes = fs::read(&from).unwrap();
        let written_at = fs::metadata(&from).unwrap().modified().unwrap();
        let mut encoder = GzEncoder::new(
            File::create_new(packed(&from)).unwrap(),
            Compression::fast(),
        );
        let (first, second) = bytes.split_at(bytes.len() / 2);
        encoder.write_all(first).unwrap();
        sleep(pause);
        encoder.write_all(second).unwrap();
        encoder.finish().unwrap().set_modified(written_at).unwrap();
        fs::remove_file(from).unwrap();
    }

    /// A line like no other, and notes what its document must say.
    fn next_line(&mut self, line_bytes: usize) -> Vec<u8> {
        let number = self.lines.len();
        let time = match self.dice.random() {
            true => "2026-11-21T10:11:12.131Z INFO ",
            false => "",
        };
        let mut line = format!("{time}{}-{number:06}", self.plan.name).into_bytes();
        if self.has_poison && self.dice.random_ratio(1, 200) {
            line.extend_from_slice(format!(" {POISON}").as_bytes());
        }
        line.push(b' ');
        line.extend((0..line_bytes).map(|_| self.dice.random_range(b'a'..=b'z')));
        if self.plan.has_odd_bytes && self.dice.random_ratio(1, 4) {
            line.extend_from_slice(b" \xff\xfe \xc3\xa9\xe2\x82 x");
        }
        line.push(b'.');
        self.lines.push(String::from_utf8_lossy(&line).into_owned());
        let end: &[u8] = match self.plan.ends_lines_with_crlf {
            true => b"\r\n",
            false => b"\n",
        };
        line.extend_from_slice(end);
        line
    }

    /// A line, and perhaps those that continue it.
    fn next_record(&mut self, line_bytes: usize) -> Vec<u8> {
        let mut record = self.next_line(line_bytes);
        if self.plan.has_stacks && self.dice.random_ratio(1, 4) {
            let frames =
                (0..self.dice.random_range(1..6)).map(|frame| format!("  at frame {frame}\n"));
            let stack: String = frames.collect();
            record.extend_from_slice(stack.as_bytes());
            if let Some(line) = self.lines.last_mut() {
                line.push('\n');
                line.push_str(stack.trim_end());
            }
        }
        record
    }

    fn put_in_halves(&mut self, line: &[u8], between: impl FnOnce()) {
        let (first, second) = line.split_at(self.dice.random_range(0..line.len()));
        self.put(first);
        between();
        self.put(second);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).unwrap();
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}

fn packed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

fn copy(from: &Path, to: &Path, piece_bytes: usize, pause: Duration) {
    let mut bytes = Vec::new();
    File::open(from).unwrap().read_to_end(&mut bytes).unwrap();
    let mut copy = File::create_new(to).unwrap();
    // Many small pieces would take the schedule's time: then only the first ones are small.
    for piece in bytes.chunks(piece_bytes.max(bytes.len() / 20)) {
        sleep(pause);
        copy.write_all(piece).unwrap();
    }
}

#[allow(clippy::disallowed_methods)]
fn now() -> SystemTime {
    SystemTime::now()
}
