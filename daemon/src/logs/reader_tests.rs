//! Reading as people do: the last lines, filters, following.

use super::super::cursor::part;
use super::*;
use std::io::Write as _;
use std::path::Path;

fn log(folder: &Path, worker: &str, text: &str) -> WorkerLog {
    let file = folder.join(format!("{worker}.log"));
    std::fs::write(&file, text).unwrap();
    WorkerLog {
        worker: worker.to_owned(),
        file,
        is_live: true,
    }
}

fn add(log: &WorkerLog, text: &str) {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&log.file)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn head(second: u32, level: &str, message: &str) -> String {
    format!("[2026-11-22T17:00:{second:02}.000Z] {level} {message} (x.Y)\n")
}

fn past(logs: &[WorkerLog], lines: usize, filter: Filter) -> String {
    Reader::new(filter)
        .past(logs, lines, &Redactor::default())
        .unwrap()
}

fn more(reader: &mut Reader, logs: &[WorkerLog]) -> String {
    reader.more(logs, &Redactor::default()).unwrap()
}

fn filter(since: Option<&str>, level: Option<&str>, grep: Option<&str>) -> Filter {
    Filter::parse(since, level, grep, 0).unwrap()
}

#[test]
fn the_last_lines_are_counted_over_parts() {
    let folder = tempfile::tempdir().unwrap();
    let one = log(folder.path(), "w1", "c\nd\n");
    std::fs::write(part(&one.file, 1), "a\nb\n").unwrap();
    let tail = |lines| past(std::slice::from_ref(&one), lines, Filter::default());
    assert_eq!(tail(1), "d\n");
    assert_eq!(tail(2), "c\nd\n");
    assert_eq!(tail(3), "b\nc\nd\n");
    assert_eq!(tail(9), "a\nb\nc\nd\n");
    assert_eq!(tail(0), "");
}

#[test]
fn several_workers_are_merged_by_time_and_named_on_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let trace = head(2, "ERROR", "b") + "\tat z\n";
    let one = log(folder.path(), "w1", &(head(1, "INFO", "a") + &trace));
    let late = head(1, "INFO", "c") + &head(3, "INFO", "d");
    let both = [one, log(folder.path(), "w2", &late)];
    let lines = |text: &str| -> Vec<String> {
        let short = |line: &str| match line.split_once(' ') {
            Some((worker, line)) if line.starts_with('[') => {
                let message = line.split(' ').nth(2).unwrap_or_default();
                format!("{worker} {message}")
            }
            _ => line.replace('\t', ""),
        };
        text.lines().map(short).collect()
    };
    let all = past(&both, 100, Filter::default());
    assert_eq!(lines(&all), ["w1 a", "w2 c", "w1 b", "w1 at z", "w2 d"]);
    // The oldest record comes whole.
    let two = past(&both, 2, Filter::default());
    assert_eq!(lines(&two), ["w1 b", "w1 at z", "w2 d"]);
}

#[test]
fn a_filter_keeps_head_and_trace_together() {
    let folder = tempfile::tempdir().unwrap();
    let text = head(1, "INFO", "fine")
        + &head(2, "ERROR", "bad")
        + "java.lang.X: no\nCaused by: disk\n"
        + &head(3, "WARN", "late");
    let logs = [log(folder.path(), "w1", &text)];
    let bad = head(2, "ERROR", "bad") + "java.lang.X: no\nCaused by: disk\n";
    for (filter, expected) in [
        (filter(None, Some("error"), None), bad.clone()),
        (filter(None, None, Some("by: d.sk")), bad.clone()),
        (
            filter(None, Some("warn"), None),
            bad + &head(3, "WARN", "late"),
        ),
        (
            filter(Some("2026-11-22T17:00:03Z"), None, None),
            head(3, "WARN", "late"),
        ),
        (filter(None, Some("error"), Some("fine")), String::new()),
    ] {
        assert_eq!(past(&logs, 100, filter.clone()), expected, "{filter:?}");
    }
}

#[test]
fn a_rare_record_far_back_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let filler: String = (0..20_000).map(|_| head(2, "INFO", "filler")).collect();
    let logs = [log(folder.path(), "w1", &filler)];
    let rare = head(1, "ERROR", "needle") + "\tat x\n";
    std::fs::write(part(&logs[0].file, 1), rare.clone() + &filler).unwrap();
    let found = past(&logs, 10, filter(None, None, Some("needle")));
    assert_eq!(found, rare);
    let last = past(&logs, 3, Filter::default());
    assert_eq!(last, head(2, "INFO", "filler").repeat(3));
}

#[test]
fn secrets_are_replaced_before_they_can_be_searched() {
    let folder = tempfile::tempdir().unwrap();
    let logs = [log(
        folder.path(),
        "w1",
        &head(1, "INFO", "password hunter2-long"),
    )];
    let redactor = Redactor::new(["hunter2-long"]);
    let shown = |grep| {
        Reader::new(filter(None, None, Some(grep)))
            .past(&logs, 9, &redactor)
            .unwrap()
    };
    assert_eq!(shown("hunter2"), "");
    assert!(shown("password \\*\\*\\*").contains("***"));
}

#[test]
fn following_goes_over_rotation_and_new_workers() {
    let folder = tempfile::tempdir().unwrap();
    let one = log(folder.path(), "w1", "a\n");
    let mut reader = Reader::default();
    let mut logs = vec![one.clone()];
    let first = reader.past(&logs, 10, &Redactor::default()).unwrap();
    assert_eq!(first, "a\n");
    assert_eq!(more(&mut reader, &logs), "");
    add(&one, "b\n");
    assert_eq!(more(&mut reader, &logs), "b\n");
    add(&one, "c\n");
    std::fs::rename(&one.file, part(&one.file, 1)).unwrap();
    add(&one, "d\n");
    assert_eq!(more(&mut reader, &logs), "c\n");
    assert_eq!(more(&mut reader, &logs), "d\n");
    logs.push(log(folder.path(), "w2", "e\n"));
    assert_eq!(more(&mut reader, &logs), "w2 e\n");
    std::fs::remove_file(&one.file).unwrap();
    logs.remove(0);
    assert_eq!(more(&mut reader, &logs), "");
    add(&logs[0], "f\n");
    assert_eq!(more(&mut reader, &logs), "w2 f\n");
}

#[test]
fn a_followed_trace_shares_the_fate_of_its_head_also_when_it_comes_late() {
    let folder = tempfile::tempdir().unwrap();
    let one = log(folder.path(), "w1", "");
    let logs = [one.clone()];
    let mut reader = Reader::new(filter(None, Some("error"), Some("bad")));
    assert_eq!(reader.past(&logs, 9, &Redactor::default()).unwrap(), "");
    add(&one, &(head(1, "INFO", "bad") + "\tat a\n"));
    assert_eq!(more(&mut reader, &logs), "");
    assert_eq!(more(&mut reader, &logs), "");
    add(&one, &head(2, "ERROR", "bad"));
    assert_eq!(more(&mut reader, &logs), "");
    // Nothing came after it, so it is shown; the trace follows.
    assert_eq!(more(&mut reader, &logs), head(2, "ERROR", "bad"));
    add(&one, "\tat b\n");
    assert_eq!(more(&mut reader, &logs), "");
    assert_eq!(more(&mut reader, &logs), "\tat b\n");
}
