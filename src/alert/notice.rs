//! The outbox: each mail to each recipient, from its writing to the server's answer.
//!
//! A notice is stored before it is sent, and its id follows from incident, kind and recipient: writing it again after
//! a crash finds it there. A crash between the server's yes and the storing of it sends the same mail, with the same
//! Message-ID, once more; there is no way to know better.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::email::{Config, Mail, Style, Verdict, render};
use super::incident::{Action, Transition};
use crate::event::DocumentId;
use crate::rules::Key;
use crate::slot::ChainSpec;

/// Longest and shortest pause between attempts; in between it doubles.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(5);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(15);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub id: String,
    pub incident: String,
    pub rule: String,
    pub key: Key,
    pub kind: Action,
    pub recipient: String,
    pub mail: Mail,
    pub written_at: DateTime<Utc>,
    pub attempts: u32,
    /// What the server, or the way to it, answered last.
    pub reply: Option<String>,
    pub delivery: Delivery,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Delivery {
    Queued,
    Sending {
        since: DateTime<Utc>,
    },
    Sent {
        at: DateTime<Utc>,
    },
    /// To be tried again.
    Failed {
        next_attempt: DateTime<Utc>,
    },
    /// Refused for good, or tried too often; kept for a person to look at.
    Dead {
        at: DateTime<Utc>,
    },
}

/// The notices of a transition: one per recipient if it is opened, reminded or resolved, and severe enough.
pub fn notices(
    transition: &Transition,
    chain: &ChainSpec,
    style: &Style,
    config: &Config,
) -> Vec<Notice> {
    if transition.rule.settings.severity < config.min_severity {
        return Vec::new();
    }
    let (Some(mail), Some(incident)) = (
        render(transition, chain, style),
        transition.incident.as_ref(),
    ) else {
        return Vec::new();
    };
    let nth = incident.reminders.to_string();
    let notice = |recipient: String| {
        let mut parts = vec!["notice", &incident.id, transition.action.name(), &recipient];
        if transition.action == Action::Reminded {
            parts.push(&nth);
        }
        Notice {
            id: DocumentId::of(&parts).to_string(),
            incident: incident.id.clone(),
            rule: transition.rule.name.clone(),
            key: transition.key.clone(),
            kind: transition.action,
            recipient,
            mail: mail.clone(),
            written_at: transition.at,
            attempts: 0,
            reply: None,
            delivery: Delivery::Queued,
        }
    };
    config.recipients().into_iter().map(notice).collect()
}

/// The notices to send now, oldest first. A recovery waits until the opening of its incident is through.
/// A notice that has been on its way for longer than `longest_attempt` was left behind by a crash.
pub fn due<'a>(
    notices: impl IntoIterator<Item = &'a Notice>,
    now: DateTime<Utc>,
    longest_attempt: TimeDelta,
) -> Vec<&'a Notice> {
    let mut open: Vec<&Notice> = notices
        .into_iter()
        .filter(|notice| !notice.is_final())
        .collect();
    open.sort_by_key(|notice| (notice.written_at, notice.kind as u8, &notice.id));
    let waits = |at: usize| {
        open[..at].iter().any(|earlier| {
            earlier.incident == open[at].incident && earlier.recipient == open[at].recipient
        })
    };
    (0..open.len())
        .filter(|at| open[*at].is_due(now, longest_attempt) && !waits(*at))
        .map(|at| open[at])
        .collect()
}

impl Notice {
    pub fn is_final(&self) -> bool {
        matches!(self.delivery, Delivery::Sent { .. } | Delivery::Dead { .. })
    }

    fn is_due(&self, now: DateTime<Utc>, longest_attempt: TimeDelta) -> bool {
        match self.delivery {
            Delivery::Queued => true,
            Delivery::Failed { next_attempt } => next_attempt <= now,
            Delivery::Sending { since } => now - since > longest_attempt,
            Delivery::Sent { .. } | Delivery::Dead { .. } => false,
        }
    }

    /// To be stored before the mail is handed over.
    pub fn begin(&mut self, now: DateTime<Utc>) {
        self.attempts += 1;
        self.delivery = Delivery::Sending { since: now };
    }

    /// To be stored after it. `jitter` in 0..1 spreads the attempts of many notices.
    pub fn finish(&mut self, verdict: Verdict, now: DateTime<Utc>, max_attempts: u32, jitter: f64) {
        let (reply, delivery) = match verdict {
            Verdict::Accepted { reply } => (reply, Delivery::Sent { at: now }),
            Verdict::Permanent { reply } => (reply, Delivery::Dead { at: now }),
            Verdict::Transient { reply } if self.attempts >= max_attempts => {
                (reply, Delivery::Dead { at: now })
            }
            Verdict::Transient { reply } => {
                let next_attempt = now + pause(self.attempts, jitter);
                (reply, Delivery::Failed { next_attempt })
            }
        };
        self.reply = Some(reply);
        self.delivery = delivery;
    }
}

impl Action {
    pub fn is_mailed(self) -> bool {
        matches!(self, Self::Opened | Self::Reminded | Self::Resolved)
    }
}

/// Full jitter: anything up to the doubled pause, but never at once.
fn pause(attempts: u32, jitter: f64) -> TimeDelta {
    let doubled = FIRST_PAUSE * 2_i32.pow(attempts.saturating_sub(1).min(16));
    let longest = doubled.min(LONGEST_PAUSE);
    let ms = longest.num_milliseconds() as f64 * jitter.clamp(0.0, 1.0);
    TimeDelta::milliseconds(ms as i64).max(TimeDelta::seconds(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn notice(kind: Action, written: i64) -> Notice {
        Notice {
            id: format!("{kind:?}"),
            incident: "i".into(),
            rule: "reorg".into(),
            key: Key::default(),
            kind,
            recipient: "ops@example.org".into(),
            mail: Mail::default(),
            written_at: at(written),
            attempts: 0,
            reply: None,
            delivery: Delivery::Queued,
        }
    }

    fn due_at(outbox: &[Notice], seconds: i64) -> Vec<&Notice> {
        due(outbox, at(seconds), TimeDelta::minutes(1))
    }

    fn transient() -> Verdict {
        let reply = "451 later".into();
        Verdict::Transient { reply }
    }

    #[test]
    fn a_recovery_waits_for_its_opening() {
        let mut outbox = [notice(Action::Resolved, 5), notice(Action::Opened, 5)];
        assert_eq!(due_at(&outbox, 6), [&outbox[1]]);
        outbox[1].begin(at(6));
        assert!(due_at(&outbox, 6).is_empty());
        outbox[1].finish(transient(), at(7), 9, 1.0);
        assert!(due_at(&outbox, 11).is_empty());
        assert_eq!(due_at(&outbox, 12), [&outbox[1]]);
        outbox[1].begin(at(12));
        let reply = "250 queued".into();
        outbox[1].finish(Verdict::Accepted { reply }, at(13), 9, 1.0);
        assert_eq!(due_at(&outbox, 13), [&outbox[0]]);
    }

    #[test]
    fn attempts_slow_down_and_end() {
        let mut notice = notice(Action::Opened, 0);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            notice.begin(at(0));
            notice.finish(transient(), at(0), 10, 1.0);
            if let Delivery::Failed { next_attempt } = notice.delivery {
                pauses.push((next_attempt - at(0)).num_seconds());
            }
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 900]);
        assert_eq!(notice.delivery, Delivery::Dead { at: at(0) });
        assert_eq!(notice.reply.as_deref(), Some("451 later"));
        assert_eq!(pause(40, 0.0), TimeDelta::seconds(1));
    }

    #[test]
    fn a_notice_left_by_a_crash_is_taken_up() {
        let mut outbox = [notice(Action::Opened, 0)];
        outbox[0].begin(at(0));
        let stored = serde_json::to_string(&outbox[0]).unwrap();
        assert_eq!(serde_json::from_str::<Notice>(&stored).unwrap(), outbox[0]);
        assert!(due_at(&outbox, 60).is_empty());
        assert_eq!(due_at(&outbox, 61).len(), 1);
    }

    #[test]
    fn a_permanent_refusal_is_kept_with_its_reason() {
        let mut notice = notice(Action::Opened, 0);
        notice.begin(at(0));
        let reply = "550 no such user".to_owned();
        notice.finish(
            Verdict::Permanent {
                reply: reply.clone(),
            },
            at(1),
            9,
            0.5,
        );
        assert_eq!(
            (notice.reply, notice.delivery),
            (Some(reply), Delivery::Dead { at: at(1) })
        );
    }
}
