//! The Java that a runtime runs on.

use runnel_api::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long `java -version` may take; 50 ms on a quiet machine.
const PROBE_MAX: Duration = Duration::from_secs(20);

/// A Java, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Java {
    /// The launcher, absolute and without symbolic links.
    pub path: PathBuf,
    /// First number of its version.
    pub major: u32,
    /// Name and exact build of its virtual machine. A class-data archive belongs to one build.
    pub build: String,
}

/// Where a Java is looked for, the first that is given wins.
#[derive(Clone, Debug, Default)]
pub struct JavaSearch {
    /// A launcher that was asked for.
    pub explicit: Option<PathBuf>,
    /// `JAVA_HOME`.
    pub java_home: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
}

impl JavaSearch {
    fn find(&self) -> Result<PathBuf, Problem> {
        let wanted = self
            .explicit
            .clone()
            .or_else(|| Some(self.java_home.as_ref()?.join("bin/java")));
        let found = match wanted {
            Some(wanted) => Some(wanted),
            None => self
                .path
                .iter()
                .flat_map(std::env::split_paths)
                .map(|folder| folder.join("java"))
                .find(|launcher| launcher.is_file()),
        };
        let found = found.ok_or_else(|| {
            missing("no Java was found")
                .detail("neither --java nor JAVA_HOME is given, and PATH has no java")
        })?;
        std::fs::canonicalize(&found).map_err(|error| {
            missing(&format!("there is no Java at {}", found.display())).detail(error.to_string())
        })
    }
}

/// Finds a Java and asks what it is.
pub(super) async fn probe(search: &JavaSearch) -> Result<Java, Problem> {
    let path = search.find()?;
    let mut command = Command::new(&path);
    command
        .args(["-XshowSettings:properties", "-version"])
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let told = |detail: String| {
        missing(&format!("{} is no Java that runs", path.display())).detail(detail)
    };
    let output = tokio::time::timeout(PROBE_MAX, command.output())
        .await
        .map_err(|_| {
            told(format!(
                "it did not tell its version within {} s",
                PROBE_MAX.as_secs()
            ))
        })?
        .map_err(|error| told(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let (major, build) = read_settings(&text).ok_or_else(|| {
        let first = text.lines().next().unwrap_or("no output");
        told(format!(
            "{}: {}",
            output.status,
            first.chars().take(200).collect::<String>()
        ))
    })?;
    Ok(Java { path, major, build })
}

/// Refuses a Java that is too old for a release.
pub(super) fn check_least(
    java: &Java,
    least: u32,
    release: impl std::fmt::Display,
) -> Result<(), Problem> {
    if java.major >= least {
        return Ok(());
    }
    let message = format!(
        "Kafka {release} needs Java {least} or later; {} is Java {}",
        java.path.display(),
        java.major
    );
    Err(missing(&message))
}

/// Major and build out of what `-XshowSettings:properties` prints.
fn read_settings(text: &str) -> Option<(u32, String)> {
    let value = |key: &str| {
        let found = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(" = "));
        found.map(str::trim)
    };
    // Java 8 calls itself 1.8.
    let specification = value("java.specification.version")?;
    let major = specification
        .strip_prefix("1.")
        .unwrap_or(specification)
        .parse()
        .ok()?;
    Some((
        major,
        format!("{} {}", value("java.vm.name")?, value("java.vm.version")?),
    ))
}

fn missing(message: &str) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, message)
        .hint("install a JDK 17 (Debian: openjdk-17-jre-headless) or give its launcher by --java")
        .field("java")
}

/// Whether the launcher is still there; for `runnel runtime list`.
pub(super) fn is_there(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_give_major_and_exact_build() {
        let text = "Property settings:\n    java.specification.version = 17\n    java.vm.name = OpenJDK 64-Bit Server VM\n    \
                    java.vm.version = 17.0.15+6-Debian-1deb12u1\n";
        let read = read_settings(text).unwrap();
        assert_eq!(
            read,
            (
                17,
                "OpenJDK 64-Bit Server VM 17.0.15+6-Debian-1deb12u1".to_owned()
            )
        );
        assert_eq!(
            read_settings(
                "java.specification.version = 1.8\njava.vm.name = a\njava.vm.version = b"
            )
            .unwrap()
            .0,
            8
        );
        assert_eq!(read_settings("bash: not found"), None);
    }

    #[tokio::test]
    async fn what_is_no_java_is_told() {
        let search = |explicit: &str| JavaSearch {
            explicit: Some(explicit.into()),
            ..JavaSearch::default()
        };
        let absent = probe(&search("/nowhere/java")).await.unwrap_err();
        assert_eq!(absent.message, "there is no Java at /nowhere/java");
        let other = probe(&search("/bin/true")).await.unwrap_err();
        assert!(other.message.ends_with("is no Java that runs"), "{other:?}");
        assert_eq!(
            probe(&JavaSearch::default()).await.unwrap_err().message,
            "no Java was found"
        );
    }

    #[tokio::test]
    async fn the_machines_java_tells_its_build() {
        let search = JavaSearch {
            path: std::env::var_os("PATH"),
            ..JavaSearch::default()
        };
        let java = probe(&search).await.unwrap();
        assert!(java.major >= 17 && java.build.contains('+'), "{java:?}");
        assert!(check_least(&java, 17, "4.3.1").is_ok());
        assert!(
            check_least(&java, 99, "9.0.0")
                .unwrap_err()
                .message
                .contains("needs Java 99")
        );
    }
}
