//! What must hold for any bytes of a recording. See [`crate::fuzz`].

use chrono::{DateTime, TimeDelta, Utc};

use super::blocks;
use super::clock;
use super::rest::{Answer, Told};
use super::stamp::{self, Line};
use super::stream::{self, Stream};
use super::votes::Votes;
use crate::slot::ChainSpec;

/// A recording's bytes are a stream, answers, blocks or a configuration, as the first byte says: each line is used or
/// wrong for a reason, and says the same whatever line ends it has.
pub fn recording(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    match kind % 4 {
        0 => stream_of(&lines),
        1 => answers(&lines),
        2 => {
            let block = blocks::read_ssz(bytes);
            assert!(
                block.is_none_or(|block| block.contents.size_bytes == Some(bytes.len() as u64))
            );
            let text = String::from_utf8_lossy(bytes);
            assert!(clock::config(&text).is_object());
        }
        _ => {
            for line in lines {
                let named = blocks::read_line(line);
                let told = Told::of_body(line);
                assert!(named.is_none() || told.is_ok(), "a block that is no JSON");
            }
        }
    }
}

fn stream_of(lines: &[&[u8]]) {
    let spec = ChainSpec::example();
    let mut stream = Stream::default();
    let mut votes = Votes::default();
    let (mut timed, mut untimed) = (0, 0);
    for line in lines {
        let stamped = stamp::read(line);
        if let Some(Line::At(at, rest)) = &stamped {
            // Written another way it is the same line.
            let again = [at.to_rfc3339().as_bytes(), b"\t", rest].concat();
            assert_eq!(stamp::read(&again), Some(Line::At(*at, rest)));
        }
        let Ok(Some((at, told))) = stream.push(line) else {
            continue;
        };
        assert!(stamped.is_some(), "an event from a line that is none");
        match at {
            Some(_) => timed += 1,
            None => untimed += 1,
        }
        match told {
            stream::Told::Vote(vote) => {
                votes.take(
                    &vote,
                    at.unwrap_or_else(|| spec.slot_start(vote.slot)),
                    &spec,
                );
            }
            stream::Told::Event(event) => {
                let facts = stream::facts(&event, at, &spec).unwrap_or_default();
                assert!(facts.len() <= 2, "more than a sighting and a head");
            }
        }
    }
    assert!(
        timed == 0 || untimed == 0,
        "a stream with times and without"
    );
    for (at, _) in votes.facts() {
        assert!(at < DateTime::<Utc>::MAX_UTC - TimeDelta::days(1));
    }
}

fn answers(lines: &[&[u8]]) {
    for line in lines {
        let Ok(answer) = Answer::parse(line) else {
            continue;
        };
        let told = answer.told();
        assert_eq!(answer.told(), told, "read another way the second time");
        let told = told.unwrap_or_default();
        assert!(told.unnamed.is_none() || told.facts.is_empty());
    }
}
