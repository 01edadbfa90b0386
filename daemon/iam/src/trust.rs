//! Trust policies: which service may assume a role, and on behalf of what.

use crate::condition::{Condition, ConditionKey, Context};
use crate::element::{Place, Reader, entry, short};
use crate::glob;
use crate::json::Json;
use crate::policy::{self, Effect, Envelope, Selector, Version, label};
use runnel_api::Problem;
use runnel_api::role::SERVICE_PRINCIPAL;
use std::collections::BTreeSet;

/// Most characters of a trust policy, white space not counted: IAM's quota is 2,048 and can be
/// raised to 4,096 (IAM user guide, "IAM and AWS STS quotas").
pub const CHARACTERS_MAX: usize = 4_096;

/// The action that a service takes to become a role.
pub const ASSUME_ROLE: &str = "sts:AssumeRole";

/// Actions that a trust policy may name (AWS STS API reference).
const ACTIONS: [&str; 5] = [
    ASSUME_ROLE,
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:SetSourceIdentity",
    "sts:TagSession",
];

/// Who a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principals {
    /// `"*"`.
    Anyone,
    /// `{"Service": …}`.
    Services(BTreeSet<String>),
}

/// A statement of a trust policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrustStatement {
    /// Its name, unique in the document.
    pub sid: Option<String>,
    /// Allow or deny.
    pub effect: Effect,
    /// Who.
    pub principals: Principals,
    /// Patterns of actions in lower case.
    pub actions: Selector<String>,
    /// All of them must hold.
    pub conditions: BTreeSet<Condition>,
}

/// A trust policy, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Version of the language.
    pub version: Version,
    /// The policy's own name.
    pub id: Option<String>,
    /// Statements in the order in which they stand.
    pub statements: Vec<TrustStatement>,
}

/// Why a role may not be assumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A statement forbids it.
    #[error("{statement} denies it")]
    Denied {
        /// Index and Sid.
        statement: String,
    },
    /// The service is named, but a condition does not hold.
    #[error("{statement} trusts {service} only when {condition}; here {actual}")]
    Condition {
        /// Index and Sid.
        statement: String,
        /// The service that asks.
        service: String,
        /// The first condition that does not hold.
        condition: String,
        /// What the key is in truth.
        actual: String,
    },
    /// No statement allows `sts:AssumeRole` to the service.
    #[error("no statement allows {ASSUME_ROLE} to {service}{}", other_services(.trusted))]
    NotNamed {
        /// The service that asks.
        service: String,
        /// Services that are allowed.
        trusted: Vec<String>,
    },
}

fn other_services(services: &[String]) -> String {
    if services.is_empty() {
        String::new()
    } else {
        format!("; it trusts {}", services.join(", "))
    }
}

impl Default for TrustPolicy {
    /// Trusts the service that runs connectors, as [`TrustPolicy::DEFAULT_JSON`] says.
    fn default() -> Self {
        Self {
            version: Version::V2012,
            id: None,
            statements: vec![TrustStatement {
                sid: None,
                effect: Effect::Allow,
                principals: Principals::Services(BTreeSet::from([SERVICE_PRINCIPAL.to_owned()])),
                actions: Selector::Only(BTreeSet::from([ASSUME_ROLE.to_ascii_lowercase()])),
                conditions: BTreeSet::new(),
            }],
        }
    }
}

impl TrustPolicy {
    /// The policy of a role that declares none.
    pub const DEFAULT_JSON: &'static str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "sts:AssumeRole",
      "Principal": {
        "Service": "kafkaconnect.amazonaws.com"
      }
    }
  ]
}"#;

    /// Reads a trust policy; what is refused says where and what is allowed (`INVALID_POLICY`).
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let envelope = Envelope::parse(text, CHARACTERS_MAX)?;
        let statements = envelope
            .statements
            .iter()
            .map(|(json, place)| read_statement(json, place))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            version: envelope.version,
            id: envelope.id,
            statements,
        })
    }

    /// Whether a service may assume the role on behalf of an object of the account.
    pub fn trusts(&self, service: &str, account: &str, source_arn: &str) -> Result<(), Why> {
        let context = Context::from([
            (ConditionKey::SourceAccount, account.to_owned()),
            (ConditionKey::SourceArn, source_arn.to_owned()),
        ]);
        let about: Vec<(String, &TrustStatement)> = self
            .statements
            .iter()
            .enumerate()
            .filter(|(_, statement)| statement.is_about(service))
            .map(|(index, statement)| (label(index, statement.sid.as_deref()), statement))
            .collect();
        let unmet = |statement: &TrustStatement| {
            let mut conditions = statement.conditions.iter();
            conditions
                .find(|condition| !condition.holds(&context))
                .cloned()
        };
        let denies = |s: &TrustStatement| s.effect == Effect::Deny && unmet(s).is_none();
        if let Some((statement, _)) = about.iter().find(|(_, s)| denies(s)) {
            let statement = statement.clone();
            return Err(Why::Denied { statement });
        }
        let mut why = Why::NotNamed {
            service: service.to_owned(),
            trusted: self.allowed_services(),
        };
        for (statement, allow) in about.iter().filter(|(_, s)| s.effect == Effect::Allow) {
            let Some(condition) = unmet(allow) else {
                return Ok(());
            };
            let actual = context
                .get(&condition.key)
                .map_or("unknown", String::as_str);
            why = Why::Condition {
                statement: statement.clone(),
                service: service.to_owned(),
                actual: format!("{} is {actual:?}", condition.key),
                condition: condition.to_string(),
            };
        }
        Err(why)
    }

    fn allowed_services(&self) -> Vec<String> {
        let allows = self.statements.iter().filter(|s| s.effect == Effect::Allow);
        let mut services: Vec<String> = allows
            .filter_map(|statement| match &statement.principals {
                Principals::Services(services) => Some(services.iter().cloned()),
                Principals::Anyone => None,
            })
            .flatten()
            .collect();
        services.sort();
        services.dedup();
        services
    }
}

impl TrustStatement {
    fn is_about(&self, service: &str) -> bool {
        let named = match &self.principals {
            Principals::Anyone => true,
            Principals::Services(services) => services.contains(service),
        };
        let assume = ASSUME_ROLE.to_ascii_lowercase();
        named
            && self
                .actions
                .selects(|pattern| glob::matches(pattern, &assume))
    }
}

fn read_statement(json: &Json, place: &Place) -> Result<TrustStatement, Problem> {
    const ELEMENTS: [&str; 6] = [
        "Sid",
        "Effect",
        "Principal",
        "Action",
        "NotAction",
        "Condition",
    ];
    let entries = Reader::elements(json, &ELEMENTS, place)?;
    let actions = policy::one_of(entries, "Action", "NotAction", place)?;
    let principal = entry(entries, "Principal").ok_or_else(|| {
        let hint = format!("write {{\"Service\": \"{SERVICE_PRINCIPAL}\"}}");
        place.refuse("", "the element Principal is missing", hint)
    })?;
    Ok(TrustStatement {
        sid: policy::read_sid(entries, place)?,
        effect: policy::read_effect(entries, place)?,
        principals: read_principals(principal, place)?,
        actions: actions.parse(|text| read_action(text, actions.element, place))?,
        conditions: policy::read_conditions(entries, &ConditionKey::TRUST, place)?,
    })
}

fn read_action(text: &str, element: &str, place: &Place) -> Result<String, Problem> {
    let lower = text.to_ascii_lowercase();
    let known = ACTIONS
        .iter()
        .any(|action| glob::matches(&lower, &action.to_ascii_lowercase()));
    if known {
        return Ok(lower);
    }
    Err(place.unknown(element, "action of a trust policy", text, ACTIONS))
}

fn read_principals(json: &Json, place: &Place) -> Result<Principals, Problem> {
    if let Json::Text(text) = json {
        if text == "*" {
            return Ok(Principals::Anyone);
        }
        let hint = format!("write {{\"Service\": \"{SERVICE_PRINCIPAL}\"}}");
        return Err(place.refuse(
            "Principal",
            format!("{} is no principal", short(text)),
            hint,
        ));
    }
    let mut services = BTreeSet::new();
    let entries = Reader::object(json, "Principal", place)?;
    for (kind, identifiers) in entries {
        if kind != "Service" {
            return Err(place.unknown("Principal", "type of principal", kind, ["Service"]));
        }
        for service in Reader::texts(identifiers, "Principal.Service", place)? {
            let alphabet =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
            if !service.bytes().all(alphabet) || !service.contains('.') {
                let what = format!("{} is no service", short(&service));
                let hint = format!("write its full name, such as {SERVICE_PRINCIPAL}");
                return Err(place.refuse("Principal.Service", what, hint));
            }
            services.insert(service);
        }
    }
    if services.is_empty() {
        return Err(place.refuse("Principal", "nobody is named", ""));
    }
    Ok(Principals::Services(services))
}
