//! A bulk body, cut into actions as Elasticsearch cuts it: one mistake in the framing refuses all of it. Pure.

use serde_json::{Map, Value};

use super::error::{Error, illegal_argument, json_kind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Index,
    Delete,
    Update,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Delete => "delete",
            Self::Update => "update",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Create, Self::Index, Self::Delete, Self::Update]
            .into_iter()
            .find(|op| op.name() == name)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Action<'a> {
    pub(crate) op: Op,
    pub(crate) index: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) pipeline: Option<String>,
    pub(crate) has_routing: bool,
    has_version: bool,
    /// The document's line.
    pub(crate) source: &'a [u8],
}

const LONGEST_ID: usize = 512;

/// How the request asks for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) requires_data_stream: bool,
    /// The real server overlooks that a compressed body lacks its last newline, and with it the unfinished line.
    pub(crate) is_compressed: bool,
}

/// All actions, or why the request is refused.
pub(crate) fn parse(body: &[u8], manner: Manner) -> Result<Vec<Action<'_>>, Error> {
    let is_unfinished = manner.is_compressed && !body.contains(&b'\n');
    if body.is_empty() || is_unfinished {
        return Err(Error::new(
            400,
            "parse_exception",
            "request body is required",
        ));
    }
    let mut actions = Vec::new();
    let mut lines = Lines {
        rest: body,
        number: 0,
        may_end_anywhere: manner.is_compressed,
    };
    while let Some(line) = lines.next()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut action = parse_action(line, lines.number)?;
        if action.op == Op::Update && manner.requires_data_stream {
            return Err(illegal_argument(
                "Update requests do not support the `require_data_stream` flag, as data streams do not support update operations",
            ));
        }
        if action.op != Op::Delete {
            // An action without its document, at the end, is as if it were not there.
            let Some(source) = lines.next()? else { break };
            action.source = source;
        }
        actions.push(action);
    }
    validate(&actions)?;
    Ok(actions)
}

struct Lines<'a> {
    rest: &'a [u8],
    /// Of the line that was given last, from 1.
    number: usize,
    may_end_anywhere: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a [u8]>, Error> {
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return match self.rest {
                [] => Ok(None),
                _ if self.may_end_anywhere => Ok(None),
                _ => Err(illegal_argument(
                    "The bulk request must be terminated by a newline [\\n]",
                )),
            };
        };
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        self.number += 1;
        Ok(Some(line))
    }
}

fn parse_action(line: &[u8], number: usize) -> Result<Action<'static>, Error> {
    let malformed = |what: String| {
        illegal_argument(format!("Malformed action/metadata line [{number}], {what}"))
    };
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| Error::new(400, json_kind(&error), error.to_string()))?;
    let Value::Object(object) = value else {
        return Err(malformed(format!(
            "expected START_OBJECT but found [{}]",
            token(&value)
        )));
    };
    let Some((name, metadata)) = object.iter().next() else {
        return Err(malformed(
            "expected FIELD_NAME but found [END_OBJECT]".into(),
        ));
    };
    let Some(op) = Op::of(name) else {
        return Err(malformed(format!(
            "expected field [create], [delete], [index] or [update] but found [{name}]"
        )));
    };
    let Value::Object(metadata) = metadata else {
        return Err(malformed(format!(
            "expected START_OBJECT or END_OBJECT but found [{}]",
            token(metadata)
        )));
    };
    let action = read_metadata(op, metadata, number)?;
    if object.len() > 1 {
        return Err(malformed(
            "expected END_OBJECT but found [FIELD_NAME]".into(),
        ));
    }
    Ok(action)
}

fn read_metadata(
    op: Op,
    metadata: &Map<String, Value>,
    number: usize,
) -> Result<Action<'static>, Error> {
    let mut action = Action {
        op,
        index: None,
        id: None,
        pipeline: None,
        has_routing: false,
        has_version: false,
        source: &[],
    };
    for (field, value) in metadata {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                return Err(illegal_argument(format!(
                    "Malformed action/metadata line [{number}], expected a simple value for field [{field}] but found [{}]",
                    token(value)
                )));
            }
        };
        match field.as_str() {
            "_index" => action.index = text,
            "_id" => action.id = text,
            "pipeline" => action.pipeline = text,
            "routing" => action.has_routing = text.is_some(),
            "version" => action.has_version = text.is_some(),
            "op_type" | "require_alias" | "require_data_stream" | "dynamic_templates" => {}
            _ => {
                return Err(illegal_argument(format!(
                    "Action/metadata line [{number}] contains an unknown parameter [{field}]"
                )));
            }
        }
    }
    Ok(action)
}

/// What is checked of the request as a whole once all of it is read.
fn validate(actions: &[Action<'_>]) -> Result<(), Error> {
    let mut complaints = Vec::new();
    if actions.is_empty() {
        complaints.push("no requests added".to_owned());
    }
    for action in actions {
        if action.index.is_none() {
            complaints.push("index is missing".into());
        }
        if action.op == Op::Delete && action.id.as_deref().unwrap_or_default().is_empty() {
            complaints.push("id is missing".into());
        }
        let id_bytes = action.id.as_ref().map_or(0, String::len);
        if id_bytes > LONGEST_ID {
            complaints.push(format!(
                "id is too long, must be no longer than {LONGEST_ID} bytes but was: {id_bytes}"
            ));
        }
        if action.op == Op::Create && action.has_version {
            complaints.push(
                "create operations do not support explicit versions. use index instead".into(),
            );
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    let numbered: Vec<String> = complaints
        .iter()
        .zip(1..)
        .map(|(complaint, number)| format!("{number}: {complaint};"))
        .collect();
    Err(Error::new(
        400,
        "action_request_validation_exception",
        format!("Validation Failed: {}", numbered.concat()),
    ))
}

fn token(value: &Value) -> &'static str {
    match value {
        Value::Null => "VALUE_NULL",
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Number(_) => "VALUE_NUMBER",
        Value::String(_) => "VALUE_STRING",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    }
}
