//! E-mail: from a transition to subject, text and HTML (pure), and from there to an SMTP server.

mod config;
mod link;
mod mailer;
mod render;

use serde::{Deserialize, Serialize};

pub use self::config::{Config, Tls};
pub use self::mailer::{Mailer, Verdict};
pub use self::render::{Style, render};

/// A mail ready to be sent to anybody; what differs by recipient is the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mail {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// With angle brackets, derived from the incident: a mail sent twice can be recognised.
    pub message_id: String,
    /// The opening mail's Message-ID, for reminders and recoveries.
    pub in_reply_to: Option<String>,
}

#[cfg(test)]
mod tests;
