//! A runtime's home: a folder whose `libs/` holds the jars of one Kafka Connect release.

use super::release::{Release, Unfixed};
use runnel_api::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More jars than any release has; a folder with more is something else.
const JARS_MAX: usize = 2_000;
/// `kafka/kafka-version.properties` has two short lines.
const VERSION_FILE_MAX: u64 = 4_096;

/// The artefacts that Kafka releases together, so that all have one version.
const RELEASED_TOGETHER: [&str; 14] = [
    "connect-api",
    "connect-basic-auth-extension",
    "connect-file",
    "connect-json",
    "connect-mirror",
    "connect-mirror-client",
    "connect-runtime",
    "connect-transforms",
    "kafka-clients",
    "kafka-metadata",
    "kafka-raft",
    "kafka-server-common",
    "kafka-tools",
    "kafka_2.13",
];

/// Which logging library the jars bring; Kafka 3.x has `reload4j`, 4.x `log4j2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logging {
    /// Configured by `-Dlog4j2.configurationFile=PATH`.
    Log4j2,
    /// Configured by `-Dlog4j.configuration=file:PATH`.
    Reload4j,
}

/// What a good home holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// Absolute, without symbolic links.
    pub(super) folder: PathBuf,
    pub(super) libs: PathBuf,
    pub(super) release: Release,
    pub(super) logging: Logging,
}

/// Why a folder is no home of a runtime.
#[derive(Debug, thiserror::Error)]
pub(super) enum HomeFault {
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} holds {odd:?}, which Java's class path cannot name", .libs.display())]
    Separator { libs: PathBuf, odd: char },
    #[error("{} has more than {JARS_MAX} jars", .0.display())]
    TooMany(PathBuf),
    #[error("{libs} has no {jar} jar")]
    Missing { libs: String, jar: &'static str },
    #[error("{libs} has {jar} in several versions: {versions}")]
    Several {
        libs: String,
        jar: &'static str,
        versions: String,
    },
    #[error("{jar} is version {found}, but the runtime is {release}")]
    Mixed {
        jar: &'static str,
        found: String,
        release: Release,
    },
    #[error("{0:?} is no release of Apache Kafka")]
    NoRelease(String),
    #[error("{jar} says that it is version {inside:?}, its name says {name}")]
    Renamed {
        jar: String,
        name: Release,
        inside: String,
    },
    #[error(transparent)]
    Unfixed(Unfixed),
    #[error(
        "{libs} has neither log4j2 (log4j-core and log4j-slf4j-impl) nor reload4j (reload4j and slf4j-reload4j)"
    )]
    NoLogging { libs: String },
    #[error("a runtime of Kafka {release} is named {}, not {name:?}", .release.runtime_name())]
    Name { release: Release, name: String },
}

impl HomeFault {
    pub(super) fn to_problem(&self) -> Problem {
        let hint = match self {
            Self::Unreadable(..) => {
                "give the folder that has libs/ in it, readable by the user Runnel runs as"
            }
            Self::Separator { .. } => "move the folder to a path without it",
            Self::TooMany(_) => "give the folder of one Kafka release",
            Self::Missing {
                jar: "connect-basic-auth-extension",
                ..
            } => {
                "workers' REST interfaces are protected by it: add org.apache.kafka:connect-basic-auth-extension of \
                 the same release (for 3.9.2 its 3.9.1) to libs/"
            }
            Self::Missing { .. } => {
                "give the folder of an Apache Kafka release, with Kafka Connect's jars in libs/"
            }
            Self::Several { .. } | Self::Mixed { .. } | Self::Renamed { .. } => {
                "unpack one release into a folder of its own"
            }
            Self::NoRelease(_) => "use a release of Apache Kafka itself, such as 3.9.2 or 4.3.1",
            Self::Unfixed(_) => "use a fixed release",
            Self::NoLogging { .. } => "add the logging jars that the release comes with to libs/",
            Self::Name { .. } => "use the release's first two numbers as the name",
        };
        let field = if matches!(self, Self::Name { .. }) {
            "name"
        } else {
            "home"
        };
        let problem = Problem::new(ErrorCode::InvalidArgument, self.to_string())
            .hint(hint)
            .field(field);
        match self {
            Self::Unreadable(_, error) => problem.detail(error.to_string()),
            _ => problem,
        }
    }
}

/// The class path of a runtime: every jar of `libs`, sorted by name.
///
/// Workers must use exactly this list: the class-data archive is ignored by the JVM when the class
/// path differs from the one it was made with, in order too, and a `libs/*` wildcard has no order.
pub fn class_path(libs: &Path) -> io::Result<Vec<PathBuf>> {
    let mut jars = Vec::new();
    for entry in std::fs::read_dir(libs)?.take(JARS_MAX * 2) {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jar") {
            jars.push(path);
        }
    }
    jars.sort();
    Ok(jars)
}

/// Reads and judges a home that shall get the name `name`.
pub(super) fn inspect(home: &Path, name: &str) -> Result<Home, HomeFault> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| HomeFault::Unreadable(path, error)
    };
    let home = std::fs::canonicalize(home).map_err(unreadable(home))?;
    let libs = home.join("libs");
    let shown = libs.display().to_string();
    if let Some(odd) = shown.chars().find(|c| matches!(c, ':' | '*')) {
        return Err(HomeFault::Separator { libs, odd });
    }
    let jars = class_path(&libs).map_err(unreadable(&libs))?;
    if jars.len() > JARS_MAX {
        return Err(HomeFault::TooMany(libs));
    }
    let names: Vec<&str> = jars
        .iter()
        .filter_map(|jar| jar.file_stem()?.to_str())
        .collect();
    let (release, logging) = judge(&shown, &names)?;
    let clients = libs.join(format!("kafka-clients-{release}.jar"));
    let inside = version_inside(&clients).map_err(unreadable(&clients))?;
    if Release::parse(&inside) != Some(release) {
        let jar = clients.display().to_string();
        return Err(HomeFault::Renamed {
            jar,
            name: release,
            inside,
        });
    }
    if name != release.runtime_name() {
        return Err(HomeFault::Name {
            release,
            name: name.to_owned(),
        });
    }
    Ok(Home {
        folder: home,
        libs,
        release,
        logging,
    })
}

/// What the jars' names say.
fn judge(libs: &str, names: &[&str]) -> Result<(Release, Logging), HomeFault> {
    let version = |jar: &'static str| sole_version(libs, names, jar);
    let text = version("connect-runtime")?;
    let release = Release::parse(text).ok_or_else(|| HomeFault::NoRelease(text.to_owned()))?;
    release.check_fixed().map_err(HomeFault::Unfixed)?;
    for needed in ["kafka-clients", "connect-basic-auth-extension"] {
        version(needed)?;
    }
    for jar in RELEASED_TOGETHER {
        match version(jar) {
            Err(HomeFault::Missing { .. }) => {}
            found => {
                let found = found?;
                if !belongs_to(release, jar, found) {
                    return Err(HomeFault::Mixed {
                        jar,
                        found: found.to_owned(),
                        release,
                    });
                }
            }
        }
    }
    let has = |jar: &str| names.iter().any(|name| split(name).0 == jar);
    let logging = if has("log4j-core") && (has("log4j-slf4j-impl") || has("log4j-slf4j2-impl")) {
        Logging::Log4j2
    } else if has("reload4j") && has("slf4j-reload4j") {
        Logging::Reload4j
    } else {
        return Err(HomeFault::NoLogging {
            libs: libs.to_owned(),
        });
    };
    Ok((release, logging))
}

/// 3.9.2 was released without `connect-basic-auth-extension`; that of 3.9.1 works with it.
fn belongs_to(release: Release, jar: &str, found: &str) -> bool {
    let is_known_gap = release
        == Release {
            major: 3,
            minor: 9,
            patch: 2,
        }
        && jar == "connect-basic-auth-extension"
        && found == "3.9.1";
    is_known_gap || Release::parse(found) == Some(release)
}

fn sole_version<'a>(
    libs: &str,
    names: &[&'a str],
    jar: &'static str,
) -> Result<&'a str, HomeFault> {
    let mut versions = names
        .iter()
        .map(|name| split(name))
        .filter(|(name, _)| *name == jar)
        .map(|found| found.1);
    let libs = libs.to_owned();
    let first = versions.next().ok_or(HomeFault::Missing {
        libs: libs.clone(),
        jar,
    })?;
    let others: Vec<&str> = versions.collect();
    if others.is_empty() {
        return Ok(first);
    }
    let versions = format!("{first}, {}", others.join(", "));
    Err(HomeFault::Several {
        libs,
        jar,
        versions,
    })
}

/// `kafka_2.13-4.3.1` is `kafka_2.13` in version `4.3.1`: the version starts at the first hyphen
/// that a digit follows.
fn split(stem: &str) -> (&str, &str) {
    let bytes = stem.as_bytes();
    let at = bytes
        .windows(2)
        .position(|pair| pair[0] == b'-' && pair[1].is_ascii_digit());
    at.map_or((stem, ""), |at| (&stem[..at], &stem[at + 1..]))
}

/// The version that a `kafka-clients` jar carries inside.
fn version_inside(jar: &Path) -> io::Result<String> {
    let mut archive = zip::ZipArchive::new(File::open(jar)?).map_err(io::Error::other)?;
    let file = archive
        .by_name("kafka/kafka-version.properties")
        .map_err(io::Error::other)?;
    let mut text = String::new();
    file.take(VERSION_FILE_MAX).read_to_string(&mut text)?;
    let version = text.lines().find_map(|line| line.strip_prefix("version="));
    Ok(version.unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 6] = [
        "connect-runtime-4.3.1",
        "connect-basic-auth-extension-4.3.1",
        "kafka-clients-4.3.1",
        "kafka_2.13-4.3.1",
        "log4j-core-2.25.4",
        "log4j-slf4j-impl-2.25.4",
    ];

    fn judged(change: impl Fn(&mut Vec<&str>)) -> Result<(Release, Logging), HomeFault> {
        let mut names = GOOD.to_vec();
        change(&mut names);
        judge("libs", &names)
    }

    fn told(change: impl Fn(&mut Vec<&str>)) -> String {
        let problem = judged(change).unwrap_err().to_problem();
        assert!(problem.hint.is_some());
        problem.message
    }

    #[test]
    fn names_of_jars_split_before_their_version() {
        assert_eq!(split("kafka_2.13-4.3.1"), ("kafka_2.13", "4.3.1"));
        assert_eq!(
            split("log4j-slf4j-impl-2.25.4"),
            ("log4j-slf4j-impl", "2.25.4")
        );
        assert_eq!(split("odd"), ("odd", ""));
        assert_eq!(split("jackson-"), ("jackson-", ""));
    }

    #[test]
    fn a_whole_release_is_good() {
        assert_eq!(
            judged(|_| {}).unwrap(),
            (
                Release {
                    major: 4,
                    minor: 3,
                    patch: 1
                },
                Logging::Log4j2
            )
        );
    }

    #[test]
    fn what_is_missing_mixed_or_open_is_told() {
        assert_eq!(
            told(|names| {
                names.remove(0);
            }),
            "libs has no connect-runtime jar"
        );
        assert_eq!(
            told(|names| {
                names.remove(1);
            }),
            "libs has no connect-basic-auth-extension jar"
        );
        assert_eq!(
            told(|names| names[3] = "kafka_2.13-4.3.0"),
            "kafka_2.13 is version 4.3.0, but the runtime is 4.3.1"
        );
        assert!(
            told(|names| names.push("kafka-clients-4.2.0"))
                .contains("several versions: 4.3.1, 4.2.0")
        );
        assert!(
            told(|names| {
                names.pop();
            })
            .contains("neither log4j2")
        );
        assert_eq!(
            told(|names| names[0] = "connect-runtime-7.9.0-ccs"),
            "\"7.9.0-ccs\" is no release of Apache Kafka"
        );
        assert!(told(|names| names[0] = "connect-runtime-4.1.1").contains("CVE-2026-35554"));
    }

    #[test]
    fn the_one_extension_that_was_never_released_may_be_a_release_behind() {
        let names = |extension| {
            let mut names = vec![
                "connect-runtime-3.9.2",
                "kafka-clients-3.9.2",
                "reload4j-1.2.25",
                "slf4j-reload4j-1.7.36",
            ];
            names.push(extension);
            judge("libs", &names)
        };
        assert_eq!(
            names("connect-basic-auth-extension-3.9.1").unwrap().1,
            Logging::Reload4j
        );
        assert!(matches!(
            names("connect-basic-auth-extension-3.9.0"),
            Err(HomeFault::Mixed { .. })
        ));
    }
}
