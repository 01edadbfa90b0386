//! SCRAM-SHA-512 users (KIP-554): made, looked for, deleted.

use super::admin::{KafkaAdmin, refusal, text};
use super::call::Call;
use super::error::{Code, KafkaError, Server};
use super::login::random;
use super::scram::SHA_512;
use bytes::Bytes;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    DescribeUserScramCredentialsRequest,
};
use runnel_api::Secret;
use std::collections::BTreeSet;
use std::num::NonZeroU32;

/// SCRAM-SHA-512 in KIP-554.
const MECHANISM: i8 = 2;
/// Rounds of a credential we make; brokers take 4,096 to 16,384. Twice the least: a login takes
/// 5 ms of the broker's time and of ours.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(8_192).unwrap();
/// Random bytes in a salt.
const SALT_LENGTH: usize = 32;

/// What became of a user that shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserDeletion {
    /// The cluster accepted the deletion.
    Deleted,
    /// There was none.
    Missing,
}

impl KafkaAdmin {
    /// Makes a user, or gives it another password. The password itself is never sent. A broker may
    /// refuse the user for a moment; [`super::try_login`] waits for that.
    pub async fn upsert_scram_user(
        &mut self,
        username: &str,
        password: &Secret,
    ) -> Result<(), KafkaError> {
        let deadline = self.deadline();
        let (salt, salted) = self.salted(password.clone()).await?;
        let upsertion = ScramCredentialUpsertion::default()
            .with_name(text(username))
            .with_mechanism(MECHANISM)
            .with_iterations(ITERATIONS.get().cast_signed())
            .with_salt(Bytes::copy_from_slice(&salt))
            .with_salted_password(salted);
        let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]);
        let (server, answer) = self.at_controller(&request, deadline, codes).await?;
        accepted(&server, result_of(&server, &answer, username)?)
    }

    /// Deletes a user's credential; one that is not there is success. Connections that are open go on.
    pub async fn delete_scram_user(&mut self, username: &str) -> Result<UserDeletion, KafkaError> {
        let deadline = self.deadline();
        let deletion = ScramCredentialDeletion::default()
            .with_name(text(username))
            .with_mechanism(MECHANISM);
        let request = AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion]);
        let (server, answer) = self.at_controller(&request, deadline, codes).await?;
        let result = result_of(&server, &answer, username)?;
        if Code::of(result.error_code) == Some(Code::NO_SUCH_RESOURCE) {
            return Ok(UserDeletion::Missing);
        }
        accepted(&server, result)?;
        Ok(UserDeletion::Deleted)
    }

    /// Whether a user has a SCRAM-SHA-512 credential. Which password it has, only a login tells.
    pub async fn scram_user_exists(&mut self, username: &str) -> Result<bool, KafkaError> {
        let users = self.describe_users(Some(username)).await?;
        Ok(users.contains(username))
    }

    /// All users with a SCRAM-SHA-512 credential.
    pub async fn scram_users(&mut self) -> Result<BTreeSet<String>, KafkaError> {
        self.describe_users(None).await
    }

    async fn describe_users(&mut self, only: Option<&str>) -> Result<BTreeSet<String>, KafkaError> {
        let deadline = self.deadline();
        let users = only.map(|username| vec![UserName::default().with_name(text(username))]);
        let request = DescribeUserScramCredentialsRequest::default().with_users(users);
        let (server, answer) = self.ask_any(&request, deadline).await?;
        let call = DescribeUserScramCredentialsRequest::NAME;
        let subject = only.map_or_else(|| "all users".to_owned(), |name| format!("user {name}"));
        let text = answer.error_message.as_ref();
        refusal(&server, call, &subject, answer.error_code, text)?;
        let mut found = BTreeSet::new();
        for user in &answer.results {
            if Code::of(user.error_code) == Some(Code::NO_SUCH_RESOURCE) {
                continue;
            }
            let subject = format!("user {}", &*user.user);
            let text = user.error_message.as_ref();
            refusal(&server, call, &subject, user.error_code, text)?;
            if has_credential(user) {
                found.insert(user.user.to_string());
            }
        }
        Ok(found)
    }

    async fn salted(&self, password: Secret) -> Result<([u8; SALT_LENGTH], Bytes), KafkaError> {
        let salt = random().map_err(|failure| self.failed(failure))?;
        let salting = tokio::task::spawn_blocking(move || {
            Bytes::copy_from_slice(&SHA_512.salt(&password, &salt, ITERATIONS))
        });
        let salted = salting
            .await
            .map_err(|_| self.failed(super::Failure::Closed))?;
        Ok((salt, salted))
    }

    /// An error of ours before anything was sent.
    pub(super) fn failed(&self, failure: super::Failure) -> KafkaError {
        KafkaError::Call {
            server: self.home().clone(),
            call: AlterUserScramCredentialsRequest::NAME,
            failure,
        }
    }
}

fn has_credential(user: &DescribeUserScramCredentialsResult) -> bool {
    let mut credentials = user.credential_infos.iter();
    credentials.any(|credential| credential.mechanism == MECHANISM)
}

fn codes(answer: &AlterUserScramCredentialsResponse) -> Vec<i16> {
    answer.results.iter().map(|user| user.error_code).collect()
}

/// The broker's word on one user.
fn result_of<'a>(
    server: &Server,
    answer: &'a AlterUserScramCredentialsResponse,
    username: &str,
) -> Result<&'a AlterUserScramCredentialsResult, KafkaError> {
    let found = answer.results.iter().find(|user| &*user.user == username);
    found.ok_or_else(|| KafkaError::LeftOut {
        server: server.clone(),
        call: AlterUserScramCredentialsRequest::NAME,
        subject: format!("user {username}"),
    })
}

fn accepted(server: &Server, result: &AlterUserScramCredentialsResult) -> Result<(), KafkaError> {
    refusal(
        server,
        AlterUserScramCredentialsRequest::NAME,
        &format!("user {}", &*result.user),
        result.error_code,
        result.error_message.as_ref(),
    )
}
