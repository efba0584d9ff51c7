//! Bulk answers, recorded and hostile.

use std::time::Duration;

use super::Verdict;
use super::verdict::{LONGEST_REASON, explain, parse};

/// Recorded from Elasticsearch 9.3.2 with the client's `filter_path`.
const MIXED: &str = r#"{"errors":true,"took":400,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict, document already exists (current version [1])","index_uuid":"lYF9L1MUQKSS4KmQiEs0lA","shard":"0","index":"t1"}}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:6] failed to parse field [a] of type [long] in document with id '2'. Preview of field's value: 'x'","caused_by":{"type":"illegal_argument_exception","reason":"For input string: \"x\""}}}},{"create":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [logs-none-default] and the index creation request requires a data stream, but no matching index template with data stream template was found for it","index_uuid":"_na_","index":"logs-none-default"}}}]}"#;

fn one(status: u16, kind: &str) -> Verdict {
    let body = format!(
        r#"{{"errors":true,"took":1,"items":[{{"create":{{"status":{status},"error":{{"type":"{kind}","reason":"because"}}}}}}]}}"#
    );
    parse(body.as_bytes(), 1).unwrap().verdicts.remove(0)
}

#[test]
fn a_recorded_answer_gives_each_item_its_verdict() {
    let answer = parse(MIXED.as_bytes(), 4).unwrap();
    assert_eq!(answer.took, Duration::from_millis(400));
    assert_eq!(answer.verdicts[0], Verdict::Stored { duplicate: false });
    assert_eq!(answer.verdicts[1], Verdict::Stored { duplicate: true });
    assert_eq!(
        answer.verdicts[2],
        Verdict::Refused {
            status: 400,
            kind: "document_parsing_exception".into(),
            reason: "document_parsing_exception: [1:6] failed to parse field [a] of type [long] in document with id '2'. \
                     Preview of field's value: 'x': For input string: \"x\""
                .into()
        }
    );
    assert!(
        answer.verdicts[3].waits_for_operator(),
        "a missing template loses no document"
    );
}

#[test]
fn all_stored() {
    let body = r#"{"errors":false,"took":3,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#;
    assert_eq!(
        parse(body.as_bytes(), 2).unwrap().verdicts,
        vec![Verdict::Stored { duplicate: false }; 2]
    );
}

#[test]
fn pressure_and_the_clusters_faults_are_retried() {
    for (status, kind, operator) in [
        (429, "es_rejected_execution_exception", false),
        (429, "cluster_block_exception", false), // flood stage
        (503, "unavailable_shards_exception", false),
        (500, "exception", false),
        (403, "cluster_block_exception", true), // write block
        (403, "security_exception", true),
        (401, "security_exception", true),
        (404, "index_not_found_exception", true),
        (400, "validation_exception", true), // shard limit
        (400, "index_closed_exception", true),
    ] {
        let verdict = one(status, kind);
        assert!(matches!(verdict, Verdict::Retry { .. }), "{status} {kind}");
        assert_eq!(verdict.waits_for_operator(), operator, "{status} {kind}");
    }
}

#[test]
fn the_documents_own_faults_are_refused() {
    for kind in [
        "document_parsing_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
        "timestamp_error",
    ] {
        let Verdict::Refused {
            status,
            kind: told,
            reason,
        } = one(400, kind)
        else {
            panic!("{kind} is not refused");
        };
        assert_eq!((status, told.as_str()), (400, kind));
        assert_eq!(reason, format!("{kind}: because"));
    }
}

#[test]
fn what_is_not_a_bulk_answer_is_never_success() {
    for (body, expected) in [
        ("", 1),
        ("<html><body>login</body></html>", 1),
        ("null", 0),
        ("{}", 0),
        ("[]", 0),
        (r#"{"errors":false}"#, 0),
        (r#"{"errors":false,"took":1}"#, 0),
        (r#"{"errors":false,"took":1,"items":[]}"#, 1),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":201}}]}"#,
            2,
        ),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#,
            1,
        ),
        (
            r#"{"errors":false,"took":1,"items":[{"index":{"status":201}}]}"#,
            1,
        ),
        (r#"{"errors":false,"took":1,"items":[{"create":{}}]}"#, 1),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":"201"}}]}"#,
            1,
        ),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":100}}]}"#,
            1,
        ),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":429}}]}"#,
            1,
        ),
        (
            r#"{"errors":true,"took":1,"items":[{"create":{"status":201}}]}"#,
            1,
        ),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":409,"error":{"type":"x"}}}]}"#,
            1,
        ),
        (
            r#"{"errors":true,"took":1,"items":[{"create":{"status":201,"error":{"type":"x"}}}]}"#,
            1,
        ),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":201}}]"#,
            1,
        ),
        (
            r#"{"errors":false,"took":1,"items":[{"create":{"status":201}}]}{"#,
            1,
        ),
    ] {
        assert!(parse(body.as_bytes(), expected).is_err(), "{body}");
    }
}

/// The short way of reading an answer and the long one come to the same.
#[test]
fn an_answer_in_the_usual_words_is_read_as_any_other() {
    let items = |count| vec![r#"{"create":{"status":201}}"#; count].join(",");
    for count in 1..4 {
        let items = items(count);
        for usual in [
            format!(r#"{{"errors":false,"took":17,"items":[{items}]}}"#),
            format!(r#"{{"took":17,"errors":false,"items":[{items}]}}"#),
        ] {
            let answer = parse(usual.as_bytes(), count).unwrap();
            let unusual = usual.replace(":[", ": [");
            assert_eq!(parse(unusual.as_bytes(), count).unwrap(), answer);
            assert_eq!(answer.took.as_millis(), 17);
            for expected in (0..6).filter(|expected| *expected != count) {
                assert!(parse(usual.as_bytes(), expected).is_err());
            }
            for other in ["429", "209"] {
                let other = usual.replacen("201", other, 1);
                assert_eq!(
                    parse(other.as_bytes(), count).is_ok(),
                    other.contains("209")
                );
            }
            for end in 0..usual.len() {
                assert!(parse(&usual.as_bytes()[..end], count).is_err(), "{end}");
            }
        }
    }
}

#[test]
fn every_cut_of_an_answer_is_unreadable() {
    for end in 0..MIXED.len() {
        assert!(parse(&MIXED.as_bytes()[..end], 4).is_err(), "{end}");
    }
}

#[test]
fn reasons_are_bounded_and_tolerate_foreign_shapes() {
    let long = serde_json::json!({"type": "x", "reason": "é".repeat(10_000)});
    assert_eq!(explain(&long).unwrap().chars().count(), LONGEST_REASON + 1);
    assert_eq!(explain(&"plain text".into()), Some("plain text".into()));
    assert_eq!(explain(&serde_json::json!({"reason": 1})), None);
    let odd = r#"{"errors":true,"took":1,"items":[{"create":{"status":400,"error":[1]}}]}"#;
    assert_eq!(
        parse(odd.as_bytes(), 1).unwrap().verdicts,
        [Verdict::Refused {
            status: 400,
            kind: String::new(),
            reason: "no reason given".into()
        }]
    );
}
