//! Waiting for an operation: long polls, bounded, with the daemon allowed to be away for a while.

use crate::daemon_client::{ClientError, DaemonClient};
use runnel_api::{ErrorCode, Operation};
use std::time::Duration;
use tfplugin::CancellationToken;
use tokio::time::Instant;

/// How long one poll asks the daemon to wait. Shorter than idle limits between any two machines.
const POLL: Duration = Duration::from_secs(20);
/// First and longest pause before a call is repeated.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// How a wait ended.
#[derive(Debug)]
pub enum Ended {
    /// The operation is final.
    Final(Operation),
    /// The user pressed Ctrl-C.
    Cancelled(Operation),
    /// Time is up; this is the last that was known, and why nothing newer is, if so.
    TimedOut(Operation, Option<ClientError>),
    /// The daemon does not know the operation any more: the object it belonged to is gone.
    Forgotten,
    /// The daemon refuses to say.
    Refused(ClientError),
}

/// What to do after a poll.
#[derive(Debug)]
enum Next {
    Done(Ended),
    Poll(Operation),
    Retry(Operation, ClientError),
}

/// Waits until `operation` is final, until `deadline`, or until `cancel`.
pub async fn wait(
    daemon: &DaemonClient,
    operation: Operation,
    deadline: Instant,
    cancel: &CancellationToken,
) -> Ended {
    let mut last = operation;
    let mut pause = PAUSE.0;
    let mut trouble = None;
    loop {
        if last.outcome.is_final() {
            return Ended::Final(last);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ended::TimedOut(last, trouble);
        }
        // Whole seconds go over the wire; the last fraction is waited for here.
        let poll = POLL.min(left);
        let answer = tokio::select! {
            () = cancel.cancelled() => return Ended::Cancelled(last),
            () = tokio::time::sleep_until(deadline) => return Ended::TimedOut(last, trouble),
            answer = daemon.operation(last.id, poll) => answer,
        };
        match judge(last, answer) {
            Next::Done(ended) => return ended,
            Next::Poll(operation) => {
                last = operation;
                trouble = None;
                pause = PAUSE.0;
                if poll >= Duration::from_secs(1) {
                    continue;
                }
            }
            Next::Retry(operation, error) => {
                last = operation;
                trouble = Some(error);
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return Ended::Cancelled(last),
            () = tokio::time::sleep(pause.min(left)) => {}
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn judge(last: Operation, answer: Result<Operation, ClientError>) -> Next {
    match answer {
        Ok(operation) if operation.outcome.is_final() => Next::Done(Ended::Final(operation)),
        Ok(operation) => Next::Poll(operation),
        Err(error) if error.is_passing() => Next::Retry(last, error),
        Err(error) if error.code() == Some(ErrorCode::NotFound) => Next::Done(Ended::Forgotten),
        Err(error) => Next::Done(Ended::Refused(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::{Problem, operation::Outcome};

    fn operation(outcome: &str) -> Operation {
        let json = serde_json::json!({
            "id": "00000000-0000-0000-0000-000000000001", "object_kind": "connector", "name": "orders",
            "kind": "CREATE", "generation": 1, "outcome": outcome, "created_ms": 0,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_daemon_that_is_away_is_asked_again_and_one_that_refuses_is_not() {
        let away = ClientError::Lost {
            endpoint: String::new(),
            reason: String::new(),
        };
        let refused = |code| Err(ClientError::Refused(Problem::new(code, "no")));
        let pending = || operation("PENDING");
        assert!(matches!(judge(pending(), Err(away)), Next::Retry(..)));
        assert!(matches!(
            judge(pending(), refused(ErrorCode::Unavailable)),
            Next::Retry(..)
        ));
        assert!(matches!(
            judge(pending(), refused(ErrorCode::NotFound)),
            Next::Done(Ended::Forgotten)
        ));
        assert!(matches!(
            judge(pending(), refused(ErrorCode::Internal)),
            Next::Done(Ended::Refused(_))
        ));
        assert!(matches!(
            judge(pending(), Ok(operation("IN_PROGRESS"))),
            Next::Poll(_)
        ));
        let ended = judge(pending(), Ok(operation("ROLLED_BACK")));
        assert!(
            matches!(ended, Next::Done(Ended::Final(done)) if done.outcome == Outcome::RolledBack)
        );
    }
}
