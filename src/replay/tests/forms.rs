//! The same recording in other forms, and in forms that are worse, says the same.

use std::fmt::Write;
use std::io::Read;

use super::*;

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let file = fs::File::open(path).unwrap();
    let mut decoder = flate2::read::GzDecoder::new(file);
    decoder.read_to_string(&mut text).unwrap();
    text
}

/// Receive time in nanoseconds and what stood in the line.
fn lines(text: &str) -> impl Iterator<Item = (i64, &str)> {
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines.map(|(ns, line)| (ns.parse().unwrap(), line))
}

/// The recording with each node's stream written anew.
fn rewritten(scenario: &str, write: impl Fn(&str, &str) -> String) -> Value {
    damaged(scenario, |dir| {
        for node in ["node-a", "node-b"] {
            let path = dir.join(node).join("sse.tsv.gz");
            let text = write(node, &unpacked(&path));
            fs::remove_file(&path).unwrap();
            fs::write(dir.join(node).join("sse.tsv"), text).unwrap();
        }
    })
}

fn as_recorded(scenario: &str) -> Value {
    damaged(scenario, |_| {})
}

#[test]
fn other_line_ends_times_comments_and_topics_change_nothing() {
    let scenario = "split-8";
    let forms: [fn(&str, &str) -> String; 4] = [
        |_, text| text.replace('\n', "\r\n"),
        |_, text| {
            let mut seconds = String::from("# HTTP 200 Connection: keep-alive\n");
            for (ns, line) in lines(text) {
                writeln!(
                    seconds,
                    "{}.{:09} {line}",
                    ns / 1_000_000_000,
                    ns % 1_000_000_000
                )
                .unwrap();
            }
            seconds
        },
        // Data over several lines, a comment and a field of no meaning within.
        |_, text| {
            let mut folded = String::new();
            for (ns, line) in lines(text) {
                let line = line.replacen("\",\"", &format!("\",\n{ns}\tdata:\""), 1);
                writeln!(folded, "{ns}\t{line}\n{ns}\t: ping\n{ns}\tid: 5").unwrap();
            }
            folded
        },
        |_, text| {
            let strange = "event: of_tomorrow\n5\tdata: <html>\n5\t\n";
            let mut more = format!("5\t{strange}");
            let mut ended = true;
            for (ns, line) in lines(text) {
                if ended && line.starts_with("event:") {
                    writeln!(
                        more,
                        "{ns}\tevent: of_tomorrow\n{ns}\tdata: {{\"slot\":[]}}\n{ns}\t"
                    )
                    .unwrap();
                }
                ended = line.is_empty();
                writeln!(more, "{ns}\t{line}").unwrap();
            }
            more
        },
    ];
    let plain = as_recorded(scenario);
    for (nth, form) in forms.into_iter().enumerate() {
        assert_eq!(rewritten(scenario, form), plain, "form {nth}");
    }
}

#[test]
fn events_out_of_order_are_put_in_order() {
    for scenario in ["split-8", "geth-split-6"] {
        let report = rewritten(scenario, |_, text| {
            let mut events: Vec<String> = vec![String::new()];
            for (ns, line) in lines(text) {
                let event = events.last_mut().unwrap();
                writeln!(event, "{ns}\t{line}").unwrap();
                if line.is_empty() {
                    events.push(String::new());
                }
            }
            // Those of one time stay as they were: nothing else says their order.
            let time = |event: &String| event.split('\t').next().unwrap_or_default().to_owned();
            events.sort_by_key(|event| std::cmp::Reverse(time(event)));
            events.concat()
        });
        assert_true(scenario, &report);
    }
}

#[test]
fn one_file_for_each_node_is_a_recording_too() {
    let scenario = "split-8";
    let report = damaged(scenario, |dir| {
        for node in ["a", "b"] {
            let folder = dir.join(format!("node-{node}"));
            fs::rename(
                folder.join("sse.tsv.gz"),
                dir.join(format!("node{node}.sse.gz")),
            )
            .unwrap();
            fs::rename(
                folder.join("rest.ndjson.gz"),
                dir.join(format!("{node}.ndjson.gz")),
            )
            .unwrap();
            fs::remove_dir_all(folder).unwrap();
        }
    });
    assert_true(scenario, &report);
}

#[test]
fn a_clock_that_is_wrong_moves_arrivals_and_nothing_else() {
    let scenario = "split-8";
    for skew_ms in [-700_i64, 2_600] {
        let report = damaged(scenario, |dir| {
            let path = dir.join("node-b/sse.tsv.gz");
            let mut moved = String::new();
            for (ns, line) in lines(&unpacked(&path)) {
                writeln!(moved, "{}\t{line}", ns + skew_ms * 1_000_000).unwrap();
            }
            fs::write(path, moved).unwrap();
            for file in ["heads.ndjson.gz", "blocks.ndjson.gz", "rest.ndjson.gz"] {
                fs::remove_file(dir.join("node-b").join(file)).unwrap();
            }
        });
        let plain = as_recorded(scenario);
        for part in ["reorgs", "slots"] {
            let sizes = |report: &Value| -> Vec<_> {
                let entries = list(&report[part]).iter();
                entries
                    .map(|entry| {
                        (
                            entry["root"].clone(),
                            entry["status"].clone(),
                            entry["blocks_dropped"].clone(),
                        )
                    })
                    .collect()
            };
            assert_eq!(sizes(&report), sizes(&plain), "{part} at {skew_ms} ms");
        }
        let arrivals = |report: &Value| -> Vec<_> {
            let blocks = list(&report["blocks"]).iter();
            blocks
                .filter_map(|block| block["seen"]["b"]["arrival_ms"].as_i64())
                .collect()
        };
        let expected: Vec<_> = arrivals(&plain)
            .into_iter()
            .map(|ms| ms + skew_ms)
            .collect();
        assert_eq!(arrivals(&report), expected);
    }
}

#[test]
fn a_node_that_is_there_twice_agrees_with_itself() {
    let report = damaged("split-8", |dir| {
        fs::create_dir(dir.join("node-c")).unwrap();
        for file in FILES {
            fs::copy(dir.join("node-a").join(file), dir.join("node-c").join(file)).unwrap();
        }
        // Of one file that is there twice the compressed one is read.
        fs::write(dir.join("node-c/sse.tsv"), "rubbish").unwrap();
    });
    let nodes: Vec<_> = list(&report["reorgs"])
        .iter()
        .map(|reorg| &reorg["nodes"])
        .collect();
    assert_eq!(nodes, [&serde_json::json!(["a", "c"])]);
}

#[test]
fn nodes_that_say_nothing_or_little_cost_the_others_nothing() {
    for keep in [
        "",
        "sse.tsv.gz",
        "rest.ndjson.gz",
        "heads.ndjson.gz",
        "blocks.ndjson.gz",
    ] {
        let report = damaged("split-8", |dir| {
            let folder = dir.join("node-c");
            fs::create_dir(&folder).unwrap();
            for file in FILES {
                fs::write(folder.join(file), "").unwrap();
            }
            if !keep.is_empty() {
                fs::copy(dir.join("node-a").join(keep), folder.join(keep)).unwrap();
            }
        });
        let of_a = |report: &Value| -> Vec<_> {
            let reorgs = list(&report["reorgs"]).iter();
            reorgs
                .filter(|reorg| list(&reorg["nodes"]).contains(&"a".into()))
                .map(|reorg| (reorg["old_head"].clone(), reorg["blocks_dropped"].clone()))
                .collect()
        };
        assert_eq!(of_a(&report), of_a(&as_recorded("split-8")), "{keep}");
        assert_eq!(report["slots"], as_recorded("split-8")["slots"], "{keep}");
    }
}

#[test]
fn times_written_down_wrongly_are_counted_and_cost_their_events_only() {
    let scenario = "split-8";
    let strays = |text: &str| {
        let mut strayed = String::new();
        for (nth, (ns, line)) in lines(text).enumerate() {
            let ns = match nth % 97 {
                3 => ns / 7,
                5 => ns.saturating_mul(3),
                _ => ns,
            };
            writeln!(strayed, "{ns}\t{line}").unwrap();
        }
        strayed
    };
    let report = rewritten(scenario, |node, text| match node {
        "node-b" => strays(text),
        _ => text.to_owned(),
    });
    assert_eq!(report["slots"], as_recorded(scenario)["slots"]);
    assert_eq!(report["reorgs"], as_recorded(scenario)["reorgs"]);
}

#[test]
fn a_node_of_another_name_or_alone_is_a_node() {
    let report = damaged("split-8", |dir| {
        fs::rename(dir.join("node-a"), dir.join("lighthouse")).unwrap();
    });
    assert_eq!(report["nodes"], serde_json::json!(["b", "lighthouse"]));
    assert_eq!(
        report["reorgs"][0]["nodes"],
        serde_json::json!(["lighthouse"])
    );
    let alone = super::report(&PathBuf::from(RECORDINGS).join("split-8/node-a"));
    assert_eq!(alone["nodes"], serde_json::json!(["a"]));
    assert_eq!(alone["reorgs"][0]["blocks_dropped"], 5);
}

#[test]
fn files_in_any_order_give_the_same_bytes() {
    let scenario = PathBuf::from(RECORDINGS).join("mixed-split-9");
    let written = |reversed: bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut paths: Vec<_> = ["node-a", "node-b"]
            .iter()
            .flat_map(|node| FILES.iter().map(move |file| Path::new(node).join(file)))
            .chain([PathBuf::from("run.json")])
            .collect();
        if reversed {
            paths.reverse();
        }
        for path in paths {
            fs::create_dir_all(folder.path().join(&path).parent().unwrap()).unwrap();
            fs::copy(scenario.join(&path), folder.path().join(&path)).unwrap();
        }
        let mut out = Vec::new();
        replay_all(&[folder.path().to_owned()], &Options::default(), &mut out).unwrap();
        out
    };
    assert_eq!(written(false), written(true));
}

#[test]
fn a_directory_of_recordings_gives_a_line_for_each() {
    let mut out = Vec::new();
    let dir = PathBuf::from(RECORDINGS);
    let (_, failed) = replay_all(&[dir], &Options::default(), &mut out).unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    let lines = String::from_utf8(out).unwrap();
    let lines = lines.lines();
    let reports: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = reports
        .iter()
        .map(|report| text(&report["recording"]))
        .collect();
    assert_eq!(
        names,
        [
            "geth-split-6",
            "healthy-40",
            "late-4",
            "mixed-split-9",
            "split-8"
        ]
    );
    for report in &reports {
        assert_true(&text(&report["recording"]), report);
    }
}

#[test]
fn one_recording_that_is_broken_does_not_keep_the_others_back() {
    let empty = tempfile::tempdir().unwrap();
    let whole = PathBuf::from(RECORDINGS).join("late-4");
    let mut out = Vec::new();
    let dirs = [empty.path().to_owned(), whole];
    let (_, failed) = replay_all(&dirs, &Options::default(), &mut out).unwrap();
    assert_eq!(
        (failed.len(), out.split(|byte| *byte == b'\n').count()),
        (1, 2)
    );
}

/// Slots 12 and 13 have no block: after the last poll of slot 12 nobody says anything.
#[test]
fn the_last_slot_is_judged_although_nobody_spoke_after_it() {
    let time_of = |line: &str| match line.split_once('\t') {
        Some((ns, _)) => ns.parse().unwrap(),
        None => serde_json::from_str::<Value>(line).unwrap()["t1_ns"]
            .as_i64()
            .unwrap(),
    };
    let last_slot = |end_slot: u64| {
        let report = damaged("late-4", |dir| {
            let path = dir.join("run.json");
            let mut run: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let stopped_ns = (run["genesis_time"].as_i64().unwrap() + 13 * 4) * 1_000_000_000;
            run["end_slot"] = end_slot.into();
            fs::remove_file(&path).unwrap();
            fs::write(&path, run.to_string()).unwrap();
            for path in ["node-a", "node-b"]
                .iter()
                .flat_map(|node| FILES.map(|file| dir.join(node).join(file)))
            {
                let text = unpacked(&path);
                let kept = text.lines().filter(|line| time_of(line) < stopped_ns);
                let kept: Vec<_> = kept.collect();
                fs::remove_file(&path).unwrap();
                fs::write(path.with_extension(""), kept.join("\n")).unwrap();
            }
        });
        let last = list(&report["slots"]).last().unwrap();
        (last["slot"].as_u64().unwrap(), text(&last["status"]))
    };
    assert_eq!(last_slot(12), (12, "missed".into()));
    // A recording that was to last longer says nothing of what it did not reach.
    assert_eq!(last_slot(20), (11, "canonical".into()));
}
