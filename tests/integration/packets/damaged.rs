//! Captures that were cut or flipped: what tshark still reads we read too, and nothing ends the reading.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ethmon::agent::packets;
use ethmon::config;
use serde_json::Value;

use super::wire::{Dice, ETHERNET, Frame};
use super::{dns, flows, number, of, ours, recorded, text, tshark, wire};

const ALL: [&str; 5] = ["dns", "http", "tls", "icmp", "sip"];

fn written(dir: &tempfile::TempDir, frames: &[Frame]) -> PathBuf {
    let capture = dir.path().join("damaged.pcap");
    wire::write(&capture, frames);
    capture
}

/// One bit in about every second frame, from `begin` on.
fn flipped(name: &str, begin: usize, dice: &mut Dice) -> Vec<Frame> {
    let mut frames = wire::frames(&recorded(name));
    for frame in &mut frames {
        if frame.bytes.len() > begin && dice.below(2) == 0 {
            let place = begin + dice.below(frame.bytes.len() - begin);
            frame.bytes[place] ^= 1 << dice.below(8);
        }
    }
    frames
}

#[test]
fn frames_that_were_cut_are_counted_as_they_were_on_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    for name in ALL {
        for most in [100, 400] {
            let frames = wire::frames(&recorded(&format!("{name}.pcap")));
            let cut: Vec<Frame> = frames.into_iter().map(|frame| frame.cut(most)).collect();
            // What a fragment leaves out hides the ports of the others.
            if !["dns", "icmp"].contains(&name) {
                flows::assert_agree(&written(&dir, &cut));
            } else {
                assert_accounted(&written(&dir, &cut), cut.len());
            }
        }
    }
}

/// Every frame is in a flow, or counted with the reason why it is in none.
fn assert_accounted(capture: &std::path::Path, frames: usize) {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let files = [capture.to_owned()];
    packets::check(&config::Packets::default(), &files, &mut out, &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(!told.contains("decoder_panics"), "{told}");
    let counted = |name: &str| -> u64 {
        let parts = told.split([' ', ',', '\n']).collect::<Vec<_>>();
        let place = parts.iter().position(|part| *part == name);
        place.map_or(0, |place| parts[place + 1].parse().unwrap())
    };
    let documents: Vec<Value> = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let in_flows: u64 = of(&documents, "network_traffic.flow")
        .iter()
        .map(|flow| number(flow, "network.packets").unwrap())
        .sum();
    let elsewhere = counted("packets_not_ip") + counted("packets_malformed");
    assert_eq!(in_flows + elsewhere, frames as u64, "{told}");
}

#[test]
fn flipped_headers_cost_at_most_their_frame() {
    let dir = tempfile::tempdir().unwrap();
    for name in ALL {
        for seed in 1..6 {
            let frames = flipped(&format!("{name}.pcap"), 12, &mut Dice::new(seed));
            assert_accounted(&written(&dir, &frames), frames.len());
        }
    }
}

/// The headers are whole, so the flows must be; the decoders meet what no server would send.
#[test]
fn flipped_messages_change_no_flow() {
    let dir = tempfile::tempdir().unwrap();
    let payload = ETHERNET + 40 + 40;
    for name in ["http", "tls", "sip"] {
        let frames = flipped(&format!("{name}.pcap"), payload, &mut Dice::new(7));
        flows::assert_agree(&written(&dir, &frames));
    }
}

type Answer = (Option<u64>, Option<u64>, Option<u64>, String);

/// Answers over UDP that are whole by tshark's own word are answers to us, with the same numbers and name.
#[test]
fn flipped_answers_are_read_as_tshark_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let udp_payload = ETHERNET + 20 + 8;
    let mut compared = 0;
    for seed in 1..9 {
        let frames = flipped("dns.pcap", udp_payload, &mut Dice::new(seed));
        let capture = written(&dir, &frames);
        let filter = "udp.srcport == 53 and dns.flags.response == 1 and dns.count.queries == 1 \
            and dns.flags.opcode <= 6 and not ip.flags.mf == 1 and not ip.frag_offset > 0 and not _ws.malformed";
        let documents = ours(&capture);
        let found: BTreeSet<Answer> = of(&documents, "network_traffic.dns")
            .into_iter()
            .map(|document| {
                (
                    number(document, "client.port"),
                    number(document, "dns.id"),
                    number(document, "dns.answers_count"),
                    text(document, "dns.question.name"),
                )
            })
            .collect();
        for row in tshark(&capture, &[], filter, dns::FIELDS) {
            let name = row.first("dns.qry.name");
            // Each writes what is no letter in its own way.
            if !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            {
                continue;
            }
            let answer = (
                dns::client_port(&row),
                row.number("dns.id"),
                row.number("dns.count.answers"),
                name.trim_start_matches("<Root>").to_owned(),
            );
            assert!(found.contains(&answer), "{answer:?} with seed {seed}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} answers were compared");
}

#[test]
fn a_file_that_breaks_off_is_read_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(recorded("dns.pcap")).unwrap();
    let capture = dir.path().join("broken.pcap");
    fs::write(&capture, &whole[..whole.len() - 7]).unwrap();
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let files = [capture];
    let read = packets::check(&config::Packets::default(), &files, &mut out, &mut told);
    let error = format!("{:#}", read.unwrap_err());
    assert!(error.contains("broken.pcap"), "{error}");
    assert!(out.split(|byte| *byte == b'\n').count() > 50);
}
