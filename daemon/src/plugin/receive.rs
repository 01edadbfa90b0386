//! Takes an upload in: chunks go to a temporary file, are counted and hashed on the way.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::error::PluginError;
use runnel_api::plugin::Sha256Hex as Digest;

/// How long an uploader may be silent between two chunks. A stalled connection must not hold a
/// temporary file for ever.
const SILENCE: Duration = Duration::from_secs(30);

/// Chunks that wait for the disk; the uploader is held back by TCP when they are full.
const QUEUE: usize = 16;

/// An upload under way. Dropping it removes the temporary file.
#[derive(Debug)]
pub struct Receiver {
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
    limit: u64,
}

/// An upload that is complete: a temporary file, removed when this is dropped.
#[derive(Debug)]
pub struct Received {
    file: NamedTempFile,
    sha256: Digest,
    size_bytes: u64,
}

/// Why an upload did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The bytes were not acceptable, or could not be written.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The uploader's connection broke.
    #[error("the upload was interrupted: {0}")]
    Interrupted(String),
    /// Nothing came for too long.
    #[error("the upload stalled for {} seconds", SILENCE.as_secs())]
    Stalled,
}

impl Receiver {
    /// Makes a temporary file in `staging`, which takes at most `limit` bytes.
    ///
    /// # Errors
    /// [`PluginError::Io`] if the file cannot be made.
    pub fn create(staging: &Path, limit: u64) -> Result<Self, PluginError> {
        let file = tempfile::Builder::new()
            .prefix(".upload-")
            .tempfile_in(staging)
            .map_err(PluginError::io("make a temporary file in", staging))?;
        Ok(Self {
            file,
            hash: Sha256::new(),
            size: 0,
            limit,
        })
    }

    /// Appends a chunk. Writes to the page cache: call it where a short blocking call is fine, or
    /// use [`receive`].
    ///
    /// # Errors
    /// [`PluginError::TooLarge`] beyond the limit, [`PluginError::Io`] if the disk refuses.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), PluginError> {
        self.size = self
            .size
            .saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.size > self.limit {
            return Err(PluginError::TooLarge { limit: self.limit });
        }
        self.hash.update(chunk);
        self.file
            .write_all(chunk)
            .map_err(PluginError::io("write", self.file.path()))
    }

    /// Ends the upload; `expected` is the digest that the uploader announced or the user pinned.
    ///
    /// # Errors
    /// [`PluginError::Empty`], [`PluginError::OtherDigest`], or [`PluginError::Io`].
    pub fn finish(mut self, expected: Option<&Digest>) -> Result<Received, PluginError> {
        self.file
            .flush()
            .map_err(PluginError::io("write", self.file.path()))?;
        if self.size == 0 {
            return Err(PluginError::Empty);
        }
        let sha256 = Digest::of_digest(&self.hash.finalize().into());
        match expected {
            Some(expected) if *expected != sha256 => Err(PluginError::OtherDigest {
                expected: expected.clone(),
                actual: sha256,
            }),
            _ => Ok(Received {
                file: self.file,
                sha256,
                size_bytes: self.size,
            }),
        }
    }
}

impl Received {
    /// Where the bytes are until this is dropped.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Their SHA-256.
    pub fn sha256(&self) -> &Digest {
        &self.sha256
    }

    /// How many they are.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes in a file that is on this machine already.
    ///
    /// # Errors
    /// As [`Receiver`]; [`PluginError::Io`] also if `source` cannot be read.
    pub fn copy_of(source: &Path, staging: &Path, limit: u64) -> Result<Self, PluginError> {
        let mut receiver = Receiver::create(staging, limit)?;
        let mut input = std::fs::File::open(source).map_err(PluginError::io("open", source))?;
        let mut chunk = vec![0; 256 * 1024];
        loop {
            let count = std::io::Read::read(&mut input, &mut chunk)
                .map_err(PluginError::io("read", source))?;
            if count == 0 {
                return receiver.finish(None);
            }
            receiver.write(&chunk[..count])?;
        }
    }
}

/// Streams an upload to a temporary file in `staging`, hashing and writing on a blocking thread.
///
/// # Errors
/// [`ReceiveError`]; nothing stays on disk then.
pub async fn receive<S, E>(
    mut chunks: S,
    staging: PathBuf,
    limit: u64,
    expected: Option<Digest>,
) -> Result<Received, ReceiveError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let (sender, mut queue) = tokio::sync::mpsc::channel::<Bytes>(QUEUE);
    // The writer may only finish when the stream has ended well: a queue that is dropped on an
    // interruption looks the same from its side.
    let (complete, ended) = tokio::sync::oneshot::channel::<()>();
    let mut complete = Some(complete);
    let writer = tokio::task::spawn_blocking(move || -> Result<Received, ReceiveError> {
        let mut receiver = Receiver::create(&staging, limit)?;
        while let Some(chunk) = queue.blocking_recv() {
            receiver.write(&chunk)?;
        }
        ended
            .blocking_recv()
            .map_err(|_| ReceiveError::Interrupted("the sender went away".to_owned()))?;
        Ok(receiver.finish(expected.as_ref())?)
    });
    let sent = loop {
        match tokio::time::timeout(SILENCE, chunks.next()).await {
            Err(_) => break Err(ReceiveError::Stalled),
            Ok(Some(Err(why))) => break Err(ReceiveError::Interrupted(why.to_string())),
            Ok(Some(Ok(chunk))) => {
                if sender.send(chunk).await.is_err() {
                    // The writer ended early: it has the reason.
                    break Ok(());
                }
            }
            Ok(None) => {
                if let Some(complete) = complete.take() {
                    let _ = complete.send(());
                }
                break Ok(());
            }
        }
    };
    drop((sender, complete));
    // Awaited in every case, so that the temporary file is gone when an error is returned.
    let written = writer
        .await
        .map_err(|why| ReceiveError::Interrupted(why.to_string()))?;
    sent.and(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn chunks(
        parts: &[&'static str],
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin + use<> {
        stream::iter(
            parts
                .iter()
                .map(|p| Ok(Bytes::from_static(p.as_bytes())))
                .collect::<Vec<_>>(),
        )
    }

    fn files_in(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn an_upload_is_counted_hashed_and_removed_when_dropped() {
        let staging = tempfile::tempdir().unwrap();
        let received = receive(chunks(&["a", "bc"]), staging.path().into(), 3, None)
            .await
            .unwrap();
        assert_eq!(
            received.sha256().as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            (
                received.size_bytes(),
                std::fs::read(received.path()).unwrap()
            ),
            (3, b"abc".to_vec())
        );
        drop(received);
        assert_eq!(files_in(staging.path()), 0);
    }

    #[tokio::test]
    async fn an_upload_that_is_empty_too_large_interrupted_or_of_other_bytes_leaves_nothing() {
        let staging = tempfile::tempdir().unwrap();
        let into = || staging.path().to_path_buf();
        let empty = receive(chunks(&[]), into(), 3, None).await.unwrap_err();
        assert!(matches!(empty, ReceiveError::Plugin(PluginError::Empty)));
        let large = receive(chunks(&["ab", "cd"]), into(), 3, None)
            .await
            .unwrap_err();
        assert!(matches!(
            large,
            ReceiveError::Plugin(PluginError::TooLarge { limit: 3 })
        ));
        let other = receive(
            chunks(&["ab"]),
            into(),
            3,
            Some(Digest::of_digest(&[7; 32])),
        )
        .await
        .unwrap_err();
        assert!(matches!(
            other,
            ReceiveError::Plugin(PluginError::OtherDigest { .. })
        ));
        let broken = stream::iter([
            Ok(Bytes::from_static(b"a")),
            Err(std::io::Error::other("reset by peer")),
        ]);
        let broken = receive(broken, into(), 3, None).await.unwrap_err();
        assert!(matches!(broken, ReceiveError::Interrupted(why) if why.contains("reset by peer")));
        assert_eq!(files_in(staging.path()), 0);
    }
}
