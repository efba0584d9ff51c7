use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::agent::process::name_of;
use crate::event::DataStream;

fn document(value: Value) -> Document {
    match value {
        Value::Object(map) => Document::from(map),
        other => panic!("{other} is no object"),
    }
}

fn sample() -> Document {
    document(json!({
        "log": {"level": "debug", "flags": ["truncated", "multiline"]},
        "message": "Peer 0xab12 left\nagain",
        "ethereum": {"slot": 18_446_744_073_709_551_615_u64, "late": false, "delay_ms": 12.5},
        "nothing": null,
        "odd name": "x",
    }))
}

fn holds(condition: &str) -> bool {
    let parsed = parse(condition).unwrap_or_else(|error| panic!("{condition}: {error}"));
    parsed.condition.holds(View {
        stream: name_of(DataStream::ClientLog),
        document: &sample(),
        base: &document(json!({"host": {"name": "box"}, "log": {"level": "base"}})),
    })
}

#[test]
fn what_holds() {
    for condition in [
        "stream == \"logs-ethereum.client\"",
        "stream starts_with 'logs-' and stream ends_with 'client'",
        "log.level in [\"debug\", \"trace\"]",
        "log.level in ['debug',]",
        "log.level != \"base\"",
        "log.flags == \"multiline\"",
        "message =~ '0x[0-9a-f]+' and message contains \"left\\nag\"",
        "ethereum.slot == 18446744073709551615",
        "ethereum.slot > 18446744073709551614",
        "ethereum.late == false and not ethereum.late == true",
        "ethereum.delay_ms >= 12.5 and ethereum.delay_ms < 1.3e1 and ethereum.delay_ms > -1",
        "host.name == \"box\"",
        "exists(ethereum) and not exists(nothing) and not exists(ethereum.epoch)",
        "`odd name` == \"x\"",
        // `and` binds closer than `or`, `not` closest.
        "exists(message) or exists(nothing) and exists(nothing)",
        "not exists(nothing) and exists(message)",
        "not (exists(nothing) and exists(message))",
    ] {
        assert!(holds(condition), "{condition}");
    }
}

#[test]
fn what_does_not_hold() {
    for condition in [
        "stream == \"logs-ethereum.block\"",
        "log.level == \"base\"",
        "(exists(message) or exists(nothing)) and exists(nothing)",
        "ethereum.slot == \"18446744073709551615\"",
        "message > 1",
        "log == \"debug\"",
        "ethereum.delay_ms =~ '12'",
    ] {
        assert!(!holds(condition), "{condition}");
    }
}

#[test]
fn an_absent_field_passes_no_test_and_so_every_negated_one() {
    for test in [
        "== 1",
        "in [1, \"x\"]",
        "< 1",
        ">= 0",
        "=~ ''",
        "contains ''",
    ] {
        for field in ["absent.field", "nothing"] {
            assert!(!holds(&format!("{field} {test}")), "{field} {test}");
            assert!(holds(&format!("not {field} {test}")), "{field} {test}");
        }
    }
    assert!(holds("absent.field != 1 and absent.field not in [1, 2]"));
}

#[track_caller]
fn check_error(condition: &str, at: usize, part: &str) {
    let error = parse(condition).unwrap_err();
    assert!(error.message.contains(part), "{condition}: {error}");
    assert_eq!(error.at, at, "{condition}: {error}");
}

#[test]
fn errors_say_where_and_what_was_expected() {
    check_error("", 0, "expected a field, not, exists or `(`, found the end");
    check_error(
        "a == ",
        5,
        "expected a \"string\", a number, true or false, found the end",
    );
    check_error("a = 1", 2, "unexpected '=': equality is written ==");
    check_error("a is 1", 2, "expected ==, !=, <, <=, >, >=, =~, in, not in");
    check_error(
        "a == 1 b == 2",
        7,
        "expected and, or, or the end, found `b`",
    );
    check_error("(a == 1", 7, "expected and, or, or `)`, found the end");
    check_error("a < \"5\"", 4, "expected a number, found the string `5`");
    check_error("a in [1 2]", 8, "expected `,` or `]`, found the number 2");
    check_error("a in []", 6, "expected a \"string\", a number");
    check_error("a =~ '('", 5, "no regular expression: unclosed group");
    check_error("a == \"x", 5, "no closing \" for this");
    check_error("a == \"\\d\"", 6, "expected one of \\\"");
    check_error("a == 5x", 5, "expected a number, found `5x`");
    check_error("a == 18446744073709551616", 5, "expected a number");
    check_error("a == 1e999", 5, "expected a number");
    check_error("and == 1", 0, "expected a field");
    check_error("a..b == 1", 0, "expected the name of a field");
    check_error("exists a", 7, "expected `(` after exists, found `a`");
    check_error(&"(".repeat(100), 32, "more than 32");
    check_error(&"not ".repeat(100), 128, "more than 32");
}

#[test]
fn the_stream_alone_may_decide() {
    let decide = |condition: &str| {
        let known = |field: &Field, _: &Test| match field.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        parse(condition).unwrap().condition.decide(&known)
    };
    assert_eq!(decide("exists(yes) and exists(x)"), None);
    assert_eq!(decide("exists(no) and exists(x)"), Some(false));
    assert_eq!(decide("exists(x) or exists(yes)"), Some(true));
    assert_eq!(decide("not (exists(x) and exists(no))"), Some(true));
    assert_eq!(decide("exists(no) or exists(x)"), None);
}

fn scalars() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        any::<bool>().prop_map(Scalar::Bool),
        numbers().prop_map(Scalar::Number),
        any::<String>().prop_map(Scalar::Text),
    ]
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(|number| Number::Integer(number.into())),
        any::<u64>().prop_map(|number| Number::Integer(number.into())),
        any::<f64>()
            .prop_filter("JSON has no other", |number| number.is_finite())
            .prop_map(Number::Float),
    ]
}

fn tests() -> impl Strategy<Value = Test> {
    let bounds = prop_oneof![
        Just(Bound::Below),
        Just(Bound::AtMost),
        Just(Bound::Above),
        Just(Bound::AtLeast)
    ];
    prop_oneof![
        Just(Test::Exists),
        scalars().prop_map(Test::Equals),
        prop::collection::vec(scalars(), 1..4).prop_map(Test::In),
        (bounds, numbers()).prop_map(|(bound, number)| Test::Is(bound, number)),
        "[a-z.*\"'\n\\[\\]]{0,6}".prop_filter_map("a pattern", |text| {
            Pattern::try_from(text).ok().map(Test::Matches)
        }),
        any::<String>().prop_map(Test::Contains),
        any::<String>().prop_map(Test::StartsWith),
        any::<String>().prop_map(Test::EndsWith),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    let field = "([a-z@][a-z0-9_-]{0,3}|and|in|[ä \"']b)(\\.[a-z0-9]{1,3}){0,2}";
    let field = field.prop_map(|name| Field::try_from(name).unwrap());
    let test = (field, tests()).prop_map(|(field, test)| Condition::Test(field, test));
    test.prop_recursive(4, 24, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(Condition::All),
            several.prop_map(Condition::Any),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(text in any::<String>()) {
        if let Err(error) = parse(&text) {
            prop_assert!(text.is_char_boundary(error.at));
        }
    }

    #[test]
    fn any_mixture_of_words_is_read_or_refused(
        words in prop::collection::vec(
            prop_oneof![
                "and|or|not|in|exists|contains|true|a\\.b|`x`|'y'|\"z\"|\"\\\\u\\{41\\}\"|-?[0-9.e+-]{1,4}",
                "==|!=|<=|=~|>|\\(|\\)|\\[|\\]|,|\\\\|\"|'|ä",
            ],
            0..16,
        )
    ) {
        let text = words.join(" ");
        if let Err(error) = parse(&text) {
            prop_assert!(text.is_char_boundary(error.at));
        }
    }

    #[test]
    fn what_is_printed_is_read_again(condition in conditions()) {
        let text = condition.to_string();
        prop_assert_eq!(parse(&text).map(|parsed| parsed.condition), Ok(condition), "{}", text);
    }
}
