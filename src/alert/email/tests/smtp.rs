//! Against a server that says what the test wants, on loopback.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::super::{Mailer, Verdict};
use super::{a_notice, config};

/// Serves one connection: `extensions` after EHLO, `answers` to the commands that begin so, else 250. Returns what
/// the client said.
async fn serve(listener: TcpListener, extensions: &str, answers: &[(&str, &str)]) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut said = Vec::new();
    write.write_all(b"220 test\r\n").await.unwrap();
    let mut in_data = false;
    while let Ok(Some(line)) = lines.next_line().await {
        let scripted = answers
            .iter()
            .find(|(command, _)| line.starts_with(command));
        let answer = match scripted {
            _ if in_data && line != "." => continue,
            Some((_, answer)) => (*answer).to_owned(),
            None if line.starts_with("EHLO") => format!("250-test\r\n{extensions}250 8BITMIME"),
            None if line == "DATA" => "354 go on".to_owned(),
            None if line == "QUIT" => "221 bye".to_owned(),
            None => "250 2.0.0 queued as 7".to_owned(),
        };
        in_data = answer.starts_with("354");
        let quits = line == "QUIT";
        said.push(line);
        // The client may hang up without waiting.
        if write
            .write_all(format!("{answer}\r\n").as_bytes())
            .await
            .is_err()
            || quits
        {
            break;
        }
    }
    said
}

async fn send(rest: &str, extensions: &str, answers: &[(&str, &str)]) -> (Verdict, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("port = {port}\ntimeout = \"2s\"\n{rest}");
    let client = async move {
        let mailer = Mailer::smtp(&config(&text)).unwrap();
        mailer.send(&a_notice()).await
    };
    let conversation = async { tokio::join!(client, serve(listener, extensions, answers)) };
    tokio::time::timeout(Duration::from_secs(20), conversation)
        .await
        .unwrap()
}

#[tokio::test]
async fn one_envelope_and_the_answer_kept() {
    let (verdict, said) = send("", "", &[]).await;
    let reply = "250 2.0.0 queued as 7".to_owned();
    assert_eq!(verdict, Verdict::Accepted { reply });
    let recipients: Vec<_> = said
        .iter()
        .filter(|line| line.starts_with("RCPT"))
        .collect();
    assert_eq!(recipients, ["RCPT TO:<oncall@example.org>"]);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let (verdict, _) = send("", "", &[("RCPT", "550 5.1.1 no such user")]).await;
    let Verdict::Permanent { reply } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(
        reply.contains("550") && reply.contains("no such user"),
        "{reply}"
    );

    let (verdict, _) = send("", "", &[("MAIL", "451 4.3.0 try again later")]).await;
    assert!(matches!(verdict, Verdict::Transient { reply } if reply.contains("try again later")));

    let login = "username = \"u\"\npassword = \"wrong\"";
    let (verdict, said) = send(login, "250-AUTH PLAIN\r\n", &[("AUTH", "535 5.7.8 no")]).await;
    assert!(matches!(verdict, Verdict::Transient { reply } if reply.contains("535")));
    assert!(!said.iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn without_starttls_nothing_is_said() {
    let text = "host = \"127.0.0.1\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]\ntimeout = \"2s\"";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("{text}\nport = {port}");
    let config = crate::config::parse("mail.toml", &text, &|_| None).unwrap();
    let client = async move { Mailer::smtp(&config).unwrap().send(&a_notice()).await };
    let (verdict, said) = tokio::join!(client, serve(listener, "", &[]));
    assert!(matches!(verdict, Verdict::Transient { .. }), "{verdict:?}");
    assert!(
        !said.iter().any(|line| line.starts_with("MAIL")),
        "{said:?}"
    );
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mailer = Mailer::smtp(&config(&format!("port = {port}\ntimeout = \"1s\""))).unwrap();
    assert!(matches!(
        mailer.send(&a_notice()).await,
        Verdict::Transient { .. }
    ));
    assert!(mailer.check().await.is_err());
}
