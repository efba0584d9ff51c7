use crate::config::parse_agent;

fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2 == ".to_owned()),
        "FIELD" => Some("hunter2".to_owned()),
        _ => None,
    }
}

#[track_caller]
fn check(processor: &str, at: &str, part: &str) {
    let text = format!("[[processors]]\n{processor}\n");
    let problem = parse_agent("a.toml", &text, &environment).unwrap_err();
    let told = problem.to_string();
    assert!(
        told.starts_with(&format!("a.toml:{at}: ")),
        "{told}\n{text}"
    );
    assert!(
        told.contains(part) && !told.contains("hunter2"),
        "{told}\n{text}"
    );
}

#[test]
fn complaints_about_keys_have_their_place() {
    check("", "1:1", "needs a type: add_fields, drop_fields");
    check(
        "type = \"grok\"",
        "2:8",
        "no processor is called \"grok\": add_fields",
    );
    check("type = 5", "2:8", "type: expected a string");
    check(
        "type = \"rename\"\nfrom = \"message\"\nt = \"x\"",
        "4:1",
        "unknown field `t`, expected one of `from`, `to`",
    );
    check(
        "type = \"rename\"\nfrom = \"message\"",
        "1:1",
        "missing field `to`",
    );
    check(
        "type = \"sample\"\nrate = 1.5",
        "3:8",
        "a share from 0 to 1",
    );
    check(
        "type = \"convert\"\nfield = \"labels.a\"\nas = \"long\"",
        "4:6",
        "expected one of `integer`",
    );
    check(
        "type = \"dissect\"\nfield = \"message\"\npattern = \"%{a\"",
        "4:11",
        "no closing }",
    );
    check("type = \"redact\"\npattern = '('", "3:11", "unclosed group");
    check(
        "type = \"sample\"\nrate = \"${SECRET}\"",
        "3:8",
        "invalid type",
    );
}

#[test]
fn complaints_about_conditions_have_the_place_of_the_token() {
    let drop = "type = \"drop_event\"\nwhen = ";
    check(
        &format!("{drop}'message = 1'"),
        "3:17",
        "in the condition: unexpected '=': equality is written ==",
    );
    check(
        &format!("{drop}\"message == \\\"x\\\" or\""),
        "3:28",
        "found the end",
    );
    check(
        &format!("{drop}'''\nmessage == \"ä\"\n  and (log.level)'''"),
        "5:17",
        "expected ==",
    );
    check(
        &format!("{drop}'log.levl == \"debug\"'"),
        "3:9",
        "no data stream has a field log.levl",
    );
    check(
        &format!("{drop}'message == \"m\" and exists(log.levl)'"),
        "3:35",
        "log.levl",
    );
    check(
        &format!("{drop}'${{SECRET}} and'"),
        "3:8",
        "wrong with the values from the environment",
    );
    check(&format!("{drop}5"), "3:8", "when: expected a string");
    check(
        &format!("{drop}'stream == \"logs-ethereum.clients\"'"),
        "3:8",
        "this holds for no data stream",
    );
    check(
        &format!("{drop}'system.cpu.cores > 1 and exists(message)'"),
        "3:8",
        "this holds for no data stream",
    );
}

#[test]
fn what_makes_a_document_ours_is_refused() {
    for field in [
        "@timestamp",
        "_id",
        "agent.id",
        "data_stream.dataset",
        "ecs.version",
        "event",
        "host.name",
    ] {
        check(
            &format!("type = \"drop_fields\"\nfields = [\"message\", \"{field}\"]"),
            "3:10",
            "no processor may change it",
        );
        check(
            &format!("type = \"rename\"\nfrom = \"message\"\nto = \"{field}\""),
            "4:6",
            "no processor may change it",
        );
        check(
            &format!("type = \"add_fields\"\nfields = {{ \"{field}\" = 1 }}"),
            "3:10",
            "no processor may change it",
        );
    }
    check(
        "type = \"dissect\"\nfield = \"message\"\npattern = \"%{agent.id}\"",
        "4:11",
        "no processor may change it",
    );
}

#[test]
fn what_no_stream_could_take_is_refused() {
    let add = "type = \"add_fields\"\nfields = { message = \"m\" }";
    check(add, "3:10", "has no field message: use one under labels");
    check(
        &format!("{add}\nwhen = 'exists(log.level) and stream == \"metrics-system.cpu\"'"),
        "4:8",
        "this holds for no data stream",
    );
    check(
        "type = \"add_fields\"\nfields = { ethereum.slot = \"x\" }\nwhen = 'exists(message)'",
        "3:10",
        "with a type that \"x\" is not",
    );
    check(
        "type = \"drop_fields\"\nfields = [\"message\", \"mesage\"]",
        "3:22",
        "has a field mesage",
    );
    check(
        "type = \"copy\"\nfrom = \"message\"\nto = \"original\"",
        "4:6",
        "logs-ethereum.client has no field original",
    );
    check(
        "type = \"copy\"\nfrom = \"mesage\"\nto = \"labels.x\"",
        "3:8",
        "has a field mesage",
    );
    check(
        "type = \"rename\"\nfrom = \"labels.x\"\nto = \"labels.x.y\"",
        "4:6",
        "lie within each other",
    );
    check("type = \"drop_event\"", "1:1", "would drop everything");
    check(
        "type = \"truncate\"\nfields = [\"message\", \"log.offset\"]\nmax_chars = 9",
        "3:22",
        "logs-ethereum.client has no text in log.offset",
    );
    check(
        "type = \"redact\"",
        "1:1",
        "needs a `pattern`, `fields` or both",
    );
    check(
        "type = \"redact\"\npattern = 'x*'",
        "3:11",
        "matches everywhere",
    );
    check(
        "type = \"redact\"\npattern = 'r'",
        "1:1",
        "matches the replacement",
    );
}

#[test]
fn what_the_condition_leaves_out_need_not_fit() {
    let text = "[[processors]]\ntype = \"add_fields\"\nfields = { message = \"m\" }\nwhen = 'event.dataset == \"ethereum.client\"'";
    let agent = parse_agent("a.toml", text, &environment).unwrap();
    assert_eq!(agent.processors.len(), 1);
    assert_eq!(
        parse_agent("a.toml", "", &environment)
            .unwrap()
            .processors
            .len(),
        0
    );
    let problem = parse_agent("a.toml", "processors = 1", &environment).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "a.toml:1:14: expected tables [[processors]]"
    );
}

#[test]
fn what_came_from_the_environment_is_not_shown() {
    check(
        "type = \"${FIELD}\"",
        "2:8",
        "no processor is called \"${FIELD}\"",
    );
    check(
        "type = \"drop_event\"\nwhen = '${FIELD} == 1'",
        "3:8",
        "wrong with the values from the environment",
    );
    check(
        "type = \"add_fields\"\nfields = { ethereum.slot = \"${SECRET}\" }\nwhen = 'exists(message)'",
        "3:10",
        "with a type that \"${SECRET}\" is not",
    );
    check(
        "type = \"drop_fields\"\nfields = [\"${FIELD}\"]",
        "3:11",
        "has a field ${FIELD}",
    );
}
