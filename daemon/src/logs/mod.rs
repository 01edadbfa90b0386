//! Worker logs as people read them, and what of them is kept.
//!
//! [`record`] makes records of lines, [`filter`] chooses, [`cursor`] keeps a place in a file that is
//! rotated, [`Reader`] puts the workers of a connector together, [`retention`] decides what goes.

pub mod cursor;
pub mod filter;
mod reader;
pub mod record;
pub mod retention;

pub use filter::Filter;
pub use reader::Reader;
pub use record::{Level, Record};

use crate::fleet::Redactor;
use runnel_api::Name;
use std::path::PathBuf;

/// Lines that are answered when nobody says how many, nor since when.
pub const TAIL_DEFAULT: usize = 100;
/// Most lines of one answer.
pub const TAIL_MAX: usize = 10_000;

/// The log of one worker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLog {
    /// The daemon's id of the process.
    pub worker: String,
    /// The file that is written; older parts stand beside it.
    pub file: PathBuf,
    /// It may still grow.
    pub is_live: bool,
}

/// Where the logs of a connector are.
pub trait WorkerLogs: Send + Sync {
    /// Logs of all workers that the connector has or had, oldest worker first. Also of a connector
    /// that is gone: why it failed is in them.
    fn of(&self, connector: &Name) -> Vec<WorkerLog>;

    /// What must not be shown of them. The shim has replaced what it knew; this knows secrets that
    /// came later.
    fn redactor(&self, connector: &Name) -> Redactor;
}
