//! Text → tokens with their places. Pure.

use std::fmt;
use std::ops::Range;

use super::{Number, SyntaxError};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or the name of a field.
    Word(String),
    /// The name of a field in backticks.
    Name(String),
    Text(String),
    Number(Number),
    /// `==`, `(`, …
    Symbol(&'static str),
    End,
}

/// The longer ones first.
const SYMBOLS: [&str; 12] = [
    "==", "!=", "<=", ">=", "=~", "<", ">", "(", ")", "[", "]", ",",
];

/// All tokens; the last one is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<(Range<usize>, Token)>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start().len();
        let (token, length) = next(&text[at..]).map_err(|(offset, message)| SyntaxError {
            at: at + offset,
            message,
        })?;
        tokens.push((at..at + length, token.clone()));
        if token == Token::End {
            return Ok(tokens);
        }
        at += length;
    }
}

/// Whether a name can stand without backticks. Keywords can't, but the lexer doesn't know them.
pub(super) fn is_word(name: &str) -> bool {
    name.starts_with(begins_word) && name.chars().all(continues_word)
}

fn begins_word(character: char) -> bool {
    character.is_ascii_alphabetic() || matches!(character, '_' | '@')
}

fn continues_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '@' | '-' | '.')
}

/// The token that `text` begins with, and its length; or where it is wrong, and how.
fn next(text: &str) -> Result<(Token, usize), (usize, String)> {
    let Some(first) = text.chars().next() else {
        return Ok((Token::End, 0));
    };
    if begins_word(first) {
        let length = text.find(|c| !continues_word(c)).unwrap_or(text.len());
        return Ok((Token::Word(text[..length].to_owned()), length));
    }
    match first {
        '"' => quoted(text),
        '\'' | '`' => {
            let end = text[1..].find(first).ok_or_else(|| unclosed(first))?;
            let inside = text[1..1 + end].to_owned();
            let token = match first {
                '`' => Token::Name(inside),
                _ => Token::Text(inside),
            };
            Ok((token, end + 2))
        }
        '-' | '0'..='9' => number(text),
        _ => match SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)) {
            Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
            None if first == '=' => Err((0, "unexpected '=': equality is written ==".into())),
            None => Err((0, format!("unexpected character {first:?}"))),
        },
    }
}

fn unclosed(quote: char) -> (usize, String) {
    (0, format!("no closing {quote} for this"))
}

fn quoted(text: &str) -> Result<(Token, usize), (usize, String)> {
    let mut out = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Token::Text(out), at + 1)),
            '\\' => {
                let escape = characters.next().map(|(_, escape)| escape);
                match escape {
                    Some('n') => out.push('\n'),
                    Some('r') => out.push('\r'),
                    Some('t') => out.push('\t'),
                    Some(same @ ('"' | '\\')) => out.push(same),
                    Some('u') => {
                        let decoded = unicode(&text[at + 2..]).ok_or_else(|| {
                            (at, "expected \\u{…} with a code point inside".into())
                        })?;
                        out.push(decoded);
                        characters.find(|(_, character)| *character == '}');
                    }
                    _ => {
                        let message = "expected one of \\\" \\\\ \\n \\r \\t \\u{…}; a string in '…' takes backslashes as they are";
                        return Err((at, message.into()));
                    }
                }
            }
            other => out.push(other),
        }
    }
    Err(unclosed('"'))
}

/// `{1f600}`
fn unicode(text: &str) -> Option<char> {
    let (digits, _) = text.strip_prefix('{')?.split_once('}')?;
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

fn number(text: &str) -> Result<(Token, usize), (usize, String)> {
    // A sign may begin a number and follow its `e`; what is glued to a number is part of it, and makes it wrong.
    let mut before = 'e';
    let length = text
        .find(|c: char| {
            let belongs = c.is_ascii_alphanumeric()
                || matches!(c, '.' | '_')
                || (matches!(c, '-' | '+') && matches!(before, 'e' | 'E'));
            before = c;
            !belongs
        })
        .unwrap_or(text.len());
    let written = &text[..length];
    let parsed = Number::parse(written).ok_or_else(|| {
        (
            0,
            format!("expected a number, found {}", shortened(written)),
        )
    })?;
    Ok((Token::Number(parsed), length))
}

/// What a message shows of a token.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 24;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Name(text) => f.write_str(&shortened(text)),
            Self::Text(text) => write!(f, "the string {}", shortened(text)),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
            Self::End => f.write_str("the end"),
        }
    }
}
