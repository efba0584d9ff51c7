//! Mails as they are read, and as servers answer them.

mod smtp;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Config, Mail, Mailer, Style, Verdict, render};
use crate::alert::simulate::Arrival;
use crate::alert::{Action, Notice, Phase, Simulation, Transition, notices, simulate};
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::rules::{Rule, shipped};
use crate::slot::ChainSpec;
use serde_json::{Value, json};

pub(super) fn config(rest: &str) -> Config {
    let text = format!(
        "host = \"127.0.0.1\"\ntls = \"none\"\nfrom = \"ethmon <ethmon@example.org>\"\nto = [\"oncall@example.org\"]\n{rest}"
    );
    crate::config::parse("mail.toml", &text, &|_| None).unwrap()
}

fn chain() -> ChainSpec {
    let mut chain = ChainSpec::example();
    chain.network = "devnet".into();
    chain.slot_duration_ms = 4_000;
    chain.slots_per_epoch = 8;
    chain
}

fn style() -> Style {
    Style::new(Some("https://kibana.example.org".into()), &config(""))
}

fn rule(name: &str) -> Rule {
    let mut rules = shipped().into_iter();
    rules.find(|rule| rule.name == name).unwrap()
}

fn arrival(stream: DataStream, slot: u64, fields: Value) -> Arrival {
    let at = chain().slot_start(slot) + TimeDelta::milliseconds(716);
    let Value::Object(fields) = fields else {
        unreachable!()
    };
    let mut event = Event::new(stream, DocumentId::of(&[&slot.to_string()]), at);
    let mut document = Document::from(fields);
    document.merge_missing(&event.document);
    event.document = document;
    Arrival { at, event }
}

/// The mailed transitions of one rule over some documents.
fn transitions(rule: Rule, arrivals: &[Arrival]) -> Vec<Transition> {
    let simulation = Simulation {
        chain: chain(),
        from: chain().slot_start(0),
        to: chain().slot_start(120),
        tick: TimeDelta::seconds(1),
        idle_tick: TimeDelta::seconds(1),
        restart_at: None,
    };
    let all = simulate(&[rule], arrivals, &simulation);
    all.into_iter()
        .filter(|transition| transition.action.is_mailed())
        .collect()
}

fn reorg() -> Vec<Transition> {
    let root = |byte: &str| format!("0x{}", byte.repeat(32));
    let first = json!({"ethereum": {"nodes": ["beacon-b"], "clients": ["lodestar/1.5.1"], "reorg": {
        "blocks_dropped": 5, "blocks_added": 3, "ancestor_slot": 12, "old_head_slot": 20, "new_head_slot": 19,
        "old_head_root": root("e4"), "new_head_root": root("07"), "confirmed": false}}});
    let second = json!({"ethereum": {"nodes": ["beacon-a"], "clients": ["prysm/6.1.4"], "reorg": {
        "blocks_dropped": 4, "blocks_added": 6, "ancestor_slot": 12, "old_head_slot": 22, "new_head_slot": 23,
        "old_head_root": root("ab"), "new_head_root": root("cd"), "confirmed": true}}});
    let arrivals = [(21, first), (26, second)];
    let arrivals = arrivals.map(|(slot, fields)| arrival(DataStream::Reorg, slot, fields));
    transitions(rule("reorg_deep"), &arrivals)
}

/// A node whose log and name try everything.
fn hostile() -> Vec<Transition> {
    let line = "\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script> {{ view.rule }} {value} \u{202e}gro.elpmaxe <img src=x onerror=alert(1)>";
    let mut arrivals = Vec::new();
    for slot in 10..45 {
        arrivals.push(arrival(
            DataStream::ClientLog,
            slot,
            json!({"log": {"level": "error"}, "message": line,
                   "ethereum": {"node": {"name": "b\r\nSubject: x\"><b>", "client": "<i>lodestar</i>", "version": "1\n2"}}}),
        ));
    }
    transitions(rule("error_logs"), &arrivals)
}

fn mail(transition: &Transition) -> Mail {
    render(transition, &chain(), &style()).unwrap()
}

#[test]
fn an_opening_and_its_recovery_as_text() {
    let reorg = reorg();
    assert_eq!(reorg.len(), 2);
    let [opened, resolved] = [&reorg[0], &reorg[1]].map(mail);
    let both = |mail: &Mail| format!("{}\n\n{}", mail.subject, mail.text);
    insta::assert_snapshot!("reorg_opened_text", both(&opened));
    insta::assert_snapshot!("reorg_resolved_text", both(&resolved));
    assert_eq!(resolved.in_reply_to, Some(opened.message_id));
    assert_eq!(opened.in_reply_to, None);
}

#[test]
fn an_opening_and_its_recovery_as_html() {
    let reorg = reorg();
    insta::assert_snapshot!("reorg_opened_html", mail(&reorg[0]).html);
    insta::assert_snapshot!("reorg_resolved_html", mail(&reorg[1]).html);
}

#[test]
fn hostile_text_stays_text() {
    let transitions = hostile();
    let opened = mail(&transitions[0]);
    insta::assert_snapshot!(
        "hostile_text",
        format!("{}\n\n{}", opened.subject, opened.text)
    );
    insta::assert_snapshot!("hostile_html", opened.html);
    assert!(opened.subject.chars().count() <= 120);
    assert!(!opened.subject.contains(char::is_control));
    for tag in ["<script", "<img", "<b>", "<i>"] {
        assert!(!opened.html.contains(tag), "{tag}");
    }
}

#[tokio::test]
async fn headers_cannot_be_injected() {
    let config = config("");
    let mailer = Mailer::memory(&config);
    let transition = hostile().remove(0);
    let notices = notices(&transition, &chain(), &style(), &config);
    assert!(matches!(
        mailer.send(&notices[0]).await,
        Verdict::Accepted { .. }
    ));
    let message = String::from_utf8(mailer.sent().remove(0)).unwrap();
    let (headers, _) = message.split_once("\r\n\r\n").unwrap();
    let unfolded = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
    let names: Vec<_> = unfolded
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    let expected = [
        "From",
        "Date",
        "Subject",
        "Message-ID",
        "Auto-Submitted",
        "To",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(names, expected, "{headers}");
}

#[test]
fn what_is_less_severe_is_not_mailed() {
    let transition = reorg().remove(0);
    let count = |rest: &str| notices(&transition, &chain(), &style(), &config(rest)).len();
    assert_eq!(count(""), 1);
    let mut mild = transition.clone();
    mild.rule = std::sync::Arc::new(rule("reorg_shallow"));
    assert!(notices(&mild, &chain(), &style(), &config("")).is_empty());
    assert_eq!(
        notices(
            &mild,
            &chain(),
            &style(),
            &config("min_severity = \"info\"")
        )
        .len(),
        1
    );
}

#[test]
fn a_step_that_nobody_needs_is_not_mailed() {
    let mut transition = reorg().remove(0);
    (transition.action, transition.to) = (Action::Cleared, Phase::Recovering);
    assert_eq!(render(&transition, &chain(), &style()), None);
}

#[tokio::test]
async fn a_directory_holds_one_file_per_notice() {
    let dir = tempfile::tempdir().unwrap();
    let mailer = Mailer::directory(&config(""), dir.path().into());
    let notice = a_notice();
    for _ in 0..2 {
        assert!(matches!(
            mailer.send(&notice).await,
            Verdict::Accepted { .. }
        ));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let gone = Mailer::directory(&config(""), dir.path().join("nowhere"));
    assert!(matches!(
        gone.send(&notice).await,
        Verdict::Transient { .. }
    ));
}

pub(super) fn a_notice() -> Notice {
    notices(&reorg()[0], &chain(), &style(), &config("")).remove(0)
}

/// Keeps the helper honest: simulated time starts at genesis.
#[test]
fn the_reorg_is_noticed_within_a_second() {
    let opened = reorg().remove(0);
    let happened: DateTime<Utc> = opened.incident.unwrap().started_at;
    assert!(opened.at - happened < TimeDelta::seconds(1));
}
