//! The file that `source` names: its digest, and its way to the daemon.

use crate::daemon_client::ClientError;
use crate::report;
use crate::session::{FileStamp, Session};
use runnel_api::plugin::{Sha256Hex, StagedContent};
use runnel_api::{ErrorCode, Name};
use sha2::{Digest as _, Sha256};
use std::io::Read as _;
use std::path::PathBuf;
use std::time::SystemTime;
use tfplugin::{Diagnostic, Object};

/// Bytes that are read and digested at once.
const CHUNK: usize = 1 << 18;

/// Why a file has no digest.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is nothing under the path.
    #[error("there is no such file")]
    Missing,
    /// The path is a folder or something stranger.
    #[error("it is not a file")]
    NotAFile,
    /// It is there, but cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] std::io::Error),
}

impl ArchiveError {
    /// The error at the attribute `source`.
    pub fn at_source(&self, source: &str) -> Diagnostic {
        let place = std::env::current_dir().map(|here| here.display().to_string());
        let advice = match self {
            Self::Missing => format!(
                "{source:?} is looked for in {}, the directory in which Terraform runs. Write \"${{path.module}}/…\" for \
                 a file beside this one.",
                place.unwrap_or_else(|_| "the working directory".to_owned())
            ),
            Self::NotAFile => format!("{source:?} must be a ZIP, a tar.gz or a JAR."),
            Self::Unreadable(error) => format!("{source:?}: {error}."),
        };
        Diagnostic::error(format!("The plugin's archive: {self}"), advice).at("source")
    }
}

impl From<std::io::Error> for ArchiveError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Self::Missing,
            _ => Self::Unreadable(error),
        }
    }
}

/// The SHA-256 of a file, read once for each state of the file in a run.
pub async fn digest(session: &Session, source: &str) -> Result<Sha256Hex, ArchiveError> {
    let path = PathBuf::from(source);
    let metadata = tokio::fs::metadata(&path).await?;
    if !metadata.is_file() {
        return Err(ArchiveError::NotAFile);
    }
    let stamp = FileStamp {
        path: path.clone(),
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        length: metadata.len(),
    };
    if let Some(digest) = session.digest(&stamp) {
        return Ok(digest);
    }
    let digest = tokio::task::spawn_blocking(move || read_digest(&path))
        .await
        .map_err(|stopped| ArchiveError::Unreadable(std::io::Error::other(stopped)))??;
    session.keep_digest(stamp, digest.clone());
    Ok(digest)
}

fn read_digest(path: &std::path::Path) -> std::io::Result<Sha256Hex> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(Sha256Hex::of_digest(&hasher.finalize().into()));
        }
        hasher.update(&chunk[..read]);
    }
}

/// What is in the file: as the daemon found earlier, or as it finds after an upload.
pub async fn stage(
    session: &Session,
    name: &Name,
    source: &str,
    sha256: &Sha256Hex,
    config: &Object,
) -> Result<StagedContent, Diagnostic> {
    let known = session.daemon.content(name, sha256).await;
    if let Some(content) = known.map_err(|error| report::call(&error, config))? {
        return Ok(content);
    }
    let file = tokio::fs::File::open(source).await;
    let file = file.map_err(|error| ArchiveError::from(error).at_source(source))?;
    let staged = session.daemon.upload(name, sha256, file).await;
    staged.map_err(|error| refused(&error, source, config))
}

/// What is wrong with the bytes is wrong with `source`, unless a pin says that other bytes were
/// meant.
fn refused(error: &ClientError, source: &str, config: &Object) -> Diagnostic {
    let at_source = match error {
        ClientError::File(error) => return ArchiveError::from_kind(error).at_source(source),
        ClientError::Refused(problem) => match problem.code {
            ErrorCode::BadArchive
            | ErrorCode::NoConnectorClass
            | ErrorCode::TooLarge
            | ErrorCode::IncompatibleRuntime
            | ErrorCode::ChecksumMismatch => true,
            _ => problem.field.is_none() || problem.field.as_deref() == Some("source"),
        },
        _ => false,
    };
    let diagnostic = report::call(error, config);
    if !at_source {
        return diagnostic;
    }
    let pinned =
        error.code() == Some(ErrorCode::ChecksumMismatch) && !config.value("sha256").is_null();
    diagnostic.at(if pinned { "sha256" } else { "source" })
}

impl ArchiveError {
    fn from_kind(error: &std::io::Error) -> Self {
        Self::from(std::io::Error::new(error.kind(), error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon_client::DaemonClient;
    use runnel_api::Problem;

    fn session() -> Session {
        Session::new(DaemonClient::new("http://127.0.0.1:1".into(), None).unwrap())
    }

    #[tokio::test]
    async fn a_digest_is_taken_anew_only_when_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let source = path.to_str().unwrap();
        std::fs::write(&path, b"abc").unwrap();
        let session = session();
        let first = digest(&session, source).await.unwrap();
        assert_eq!(first, Sha256Hex::of_bytes(b"abc"));
        std::fs::write(&path, b"abcd").unwrap();
        assert_eq!(
            digest(&session, source).await.unwrap(),
            Sha256Hex::of_bytes(b"abcd")
        );
    }

    #[tokio::test]
    async fn what_is_no_file_is_an_error_at_source() {
        let folder = tempfile::tempdir().unwrap();
        for source in [folder.path().to_str().unwrap(), "no/such.zip", ""] {
            let error = digest(&session(), source).await.unwrap_err();
            assert_eq!(
                error.at_source(source).path.to_string(),
                "source",
                "{source}"
            );
        }
    }

    #[test]
    fn what_the_daemon_finds_wrong_with_the_bytes_is_wrong_with_source() {
        let unpinned = Object::new().with("source", "a.zip");
        let pinned = unpinned.clone().with("sha256", "00");
        for (code, config, place) in [
            (ErrorCode::BadArchive, &unpinned, "source"),
            (ErrorCode::NoConnectorClass, &pinned, "source"),
            (ErrorCode::TooLarge, &unpinned, "source"),
            (ErrorCode::ChecksumMismatch, &unpinned, "source"),
            (ErrorCode::ChecksumMismatch, &pinned, "sha256"),
        ] {
            let error = ClientError::Refused(Problem::new(code, "no"));
            assert_eq!(
                refused(&error, "a.zip", config).path.to_string(),
                place,
                "{code}"
            );
        }
    }
}
