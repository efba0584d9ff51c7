//! SIP messages and the values in their headers (RFC 3261). Bytes in, values out.

use memchr::memmem;

/// A head that is longer is none.
pub(super) const MOST_HEAD_BYTES: usize = 32 << 10;
const MOST_HEADERS: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    pub start: Start<'a>,
    pub version: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    Request { method: &'a str, uri: &'a str },
    Response { code: u16, phrase: &'a str },
}

/// Short names of headers that have one.
const COMPACT: [(&str, &str); 9] = [
    ("call-id", "i"),
    ("contact", "m"),
    ("content-length", "l"),
    ("content-type", "c"),
    ("from", "f"),
    ("supported", "k"),
    ("to", "t"),
    ("via", "v"),
    ("subject", "s"),
];

impl<'a> Message<'a> {
    /// All values, each line's as it stands.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let short = COMPACT
            .iter()
            .find(|(long, _)| *long == name)
            .map(|(_, short)| *short);
        let is = move |own: &str| {
            own.eq_ignore_ascii_case(name)
                || short.is_some_and(|short| own.eq_ignore_ascii_case(short))
        };
        self.headers
            .iter()
            .filter(move |(own, _)| is(own))
            .map(|(_, value)| *value)
    }

    pub fn first(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.first(name)?.trim().parse().ok()
    }
}

/// Where the head ends, its empty line included.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|end| end + 4)
}

/// `None` for what is no SIP message.
pub fn parse(bytes: &[u8]) -> Option<Message<'_>> {
    let end = head_end(bytes)?;
    let head = std::str::from_utf8(bytes.get(..end.min(MOST_HEAD_BYTES))?).ok()?;
    let (first, rest) = head.split_once("\r\n")?;
    let (start, version) = match first.strip_prefix("SIP/") {
        Some(response) => {
            let mut parts = response.splitn(3, ' ');
            let version = parts.next()?;
            let code = parts.next()?.parse().ok()?;
            let phrase = parts.next().unwrap_or_default();
            (Start::Response { code, phrase }, version)
        }
        None => {
            let mut parts = first.splitn(3, ' ');
            let (method, uri) = (parts.next()?, parts.next()?);
            let version = parts.next()?.strip_prefix("SIP/")?;
            let is_token = method
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte));
            if !is_token || method.is_empty() {
                return None;
            }
            (Start::Request { method, uri }, version)
        }
    };
    let mut message = Message {
        start,
        version,
        headers: Vec::new(),
        body: &[],
    };
    for line in rest.split("\r\n").take(MOST_HEADERS) {
        // A line that goes on in the next one is rare and ends early here.
        if let Some((name, value)) = line
            .split_once(':')
            .filter(|_| !line.starts_with([' ', '\t']))
        {
            message.headers.push((name.trim(), value.trim()));
        }
    }
    let body = &bytes[end..];
    let length = message.number("content-length");
    let length = length
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(body.len());
    message.body = &body[..length.min(body.len())];
    Some(message)
}

/// `"name" <uri>;parameter=value`, as From, To and Contact have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party<'a> {
    pub display: Option<&'a str>,
    pub uri: &'a str,
    pub parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Party<'a> {
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        let found = self
            .parameters
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }
}

pub fn party(value: &str) -> Option<Party<'_>> {
    let (display, uri, rest) = match value.split_once('<') {
        Some((display, after)) => {
            let (uri, rest) = after.split_once('>')?;
            (display.trim().trim_matches('"'), uri, rest)
        }
        None => {
            let (uri, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
            ("", uri, rest)
        }
    };
    Some(Party {
        display: Some(display).filter(|display| !display.is_empty()),
        uri: uri.trim(),
        parameters: parameters(rest),
    })
}

fn parameters(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split(';').filter_map(|part| {
        let part = part.trim().trim_end_matches(',');
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (!name.is_empty()).then(|| (name.trim(), value.trim().trim_matches('"')))
    });
    parts.take(32).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    pub scheme: &'a str,
    pub username: Option<&'a str>,
    pub host: &'a str,
    pub port: Option<u16>,
}

/// `sip:user@host:port;parameters`
pub fn uri(text: &str) -> Option<Uri<'_>> {
    let (scheme, rest) = text.split_once(':')?;
    let rest = rest.split([';', '?']).next().unwrap_or_default();
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok())
        }
        _ => (place, None),
    };
    Some(Uri {
        scheme,
        // A password behind the name stays here.
        username: user.map(|user| user.split(':').next().unwrap_or_default()),
        host: host.trim_matches(['[', ']']),
        port,
    })
}
