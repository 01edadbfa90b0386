//! How many records are delivered: a limit by the time that stands in the records.
//!
//! By their own time and not by the clock, so that what waited while a place was away is not
//! dropped when it comes back, and so that the order in which workers are read does not matter.

use std::collections::BTreeMap;

/// Milliseconds of one window. A worker's start writes its 600 lines within two seconds; over ten
/// seconds it is no more than a busy connector.
const WINDOW_MS: i64 = 10_000;
/// Windows that are remembered, eleven hours; older records begin a window anew.
const WINDOWS_MAX: usize = 4_096;

/// Counts what was let through in each window of time.
#[derive(Clone, Debug)]
pub struct Limit {
    records: u64,
    bytes: u64,
    windows: BTreeMap<i64, Used>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    records: u64,
    bytes: u64,
}

impl Limit {
    /// Lets through so much a second, averaged over ten seconds.
    pub fn new(records_per_second: u64, bytes_per_second: u64) -> Self {
        let seconds = WINDOW_MS.unsigned_abs() / 1_000;
        Self {
            records: records_per_second.saturating_mul(seconds),
            bytes: bytes_per_second.saturating_mul(seconds),
            windows: BTreeMap::new(),
        }
    }

    /// Whether a record of this time and size goes through. The first of a window always does.
    pub fn admits(&mut self, time_ms: i64, bytes: u64) -> bool {
        let window = time_ms.div_euclid(WINDOW_MS);
        let used = self.windows.entry(window).or_default();
        let fits = used.records == 0
            || (used.records < self.records && used.bytes.saturating_add(bytes) <= self.bytes);
        if fits {
            used.records += 1;
            used.bytes = used.bytes.saturating_add(bytes);
        }
        while self.windows.len() > WINDOWS_MAX {
            self.windows.pop_first();
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flood_is_cut_and_a_backlog_is_not() {
        let mut limit = Limit::new(2, 1_000);
        let flood = (0..100).filter(|_| limit.admits(5_000, 1)).count();
        assert_eq!(flood, 20);
        // An hour of one record a second comes at once.
        let backlog = (0..3_600).filter(|second| limit.admits(100_000 + 1_000 * second, 1));
        assert_eq!(backlog.count(), 3_600);
        assert!(limit.windows.len() <= WINDOWS_MAX);
    }

    #[test]
    fn bytes_count_too_and_one_record_always_fits() {
        let mut limit = Limit::new(1_000, 10);
        assert!(limit.admits(0, 1_000_000));
        assert!(!limit.admits(1, 1));
        assert!(limit.admits(10_000, 60) && limit.admits(10_001, 40) && !limit.admits(10_002, 1));
    }

    proptest! {
        #[test]
        fn no_window_gets_more_than_its_share_in_any_order(
            times in proptest::collection::vec(-50_000..50_000i64, 0..300),
        ) {
            let mut limit = Limit::new(1, u64::MAX);
            let mut through: BTreeMap<i64, u64> = BTreeMap::new();
            let mut offered: BTreeMap<i64, u64> = BTreeMap::new();
            for time in times {
                let window = time.div_euclid(WINDOW_MS);
                *offered.entry(window).or_default() += 1;
                if limit.admits(time, 1) {
                    *through.entry(window).or_default() += 1;
                }
            }
            for (window, offered) in offered {
                prop_assert_eq!(through.get(&window).copied().unwrap_or(0), offered.min(10));
            }
        }
    }
}
