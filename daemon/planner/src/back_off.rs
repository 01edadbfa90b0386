//! When to try again: 1 s, doubling to 5 min (the curve of Kubernetes, reset after 10 min).

use serde::{Deserialize, Serialize};

/// First pause.
const FIRST_MS: u64 = 1_000;
/// Longest pause.
const CAP_MS: u64 = 300_000;
/// A success that lasted this long clears the count.
const RESET_MS: u64 = 600_000;

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
    /// Counts a failure at `now_ms`.
    pub fn fail(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.last_ms) > RESET_MS {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_ms = now_ms;
        let pause_ms = match self.failures {
            1 => 0,
            n => FIRST_MS
                .saturating_mul(1_u64 << (n - 2).min(20))
                .min(CAP_MS),
        };
        self.not_before_ms = now_ms.saturating_add(pause_ms);
    }

    /// True when a try is allowed.
    pub const fn allows(&self, now_ms: u64) -> bool {
        now_ms >= self.not_before_ms
    }

    /// Forgets all failures.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_the_second_failure_to_the_cap() {
        let mut back_off = BackOff::default();
        let pauses: Vec<u64> = (0..12)
            .map(|_| {
                back_off.fail(1_000_000);
                back_off.not_before_ms - 1_000_000
            })
            .collect();
        assert_eq!(pauses[..5], [0, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(*pauses.last().unwrap(), CAP_MS);
    }

    #[test]
    fn a_long_quiet_time_clears_the_count() {
        let mut back_off = BackOff::default();
        back_off.fail(1_000_000);
        back_off.fail(1_000_000);
        back_off.fail(1_000_000 + RESET_MS + 1);
        assert_eq!(back_off.failures, 1);
    }
}
