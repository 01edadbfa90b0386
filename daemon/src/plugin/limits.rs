//! How much an archive may cost us. Every number can be made small for a test.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::PluginError;

const MIB: u64 = 1024 * 1024;

/// Bounds for one uploaded archive. [`Limits::default`] is what the daemon runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the upload. The largest Debezium 3.5 archive is 55 MB; plugins with every cloud
    /// SDK inside stay under 200 MB.
    pub compressed_bytes: u64,
    /// Bytes that all entries may inflate to. Four times the upload limit is ample for jars, which
    /// are compressed already.
    pub expanded_bytes: u64,
    /// Entries of the outer archive. Real ones have 20 to 400.
    pub entries: u64,
    /// Entries of one jar. A fat jar of a big SDK has 40 to 60 thousand classes; the jar's
    /// directory is held in memory at some 200 bytes an entry.
    pub jar_entries: u64,
    /// Classes of all jars of a plugin; each costs some hundred bytes while we look at it. Debezium's
    /// MySQL archive has 9,448, a plugin with a whole cloud SDK ten times that.
    pub classes: u64,
    /// Bytes of names in references to Kafka that are kept for the link check. Debezium's archives
    /// have under 2 MB.
    pub reference_bytes: u64,
    /// How many times larger an entry may become, counted while inflating. Deflate cannot exceed
    /// 1032; text reaches 20, jars in an archive about 1.1.
    pub ratio: u64,
    /// Bytes that may come out of an entry before the ratio counts, so that a small file of blanks
    /// is no bomb.
    pub ratio_slack_bytes: u64,
    /// Folders below each other. Connect follows any depth; nobody packs deeper than 5.
    pub depth: usize,
    /// Bytes of one name between slashes: what Linux file systems take (`NAME_MAX`).
    pub name_bytes: usize,
    /// Bytes of a whole entry name, so that it fits `PATH_MAX` (4096) together with the data
    /// directory.
    pub path_bytes: usize,
    /// Bytes of one class file. The JVM's own bounds (65,535 constants and members, 64 KiB of code
    /// each) allow more, compilers never came near.
    pub class_bytes: u64,
    /// Bytes of one text file read from a jar (manifest, service file, version).
    pub text_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes: 250 * MIB,
            expanded_bytes: 1024 * MIB,
            entries: 20_000,
            jar_entries: 200_000,
            classes: 300_000,
            reference_bytes: 64 * MIB,
            ratio: 100,
            ratio_slack_bytes: MIB,
            depth: 32,
            name_bytes: 255,
            path_bytes: 1024,
            class_bytes: 16 * MIB,
            text_bytes: MIB,
        }
    }
}

/// Counts what comes out of an archive against what went in; the answer is asked after each chunk,
/// so a bomb costs at most one chunk more than allowed.
#[derive(Debug)]
pub(super) struct Budget<'a> {
    limits: &'a Limits,
    out: u64,
}

/// Why inflating has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overrun {
    /// More than [`Limits::expanded_bytes`] in total.
    Expanded,
    /// More than [`Limits::ratio`] times what went in.
    Ratio,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, out: 0 }
    }

    /// Takes note of `produced` more bytes. `entry_in` and `entry_out` are what the ratio is
    /// judged by: of one entry in a ZIP, of the whole stream so far in a tar.gz.
    pub(super) fn count(
        &mut self,
        produced: u64,
        entry_in: u64,
        entry_out: u64,
    ) -> Result<(), Overrun> {
        self.out = self.out.saturating_add(produced);
        if self.out > self.limits.expanded_bytes {
            return Err(Overrun::Expanded);
        }
        if entry_out > self.limits.ratio_slack_bytes
            && entry_out > entry_in.saturating_mul(self.limits.ratio)
        {
            return Err(Overrun::Ratio);
        }
        Ok(())
    }
}

/// What the jars of one plugin have cost so far, over all threads that read them.
#[derive(Debug, Default)]
pub(super) struct Spent {
    inflated: AtomicU64,
    classes: AtomicU64,
    reference_bytes: AtomicU64,
}

impl Spent {
    /// Counts inflated bytes.
    pub(super) fn inflate(&self, bytes: u64, limits: &Limits) -> Result<(), PluginError> {
        let limit = limits.expanded_bytes;
        if spend(&self.inflated, bytes) > limit {
            return Err(PluginError::Expands { limit });
        }
        Ok(())
    }

    /// Counts a class and the names in its references.
    pub(super) fn keep(&self, reference_bytes: u64, limits: &Limits) -> Result<(), PluginError> {
        if spend(&self.classes, 1) > limits.classes {
            return Err(PluginError::TooManyClasses {
                limit: limits.classes,
            });
        }
        if spend(&self.reference_bytes, reference_bytes) > limits.reference_bytes {
            return Err(PluginError::TooManyReferences {
                limit: limits.reference_bytes,
            });
        }
        Ok(())
    }
}

fn spend(counter: &AtomicU64, amount: u64) -> u64 {
    counter
        .fetch_add(amount, Ordering::Relaxed)
        .saturating_add(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_stops_at_the_total_and_at_the_ratio_but_not_within_the_slack() {
        let limits = Limits {
            expanded_bytes: 1000,
            ratio: 10,
            ratio_slack_bytes: 50,
            ..Limits::default()
        };
        let mut budget = Budget::new(&limits);
        assert_eq!(budget.count(50, 1, 50), Ok(()));
        assert_eq!(budget.count(1, 1, 51), Err(Overrun::Ratio));
        assert_eq!(budget.count(100, 10, 100), Ok(()));
        assert_eq!(budget.count(849, 849, 849), Ok(()));
        assert_eq!(budget.count(1, 849, 850), Err(Overrun::Expanded));
        assert_eq!(budget.count(u64::MAX, 1, u64::MAX), Err(Overrun::Expanded));
    }
}
