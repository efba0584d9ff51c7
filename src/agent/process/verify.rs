//! What is wrong with a processor before any event has come: fields that no stream has, conditions that hold for none.
//! Pure.

use serde_json::{Map, Value};

use super::condition::{STREAM, Test};
use super::field::{self, Field};
use super::{Condition, Parsed, Processor, Target, name_of};
use crate::event::DataStream;
use crate::setup::{self, Misfit};

/// The streams an agent writes.
const STREAMS: [DataStream; 25] = [
    DataStream::BeaconEvent,
    DataStream::Block,
    DataStream::Node,
    DataStream::Slot,
    DataStream::Attestation,
    DataStream::Participation,
    DataStream::Execution,
    DataStream::ClientLog,
    DataStream::SystemCpu,
    DataStream::SystemLoad,
    DataStream::SystemMemory,
    DataStream::SystemNetwork,
    DataStream::SystemFilesystem,
    DataStream::SystemDiskio,
    DataStream::SystemProcessSummary,
    DataStream::SystemCore,
    DataStream::SystemNetworkSummary,
    DataStream::SystemFsstat,
    DataStream::SystemProcess,
    DataStream::SystemSocketSummary,
    DataStream::SystemUptime,
    DataStream::SystemUsers,
    DataStream::SystemService,
    DataStream::SystemRaid,
    DataStream::AgentReport,
];

/// What is wrong, and under which key of the processor: `["fields", "1"]` is the second of the list `fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub keys: Vec<String>,
    pub message: String,
}

fn complain(keys: &[&str], message: String) -> Result<(), Complaint> {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Err(Complaint { keys, message })
}

/// The first field of a condition that no stream has, with the bytes before it.
pub fn unknown_field(parsed: &Parsed) -> Option<(usize, String)> {
    let is_known = |field: &Field| {
        field.as_str() == STREAM || STREAMS.iter().any(|s| setup::knows(*s, field.as_str()))
    };
    let unknown = parsed.fields.iter().find(|(_, field)| !is_known(field));
    unknown.map(|(at, field)| {
        (
            *at,
            format!("no data stream has a field {}", field.as_str()),
        )
    })
}

/// Whether the processor can do what it says on the streams that its condition leaves.
pub fn verify(processor: &Processor, when: Option<&Condition>) -> Result<(), Complaint> {
    let may_hold = |stream: &DataStream| {
        when.is_none_or(|when| {
            when.decide(&|field, test| decided(*stream, field, test)) != Some(false)
        })
    };
    let streams: Vec<DataStream> = STREAMS.into_iter().filter(may_hold).collect();
    if streams.is_empty() {
        return complain(&["when"], "this holds for no data stream".into());
    }
    match processor {
        Processor::DropEvent(_) => match when {
            None => complain(
                &[],
                "drop_event without `when` would drop everything".into(),
            ),
            Some(_) => Ok(()),
        },
        Processor::Sample(_) => Ok(()),
        Processor::AddFields(add) => add.fields().iter().try_for_each(|(target, value)| {
            let path = target.as_str();
            let misfit = |stream: &DataStream| setup::accepts(*stream, path, value).err();
            match streams
                .iter()
                .find_map(|stream| Some((stream, misfit(stream)?)))
            {
                None => Ok(()),
                Some((stream, Misfit::Unknown)) => {
                    complain(&["fields"], no_such_field(*stream, path))
                }
                Some((stream, Misfit::WrongType)) => {
                    let message = format!(
                        "{} has {path} with a type that {value} is not",
                        stream.prefix()
                    );
                    complain(&["fields"], message)
                }
            }
        }),
        Processor::DropFields(drop) => all_known(&streams, &drop.fields),
        Processor::Truncate(truncate) => {
            all_known(&streams, &truncate.fields)?;
            all_text(&streams, &truncate.fields)
        }
        Processor::Redact(redact) => {
            let Some(pattern) = &redact.pattern else {
                return match redact.fields.is_empty() {
                    true => complain(&[], "redact needs a `pattern`, `fields` or both".into()),
                    false => all_known(&streams, &redact.fields),
                };
            };
            if pattern.regex().is_match("") {
                return complain(
                    &["pattern"],
                    "a pattern that matches nothing at all matches everywhere".into(),
                );
            }
            if pattern.regex().is_match(&redact.replacement) {
                return complain(
                    &["replacement"],
                    "the pattern matches the replacement".into(),
                );
            }
            all_known(&streams, &redact.fields)
        }
        Processor::Rename(rename) => {
            let (from, to) = (rename.from.as_str(), rename.to.as_str());
            apart(from, to)?;
            moves(&streams, ("from", from), &[("to", to.to_owned())])
        }
        Processor::Copy(copy) => {
            let (from, to) = (copy.from.as_str(), copy.to.as_str());
            apart(from, to)?;
            moves(&streams, ("from", from), &[("to", to.to_owned())])
        }
        Processor::Convert(convert) => {
            let field = convert.field();
            let to = convert.to.as_ref().unwrap_or(field).as_str().to_owned();
            moves(&streams, ("field", field.as_str()), &[("to", to)])
        }
        Processor::DecodeJson(decode) => {
            let to = decode.to.iter().map(|to| ("to", to.as_str().to_owned()));
            moves(
                &streams,
                ("field", decode.field.as_str()),
                &to.collect::<Vec<_>>(),
            )
        }
        Processor::Dissect(dissect) => {
            for name in dissect.pattern.names() {
                let target = Field::try_from(dissect.path(name)).and_then(Target::try_from);
                if let Err(reason) = target {
                    return complain(&["pattern"], reason);
                }
            }
            let names = dissect.pattern.names();
            let to = names.map(|name| ("pattern", dissect.path(name)));
            moves(
                &streams,
                ("field", dissect.field.as_str()),
                &to.collect::<Vec<_>>(),
            )
        }
    }
}

/// What a test comes to for all events of a stream, where the stream alone decides it.
fn decided(stream: DataStream, field: &Field, test: &Test) -> Option<bool> {
    let own = match field.as_str() {
        STREAM => return Some(test.holds(name_of(stream))),
        "data_stream.type" => stream.kind(),
        "data_stream.dataset" | "event.dataset" => stream.dataset(),
        "event.module" => stream.module(),
        "agent.type" => "ethmon",
        unknown if !setup::knows(stream, unknown) => return Some(false),
        _ => return None,
    };
    Some(test.holds(&Value::from(own)))
}

fn all_known(streams: &[DataStream], fields: &[Target]) -> Result<(), Complaint> {
    for (index, target) in fields.iter().enumerate() {
        let path = target.as_str();
        if !streams.iter().any(|stream| setup::knows(*stream, path)) {
            return complain(&["fields", &index.to_string()], nobody_has(path));
        }
    }
    Ok(())
}

/// A date or an address that was cut would be none.
fn all_text(streams: &[DataStream], fields: &[Target]) -> Result<(), Complaint> {
    let takes = |stream: &DataStream, path: &str| {
        let examples = [Value::from("text"), Value::Object(Map::new())];
        let mut fitting = examples
            .iter()
            .map(|value| setup::accepts(*stream, path, value));
        !setup::knows(*stream, path) || fitting.any(|fits| fits.is_ok())
    };
    for (index, target) in fields.iter().enumerate() {
        let path = target.as_str();
        if let Some(stream) = streams.iter().find(|stream| !takes(stream, path)) {
            let message = format!("{} has no text in {path}", stream.prefix());
            return complain(&["fields", &index.to_string()], message);
        }
    }
    Ok(())
}

fn apart(from: &str, to: &str) -> Result<(), Complaint> {
    match field::overlap(from, to) {
        true => complain(&["to"], format!("{to} and {from} lie within each other")),
        false => Ok(()),
    }
}

/// From a field that some of the streams have, to fields that those have. A label, or what else lies in a flattened
/// field, is perhaps on the documents of some streams alone: one of them has to have the other field.
fn moves(
    streams: &[DataStream],
    (from_key, from): (&str, &str),
    to: &[(&str, String)],
) -> Result<(), Complaint> {
    let has_it = |stream: &&DataStream| setup::knows(**stream, from);
    let sources: Vec<&DataStream> = streams.iter().filter(has_it).collect();
    if sources.is_empty() {
        return complain(&[from_key], nobody_has(from));
    }
    for (key, path) in to {
        let lacks = |stream: &&DataStream| !setup::knows(**stream, path);
        let surely = |stream: &&DataStream| lacks(stream) && !setup::leaves_open(**stream, from);
        let mut candidates = sources.iter().copied();
        let lacking = match sources.iter().all(lacks) {
            true => candidates.next(),
            false => candidates.find(surely),
        };
        if let Some(stream) = lacking {
            return complain(&[key], no_such_field(*stream, path));
        }
    }
    Ok(())
}

fn nobody_has(path: &str) -> String {
    format!("no data stream that `when` leaves has a field {path}")
}

fn no_such_field(stream: DataStream, path: &str) -> String {
    format!(
        "{} has no field {path}: use one under labels, or a `when` that leaves this stream out",
        stream.prefix()
    )
}
