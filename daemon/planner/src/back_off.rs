//! When to try again: 1 s, doubling to 5 min (the curve of Kubernetes), forgotten after 10 min
//! without a failure. Each connector's pauses are longer or shorter by a share of its own, so that
//! those which failed together do not come back together; the planner knows no chance.

use serde::{Deserialize, Serialize};

/// First pause.
const FIRST_MS: u64 = 1_000;
/// Longest pause, and the only one of what is tried slowly.
pub(crate) const CAP_MS: u64 = 300_000;
/// All well for so long clears the count.
pub(crate) const RESET_MS: u64 = 600_000;
/// A connector's own share of a pause, percent: 75 to 125.
const SHARE_MIN: u64 = 75;
const SHARE_SPAN: u64 = 51;

/// Counts failures of one kind; the first failure may be retried at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackOff {
    /// Failures in a row.
    pub failures: u32,
    /// No further try before this moment, milliseconds since the Unix epoch.
    pub not_before_ms: u64,
    /// When the last failure was counted.
    pub last_ms: u64,
}

impl BackOff {
    /// Counts a failure at `now_ms` of the connector called `name`.
    pub fn fail(&mut self, now_ms: u64, name: &str) {
        self.count(now_ms);
        let pause_ms = match self.failures {
            1 => 0,
            n => {
                FIRST_MS
                    .saturating_mul(1_u64 << (n - 2).min(20))
                    .saturating_mul(share(name))
                    / 100
            }
        };
        self.not_before_ms = now_ms.saturating_add(pause_ms.min(CAP_MS));
    }

    /// Counts a failure that is tried again at the longest pause, the first too.
    pub fn fail_slowly(&mut self, now_ms: u64) {
        self.count(now_ms);
        self.not_before_ms = now_ms.saturating_add(CAP_MS);
    }

    const fn count(&mut self, now_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        self.last_ms = now_ms;
    }

    /// True when a try is allowed. A pause never lasts longer than the longest: a clock that was
    /// set back does not keep a connector down.
    pub const fn allows(&self, now_ms: u64) -> bool {
        now_ms >= self.not_before_ms || self.not_before_ms - now_ms > CAP_MS
    }

    /// Forgets all failures.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The share of a name, by its FNV-1a hash.
fn share(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    SHARE_MIN + hash % SHARE_SPAN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pauses(name: &str, count: usize) -> Vec<u64> {
        let mut back_off = BackOff::default();
        (0..count)
            .map(|_| {
                back_off.fail(1_000_000, name);
                back_off.not_before_ms - 1_000_000
            })
            .collect()
    }

    #[test]
    fn pauses_double_from_the_second_failure_to_the_cap() {
        let share = share("orders");
        let pauses = pauses("orders", 14);
        assert_eq!(
            pauses[..5],
            [0, 10 * share, 20 * share, 40 * share, 80 * share]
        );
        assert_eq!(*pauses.last().unwrap(), CAP_MS);
    }

    #[test]
    fn a_slow_retry_waits_the_first_time_too() {
        let mut back_off = BackOff::default();
        back_off.fail_slowly(1_000_000);
        assert!(!back_off.allows(1_000_000 + CAP_MS - 1));
        assert!(back_off.allows(1_000_000 + CAP_MS));
    }

    #[test]
    fn a_clock_set_back_keeps_nobody_down() {
        let mut back_off = BackOff::default();
        back_off.fail_slowly(90_000_000);
        assert!(back_off.allows(1_000_000));
    }

    proptest! {
        #[test]
        fn pauses_never_shrink_and_never_pass_the_cap(name in "[a-z0-9-]{1,40}", count in 1..60_usize) {
            let pauses = pauses(&name, count);
            prop_assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
            prop_assert!(pauses.iter().all(|pause| *pause <= CAP_MS));
            prop_assert!(pauses.get(1).is_none_or(|second| (750..=1250).contains(second)));
        }
    }
}
