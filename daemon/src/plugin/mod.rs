//! Plugins: from an uploaded file of unknown type to a read-only folder that a Connect worker can
//! load, and to what is known about it, all without a JVM.
//!
//! The way of an upload:
//!
//! 1. [`receive`] streams the bytes to a temporary file, counts and hashes them.
//! 2. [`PluginFiles::register`] unpacks the file aside (`unpack`), reads its jars (`scan`), finds
//!    the classes that Connect can load (`inspect`), adds a jar with the service files that the
//!    archive lacks (`manifest`), and renames the folder to its SHA-256.
//! 3. [`link::check`] says for each runtime which Kafka members the plugin uses and the runtime
//!    does not have.
//!
//! Nothing stays on disk when a step fails, and no input can cause a panic: archives and class
//! files are read with bounds and budgets ([`Limits`]).

pub mod classfile;
mod entry;
mod error;
mod inspect;
mod jar;
mod limits;
pub mod link;
mod manifest;
mod receive;
pub mod runtime_index;
mod scan;
mod shelf;
mod tarball;
mod unpack;
mod zipfile;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod real_archives_tests;
#[cfg(test)]
mod register_tests;
#[cfg(test)]
mod testing;

pub use error::{EntryFault, PluginError};
pub use inspect::Inspection;
pub use limits::Limits;
pub use link::{Fit, RuntimeFit, class_file_major_of, java_of_class_file};
pub use receive::{ReceiveError, Received, Receiver, receive};
pub use runtime_index::{IndexError, RuntimeIndex};
pub use shelf::PluginFiles;
