//! Users and ACLs on the broker, made what the role says: what is missing is made, what is too much
//! is removed, and nobody else's are touched.

use super::execute::{ActionError, Job};
use crate::failpoint::{self, Moment};
use crate::grants::Grants;
use crate::kafka::{Access, Acls, Blame, KafkaAdmin, KafkaError, Login, try_login};
use crate::store::{Principal as Kept, now_ms};
use runnel_api::audit::{Actor, AuditEntry};
use runnel_api::{Kind, Problem};
use runnel_iam::Acl;
use runnel_planner::{Principal, Which};
use std::collections::BTreeSet;

/// What has to be done to the ACLs of a user.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    missing: BTreeSet<Acl>,
    /// Those that no role comes to among them: another host, `ALL`.
    extra: Acls,
}

impl Difference {
    fn between(wanted: &BTreeSet<Acl>, found: Acls) -> Self {
        Self {
            missing: wanted.difference(&found.known).cloned().collect(),
            extra: Acls {
                known: found.known.difference(wanted).cloned().collect(),
                foreign_shapes: found.foreign_shapes,
            },
        }
    }

    /// In one line, for people; none when there is none.
    fn told(&self) -> Option<String> {
        let mut parts = Vec::new();
        let list = |acls: &BTreeSet<Acl>| {
            let texts: Vec<String> = acls.iter().map(ToString::to_string).collect();
            texts.join(", ")
        };
        if !self.missing.is_empty() {
            parts.push(format!("missing: {}", list(&self.missing)));
        }
        if !self.extra.known.is_empty() {
            parts.push(format!("too much: {}", list(&self.extra.known)));
        }
        if !self.extra.foreign_shapes.is_empty() {
            let shapes = &self.extra.foreign_shapes;
            let texts: Vec<String> = shapes.iter().map(ToString::to_string).collect();
            parts.push(format!("of another kind: {}", texts.join(", ")));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Job<'_> {
    /// Makes user and ACLs what the role says, and tells of what was not so any more.
    pub(super) async fn grant(&mut self, which: Which) -> Result<(), ActionError> {
        let Some(grants) = self.prepared(which)?.grants.clone() else {
            return Ok(());
        };
        let digest = grants.digest();
        let known = self.memory.with(|facts| match &facts.principal {
            Principal::Granted { digest, .. } => Some(digest.clone()),
            _ => None,
        });
        let was_granted = known.as_deref() == Some(digest.as_str());
        let name = self.situation.name.clone();
        let kept = self
            .inner
            .parts
            .store
            .run(move |store| store.principal(&name));
        let Some(kept) = kept.await? else {
            return Err(ActionError::NoGeneration);
        };
        match self.make(&grants, &kept, was_granted).await {
            Ok(changed) => {
                let at_ms = now_ms();
                self.memory
                    .with(|facts| facts.principal = Principal::Granted { digest, at_ms });
                if was_granted && let Some(changed) = changed {
                    self.tell_drift(&changed).await?;
                }
                Ok(())
            }
            Err(error) => {
                let problem = error.to_problem().field("kafka_cluster");
                self.memory.grant_failed(problem);
                Err(error.into())
            }
        }
    }

    async fn make(
        &self,
        grants: &Grants,
        kept: &Kept,
        was_granted: bool,
    ) -> Result<Option<String>, KafkaError> {
        let timeout = self.inner.parts.timing.kafka_timeout;
        let access = &self.situation.access;
        let mut admin = KafkaAdmin::connect(access, timeout).await?;
        let principal = grants.principal();
        let mut told = Vec::new();
        // ACLs first: a user that can log in must not be able to do more than it may.
        let found = admin.acls_of(&principal).await?;
        let difference = Difference::between(&grants.acls, found);
        told.extend(difference.told());
        if !difference.missing.is_empty() {
            admin.create_acls(&principal, &difference.missing).await?;
        }
        if !difference.extra.is_empty() {
            admin.delete_acls(&principal, &difference.extra).await?;
        }
        failpoint::reach(Moment::After, "grant-acls");

        let exists = admin.scram_user_exists(&grants.username).await?;
        if !exists {
            told.push(String::from("the user was not there"));
        }
        let login = access.with_login(Login::ScramSha512 {
            username: kept.username.clone(),
            password: kept.password.clone(),
        });
        let fits = exists && (was_granted || logs_in(&login, timeout).await?);
        if !fits {
            admin
                .upsert_scram_user(&grants.username, &kept.password)
                .await?;
            failpoint::reach(Moment::After, "grant-user");
            try_login(&login, timeout).await?;
        }
        Ok((!told.is_empty()).then(|| told.join("; ")))
    }

    async fn tell_drift(&self, changed: &str) -> Result<(), ActionError> {
        let text = format!("repaired user and ACLs on the Kafka cluster: {changed}");
        tracing::warn!(connector = %self.situation.name, "{text}");
        let name = self.situation.name.clone();
        let entry = AuditEntry {
            kind: Some(Kind::Connector),
            name: Some(name.clone()),
            detail: Some(changed.to_owned()),
            ..AuditEntry::new(now_ms(), Actor::Daemon, "repair user and ACLs")
        };
        let store = &self.inner.parts.store;
        store
            .run(move |store| {
                store.audit(&entry)?;
                store.add_transition(&name, &text)
            })
            .await?;
        Ok(())
    }

    /// Removes the user, then its ACLs: what can still log in must not be left without denials.
    pub(super) async fn revoke(&mut self) -> Result<(), ActionError> {
        let Some(username) = self.situation.remains.principal.clone() else {
            self.memory.with(|facts| facts.principal = Principal::Gone);
            return Ok(());
        };
        let timeout = self.inner.parts.timing.kafka_timeout;
        match remove(&self.situation.access, &username, timeout).await {
            Ok(()) => {
                self.memory.with(|facts| facts.principal = Principal::Gone);
                Ok(())
            }
            Err(error) => {
                self.memory.grant_failed(error.to_problem());
                Err(error.into())
            }
        }
    }
}

/// Whether the user's password is the one we have, by one attempt; other trouble is an error.
async fn logs_in(access: &Access, timeout: std::time::Duration) -> Result<bool, KafkaError> {
    match KafkaAdmin::connect(access, timeout).await {
        Ok(_) => Ok(true),
        Err(error) if error.blame() == Some(Blame::Password) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a user and all its ACLs; what is not there is fine.
pub(super) async fn remove(
    access: &Access,
    username: &str,
    timeout: std::time::Duration,
) -> Result<(), KafkaError> {
    let mut admin = KafkaAdmin::connect(access, timeout).await?;
    admin.delete_scram_user(username).await?;
    failpoint::reach(Moment::After, "revoke-user");
    admin
        .delete_all_acls_of(&format!("User:{username}"))
        .await?;
    Ok(())
}

impl super::memory::Memory {
    /// Notes that users and ACLs could not be looked at.
    pub(super) fn grant_failed(&self, problem: Problem) {
        self.with(|facts| {
            let at_ms = now_ms();
            let since_ms = match &facts.principal {
                Principal::Trouble { since_ms, .. } => *since_ms,
                _ => at_ms,
            };
            facts.principal = Principal::Trouble {
                problem,
                since_ms,
                at_ms,
            };
        });
    }
}
