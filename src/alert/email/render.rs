//! A transition → subject, text and HTML. Everything from the chain, from logs or from peers is hostile: it is
//! cleaned when it becomes a fact, escaped in HTML, and never a template.

use chrono::{DateTime, Utc};
use minijinja::{Environment, context};
use serde::Serialize;

use super::{Config, Mail, link};
use crate::alert::{Action, Incident, Transition};
use crate::rules::{Condition, Severity, Shown, Witness, clean, elapsed};
use crate::slot::ChainSpec;

/// RFC 5322 advises less; longer subjects are cut by every reader.
const MAX_SUBJECT: usize = 120;
const TEXT_WIDTH: usize = 78;

/// What the configuration adds to a mail.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// Where Kibana is, as readers reach it; no link without it.
    pub kibana_url: Option<String>,
    /// Right side of Message-IDs: the sender's domain.
    pub domain: String,
}

impl Style {
    pub fn new(kibana_url: Option<String>, config: &Config) -> Self {
        let domain = config.from.email.domain().to_owned();
        Self { kibana_url, domain }
    }
}

/// `None` for transitions that are not mailed.
pub fn render(transition: &Transition, chain: &ChainSpec, style: &Style) -> Option<Mail> {
    let incident = transition.incident.as_ref()?;
    if !transition.action.is_mailed() {
        return None;
    }
    let view = View::of(transition, incident, chain, style);
    let id = |kind: &str| format!("<{}.{kind}@{}>", incident.id, style.domain);
    let message_id = match transition.action {
        Action::Reminded => id(&format!("reminded-{}", incident.reminders)),
        action => id(action.name()),
    };
    let opening = id(Action::Opened.name());
    Some(Mail {
        subject: subject(transition, &view),
        text: fill("mail.txt", include_str!("../templates/mail.txt"), &view),
        html: fill("mail.html", include_str!("../templates/mail.html"), &view),
        in_reply_to: (transition.action != Action::Opened).then_some(opening),
        message_id,
    })
}

/// What the templates show.
#[derive(Debug, Serialize)]
struct View {
    /// CRITICAL, WARNING, RESOLVED, …
    label: String,
    colour: &'static str,
    title: String,
    /// The one fact: in the subject, and under the title.
    fact: String,
    /// What, since when, how bad, who: label and value.
    rows: Vec<(&'static str, String)>,
    resolved: bool,
    first_step: String,
    why: String,
    /// The documents behind it, newest first.
    shown: Vec<Shown>,
    more_documents: usize,
    kibana: Option<String>,
    footer: String,
}

impl View {
    fn of(transition: &Transition, incident: &Incident, chain: &ChainSpec, style: &Style) -> Self {
        let rule = &transition.rule;
        let settings = &rule.settings;
        let resolved = transition.action == Action::Resolved;
        let (label, colour) = match (transition.action, incident.severity) {
            (Action::Resolved, _) => ("RESOLVED", "#146c43"),
            (_, Severity::Critical) => ("CRITICAL", "#b42318"),
            (_, Severity::Warning) => ("WARNING", "#9a5b00"),
            (_, Severity::Info) => ("INFO", "#175cd3"),
        };
        let label = match transition.action {
            Action::Reminded => format!("{label} STILL"),
            _ => label.to_owned(),
        };
        let until = incident.ended_at.unwrap_or(transition.at);
        let link =
            |url: &String| link::discover(url, rule, &transition.key, incident.started_at, until);
        let facts = &incident.facts;
        Self {
            label,
            colour,
            title: settings.title.clone(),
            fact: match (&rule.condition, resolved) {
                (_, false) => clean(&facts.line),
                (Condition::Event(event), true) => format!("nothing further for {}", event.quiet),
                (_, true) => format!("over after {}", elapsed(until - incident.started_at)),
            },
            rows: rows(transition, incident, chain),
            resolved,
            first_step: settings.first_step.trim().into(),
            why: settings.why.trim().into(),
            shown: facts.shown.clone(),
            more_documents: facts.more_documents,
            kibana: style.kibana_url.as_ref().map(link),
            footer: format!(
                "ethmon, rule {} version {}, incident {}",
                rule.name, settings.version, incident.id
            ),
        }
    }
}

fn rows(
    transition: &Transition,
    incident: &Incident,
    chain: &ChainSpec,
) -> Vec<(&'static str, String)> {
    let rule = &transition.rule;
    let resolved = transition.action == Action::Resolved;
    let against = |value: Option<f64>| {
        let value = rule.figure(value);
        match incident.limit {
            Some(limit) => format!(
                "{value} (limit: {} {})",
                rule.condition.relation(),
                rule.figure(Some(limit))
            ),
            None => value,
        }
    };
    let facts = &incident.facts;
    let mut rows = vec![(
        "What",
        format!("{}: {}", rule.name, clean(&transition.key.to_string())),
    )];
    if resolved {
        let end = incident.ended_at.unwrap_or(transition.at);
        rows.push(("Start", moment(incident.started_at, chain)));
        rows.push(("End", moment(end, chain)));
        rows.push(("Duration", elapsed(end - incident.started_at)));
        rows.extend(transition.reason.map(|reason| ("Note", reason.to_owned())));
        rows.extend(incident.peak.map(|peak| ("Peak", against(Some(peak)))));
        rows.push(("It was", clean(&incident.worst)));
    } else {
        let since = moment(incident.started_at, chain);
        let age = transition.at - incident.started_at;
        let age = match age.num_seconds() {
            0 => "just now".into(),
            _ => format!("{} before this mail", elapsed(age)),
        };
        rows.push(("Since", format!("{since}, {age}")));
        rows.extend(incident.value.map(|value| ("Value", against(Some(value)))));
        let peak = incident.peak.filter(|peak| Some(*peak) != incident.value);
        rows.extend(peak.map(|peak| ("Peak", rule.figure(Some(peak)))));
    }
    if !facts.nodes.is_empty() {
        let mut nodes: Vec<String> = facts.nodes.iter().map(describe).collect();
        if facts.more_nodes > 0 {
            nodes.push(format!("and {} more", facts.more_nodes));
        }
        rows.push(("Nodes", nodes.join(", ")));
    }
    if !facts.clients.is_empty() {
        rows.push(("Clients", facts.clients.join(", ")));
    }
    rows.push(("Network", clean(&chain.network)));
    rows
}

/// `[ethmon] [CRITICAL] reorg_deep: network, 5 blocks dropped`.
fn subject(transition: &Transition, view: &View) -> String {
    let whole = format!(
        "[ethmon] [{}] {}: {}, {}",
        view.label, transition.rule.name, transition.key, view.fact
    );
    let whole = clean(&whole);
    if whole.chars().count() <= MAX_SUBJECT {
        return whole;
    }
    let cut: String = whole.chars().take(MAX_SUBJECT - 1).collect();
    format!("{}…", cut.trim_end())
}

/// `2026-11-21 11:40:05 UTC (slot 21, epoch 2)`.
fn moment(at: DateTime<Utc>, chain: &ChainSpec) -> String {
    let time = at.format("%Y-%m-%d %H:%M:%S UTC");
    match chain.slot_at(at) {
        Some(slot) => format!("{time} (slot {slot}, epoch {})", chain.epoch_of(slot)),
        None => format!("{time} (before genesis)"),
    }
}

/// `beacon-1 (lodestar 1.5.1)`.
fn describe(node: &Witness) -> String {
    let client = [&node.client, &node.version];
    let client: Vec<&str> = client.into_iter().flatten().map(String::as_str).collect();
    match client.is_empty() {
        true => node.name.clone(),
        false => format!("{} ({})", node.name, client.join(" ")),
    }
}

/// Fills an embedded template. HTML is escaped because of the name's ending. The templates are ours and tested; were
/// one broken, the mail would still say what its rows say.
fn fill(name: &str, template: &str, view: &View) -> String {
    let mut environment = Environment::new();
    environment.add_filter("wrap", wrap);
    environment
        .render_named_str(name, template, context! { view })
        .unwrap_or_else(|error| {
            let rows = view
                .rows
                .iter()
                .map(|(label, value)| format!("{label}: {value}"));
            let rows = rows.collect::<Vec<_>>().join("\n");
            format!(
                "{}\n{}\n{rows}\n(template {name}: {error})\n",
                view.title, view.fact
            )
        })
}

/// Breaks text at spaces; lines after the first begin with `indent` spaces.
fn wrap(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines
            .last_mut()
            .map(|line| line.chars().count())
            .unwrap_or_default();
        if line > 0 && indent + line + 1 + word.chars().count() > TEXT_WIDTH {
            lines.push(word.to_owned());
        } else if let Some(last) = lines.last_mut() {
            if line > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}
