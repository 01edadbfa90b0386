//! `[workers]`: what workers may open besides what they are made of.

use super::ConfigError;
use crate::fleet::WorkerAccess;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkersEntry {
    confined: Option<bool>,
    #[serde(default)]
    readable_paths: Vec<PathBuf>,
    #[serde(default)]
    writable_paths: Vec<PathBuf>,
}

pub(super) fn read(path: &Path, entry: WorkersEntry) -> Result<WorkerAccess, ConfigError> {
    let check = |key: &str, paths: Vec<PathBuf>| {
        let wrong = paths.iter().find(|given| !given.is_absolute());
        match wrong {
            None => Ok(paths),
            Some(given) => Err(ConfigError::Invalid {
                origin: path.display().to_string(),
                key: format!("workers.{key}"),
                wrong: format!("has {:?}, which does not begin with /", given.display()),
                advice: "write whole paths of files or folders",
            }),
        }
    };
    Ok(WorkerAccess {
        confined: entry.confined.unwrap_or(true),
        readable: check("readable_paths", entry.readable_paths)?,
        writable: check("writable_paths", entry.writable_paths)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WorkerAccess, String> {
        let entry = toml::from_str(text).map_err(|error| error.to_string())?;
        read(Path::new("/etc/x/runnel.toml"), entry).map_err(|error| error.to_string())
    }

    #[test]
    fn workers_are_confined_unless_the_file_says_otherwise_and_paths_are_whole() {
        assert_eq!(parse("").unwrap(), WorkerAccess::default());
        let access =
            parse("confined = false\nreadable_paths = [\"/a\"]\nwritable_paths = [\"/b\"]");
        let wanted = WorkerAccess {
            confined: false,
            readable: vec!["/a".into()],
            writable: vec!["/b".into()],
        };
        assert_eq!(access.unwrap(), wanted);
        let wrong = parse("writable_paths = [\"/a\", \"b\"]").unwrap_err();
        assert!(
            wrong.contains("runnel.toml") && wrong.contains("workers.writable_paths"),
            "{wrong}"
        );
        assert!(parse("readable = []").is_err());
    }
}
