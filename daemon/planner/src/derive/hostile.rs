//! Configurations that turn a worker against its host: keys and values that make Connect, a Kafka
//! client or a database's driver load a class, read or write a file, ask a naming service or
//! reach where nobody outside shall reach. Known by name, mostly from CVEs; refused at plan.
//!
//! It is the first fence of several. What passes here meets a worker that may open few files
//! (Landlock), few login modules and no providers of its own; see `docs/security.md`.
//!
//! A value in `config_wo` is not seen at plan. A key that names a class or a file there is refused
//! as such; texts that are secrets by nature (a JAAS configuration, a URL with a password) pass, and
//! [`check_secret_value`] looks at them when they arrive.

mod driver;
mod jaas;
mod naming;

use super::class::Found;
use super::{DeriveInput, Findings, all_keys};
use runnel_api::{ErrorCode, Problem};

/// What a rule says of the values of its keys.
#[derive(Clone, Copy)]
enum Allowed {
    /// No value is right.
    Nothing,
    /// Only these, in each place of a comma-separated list; what ends with a full stop is a package.
    Only(&'static [&'static str]),
}

/// Keys and why they are refused.
struct Rule {
    /// The last parts of a key, whatever stands before them: `sasl.login.class` is also that of
    /// `producer.override.sasl.login.class`. One `*` stands for anything.
    keys: &'static [&'static str],
    allowed: Allowed,
    message: &'static str,
    detail: &'static str,
    hint: &'static str,
}

const LEAVE_OUT: &str = "leave the key out";

/// Settings of Kafka's clients and of Connect, of the Hibernate in Debezium's JDBC sink, and of
/// classes that are made by name. Properties of JDBC drivers are in [`driver`].
const RULES: [Rule; 12] = [
    Rule {
        keys: &["config.providers", "config.providers.*"],
        allowed: Allowed::Nothing,
        message: "config providers beyond files are refused",
        detail: "a provider named in a configuration reads files and the environment of the \
                 worker (CVE-2024-31141)",
        hint: "put secrets into config_wo; workers get them as a private file",
    },
    Rule {
        keys: &["plugin.path"],
        allowed: Allowed::Nothing,
        message: "a connector may not say where plugins are",
        detail: "the key makes a worker load classes from a folder of the configuration's choice",
        hint: "declare the archive as a runnel_plugin and name it in `plugins`",
    },
    Rule {
        keys: &["interceptor.classes", "metric.reporters"],
        allowed: Allowed::Only(&["org.apache.kafka."]),
        message: "a client of the worker may not be given classes to run",
        detail: "each class in the list is made and called with every record or metric, on the \
                 path of CVE-2023-25194",
        hint: LEAVE_OUT,
    },
    Rule {
        keys: &["security.providers", "ssl.engine.factory.class"],
        allowed: Allowed::Only(&["org.apache.kafka."]),
        message: "a client of the worker may not be given security classes to run",
        detail: "such a class replaces the checks that make a connection safe, for the whole \
                 process",
        hint: LEAVE_OUT,
    },
    Rule {
        keys: &["sasl.*callback.handler.class", "sasl.login.class"],
        allowed: Allowed::Only(&[
            "org.apache.kafka.common.security.",
            "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
        ]),
        message: "this class may not take part in a login",
        detail: "login classes run with the worker's rights before a broker is asked \
                 (CVE-2023-25194 went through the same door)",
        hint: "the login comes from the runnel_kafka_cluster; leave the key out",
    },
    Rule {
        keys: &["sasl.oauthbearer.*.url", "sasl.oauthbearer.*.file"],
        allowed: Allowed::Nothing,
        message: "OAUTHBEARER may not read URLs or files on a worker",
        detail: "with file: URLs it reads files of the host and shows them in errors, with others \
                 it reaches services that are open to the host alone, such as a cloud's metadata \
                 (CVE-2025-27817)",
        hint: "the login comes from the runnel_kafka_cluster; leave the key out",
    },
    Rule {
        keys: &["sasl.oauthbearer.*.class"],
        allowed: Allowed::Only(&["org.apache.kafka.common.security."]),
        message: "this class may not take part in a login",
        detail: "OAUTHBEARER makes it by its name and gives it the login's settings",
        hint: "the login comes from the runnel_kafka_cluster; leave the key out",
    },
    Rule {
        keys: &[
            "hibernate.jndi.*",
            "hibernate.connection.datasource",
            "hibernate.session_factory_name",
        ],
        allowed: Allowed::Nothing,
        message: "the sink may not ask a naming service (JNDI)",
        detail: "a naming service that the configuration names can answer with an object that \
                 runs its own code, as in CVE-2021-44228 and CVE-2023-25194",
        hint: "write the database's address into connection.url",
    },
    Rule {
        keys: &[
            "hibernate.c3p0.userOverrides*",
            "hibernate.c3p0.connectionCustomizerClassName",
            "hibernate.c3p0.connectionTesterClassName",
            "hibernate.c3p0.taskRunnerFactoryClassName",
            "hibernate.c3p0.contextClassLoaderSource",
            "hibernate.c3p0.factoryClassLocation",
        ],
        allowed: Allowed::Nothing,
        message: "the connection pool may not be given classes or serialised objects",
        detail: "c3p0 makes the class by its name, or reads a Java object out of the text and \
                 with it whatever the writer wanted to run",
        hint: LEAVE_OUT,
    },
    Rule {
        keys: &["hibernate.connection.provider_class", "connection.provider"],
        allowed: Allowed::Only(&["org.hibernate.", "io.debezium."]),
        message: "this class may not make the sink's connections",
        detail: "it is made by its name and handed the database's credentials",
        hint: LEAVE_OUT,
    },
    Rule {
        keys: &[
            "database.jdbc.driver",
            "hibernate.connection.driver_class",
            "connection.driver.class",
        ],
        allowed: Allowed::Only(&[
            "com.ibm.db2.jcc.",
            "com.microsoft.sqlserver.jdbc.",
            "com.mysql.",
            "oracle.jdbc.",
            "org.mariadb.jdbc.",
            "org.postgresql.Driver",
            "software.amazon.jdbc.Driver",
            "software.aws.rds.jdbc.",
        ]),
        message: "this is no JDBC driver that is known here",
        detail: "any class that is named here is made before it is known whether it is a driver",
        hint: "leave the key out; the connector brings its driver",
    },
    Rule {
        keys: &[
            "hibernate.hbm2ddl.import_files*",
            "hibernate.integrator_provider",
        ],
        allowed: Allowed::Nothing,
        message: "the sink may not be given scripts or classes to run at its start",
        detail: "Hibernate runs the file's statements, or makes the class, when it starts",
        hint: LEAVE_OUT,
    },
];

/// Addresses under which clouds tell a machine its credentials (IMDS of AWS, Azure and Google
/// Cloud; the IPv6 one is AWS's).
const METADATA: [&str; 3] = [
    "169.254.169.254",
    "fd00:ec2::254",
    "metadata.google.internal",
];

/// Refuses every key that attacks the host, and remarks on what reads its files.
pub(super) fn check(input: &DeriveInput<'_>, found: Option<&Found>, findings: &mut Findings) {
    for (argument, key) in all_keys(input) {
        let value = match argument {
            "config" => Value::Seen(input.spec.config.get(key).map_or("", |text| text.trim())),
            _ => Value::Secret,
        };
        if let Some(problem) = refusal(key, value) {
            findings.refuse(problem.field(format!("{argument}[{key:?}]")));
        }
    }
    naming::check(input, findings);
    if let Some(found) = found {
        files(input, found, findings);
    }
}

/// Looks at a secret value when it arrives: what [`check`] could not see at plan. The problem does
/// not quote it.
pub fn check_secret_value(key: &str, value: &str) -> Option<Problem> {
    let reference = super::secrets::well_known_provider(value).map(|provider| {
        Problem::new(
            ErrorCode::InvalidArgument,
            format!("config providers beyond files are refused: {provider:?}"),
        )
        .detail("a reference in a secret value stays the text that it is; nothing resolves it")
        .hint("write the value itself")
    });
    reference
        .or_else(|| refusal(key, Value::Arrived(value.trim())))
        .map(|problem| problem.field(format!("config_wo[{key:?}]")))
}

/// How much of a value is known.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    /// It stands in `config`.
    Seen(&'a str),
    /// It is in `config_wo` and was not looked at yet.
    Secret,
    /// It came in `config_wo`; it must not be quoted.
    Arrived(&'a str),
}

impl<'a> Value<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Seen(text) | Self::Arrived(text) => Some(text),
            Self::Secret => None,
        }
    }
}

fn refusal(key: &str, value: Value<'_>) -> Option<Problem> {
    if names(key, "sasl.jaas.config") {
        // A placeholder's value is looked at where it arrives.
        return value
            .text()
            .filter(|text| !text.is_empty() && !super::secrets::is_placeholder(text))
            .and_then(jaas::refusal);
    }
    let rule = RULES.iter().find(|rule| {
        rule.keys.iter().any(|wanted| names(key, wanted)) && !rule.allowed.lets(value)
    });
    rule.map(|rule| rule.problem(value))
        .or_else(|| driver::refusal(key, value))
        .or_else(|| value.text().and_then(metadata))
}

/// Whether the last parts of a key, from a full stop on, are these.
fn names(key: &str, wanted: &str) -> bool {
    let ends = std::iter::once(0).chain(key.match_indices('.').map(|(at, _)| at + 1));
    ends.into_iter().any(|at| {
        let rest = &key[at..];
        match wanted.split_once('*') {
            None => rest == wanted,
            Some((begin, end)) => rest
                .strip_prefix(begin)
                .is_some_and(|rest| rest.ends_with(end)),
        }
    })
}

impl Allowed {
    /// A value that is not seen is none of those allowed.
    fn lets(self, value: Value<'_>) -> bool {
        let (Self::Only(known), Some(text)) = (self, value.text()) else {
            return false;
        };
        text.split(',').map(str::trim).all(|one| {
            one.is_empty()
                || known
                    .iter()
                    .any(|known| one == *known || (known.ends_with('.') && one.starts_with(known)))
        })
    }
}

impl Rule {
    fn problem(&self, value: Value<'_>) -> Problem {
        let mut detail = self.detail.to_owned();
        // A class is no secret; what stands where nothing may stand could be one.
        if let (Allowed::Only(_), Value::Seen(text)) = (self.allowed, value) {
            detail = format!("{detail}; the value is {:?}", super::cut(text));
        }
        let mut hint = self.hint.to_owned();
        if let (Allowed::Only(_), Value::Secret) = (self.allowed, value) {
            "it names a class, which is no secret: write it in config, where it can be checked, or leave it out"
                .clone_into(&mut hint);
        } else if let (Allowed::Only(known), Value::Seen(text)) = (self.allowed, value)
            && let Some(near) = runnel_api::nearest::nearest(text, known.iter().copied())
        {
            hint = format!("did you mean {near:?}?");
        }
        Problem::new(ErrorCode::InvalidArgument, self.message)
            .detail(detail)
            .hint(hint)
    }
}

fn metadata(text: &str) -> Option<Problem> {
    let address = METADATA.iter().find(|address| text.contains(**address))?;
    Some(
        Problem::new(
            ErrorCode::InvalidArgument,
            "a connector may not reach the cloud's metadata service",
        )
        .detail(format!(
            "{address} answers this machine alone, with its credentials (OWASP API7:2023)"
        ))
        .hint("write the address of the system that the connector is for"),
    )
}

/// Files that the daemon keeps secrets or its state in, see ARCHITECTURE.md.
const OURS: [&str; 9] = [
    "runnel.db",
    "runnel.db-wal",
    "runnel.db-shm",
    "sealing.key",
    "sealing.key.next",
    "root.token",
    "name.key",
    "rest.properties",
    "jaas.conf",
];

/// Kafka's own file connectors: what is plainly an attack is refused, the rest is told. Where the
/// daemon keeps its files is not known here, and a path can be written in many ways; what holds is
/// Landlock.
fn files(input: &DeriveInput<'_>, found: &Found, findings: &mut Findings) {
    const KEY: &str = "file";
    let is_file = found.class.starts_with("org.apache.kafka.connect.file.");
    let Some(path) = input.spec.config.get(KEY).filter(|_| is_file) else {
        return;
    };
    let path = path.trim();
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let first = parts.clone().next().unwrap_or_default();
    let last = parts.next_back().unwrap_or_default();
    let kernel = path.starts_with('/') && matches!(first, "proc" | "sys" | "dev");
    let ours =
        OURS.contains(&last) || (last.starts_with("secrets-") && last.ends_with(".properties"));
    if kernel || ours || path.split('/').any(|part| part == "..") {
        findings.refuse(
            Problem::new(
                ErrorCode::InvalidArgument,
                "a connector may not have this file",
            )
            .detail(format!(
                "{:?} is the kernel's or the daemon's own, or leaves its folder by `..`; lines of \
                 it would stand in a topic, or be written over",
                super::cut(path)
            ))
            .hint("name a file in a folder that the daemon's setting workers.readable_paths lists")
            .config_key(KEY),
        );
        return;
    }
    findings.warn(
        "config[\"file\"]",
        "the worker can open this file only where the daemon's settings say so",
        "with Landlock a worker reads what workers.readable_paths lists and writes what \
         workers.writable_paths lists in runnel.toml; without Landlock it can open whatever the \
         daemon's user can (`runnel doctor` says which)",
    );
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod tests;
