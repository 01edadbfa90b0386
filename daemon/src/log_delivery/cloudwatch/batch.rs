//! Records as the API takes them: the limits of `PutLogEvents` (Amazon CloudWatch Logs API
//! reference, 2014-03-28).

use crate::log_delivery::source::Entry;
use serde::Serialize;

/// Bytes of one request, messages in UTF-8 and overhead.
const BATCH_BYTES: usize = 1 << 20;
/// Events of one request.
const BATCH_EVENTS: usize = 10_000;
/// Bytes that count for each event besides its message.
const EVENT_OVERHEAD: usize = 26;
/// Bytes of one event with its overhead.
const EVENT_BYTES: usize = 256 << 10;
/// Milliseconds between the first and the last event of one request.
const SPAN_MS: i64 = 86_400_000;

/// One event of a log stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The text, never empty.
    pub message: String,
}

/// Cuts the records of one worker into requests: each in the order of time, within all limits.
pub fn batches<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Vec<Event>> {
    let mut events: Vec<Event> = entries.into_iter().map(event).collect();
    // Stable: records of one millisecond stay in the order of the log.
    events.sort_by_key(|event| event.timestamp);
    let mut batches: Vec<Vec<Event>> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let size = event.message.len() + EVENT_OVERHEAD;
        let fits = batches.last().is_some_and(|batch| {
            batch.len() < BATCH_EVENTS
                && bytes + size <= BATCH_BYTES
                && batch
                    .first()
                    .is_some_and(|first| event.timestamp - first.timestamp < SPAN_MS)
        });
        if !fits {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(batch) = batches.last_mut() {
            batch.push(event);
        }
    }
    batches
}

fn event(entry: &Entry) -> Event {
    let text = &entry.record.text;
    let most = text.floor_char_boundary(EVENT_BYTES - EVENT_OVERHEAD);
    // An empty message is refused by the API.
    let message = match &text[..most] {
        "" => " ",
        text => text,
    };
    Event {
        timestamp: entry.time_ms.max(0),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Record;
    use proptest::prelude::*;

    fn entry(time_ms: i64, text: String) -> Entry {
        Entry {
            worker: "w-1".into(),
            time_ms,
            record: Record {
                time_ms: Some(time_ms),
                level: None,
                text,
                is_whole: true,
                end: 0,
            },
        }
    }

    fn check(entries: &[Entry]) {
        let batches = batches(entries);
        let total: usize = batches.iter().map(Vec::len).sum();
        assert_eq!(total, entries.len());
        for batch in &batches {
            let bytes: usize = batch
                .iter()
                .map(|it| it.message.len() + EVENT_OVERHEAD)
                .sum();
            assert!(!batch.is_empty() && batch.len() <= BATCH_EVENTS && bytes <= BATCH_BYTES);
            assert!(batch.iter().all(|it| !it.message.is_empty()));
            assert!(
                batch
                    .iter()
                    .all(|it| it.message.len() + EVENT_OVERHEAD <= EVENT_BYTES)
            );
            assert!(batch.is_sorted_by_key(|it| it.timestamp));
            assert!(batch[batch.len() - 1].timestamp - batch[0].timestamp < SPAN_MS);
        }
    }

    #[test]
    fn each_limit_begins_a_new_request() {
        check(
            &(0..25_000)
                .map(|n| entry(n, "x".to_owned()))
                .collect::<Vec<_>>(),
        );
        check(
            &(0..9)
                .map(|n| entry(n, "x".repeat(300 << 10)))
                .collect::<Vec<_>>(),
        );
        check(&[
            entry(SPAN_MS, "b".into()),
            entry(0, "a".into()),
            entry(1, String::new()),
        ]);
        check(&[entry(-5, "ü".repeat(200 << 10))]);
        check(&[]);
        let two = batches(&[entry(SPAN_MS, "b".into()), entry(0, "a".into())]);
        assert_eq!(two.len(), 2);
    }

    proptest! {
        #[test]
        fn any_records_become_requests_within_the_limits(
            records in proptest::collection::vec((0..3 * SPAN_MS, 0..400_000usize), 0..40),
        ) {
            let entries: Vec<Entry> = records
                .into_iter()
                .map(|(time, size)| entry(time, "é".repeat(size / 2)))
                .collect();
            check(&entries);
        }
    }
}
