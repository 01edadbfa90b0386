//! SASL over Kafka's own calls (KIP-43, KIP-152).

use super::access::{Access, Login};
use super::admin::{KafkaAdmin, Pause, text};
use super::call::Call;
use super::connection::{Connection, Deadline};
use super::error::{Code, KafkaError, Server, TEXT_LENGTH_MAX};
use super::failure::Failure;
use super::scram::{Hello, SHA_512, ScramError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use runnel_api::Secret;
use std::time::Duration;

const SCRAM_SHA_512: &str = "SCRAM-SHA-512";
const AWS_MSK_IAM: &str = "AWS_MSK_IAM";
/// Brokers that are tried, all at once.
const BROKERS_MAX: usize = 64;
/// How long one broker of several may stay silent before it counts as away.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Random bytes in a nonce.
const NONCE_LENGTH: usize = 24;

/// Logs in at every broker and leaves again. A user that was made a moment ago may not have reached
/// each of them, so a refused login is repeated until the time is up; anything else ends it at once.
/// A broker that is away is no fault of the login, as long as another one answers.
///
/// # Errors
/// The last refusal, or why no bootstrap server answered.
pub async fn try_login(access: &Access, timeout: Duration) -> Result<(), KafkaError> {
    let deadline = Deadline::after(timeout);
    let mut admin = let_in(access, deadline).await?;
    let brokers = admin.cluster(deadline).await?.brokers;
    let mut trying = FuturesUnordered::new();
    for broker in brokers.into_iter().take(BROKERS_MAX) {
        if broker.server != *admin.home() {
            trying.push(let_in_at(broker.server, access, deadline));
        }
    }
    while let Some(tried) = trying.next().await {
        tried?;
    }
    Ok(())
}

async fn let_in(access: &Access, deadline: Deadline) -> Result<KafkaAdmin, KafkaError> {
    let mut pause = Pause::until(deadline);
    let mut last = None;
    loop {
        match KafkaAdmin::connect(access, deadline.left()).await {
            Ok(admin) => return Ok(admin),
            Err(error) if error.is_login_refused() => last = Some(error),
            // The last attempt may have been cut off by our own time-out; the refusal says more.
            Err(error) => return Err(last.unwrap_or(error)),
        }
        if !pause.once_more().await
            && let Some(refused) = last.take()
        {
            return Err(refused);
        }
    }
}

async fn let_in_at(server: Server, access: &Access, deadline: Deadline) -> Result<(), KafkaError> {
    let mut pause = Pause::until(deadline);
    let mut last = None;
    loop {
        let attempt = deadline.at_most(ANSWER_MAX);
        match Connection::open(&server, access, attempt).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.is_login_refused() => last = Some(failure),
            // Away; or cut off by our own time-out after it refused.
            Err(_) => break,
        }
        if !pause.once_more().await {
            break;
        }
    }
    match last {
        None => Ok(()),
        Some(failure) => Err(KafkaError::Call {
            server,
            call: SaslAuthenticateRequest::NAME,
            failure,
        }),
    }
}

/// Logs in on a connection whose versions are known.
pub(super) async fn log_in(
    connection: &mut Connection,
    login: &Login,
    deadline: Deadline,
) -> Result<(), Failure> {
    match login {
        Login::None => Ok(()),
        Login::AwsMskIam => {
            shake_hands(connection, AWS_MSK_IAM, deadline).await?;
            Err(Failure::IamLogin)
        }
        Login::ScramSha512 { username, password } => {
            shake_hands(connection, SCRAM_SHA_512, deadline).await?;
            prove(connection, username, password, deadline).await
        }
    }
}

async fn shake_hands(
    connection: &mut Connection,
    mechanism: &'static str,
    deadline: Deadline,
) -> Result<(), Failure> {
    let request = SaslHandshakeRequest::default().with_mechanism(text(mechanism));
    let answer = connection.call(&request, deadline).await?;
    match Code::of(answer.error_code) {
        None => Ok(()),
        Some(Code::UNKNOWN_MECHANISM) => Err(Failure::Mechanism {
            wanted: mechanism,
            theirs: answer.mechanisms.iter().map(ToString::to_string).collect(),
        }),
        Some(Code::ILLEGAL_SASL_STATE) => Err(Failure::NoLogin),
        Some(code) => Err(Failure::Malformed(format!(
            "SaslHandshake failed with {code}"
        ))),
    }
}

async fn prove(
    connection: &mut Connection,
    username: &str,
    password: &Secret,
    deadline: Deadline,
) -> Result<(), Failure> {
    let hello = Hello::new(&SHA_512, username, nonce()?);
    let first = hello.message();
    let first = say(connection, username, first, deadline).await?;
    let challenge = hello.challenged(&first)?;
    let password = password.clone();
    let answer = tokio::task::spawn_blocking(move || challenge.answer(&password))
        .await
        .map_err(|_| Failure::Closed)?;
    let last = say(connection, username, answer.message().to_owned(), deadline).await?;
    match answer.accepted(&last) {
        Err(ScramError::Refused) => Err(Failure::LoginRefused {
            username: username.to_owned(),
            text: String::new(),
        }),
        judged => Ok(judged?),
    }
}

/// One message of ours and the broker's.
async fn say(
    connection: &mut Connection,
    username: &str,
    message: String,
    deadline: Deadline,
) -> Result<Bytes, Failure> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
    let answer = connection.call(&request, deadline).await?;
    match Code::of(answer.error_code) {
        None => Ok(answer.auth_bytes),
        Some(Code::LOGIN_FAILED) => Err(Failure::LoginRefused {
            username: username.to_owned(),
            text: answer
                .error_message
                .unwrap_or_default()
                .chars()
                .take(TEXT_LENGTH_MAX)
                .collect(),
        }),
        Some(code) => Err(Failure::Malformed(format!(
            "SaslAuthenticate failed with {code}"
        ))),
    }
}

fn nonce() -> Result<String, Failure> {
    Ok(BASE64.encode(random::<NONCE_LENGTH>()?))
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Encode(format!("the machine gives no random bytes: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::secured_tests::{TIMEOUT, admin_access, secured};

    #[tokio::test]
    async fn a_broker_refuses_a_login_until_the_time_is_up_and_one_that_is_away_refuses_none() {
        let access = admin_access(&secured().await);
        let server = |port| Server {
            host: "127.0.0.1".into(),
            port,
        };
        let (_, port) = access.servers[0];
        let deadline = Deadline::after(TIMEOUT);
        let_in_at(server(port), &access, deadline).await.unwrap();
        let wrong = access.with_login(Login::ScramSha512 {
            username: "admin".into(),
            password: Secret::new("wrong"),
        });
        let soon = Deadline::after(Duration::from_secs(2));
        let error = let_in_at(server(port), &wrong, soon).await.unwrap_err();
        assert!(error.is_login_refused(), "{error:?}");
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let away = server(closed.local_addr().unwrap().port());
        drop(closed);
        let_in_at(away, &access, deadline).await.unwrap();
    }
}
