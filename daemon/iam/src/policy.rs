//! Permission policies: what a role lets its connectors do on Kafka clusters.

use crate::action::{Action, ResourceType, SERVICE};
use crate::condition::{self, ArnPattern, Condition, ConditionKey};
use crate::element::{Place, Reader, check_no_variable, entry, listed, short};
use crate::glob;
use crate::json::Json;
use runnel_api::Problem;
use std::collections::BTreeSet;

/// Most characters of a permission policy, white space not counted: the quota of IAM for the inline
/// policies of a role (IAM user guide, "IAM and AWS STS quotas"). A managed policy has 6,144 there;
/// a role here has inline policies only.
pub const CHARACTERS_MAX: usize = 10_240;

/// Most bytes of the text as sent (IAM API reference, length of `PolicyDocument`).
pub const BYTES_MAX: usize = 131_072;

/// Version of the policy language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `2008-10-17`; also what a policy without a version has.
    V2008,
    /// `2012-10-17`.
    V2012,
}

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Forbids, whatever else grants.
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector<T: Ord> {
    /// Any of these.
    Only(BTreeSet<T>),
    /// Everything but these.
    AllBut(BTreeSet<T>),
}

impl<T: Ord> Selector<T> {
    /// Whether something is selected, given what "fits a pattern" means.
    pub fn selects(&self, fits: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(fits),
            Self::AllBut(patterns) => !patterns.iter().any(fits),
        }
    }
}

/// A statement. Equality does not look at the order or the case in which things were written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    /// Its name, unique in the document.
    pub sid: Option<String>,
    /// Allow or deny.
    pub effect: Effect,
    /// Patterns of actions in lower case.
    pub actions: Selector<String>,
    /// Patterns of ARNs.
    pub resources: Selector<ArnPattern>,
    /// All of them must hold.
    pub conditions: BTreeSet<Condition>,
}

impl Statement {
    /// Whether the statement speaks about the action.
    pub fn selects_action(&self, action: Action) -> bool {
        self.actions
            .selects(|pattern| action.is_selected_by(pattern))
    }
}

/// A permission policy, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDocument {
    /// Version of the language.
    pub version: Version,
    /// The policy's own name.
    pub id: Option<String>,
    /// Statements in the order in which they stand.
    pub statements: Vec<Statement>,
}

const STATEMENT_ELEMENTS: [&str; 7] = [
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

impl PolicyDocument {
    /// Reads a policy; what is refused says where and what is allowed (`INVALID_POLICY`).
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

    /// Actions that at least one statement allows on some resource under some condition.
    pub fn allowed_actions(&self) -> BTreeSet<Action> {
        let allows: Vec<&Statement> = self
            .statements
            .iter()
            .filter(|statement| statement.effect == Effect::Allow)
            .collect();
        let granted = |action: &Action| allows.iter().any(|s| s.selects_action(*action));
        Action::ALL.iter().copied().filter(granted).collect()
    }
}

/// How messages call the statement with this index.
pub(crate) fn label(index: usize, sid: Option<&str>) -> String {
    Place::statement(index, sid).as_str().to_owned()
}

/// What permission and trust policies have in common: everything outside the statements.
pub(crate) struct Envelope {
    pub(crate) version: Version,
    pub(crate) id: Option<String>,
    pub(crate) statements: Vec<(Json, Place)>,
}

impl Envelope {
    pub(crate) fn parse(text: &str, characters_max: usize) -> Result<Self, Problem> {
        let place = Place::document();
        check_size(text, characters_max, &place)?;
        let json = Json::parse(text)
            .map_err(|error| place.refuse("", format!("this is no valid JSON: {error}"), ""))?;
        let entries = Reader::elements(&json, &["Version", "Id", "Statement"], &place)?;
        let version = match entry(entries, "Version") {
            None => Version::V2008,
            Some(json) => match Reader::text(json, "Version", &place)?.as_str() {
                "2012-10-17" => Version::V2012,
                "2008-10-17" => Version::V2008,
                other => {
                    let known = ["2012-10-17", "2008-10-17"];
                    return Err(place.unknown("Version", "version", other, known));
                }
            },
        };
        let id = entry(entries, "Id")
            .map(|json| Reader::text(json, "Id", &place))
            .transpose()?;
        let statements = match entry(entries, "Statement") {
            None => return Err(place.refuse("", "the element Statement is missing", "")),
            Some(Json::List(list)) => list.clone(),
            Some(single) => vec![single.clone()],
        };
        if statements.is_empty() {
            return Err(place.refuse("Statement", "the list is empty", "write at least one"));
        }
        Ok(Self {
            version,
            id,
            statements: place_statements(statements)?,
        })
    }
}

fn check_size(text: &str, characters_max: usize, place: &Place) -> Result<(), Problem> {
    if text.len() > BYTES_MAX {
        let what = format!("{} bytes are too many", text.len());
        return Err(place.refuse("", what, format!("the limit is {BYTES_MAX} bytes")));
    }
    let characters = characters(text);
    if characters > characters_max {
        let what = format!("{characters} characters are too many");
        let hint = format!("the limit is {characters_max}, white space not counted");
        return Err(place.refuse("", what, hint));
    }
    Ok(())
}

/// Characters as IAM counts them: without white space.
pub(crate) fn characters(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// Names each statement by index and Sid, so that every later message can.
fn place_statements(statements: Vec<Json>) -> Result<Vec<(Json, Place)>, Problem> {
    let mut seen = BTreeSet::new();
    let mut placed = Vec::new();
    for (index, json) in statements.into_iter().enumerate() {
        let unnamed = Place::statement(index, None);
        let sid = match entry(Reader::object(&json, "", &unnamed)?, "Sid") {
            None => None,
            Some(sid) => Some(Reader::text(sid, "Sid", &unnamed)?),
        };
        if let Some(sid) = &sid {
            if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
                let what = format!("{} is no Sid", short(sid));
                return Err(unnamed.refuse("Sid", what, "a Sid holds letters and digits only"));
            }
            // IAM takes an empty Sid as none.
            if !sid.is_empty() && !seen.insert(sid.clone()) {
                return Err(unnamed.refuse("Sid", format!("{sid:?} stands twice"), ""));
            }
        }
        let place = Place::statement(index, sid.as_deref().filter(|sid| !sid.is_empty()));
        placed.push((json, place));
    }
    Ok(placed)
}

fn read_statement(json: &Json, place: &Place) -> Result<Statement, Problem> {
    let entries = Reader::elements(json, &STATEMENT_ELEMENTS, place)?;
    let actions = one_of(entries, "Action", "NotAction", place)?;
    let resources = one_of(entries, "Resource", "NotResource", place)?;
    Ok(Statement {
        sid: read_sid(entries, place)?,
        effect: read_effect(entries, place)?,
        actions: actions.parse(|text| read_action(text, actions.element, place))?,
        resources: resources.parse(|text| read_resource(text, resources.element, place))?,
        conditions: read_conditions(entries, &ConditionKey::PERMISSION, place)?,
    })
}

pub(crate) fn read_sid(
    entries: &[(String, Json)],
    place: &Place,
) -> Result<Option<String>, Problem> {
    let sid = entry(entries, "Sid").map(|json| Reader::text(json, "Sid", place));
    Ok(sid.transpose()?.filter(|sid| !sid.is_empty()))
}

pub(crate) fn read_effect(entries: &[(String, Json)], place: &Place) -> Result<Effect, Problem> {
    let Some(json) = entry(entries, "Effect") else {
        return Err(place.refuse("", "the element Effect is missing", "write Allow or Deny"));
    };
    match Reader::text(json, "Effect", place)?.as_str() {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        other => Err(place.unknown("Effect", "effect", other, ["Allow", "Deny"])),
    }
}

pub(crate) fn read_conditions(
    entries: &[(String, Json)],
    keys: &[ConditionKey],
    place: &Place,
) -> Result<BTreeSet<Condition>, Problem> {
    match entry(entries, "Condition") {
        None => Ok(BTreeSet::new()),
        Some(json) => condition::read(json, keys, place),
    }
}

/// The texts of one of two elements that exclude each other.
pub(crate) struct Choice {
    pub(crate) element: &'static str,
    negated: bool,
    texts: Vec<String>,
}

impl Choice {
    pub(crate) fn parse<T: Ord>(
        &self,
        read: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Selector<T>, Problem> {
        let all = self.texts.iter().map(|text| read(text));
        let all = all.collect::<Result<BTreeSet<T>, Problem>>()?;
        Ok(if self.negated {
            Selector::AllBut(all)
        } else {
            Selector::Only(all)
        })
    }
}

pub(crate) fn one_of(
    entries: &[(String, Json)],
    plain: &'static str,
    negated: &'static str,
    place: &Place,
) -> Result<Choice, Problem> {
    let (element, json, is_negated) = match (entry(entries, plain), entry(entries, negated)) {
        (Some(json), None) => (plain, json, false),
        (None, Some(json)) => (negated, json, true),
        (Some(_), Some(_)) => {
            let what = format!("{plain} and {negated} exclude each other");
            return Err(place.refuse("", what, "write one of them"));
        }
        (None, None) => {
            let what = format!("the element {plain} is missing");
            return Err(place.refuse("", what, format!("write {plain} or {negated}")));
        }
    };
    Ok(Choice {
        element,
        negated: is_negated,
        texts: Reader::texts(json, element, place)?,
    })
}

/// An action or a pattern that selects at least one, in lower case.
fn read_action(text: &str, element: &str, place: &Place) -> Result<String, Problem> {
    let lower = text.to_ascii_lowercase();
    if Action::ALL
        .iter()
        .any(|action| action.is_selected_by(&lower))
    {
        return Ok(lower);
    }
    let known = || Action::ALL.iter().map(|action| action.name());
    match lower.split_once(':') {
        Some((SERVICE, pattern)) if glob::is_pattern(pattern) => {
            let what = format!("{} selects no action", short(text));
            Err(place.refuse(element, what, format!("actions are {}", listed(known()))))
        }
        Some((SERVICE, name)) => Err(place.unknown(element, "action", name, known())),
        Some((service, _)) => {
            let what = format!("actions of {} have no meaning here", short(service));
            let hint =
                format!("a role speaks about Kafka clusters: {SERVICE}:…, or * for all of it");
            Err(place.refuse(element, what, hint))
        }
        None => {
            let what = format!("{} is no action", short(text));
            let hint = format!("write {SERVICE}:NAME, for example {SERVICE}:ReadData");
            Err(place.refuse(element, what, hint))
        }
    }
}

/// An ARN pattern that can match a cluster, topic, group or transactional id.
fn read_resource(text: &str, element: &str, place: &Place) -> Result<ArnPattern, Problem> {
    check_no_variable(text, element, place)?;
    let form = "write * or arn:aws:kafka:REGION:ACCOUNT:TYPE/CLUSTER/UUID[/NAME], where TYPE is \
                cluster, topic, group or transactional-id";
    let refuse = |what: String| Err(place.refuse(element, what, form));
    let Some(pattern) = ArnPattern::parse(text) else {
        return refuse(format!("{} is no ARN", short(text)));
    };
    if let ArnPattern::Parts(parts) = &pattern {
        if !glob::matches(&parts[2], "kafka") {
            return refuse(format!("{} is no resource of Kafka", short(text)));
        }
        let (kind, name) = match parts[5].split_once('/') {
            Some((kind, name)) => (kind, Some(name)),
            None => (parts[5].as_str(), None),
        };
        let known = |kind: &str| {
            ResourceType::ALL
                .iter()
                .any(|t| glob::matches(kind, t.as_str()))
        };
        let open = name.is_some_and(|name| !name.is_empty()) || kind.ends_with('*');
        if !known(kind) || !open {
            return refuse(format!(
                "{} names no type of resource that exists",
                short(text)
            ));
        }
    }
    Ok(pattern)
}
