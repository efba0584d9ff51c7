//! Conditions as text that parses to the same condition.

use std::fmt::{self, Display, Formatter, Write};

use super::lexer::is_word;
use super::parser::is_keyword;
use super::{Bound, Condition, Field, Number, Scalar, Test};

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => joined(f, parts, " and "),
            Self::Any(parts) => joined(f, parts, " or "),
            Self::Not(inner) => match inner.as_ref() {
                Self::Test(field, Test::Equals(scalar)) => {
                    write!(f, "{} != {scalar}", Name(field))
                }
                Self::Test(field, Test::In(list)) => {
                    write!(f, "{} not in {}", Name(field), List(list))
                }
                inner => {
                    f.write_str("not ")?;
                    part(f, inner)
                }
            },
            Self::Test(field, Test::Exists) => write!(f, "exists({})", Name(field)),
            Self::Test(field, test) => {
                write!(f, "{} ", Name(field))?;
                match test {
                    Test::Exists => Ok(()),
                    Test::Equals(scalar) => write!(f, "== {scalar}"),
                    Test::In(list) => write!(f, "in {}", List(list)),
                    Test::Is(bound, number) => write!(f, "{} {number}", bound.symbol()),
                    Test::Matches(pattern) => write!(f, "=~ {}", Text(pattern.regex().as_str())),
                    Test::Contains(text) => write!(f, "contains {}", Text(text)),
                    Test::StartsWith(text) => write!(f, "starts_with {}", Text(text)),
                    Test::EndsWith(text) => write!(f, "ends_with {}", Text(text)),
                }
            }
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Condition], word: &str) -> fmt::Result {
    for (index, condition) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        part(f, condition)?;
    }
    Ok(())
}

/// In parentheses where it has parts itself.
fn part(f: &mut Formatter<'_>, condition: &Condition) -> fmt::Result {
    match condition {
        Condition::All(_) | Condition::Any(_) => write!(f, "({condition})"),
        Condition::Not(_) | Condition::Test(..) => write!(f, "{condition}"),
    }
}

impl Bound {
    fn symbol(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", Text(text)),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            // Shows a point or an exponent also where there is no fraction.
            Self::Float(number) => write!(f, "{number:?}"),
        }
    }
}

struct Name<'a>(&'a Field);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.0.as_str();
        match is_word(name) && !is_keyword(name) {
            true => f.write_str(name),
            false => write!(f, "`{name}`"),
        }
    }
}

struct List<'a>(&'a [Scalar]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", values.join(", "))
    }
}

struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                other if other.is_control() => write!(f, "\\u{{{:x}}}", u32::from(other))?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}
