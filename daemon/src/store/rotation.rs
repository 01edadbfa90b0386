//! Rotation of the sealing key: every secret is sealed with another one. Which state a crash leaves,
//! and who ends it, is in [`Standing`](super::keys::Standing).
//!
//! What a worker reads does not depend on this key (its secret files have a key of their own for
//! their names), so nothing restarts.

use super::keys::{self, NEXT_KEY_FILE};
use super::seal::Sealer;
use super::{Store, StoreError, generations, principals, private};
use crate::failpoint::{self, Moment};
use runnel_api::server::SealingKeyRotation;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::{Arc, PoisonError};

/// How far a rotation goes. The tests end it early, as a crash would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The new key is written aside.
    Write,
    /// The rows are sealed with it.
    Commit,
    /// The old key is overwritten.
    Overwrite,
    /// The new file is in the old one's place.
    Replace,
}

impl Store {
    /// Makes another sealing key, seals everything with it, and removes the old one. Requests wait
    /// meanwhile; for each secret that is a few microseconds.
    ///
    /// # Errors
    /// Any error means that the old key is still the right one, with one exception: after a failed
    /// commit of which it is not known whether it happened, the store closes, and the next start
    /// finds out. A file that cannot be moved at the end is no error, see
    /// [`SealingKeyRotation::old_key_removed`].
    pub fn rotate_sealing_key(&self) -> Result<SealingKeyRotation, StoreError> {
        self.rotate_up_to(Step::Replace)
    }

    pub(super) fn rotate_up_to(&self, last: Step) -> Result<SealingKeyRotation, StoreError> {
        let data_dir = self.data_dir();
        // Whoever reads or writes holds one of these while it opens and seals, so that nobody uses
        // the old key on new rows or the other way round.
        let reader = self.inner.reader.lock();
        let _reader = reader.unwrap_or_else(PoisonError::into_inner);
        let writer = self.inner.writer.lock();
        let mut writer = writer.unwrap_or_else(PoisonError::into_inner);
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        // An earlier rotation may have left its last step to do: its key file must not be written
        // over. And a file that is not ours any more is noticed before it is replaced.
        let old = keys::sealer(&writer, data_dir)?;
        let fresh = keys::make_key(&data_dir.join(NEXT_KEY_FILE))?;
        failpoint::reach(Moment::After, "write-sealing-key");
        if last == Step::Write {
            return Ok(SealingKeyRotation::default());
        }
        let mut done = self.reseal(&mut writer, &old, &fresh)?;
        let sealer = self.inner.sealer.write();
        *sealer.unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        self.inner.changes.send_modify(|count| *count += 1);
        failpoint::reach(Moment::After, "commit-sealing-key");
        if last == Step::Commit {
            return Ok(done);
        }
        forget_old_rows(&writer);
        keys::overwrite_old_key(data_dir);
        failpoint::reach(Moment::After, "overwrite-sealing-key");
        if last == Step::Overwrite {
            return Ok(done);
        }
        match keys::replace_old_key(data_dir) {
            Ok(()) => done.old_key_removed = true,
            Err(error) => tracing::error!(
                %error,
                source = ?std::error::Error::source(&error),
                "the new sealing key is in use and stays in {NEXT_KEY_FILE}; the next start moves it"
            ),
        }
        failpoint::reach(Moment::After, "replace-sealing-key");
        Ok(done)
    }

    /// The one transaction: all rows, all fingerprints, and the check value of their key.
    fn reseal(
        &self,
        writer: &mut Connection,
        old: &Sealer,
        fresh: &Sealer,
    ) -> Result<SealingKeyRotation, StoreError> {
        let result = self.on(writer, TransactionBehavior::Immediate, |tx| {
            let (generations, secrets) = generations::reseal(tx, old, fresh)?;
            let passwords = principals::reseal(tx, old, fresh)?;
            keys::record_check(tx, fresh)?;
            failpoint::reach(Moment::Before, "commit-sealing-key");
            Ok(SealingKeyRotation {
                generations,
                secrets,
                passwords,
                old_key_removed: false,
            })
        });
        let Err(error) = &result else { return result };
        // A commit can fail and have happened. Only with the old check value the new key is not
        // needed; in doubt both files stay, and the next start looks.
        match keys::known_check(writer) {
            Ok(Some(known)) if known == keys::check_of(old) && !self.is_closed() => {
                if let Err(left) = private::remove(&self.data_dir().join(NEXT_KEY_FILE)) {
                    tracing::warn!(error = %left, "a key that nothing needs stays until the next start");
                }
            }
            _ => self.close(error),
        }
        result
    }
}

/// Takes what the old key sealed out of the write-ahead log. The main file has it no more: freed
/// pages are overwritten (`secure_delete`).
fn forget_old_rows(writer: &Connection) {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy = writer.query_row(sql, [], |row| row.get::<_, i64>(0));
    if !matches!(busy, Ok(0)) {
        tracing::warn!(
            ?busy,
            "the write-ahead log keeps what the old key sealed for a while"
        );
    }
}
