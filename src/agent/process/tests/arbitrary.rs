//! Documents that nobody would think of.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Chain, base, chain, event};
use crate::event::DataStream;
use crate::setup;

static EVERYTHING: LazyLock<Chain> = LazyLock::new(|| chain(include_str!("everything.toml")));

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z{}\":=secret ä]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(
                "message|labels|log|fields|ethereum|event|slot|secret|a\\.b",
                inner,
                0..4
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What the client's parsers could make.
fn valid_fields() -> impl Strategy<Value = Value> {
    let text = "[a-z{}\":=secret ä]{0,16}|x (labels|ethereum)\\.[a-z]{1,4}=[0-9]{1,3}";
    let flattened = prop::collection::btree_map(
        "a|b|slot|secret|a\\.b",
        prop_oneof![
            text.prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            prop::collection::btree_map("b|c", any::<u8>(), 0..3).prop_map(|map| json!(map)),
        ],
        0..4,
    );
    (
        text,
        prop::option::of(any::<u32>()),
        prop::option::of("debug|info|secret"),
        flattened.clone(),
        flattened,
    )
        .prop_map(|(message, slot, level, labels, fields)| {
            json!({
                "message": message,
                "log": {"level": level, "offset": 1},
                "ethereum": {"slot": slot, "log": {"fields": fields}},
                "labels": labels,
            })
        })
}

proptest! {
    #[test]
    fn what_a_template_takes_it_takes_afterwards(fields in valid_fields()) {
        let mut event = event(DataStream::ClientLog, fields);
        prop_assert_eq!(setup::template_accepts(event.stream, &event.document), Ok(()));
        EVERYTHING.apply(&mut event, &base(), |_| {});
        prop_assert_eq!(setup::template_accepts(event.stream, &event.document), Ok(()));
    }

    #[test]
    fn no_document_makes_a_processor_panic_and_none_leaks(
        fields in prop::collection::btree_map("message|labels|log|ethereum|event", json_values(), 0..5)
    ) {
        let mut event = event(DataStream::ClientLog, Value::Object(fields.into_iter().collect()));
        EVERYTHING.apply(&mut event, &base(), |_| {});
        prop_assert_eq!(event.document.get_str("@timestamp"), Some("1970-01-01T00:00:00.000Z"));
        let left = Value::Object(event.document.as_map().clone()).to_string();
        prop_assert!(!left.contains("secret"), "{}", left);
    }
}
