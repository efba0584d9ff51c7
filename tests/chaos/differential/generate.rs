//! Bulk requests, most of them good, the others wrong in one of the ways a shipper may be wrong. Pure but for the dice.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

pub(super) struct Request {
    /// [`BACKING`] stands for the name of a backing index, which has a date in it.
    pub(super) target: String,
    /// What has the backing index.
    pub(super) stream: String,
    pub(super) body: Vec<u8>,
    pub(super) is_gzipped: bool,
}

impl Request {
    /// For people; long lines are cut.
    pub(super) fn show(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let lines = text.split_inclusive('\n').map(|line| match line.len() {
            0..300 => line.to_owned(),
            bytes => format!("{}… ({bytes} bytes)\n", &line[..200]),
        });
        format!(
            "{} gzip: {}\n{}",
            self.target,
            self.is_gzipped,
            lines.collect::<String>()
        )
    }
}

pub(super) const BACKING: &str = "BACKING";

const TARGETS: [&str; 4] = [
    "/_bulk?require_data_stream=true",
    "/_bulk?require_data_stream=true&timeout=15000ms&filter_path=errors,took,items.*.status,items.*.error",
    "/_bulk?require_data_stream=true&filter_path=items.*.error.type,error,status",
    "/_bulk?require_data_stream=true&filter_path=errors",
];

pub(super) fn request(dice: &mut StdRng, namespace: &str) -> Request {
    let stream = stream(dice, namespace);
    match dice.random_range(0..40) {
        0 => {
            return Request {
                target: format!("/{stream}/_rollover"),
                stream,
                body: Vec::new(),
                is_gzipped: false,
            };
        }
        1..4 => return look_up(dice, stream),
        _ => {}
    }
    let mut body = Vec::new();
    let items = *[1, 1, 2, 5, 20, 60].choose(dice).unwrap();
    // A mistake in the framing refuses all: few requests have one.
    let broken_at = dice.random_ratio(1, 6).then(|| dice.random_range(0..items));
    for number in 0..items {
        let action = match broken_at == Some(number) {
            true => broken_action(dice, namespace),
            false => action(dice, namespace),
        };
        body.extend_from_slice(action.as_bytes());
        body.extend_from_slice(line_end(dice));
        if !action.starts_with("{\"delete\"") {
            // A pipeline reads the document before anybody asks whether the pipeline exists.
            let document = match action.contains("pipeline") {
                true => good_document(dice),
                false => document(dice),
            };
            body.extend_from_slice(document.as_bytes());
            body.extend_from_slice(line_end(dice));
        }
        if dice.random_ratio(1, 30) {
            body.extend_from_slice([&b"\n"[..], b"\r\n", b" \n"].choose(dice).unwrap());
        }
    }
    match dice.random_range(0..60) {
        0 => body.clear(),
        1 => body = b"\n".to_vec(),
        2 => {
            body.pop();
        }
        3 => body.extend_from_slice(format!("{}\n", action(dice, namespace)).as_bytes()),
        4 => body.extend_from_slice(action(dice, namespace).as_bytes()),
        _ => {}
    }
    Request {
        target: TARGETS.choose(dice).unwrap().to_string(),
        stream,
        // Gzipped, an empty body is not empty. And where the last document is empty, 9.3.2 now and then reads beyond its
        // buffer (`array_index_out_of_bounds_exception`, depending on sizes) and refuses the whole request.
        is_gzipped: dice.random_ratio(1, 3) && !body.is_empty() && !ends_blank(&body),
        body,
    }
}

fn ends_blank(body: &[u8]) -> bool {
    body.ends_with(b"\n\n") || body.ends_with(b"\n\r\n")
}

/// As the agent asks for what may be there already.
fn look_up(dice: &mut StdRng, stream: String) -> Request {
    let index = match dice.random_ratio(1, 8) {
        true => ".ds-none-such-2026.01.01-000001",
        false => BACKING,
    };
    let ids: Vec<String> = (0..dice.random_range(1..40))
        .map(|_| format!("id-{}", dice.random_range(0..3_000)))
        .collect();
    Request {
        target: format!(
            "/{index}/_mget?_source=false&filter_path=docs._id,docs.found,docs.error.type"
        ),
        stream,
        body: json!({"ids": ids}).to_string().into_bytes(),
        is_gzipped: false,
    }
}

fn line_end(dice: &mut StdRng) -> &'static [u8] {
    if dice.random_ratio(1, 20) {
        b"\r\n"
    } else {
        b"\n"
    }
}

/// Both exist from the first request on, as good as surely.
fn stream(dice: &mut StdRng, namespace: &str) -> String {
    let name = ["logs-ethereum.client", "logs-ethereum.beacon_event"]
        .choose(dice)
        .unwrap();
    format!("{name}-{namespace}")
}

/// Few ids, so that many come again, within a request and after it.
fn id(dice: &mut StdRng) -> String {
    match dice.random_range(0..30) {
        0 => String::new(),
        1 => "x".repeat(512),
        2 => "é".repeat(256),
        3 => r"a b\\c\u0007".to_owned(),
        _ => format!("id-{}", dice.random_range(0..3_000)),
    }
}

fn action(dice: &mut StdRng, namespace: &str) -> String {
    let (stream, id) = (stream(dice, namespace), id(dice));
    match dice.random_range(0..50) {
        0 => format!(r#"{{"index":{{"_index":"{stream}","_id":"{id}"}}}}"#),
        1 => format!(r#"{{"delete":{{"_index":"{stream}","_id":"{id}"}}}}"#),
        2 => format!(r#"{{"create":{{"_index":"{stream}"}}}}"#),
        3 => format!(
            r#"{{"create":{{"_index":"{stream}","_id":{}}}}}"#,
            dice.random_range(0..9)
        ),
        4 => format!(r#"{{"create":{{"_index":"{stream}","_id":null}}}}"#),
        5 => format!(r#"{{"create":{{"_index":"no-such-{namespace}","_id":"{id}"}}}}"#),
        6 => r#"{"create":{"_index":"","_id":"a"}}"#.to_owned(),
        7 => format!(r#"{{"create":{{"_index":"{stream}","_id":"{id}","pipeline":"none-such"}}}}"#),
        8 => format!(r#"{{"create":{{"_index":"{stream}","_id":"{id}","routing":"r"}}}}"#),
        9 => format!(r#" {{ "create" : {{ "_id":"{id}", "_index":"{stream}" }} }} "#),
        _ => format!(r#"{{"create":{{"_index":"{stream}","_id":"{id}"}}}}"#),
    }
}

fn broken_action(dice: &mut StdRng, namespace: &str) -> String {
    let stream = stream(dice, namespace);
    let long = "y".repeat(dice.random_range(513..2_000));
    let broken = [
        format!(r#"{{"create":{{"_index":"{stream}","_id":"{long}"}}}}"#),
        format!(r#"{{"create":{{"_index":"{stream}"}}"#),
        format!(r#"{{"create":{{"_index":"{stream}"#),
        format!(r#"{{"create":{{"_index":"{stream}","_id":"a","nonsense":1}}}}"#),
        format!(r#"{{"create":{{"_index":"{stream}","_id":{{}}}}}}"#),
        format!(r#"{{"create":{{"_index":"{stream}","_id":["a"]}}}}"#),
        format!(r#"{{"create":{{"_index":"{stream}"}},"x":1}}"#),
        format!(r#"{{"create":{{"_index":"{stream}","version":3}}}}"#),
        format!(r#"{{"update":{{"_index":"{stream}","_id":"a"}}}}"#),
        format!(r#"{{"replace":{{"_index":"{stream}"}}}}"#),
        format!(r#"{{"CREATE":{{"_index":"{stream}"}}}}"#),
        format!(r#"{{"create":{{"_index":"{stream}"}}}} x"#),
        r#"{"create":{"_id":"a"}}"#.to_owned(),
        r#"{"create":{}}"#.to_owned(),
        r#"{"create":null}"#.to_owned(),
        r#"{"create":[]}"#.to_owned(),
        r#"{"create":"#.to_owned(),
        r#"{"create"}"#.to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "5".to_owned(),
        "\"create\"".to_owned(),
        "true".to_owned(),
        "null".to_owned(),
        "nonsense".to_owned(),
        "<html>".to_owned(),
        "{".to_owned(),
        "}".to_owned(),
    ];
    broken.choose(dice).unwrap().clone()
}

const TIME: &str = r#""@timestamp":"2026-01-01T00:00:00.5Z""#;

fn good_document(dice: &mut StdRng) -> String {
    let number = dice.random_range(0..1_000_000);
    format!(
        r#"{{{TIME},"agent":{{"id":"a"}},"ecs.version":"9.0","event.created":{number},"labels":{{"k":"{number}"}}}}"#
    )
}

/// At most one mistake each: which of two is told first is nobody's business.
fn document(dice: &mut StdRng) -> String {
    if dice.random_ratio(4, 5) {
        return good_document(dice);
    }
    let odd_fields = [
        r#""host.ip":["127.0.0.1","::1"]"#,
        r#""host.ip":5"#,
        r#""host.ip":"localhost""#,
        r#""host":{"ip":"127.0.0.1","os.name":"x"}"#,
        r#""host":null"#,
        r#""host":5"#,
        r#""host":[{"name":"a"},{"name":"b"}]"#,
        r#""host.name":{"a":1}"#,
        r#""host.name":["a",null,true,1.5]"#,
        r#""error.message":{"a":1}"#,
        r#""error.message":12"#,
        r#""event.duration":"12""#,
        r#""event.duration":"1.5""#,
        r#""event.duration":1.5"#,
        r#""event.duration":"""#,
        r#""event.duration":"x""#,
        r#""event.duration":true"#,
        r#""event.duration":{}"#,
        r#""event.duration":[1,[2,[]]]"#,
        r#""event.duration":9223372036854775807"#,
        r#""event.duration":9223372036854775808"#,
        r#""event.duration":-9223372036854775808"#,
        r#""event.duration":1e30"#,
        r#""event.created":"yesterday""#,
        r#""event.created":"2026-02-30""#,
        r#""event.created":"2026-02-03""#,
        r#""event.created":"2026-02-03T04:05:06+01:00""#,
        r#""event.created":12.5"#,
        r#""event.created":true"#,
        r#""labels":5"#,
        r#""labels":null"#,
        r#""labels":"a""#,
        r#""labels":[{"a":1},{"b":2}]"#,
        r#""labels":{"a":{"b":{"c":{"d":{"e":1}}}}}"#,
        r#""labels":{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}"#,
        r#""nonsense":1"#,
        r#""nonsense":null"#,
        r#""nonsense":{}"#,
        r#""host.nonsense":1"#,
        r#""host":{"nonsense":1}"#,
        r#""":1"#,
        r#""_id":"x""#,
        r#""event.created":"2026-01-01T00:00:00Z","broken"#,
        r#""event.created":}"#,
    ];
    let odd_documents = [
        "",
        " ",
        "{}",
        "[]",
        "5",
        "null",
        "\"x\"",
        "{",
        "}",
        "nonsense",
        "{}{}",
        r#"{"@timestamp":null}"#,
        r#"{"@timestamp":"x"}"#,
        r#"{"@timestamp":1767225600000}"#,
        r#"{"@timestamp":"1767225600000"}"#,
        r#"{"@timestamp":[1]}"#,
        r#"{"@timestamp":[1,2]}"#,
        r#"{"@timestamp":{}}"#,
        r#"{"@timestamp":true}"#,
        r#"{"@timestamp":"2026"}"#,
        r#"{"agent.id":"no time"}"#,
    ];
    match dice.random_ratio(2, 3) {
        true => format!("{{{TIME},{}}}", odd_fields.choose(dice).unwrap()),
        false => (*odd_documents.choose(dice).unwrap()).to_owned(),
    }
}
