//! The connector class: found in the plugins or in the runtime, and what we know about a few.

use super::{DeriveInput, Findings, FoundClass, cut, listed, nearest};
use runnel_api::plugin::ClassKind;
use runnel_api::{ErrorCode, Problem};
use std::collections::BTreeSet;

pub(super) const KEY: &str = "connector.class";

/// A connector that comes with Kafka itself.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its Java name.
    pub class: &'static str,
    /// Source or sink.
    pub kind: ClassKind,
    /// The jar of a Kafka release that holds it. A runtime without that jar refuses the class when
    /// the configuration is validated.
    pub jar: &'static str,
    /// As [`runnel_api::plugin::PluginClass::exactly_once`].
    pub exactly_once: Option<bool>,
}

const fn built_in(class: &'static str, kind: ClassKind, jar: &'static str) -> BuiltIn {
    BuiltIn {
        class,
        kind,
        jar,
        exactly_once: None,
    }
}

impl BuiltIn {
    const fn exactly_once(self, answers: bool) -> Self {
        Self {
            exactly_once: Some(answers),
            ..self
        }
    }
}

/// Connectors of Kafka 3.9 and 4.x.
pub const BUILT_INS: [BuiltIn; 8] = [
    built_in(
        "org.apache.kafka.connect.file.FileStreamSinkConnector",
        ClassKind::Sink,
        "connect-file",
    ),
    built_in(
        "org.apache.kafka.connect.file.FileStreamSourceConnector",
        ClassKind::Source,
        "connect-file",
    )
    .exactly_once(true),
    built_in(
        "org.apache.kafka.connect.mirror.MirrorCheckpointConnector",
        ClassKind::Source,
        "connect-mirror",
    )
    .exactly_once(false),
    built_in(
        "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector",
        ClassKind::Source,
        "connect-mirror",
    )
    .exactly_once(false),
    built_in(
        "org.apache.kafka.connect.mirror.MirrorSourceConnector",
        ClassKind::Source,
        "connect-mirror",
    )
    .exactly_once(true),
    built_in(
        "org.apache.kafka.connect.tools.SchemaSourceConnector",
        ClassKind::Source,
        "connect-runtime",
    ),
    built_in(
        "org.apache.kafka.connect.tools.VerifiableSinkConnector",
        ClassKind::Sink,
        "connect-runtime",
    ),
    built_in(
        "org.apache.kafka.connect.tools.VerifiableSourceConnector",
        ClassKind::Source,
        "connect-runtime",
    ),
];

/// What the table below knows of a class.
struct Known {
    class: &'static str,
    /// Whether it never runs more than one task (Debezium documentation, `tasks.max`).
    one_task: bool,
    /// Whether it keeps a schema history in Kafka by clients of its own.
    schema_history: bool,
}

const fn known(class: &'static str, one_task: bool, schema_history: bool) -> Known {
    Known {
        class,
        one_task,
        schema_history,
    }
}

const KNOWN: [Known; 9] = [
    known("io.debezium.connector.db2.Db2Connector", true, true),
    known(
        "io.debezium.connector.informix.InformixConnector",
        true,
        true,
    ),
    known("io.debezium.connector.mariadb.MariaDbConnector", true, true),
    known(
        "io.debezium.connector.mongodb.MongoDbConnector",
        false,
        false,
    ),
    known("io.debezium.connector.mysql.MySqlConnector", true, true),
    known("io.debezium.connector.oracle.OracleConnector", true, true),
    known(
        "io.debezium.connector.postgresql.PostgresConnector",
        true,
        false,
    ),
    // One task for each database.
    known(
        "io.debezium.connector.sqlserver.SqlServerConnector",
        false,
        true,
    ),
    known("io.debezium.connector.vitess.VitessConnector", false, false),
];

fn lookup(class: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.class == class)
}

/// Whether a connector class is known to run a single task however many it may: by its full name or,
/// as `connector.class` may hold it, by an alias. Such a connector scales vertically.
pub fn runs_one_task(class: &str) -> bool {
    let class = class.trim();
    KNOWN
        .iter()
        .any(|known| known.one_task && is_called(known.class, class))
}

pub(super) fn has_schema_history(class: &str) -> bool {
    lookup(class).is_some_and(|known| known.schema_history)
}

/// A connector class that there is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub class: String,
    /// As the plugin says; `undefined` where it does not, and for built-ins.
    pub version: String,
}

/// The class with its kind, for those who ask what it needs.
pub(super) fn told(input: &DeriveInput<'_>, found: &Found) -> FoundClass {
    let classes = input
        .plugins
        .iter()
        .flat_map(|(_, plugin)| &plugin.classes)
        .map(|known| (known.class.as_str(), known.kind));
    let built_ins = BUILT_INS.iter().map(|known| (known.class, known.kind));
    let kind = classes
        .chain(built_ins)
        .find_map(|(class, kind)| (class == found.class).then_some(kind));
    FoundClass {
        class: found.class.clone(),
        version: Some(found.version.clone()).filter(|it| it != "undefined"),
        kind,
    }
}

/// How a connector class delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It reads from Kafka.
    Sink,
    /// It writes to Kafka; whether it answers for exactly-once delivery, where that is known.
    Source(Option<bool>),
}

/// What the plugins, or else the runtime, say of a class that [`find`] found.
pub(super) fn kind_of(input: &DeriveInput<'_>, class: &str) -> Option<Kind> {
    let classes = input.plugins.iter().flat_map(|(_, plugin)| &plugin.classes);
    let own = classes
        .filter(|own| own.class == class)
        .map(|own| (own.kind, own.exactly_once));
    let built_in = BUILT_INS
        .iter()
        .filter(|built_in| built_in.class == class)
        .map(|built_in| (built_in.kind, built_in.exactly_once));
    own.chain(built_in).find_map(|(kind, answers)| match kind {
        ClassKind::Sink => Some(Kind::Sink),
        ClassKind::Source => Some(Kind::Source(answers)),
        _ => None,
    })
}

/// Finds the class that `connector.class` names: in full, by its simple name, or by that without
/// `Connector`, as Connect's own aliases work (`PluginUtils.computeAliases`).
pub(super) fn find(input: &DeriveInput<'_>, findings: &mut Findings) -> Option<Found> {
    let problem = match input.spec.config.get(KEY).map(|text| text.trim()) {
        None | Some("") => missing(input),
        Some(wanted) => match resolve(wanted, &available(input)) {
            Ok(found) => return Some(found),
            Err(problem) => *problem,
        },
    };
    findings.refuse(problem.config_key(KEY));
    None
}

fn missing(input: &DeriveInput<'_>) -> Problem {
    let problem = Problem::new(ErrorCode::InvalidArgument, "connector.class is missing");
    let keys = input.spec.config.keys().map(String::as_str);
    match nearest(KEY, keys.filter(|key| *key != KEY)) {
        Some(near) => problem.hint(format!(
            "did you mean connector.class where {near:?} stands?"
        )),
        None => problem.hint(format!(
            "name the connector's Java class; the plugins have {}",
            names(&available(input))
        )),
    }
}

/// Connector classes of the plugins and the runtime.
fn available(input: &DeriveInput<'_>) -> BTreeSet<Found> {
    let classes = input.plugins.iter().flat_map(|(_, plugin)| &plugin.classes);
    let connectors = classes
        .filter(|class| matches!(class.kind, ClassKind::Source | ClassKind::Sink))
        .map(|class| Found {
            class: class.class.clone(),
            version: class.version.clone(),
        });
    let built_in = BUILT_INS.iter().map(|built_in| Found {
        class: built_in.class.to_owned(),
        version: String::from("undefined"),
    });
    connectors.chain(built_in).collect()
}

fn resolve(wanted: &str, available: &BTreeSet<Found>) -> Result<Found, Box<Problem>> {
    let by = |fits: &dyn Fn(&str) -> bool| -> Vec<&Found> {
        available
            .iter()
            .filter(|found| fits(&found.class))
            .collect()
    };
    let full = by(&|class| class == wanted);
    let fitting = if full.is_empty() {
        by(&|class| aliases(class).contains(&wanted))
    } else {
        full
    };
    match fitting.as_slice() {
        [found] => Ok((*found).clone()),
        [] => Err(Box::new(unknown(wanted, available))),
        several => {
            let list = several.iter().map(|f| format!("{} {}", f.class, f.version));
            let list: Vec<String> = list.collect();
            let problem = Problem::new(
                ErrorCode::InvalidArgument,
                "connector.class has more than one meaning",
            );
            Err(Box::new(
                problem
                    .detail(format!("{} is {}", cut(wanted), listed(&list)))
                    .hint("write the full name of the class, and let one plugin have it"),
            ))
        }
    }
}

fn unknown(wanted: &str, available: &BTreeSet<Found>) -> Problem {
    let message = format!("no plugin of this connector has the class {}", cut(wanted));
    let problem = Problem::new(ErrorCode::InvalidArgument, message)
        .detail(format!("connector classes are {}", names(available)));
    let words = available
        .iter()
        .flat_map(|found| std::iter::once(found.class.as_str()).chain(aliases(&found.class)));
    let simple = wanted.rsplit('.').next().unwrap_or(wanted);
    let moved = available
        .iter()
        .find(|found| aliases(&found.class).contains(&simple));
    let words: BTreeSet<&str> = words.collect();
    match nearest(wanted, words).or(moved.map(|found| found.class.as_str())) {
        Some(near) => problem.hint(format!("did you mean {near:?}?")),
        None => problem.hint("add the plugin that has it to `plugins`"),
    }
}

/// What a class may be called besides its full name.
fn aliases(class: &str) -> [&str; 2] {
    let simple = class.rsplit(['.', '$']).next().unwrap_or(class);
    [simple, simple.strip_suffix("Connector").unwrap_or(simple)]
}

/// Whether a text names this class.
pub(super) fn is_called(class: &str, text: &str) -> bool {
    class == text || aliases(class).contains(&text)
}

/// Classes of plugins first: they are what people look for.
fn names(available: &BTreeSet<Found>) -> String {
    let is_built_in = |found: &&Found| BUILT_INS.iter().any(|b| b.class == found.class);
    let (own, others): (Vec<&Found>, Vec<&Found>) =
        available.iter().partition(|found| is_built_in(found));
    let all: Vec<&str> = others
        .into_iter()
        .chain(own)
        .map(|f| f.class.as_str())
        .collect();
    listed(&all)
}
