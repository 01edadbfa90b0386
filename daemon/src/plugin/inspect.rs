//! Finds the classes that Connect can load from a plugin.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::link::RuntimeFit;
use super::runtime_index::{RuntimeIndex, is_kafka};
use super::scan::Scan;
use runnel_api::plugin::{ClassKind as Kind, PluginClass, Sha256Hex as Digest};

/// Kind, its base type in internal form, and whether classes of it are found by their hierarchy.
/// The last three count only if a service file names them: Connect itself instantiates them from
/// worker settings, and libraries have many that are not meant as plugins.
const KINDS: [(Kind, &str, bool); 9] = [
    (Kind::Source, SOURCE, true),
    (
        Kind::Sink,
        "org/apache/kafka/connect/sink/SinkConnector",
        true,
    ),
    (
        Kind::Converter,
        "org/apache/kafka/connect/storage/Converter",
        true,
    ),
    (
        Kind::HeaderConverter,
        "org/apache/kafka/connect/storage/HeaderConverter",
        true,
    ),
    (
        Kind::Transformation,
        "org/apache/kafka/connect/transforms/Transformation",
        true,
    ),
    (
        Kind::Predicate,
        "org/apache/kafka/connect/transforms/predicates/Predicate",
        true,
    ),
    (
        Kind::ConfigProvider,
        "org/apache/kafka/common/config/provider/ConfigProvider",
        false,
    ),
    (
        Kind::RestExtension,
        "org/apache/kafka/connect/rest/ConnectRestExtension",
        false,
    ),
    (
        Kind::OverridePolicy,
        "org/apache/kafka/connect/connector/policy/ConnectorClientConfigOverridePolicy",
        false,
    ),
];

/// Kafka's own classes that plugins extend, with their base types: enough to find connectors on a
/// host where no runtime is registered yet.
const WELL_KNOWN: &[(&str, &[&str])] = &[
    (
        "org/apache/kafka/connect/json/JsonConverter",
        &[
            "org/apache/kafka/connect/storage/Converter",
            "org/apache/kafka/connect/storage/HeaderConverter",
        ],
    ),
    (
        "org/apache/kafka/connect/storage/StringConverter",
        &[
            "org/apache/kafka/connect/storage/Converter",
            "org/apache/kafka/connect/storage/HeaderConverter",
        ],
    ),
    (
        "org/apache/kafka/connect/converters/ByteArrayConverter",
        &[
            "org/apache/kafka/connect/storage/Converter",
            "org/apache/kafka/connect/storage/HeaderConverter",
        ],
    ),
    (
        "org/apache/kafka/connect/converters/NumberConverter",
        &[
            "org/apache/kafka/connect/storage/Converter",
            "org/apache/kafka/connect/storage/HeaderConverter",
        ],
    ),
    (
        "org/apache/kafka/connect/storage/SimpleHeaderConverter",
        &["org/apache/kafka/connect/storage/HeaderConverter"],
    ),
    (
        "org/apache/kafka/connect/file/FileStreamSourceConnector",
        &["org/apache/kafka/connect/source/SourceConnector"],
    ),
    (
        "org/apache/kafka/connect/file/FileStreamSinkConnector",
        &["org/apache/kafka/connect/sink/SinkConnector"],
    ),
    (
        "org/apache/kafka/connect/mirror/MirrorSourceConnector",
        &["org/apache/kafka/connect/source/SourceConnector"],
    ),
];

/// Packages of Kafka that Connect loads from a plugin even when the worker has them too.
const ISOLATED: [&str; 5] = [
    "org/apache/kafka/connect/file/",
    "org/apache/kafka/connect/json/",
    "org/apache/kafka/connect/mirror/",
    "org/apache/kafka/connect/converters/",
    "org/apache/kafka/connect/transforms/",
];

/// What a source connector answers with whether it delivers exactly once (KIP-618): the method, and
/// the class whose answer is "unknown".
const EXACTLY_ONCE: (&str, &str) = (
    "exactlyOnceSupport",
    "(Ljava/util/Map;)Lorg/apache/kafka/connect/source/ExactlyOnceSupport;",
);
const SOURCE: &str = "org/apache/kafka/connect/source/SourceConnector";

/// Base types of one class that are looked at. Real ones have up to 50; a chain of 100,000 classes
/// made for the purpose would take hours to walk from each of them.
pub(super) const ANCESTORS: usize = 256;

/// What is known about a plugin's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// SHA-256 of the upload.
    pub sha256: Digest,
    /// Bytes of the upload.
    pub size_bytes: u64,
    /// Sorted by class and kind; never empty.
    pub classes: Vec<PluginClass>,
    /// Highest class-file major version (61 is Java 17; see [`super::java_of_class_file`]).
    pub java_major: u16,
    /// One for each runtime that was asked about, in that order.
    pub runtimes: Vec<RuntimeFit>,
}

/// The plugin's classes on top of those of some runtimes.
struct World<'a> {
    scan: &'a Scan,
    runtimes: &'a [&'a RuntimeIndex],
}

impl World<'_> {
    fn in_runtime(&self, name: &str) -> bool {
        self.runtimes
            .iter()
            .any(|runtime| runtime.class(name).is_some())
    }

    /// Calls `visit` for the direct base types of a class: Kafka's classes come from the runtime
    /// first, as a worker's class loader does it, all others from the plugin.
    fn bases(&self, name: &str, mut visit: impl FnMut(&str)) {
        let runtime = || {
            self.runtimes
                .iter()
                .find_map(|runtime| runtime.class(name))
                .map(|class| &class.supers)
        };
        let plugin = || self.scan.class(name).map(|class| &class.supers);
        let found = if is_kafka(name) {
            runtime().or_else(plugin)
        } else {
            plugin()
        };
        match found {
            Some(supers) => supers.iter().for_each(|base| visit(base)),
            None => WELL_KNOWN
                .iter()
                .filter(|(known, _)| *known == name)
                .flat_map(|(_, supers)| *supers)
                .for_each(|base| visit(base)),
        }
    }

    /// Whether a class that we know declares a member; none for one that is nowhere.
    fn declares(&self, class: &str, (name, descriptor): (&str, &str)) -> Option<bool> {
        let runtime = || {
            let mut found = self
                .runtimes
                .iter()
                .filter_map(|runtime| runtime.class(class))
                .peekable();
            found.peek()?;
            Some(found.any(|class| class.declares(name, descriptor)))
        };
        let plugin = || {
            let class = self.scan.class(class)?;
            Some(class.declares(name, descriptor))
        };
        if is_kafka(class) {
            runtime().or_else(plugin)
        } else {
            plugin()
        }
    }

    /// Whether a source connector answers for exactly-once delivery by itself, not by what it
    /// inherits of Kafka's. None where a base type is not known.
    fn answers_exactly_once(&self, ancestry: &HashSet<String>) -> Option<bool> {
        let mut known = ancestry.len() < ANCESTORS;
        for class in ancestry.iter().filter(|class| *class != SOURCE) {
            match self.declares(class, EXACTLY_ONCE) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => known = false,
            }
        }
        known.then_some(false)
    }

    /// Everything that a class extends or implements, itself included.
    fn ancestry(&self, name: &str) -> HashSet<String> {
        let mut seen = HashSet::from([name.to_owned()]);
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            self.bases(&name, |base| {
                if !base.starts_with("java/")
                    && seen.len() < ANCESTORS
                    && seen.insert(base.to_owned())
                {
                    open.push(base.to_owned());
                }
            });
        }
        seen
    }

    fn version(&self, name: &str, ancestry: &HashSet<String>) -> String {
        let declared = ancestry
            .iter()
            .filter_map(|name| self.scan.class(name))
            .any(|class| class.declares_version);
        let version = declared.then(|| self.scan.version_of(name)).flatten();
        version.unwrap_or("undefined").to_owned()
    }
}

/// The classes of a plugin that Connect can load, sorted.
pub(super) fn classes(scan: &Scan, runtimes: &[&RuntimeIndex]) -> Vec<PluginClass> {
    let world = World { scan, runtimes };
    let candidates = scan
        .classes
        .values()
        .map(|found| &found.class)
        .filter(|class| class.instantiable);
    let (mut own, mut copies) = (Vec::new(), Vec::new());
    for class in candidates {
        let name: &str = &class.name;
        let found = found_kinds(&world, name);
        // A copy of a piece of Kafka in a plugin is no offer of the plugin's: the worker has it.
        // It counts if there is nothing else, as when somebody registers Kafka's file connectors.
        let copy = is_kafka(name) && (runtimes.is_empty() || world.in_runtime(name));
        if copy {
            if ISOLATED.iter().any(|package| name.starts_with(package)) {
                copies.extend(found);
            }
        } else {
            own.extend(found);
        }
    }
    let mut classes = if own.is_empty() { copies } else { own };
    classes.sort_unstable();
    classes
}

fn found_kinds(world: &World<'_>, name: &str) -> Vec<PluginClass> {
    let ancestry = world.ancestry(name);
    let named = |base: &str| {
        world
            .scan
            .services
            .get(&base.replace('/', "."))
            .is_some_and(|names| names.contains(name))
    };
    KINDS
        .iter()
        .filter(|(_, base, by_hierarchy)| {
            ancestry.contains(*base) && (*by_hierarchy || named(base))
        })
        .map(|(kind, ..)| PluginClass {
            class: name.replace('/', "."),
            kind: *kind,
            version: world.version(name, &ancestry),
            exactly_once: (*kind == Kind::Source)
                .then(|| world.answers_exactly_once(&ancestry))
                .flatten(),
        })
        .collect()
}

/// [`PluginClass::exactly_once`] of a source connector that comes with Kafka; none where the runtime
/// does not have it.
#[cfg(test)]
pub(super) fn exactly_once_of_runtime(runtime: &RuntimeIndex, class: &str) -> Option<bool> {
    runtime.class(class)?;
    let (scan, runtimes) = (Scan::default(), [runtime]);
    let world = World {
        scan: &scan,
        runtimes: &runtimes,
    };
    world.answers_exactly_once(&world.ancestry(class))
}

/// Service files that the plugin's jars lack for these classes: interface → classes, both as binary
/// names.
pub(super) fn missing_services(
    scan: &Scan,
    classes: &[PluginClass],
) -> BTreeMap<String, BTreeSet<String>> {
    let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for class in classes {
        let Some((_, base, _)) = KINDS.iter().find(|(kind, ..)| *kind == class.kind) else {
            continue;
        };
        let interface = base.replace('/', ".");
        let there = scan
            .services
            .get(&interface)
            .is_some_and(|names| names.contains(&class.class.replace('.', "/")));
        if !there {
            missing
                .entry(interface)
                .or_default()
                .insert(class.class.clone());
        }
    }
    missing
}
