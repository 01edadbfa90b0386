//! What is read for delivery, over restarts, rotation and floods.

use super::*;
use std::io::Write as _;

struct Ground {
    folder: tempfile::TempDir,
    log: WorkerLog,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = WorkerLog {
            worker: "w-1".to_owned(),
            file: folder.path().join("worker.log"),
            is_live: true,
        };
        Self { folder, log }
    }

    fn write(&self, text: &str) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log.file)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rotate(&self) {
        let older = crate::logs::cursor::part(&self.log.file, 1);
        std::fs::rename(&self.log.file, older).unwrap();
    }

    fn source(positions: Positions) -> Source {
        Source::new(positions, Limit::new(1_000, 1 << 20))
    }

    fn next(&self, source: &mut Source) -> Batch {
        let redactor = Redactor::new(["hunter2-long"]);
        source
            .next(std::slice::from_ref(&self.log), &redactor, 7)
            .unwrap()
    }

    /// Two looks: at the second nothing new has come, so the last record is complete.
    fn all(&self, source: &mut Source) -> Vec<String> {
        let mut texts = texts(&self.next(source));
        texts.extend(self::texts(&self.next(source)));
        texts
    }
}

fn texts(batch: &Batch) -> Vec<String> {
    let texts = batch.entries.iter().map(|entry| entry.record.text.clone());
    texts.collect()
}

fn head(second: u32, message: &str) -> String {
    format!("[2026-11-22T17:00:{second:02}.000Z] INFO {message} (x.Y)")
}

#[test]
fn a_restart_goes_on_where_the_last_delivered_batch_ended() {
    let ground = Ground::new();
    ground.write(&format!("{}\n\tat z\n{}\n", head(1, "a"), head(2, "b")));
    let mut source = Ground::source(Positions::default());
    let first = ground.next(&mut source);
    assert_eq!(texts(&first), [head(1, "a") + "\n\tat z"]);
    let file = ground.folder.path().join("p/kafka.json");
    first.positions.save(&file).unwrap();
    // The second batch is read and not delivered: the daemon dies.
    assert_eq!(texts(&ground.next(&mut source)), [head(2, "b")]);
    ground.rotate();
    ground.write(&(head(3, "c hunter2-long") + "\n"));
    let mut source = Ground::source(Positions::load(&file));
    assert_eq!(ground.all(&mut source), [head(2, "b"), head(3, "c ***")]);
    let batch = ground.next(&mut source);
    assert!(batch.entries.is_empty() && !batch.is_progress);
}

#[test]
fn a_damaged_file_of_positions_means_from_the_beginning() {
    let ground = Ground::new();
    let file = ground.folder.path().join("kafka.json");
    assert_eq!(Positions::load(&file), Positions::default());
    std::fs::write(&file, "{").unwrap();
    assert_eq!(Positions::load(&file), Positions::default());
}

#[test]
fn what_was_removed_before_it_was_delivered_is_told() {
    let ground = Ground::new();
    ground.write(&(head(1, "a") + "\n"));
    let mut source = Ground::source(Positions::default());
    ground.all(&mut source);
    let positions = ground.next(&mut source).positions;
    ground.rotate();
    ground.write(&(head(2, "b") + "\n"));
    std::fs::remove_file(crate::logs::cursor::part(&ground.log.file, 1)).unwrap();
    let told = ground.all(&mut Ground::source(positions));
    assert!(told[0].contains("WARN records were lost"), "{told:?}");
    assert_eq!(told[1], head(2, "b"));
}

#[test]
fn a_flood_is_dropped_and_counted_and_told() {
    let ground = Ground::new();
    let line = head(1, "flood") + "\n";
    ground.write(&line.repeat(500));
    let mut source = Source::new(Positions::default(), Limit::new(10, 1 << 20));
    let first = ground.next(&mut source);
    let second = ground.next(&mut source);
    let dropped = first.dropped + second.dropped;
    assert_eq!(dropped, 400);
    let told: Vec<String> = [texts(&first), texts(&second)].concat();
    let notices = told.iter().filter(|text| text.contains("were dropped"));
    assert_eq!(told.len() - notices.clone().count(), 100);
    assert!(notices.clone().any(|text| text.contains("399 records")));
}

#[test]
fn batches_are_bounded_and_nothing_is_left_out() {
    let ground = Ground::new();
    let mut written = Vec::new();
    for n in 0..600 {
        let text = head(n % 60, &format!("{n} {}", "x".repeat(10_000)));
        ground.write(&(text.clone() + "\n"));
        written.push(text);
    }
    let mut source = Source::new(Positions::default(), Limit::new(1_000, 1 << 30));
    let mut read = Vec::new();
    loop {
        let batch = ground.next(&mut source);
        let bytes: usize = batch.entries.iter().map(|it| it.record.text.len()).sum();
        assert!(bytes < BATCH_BYTES + 2 * BLOCK, "{bytes}");
        if !batch.is_progress && !read.is_empty() {
            break;
        }
        read.extend(texts(&batch));
    }
    assert_eq!(read, written);
}

#[test]
fn a_dead_workers_log_is_read_once_and_closed() {
    let mut ground = Ground::new();
    ground.log.is_live = false;
    ground.write(&(head(1, "a") + "\n\tat z\n"));
    let mut source = Ground::source(Positions::default());
    assert_eq!(ground.next(&mut source).entries.len(), 1);
    assert!(source.tails.is_empty() && source.finished.contains("w-1"));
    assert_eq!(
        ground.next(&mut source),
        Batch {
            positions: source.positions.clone(),
            ..Batch::default()
        }
    );
}
