//! Mail by STARTTLS and TLS, to a real server with a certificate of its own authority.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use ethmon::alert::email::{self, Mailer, Verdict};
use serde_json::Value;

use crate::alerts::notices_of_a_reorg;
use crate::support;

struct Server {
    directory: tempfile::TempDir,
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start(way: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (key, certificate) = certificate(directory.path());
        let mut process = Command::new("node")
            .arg(support::root().join("tests/integration/mail_tls/server.mjs"))
            .args([&node_modules(), &key, &certificate])
            .arg(way)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut server = Self {
            directory,
            process,
            lines,
            port: 0,
        };
        server.port = server.line().trim().parse().unwrap();
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn next_mail(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn mailer(&self, tls: &str, rest: &str) -> Mailer {
        let text = format!(
            "host = \"localhost\"\nport = {}\ntls = \"{tls}\"\nfrom = \"ethmon@example.org\"\n\
             to = [\"oncall@example.org\"]\nusername = \"ethmon\"\ntimeout = \"5s\"\n{rest}",
            self.port
        );
        let config: email::Config = toml::from_str(&text).unwrap();
        Mailer::smtp(&config).unwrap()
    }

    fn ca_file(&self) -> String {
        format!("ca_file = {:?}", self.directory.path().join("cert.pem"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Where the mail server of the demo keeps the package that serves SMTP.
fn node_modules() -> PathBuf {
    let output = Command::new(support::root().join("deploy/services/mail"))
        .arg("install")
        .output()
        .unwrap();
    assert!(output.status.success(), "cannot install the mail server");
    let path = String::from_utf8(output.stdout).unwrap();
    Path::new(path.lines().last().unwrap()).join("node_modules")
}

/// A key, and a certificate for `localhost` that vouches for itself.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let (key, certificate) = (directory.join("key.pem"), directory.join("cert.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    (key, certificate)
}

async fn mails_arrive(way: &str) {
    if support::elasticsearch(&format!("mails by {way}")).is_none() {
        return;
    }
    let mut server = Server::start(way);
    let notice = &notices_of_a_reorg()[0];
    let password = "password = \"s3cret\"";

    // Nobody vouches for the certificate: no login, no mail.
    let stranger = server.mailer(way, password);
    let verdict = stranger.send(notice).await;
    assert!(
        matches!(&verdict, Verdict::Transient { reply } if reply.to_lowercase().contains("certificate")),
        "{verdict:?}"
    );

    let ca_file = server.ca_file();
    let mistaken = server.mailer(way, &format!("{ca_file}\npassword = \"wrong\""));
    let verdict = mistaken.send(notice).await;
    assert!(
        matches!(&verdict, Verdict::Transient { reply } if reply.contains("535")),
        "a wrong password is corrected some day: {verdict:?}"
    );

    let mailer = server.mailer(way, &format!("{ca_file}\n{password}"));
    mailer.check().await.unwrap();
    let verdict = mailer.send(notice).await;
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
    let mail = server.next_mail();
    assert_eq!(mail["secure"], true);
    assert_eq!(mail["user"], "ethmon");
    assert_eq!(mail["to"], serde_json::json!(["oncall@example.org"]));
    assert!(
        mail["text"].as_str().unwrap().contains("CRITICAL"),
        "{mail}"
    );
}

#[tokio::test]
async fn a_mail_by_starttls_arrives_encrypted_and_only_so() {
    mails_arrive("starttls").await;
}

#[tokio::test]
async fn a_mail_by_tls_arrives_encrypted_and_only_so() {
    mails_arrive("tls").await;
}
