//! ARNs and identities: everything about an object's address that is known before it exists.

use crate::name::{Kind, Name};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The account number in every ARN: one daemon is one account.
pub const ACCOUNT: &str = "000000000000";
/// The region in every ARN, chosen so that clients of the AWS API accept it.
pub const REGION: &str = "us-east-1";

/// An ARN in the form that clients of MSK Connect accept (`msk-connect` API model, section ARNs):
/// `arn:aws:kafkaconnect:us-east-1:000000000000:connector/NAME/UUID-N`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arn(String);

impl Arn {
    /// The ARN of an object with its id and incarnation.
    pub fn of(kind: Kind, name: &Name, id: Uuid, incarnation: u64) -> Self {
        let (service, resource) = match kind {
            Kind::KafkaCluster => ("kafka", "cluster"),
            Kind::Plugin => ("kafkaconnect", "custom-plugin"),
            Kind::WorkerConfiguration => ("kafkaconnect", "worker-configuration"),
            Kind::Connector => ("kafkaconnect", "connector"),
            // A role's ARN has neither region nor id (IAM user guide, "IAM identifiers").
            Kind::Role => return Self(format!("arn:aws:iam::{ACCOUNT}:role/{name}")),
        };
        Self(format!(
            "arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}/{name}/{id}-{incarnation}"
        ))
    }

    /// Wraps a text that someone else made; only its prefix is looked at.
    pub fn parse(text: &str) -> Option<Self> {
        (text.starts_with("arn:") && text.splitn(6, ':').count() == 6)
            .then(|| Self(text.to_owned()))
    }

    /// The name of the role, when this is a role's ARN of this daemon's account.
    pub fn role_name(&self) -> Option<Name> {
        let prefix = format!("arn:aws:iam::{ACCOUNT}:role/");
        Name::parse(self.0.strip_prefix(&prefix)?).ok()
    }

    /// The prefix of ARNs of topics, groups or transactional ids of this Kafka cluster, ending in
    /// `/`; `resource` is `topic`, `group` or `transactional-id`.
    pub fn cluster_resources(&self, resource: &str) -> String {
        format!(
            "{}/",
            self.0.replacen(":cluster/", &format!(":{resource}/"), 1)
        )
    }

    /// The ARN as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of an object by its name alone; answered by `GET /api/v1/identity/{kind}/{name}`.
///
/// Nothing in it is random, so that Terraform may ask at plan and again at apply and gets the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The object that exists under the name, if one does.
    pub current: Option<Incarnation>,
    /// What the next object of that name will be: the one created when none exists, or the one
    /// created after the current one was deleted.
    pub next: Incarnation,
}

/// One life of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// How many objects of this name were there before, plus one.
    pub number: u64,
    /// `UUIDv5` of (daemon, kind, name, incarnation), RFC 9562 section 5.5.
    pub id: Uuid,
    /// The object's ARN.
    pub arn: Arn,
}

impl Incarnation {
    /// Derives id and ARN.
    pub fn derive(daemon: Uuid, kind: Kind, name: &Name, number: u64) -> Self {
        let seed = format!("{}/{name}/{number}", kind.singular());
        let id = Uuid::new_v5(&daemon, seed.as_bytes());
        Self {
            number,
            id,
            arn: Arn::of(kind, name, id, number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_depends_on_all_four_parts_and_on_nothing_else() {
        let daemon = Uuid::nil();
        let name = Name::parse("orders").unwrap();
        let one = Incarnation::derive(daemon, Kind::Connector, &name, 1);
        assert_eq!(one, Incarnation::derive(daemon, Kind::Connector, &name, 1));
        assert_ne!(
            one.id,
            Incarnation::derive(daemon, Kind::Connector, &name, 2).id
        );
        assert_ne!(
            one.id,
            Incarnation::derive(daemon, Kind::Plugin, &name, 1).id
        );
        assert_ne!(
            one.id,
            Incarnation::derive(Uuid::max(), Kind::Connector, &name, 1).id
        );
        assert!(one.arn.as_str().ends_with("-1"));
    }

    #[test]
    fn a_role_is_found_by_its_arn() {
        let name = Name::parse("ecommerce").unwrap();
        let arn = Arn::of(Kind::Role, &name, Uuid::nil(), 3);
        assert_eq!(arn.as_str(), "arn:aws:iam::000000000000:role/ecommerce");
        assert_eq!(arn.role_name(), Some(name));
        assert_eq!(
            Arn::parse("arn:aws:iam::1:role/x").unwrap().role_name(),
            None
        );
        assert_eq!(Arn::parse("nonsense"), None);
    }

    #[test]
    fn topics_of_a_cluster_share_its_path() {
        let arn = Arn::of(
            Kind::KafkaCluster,
            &Name::parse("shop").unwrap(),
            Uuid::nil(),
            1,
        );
        assert!(
            arn.cluster_resources("topic")
                .contains(":topic/shop/00000000-")
        );
    }
}
