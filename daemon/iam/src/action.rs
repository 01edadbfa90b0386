//! The actions of `kafka-cluster`, their resources, and what each is useless without.
//!
//! Source: service authorization reference, "Actions, resources, and condition keys for Apache Kafka
//! APIs for Amazon MSK clusters", and MSK developer guide, "Semantics of IAM authorization policy
//! actions and resources". 19 actions.

use crate::glob;
use std::collections::BTreeSet;
use std::fmt;

/// Prefix of every action that a permission policy may name.
pub const SERVICE: &str = "kafka-cluster";

/// What an action works on; the word stands in the ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// The cluster itself.
    Cluster,
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
}

impl ResourceType {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Cluster,
        Self::Topic,
        Self::Group,
        Self::TransactionalId,
    ];

    /// The word in ARNs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::TransactionalId => "transactional-id",
        }
    }
}

macro_rules! actions {
    ($($name:ident $resource:ident [$($needs:ident)*];)*) => {
        /// An action, named as in policies behind `kafka-cluster:`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the names are those of the reference named above")]
        pub enum Action { $($name),* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name without the service.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// What it works on.
            pub const fn resource_type(self) -> ResourceType {
                match self { $(Self::$name => ResourceType::$resource),* }
            }

            /// Actions without which this one has no effect, one step deep.
            pub const fn also_required(self) -> &'static [Self] {
                match self { $(Self::$name => &[$(Self::$needs),*]),* }
            }
        }
    };
}

actions! {
    Connect Cluster [];
    DescribeCluster Cluster [Connect];
    AlterCluster Cluster [Connect DescribeCluster];
    DescribeClusterDynamicConfiguration Cluster [Connect];
    AlterClusterDynamicConfiguration Cluster [Connect DescribeClusterDynamicConfiguration];
    WriteDataIdempotently Cluster [Connect WriteData];
    CreateTopic Topic [Connect];
    DescribeTopic Topic [Connect];
    AlterTopic Topic [Connect DescribeTopic];
    DeleteTopic Topic [Connect DescribeTopic];
    DescribeTopicDynamicConfiguration Topic [Connect];
    AlterTopicDynamicConfiguration Topic [Connect DescribeTopicDynamicConfiguration];
    ReadData Topic [Connect DescribeTopic AlterGroup];
    WriteData Topic [Connect DescribeTopic];
    DescribeGroup Group [Connect];
    AlterGroup Group [Connect DescribeGroup];
    DeleteGroup Group [Connect DescribeGroup];
    DescribeTransactionalId TransactionalId [Connect];
    AlterTransactionalId TransactionalId [Connect DescribeTransactionalId WriteData];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SERVICE}:{}", self.name())
    }
}

impl Action {
    /// Reads `kafka-cluster:Name`; the case of letters does not matter, as in IAM.
    pub fn parse(text: &str) -> Option<Self> {
        let (service, name) = text.split_once(':')?;
        let known = |action: &&Self| action.name().eq_ignore_ascii_case(name);
        service
            .eq_ignore_ascii_case(SERVICE)
            .then(|| Self::ALL.iter().find(known).copied())?
    }

    /// Whether a pattern with `*` and `?`, in lower case, selects this action.
    pub fn is_selected_by(self, pattern: &str) -> bool {
        pattern == "*" || glob::matches(pattern, &self.to_string().to_ascii_lowercase())
    }
}

/// The actions together with everything they require, directly or not.
pub fn closure(actions: &BTreeSet<Action>) -> BTreeSet<Action> {
    let mut all = actions.clone();
    let mut open: Vec<Action> = actions.iter().copied().collect();
    while let Some(action) = open.pop() {
        for needed in action.also_required() {
            if all.insert(*needed) {
                open.push(*needed);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_nineteen_actions_and_each_reads_back_in_any_case() {
        assert_eq!(Action::ALL.len(), 19);
        for action in Action::ALL {
            assert_eq!(Action::parse(&action.to_string()), Some(*action));
            assert_eq!(
                Action::parse(&action.to_string().to_uppercase()),
                Some(*action)
            );
        }
        assert_eq!(Action::parse("kafka:ReadData"), None);
        assert_eq!(Action::parse("ReadData"), None);
    }

    #[test]
    fn the_closure_follows_requirements_to_their_end() {
        let of = |action| closure(&BTreeSet::from([action]));
        assert_eq!(of(Action::Connect), BTreeSet::from([Action::Connect]));
        assert_eq!(
            of(Action::ReadData),
            BTreeSet::from([
                Action::Connect,
                Action::DescribeTopic,
                Action::ReadData,
                Action::DescribeGroup,
                Action::AlterGroup,
            ])
        );
        for action in Action::ALL {
            let once = of(*action);
            assert_eq!(closure(&once), once);
            assert!(once.contains(&Action::Connect));
        }
    }

    #[test]
    fn topic_wildcards_leave_out_the_dynamic_configuration() {
        let chosen = |pattern: &str| {
            let all = Action::ALL.iter();
            all.filter(|a| a.is_selected_by(pattern)).count()
        };
        assert_eq!(chosen("kafka-cluster:*topic"), 4);
        assert_eq!(chosen("kafka-cluster:*topic*"), 6);
        assert_eq!(chosen("*"), 19);
    }
}
