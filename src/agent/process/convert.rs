//! `convert`: gives a value another type, in its place or under another name. Lists are converted item by item.
//!
//! ```toml
//! [[processors]]
//! type = "convert"
//! field = "labels.slot"
//! as = "integer"             # integer, float, boolean, string
//! to = "ethereum.slot"       # absent: in place
//! ```

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Number, Value};

use super::draft::{Draft, Failure};
use super::field::Target;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    field: Target,
    r#as: Type,
    /// The field itself stays as it is.
    pub(super) to: Option<Target>,
    /// Without it, a field `to` that is there already is kept, and the conversion fails.
    #[serde(default)]
    overwrite: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    /// Decimal or, as Ethereum's quantities, hexadecimal after `0x`.
    Integer,
    Float,
    /// `true` or `false`.
    Boolean,
    String,
}

impl Convert {
    pub(super) fn field(&self) -> &Target {
        &self.field
    }

    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        let Some(value) = draft.own(self.field.as_str()) else {
            return Ok(());
        };
        let value = convert(value, self.r#as)?;
        let (to, overwrite) = match &self.to {
            Some(to) => (to, self.overwrite),
            None => (&self.field, true),
        };
        draft.write(vec![(Cow::Borrowed(to.as_str()), value)], overwrite)
    }
}

fn convert(value: &Value, to: Type) -> Result<Value, Failure> {
    if let Value::Array(items) = value {
        let items: Result<_, _> = items.iter().map(|item| convert(item, to)).collect();
        return items.map(Value::Array);
    }
    match to {
        Type::Integer => integer(value).ok_or(Failure::NotANumber),
        Type::Float => float(value).ok_or(Failure::NotANumber),
        Type::Boolean => boolean(value).ok_or(Failure::NotABoolean),
        Type::String => match value {
            Value::String(_) => Ok(value.clone()),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string().into()),
            _ => Err(Failure::NotText),
        },
    }
}

fn integer(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) if !number.is_f64() => Some(value.clone()),
        Value::Number(number) => {
            let number = number.as_f64()?;
            // Beyond this, neighbouring integers are the same float.
            let is_exact = number.fract() == 0.0 && number.abs() <= 2_f64.powi(53);
            is_exact.then(|| (number as i64).into())
        }
        Value::String(text) => {
            let text = text.trim();
            let hexadecimal = text.strip_prefix("0x").or(text.strip_prefix("0X"));
            match hexadecimal.filter(|digits| !digits.starts_with('+')) {
                Some(digits) => u64::from_str_radix(digits, 16).ok().map(Value::from),
                None => {
                    let signed = text.parse::<i64>().ok().map(Value::from);
                    signed.or_else(|| text.parse::<u64>().ok().map(Value::from))
                }
            }
        }
        _ => None,
    }
}

fn float(value: &Value) -> Option<Value> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Neither NaN nor infinite.
    Number::from_f64(number).map(Value::Number)
}

fn boolean(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) => text.trim().parse::<bool>().ok().map(Value::Bool),
        _ => None,
    }
}
