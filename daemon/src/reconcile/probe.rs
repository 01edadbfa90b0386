//! Whether Kafka clusters answer: asked every few seconds, once for all connectors of a cluster.
//!
//! A pass reads what is known and never waits here. The question is asked besides, only while
//! passes go on asking for the cluster, over one connection that is kept.

use crate::kafka::{Access, KafkaAdmin, KafkaError};
use crate::store::now_ms;
use runnel_api::{ErrorCode, Problem};
use runnel_planner::Reach;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Time between two questions while the cluster answers. With two misses of [`LIMIT`] and a pause
/// between them a cluster that is gone is told after 10 s at the latest; 15 s are promised.
const PERIOD_MS: u64 = 4_000;
/// Time between two questions while it does not.
const HASTE_MS: u64 = 1_000;
/// How long one question may take.
const LIMIT: Duration = Duration::from_millis(2_500);
/// One miss may be a broker that restarts.
const MISSES_MIN: u32 = 2;
/// A cluster that nobody asked for is forgotten after so long.
const FORGET_MS: u64 = 60_000;

/// All clusters that connectors use. Clones share everything.
#[derive(Clone, Default)]
pub(super) struct KafkaProbes {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    clusters: Mutex<BTreeMap<String, Watched>>,
    changes: Notify,
}

#[derive(Default)]
struct Watched {
    standing: Standing,
    asked_for_ms: u64,
    due_ms: u64,
    /// The way in.
    access: Option<Access>,
    /// The connection, while nobody uses it.
    admin: Option<KafkaAdmin>,
    asking: bool,
}

/// What the answers so far amount to. Each answer moves it.
#[derive(Debug, Default)]
struct Standing {
    reach: Reach,
    misses: u32,
    first_miss_ms: u64,
}

impl Standing {
    /// Takes an answer or its absence; true when the cluster's reach is another one now.
    fn note(&mut self, now_ms: u64, missed: Option<Problem>) -> bool {
        let Some(problem) = missed else {
            self.misses = 0;
            let came_back = self.reach != Reach::Yes;
            self.reach = Reach::Yes;
            return came_back;
        };
        if self.misses == 0 {
            self.first_miss_ms = now_ms;
        }
        self.misses = self.misses.saturating_add(1);
        if self.misses < MISSES_MIN {
            return false;
        }
        let went_away = !matches!(self.reach, Reach::No { .. });
        if went_away {
            self.reach = Reach::No {
                since_ms: self.first_miss_ms,
                problem,
            };
        }
        went_away
    }
}

impl KafkaProbes {
    /// What is known of the cluster; asks it besides when that is due.
    pub(super) fn reach(&self, bootstrap: &str, access: Access) -> Reach {
        let now = now_ms();
        let mut clusters = self.lock();
        clusters.retain(|name, it| {
            name == bootstrap || it.asking || now.abs_diff(it.asked_for_ms) < FORGET_MS
        });
        let watched = clusters.entry(bootstrap.to_owned()).or_default();
        watched.asked_for_ms = now;
        if watched.access.as_ref() != Some(&access) {
            // A connection by an older password would go on to answer.
            watched.admin = None;
            watched.access = Some(access.clone());
            watched.due_ms = now;
        }
        // A clock that was set back must not put the next question off.
        let due = now >= watched.due_ms || watched.due_ms - now > PERIOD_MS;
        if due && !watched.asking {
            watched.asking = true;
            let admin = watched.admin.take();
            let this = self.clone();
            let bootstrap = bootstrap.to_owned();
            tokio::spawn(async move {
                let (admin, outcome) = ask(admin, &access).await;
                this.note(&bootstrap, admin, outcome);
            });
        }
        watched.standing.reach.clone()
    }

    /// Returns when some cluster has come or gone.
    pub(super) async fn changed(&self) {
        self.inner.changes.notified().await;
    }

    fn note(&self, bootstrap: &str, admin: Option<KafkaAdmin>, outcome: Result<(), KafkaError>) {
        let now = now_ms();
        let missed = outcome.err().map(|error| {
            let message = format!("the Kafka cluster {bootstrap} does not answer");
            let told = error.to_problem();
            let detail = told.detail.unwrap_or(told.message);
            Problem::new(ErrorCode::KafkaUnreachable, message).detail(detail)
        });
        let pause_ms = if missed.is_some() {
            HASTE_MS
        } else {
            PERIOD_MS
        };
        let mut clusters = self.lock();
        let Some(watched) = clusters.get_mut(bootstrap) else {
            return;
        };
        watched.asking = false;
        watched.admin = admin;
        watched.due_ms = now + pause_ms;
        if watched.standing.note(now, missed) {
            self.inner.changes.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Watched>> {
        self.inner
            .clusters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question; the connection is given back when it may be used again.
async fn ask(
    admin: Option<KafkaAdmin>,
    access: &Access,
) -> (Option<KafkaAdmin>, Result<(), KafkaError>) {
    let mut admin = match admin {
        Some(admin) => admin,
        None => match KafkaAdmin::connect(access, LIMIT).await {
            Ok(admin) => admin,
            // It answers, as far as we can ask.
            Err(error) if error.is_login_by_iam() => return (None, Ok(())),
            Err(error) => return (None, Err(error)),
        },
    };
    match admin.describe_cluster().await {
        Ok(_) => (Some(admin), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Problem {
        Problem::new(ErrorCode::KafkaUnreachable, "refused")
    }

    #[test]
    fn two_misses_in_a_row_are_a_cluster_that_is_away_since_the_first() {
        let mut standing = Standing::default();
        assert!(standing.note(1_000, None));
        assert!(!standing.note(5_000, Some(refused())));
        assert_eq!(standing.reach, Reach::Yes);
        assert!(standing.note(6_000, Some(refused())));
        assert!(matches!(
            standing.reach,
            Reach::No {
                since_ms: 5_000,
                ..
            }
        ));
        assert!(!standing.note(7_000, Some(refused())));
        assert!(matches!(
            standing.reach,
            Reach::No {
                since_ms: 5_000,
                ..
            }
        ));
        assert!(standing.note(8_000, None));
        assert!(
            !standing.note(12_000, Some(refused())),
            "one miss is nothing"
        );
        assert!(!standing.note(13_000, None));
    }

    #[tokio::test]
    async fn a_closed_port_is_told_within_the_promise() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let probes = KafkaProbes::default();
        let bootstrap = format!("127.0.0.1:{port}");
        let servers = vec![("127.0.0.1".to_owned(), port)];
        let look = || probes.reach(&bootstrap, Access::plaintext(servers.clone()));
        assert_eq!(look(), Reach::Unknown);
        let told = tokio::time::timeout(Duration::from_secs(15), async {
            loop {
                let changed = tokio::time::timeout(Duration::from_millis(100), probes.changed());
                let _ = changed.await;
                if let Reach::No { problem, .. } = look() {
                    return problem;
                }
            }
        });
        let problem = told.await.unwrap();
        assert!(problem.message.contains(&bootstrap), "{problem:?}");
    }
}
