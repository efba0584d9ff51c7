//! The head of a message of HTTP/1.x: first line and headers. Bytes in, values out.

const MOST_HEADERS: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub start: Start,
    /// The digit behind `HTTP/1.`.
    pub minor_version: u8,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Request { method: String, target: String },
    Response { code: u16, phrase: String },
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What a segment begins with where a message does; anything else is too likely to be the middle of a body.
pub(super) fn is_beginning(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 10] = [
        b"HTTP/1.",
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
    ];
    BEGINNINGS.iter().any(|begin| bytes.starts_with(begin))
}

/// A method or `HTTP/1.` so far.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let begin = &bytes[..bytes.len().min(24)];
    let word = begin.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_token = |byte: &u8| byte.is_ascii_graphic();
    !word.is_empty() && word.iter().all(is_token) && (word.len() < begin.len() || begin.len() < 24)
}

pub(super) fn parse(bytes: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    // Some servers begin a response with the empty line that ended the last body.
    let bytes = bytes.trim_ascii_start();
    let (start, minor_version, headers) = if bytes.starts_with(b"HTTP/") {
        let mut response = httparse::Response::new(&mut headers);
        let parsed = httparse::ParserConfig::default()
            .allow_spaces_after_header_name_in_responses(true)
            .parse_response(&mut response, bytes);
        parsed.ok()?;
        let start = Start::Response {
            code: response.code?,
            phrase: response.reason.unwrap_or_default().to_owned(),
        };
        (start, response.version?, response.headers)
    } else {
        let mut request = httparse::Request::new(&mut headers);
        request.parse(bytes).ok()?;
        let start = Start::Request {
            method: request.method?.to_owned(),
            target: request.path?.to_owned(),
        };
        (start, request.version?, request.headers)
    };
    let headers = headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    Some(Head {
        start,
        minor_version,
        headers: headers.collect(),
    })
}
