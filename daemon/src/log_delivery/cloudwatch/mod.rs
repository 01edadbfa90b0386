//! Delivery into a log group of CloudWatch Logs, or of anything that speaks its API: a log stream
//! `CONNECTOR/WORKER` for each worker.

mod api;
mod batch;
#[cfg(test)]
mod moto_tests;

use super::place::{PlaceError, Taken};
use super::source::Entry;
use crate::config::CloudWatchLogs;
use api::{CallError, call, read_secret};
use batch::{Event, batches};
use runnel_api::Secret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The log group of one connector.
#[derive(Debug)]
pub struct CloudWatchPlace {
    server: CloudWatchLogs,
    group: String,
    connector: String,
    /// Read when it is needed and again after an error, so that a key can be exchanged.
    secret: Option<Secret>,
    /// The group was made or is there.
    has_group: bool,
    /// Streams that are there.
    streams: BTreeSet<Arc<str>>,
}

/// What a refusal means. One table, from the API reference and the common errors of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// What should be made or written is there.
    Done,
    /// Group or stream are not there (any more).
    Missing,
    /// Later.
    Later,
    /// This content will never be taken.
    Content,
    /// Somebody has to change something.
    Never,
}

fn meaning(status: u16, code: &str) -> Meaning {
    match code {
        "ResourceAlreadyExistsException" | "DataAlreadyAcceptedException" => Meaning::Done,
        "ResourceNotFoundException" => Meaning::Missing,
        "InvalidParameterException" | "SerializationException" | "ValidationException" => {
            Meaning::Content
        }
        "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "OperationAbortedException"
        | "ServiceUnavailableException"
        | "ServiceUnavailable"
        | "InternalFailure"
        | "RequestExpired"
        | "RequestTimeTooSkewed" => Meaning::Later,
        _ if status >= 500 || status == 408 || status == 429 => Meaning::Later,
        _ => Meaning::Never,
    }
}

impl CloudWatchPlace {
    /// Delivers into a group at a server.
    pub fn new(server: CloudWatchLogs, group: String, connector: String) -> Self {
        Self {
            server,
            group,
            connector,
            secret: None,
            has_group: false,
            streams: BTreeSet::new(),
        }
    }

    /// Puts the records, worker by worker.
    pub async fn deliver(&mut self, entries: &[Entry]) -> Result<Taken, PlaceError> {
        let mut by_worker: BTreeMap<Arc<str>, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            let of_worker = by_worker.entry(entry.worker.clone()).or_default();
            of_worker.push(entry);
        }
        let mut taken = Taken::default();
        for (worker, entries) in by_worker {
            for events in batches(entries) {
                let put = self.put(&worker, &events, &mut taken).await;
                if let Err(error) = put {
                    self.secret = None;
                    self.has_group = false;
                    self.streams.clear();
                    return Err(error);
                }
            }
        }
        Ok(taken)
    }

    async fn call(&mut self, action: &str, body: &Value) -> Result<Value, CallError> {
        let secret = match &self.secret {
            Some(secret) => secret.clone(),
            None => read_secret(&self.server.secret_access_key_file)?,
        };
        let answer = call(&self.server, &secret, action, body).await;
        self.secret = Some(secret);
        answer
    }

    async fn put(
        &mut self,
        worker: &Arc<str>,
        events: &[Event],
        taken: &mut Taken,
    ) -> Result<(), PlaceError> {
        if !self.streams.contains(worker) {
            self.make_stream(worker).await?;
        }
        let body = json!({
            "logGroupName": self.group,
            "logStreamName": self.stream(worker),
            "logEvents": events,
        });
        let count = events.len() as u64;
        match self.call("PutLogEvents", &body).await {
            Ok(answer) => {
                let refused = refused_of(&answer, count);
                taken.delivered += count - refused;
                if refused > 0 {
                    taken.refused += refused;
                    taken.reason = Some(format!(
                        "the log group does not take events of their age: {}",
                        answer["rejectedLogEventsInfo"]
                    ));
                }
                Ok(())
            }
            Err(CallError::Refused {
                status,
                code,
                message,
            }) => match meaning(status, &code) {
                Meaning::Done => {
                    taken.delivered += count;
                    Ok(())
                }
                // Trying again would hold up everything behind it.
                Meaning::Content => {
                    taken.refused += count;
                    taken.reason = Some(format!("{code}: {message}"));
                    Ok(())
                }
                // The group or the stream was deleted; the next attempt makes them again.
                Meaning::Missing | Meaning::Later => {
                    Err(PlaceError::Away(format!("{code}: {message}")))
                }
                Meaning::Never => Err(PlaceError::Refused(format!("{code}: {message}"))),
            },
            Err(error) => Err(of_call(&error)),
        }
    }

    fn stream(&self, worker: &str) -> String {
        format!("{}/{worker}", self.connector)
    }

    async fn make_stream(&mut self, worker: &Arc<str>) -> Result<(), PlaceError> {
        let mut denied = None;
        if !self.has_group {
            let body = json!({"logGroupName": self.group});
            match self.call("CreateLogGroup", &body).await {
                Ok(_) => {}
                Err(CallError::Refused {
                    status,
                    code,
                    message,
                }) => match meaning(status, &code) {
                    Meaning::Done => {}
                    Meaning::Later => return Err(PlaceError::Away(format!("{code}: {message}"))),
                    Meaning::Content => {
                        return Err(PlaceError::Refused(format!(
                            "log group {}: {code}: {message}",
                            self.group
                        )));
                    }
                    // It may be there, and making groups not be allowed.
                    Meaning::Never | Meaning::Missing => {
                        denied = Some(format!("{code}: {message}"));
                    }
                },
                Err(error) => return Err(of_call(&error)),
            }
        }
        let body = json!({"logGroupName": self.group, "logStreamName": self.stream(worker)});
        match self.call("CreateLogStream", &body).await {
            Ok(_) => {}
            Err(CallError::Refused {
                status,
                code,
                message,
            }) => match meaning(status, &code) {
                Meaning::Done => {}
                Meaning::Later => return Err(PlaceError::Away(format!("{code}: {message}"))),
                Meaning::Missing => {
                    let why = denied.map_or(String::new(), |why| {
                        format!(", and making it was refused: {why}")
                    });
                    let group = &self.group;
                    return Err(PlaceError::Refused(format!(
                        "there is no log group {group}{why}"
                    )));
                }
                Meaning::Content | Meaning::Never => {
                    return Err(PlaceError::Refused(format!("{code}: {message}")));
                }
            },
            Err(error) => return Err(of_call(&error)),
        }
        self.has_group = true;
        self.streams.insert(worker.clone());
        Ok(())
    }
}

fn of_call(error: &CallError) -> PlaceError {
    match error {
        CallError::NoAnswer(reason) => PlaceError::Away(reason.clone()),
        CallError::Credential(reason) => PlaceError::Refused(reason.clone()),
        CallError::Refused { .. } => PlaceError::Refused(error.to_string()),
    }
}

/// How many events of a request were refused by their age (`rejectedLogEventsInfo`). The end of what
/// is too old is exclusive by the API reference; moto gives the last index instead, so that 0 stands
/// for one event.
fn refused_of(answer: &Value, count: u64) -> u64 {
    let info = &answer["rejectedLogEventsInfo"];
    let index = |key: &str| info[key].as_u64();
    let old = index("tooOldLogEventEndIndex").max(index("expiredLogEventEndIndex"));
    let new = index("tooNewLogEventStartIndex").map_or(0, |start| count.saturating_sub(start));
    (old.map_or(0, |end| end.max(1)) + new).min(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        for (status, code, expected) in [
            (400, "ResourceAlreadyExistsException", Meaning::Done),
            (400, "ThrottlingException", Meaning::Later),
            (503, "HTTP 503", Meaning::Later),
            (500, "InternalFailure", Meaning::Later),
            (400, "ResourceNotFoundException", Meaning::Missing),
            (400, "InvalidParameterException", Meaning::Content),
            (400, "AccessDeniedException", Meaning::Never),
            (400, "UnrecognizedClientException", Meaning::Never),
            (403, "InvalidSignatureException", Meaning::Never),
            (404, "HTTP 404", Meaning::Never),
        ] {
            assert_eq!(meaning(status, code), expected, "{code}");
        }
    }

    #[test]
    fn events_refused_by_age_are_counted() {
        let of = |info: Value| refused_of(&json!({"rejectedLogEventsInfo": info}), 10);
        assert_eq!(of(Value::Null), 0);
        assert_eq!(of(json!({"tooOldLogEventEndIndex": 3})), 3);
        assert_eq!(of(json!({"tooNewLogEventStartIndex": 8})), 2);
        let both = json!({"expiredLogEventEndIndex": 9, "tooNewLogEventStartIndex": 5});
        assert_eq!(of(both), 10);
    }
}
