//! `ethmon setup`: templates, lifecycle, state indices and roles, installed so that a second run changes nothing.

mod check_output;
mod compare;
mod format;
mod install;
mod mapping;
mod objects;
mod streams;
#[cfg(test)]
mod tests;

use std::io::Write;

use anyhow::Context;
use serde_json::Value;

pub use self::check_output::check_output;
pub use self::compare::Difference;
pub use self::format::pretty;
pub use self::install::Outcome;
#[cfg(test)]
pub(crate) use self::mapping::assert_accepted;
pub use self::mapping::{Fields, Misfit, accepts, fields, knows, leaves_open, template_accepts};
pub use self::objects::{Kind, Object, Part, all};
use crate::elastic::Client;
use crate::event::DataStream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Apply,
    /// Writes nothing; what is missing or differs makes the run fail.
    Check,
}

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub mode: Mode,
    /// Everything where `None`.
    pub only: Option<Part>,
}

impl Options {
    fn includes(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// Brings the server to the state of the shipped objects, or compares it, and writes one line per object. Returns whether it is
/// now in that state. `Err`: the server can't be reached or does not know us.
pub async fn run(
    client: &Client,
    options: &Options,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let mut good = true;
    for object in all()? {
        if options.only.is_none_or(|part| object.belongs_to(part)) {
            let outcome = install::install(client, &object, options.mode).await?;
            good &= outcome.is_good();
            write_line(out, object.kind.name(), &object.name, &outcome)?;
        }
    }
    if options.includes(Part::Templates) {
        for stream in DataStream::ALL {
            let outcomes = streams::update_all(client, stream, options.mode).await?;
            for (name, outcome) in &outcomes {
                good &= outcome.is_good();
                write_line(out, "data stream", name, outcome)?;
            }
            // What holds for one kind of stream holds for all.
            if outcomes
                .iter()
                .any(|(_, outcome)| matches!(outcome, Outcome::LeftOut(_)))
            {
                break;
            }
        }
    }
    if options.includes(Part::Lifecycle) {
        let outcome = streams::lifecycle(client).await?;
        good &= outcome.is_good();
        write_line(out, "lifecycle", "retention", &outcome)?;
    }
    Ok(good)
}

/// `--print`: every object with the request that would install it.
pub fn print(only: Option<Part>, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    for object in all()? {
        if only.is_none_or(|part| object.belongs_to(part)) {
            writeln!(
                out,
                "PUT {}\n{}",
                install::path(&object),
                pretty(&object.body)
            )?;
        }
    }
    Ok(())
}

/// What the templates of a stream say about how long its data is kept.
fn retention(stream: DataStream) -> anyhow::Result<Option<Value>> {
    let (name, text) = objects::stream_template(stream);
    let template: Value =
        serde_json::from_str(text).with_context(|| format!("cannot read {name}.json"))?;
    let composed = template["composed_of"].as_array().into_iter().flatten();
    for component in composed.filter_map(Value::as_str) {
        if let Some((_, text)) = objects::COMPONENTS
            .iter()
            .find(|(name, _)| *name == component)
        {
            let component: Value = serde_json::from_str(text)?;
            if let Some(retention) = component.pointer("/template/lifecycle/data_retention") {
                return Ok(Some(retention.clone()));
            }
        }
    }
    Ok(None)
}

fn write_line(
    out: &mut (dyn Write + Send),
    kind: &str,
    name: &str,
    outcome: &Outcome,
) -> std::io::Result<()> {
    let (word, reason, differences): (_, _, &[Difference]) = match outcome {
        Outcome::Created => ("created", None, &[]),
        Outcome::Updated(differences) => ("updated", None, differences),
        Outcome::Unchanged => ("unchanged", None, &[]),
        Outcome::Missing => ("missing", None, &[]),
        Outcome::Differs(differences) => ("differs", None, differences),
        Outcome::Failed(reason) => ("failed", Some(reason), &[]),
        Outcome::LeftOut(reason) => ("left out", Some(reason), &[]),
    };
    write!(out, "{word:<9}  {kind:<18}  {name}")?;
    if let Some(reason) = reason {
        write!(out, ": {reason}")?;
    }
    writeln!(out)?;
    for difference in differences {
        writeln!(out, "    {difference}")?;
    }
    Ok(())
}
