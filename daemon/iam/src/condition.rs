//! Conditions of statements: a closed list of operators and keys, typed when they are read.

use crate::element::{Place, Reader, check_no_variable, listed};
use crate::glob;
use crate::json::Json;
use runnel_api::Problem;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A key that a condition may ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionKey {
    /// Where the request comes from.
    SourceIp,
    /// Whether it came over TLS.
    SecureTransport,
    /// Who makes it.
    PrincipalArn,
    /// Account of the object on whose behalf a service assumes a role.
    SourceAccount,
    /// ARN of that object.
    SourceArn,
}

impl ConditionKey {
    /// Keys of permission policies.
    pub const PERMISSION: [Self; 3] = [Self::SourceIp, Self::SecureTransport, Self::PrincipalArn];
    /// Keys of trust policies (MSK developer guide, "Cross-service confused deputy prevention").
    pub const TRUST: [Self; 2] = [Self::SourceAccount, Self::SourceArn];

    /// The key as written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceIp => "aws:SourceIp",
            Self::SecureTransport => "aws:SecureTransport",
            Self::PrincipalArn => "aws:PrincipalArn",
            Self::SourceAccount => "aws:SourceAccount",
            Self::SourceArn => "aws:SourceArn",
        }
    }

    /// Operators that fit the key's type.
    pub const fn operators(self) -> &'static [&'static str] {
        match self {
            Self::SourceIp => &["IpAddress"],
            Self::SecureTransport => &["Bool"],
            Self::SourceAccount => &["StringEquals", "StringLike"],
            Self::PrincipalArn | Self::SourceArn => {
                &["ArnLike", "ArnEquals", "StringEquals", "StringLike"]
            }
        }
    }
}

impl fmt::Display for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about a request. A condition on a key that is not known does not hold.
pub type Context = BTreeMap<ConditionKey, String>;

/// Operators, in the order in which messages list them.
pub const OPERATORS: [&str; 6] = [
    "StringEquals",
    "StringLike",
    "ArnLike",
    "ArnEquals",
    "Bool",
    "IpAddress",
];

/// One condition: it holds when any of its values fits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// What is asked about.
    pub key: ConditionKey,
    /// What it must be.
    pub test: Test,
}

/// A test with its values, parsed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// Exactly one of these.
    StringEquals(BTreeSet<String>),
    /// One of these patterns.
    StringLike(BTreeSet<String>),
    /// `ArnLike` and `ArnEquals`, which do the same.
    Arn(BTreeSet<ArnPattern>),
    /// One of these truth values.
    Bool(BTreeSet<bool>),
    /// Within one of these ranges.
    IpAddress(BTreeSet<IpRange>),
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, context: &Context) -> bool {
        let Some(actual) = context.get(&self.key) else {
            return false;
        };
        match &self.test {
            Test::StringEquals(values) => values.contains(actual),
            Test::StringLike(patterns) => patterns.iter().any(|p| glob::matches(p, actual)),
            Test::Arn(patterns) => patterns.iter().any(|p| p.matches(actual)),
            Test::Bool(values) => parse_bool(actual).is_some_and(|actual| values.contains(&actual)),
            Test::IpAddress(ranges) => actual
                .parse()
                .is_ok_and(|actual| ranges.iter().any(|range| range.contains(actual))),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn all<T: fmt::Display>(values: &BTreeSet<T>) -> String {
            let texts: Vec<String> = values.iter().map(|v| format!("\"{v}\"")).collect();
            texts.join(" or ")
        }
        let (operator, values) = match &self.test {
            Test::StringEquals(values) => ("StringEquals", all(values)),
            Test::StringLike(values) => ("StringLike", all(values)),
            Test::Arn(values) => ("ArnLike", all(values)),
            Test::Bool(values) => ("Bool", all(values)),
            Test::IpAddress(values) => ("IpAddress", all(values)),
        };
        write!(f, "{operator} {} {values}", self.key)
    }
}

/// An ARN with wildcards. Each of its six parts is matched by itself, so that a `*` never reaches
/// over a colon of the first five (IAM user guide, "ARN condition operators").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArnPattern {
    /// `*` alone.
    Any,
    /// `arn:partition:service:region:account:resource`.
    Parts([String; 6]),
}

impl ArnPattern {
    /// Reads a pattern; none when it is neither `*` nor six parts of which the first is `arn`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let parts: Vec<String> = text.splitn(6, ':').map(str::to_owned).collect();
        let parts: [String; 6] = parts.try_into().ok()?;
        (parts[0] == "arn" && !parts[2].is_empty() && !parts[5].is_empty())
            .then_some(Self::Parts(parts))
    }

    /// Whether an ARN fits.
    pub fn matches(&self, arn: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Parts(patterns) => {
                let parts: Vec<&str> = arn.splitn(6, ':').collect();
                parts.len() == 6
                    && patterns
                        .iter()
                        .zip(parts)
                        .all(|(pattern, part)| glob::matches(pattern, part))
            }
        }
    }
}

impl fmt::Display for ArnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Parts(parts) => f.write_str(&parts.join(":")),
        }
    }
}

/// An address or a range in CIDR notation (RFC 4632, RFC 4291).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpRange {
    network: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Whether the address is in the range; an IPv4 address is in no IPv6 range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let length = self.bits_of_family();
        self.network.is_ipv4() == address.is_ipv4()
            && high_bits(self.network, length, self.prefix)
                == high_bits(address, length, self.prefix)
    }

    const fn bits_of_family(&self) -> u8 {
        if self.network.is_ipv4() { 32 } else { 128 }
    }
}

fn high_bits(address: IpAddr, length: u8, prefix: u8) -> u128 {
    let bits = match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    bits.checked_shr(u32::from(length - prefix)).unwrap_or(0)
}

impl FromStr for IpRange {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(drop)?;
        let mut range = Self { network, prefix: 0 };
        range.prefix = match prefix {
            None => range.bits_of_family(),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(drop)?
            }
            Some(_) => return Err(()),
        };
        (range.prefix <= range.bits_of_family())
            .then_some(range)
            .ok_or(())
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Reads the value of `Condition`; `keys` are those that this kind of policy knows.
pub fn read(
    json: &Json,
    keys: &[ConditionKey],
    place: &Place,
) -> Result<BTreeSet<Condition>, Problem> {
    let mut conditions = BTreeSet::new();
    for (operator, tests) in Reader::object(json, "Condition", place)? {
        if !OPERATORS.contains(&operator.as_str()) {
            return Err(place.unknown("Condition", "operator", operator, OPERATORS));
        }
        let element = format!("Condition.{operator}");
        for (key, values) in Reader::object(tests, &element, place)? {
            conditions.insert(read_test(operator, key, values, keys, place)?);
        }
    }
    Ok(conditions)
}

fn read_test(
    operator: &str,
    key: &str,
    values: &Json,
    keys: &[ConditionKey],
    place: &Place,
) -> Result<Condition, Problem> {
    let known = keys.iter().find(|k| k.as_str().eq_ignore_ascii_case(key));
    let names = keys.iter().map(|k| k.as_str());
    let key = *known.ok_or_else(|| {
        place.unknown(
            &format!("Condition.{operator}"),
            "condition key",
            key,
            names,
        )
    })?;
    let element = format!("Condition.{operator}.{key}");
    if !key.operators().contains(&operator) {
        let allowed = listed(key.operators().iter().copied());
        return Err(place.refuse(
            &element,
            format!("the operator {operator} does not fit the key {key}"),
            format!("allowed are {allowed}"),
        ));
    }
    let texts = match values {
        Json::Bool(value) if operator == "Bool" => vec![value.to_string()],
        _ => Reader::texts(values, &element, place)?,
    };
    for text in &texts {
        check_no_variable(text, &element, place)?;
    }
    let wrong = |text: &str, what: &str| {
        place.refuse(&element, format!("{text:?} is not {what}"), String::new())
    };
    let test = match operator {
        "StringEquals" => Test::StringEquals(texts.into_iter().collect()),
        "StringLike" => Test::StringLike(texts.into_iter().collect()),
        "Bool" => Test::Bool(each(&texts, |t| {
            parse_bool(t).ok_or_else(|| wrong(t, "\"true\" or \"false\""))
        })?),
        "IpAddress" => Test::IpAddress(each(&texts, |t| {
            t.parse().map_err(|()| {
                wrong(
                    t,
                    "an IP address or a range such as 10.0.0.0/8 or 2001:db8::/32",
                )
            })
        })?),
        _ => Test::Arn(each(&texts, |t| {
            ArnPattern::parse(t).ok_or_else(|| {
                wrong(
                    t,
                    "an ARN (arn:partition:service:region:account:resource) or \"*\"",
                )
            })
        })?),
    };
    Ok(Condition { key, test })
}

fn each<T: Ord>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Result<BTreeSet<T>, Problem> {
    texts.iter().map(|text| parse(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses_and_no_others() {
        let within = |range: &str, address: &str| {
            let range: IpRange = range.parse().unwrap();
            range.contains(address.parse().unwrap())
        };
        assert!(within("10.0.0.0/8", "10.255.0.1"));
        assert!(!within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("10.1.2.3", "10.1.2.3"));
        assert!(within("0.0.0.0/0", "1.2.3.4"));
        assert!(!within("0.0.0.0/0", "::1"));
        assert!(within("::/0", "::1"));
        assert!(within("2001:db8::/32", "2001:db8:1::1"));
        for bad in [
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "",
        ] {
            assert_eq!(bad.parse::<IpRange>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn a_star_stays_within_its_part_of_an_arn() {
        let pattern = ArnPattern::parse("arn:aws:kafka:*:1:topic/a/*").unwrap();
        assert!(pattern.matches("arn:aws:kafka:eu-west-1:1:topic/a/b/c"));
        assert!(!pattern.matches("arn:aws:kafka:eu-west-1:2:1:topic/a/b"));
        assert!(!pattern.matches("arn:aws:kafka"));
        assert_eq!(ArnPattern::parse("arn:aws:kafka"), None);
        assert_eq!(ArnPattern::parse("topic"), None);
    }
}
