//! What happens in one schedule, drawn from its seed. Pure.

use std::fmt::{self, Debug};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::steps::{AgentStep, Banner, FileStep, Names, SkyStep};
use crate::server::fault::{Kind, Weather};

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) hosts: usize,
    pub(super) request_timeout: Duration,
    pub(super) is_compressed: bool,
    /// A larger body is answered 413.
    pub(super) max_body_bytes: usize,
    /// Some lines make documents that Elasticsearch refuses.
    pub(super) has_poison: bool,
    pub(super) files: Vec<FilePlan>,
    /// Each after a pause.
    pub(super) agent: Vec<(Duration, AgentStep)>,
    pub(super) sky: Vec<(Duration, SkyStep)>,
}

#[derive(Debug)]
pub(super) struct FilePlan {
    pub(super) name: &'static str,
    pub(super) names: Names,
    pub(super) banner: Banner,
    pub(super) has_odd_bytes: bool,
    pub(super) ends_lines_with_crlf: bool,
    /// Some lines are followed by those of a stack, in one write.
    pub(super) has_stacks: bool,
    pub(super) steps: Vec<(Duration, FileStep)>,
}

/// Names that are alike, and one that isn't.
const NAMES: [&str; 4] = ["node.log", "node-errors.log", "node2.log", "beacon.log"];

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let dice = &mut StdRng::seed_from_u64(seed);
        let length = Duration::from_millis(dice.random_range(4_000..12_000));
        let request_timeout = Duration::from_secs(dice.random_range(1..4));
        let has_poison = dice.random_ratio(1, 5);
        let hosts = dice.random_range(1..3);
        let mut names = NAMES.to_vec();
        let files = (0..dice.random_range(1..=NAMES.len()))
            .map(|_| {
                let name = names.swap_remove(dice.random_range(0..names.len()));
                file(dice, name, length, has_poison)
            })
            .collect();
        Self {
            seed,
            hosts,
            request_timeout,
            is_compressed: dice.random_ratio(3, 4),
            max_body_bytes: *[200_000, 400_000, 1 << 20, 100 << 20].choose(dice).unwrap(),
            has_poison,
            files,
            agent: timed(dice, length, 1_500, agent_step),
            sky: timed(dice, length, 1_200, |dice| sky_step(dice, hosts)),
        }
    }
}

/// Steps with pauses of up to `longest_ms` before each, until the time is over.
fn timed<T>(
    dice: &mut StdRng,
    length: Duration,
    longest_ms: u64,
    mut step: impl FnMut(&mut StdRng) -> T,
) -> Vec<(Duration, T)> {
    let mut steps = Vec::new();
    let mut spent = Duration::ZERO;
    loop {
        let pause = Duration::from_millis(dice.random_range(0..longest_ms));
        spent += pause;
        if spent > length {
            return steps;
        }
        steps.push((pause, step(dice)));
    }
}

fn file(dice: &mut StdRng, name: &'static str, length: Duration, has_poison: bool) -> FilePlan {
    let is_busy = dice.random();
    let ends_lines_with_crlf = dice.random_ratio(1, 5);
    FilePlan {
        name,
        names: *[Names::Numbered, Names::Dated, Names::Moved]
            .choose(dice)
            .unwrap(),
        banner: *[Banner::None, Banner::None, Banner::Own, Banner::Common]
            .choose(dice)
            .unwrap(),
        has_odd_bytes: dice.random_ratio(1, 3),
        ends_lines_with_crlf,
        has_stacks: !ends_lines_with_crlf && dice.random_ratio(1, 3),
        steps: timed(dice, length, if is_busy { 250 } else { 900 }, |dice| {
            file_step(dice, has_poison)
        }),
    }
}

fn file_step(dice: &mut StdRng, has_poison: bool) -> FileStep {
    let pause =
        |dice: &mut StdRng, longest_ms| Duration::from_millis(dice.random_range(0..longest_ms));
    match dice.random_range(0..22) {
        0..6 => FileStep::Write {
            lines: *[1, 2, 10, 100, 100, 500, 2_000].choose(dice).unwrap(),
            line_bytes: *[0, 10, 80, 80, 80, 300].choose(dice).unwrap(),
        },
        6 => FileStep::Write {
            lines: 3,
            line_bytes: dice.random_range(2_000..60_000),
        },
        7..10 => FileStep::Trickle {
            lines: dice.random_range(1..20),
            pause: pause(dice, 40),
        },
        10..12 => FileStep::Halves {
            pause: pause(dice, 600),
        },
        12..15 => FileStep::Rename {
            gap: if dice.random() {
                pause(dice, 400)
            } else {
                Duration::ZERO
            },
            late_lines: *[0, 0, 1, 50].choose(dice).unwrap(),
            in_a_line: dice.random_ratio(1, 4),
        },
        15..17 => FileStep::CopyTruncate {
            piece_bytes: *[100, 4096, 1 << 20].choose(dice).unwrap(),
            pause: if dice.random() {
                pause(dice, 60)
            } else {
                Duration::ZERO
            },
        },
        17..19 => FileStep::Pack {
            age: dice.random_range(0..3),
            pause: pause(dice, 300),
        },
        // What was deleted before it was shipped is lost: these wait until all is stored, which poison never is.
        19 if !has_poison => FileStep::Recreate,
        20 if !has_poison => FileStep::Truncate,
        _ => FileStep::Touch {
            seconds: dice.random_range(-100_000..100_000),
        },
    }
}

fn agent_step(dice: &mut StdRng) -> AgentStep {
    let down = Duration::from_millis(*[0, 0, 100, 500, 1_500, 3_000].choose(dice).unwrap());
    match dice.random_range(0..13) {
        0..4 => AgentStep::Kill { down },
        4..6 => AgentStep::KillUnanswered { down },
        6 => AgentStep::Stop { down },
        7..9 => AgentStep::Freeze(Duration::from_millis(dice.random_range(50..4_000))),
        9 => AgentStep::Reload,
        _ => AgentStep::SetClock {
            seconds: *[0, 1, -1, 3, 3_600, -3_600, 86_400, -86_400, 40_000_000]
                .choose(dice)
                .unwrap(),
        },
    }
}

fn sky_step(dice: &mut StdRng, hosts: usize) -> SkyStep {
    match dice.random_range(0..20) {
        0..3 => SkyStep::Down {
            host: dice.random_range(0..hosts),
            for_: Duration::from_millis(dice.random_range(50..2_500)),
        },
        3 => SkyStep::Rollover,
        4..7 => SkyStep::Weather(Weather::default()),
        _ => SkyStep::Weather(weather(dice)),
    }
}

fn weather(dice: &mut StdRng) -> Weather {
    let mut kinds: Vec<Kind> = Kind::QUICK.choose_multiple(dice, 3).copied().collect();
    // These cost the schedule up to a minute each.
    if dice.random_ratio(1, 25) {
        kinds = vec![
            *[Kind::ItemsBlocked, Kind::Unauthorized]
                .choose(dice)
                .unwrap(),
        ];
    }
    Weather {
        share: *[0.05, 0.2, 0.5, 1.0].choose(dice).unwrap(),
        kinds,
    }
}

/// A step a line.
impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            hosts,
            request_timeout,
            is_compressed,
            max_body_bytes,
            has_poison,
            files,
            agent,
            sky,
        } = self;
        writeln!(
            out,
            "seed {seed}: {hosts} hosts, request timeout {request_timeout:?}, compressed {is_compressed}, body limit {max_body_bytes}, poison {has_poison}"
        )?;
        for file in files {
            let (names, banner) = (file.names, file.banner);
            let (odd, crlf) = (file.has_odd_bytes, file.ends_lines_with_crlf);
            let stacks = file.has_stacks;
            writeln!(
                out,
                "{}: rotated {names:?}, banner {banner:?}, odd bytes {odd}, CRLF {crlf}, stacks {stacks}",
                file.name
            )?;
            write_steps(out, &file.steps)?;
        }
        writeln!(out, "agent:")?;
        write_steps(out, agent)?;
        writeln!(out, "server:")?;
        write_steps(out, sky)
    }
}

fn write_steps(out: &mut fmt::Formatter<'_>, steps: &[(Duration, impl Debug)]) -> fmt::Result {
    let mut at = Duration::ZERO;
    for (pause, step) in steps {
        at += *pause;
        writeln!(out, "  from {:>5} ms  {step:?}", at.as_millis())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_plan_again_and_another_one_another() {
        let plan = |seed| Plan::draw(seed).to_string();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }
}
