//! Does the cluster let in whom no ACL names (`allow.everyone.if.no.acl.found`)?
//!
//! No call tells this setting. So a user without any ACL is made, asks for what it may not have,
//! and is deleted again.

use super::access::{Access, Login};
use super::admin::{KafkaAdmin, text};
use super::call::Call;
use super::error::{Code, KafkaError};
use super::failure::Failure;
use super::groups::GROUP;
use super::login::{random, try_login};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use kafka_protocol::messages::FindCoordinatorRequest;
use runnel_api::Secret;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// What the names of users begin with that are made to ask, and live for a second.
pub const PROBE_PREFIX: &str = "runnel-probe-";
/// Connecting, making the user, its login, its connection, three questions, and deleting the user.
const STEPS: u32 = 8;
/// A user older than this is nobody's any more: a probe takes seconds, the rest is for clocks of
/// other hosts that go wrong.
const ABANDONED_SECONDS: u64 = 600;
/// A transactional id as the key of `FindCoordinator` (KIP-98).
const TRANSACTIONAL_ID: i8 = 1;

/// Deletes users of probes that a death cut short, here or on another host that looks after the same
/// cluster, and gives their names. What is not named as we name them stays.
pub async fn sweep_probe_users(
    access: &Access,
    timeout: Duration,
) -> Result<Vec<String>, KafkaError> {
    let mut admin = KafkaAdmin::connect(access, timeout).await?;
    let users = admin.scram_users().await?;
    let abandoned: Vec<String> = abandoned(&users, now_seconds())
        .map(str::to_owned)
        .collect();
    for username in &abandoned {
        admin.delete_scram_user(username).await?;
    }
    Ok(abandoned)
}

/// Those users that a probe made long ago.
fn abandoned(users: &BTreeSet<String>, now_seconds: u64) -> impl Iterator<Item = &str> {
    let is_abandoned = move |username: &&str| {
        made_at(username).is_some_and(|made| now_seconds.saturating_sub(made) > ABANDONED_SECONDS)
    };
    users.iter().map(String::as_str).filter(is_abandoned)
}

/// Seconds since the Unix epoch, as [`stranger`] puts them into a name.
fn made_at(username: &str) -> Option<u64> {
    let (seconds, _) = username.strip_prefix(PROBE_PREFIX)?.split_once('-')?;
    seconds.parse().ok()
}

fn now_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Whether somebody without an ACL gets in.
#[derive(Debug)]
pub enum Everyone {
    /// No: only what an ACL allows.
    Refused,
    /// Yes, to what no ACL is about, be it by that setting or by an ACL for everybody. The first ACL
    /// on a resource locks all others out of it.
    LetIn,
    /// It could not be found out.
    Unknown(KafkaError),
}

/// Asks as a user of our own making, which is deleted afterwards whatever happened, even if this
/// future is dropped. `access` must be allowed to make users. Takes `timeout` at most.
pub async fn lets_everyone_in(access: &Access, timeout: Duration) -> Everyone {
    let access = access.clone();
    // A task of its own goes on when whoever waits for it is gone.
    let probing = tokio::spawn(async move { probe(&access, timeout / STEPS).await });
    match probing.await {
        Ok(Ok(everyone)) => everyone,
        Ok(Err(error)) => Everyone::Unknown(error),
        // The runtime is ending.
        Err(_) => Everyone::Unknown(KafkaError::NoServers),
    }
}

async fn probe(access: &Access, step: Duration) -> Result<Everyone, KafkaError> {
    let mut admin = KafkaAdmin::connect(access, step).await?;
    let (username, password) = stranger().map_err(|failure| admin.failed(failure))?;
    let answered = ask_as(&mut admin, access, &username, password, step).await;
    admin.delete_scram_user(&username).await?;
    answered
}

async fn ask_as(
    admin: &mut KafkaAdmin,
    access: &Access,
    username: &str,
    password: Secret,
    step: Duration,
) -> Result<Everyone, KafkaError> {
    admin.upsert_scram_user(username, &password).await?;
    let access = access.with_login(Login::ScramSha512 {
        username: username.to_owned(),
        password,
    });
    try_login(&access, step).await?;
    let mut stranger = KafkaAdmin::connect(&access, step).await?;
    // Each kind of its own: an ACL on every group closes all groups, and leaves topics open. What
    // has no effect is asked first: looking for a coordinator makes its topic, if we are let in.
    let is_let_in = stranger.sees_topic(username).await?
        || stranger.sees_coordinator(GROUP, username).await?
        || stranger
            .sees_coordinator(TRANSACTIONAL_ID, username)
            .await?;
    Ok(if is_let_in {
        Everyone::LetIn
    } else {
        Everyone::Refused
    })
}

impl KafkaAdmin {
    /// Whether we may know if there is this topic.
    async fn sees_topic(&mut self, name: &str) -> Result<bool, KafkaError> {
        match self.topics_exist(&[name]).await {
            Ok(_) => Ok(true),
            Err(error) if error.code().is_some_and(Code::is_denied) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether we may know who is responsible.
    async fn sees_coordinator(&mut self, key_type: i8, key: &str) -> Result<bool, KafkaError> {
        let deadline = self.deadline();
        let request = FindCoordinatorRequest::default()
            .with_key(text(key))
            .with_key_type(key_type);
        let (server, answer) = self.ask_any(&request, deadline).await?;
        match Code::of(answer.error_code) {
            None => Ok(true),
            Some(code) if code.is_coordinator_moving() => Ok(true),
            Some(code) if code.is_denied() => Ok(false),
            Some(code) => Err(KafkaError::refused(
                &server,
                FindCoordinatorRequest::NAME,
                format!("key {key}"),
                code,
                None,
            )),
        }
    }
}

/// A user of this moment with a password that nobody else knows.
fn stranger() -> Result<(String, Secret), Failure> {
    let random_part = BASE64.encode(random::<9>()?);
    let username = format!("{PROBE_PREFIX}{}-{random_part}", now_seconds());
    Ok((username, Secret::new(BASE64.encode(random::<24>()?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_users_that_a_probe_made_long_ago_are_abandoned() {
        let now = 1_800_000_000;
        let cases = [
            ("runnel-probe-1799999000-AbC_-123", true),
            ("runnel-probe-1799999399-AbC", true),
            ("runnel-probe-1799999400-AbC", false),
            ("runnel-probe-1800000000-AbC", false),
            ("runnel-probe-1800009999-AbC", false),
            ("runnel-probe-1799999000", false),
            ("runnel-probe-orders-1", false),
            ("runnel-probe--1-AbC", false),
            ("runnel-orders-1799999000-AbC", false),
            ("admin", false),
        ];
        for (name, expected) in cases {
            let users = BTreeSet::from([name.to_owned()]);
            assert_eq!(abandoned(&users, now).count() == 1, expected, "{name}");
        }
        let (fresh, _) = stranger().unwrap();
        let made = made_at(&fresh).unwrap();
        let users = BTreeSet::from([fresh]);
        assert_eq!(abandoned(&users, made).count(), 0);
        assert_eq!(abandoned(&users, made + ABANDONED_SECONDS + 1).count(), 1);
    }
}
