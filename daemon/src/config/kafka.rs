//! `[kafka]`: what workers need for a login that Kafka itself does not bring.

use super::{ConfigError, absolute};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaEntry {
    aws_msk_iam_auth: Option<PathBuf>,
}

/// The jar of the Amazon MSK Library for IAM with all that it needs (classifier `all`); a relative path is below the
/// file's folder.
pub(super) fn aws_msk_iam_auth(
    path: &Path,
    folder: &Path,
    entry: KafkaEntry,
) -> Result<Option<PathBuf>, ConfigError> {
    let Some(named) = entry.aws_msk_iam_auth else {
        return Ok(None);
    };
    let jar = absolute(folder.join(named));
    if jar.is_file() {
        return Ok(Some(jar));
    }
    Err(ConfigError::Invalid {
        origin: path.display().to_string(),
        key: "kafka.aws_msk_iam_auth".to_owned(),
        wrong: format!("is {}, and there is no such file", jar.display()),
        advice: "name the jar of software.amazon.msk:aws-msk-iam-auth with the classifier `all`, or leave the key out",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, folder: &Path) -> Result<Option<PathBuf>, String> {
        let entry = toml::from_str(text).map_err(|error| error.to_string())?;
        aws_msk_iam_auth(&folder.join("runnel.toml"), folder, entry)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_library_is_a_file_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read("", folder.path()).unwrap(), None);
        let text = "aws_msk_iam_auth = \"iam.jar\"";
        let wrong = read(text, folder.path()).unwrap_err();
        assert!(
            wrong.contains("kafka.aws_msk_iam_auth") && wrong.contains("no such file"),
            "{wrong}"
        );
        let jar = folder.path().join("iam.jar");
        std::fs::write(&jar, "").unwrap();
        assert_eq!(read(text, folder.path()).unwrap(), Some(jar));
        assert!(read("msk_iam = 1", folder.path()).is_err());
    }
}
