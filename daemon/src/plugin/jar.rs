//! Reads one jar: its classes, service files and version.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::path::Path;

use zip::read::ZipArchive;

use super::classfile::{self, ABSTRACT, ClassFile, MODULE, Member, PRIVATE, Reference};
use super::error::PluginError;
use super::limits::{Limits, Spent};
use super::zipfile::{self, OpenFault, ReadSeek};

/// Prefix of everything that belongs to Kafka, in internal form.
pub(super) const KAFKA: &str = "org/apache/kafka/";

/// The oldest Java that a worker runs on: of a multi-release jar, we look at what it would load.
const JAVA: u16 = 17;

/// What to read of a jar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// All classes with what they refer to, service files, version.
    Plugin,
    /// Only Kafka's classes, without references.
    Runtime,
}

/// What one jar holds.
#[derive(Debug, Default)]
pub(super) struct JarFacts {
    pub(super) classes: Vec<Class>,
    /// Interface → classes, from `META-INF/services`.
    pub(super) services: BTreeMap<String, BTreeSet<String>>,
    /// What a `version()` of a class in here would say.
    pub(super) version: Option<String>,
}

/// What is kept of a class. Names are in internal form.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: Box<str>,
    /// 0, or the Java release whose folder in a multi-release jar it comes from.
    pub(super) release: u16,
    pub(super) major: u16,
    pub(super) instantiable: bool,
    pub(super) declares_version: bool,
    /// Superclass first, then interfaces.
    pub(super) supers: Vec<Box<str>>,
    /// Keys ([`member_key`]) of members that are not private, sorted.
    pub(super) members: Box<[u64]>,
    pub(super) references: Vec<KafkaReference>,
}

impl Class {
    fn reference_bytes(&self) -> u64 {
        let lengths = self.references.iter().map(|reference| {
            let member = reference.member.as_ref();
            reference.owner.len()
                + member.map_or(0, |(name, descriptor)| name.len() + descriptor.len())
        });
        lengths.sum::<usize>() as u64
    }

    pub(super) fn declares(&self, name: &str, descriptor: &str) -> bool {
        self.members
            .binary_search(&member_key(name, descriptor))
            .is_ok()
    }
}

/// A reference that has to do with Kafka: to one of its classes, or to a member that the class
/// itself does not declare and may inherit from Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KafkaReference {
    pub(super) owner: Box<str>,
    /// Name and descriptor; none for a reference to the class as such.
    pub(super) member: Option<(Box<str>, Box<str>)>,
}

/// A member as a number: FNV-1a (64 bits) over name, NUL, descriptor. An index of a runtime holds
/// some 150,000 members, which are 1 MB as numbers and 15 MB as text; a collision (likelihood under
/// 10⁻⁸) could only hide a missing member.
pub(super) fn member_key(name: &str, descriptor: &str) -> u64 {
    let bytes = name.bytes().chain([0]).chain(descriptor.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Reads the jar at `path`; `label` is its name in messages. `spent` counts inflated bytes over all
/// jars of a plugin.
pub(super) fn read(
    path: &Path,
    label: &str,
    reading: Reading,
    spent: &Spent,
    limits: &Limits,
) -> Result<JarFacts, PluginError> {
    let broken = |what: String| PluginError::BrokenJar {
        jar: label.to_owned(),
        what,
    };
    let mut archive = zipfile::open(path, limits.jar_entries).map_err(|fault| match fault {
        OpenFault::Io(source) => PluginError::Io {
            doing: "read",
            path: path.to_path_buf(),
            source,
        },
        OpenFault::Zip(why) => broken(why.to_string()),
        OpenFault::TooManyEntries => PluginError::TooManyEntries {
            limit: limits.jar_entries,
            jar: Some(label.to_owned()),
        },
    })?;
    let mut facts = JarFacts::default();
    let mut texts = Texts::default();
    let mut bytes = Vec::new();
    for index in 0..archive.len() {
        let Some((role, limit)) = role_of(&archive, index, reading, limits) else {
            continue;
        };
        let count = read_entry(&mut archive, index, limit, &mut bytes)
            .map_err(|why| broken(why.to_string()))?;
        spent.inflate(count, limits)?;
        if count > limit {
            continue;
        }
        match role {
            Role::Class { release, name } => {
                // A class that cannot be parsed, or lies at a place where the JVM does not look
                // for it, is no class; others of the jar are.
                if let Ok(class) = classfile::parse(&bytes)
                    && class.name == name
                    && class.access & MODULE == 0
                {
                    let class = keep(&class, release, reading);
                    spent.keep(class.reference_bytes(), limits)?;
                    facts.classes.push(class);
                }
            }
            Role::Service(interface) => facts
                .services
                .entry(interface)
                .or_default()
                .extend(service_lines(&bytes)),
            Role::Text(kind) => texts.take(kind, &String::from_utf8_lossy(&bytes)),
        }
    }
    if !texts.multi_release {
        facts.classes.retain(|class| class.release == 0);
    }
    facts.version = texts.version();
    Ok(facts)
}

/// Why an entry of a jar is read.
enum Role {
    Class { release: u16, name: String },
    Service(String),
    Text(TextKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextKind {
    Manifest,
    BuildVersion,
    Pom,
}

fn role_of(
    archive: &ZipArchive<Box<dyn ReadSeek>>,
    index: usize,
    reading: Reading,
    limits: &Limits,
) -> Option<(Role, u64)> {
    let entry = archive.by_index_data(index).ok()?;
    if entry.encrypted() {
        return None;
    }
    let name = std::str::from_utf8(entry.name_raw()).ok()?;
    let (release, rest) = match name
        .strip_prefix("META-INF/versions/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((release, rest)) => (
            release.parse().ok().filter(|r| (9..=JAVA).contains(r))?,
            rest,
        ),
        None => (0, name),
    };
    if let Some(class) = rest.strip_suffix(".class") {
        let wanted = reading == Reading::Plugin || class.starts_with(KAFKA);
        return wanted.then(|| {
            (
                Role::Class {
                    release,
                    name: class.to_owned(),
                },
                limits.class_bytes,
            )
        });
    }
    if name == "META-INF/MANIFEST.MF" {
        return Some((Role::Text(TextKind::Manifest), limits.text_bytes));
    }
    if reading == Reading::Runtime {
        return None;
    }
    if let Some(interface) = name.strip_prefix("META-INF/services/") {
        let plain = !interface.is_empty() && !interface.contains('/');
        return plain.then(|| (Role::Service(interface.to_owned()), limits.text_bytes));
    }
    let kind = match name.rsplit('/').next()? {
        "build.version" => TextKind::BuildVersion,
        "pom.properties" if name.starts_with("META-INF/maven/") => TextKind::Pom,
        _ => return None,
    };
    Some((Role::Text(kind), limits.text_bytes))
}

/// Reads an entry, at most one byte more than `limit`; returns how many bytes came.
fn read_entry(
    archive: &mut ZipArchive<Box<dyn ReadSeek>>,
    index: usize,
    limit: u64,
    bytes: &mut Vec<u8>,
) -> std::io::Result<u64> {
    bytes.clear();
    let entry = archive.by_index(index).map_err(std::io::Error::other)?;
    let count = entry.take(limit + 1).read_to_end(bytes)?;
    Ok(count as u64)
}

fn keep(class: &ClassFile<'_>, release: u16, reading: Reading) -> Class {
    let all = || class.methods.iter().chain(&class.fields);
    let key = |member: &Member<'_>| member_key(&member.name, &member.descriptor);
    let visible = all().filter(|member| member.access & PRIVATE == 0);
    let mut members: Vec<u64> = visible.map(key).collect();
    members.sort_unstable();
    let references = match reading {
        // A copy of Kafka that a plugin carries is not the plugin's code: the worker's classes are
        // used in its place, and what is left over of it is not reached.
        Reading::Plugin if !class.name.starts_with(KAFKA) => {
            let declared: HashSet<u64> = all().map(key).collect();
            class
                .references()
                .filter_map(|reference| kafka_reference(class, &declared, reference))
                .collect()
        }
        Reading::Plugin | Reading::Runtime => Vec::new(),
    };
    Class {
        name: class.name.as_ref().into(),
        release,
        major: class.major,
        instantiable: class.is_instantiable(),
        declares_version: class.methods.iter().any(|m| {
            m.name == "version"
                && m.descriptor == "()Ljava/lang/String;"
                && m.access & ABSTRACT == 0
        }),
        supers: class
            .super_class
            .iter()
            .chain(&class.interfaces)
            .map(|name| name.as_ref().into())
            .collect(),
        members: members.into(),
        references,
    }
}

fn kafka_reference(
    class: &ClassFile<'_>,
    declared: &HashSet<u64>,
    reference: Reference<'_>,
) -> Option<KafkaReference> {
    match reference {
        Reference::Class(name) => name.starts_with(KAFKA).then(|| KafkaReference {
            owner: name.as_ref().into(),
            member: None,
        }),
        Reference::Member {
            owner,
            name,
            descriptor,
        } => {
            let inherited =
                || owner == class.name && !declared.contains(&member_key(&name, &descriptor));
            (owner.starts_with(KAFKA) || inherited()).then(|| KafkaReference {
                owner: owner.as_ref().into(),
                member: Some((name.as_ref().into(), descriptor.as_ref().into())),
            })
        }
    }
}

/// The classes that a service file names (`java.util.ServiceLoader`: one a line, `#` begins a
/// comment), in internal form.
fn service_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let names = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    names
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('.', "/"))
        .collect()
}

/// Where a jar says its version.
#[derive(Debug, Default)]
struct Texts {
    multi_release: bool,
    build: BTreeSet<String>,
    implementation: Option<String>,
    poms: Vec<Option<String>>,
}

impl Texts {
    fn take(&mut self, kind: TextKind, text: &str) {
        match kind {
            TextKind::Manifest => {
                self.multi_release = manifest_value(text, "Multi-Release")
                    .is_some_and(|v| v.eq_ignore_ascii_case("true"));
                self.implementation =
                    manifest_value(text, "Implementation-Version").and_then(plausible);
            }
            TextKind::BuildVersion => self
                .build
                .extend(property(text, "version").and_then(plausible)),
            TextKind::Pom => self
                .poms
                .push(property(text, "version").and_then(plausible)),
        }
    }

    /// `build.version` is what Debezium's `version()` reads; then the manifest; then a pom, if there
    /// is one only (a fat jar has many, and none is its own).
    fn version(mut self) -> Option<String> {
        if self.build.len() == 1 {
            return self.build.pop_first();
        }
        let pom = if self.poms.len() == 1 {
            self.poms.pop().flatten()
        } else {
            None
        };
        self.implementation.or(pom)
    }
}

/// A version that is text of a sensible length and not a placeholder that a build forgot to fill.
fn plausible(version: String) -> Option<String> {
    let ok = !version.is_empty()
        && version.len() <= 100
        && !version.contains("${")
        && !version.chars().any(char::is_control);
    ok.then_some(version)
}

/// A value of the main section of a manifest; a line that begins with a blank continues the one
/// before it.
fn manifest_value(text: &str, key: &str) -> Option<String> {
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let first = lines.by_ref().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(key).then_some(value)
    })?;
    let rest = lines.map_while(|line| line.strip_prefix(' '));
    Some(
        std::iter::once(first)
            .chain(rest)
            .collect::<String>()
            .trim()
            .to_owned(),
    )
}

fn property(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(['=', ':'])?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_value_may_go_on_over_lines_and_ends_with_the_main_section() {
        let text = "Manifest-Version: 1.0\r\nImplementation-Version: 3.5\r\n .0.Final\r\nmulti-release: TRUE\r\n\r\nName: x\r\nOther: y\r\n";
        assert_eq!(
            manifest_value(text, "Implementation-Version").as_deref(),
            Some("3.5.0.Final")
        );
        assert_eq!(
            manifest_value(text, "Multi-Release").as_deref(),
            Some("TRUE")
        );
        assert_eq!(manifest_value(text, "Other"), None);
    }

    #[test]
    fn the_version_comes_from_build_version_then_manifest_then_a_single_pom() {
        let version = |texts: &[(TextKind, &str)]| {
            let mut found = Texts::default();
            for (kind, text) in texts {
                found.take(*kind, text);
            }
            found.version()
        };
        let manifest = (TextKind::Manifest, "Implementation-Version: 2\n");
        let pom = (TextKind::Pom, "#x\nversion = 3\n");
        assert_eq!(
            version(&[(TextKind::BuildVersion, "version=1"), manifest, pom]).as_deref(),
            Some("1")
        );
        assert_eq!(
            version(&[
                (TextKind::BuildVersion, "version=${project.version}"),
                manifest,
                pom
            ])
            .as_deref(),
            Some("2")
        );
        assert_eq!(version(&[pom]).as_deref(), Some("3"));
        assert_eq!(version(&[pom, pom]), None);
        assert_eq!(version(&[]), None);
    }

    #[test]
    fn a_service_file_names_one_class_a_line_with_comments() {
        assert_eq!(
            service_lines(b"# head\n a.B # tail\n\nc.D\r\n"),
            ["a/B", "c/D"]
        );
    }
}
