//! `[[processors]]`: what happens to an event between its collector and the outbox, in the order of the configuration.
//!
//! A processor is one file and one variant here. It works on the events its `when` holds for, before the envelope is
//! added. One that fails leaves the event as it was; the failure is counted by processor and reason. Pure: no I/O, no
//! clock, and the same event always comes to the same end.

mod add_fields;
mod cases;
mod condition;
mod convert;
mod copy;
mod decode_json;
mod dissect;
mod draft;
mod drop_event;
mod drop_fields;
mod field;
pub mod fuzz;
mod redact;
mod rename;
mod sample;
#[cfg(test)]
mod tests;
mod truncate;
mod verify;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use self::add_fields::AddFields;
pub use self::cases::check;
pub use self::condition::{Condition, Parsed, SyntaxError, parse as parse_condition};
use self::condition::{Pattern, View};
use self::convert::Convert;
use self::copy::Copy;
use self::decode_json::DecodeJson;
use self::dissect::Dissect;
use self::draft::Draft;
pub use self::draft::Failure;
use self::drop_event::DropEvent;
use self::drop_fields::DropFields;
use self::field::Target;
use self::redact::Redact;
use self::rename::Rename;
use self::sample::Sample;
use self::truncate::Truncate;
pub use self::verify::{Complaint, unknown_field, verify};
use crate::event::{DataStream, Document, Event};

/// What can be done to an event.
#[derive(Debug, Clone)]
pub enum Processor {
    AddFields(AddFields),
    DropFields(DropFields),
    Rename(Rename),
    Copy(Copy),
    Convert(Convert),
    DropEvent(DropEvent),
    Truncate(Truncate),
    Redact(Redact),
    Sample(Sample),
    DecodeJson(DecodeJson),
    Dissect(Dissect),
}

impl Processor {
    pub const KINDS: [&str; 11] = [
        "add_fields",
        "drop_fields",
        "rename",
        "copy",
        "convert",
        "drop_event",
        "truncate",
        "redact",
        "sample",
        "decode_json",
        "dissect",
    ];

    /// `type`, in configuration and counters.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddFields(_) => "add_fields",
            Self::DropFields(_) => "drop_fields",
            Self::Rename(_) => "rename",
            Self::Copy(_) => "copy",
            Self::Convert(_) => "convert",
            Self::DropEvent(_) => "drop_event",
            Self::Truncate(_) => "truncate",
            Self::Redact(_) => "redact",
            Self::Sample(_) => "sample",
            Self::DecodeJson(_) => "decode_json",
            Self::Dissect(_) => "dissect",
        }
    }

    /// Reads the keys of a kind. `None`: there is no such kind.
    pub fn read<'de, D: Deserializer<'de>>(kind: &str, keys: D) -> Option<Result<Self, D::Error>> {
        Some(match kind {
            "add_fields" => AddFields::deserialize(keys).map(Self::AddFields),
            "drop_fields" => DropFields::deserialize(keys).map(Self::DropFields),
            "rename" => Rename::deserialize(keys).map(Self::Rename),
            "copy" => Copy::deserialize(keys).map(Self::Copy),
            "convert" => Convert::deserialize(keys).map(Self::Convert),
            "drop_event" => DropEvent::deserialize(keys).map(Self::DropEvent),
            "truncate" => Truncate::deserialize(keys).map(Self::Truncate),
            "redact" => Redact::deserialize(keys).map(Self::Redact),
            "sample" => Sample::deserialize(keys).map(Self::Sample),
            "decode_json" => DecodeJson::deserialize(keys).map(Self::DecodeJson),
            "dissect" => Dissect::deserialize(keys).map(Self::Dissect),
            _ => return None,
        })
    }

    /// `number` is the processor's place in the configuration, from 1.
    fn apply(&self, draft: &mut Draft<'_>, number: usize) -> Result<Fate, Failure> {
        let changed = match self {
            Self::DropEvent(_) => return Ok(Fate::Dropped),
            Self::Sample(sample) => return Ok(sample.judge(&draft.event.id, number)),
            Self::AddFields(add) => add.apply(draft),
            Self::DropFields(drop) => {
                drop.apply(draft);
                Ok(())
            }
            Self::Rename(rename) => rename.apply(draft),
            Self::Copy(copy) => copy.apply(draft),
            Self::Convert(convert) => convert.apply(draft),
            Self::Truncate(truncate) => {
                truncate.apply(draft);
                Ok(())
            }
            Self::Redact(redact) => {
                redact.apply(draft);
                Ok(())
            }
            Self::DecodeJson(decode) => decode.apply(draft),
            Self::Dissect(dissect) => dissect.apply(draft),
        };
        changed.map(|()| Fate::Kept)
    }
}

/// Where an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kept,
    Dropped,
}

/// A processor with the events it works on.
#[derive(Debug, Clone)]
pub struct Step {
    pub processor: Processor,
    /// Absent: all events.
    pub when: Option<Condition>,
}

/// Something worth counting: what a processor did to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The processor's place in the configuration, from 1.
    pub number: usize,
    /// [`Processor::kind`]
    pub kind: &'static str,
    /// `None`: it dropped the event.
    pub failure: Option<Failure>,
}

impl Note {
    /// `dropped`, or the reason of the failure.
    pub fn outcome(&self) -> &'static str {
        self.failure.map_or("dropped", Failure::name)
    }
}

/// All processors, in order.
#[derive(Debug, Clone, Default)]
pub struct Chain(Vec<Step>);

impl Chain {
    pub fn new(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the event through the processors until one drops it. `base` is what the envelope will add: conditions and
    /// copies see it. `note` hears of drops and failures.
    pub fn apply(&self, event: &mut Event, base: &Document, mut note: impl FnMut(Note)) -> Fate {
        for (index, Step { processor, when }) in self.0.iter().enumerate() {
            let view = View {
                stream: name_of(event.stream),
                document: &event.document,
                base,
            };
            if when.as_ref().is_some_and(|when| !when.holds(view)) {
                continue;
            }
            let number = index + 1;
            let kind = processor.kind();
            match processor.apply(&mut Draft { event, base }, number) {
                Ok(Fate::Kept) => {}
                Ok(Fate::Dropped) => {
                    note(Note {
                        number,
                        kind,
                        failure: None,
                    });
                    return Fate::Dropped;
                }
                Err(failure) => note(Note {
                    number,
                    kind,
                    failure: Some(failure),
                }),
            }
        }
        Fate::Kept
    }
}

/// `logs-ethereum.client` as a value that conditions can test.
fn name_of(stream: DataStream) -> &'static Value {
    static NAMES: LazyLock<BTreeMap<DataStream, Value>> = LazyLock::new(|| {
        let names = DataStream::ALL.map(|stream| (stream, Value::from(stream.prefix())));
        names.into()
    });
    NAMES.get(&stream).unwrap_or(&Value::Null)
}
