//! Kibana links with the time window and the query preset.

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::timestamp;
use crate::rules::{Key, Rule};

/// Shown before the start and after the end of an incident.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Discover on the documents of the rule, for this key. Kibana's own data views `logs-*` and `metrics-*` are named by
/// their well-known ids, which our setup also gives to those it installs.
pub(super) fn discover(
    kibana_url: &str,
    rule: &Rule,
    key: &Key,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> String {
    let stream = rule.settings.query.stream;
    let mut query = format!("data_stream.dataset : \"{}\"", stream.dataset());
    for (field, value) in rule.settings.key.iter().zip(key.values()) {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        query.push_str(&format!(" and {field} : \"{value}\""));
    }
    let (from, to) = (timestamp(from - MARGIN), timestamp(to + MARGIN));
    format!(
        "{}/app/discover#/?_g=(time:(from:'{from}',to:'{to}'))&_a=(index:'{}-*',query:(language:kuery,query:'{}'))",
        kibana_url.trim_end_matches('/'),
        stream.kind(),
        encode(&rison(&query)),
    )
}

/// A string inside rison's quotes: `!` escapes itself and the quote.
fn rison(text: &str) -> String {
    text.replace('!', "!!").replace('\'', "!'")
}

/// Everything but unreserved characters as `%XX`.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_keys_stay_inside_the_query() {
        let rules = crate::rules::shipped();
        let rule = rules.iter().find(|rule| rule.name == "low_peers").unwrap();
        let key = Key::new(["b\" or '!x&y"]);
        let at = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        assert_eq!(
            discover("http://kibana:5601/", rule, &key, at, at),
            "http://kibana:5601/app/discover#/?_g=(time:(from:'1970-01-01T23:55:00.000Z',to:'1970-01-02T00:05:00.000Z'))\
             &_a=(index:'metrics-*',query:(language:kuery,query:'data_stream.dataset%20%3A%20%22ethereum.node%22%20and%20\
             ethereum.node.name%20%3A%20%22b%5C%22%20or%20%21%27%21%21x%26y%22'))"
        );
    }
}
