//! Many files under a limit of open ones: each has its turn, in its order.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::num::NonZeroU32;

use super::rig::Rig;

/// More than a turn's bytes.
fn text(name: &str, lines: usize) -> String {
    (0..lines).fold(String::new(), |mut text, line| {
        writeln!(text, "{name} {line:04} {}", "x".repeat(900)).unwrap();
        text
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_may_be_open_are_all_read_in_order() {
    let mut rig = Rig::new("*.log");
    rig.max_open = Some(4);
    let names: Vec<String> = (0..40).map(|name| format!("{name:02}")).collect();
    for name in &names {
        rig.append(&format!("{name}.log"), text(name, 100));
    }
    rig.start();
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..40 * 100 {
        if next.values().sum::<usize>() == 40 * 100 {
            break;
        }
        for message in rig.take(true).await {
            let (name, rest) = message.split_once(' ').unwrap();
            let line = next.entry(name.to_owned()).or_default();
            assert!(rest.starts_with(&format!("{line:04}")), "{name} {rest}");
            *line += 1;
        }
    }
    assert!(next.len() == 40 && next.values().all(|lines| *lines == 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_does_not_hold_up_short_ones() {
    for max_open in [None, Some(1)] {
        let mut rig = Rig::new("*.log");
        rig.max_open = max_open;
        // No record waits for the line after it.
        rig.section.multiline.lines = NonZeroU32::new(1);
        rig.append("a.log", text("long", 4_000));
        for name in ["b", "c", "d"] {
            rig.append(&format!("{name}.log"), text(name, 1));
        }
        rig.start();
        let (mut long, mut short) = (0, 0);
        while short < 3 {
            for message in rig.take(true).await {
                match message.starts_with("long") {
                    true => long += 1,
                    false => short += 1,
                }
            }
        }
        assert!(long < 2_000, "{long} lines of one file came first");
    }
}
