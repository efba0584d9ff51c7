//! Places inside a quoted string of a TOML file. Pure.

/// Where in `token`, the file's text from an opening quote on, the byte `offset` of the string's `value` was written.
/// `None`: the token does not spell that value, as after a variable was replaced.
pub(super) fn offset_in(token: &str, value: &str, offset: usize) -> Option<usize> {
    let quote = token.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let triple = [quote; 3].iter().collect::<String>();
    let mut at = 1;
    if token.starts_with(&triple) {
        let inside = &token[3..];
        // A newline right behind the quotes is no part of the value.
        let newline = ["\r\n", "\n"].into_iter().find(|n| inside.starts_with(n));
        at = 3 + newline.map_or(0, str::len);
    }
    let (mut decoded, mut found) = (0, None);
    loop {
        let rest = &token[at..];
        let next = match quote {
            '"' => unescape(rest),
            _ => rest.chars().next().map(|c| (Some(c), c.len_utf8())),
        };
        // Of an escaped character, the backslash; of a line that goes on, where it goes on.
        let goes_on = matches!(next, Some((None, _)));
        if decoded == offset && !goes_on {
            found = Some(at);
        }
        if decoded == value.len() && !goes_on {
            return found.filter(|_| rest.starts_with(quote));
        }
        let (character, length) = next?;
        at += length;
        let Some(character) = character else { continue };
        if !value[decoded..].starts_with(character) {
            return None;
        }
        decoded += character.len_utf8();
    }
}

/// The character that the text begins with, if it stands for one, and how long it is written.
fn unescape(text: &str) -> Option<(Option<char>, usize)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first != '\\' {
        return Some((Some(first), first.len_utf8()));
    }
    let escape = characters.next()?;
    let hexadecimal = |digits: usize| {
        let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(code)?), 2 + digits))
    };
    let short = |character| Some((Some(character), 2));
    match escape {
        'x' => hexadecimal(2),
        'u' => hexadecimal(4),
        'U' => hexadecimal(8),
        'b' => short('\u{8}'),
        't' => short('\t'),
        'n' => short('\n'),
        'f' => short('\u{c}'),
        'r' => short('\r'),
        'e' => short('\u{1b}'),
        '"' | '\\' => short(escape),
        // A backslash at a line's end: what is white up to the next word is not there.
        white if white.is_whitespace() => {
            let rest = text[1..].trim_start();
            Some((None, text.len() - rest.len()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file's text from the place of `marker` in the value.
    fn found(token: &str, marker: &str) -> Option<String> {
        let file = format!("key = {token}\n");
        let value = toml::from_str::<toml::Table>(&file).unwrap()["key"].clone();
        let value = value.as_str().unwrap();
        let at = offset_in(token, value, value.find(marker).unwrap())?;
        Some(token[at..at + marker.len()].to_owned())
    }

    #[test]
    fn places_are_found_in_every_kind_of_string() {
        for token in [
            "\"a == >x\"",
            "'a == >x'",
            "'''\na == >x'''",
            "\"\"\"\na == \\\n     >x\"\"\"",
            r#""\"a\\\u00e4\t\x41 ä >x""#,
        ] {
            assert_eq!(found(token, ">x").as_deref(), Some(">x"), "{token}");
        }
    }

    #[test]
    fn what_was_not_written_there_has_no_place() {
        for offset in [0, 3, 7] {
            assert_eq!(offset_in("'${FIELD} == >'", "a.b == >", offset), None);
            assert_eq!(offset_in("'a.b == >${MORE}'", "a.b == >", offset), None);
        }
        assert_eq!(offset_in("5", "5", 0), None);
    }
}
