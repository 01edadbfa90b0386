//! The places, behind one call.

use super::cloudwatch::CloudWatchPlace;
use super::file::FilePlace;
use super::kafka::KafkaPlace;
use super::source::Entry;

/// What a place has taken of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records that are there now.
    pub delivered: u64,
    /// Records that the place refused one by one; they are not tried again.
    pub refused: u64,
    /// Why it refused them.
    pub reason: Option<String>,
}

impl Taken {
    /// Everything.
    pub fn all(entries: &[Entry]) -> Self {
        Self {
            delivered: entries.len() as u64,
            ..Self::default()
        }
    }
}

/// Why a batch is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The place does not answer, or not now: it is tried again soon.
    #[error("{0}")]
    Away(String),
    /// It will not do until somebody changes something: a credential, a permission, a name.
    #[error("{0}")]
    Refused(String),
}

/// A place that is ready to take records.
#[derive(Debug)]
pub enum Place {
    /// A folder.
    File(FilePlace),
    /// A topic.
    Kafka(Box<KafkaPlace>),
    /// A log group.
    CloudWatchLogs(Box<CloudWatchPlace>),
}

impl Place {
    /// Delivers a batch. After an error any part of it may be there: the whole is tried again.
    pub async fn deliver(&mut self, entries: &[Entry]) -> Result<Taken, PlaceError> {
        match self {
            // Some hundred KiB, once a second at most; the disk that is slow here is slow for all.
            Self::File(place) => tokio::task::block_in_place(|| place.deliver(entries)),
            Self::Kafka(place) => place.deliver(entries).await,
            Self::CloudWatchLogs(place) => place.deliver(entries).await,
        }
    }
}
