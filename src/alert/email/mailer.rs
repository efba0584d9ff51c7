//! Hands mails over: to an SMTP server, to a directory, or to memory.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use chrono::TimeDelta;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls as LettreTls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::Mail;
use super::config::{Config, Tls};
use crate::alert::Notice;
use crate::config::Secret;
use crate::rules::clean;

/// Idle connections are closed before most servers would do it.
const IDLE: Duration = Duration::from_secs(30);
const CONNECTIONS: u32 = 4;

/// Who a mail comes from and is addressed to, and the way it goes.
pub struct Mailer {
    from: Mailbox,
    to: Vec<Mailbox>,
    way: Way,
}

enum Way {
    Smtp {
        transport: AsyncSmtpTransport<Tokio1Executor>,
        /// For the whole conversation.
        limit: Duration,
    },
    /// One `.eml` file per notice, named by its id.
    Directory(PathBuf),
    Memory(Mutex<Vec<Vec<u8>>>),
}

/// What became of one mail to one recipient, with the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accepted {
        reply: String,
    },
    /// To be tried again: no answer, a server in trouble, a wrong password that somebody will correct.
    Transient {
        reply: String,
    },
    /// Refused for good.
    Permanent {
        reply: String,
    },
}

impl Mailer {
    /// Nothing is sent yet; files are read.
    pub fn smtp(config: &Config) -> anyhow::Result<Self> {
        config.check()?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port())
            .tls(tls(config)?)
            .timeout(Some(config.timeout))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS).idle_timeout(IDLE));
        let password = Secret::resolve(
            "mail.password",
            config.password.as_ref(),
            config.password_file.as_deref(),
        )?;
        let transport = match (&config.username, password) {
            (Some(username), Some(password)) => transport.credentials(Credentials::new(
                username.clone(),
                password.expose().to_owned(),
            )),
            _ => transport,
        };
        let way = Way::Smtp {
            transport: transport.build(),
            limit: config.timeout * 3,
        };
        Ok(Self::new(config, way))
    }

    pub fn directory(config: &Config, directory: PathBuf) -> Self {
        Self::new(config, Way::Directory(directory))
    }

    pub fn memory(config: &Config) -> Self {
        Self::new(config, Way::Memory(Mutex::default()))
    }

    fn new(config: &Config, way: Way) -> Self {
        Self {
            from: config.from.clone(),
            to: config.to.clone(),
            way,
        }
    }

    /// What no attempt outlasts, with the time its mark in the outbox takes; another process may then try.
    pub fn longest_attempt(&self) -> TimeDelta {
        let conversation = match &self.way {
            Way::Smtp { limit, .. } => *limit,
            Way::Directory(_) | Way::Memory(_) => Duration::ZERO,
        };
        TimeDelta::from_std(conversation * 2).unwrap_or(TimeDelta::MAX)
    }

    /// Sends one notice to its one recipient. Every outcome is a verdict.
    pub async fn send(&self, notice: &Notice) -> Verdict {
        let prepared = message(&self.from, &self.to, &notice.mail, notice.written_at.into())
            .and_then(|message| Ok((self.envelope(&notice.recipient)?, message)));
        let (envelope, message) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let reply = format!("{error:#}");
                return Verdict::Permanent { reply };
            }
        };
        match &self.way {
            Way::Smtp { transport, limit } => {
                let sent = transport.send_raw(&envelope, &message);
                match tokio::time::timeout(*limit, sent).await {
                    Ok(answer) => verdict(answer),
                    Err(_) => {
                        let reply = format!("no answer within {} s", limit.as_secs());
                        Verdict::Transient { reply }
                    }
                }
            }
            Way::Directory(directory) => {
                let path = directory.join(format!("{}.eml", notice.id));
                match tokio::fs::write(&path, &message).await {
                    Ok(()) => {
                        let reply = format!("written to {}", path.display());
                        Verdict::Accepted { reply }
                    }
                    Err(error) => {
                        let reply = format!("cannot write {}: {error}", path.display());
                        Verdict::Transient { reply }
                    }
                }
            }
            Way::Memory(sent) => {
                let mut sent = sent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                sent.push(message);
                let reply = "kept in memory".into();
                Verdict::Accepted { reply }
            }
        }
    }

    /// What the memory way was given, in order.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        match &self.way {
            Way::Memory(sent) => {
                let sent = sent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                sent.clone()
            }
            _ => Vec::new(),
        }
    }

    /// Connects, encrypts and logs in without sending anything.
    pub async fn check(&self) -> anyhow::Result<()> {
        match &self.way {
            Way::Smtp { transport, .. } => {
                let answers = transport.test_connection().await;
                let answers = answers.context("cannot talk to the mail server")?;
                anyhow::ensure!(answers, "the mail server closes the connection");
                Ok(())
            }
            Way::Directory(_) | Way::Memory(_) => Ok(()),
        }
    }

    fn envelope(&self, recipient: &str) -> anyhow::Result<Envelope> {
        let to: Address = recipient
            .parse()
            .with_context(|| format!("not a mail address: {recipient:?}"))?;
        Ok(Envelope::new(Some(self.from.email.clone()), vec![to])?)
    }
}

fn tls(config: &Config) -> anyhow::Result<LettreTls> {
    if config.tls == Tls::None {
        return Ok(LettreTls::None);
    }
    let mut parameters = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path)
            .with_context(|| format!("cannot read mail.ca_file {}", path.display()))?;
        let certificate = Certificate::from_pem(&pem)
            .with_context(|| format!("no certificate in mail.ca_file {}", path.display()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters.build().context("cannot prepare TLS for mail")?;
    Ok(match config.tls {
        Tls::Tls => LettreTls::Wrapper(parameters),
        _ => LettreTls::Required(parameters),
    })
}

/// The message as it goes over the wire: date and Message-ID are those of the notice, however often it is sent.
fn message(
    from: &Mailbox,
    to: &[Mailbox],
    mail: &Mail,
    date: SystemTime,
) -> anyhow::Result<Vec<u8>> {
    let mut builder = Message::builder()
        .from(from.clone())
        .date(date)
        .subject(clean(&mail.subject))
        .message_id(Some(mail.message_id.clone()))
        // So that nobody's out-of-office assistant answers.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".into(),
        ));
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    if let Some(opening) = &mail.in_reply_to {
        builder = builder
            .in_reply_to(opening.clone())
            .references(opening.clone());
    }
    let parts = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
    let message = builder.multipart(parts).context("cannot build the mail")?;
    Ok(message.formatted())
}

fn verdict(
    answer: Result<lettre::transport::smtp::response::Response, lettre::transport::smtp::Error>,
) -> Verdict {
    match answer {
        Ok(response) => {
            let text: Vec<&str> = response.message().collect();
            let reply = clean(&format!("{} {}", response.code(), text.join(" ")));
            Verdict::Accepted { reply }
        }
        Err(error) => {
            let mut reply = error.to_string();
            if let Some(cause) = std::error::Error::source(&error) {
                let cause = cause.to_string();
                if !reply.contains(&cause) {
                    reply = format!("{reply}: {cause}");
                }
            }
            let reply = clean(&reply);
            // A refused login says nothing about the mail: it waits for the right password.
            let login = error.status().map(u16::from);
            let login = login.is_some_and(|code| matches!(code, 530 | 534 | 535 | 538));
            match error.is_permanent() && !login {
                true => Verdict::Permanent { reply },
                false => Verdict::Transient { reply },
            }
        }
    }
}
