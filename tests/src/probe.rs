//! What a principal may really do: every probe asks the broker, and only its answer counts.
//!
//! Apart from deleting a topic, no probe changes anything. Kafka asks the authorizer before it looks at a request's
//! content, so a request that is allowed but wrong shows the same as one that would have worked.

mod requests;

use crate::wire::{Call, Login, Wire};
use anyhow::{Context as _, Result, bail, ensure};
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;
use requests::{
    alter_configs, alter_users, create, create_acls, delete, fetch, join_group, metadata, produce,
    transact,
};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

/// Stands for the cluster, which has no name, where a target is named.
pub const CLUSTER: &str = "(cluster)";

/// Bound for a coordinator to load, a new topic to get its leader.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// One thing to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Produce; without a record, which is an error of its own.
    Produce,
    /// Fetch from offset 0, without a group.
    Fetch,
    /// Metadata of a topic by its name.
    Describe,
    /// `CreateTopics`, validated only.
    Create,
    /// `IncrementalAlterConfigs` of a topic, validated only.
    AlterConfigs,
    /// `JoinGroup`, up to the member id.
    JoinGroup,
    /// `InitProducerId` with a transactional id: fences a producer that uses it.
    Transact,
    /// `CreateAcls`, with an ACL that cannot be.
    CreateAcls,
    /// `AlterUserScramCredentials`, with too few rounds.
    AlterUsers,
    /// `DeleteTopics`: really deletes; the topic is made again, empty and with default settings.
    Delete,
}

/// What a probe is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
    /// The cluster itself.
    Cluster,
}

/// The broker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The authorizer let it pass.
    Allowed,
    /// Refused with the authorization error of its kind.
    Denied,
    /// Any other error code, which says nothing about rights: the trial is wrong.
    Other(i16),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("allowed"),
            Self::Denied => f.write_str("refused"),
            Self::Other(code) => write!(f, "error {code}"),
        }
    }
}

/// What is tried: names of each kind. The cluster has none.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Topics; those that do not exist are made before.
    pub topics: &'a [&'a str],
    /// Groups. Choose ones that nobody is a member of.
    pub groups: &'a [&'a str],
    /// Transactional ids. Choose ones that nobody uses.
    pub transactional_ids: &'a [&'a str],
    /// Topics among `topics` that must not be deleted even where the role allows it, because something uses them.
    pub keep: &'a [&'a str],
}

/// One cell of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What was tried.
    pub probe: Probe,
    /// On what.
    pub target: String,
    /// Whether the role allows it.
    pub expected: bool,
    /// What the broker said.
    pub seen: Verdict,
}

impl Cell {
    /// Whether the broker does what the role says.
    #[must_use]
    pub fn is_right(&self) -> bool {
        match self.seen {
            Verdict::Allowed => self.expected,
            Verdict::Denied => !self.expected,
            Verdict::Other(_) => false,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { probe, target, .. } = self;
        let expected = if self.expected { "allowed" } else { "refused" };
        write!(
            f,
            "{probe:?} on `{target}`: {}, must be {expected}",
            self.seen
        )
    }
}

impl Probe {
    /// In the order in which they are tried: deleting comes last.
    pub const ALL: [Self; 10] = [
        Self::Produce,
        Self::Fetch,
        Self::Describe,
        Self::Create,
        Self::AlterConfigs,
        Self::JoinGroup,
        Self::Transact,
        Self::CreateAcls,
        Self::AlterUsers,
        Self::Delete,
    ];

    /// What it is tried on.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Produce
            | Self::Fetch
            | Self::Describe
            | Self::Create
            | Self::AlterConfigs
            | Self::Delete => Kind::Topic,
            Self::JoinGroup => Kind::Group,
            Self::Transact => Kind::TransactionalId,
            Self::CreateAcls | Self::AlterUsers => Kind::Cluster,
        }
    }

    /// Column of the table.
    fn label(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Fetch => "fetch",
            Self::Describe => "describe",
            Self::Create => "create",
            Self::AlterConfigs => "alter configs",
            Self::JoinGroup => "join group",
            Self::Transact => "init producer",
            Self::CreateAcls => "create ACLs",
            Self::AlterUsers => "alter users",
            Self::Delete => "delete",
        }
    }

    /// `Error` of Kafka's protocol guide: an authorization error is one for the probe's kind alone.
    fn verdict(self, code: i16) -> Verdict {
        let denied = match self.kind() {
            Kind::Topic => 29,
            Kind::Group => 30,
            Kind::Cluster => 31,
            Kind::TransactionalId => 53,
        };
        // What comes after the authorizer: no record in it (87), exists (36), take this member id (79), no such
        // resource for an ACL (42), too few rounds (93).
        let allowed: &[i16] = match self {
            Self::Produce => &[87],
            Self::Create => &[0, 36],
            Self::JoinGroup => &[79],
            Self::CreateAcls => &[42],
            Self::AlterUsers => &[93],
            Self::Fetch | Self::Describe | Self::AlterConfigs | Self::Transact | Self::Delete => {
                &[0]
            }
        };
        match code {
            code if code == denied => Verdict::Denied,
            code if allowed.contains(&code) => Verdict::Allowed,
            code => Verdict::Other(code),
        }
    }

    fn ask(self, wire: &mut Wire, target: &str) -> Result<i16> {
        let code = match self {
            Self::Produce => single_code(wire, &produce(target), |answer| {
                let topic = answer.responses.first()?;
                Some(topic.partition_responses.first()?.error_code)
            }),
            Self::Fetch => single_code(wire, &fetch(target), |answer| {
                let topic = answer.responses.first()?;
                Some(topic.partitions.first()?.error_code)
            }),
            Self::Describe => single_code(wire, &metadata(target), |answer| {
                Some(answer.topics.first()?.error_code)
            }),
            Self::Create => single_code(wire, &create(target).with_validate_only(true), |answer| {
                Some(answer.topics.first()?.error_code)
            }),
            Self::AlterConfigs => single_code(wire, &alter_configs(target), |answer| {
                Some(answer.responses.first()?.error_code)
            }),
            Self::JoinGroup => {
                single_code(wire, &join_group(target), |answer| Some(answer.error_code))
            }
            Self::Transact => {
                single_code(wire, &transact(target), |answer| Some(answer.error_code))
            }
            Self::CreateAcls => single_code(wire, &create_acls(), |answer| {
                Some(answer.results.first()?.error_code)
            }),
            Self::AlterUsers => single_code(wire, &alter_users(), |answer| {
                Some(answer.results.first()?.error_code)
            }),
            Self::Delete => single_code(wire, &delete(target), |answer| {
                Some(answer.responses.first()?.error_code)
            }),
        };
        code.with_context(|| format!("{self:?} on {target}"))
    }
}

/// Tries everything on everything as `login`, and says of each whether it is as `may` says. `admin` makes the topics.
///
/// # Errors
/// When the broker cannot be asked; a wrong answer is a cell that is not right.
pub fn matrix(
    admin: &Login,
    login: &Login,
    targets: &Targets<'_>,
    may: impl Fn(Probe, &str) -> bool,
) -> Result<Vec<Cell>> {
    let mut admin = Wire::open(admin)?;
    prepare(&mut admin, targets)?;
    let mut wire = Wire::open(login)?;
    let mut cells = Vec::new();
    for probe in Probe::ALL {
        let names = match probe.kind() {
            Kind::Topic => targets.topics,
            Kind::Group => targets.groups,
            Kind::TransactionalId => targets.transactional_ids,
            Kind::Cluster => &[CLUSTER],
        };
        for name in names {
            let expected = may(probe, name);
            if probe == Probe::Delete && expected && targets.keep.contains(name) {
                continue;
            }
            let seen = probe.verdict(probe.ask(&mut wire, name)?);
            if probe == Probe::Delete && seen == Verdict::Allowed {
                make_topic(&mut admin, name)?;
            }
            cells.push(Cell {
                probe,
                target: (*name).to_owned(),
                expected,
                seen,
            });
        }
    }
    Ok(cells)
}

/// Fails with every cell that is not right: first what a role gives away, then what it wrongly refuses.
///
/// # Errors
/// When there is such a cell.
pub fn ensure_right(role: &str, cells: &[Cell]) -> Result<()> {
    let mut wrong: Vec<&Cell> = cells.iter().filter(|cell| !cell.is_right()).collect();
    wrong.sort_by_key(|cell| cell.expected);
    let lines: Vec<String> = wrong.iter().map(|cell| format!("  {cell}")).collect();
    ensure!(
        lines.is_empty(),
        "{} of {} probes of role {role} are not as it says:\n{}",
        lines.len(),
        cells.len(),
        lines.join("\n")
    );
    Ok(())
}

/// One table for each kind in Markdown: a line for each name, a column for each probe.
#[must_use]
pub fn tables(cells: &[Cell]) -> String {
    let mut text = String::new();
    for kind in [
        Kind::Topic,
        Kind::Group,
        Kind::TransactionalId,
        Kind::Cluster,
    ] {
        let of_kind: Vec<&Cell> = cells
            .iter()
            .filter(|cell| cell.probe.kind() == kind)
            .collect();
        if of_kind.is_empty() {
            continue;
        }
        let probes: BTreeSet<Probe> = of_kind.iter().map(|cell| cell.probe).collect();
        let mut names: Vec<&str> = Vec::new();
        for cell in &of_kind {
            if !names.contains(&cell.target.as_str()) {
                names.push(&cell.target);
            }
        }
        let head: Vec<&str> = probes.iter().map(|probe| probe.label()).collect();
        let what = match kind {
            Kind::Topic => "Topic",
            Kind::Group => "Group",
            Kind::TransactionalId => "Transactional id",
            Kind::Cluster => "Cluster",
        };
        let _ = writeln!(text, "| {what} | {} |", head.join(" | "));
        let _ = writeln!(text, "|---{}|", "|---".repeat(probes.len()));
        for name in names {
            let _ = write!(text, "| `{name}` |");
            for probe in &probes {
                let cell = of_kind
                    .iter()
                    .find(|cell| cell.probe == *probe && cell.target == name);
                let _ = write!(text, " {} |", cell.map_or_else(String::new, |it| shown(it)));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

fn shown(cell: &Cell) -> String {
    match (cell.is_right(), cell.expected) {
        (true, true) => "yes".to_owned(),
        (true, false) => "no".to_owned(),
        (false, expected) => {
            let expected = if expected { "allowed" } else { "refused" };
            format!("**{}, must be {expected}**", cell.seen)
        }
    }
}

/// Makes the topics, and the broker's own for groups and transactions, which their first use would make.
fn prepare(admin: &mut Wire, targets: &Targets<'_>) -> Result<()> {
    for topic in targets.topics {
        make_topic(admin, topic)?;
    }
    for kind in [0, 1] {
        let request = FindCoordinatorRequest::default()
            .with_key_type(kind)
            .with_coordinator_keys(vec![StrBytes::from_static_str("probe")]);
        until_settled("a coordinator", || {
            let answer = admin.call(&request)?;
            Ok(answer.coordinators.first().context("no answer")?.error_code)
        })?;
    }
    Ok(())
}

fn make_topic(admin: &mut Wire, topic: &str) -> Result<()> {
    let answer = admin.call(&create(topic))?;
    let code = answer.topics.first().context("no answer")?.error_code;
    ensure!(matches!(code, 0 | 36), "making topic {topic}: error {code}");
    until_settled("a new topic's leader", || {
        let answer = admin.call(&metadata(topic))?;
        let topic = answer.topics.first().context("no answer")?;
        let partition = topic.partitions.first().map(|it| it.error_code);
        // Not known to this broker yet is the same as not led yet.
        Ok(match (topic.error_code, partition) {
            (3, _) | (0, None) => 5,
            (0, Some(code)) | (code, _) => code,
        })
    })
}

/// Asks again while the answer is one of those that pass by themselves.
fn until_settled(what: &str, mut ask: impl FnMut() -> Result<i16>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask()? {
            0 => return Ok(()),
            code if !passes(code) => bail!("{what}: error {code}"),
            code if Instant::now() > until => bail!("{what}: still error {code}"),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// No leader (5), leader elsewhere (6), coordinator loading (14), absent (15) or elsewhere (16), its last
/// transaction still ending (51).
fn passes(code: i16) -> bool {
    matches!(code, 5 | 6 | 14 | 15 | 16 | 51)
}

/// One request whose answer carries a single code.
fn single_code<C: Call>(
    wire: &mut Wire,
    request: &C,
    code: impl Fn(&C::Answer) -> Option<i16>,
) -> Result<i16> {
    let until = Instant::now() + PATIENCE;
    loop {
        let code = code(&wire.call(request)?).context("the answer is empty")?;
        if !passes(code) || Instant::now() > until {
            return Ok(code);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(probe: Probe, target: &str, expected: bool, seen: Verdict) -> Cell {
        Cell {
            probe,
            target: target.to_owned(),
            expected,
            seen,
        }
    }

    #[test]
    fn only_the_authorization_error_of_its_own_kind_is_a_refusal() {
        assert_eq!(Probe::Produce.verdict(29), Verdict::Denied);
        assert_eq!(Probe::JoinGroup.verdict(30), Verdict::Denied);
        assert_eq!(Probe::CreateAcls.verdict(31), Verdict::Denied);
        assert_eq!(Probe::Transact.verdict(53), Verdict::Denied);
        assert_eq!(Probe::Produce.verdict(31), Verdict::Other(31));
        assert_eq!(Probe::Delete.verdict(3), Verdict::Other(3));
        assert_eq!(Probe::Create.verdict(36), Verdict::Allowed);
    }

    #[test]
    fn what_is_given_away_comes_before_what_is_wrongly_refused() {
        let cells = [
            cell(Probe::Fetch, "orders", true, Verdict::Denied),
            cell(Probe::Fetch, "orders2", false, Verdict::Allowed),
            cell(Probe::Fetch, "order", false, Verdict::Denied),
            cell(Probe::Fetch, "ordersx", false, Verdict::Other(3)),
        ];
        let text = ensure_right("r", &cells).unwrap_err().to_string();
        assert_eq!(
            text,
            "3 of 4 probes of role r are not as it says:\n  \
             Fetch on `orders2`: allowed, must be refused\n  \
             Fetch on `ordersx`: error 3, must be refused\n  \
             Fetch on `orders`: refused, must be allowed"
        );
        ensure_right("r", &cells[2..3]).unwrap();
    }

    #[test]
    fn the_table_shows_what_is_wrong_in_bold() {
        let cells = [
            cell(Probe::Fetch, "orders", true, Verdict::Allowed),
            cell(Probe::Fetch, "orders2", false, Verdict::Allowed),
            cell(Probe::Describe, "orders", false, Verdict::Denied),
        ];
        assert_eq!(
            tables(&cells),
            "| Topic | fetch | describe |\n|---|---|---|\n| `orders` | yes | no |\n\
             | `orders2` | **allowed, must be refused** |  |\n\n"
        );
    }
}
