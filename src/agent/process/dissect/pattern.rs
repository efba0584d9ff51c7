//! The pattern language of dissect. Pure.

use serde::Deserialize;

/// Literal text between fields:
///
/// | field | does |
/// | --- | --- |
/// | `%{name}` | keeps the text up to the delimiter that follows; the last field keeps the rest |
/// | `%{}`, `%{?name}` | skips it |
/// | `%{+name}` | appends it to `name`, behind the delimiter that stood before it |
/// | `%{+name/2}` | so, in the order of the numbers |
/// | `%{*name}` … `%{&name}` | the text of the first names the field that gets the text of the second; so does `%{?name}`, and `%{name}`, which is kept too |
/// | `%{name->}` | skips repetitions of the delimiter that follows |
///
/// The text has to begin with what stands before the first field. What follows the last delimiter of a pattern that
/// ends with one is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern {
    lead: String,
    parts: Vec<Part>,
    outputs: Vec<Output>,
    /// Parts: which names the field, which is its value.
    references: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Empty in the last part: the rest of the text.
    delimiter: String,
    is_padded: bool,
}

/// A field and the parts it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    name: String,
    parts: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Key<'a> {
    Skip(&'a str),
    Keep(&'a str),
    Append(&'a str, u32),
    Reference(&'a str),
}

impl Pattern {
    /// The fields with their texts. `None`: the text does not have the form.
    pub(super) fn cut(&self, text: &str) -> Option<Vec<(String, String)>> {
        let mut rest = text.strip_prefix(self.lead.as_str())?;
        let mut values = Vec::with_capacity(self.parts.len());
        for Part {
            delimiter,
            is_padded,
        } in &self.parts
        {
            if delimiter.is_empty() {
                values.push(std::mem::take(&mut rest));
                continue;
            }
            let (value, behind) = rest.split_once(delimiter.as_str())?;
            values.push(value);
            rest = behind;
            while *is_padded && let Some(behind) = rest.strip_prefix(delimiter.as_str()) {
                rest = behind;
            }
        }
        let named = self
            .outputs
            .iter()
            .map(|output| (output.name.clone(), self.join(&output.parts, &values)));
        let referred = self
            .references
            .iter()
            .map(|(name, value)| (values[*name].to_owned(), values[*value].to_owned()));
        Some(named.chain(referred).collect())
    }

    /// The names that are known before there is a text.
    pub(in super::super) fn names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|output| output.name.as_str())
    }

    fn join(&self, parts: &[usize], values: &[&str]) -> String {
        let mut joined = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                joined.push_str(self.delimiter_before(*part));
            }
            joined.push_str(values[*part]);
        }
        joined
    }

    fn delimiter_before(&self, part: usize) -> &str {
        let before = match part.checked_sub(1) {
            Some(before) => self.parts[before].delimiter.as_str(),
            None => self.lead.as_str(),
        };
        if before.is_empty() { " " } else { before }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (lead, mut rest) = text.split_once("%{").ok_or("a pattern needs a %{field}")?;
        let mut parts = Vec::new();
        let mut keys = Vec::new();
        loop {
            let at = text.len() - rest.len();
            let wrong = |what: &str| {
                let characters = text[..at].chars().count() + 1;
                format!("character {characters} of the pattern: {what}")
            };
            let (key, behind) = rest.split_once('}').ok_or_else(|| wrong("no closing }"))?;
            let is_padded = key.ends_with("->");
            let key = key.strip_suffix("->").unwrap_or(key);
            keys.push(Key::parse(key).map_err(|reason| wrong(&reason))?);
            let (delimiter, next) = match behind.split_once("%{") {
                Some((delimiter, next)) => (delimiter, Some(next)),
                None => (behind, None),
            };
            parts.push(Part {
                delimiter: delimiter.to_owned(),
                is_padded,
            });
            match next {
                None => break,
                Some(_) if delimiter.is_empty() => {
                    return Err(wrong("a delimiter has to follow before the next field"));
                }
                Some(next) => rest = next,
            }
        }
        Ok(Self {
            lead: lead.to_owned(),
            parts,
            outputs: outputs(&keys)?,
            references: references(&keys)?,
        })
    }
}

impl<'a> Key<'a> {
    fn parse(key: &'a str) -> Result<Self, String> {
        let Some(sign) = key.chars().next().filter(|c| "?*+&".contains(*c)) else {
            return match key {
                "" => Ok(Self::Skip("")),
                name => named(name).map(Self::Keep),
            };
        };
        let name = &key[1..];
        match sign {
            '?' if name.is_empty() => Ok(Self::Skip("")),
            '?' | '*' => named(name).map(Self::Skip),
            '&' => named(name).map(Self::Reference),
            _ => match name.split_once('/') {
                None => named(name).map(|name| Self::Append(name, 0)),
                Some((name, order)) => {
                    let order = order.parse();
                    let order = order.map_err(|_| format!("{key:?}: a number follows the /"))?;
                    named(name).map(|name| Self::Append(name, order))
                }
            },
        }
    }
}

fn named(name: &str) -> Result<&str, String> {
    match name.is_empty() || name.contains(['%', '{', '?', '*', '+', '&', '|', '#', '/']) {
        true => Err(format!("{name:?} is no name of a field")),
        false => Ok(name),
    }
}

fn outputs(keys: &[Key<'_>]) -> Result<Vec<Output>, String> {
    let mut outputs: Vec<(Output, Vec<u32>)> = Vec::new();
    for (part, key) in keys.iter().enumerate() {
        let (name, order) = match key {
            Key::Keep(name) => (*name, 0),
            Key::Append(name, order) => (*name, *order),
            Key::Skip(_) | Key::Reference(_) => continue,
        };
        match outputs.iter_mut().find(|(output, _)| output.name == name) {
            None => {
                let (name, parts) = (name.to_owned(), vec![part]);
                outputs.push((Output { name, parts }, vec![order]));
            }
            Some(_) if matches!(key, Key::Keep(_)) => {
                return Err(format!("{name} stands twice: %{{+{name}}} would append"));
            }
            Some((output, orders)) => {
                // Behind all of the same or a smaller number.
                let place = orders.partition_point(|earlier| *earlier <= order);
                orders.insert(place, order);
                output.parts.insert(place, part);
            }
        }
    }
    Ok(outputs.into_iter().map(|(output, _)| output).collect())
}

fn references(keys: &[Key<'_>]) -> Result<Vec<(usize, usize)>, String> {
    let mut references = Vec::new();
    for (value, key) in keys.iter().enumerate() {
        let Key::Reference(wanted) = key else {
            continue;
        };
        let is_it =
            |key: &Key<'_>| matches!(key, Key::Skip(name) | Key::Keep(name) if name == wanted);
        let name = keys.iter().position(is_it);
        let name = name.ok_or_else(|| {
            format!("%{{&{wanted}}} needs a %{{*{wanted}}}, %{{?{wanted}}} or %{{{wanted}}}")
        })?;
        references.push((name, value));
    }
    Ok(references)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Result<Pattern, String> {
        Pattern::try_from(text.to_owned())
    }

    #[track_caller]
    fn check(form: &str, text: &str, expected: &[(&str, &str)]) {
        let cut = pattern(form).unwrap().cut(text);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let expected: Vec<_> = expected.iter().map(owned).collect();
        assert_eq!(cut, Some(expected), "{form} on {text:?}");
    }

    #[test]
    fn texts_are_cut_as_elsewhere() {
        check("%{a}", "all of it", &[("a", "all of it")]);
        check("[%{a}] %{b}", "[x] y z", &[("a", "x"), ("b", "y z")]);
        check(
            "%{a},%{b},%{c}",
            "1,,3",
            &[("a", "1"), ("b", ""), ("c", "3")],
        );
        check("%{} %{?no} %{a}", "x y z", &[("a", "z")]);
        check("{%{a}}", "{x} and more", &[("a", "x")]);
        check("%{a} · %{b}", "ä · ö", &[("a", "ä"), ("b", "ö")]);
    }

    #[test]
    fn padding_is_skipped_where_it_is_said() {
        check("%{a->} %{b}", "x    y", &[("a", "x"), ("b", "y")]);
        check("%{a} %{b}", "x  y", &[("a", "x"), ("b", " y")]);
        check("%{a->} ", "x   ", &[("a", "x")]);
        check("%{->}, %{b}", "x, , y", &[("b", "y")]);
    }

    #[test]
    fn parts_are_appended_behind_their_delimiter_in_order() {
        check("%{t} %{+t}-%{+t}", "1 2-3", &[("t", "1 2-3")]);
        check(
            "%{+a/2} %{+a/1} %{+a/4} %{+a/3}",
            "1 2 3 go",
            &[("a", "2 1 go 3")],
        );
        check("%{a} %{b} %{+a}", "1 2 3", &[("a", "1 3"), ("b", "2")]);
    }

    #[test]
    fn a_text_may_name_the_field() {
        check("%{*k}=%{&k}", "peers=50", &[("peers", "50")]);
        check("%{?k}: %{&k}", "google: 77.98", &[("google", "77.98")]);
        check(
            "%{k} %{&k}",
            "hello world",
            &[("k", "hello"), ("hello", "world")],
        );
    }

    #[test]
    fn another_form_is_no_match() {
        for (form, text) in [
            ("/var/%{a}", "foobar"),
            ("%{a}.log", "foobar"),
            ("%{a} %{b}", "one"),
            ("[%{a}]", ""),
        ] {
            assert_eq!(pattern(form).unwrap().cut(text), None, "{form} on {text:?}");
        }
    }

    #[test]
    fn wrong_patterns_say_where() {
        for (form, part) in [
            ("no field", "needs a %{field}"),
            ("%{a", "character 3 of the pattern: no closing }"),
            (
                "ä %{a}%{b}",
                "character 5 of the pattern: a delimiter has to follow",
            ),
            ("%{a} %{a}", "a stands twice"),
            ("%{&k} %{a}", "%{&k} needs a %{*k}"),
            ("%{+a/x}", "a number follows the /"),
            ("%{a|integer}", "\"a|integer\" is no name"),
        ] {
            let error = pattern(form).unwrap_err();
            assert!(error.contains(part), "{form}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(form in "[a%{}+&*?/>\\- ä1]{0,24}", text in "[a, \\-1ä]{0,24}") {
            if let Ok(pattern) = pattern(&form) {
                pattern.cut(&text);
            }
        }

        #[test]
        fn what_was_joined_is_cut_again(values in proptest::collection::vec("[a-zä ]{0,8}", 1..6)) {
            let names: Vec<String> = (0..values.len()).map(|index| format!("%{{f{index}}}")).collect();
            let cut = pattern(&names.join("||")).unwrap().cut(&values.join("||")).unwrap();
            let again: Vec<String> = cut.into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(again, values);
        }
    }
}
