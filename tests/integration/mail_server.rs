//! A real mail server (maildev) that shows what it was given.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support;

/// A mail server of the test's own, stopped with it.
pub(crate) struct MailServer {
    directory: tempfile::TempDir,
    pub(crate) smtp_port: u16,
    web: String,
}

impl MailServer {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = service("start", directory.path())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "cannot start the mail server");
        let settings = std::fs::read_to_string(directory.path().join("mail.env")).unwrap();
        let setting = |name: &str| {
            let mut values = settings.lines().filter_map(|line| line.strip_prefix(name));
            values.next().unwrap().to_owned()
        };
        Self {
            smtp_port: setting("MAIL_SMTP_PORT=").parse().unwrap(),
            web: setting("MAIL_WEB_URL=http://"),
            directory,
        }
    }

    /// Everything it was given, as its web page's API tells it.
    pub(crate) async fn mails(&self) -> Value {
        let mut stream = tokio::net::TcpStream::connect(&self.web).await.unwrap();
        let request = format!("GET /email HTTP/1.0\r\nHost: {}\r\n\r\n", self.web);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        service("stop", self.directory.path()).status().ok();
    }
}

fn service(action: &str, directory: &Path) -> Command {
    let mut command = Command::new(support::root().join("deploy/services/mail"));
    command.arg(action).arg(directory);
    command
}
