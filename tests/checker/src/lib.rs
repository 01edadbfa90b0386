//! An independent checker of change data capture into Kafka.
//!
//! It writes a load whose every change can be recognised ([`writer`]), reads what came out of Kafka ([`reader`]), and
//! says what was lost, repeated, put out of order, made up or damaged on the way ([`Checker`], [`Verdict`]). It knows
//! nothing of what it checks: any Debezium for MariaDB, MySQL or PostgreSQL will do, and besides it checks Kafka's own
//! `VerifiableSourceConnector` and the copies that `MirrorMaker` makes.
//!
//! Ground truth is a [`History`] in the manner of Jepsen: each client transaction is `ok`, `fail`, or `unknown` when the
//! connection was lost at its COMMIT. How the pieces are used is in `docs/guides/checker.md`.

pub mod check;
pub mod counter;
pub mod dice;
pub mod envelope;
pub mod event;
pub mod history;
mod ledgers;
pub mod mirror;
pub mod model;
pub mod mutants;
mod order;
pub mod payload;
pub mod reader;
mod rows;
pub mod sequence;
mod state;
mod struct_text;
mod timing;
pub mod truth;
pub mod verdict;
pub mod workload;
pub mod writer;

pub use check::Checker;
pub use event::{Body, Event};
pub use history::History;
pub use reader::{ReadConfig, read_topics, verify_topics};
pub use verdict::{Mode, Verdict};
pub use writer::{Writer, WriterConfig};

/// Checks events that are all there.
///
/// The events of one partition must come in the order of their offsets; partitions may be mixed.
pub fn verify(history: &History, events: impl IntoIterator<Item = Event>, mode: &Mode) -> Verdict {
    let mut checker = Checker::new(mode);
    for event in events {
        checker.observe(&event);
    }
    checker.finish(history)
}
