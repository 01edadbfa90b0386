//! The static link check: does a runtime have every member of Kafka that a plugin uses? What it
//! finds would be a `NoSuchMethodError` at run time, often only at a restart.
//!
//! Resolution follows the Java Virtual Machine Specification 5.4.3 over the classes that we know.
//! Where the search leaves them (into the JDK or another library) and nothing was found, the answer
//! is unknown and nothing is reported: a false alarm would refuse a plugin that works.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::inspect::ANCESTORS;
use super::jar::KafkaReference;
use super::runtime_index::{RuntimeIndex, is_kafka};
use super::scan::Scan;

/// How a plugin gets on with one runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFit {
    /// The runtime's name.
    pub runtime: String,
    /// The verdict.
    #[serde(flatten)]
    pub fit: Fit,
}

/// The verdict of the link check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fit", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Fit {
    /// Everything that it uses of Kafka is there.
    Compatible,
    /// Something is not there, and its use will fail.
    Incompatible {
        /// Members as `org.apache.kafka.X.method(long)`, or names of classes; sorted.
        missing: Vec<String>,
    },
    /// Its classes are for a newer Java.
    JavaTooOld {
        /// The feature release that it needs.
        needs: u16,
        /// The feature release that the runtime's workers have.
        has: u16,
    },
    /// It could not be found out; whoever records fits without looking (a runtime that went away)
    /// says so with this.
    Unknown {
        /// Why not.
        reason: String,
    },
}

/// The Java feature release that loads class files of this major version (61 → 17).
pub fn java_of_class_file(major: u16) -> u16 {
    major.saturating_sub(44)
}

/// The highest class-file major version that a Java feature release loads (17 → 61).
pub fn class_file_major_of(java: u16) -> u16 {
    java.saturating_add(44)
}

/// Resolves what the plugin uses of Kafka against one runtime.
pub(super) fn check(scan: &Scan, runtime: &RuntimeIndex) -> RuntimeFit {
    let fit = match runtime.java() {
        Some(has) if scan.java_major > class_file_major_of(has) => Fit::JavaTooOld {
            needs: java_of_class_file(scan.java_major),
            has,
        },
        _ => {
            let missing: Vec<String> = missing(scan, runtime).into_iter().collect();
            if missing.is_empty() {
                Fit::Compatible
            } else {
                Fit::Incompatible { missing }
            }
        }
    };
    RuntimeFit {
        runtime: runtime.name().to_owned(),
        fit,
    }
}

fn missing(scan: &Scan, runtime: &RuntimeIndex) -> BTreeSet<String> {
    let world = World { scan, runtime };
    let mut checked = HashSet::new();
    let mut missing = BTreeSet::new();
    for found in scan.classes.values() {
        for reference in &found.class.references {
            if checked.insert(reference) && world.resolve(reference) == Found::No {
                missing.insert(words(reference));
            }
        }
    }
    missing
}

/// The answer of a search. Unknown: it left the classes that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Yes,
    No,
    Unknown,
}

struct World<'a> {
    scan: &'a Scan,
    runtime: &'a RuntimeIndex,
}

impl World<'_> {
    fn resolve(&self, reference: &KafkaReference) -> Found {
        let owner: &str = &reference.owner;
        if is_kafka(owner)
            && self.runtime.class(owner).is_none()
            && self.scan.class(owner).is_none()
        {
            // A whole package that is not there belongs to a part of Kafka that workers do not
            // carry (Kafka Streams, as metrics libraries name it): optional, or it would work
            // nowhere. A class that is gone from a package that is there was removed.
            return if self.runtime.has_package_of(owner) {
                Found::No
            } else {
                Found::Unknown
            };
        }
        match &reference.member {
            None => Found::Yes,
            Some((name, descriptor)) => self.member(owner, name, descriptor),
        }
    }

    fn member(&self, owner: &str, name: &str, descriptor: &str) -> Found {
        let mut answer = Found::No;
        let mut through_kafka = is_kafka(owner);
        let mut seen = HashSet::from([owner]);
        let mut open = vec![owner];
        while let Some(class) = open.pop() {
            let Some((declares, supers)) = self.look(class, name, descriptor) else {
                answer = Found::Unknown;
                continue;
            };
            if declares {
                return Found::Yes;
            }
            // Constructors are not inherited.
            if name != "<init>" {
                for base in supers {
                    through_kafka |= is_kafka(base);
                    if seen.len() >= ANCESTORS {
                        return Found::Unknown;
                    }
                    if seen.insert(base) {
                        open.push(base);
                    }
                }
            }
        }
        // A member that has nothing to do with Kafka is another library's matter.
        if through_kafka {
            answer
        } else {
            Found::Unknown
        }
    }

    /// Whether a class declares a member, and its bases, as the worker's loaders find it: Kafka's
    /// classes in the runtime first, then the plugin's own, then the JDK's. None if it is nowhere.
    fn look(&self, class: &str, name: &str, descriptor: &str) -> Option<(bool, &[Box<str>])> {
        let runtime = is_kafka(class).then(|| self.runtime.class(class)).flatten();
        if let Some(class) = runtime {
            return Some((class.declares(name, descriptor), &class.supers));
        }
        if let Some(class) = self.scan.class(class) {
            return Some((class.declares(name, descriptor), &class.supers));
        }
        jdk_declares(class, name, descriptor).map(|declares| (declares, [].as_slice()))
    }
}

/// Members by name of the JDK types that Kafka's public classes stand on. With them the search ends
/// in a clear no for `KafkaConsumer` (Closeable) or an error class (Throwable).
const JDK: &[(&str, &[&str])] = &[
    ("java/lang/Object", OBJECT),
    ("java/lang/Record", OBJECT),
    ("java/lang/Throwable", THROWABLE),
    ("java/lang/Exception", THROWABLE),
    ("java/lang/RuntimeException", THROWABLE),
    ("java/lang/IllegalArgumentException", THROWABLE),
    ("java/lang/IllegalStateException", THROWABLE),
    (
        "java/lang/Enum",
        &[
            "name",
            "ordinal",
            "compareTo",
            "getDeclaringClass",
            "describeConstable",
            "valueOf",
        ],
    ),
    ("java/lang/AutoCloseable", &["close"]),
    ("java/io/Closeable", &["close"]),
    ("java/io/Serializable", &[]),
    ("java/lang/Cloneable", &[]),
    ("java/lang/Comparable", &["compareTo"]),
    ("java/lang/Runnable", &["run"]),
    (
        "java/lang/Iterable",
        &["iterator", "forEach", "spliterator"],
    ),
];
const OBJECT: &[&str] = &[
    "getClass",
    "hashCode",
    "equals",
    "clone",
    "toString",
    "notify",
    "notifyAll",
    "wait",
    "finalize",
];
const THROWABLE: &[&str] = &[
    "getMessage",
    "getLocalizedMessage",
    "getCause",
    "initCause",
    "printStackTrace",
    "fillInStackTrace",
    "getStackTrace",
    "setStackTrace",
    "addSuppressed",
    "getSuppressed",
];

/// Whether a type of the JDK has a method of this name (in any form: a removed overload of one of
/// these few would be missed, and there is none); none if the type is not in the table.
fn jdk_declares(class: &str, name: &str, descriptor: &str) -> Option<bool> {
    let (_, names) = JDK.iter().find(|(known, _)| *known == class)?;
    Some(descriptor.starts_with('(') && (names.contains(&name) || OBJECT.contains(&name)))
}

/// A reference as a person writes it.
fn words(reference: &KafkaReference) -> String {
    let owner = reference.owner.replace('/', ".");
    match &reference.member {
        None => owner,
        Some((name, descriptor)) if descriptor.starts_with('(') => {
            let parameters = parameters(descriptor).join(", ");
            if &**name == "<init>" {
                format!("new {owner}({parameters})")
            } else {
                format!("{owner}.{name}({parameters})")
            }
        }
        Some((name, _)) => format!("{owner}.{name}"),
    }
}

/// The simple names of a method's parameters.
fn parameters(descriptor: &str) -> Vec<String> {
    let mut rest = descriptor
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .map_or("", |(inside, _)| inside);
    let mut names = Vec::new();
    while !rest.is_empty() {
        let element = rest.trim_start_matches('[');
        let dimensions = rest.len() - element.len();
        let class = element
            .strip_prefix('L')
            .and_then(|class| class.split_once(';'));
        let (name, after) = class.map_or_else(
            || {
                let mut letters = element.chars();
                (primitive(letters.next()), letters.as_str())
            },
            |(class, after)| (class.rsplit(['/', '$']).next().unwrap_or(class), after),
        );
        names.push(format!("{name}{}", "[]".repeat(dimensions)));
        rest = after;
    }
    names
}

fn primitive(letter: Option<char>) -> &'static str {
    match letter {
        Some('B') => "byte",
        Some('C') => "char",
        Some('D') => "double",
        Some('F') => "float",
        Some('I') => "int",
        Some('J') => "long",
        Some('S') => "short",
        Some('Z') => "boolean",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_written_as_java_writes_them() {
        let words = |member: Option<(&str, &str)>| {
            super::words(&KafkaReference {
                owner: "org/apache/kafka/X".into(),
                member: member.map(|(n, d)| (n.into(), d.into())),
            })
        };
        assert_eq!(
            words(Some(("poll", "(J)Lorg/Y;"))),
            "org.apache.kafka.X.poll(long)"
        );
        assert_eq!(
            words(Some(("<init>", "([[ILjava/util/Map$Entry;Z)V"))),
            "new org.apache.kafka.X(int[][], Entry, boolean)"
        );
        assert_eq!(
            words(Some(("NAME", "Ljava/lang/String;"))),
            "org.apache.kafka.X.NAME"
        );
        assert_eq!(words(None), "org.apache.kafka.X");
        // Nonsense from a hostile class file ends as well.
        assert_eq!(parameters("([[[[Lx)V"), ["?[][][][]", "?"]);
    }

    #[test]
    fn java_and_class_file_versions_are_44_apart() {
        assert_eq!((java_of_class_file(61), class_file_major_of(17)), (17, 61));
        assert_eq!(java_of_class_file(0), 0);
    }
}
