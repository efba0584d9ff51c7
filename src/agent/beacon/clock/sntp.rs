//! Asks time servers over SNTP (RFC 4330).

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::net::UdpSocket;

use super::{Estimate, Source};
use crate::slot;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Of several answers the one with the shortest way is the truest.
const SAMPLES: usize = 4;
/// Seconds between the eras of NTP (1900) and Unix.
const NTP_UNIX_SECONDS: i64 = 2_208_988_800;

/// The first server that answers.
pub(in crate::agent::beacon) async fn measure_any(servers: &[String]) -> anyhow::Result<Estimate> {
    let mut last = anyhow::anyhow!("no time server is configured");
    for server in servers {
        match measure(server).await {
            Ok(measured) => return Ok(measured),
            Err(error) => last = error.context(format!("cannot ask {server}")),
        }
    }
    Err(last)
}

async fn measure(server: &str) -> anyhow::Result<Estimate> {
    let mut best: Option<Estimate> = None;
    let mut failure = None;
    for _ in 0..SAMPLES {
        match tokio::time::timeout(ANSWER_TIMEOUT, ask(server)).await {
            Ok(Ok(sample))
                if best
                    .as_ref()
                    .is_none_or(|best| sample.uncertainty_ms < best.uncertainty_ms) =>
            {
                best = Some(sample);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => failure = Some(error),
            Err(_) => {
                failure = Some(anyhow::anyhow!(
                    "no answer in {} s",
                    ANSWER_TIMEOUT.as_secs()
                ))
            }
        }
        if best.is_none() && failure.is_some() {
            break;
        }
    }
    best.ok_or_else(|| failure.unwrap_or_else(|| anyhow::anyhow!("no answer")))
}

async fn ask(server: &str) -> anyhow::Result<Estimate> {
    let address = if server
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok())
    {
        server.to_owned()
    } else {
        format!("{server}:123")
    };
    let target = tokio::net::lookup_host(&address)
        .await?
        .next()
        .ok_or_else(|| anyhow::anyhow!("{address} has no address"))?;
    let local = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(target).await?;
    // The time field is not our time but a nonce: only an answer to this very question repeats it.
    let nonce = rand::random::<u64>();
    let sent_at = slot::now();
    socket.send(&request(nonce)).await?;
    let mut answer = [0; 96];
    loop {
        let length = socket.recv(&mut answer).await?;
        let received_at = slot::now();
        match evaluate(&answer[..length], nonce, sent_at, received_at) {
            Ok((offset_ms, uncertainty_ms)) => {
                return Ok(Estimate {
                    offset_ms,
                    uncertainty_ms,
                    source: Source::Ntp(server.to_owned()),
                });
            }
            Err(Rejected::NotOurs) => {}
            Err(Rejected::Unusable(reason)) => anyhow::bail!("{reason}"),
        }
    }
}

/// Version 4, client.
fn request(nonce: u64) -> [u8; 48] {
    let mut packet = [0; 48];
    packet[0] = 0b00_100_011;
    packet[40..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

#[derive(Debug, PartialEq)]
enum Rejected {
    /// An answer to somebody else's question, or a forged one.
    NotOurs,
    Unusable(&'static str),
}

/// Offset of the local clock and its uncertainty, both in milliseconds.
fn evaluate(
    answer: &[u8],
    nonce: u64,
    sent_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
) -> Result<(f64, f64), Rejected> {
    let word = |at: usize| {
        answer
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_be_bytes)
    };
    let half = |at: usize| {
        answer
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
    };
    if word(24) != Some(nonce) || answer[0] & 0b111 != 4 {
        return Err(Rejected::NotOurs);
    }
    let (Some(received), Some(sent), Some(root_delay), Some(root_dispersion)) =
        (word(32), word(40), half(4), half(8))
    else {
        return Err(Rejected::Unusable("the answer is cut"));
    };
    if answer[0] >> 6 == 3 || answer[1] == 0 || answer[1] > 15 {
        return Err(Rejected::Unusable("the server's own clock is not set"));
    }
    let there_ms = ntp_minus_unix_ms(received, sent_at);
    let back_ms = ntp_minus_unix_ms(sent, received_at);
    let way_ms = (there_ms - back_ms).max(0.0);
    let short_ms = |value: u32| f64::from(value) / 65.536;
    let uncertainty_ms = way_ms / 2.0 + short_ms(root_delay) / 2.0 + short_ms(root_dispersion);
    Ok((-(there_ms + back_ms) / 2.0, uncertainty_ms))
}

/// Server time minus local time. Computed in the era nearest to the local clock, as the field wraps in 2036.
fn ntp_minus_unix_ms(ntp: u64, local: DateTime<Utc>) -> f64 {
    let local_seconds = (local.timestamp() + NTP_UNIX_SECONDS) as u32;
    let seconds = ((ntp >> 32) as u32).wrapping_sub(local_seconds) as i32;
    let fraction_ms = (ntp & 0xffff_ffff) as f64 / 4_294_967.296;
    f64::from(seconds) * 1000.0 + fraction_ms - f64::from(local.timestamp_subsec_nanos()) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    /// A server whose clock is `ahead_ms` ahead of ours, each way taking `way_ms`.
    fn answer(nonce: u64, asked_at: DateTime<Utc>, ahead_ms: i64, way_ms: i64) -> [u8; 48] {
        let time = asked_at + TimeDelta::milliseconds(ahead_ms + way_ms);
        let seconds = (time.timestamp() + NTP_UNIX_SECONDS) as u32;
        let fraction = (u64::from(time.timestamp_subsec_nanos()) << 32) / 1_000_000_000;
        let mut packet = [0; 48];
        packet[0] = 0b00_100_100;
        packet[1] = 2;
        packet[24..32].copy_from_slice(&nonce.to_be_bytes());
        for at in [32, 40] {
            packet[at..at + 8]
                .copy_from_slice(&((u64::from(seconds) << 32) | fraction).to_be_bytes());
        }
        packet
    }

    #[test]
    fn offset_is_local_minus_true_time() {
        for (asked, ahead_ms) in [
            ("2026-11-21T10:00:00.250Z", 1_500),
            ("2026-11-21T10:00:00Z", -30),
            ("2037-01-01T00:00:00Z", 7),
        ] {
            let asked: DateTime<Utc> = asked.parse().unwrap();
            let packet = answer(9, asked, ahead_ms, 10);
            let (offset, uncertainty) =
                evaluate(&packet, 9, asked, asked + TimeDelta::milliseconds(20)).unwrap();
            assert!((offset + ahead_ms as f64).abs() < 0.001, "{offset}");
            assert!((uncertainty - 10.0).abs() < 0.001, "{uncertainty}");
        }
    }

    #[test]
    fn foreign_and_unset_answers_are_not_believed() {
        let now = DateTime::UNIX_EPOCH;
        let mut packet = answer(9, now, 0, 0);
        assert_eq!(evaluate(&packet, 8, now, now), Err(Rejected::NotOurs));
        assert_eq!(evaluate(&packet[..20], 9, now, now), Err(Rejected::NotOurs));
        packet[1] = 0;
        assert!(matches!(
            evaluate(&packet, 9, now, now),
            Err(Rejected::Unusable(_))
        ));
    }

    #[tokio::test]
    async fn a_real_socket_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let servers = ["127.0.0.1:1".to_owned(), address.clone()];
        let serve = async {
            let mut packet = [0; 64];
            loop {
                let (length, from) = server.recv_from(&mut packet).await.unwrap();
                assert_eq!(length, 48);
                let nonce = u64::from_be_bytes(packet[40..48].try_into().unwrap());
                server
                    .send_to(&answer(nonce, slot::now(), 2_000, 0), from)
                    .await
                    .unwrap();
            }
        };
        let measured = tokio::select! {
            measured = measure_any(&servers) => measured.unwrap(),
            () = serve => unreachable!(),
        };
        assert_eq!(measured.source, Source::Ntp(address));
        assert!((measured.offset_ms + 2_000.0).abs() < 50.0, "{measured:?}");
    }
}
