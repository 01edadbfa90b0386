//! The sets of names that Kafka's ACLs can speak of, and how a pattern of ARNs becomes one of them.

use crate::acl::{Acl, Pattern};
use crate::action::ResourceType;
use std::collections::BTreeSet;

/// One name, or all names with a prefix. Any two such sets lie one in the other or apart: the
/// compiler rests on that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Names {
    /// Exactly this one.
    One(String),
    /// Everything that starts so; the empty prefix is everything.
    Prefix(String),
}

impl Names {
    /// Whether every name of `other` is one of these.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(mine), Self::One(other)) => mine == other,
            (Self::One(_), Self::Prefix(_)) => false,
            (Self::Prefix(prefix), Self::One(other) | Self::Prefix(other)) => {
                other.starts_with(prefix.as_str())
            }
        }
    }

    /// Whether it stands for itself in an ARN of a policy.
    pub(crate) fn is_plain(&self) -> bool {
        let (Self::One(text) | Self::Prefix(text)) = self;
        !text.contains(['*', '?']) && !text.contains("${")
    }

    /// Whether some name is in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Those of an entry.
    pub fn of(acl: &Acl) -> Self {
        match acl.pattern {
            Pattern::Literal if acl.name == "*" => Self::Prefix(String::new()),
            Pattern::Literal => Self::One(acl.name.clone()),
            Pattern::Prefixed => Self::Prefix(acl.name.clone()),
        }
    }

    /// As KIP-290 writes it: all names are the literal `*`.
    pub fn to_pattern(&self) -> (Pattern, String) {
        match self {
            Self::One(name) => (Pattern::Literal, name.clone()),
            Self::Prefix(prefix) if prefix.is_empty() => (Pattern::Literal, String::from("*")),
            Self::Prefix(prefix) => (Pattern::Prefixed, prefix.clone()),
        }
    }
}

/// A pattern that is no set of [`Names`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inexact {
    /// The part of the pattern that stands for the name.
    pub(crate) rest: String,
}

/// The names of `kind` that `pattern` selects behind `prefix`: `{n | pattern matches prefix + n}`.
///
/// A `*` reaches over `/`, so that what is left of a pattern may be several patterns. Those that no
/// name of the kind can fit are dropped, and those that lie in another.
pub(crate) fn behind(
    pattern: &str,
    prefix: &str,
    kind: ResourceType,
) -> Result<BTreeSet<Names>, Inexact> {
    let rests = rests(pattern, prefix);
    let possible = rests.into_iter().filter(|rest| can_be_named(rest, kind));
    let (mut exact, mut inexact) = (BTreeSet::new(), Vec::new());
    for rest in possible {
        match rest.find(['*', '?']) {
            None => {
                exact.insert(Names::One(rest));
            }
            Some(at) if &rest[at..] == "*" => {
                exact.insert(Names::Prefix(rest[..at].to_owned()));
            }
            Some(at) => inexact.push((Names::Prefix(rest[..at].to_owned()), rest)),
        }
    }
    let covered = |head: &Names| exact.iter().any(|names| names.covers(head));
    // The head of a pattern is fixed and behind it anything may come, so it lies in a set of names
    // exactly when all that has its head does.
    match inexact.into_iter().find(|(head, _)| !covered(head)) {
        Some((_, rest)) => Err(Inexact { rest }),
        None => Ok(exact),
    }
}

/// Every suffix of the pattern whose names, put behind the prefix, fit the pattern.
fn rests(pattern: &str, prefix: &str) -> BTreeSet<String> {
    let mut tokens: Vec<char> = pattern.chars().collect();
    // Runs of stars are one star. Then a step costs one or two looks, and at most two positions for
    // each character of the prefix are left at the end, however long the pattern.
    tokens.dedup_by(|a, b| *a == '*' && *b == '*');
    let mut here = BTreeSet::from([0]);
    for c in prefix.chars() {
        let mut next = BTreeSet::new();
        for start in here {
            let mut at = start;
            // A star may be passed by, or take the character and stay.
            while tokens.get(at) == Some(&'*') {
                next.insert(at);
                at += 1;
            }
            if tokens
                .get(at)
                .is_some_and(|token| *token == c || *token == '?')
            {
                next.insert(at + 1);
            }
        }
        here = next;
    }
    here.into_iter()
        .map(|at| tokens[at..].iter().collect())
        .collect()
}

/// Whether some name of the kind can fit. Names of topics are `[a-zA-Z0-9._-]+`
/// (`org.apache.kafka.common.internals.Topic`); groups and transactional ids are any text but none.
fn can_be_named(rest: &str, kind: ResourceType) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-*?".contains(c);
    !rest.is_empty() && (kind != ResourceType::Topic || rest.chars().all(legal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResourceType::{Group, Topic};

    fn one(name: &str) -> Names {
        Names::One(name.into())
    }

    fn prefix(name: &str) -> Names {
        Names::Prefix(name.into())
    }

    #[test]
    fn patterns_leave_names_prefixes_or_everything() {
        for (pattern, kind, expected) in [
            ("topic/shop/u/orders", Topic, vec![one("orders")]),
            ("topic/shop/u/orders*", Topic, vec![prefix("orders")]),
            ("topic/shop/u/orders**", Topic, vec![prefix("orders")]),
            ("topic/shop/u/*", Topic, vec![prefix("")]),
            ("topic/shop/*", Topic, vec![prefix("")]),
            ("topic/shop*", Topic, vec![prefix("")]),
            ("topic/*", Topic, vec![prefix("")]),
            ("*", Group, vec![prefix("")]),
            ("topic/*/*/orders", Topic, vec![one("orders")]),
            ("topic/sh?p/*/orders.*", Topic, vec![prefix("orders.")]),
            ("*/shop/u/orders", Topic, vec![one("orders")]),
            ("topic/shop/*/*", Topic, vec![prefix("")]),
            ("topic/shop/*/o?*", Group, vec![]),
            ("topic/bar/u/orders", Topic, vec![]),
            ("topic/shop2/*", Topic, vec![]),
            ("topic/shop/u/", Topic, vec![]),
            ("topic/*/orders", Topic, vec![one("orders")]),
            ("topic/shop/orders", Topic, vec![]),
            ("topic/shop/u/a b", Topic, vec![]),
            ("group/shop/u/a/b*", Group, vec![prefix("a/b")]),
            ("group/shop/*/**", Group, vec![prefix("")]),
        ] {
            let head = format!("{}/shop/u/", kind.as_str());
            let expected: BTreeSet<_> = expected.into_iter().collect();
            assert_eq!(behind(pattern, &head, kind), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_what_is_left() {
        for (pattern, kind, rest) in [
            ("topic/shop/u/or*s", Topic, "or*s"),
            ("topic/shop/u/order?", Topic, "order?"),
            ("topic/shop/u/?*", Topic, "?*"),
            ("topic/*orders", Topic, "*orders"),
            // A group may be called `x/orders`, which the second star would reach.
            ("group/shop/*/orders", Group, "*/orders"),
        ] {
            let head = format!("{}/shop/u/", kind.as_str());
            let refused = Inexact { rest: rest.into() };
            assert_eq!(behind(pattern, &head, kind), Err(refused), "{pattern}");
        }
    }

    #[test]
    fn a_set_covers_what_lies_in_it() {
        assert!(prefix("or").covers(&one("orders")));
        assert!(prefix("or").covers(&prefix("orders")));
        assert!(!prefix("orders").covers(&prefix("or")));
        assert!(one("orders").covers(&one("orders")));
        assert!(!one("orders").covers(&prefix("orders")));
        assert!(prefix("").covers(&prefix("")));
    }
}
