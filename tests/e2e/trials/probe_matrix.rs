//! What the broker lets a principal do, tried on the broker: nothing that its ACLs do not say, and all that they do.

use anyhow::{Context as _, Result, ensure};
use e2e::hcl::{ADMIN_PASSWORD, Seed, Statement};
use e2e::probe::{self, CLUSTER, Cell, Probe, Targets};
use e2e::process::repository;
use e2e::rig::Rig;
use e2e::secured::Secured;
use e2e::wire::Wire;
use e2e::world::World;
use std::fmt::Write as _;

/// A principal, the ACLs that an administrator would type for it, and what follows from them.
struct Role {
    name: &'static str,
    /// Arguments of `kafka-acls --add`, without the principal.
    acls: &'static [&'static [&'static str]],
    /// Everything it may; all else it may not.
    may: &'static [(Probe, &'static [&'static str])],
}

/// Names are chosen for what a wrong matcher would make of them: `orders` against `orders2` and `order`, the prefix
/// `orders.` against `orders` and `ordersx`, a name inside the prefix that is denied, a stranger's names, and what
/// another connector's workers keep in Kafka.
const TARGETS: Targets<'static> = Targets {
    topics: &[
        "orders",
        "orders2",
        "order",
        "ordersx",
        "orders.eu",
        "orders.secret",
        "orders.secret2",
        "invoices",
        "__runnel_offsets_other_1",
        "__runnel_configs_other_1",
        "__runnel_status_other_1",
    ],
    groups: &[
        "orders",
        "orders2",
        "orders.eu",
        "ordersx",
        "connect-other",
        "__runnel_other_1",
    ],
    transactional_ids: &["orders", "orders2", "orders.eu", "ordersx", "connect-other"],
    keep: &[],
};

/// The topics that are no worker's own.
const BUSINESS: &[&str] = &[
    "orders",
    "orders2",
    "order",
    "ordersx",
    "orders.eu",
    "orders.secret",
    "orders.secret2",
    "invoices",
];

const ROLES: &[Role] = &[
    Role {
        name: "writes-orders",
        acls: &[
            &[
                "--topic",
                "orders",
                "--operation",
                "Write",
                "--operation",
                "Create",
            ],
            &["--transactional-id", "orders", "--operation", "Write"],
        ],
        may: &[
            (Probe::Produce, &["orders"]),
            // Follows from Write.
            (Probe::Describe, &["orders"]),
            (Probe::Create, &["orders"]),
            (Probe::Transact, &["orders"]),
        ],
    },
    Role {
        name: "reads-orders",
        acls: &[
            &["--topic", "orders", "--operation", "Read"],
            &["--group", "orders", "--operation", "Read"],
        ],
        may: &[
            (Probe::Fetch, &["orders"]),
            // Follows from Read.
            (Probe::Describe, &["orders"]),
            (Probe::JoinGroup, &["orders"]),
        ],
    },
    Role {
        name: "keeps-orders-but-secrets",
        acls: &[
            &[
                "--topic",
                "orders.",
                "--resource-pattern-type",
                "prefixed",
                "--operation",
                "All",
            ],
            &[
                "--group",
                "orders.",
                "--resource-pattern-type",
                "prefixed",
                "--operation",
                "Read",
            ],
            &[
                "--transactional-id",
                "orders.",
                "--resource-pattern-type",
                "prefixed",
                "--operation",
                "Write",
            ],
            &["--deny", "--topic", "orders.secret", "--operation", "All"],
        ],
        may: &[
            (Probe::Produce, &["orders.eu", "orders.secret2"]),
            (Probe::Fetch, &["orders.eu", "orders.secret2"]),
            (Probe::Describe, &["orders.eu", "orders.secret2"]),
            (Probe::Create, &["orders.eu", "orders.secret2"]),
            (Probe::AlterConfigs, &["orders.eu", "orders.secret2"]),
            (Probe::Delete, &["orders.eu", "orders.secret2"]),
            (Probe::JoinGroup, &["orders.eu"]),
            (Probe::Transact, &["orders.eu"]),
        ],
    },
    Role {
        name: "reads-all-but-deletes-none",
        acls: &[
            &[
                "--topic",
                "*",
                "--operation",
                "Read",
                "--operation",
                "Delete",
            ],
            &[
                "--deny",
                "--topic",
                "orders",
                "--resource-pattern-type",
                "prefixed",
                "--operation",
                "Delete",
            ],
            &[
                "--deny",
                "--topic",
                "__runnel_",
                "--resource-pattern-type",
                "prefixed",
                "--operation",
                "All",
            ],
        ],
        may: &[
            (Probe::Fetch, BUSINESS),
            (Probe::Describe, BUSINESS),
            // `order` is no name that begins with `orders`.
            (Probe::Delete, &["order", "invoices"]),
        ],
    },
    // What no connector ever gets; it shows that the probes of the cluster see a yes as well.
    Role {
        name: "alters-the-cluster",
        acls: &[&["--cluster", "--operation", "Alter"]],
        may: &[
            (Probe::CreateAcls, &[CLUSTER]),
            (Probe::AlterUsers, &[CLUSTER]),
        ],
    },
    Role {
        name: "nobody",
        acls: &[],
        may: &[],
    },
];

impl Role {
    fn may(&self, probe: Probe, target: &str) -> bool {
        self.may
            .iter()
            .any(|(may, names)| *may == probe && names.contains(&target))
    }
}

/// ACLs that Kafka's own tool wrote, looked at by the principals that they are for. Needs the secured broker alone.
pub fn by_hand() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("runnel-probe-").tempdir()?;
    let rig = Rig::up(&folder.path().join("rig"), &["secured"])?;
    let secured = rig.secured()?;
    let mut seen = Vec::new();
    for role in ROLES {
        let cells = cells_of(&secured, role).with_context(|| format!("role {}", role.name))?;
        seen.push((role, cells));
    }
    // Before any judgement: the table shows what is wrong, too.
    if std::env::var_os("REPORT").is_some() {
        write_report(&seen)?;
    }
    let mut probes = 0;
    for (role, cells) in &seen {
        probes += cells.len();
        probe::ensure_right(role.name, cells)?;
    }
    println!("{probes} probes of {} roles", seen.len());
    Ok(())
}

fn cells_of(secured: &Secured, role: &Role) -> Result<Vec<Cell>> {
    let password = format!("of-{}", role.name);
    secured.upsert_user(role.name, &password)?;
    let principal = format!("User:{}", role.name);
    for acl in role.acls {
        let (who, acl) = match acl.split_first() {
            Some((&"--deny", rest)) => ("--deny-principal", rest),
            _ => ("--allow-principal", *acl),
        };
        let mut arguments = vec!["acls", "--add", "--force", who, &principal];
        arguments.extend(acl);
        secured.kafka(&arguments)?;
    }
    let login = secured.login(role.name, &password);
    probe::matrix(&secured.admin(), &login, &TARGETS, |probe, target| {
        role.may(probe, target)
    })
}

/// A worker's login, as its role and the daemon made it.
const CAPTURE: &str = "probed";

/// What the role of the connector [`CAPTURE`] says. The prefix ends in a dot, and holds a name that is denied.
const POLICY: &[Statement<'static>] = &[
    Statement {
        effect: "Allow",
        actions: &[
            "Connect",
            "DescribeCluster",
            "DescribeClusterDynamicConfiguration",
        ],
        resources: &["cluster"],
    },
    Statement {
        effect: "Allow",
        actions: &[
            "CreateTopic",
            "DescribeTopic",
            "DescribeTopicDynamicConfiguration",
            "ReadData",
            "WriteData",
        ],
        resources: &["topic/probed", "topic/probed.*", "topic/dbhistory.probed"],
    },
    Statement {
        effect: "Deny",
        actions: &["*"],
        resources: &["topic/probed.secret"],
    },
    Statement {
        effect: "Allow",
        actions: &["DescribeGroup", "AlterGroup"],
        resources: &["group/probed-dbhistory"],
    },
];

/// Names around [`POLICY`]'s; `probed.` itself is no topic, so the shortest under the prefix is `probed.a`.
const AROUND_TOPICS: &[&str] = &[
    "probed",
    "probed2",
    "probe",
    "probedx",
    "probed.a",
    "probed.secret",
    "probed.secret2",
    "dbhistory.probed",
    "dbhistory.probed2",
    "__runnel_offsets_other_1",
    "__runnel_configs_other_1",
    "__runnel_status_other_1",
];
const ALLOWED_TOPICS: &[&str] = &["probed", "probed.a", "probed.secret2", "dbhistory.probed"];
const AROUND_GROUPS: &[&str] = &[
    "probed-dbhistory",
    "probed-dbhistory2",
    "probed",
    "connect-other",
    "runnel-other-1",
];

/// The same by way of Terraform, policy and daemon: a running connector's own user, with another password for the time
/// of the trial, may do what the policy and the fleet's own needs say, on the broker, and nothing else.
pub fn of_a_connector(world: &mut World) -> Result<()> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    world
        .rig
        .mariadb("CREATE DATABASE probed; CREATE TABLE probed.t (id INT PRIMARY KEY)")?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let hcl = Seed {
        secured: Some((&secured, POLICY)),
        ..Seed::new(CAPTURE, "probed", &password)
    }
    .hcl(world)?;
    let mut terraform = world.terraform(CAPTURE, &hcl)?;
    terraform.set(&format!("TF_VAR_{ADMIN_PASSWORD}"), &secured.admin_password);
    terraform.apply()?.expect(0)?;
    let connector = world.daemon.get("/api/v1/connectors/probed")?;
    let principal = connector["status"]["derived"]["principal"].as_str();
    let user = principal.and_then(|it| it.strip_prefix("User:"));
    let user = user.context("the connector has no principal")?.to_owned();
    let seen = secured.topics()?;
    let own: Vec<&str> = seen
        .iter()
        .map(String::as_str)
        .filter(|topic| topic.starts_with("__runnel_") && topic.contains("_probed_"))
        .collect();
    ensure!(own.len() == 3, "internal topics: {own:?}");
    secured.upsert_user(&user, "of-the-probe")?;
    let cells = around(&secured, &user, &own)?;
    print!("{}", probe::tables(&cells));
    probe::ensure_right(CAPTURE, &cells)?;
    world.daemon.runnel(&["rotate", CAPTURE])?;
    ensure!(
        Wire::open(&secured.login(&user, "of-the-probe")).is_err(),
        "the trial's password still opens"
    );
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE probed")?;
    Ok(())
}

fn around(secured: &Secured, user: &str, own: &[&str]) -> Result<Vec<Cell>> {
    let topics: Vec<&str> = AROUND_TOPICS.iter().chain(own).copied().collect();
    let targets = Targets {
        topics: &topics,
        groups: AROUND_GROUPS,
        transactional_ids: &["probed", "connect-probed"],
        keep: &topics,
    };
    let login = secured.login(user, "of-the-probe");
    probe::matrix(
        &secured.admin(),
        &login,
        &targets,
        |probe, target| match probe {
            Probe::Produce | Probe::Fetch | Probe::Describe => {
                ALLOWED_TOPICS.contains(&target) || own.contains(&target)
            }
            Probe::Create => ALLOWED_TOPICS.contains(&target),
            Probe::JoinGroup => target == "probed-dbhistory",
            Probe::AlterConfigs
            | Probe::Delete
            | Probe::Transact
            | Probe::CreateAcls
            | Probe::AlterUsers => false,
        },
    )
}

const BEGIN: &str = "<!-- probe-matrix -->\n";
const END: &str = "<!-- /probe-matrix -->";

fn write_report(seen: &[(&Role, Vec<Cell>)]) -> Result<()> {
    let path = repository().join("docs/security.md");
    let text = std::fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).context("no begin of the matrix")?;
    let (_, after) = rest.split_once(END).context("no end of the matrix")?;
    let tables = report(seen);
    std::fs::write(&path, format!("{before}{BEGIN}\n{tables}{END}{after}"))?;
    Ok(())
}

fn report(seen: &[(&Role, Vec<Cell>)]) -> String {
    let all = || seen.iter().flat_map(|(_, cells)| cells);
    let mut text = format!(
        "{} probes; {} let something pass that the role does not allow, {} refused something that it does.\n\n",
        all().count(),
        all().filter(|it| !it.is_right() && !it.expected).count(),
        all().filter(|it| !it.is_right() && it.expected).count(),
    );
    for (role, cells) in seen {
        let _ = writeln!(text, "### `{}`\n", role.name);
        for acl in role.acls {
            let _ = writeln!(text, "- `{}`", acl.join(" "));
        }
        if role.acls.is_empty() {
            text.push_str("No ACL at all.\n");
        }
        let _ = write!(text, "\n{}", probe::tables(cells));
    }
    text
}
