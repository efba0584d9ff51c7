//! `ethmon check processors` and `check config`, as they are called.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Exit code and output.
fn ethmon(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ethmon"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_shipped_processors_pass_their_cases() {
    let config = "deploy/processors/agent.toml";
    let cases = "deploy/processors/cases.toml";
    let (code, text) = ethmon(&["check", "config", config]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = ethmon(&["check", "processors", "--config", config, cases]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.ends_with("10 processors, 10 cases, 0 failed\n"),
        "{text}"
    );
}

#[test]
fn what_differs_is_shown_field_by_field() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(
        dir.path(),
        "agent.toml",
        r#"
[[processors]]
type = "drop_event"
when = 'log.level == "debug"'
[[processors]]
type = "convert"
field = "labels.n"
as = "integer"
"#,
    );
    let cases = write(
        dir.path(),
        "cases.toml",
        r#"
[[case]]
name = "fine"
stream = "logs-ethereum.client"
document = { log.level = "debug" }
dropped = true
[[case]]
name = "wrong"
stream = "logs-ethereum.client"
document = { message = "m", labels.n = "x" }
expect = { message = "other", labels.n = "x" }
absent = ["labels.n"]
[[case]]
name = "kept"
line = "a line"
dropped = true
[[case]]
name = "dropped"
stream = "logs-ethereum.client"
document = { log.level = "debug" }
expect = { log.level = "debug" }
"#,
    );
    let (code, text) = ethmon(&["check", "processors", "--config", &config, &cases]);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!(text.replace(&cases, "cases.toml"), @r#"
    ok      cases.toml: fine
    FAILED  cases.toml: wrong
            failed: 2 convert not_a_number
            message
              expected "other"
              found    "m"
            labels.n
              expected nothing
              found    "x"
    FAILED  cases.toml: kept
            expected to be dropped, and is kept
    FAILED  cases.toml: dropped
            dropped by processor 1 (drop_event)
    2 processors, 4 cases, 3 failed
    "#);
}

#[test]
fn cases_that_say_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), "agent.toml", "");
    for (case, part) in [
        ("", "there is no [[case]]"),
        (
            "[[case]]\nname = \"x\"\nlin = \"\"",
            "cases.toml:3:1: unknown field `lin`",
        ),
        (
            "[[case]]\nname = \"x\"\nline = \"l\"",
            "either fields to expect or miss, or `dropped = true`",
        ),
        (
            "[[case]]\nname = \"x\"\ndropped = true",
            "one of `line`, `document` and `json`",
        ),
        (
            "[[case]]\nname = \"x\"\ndropped = true\nline = \"a\\nb\"",
            "holds 2 records",
        ),
        ("[[case]]\nline = \"l\"\ndropped = true", "needs a name"),
        (
            "[[case]]\nname = \"x\"\ndropped = true\ndocument = {}\nstream = \"x\"",
            "no data stream is called",
        ),
    ] {
        let cases = write(dir.path(), "cases.toml", case);
        let (code, text) = ethmon(&["check", "processors", "--config", &config, &cases]);
        assert_eq!(code, 1, "{case}: {text}");
        assert!(text.contains(part), "{case}: {text}");
    }
}
