//! How long a worker has not been well, as far as the daemon itself was awake to see it.

/// Looks that lie further apart say nothing of the time between them: the daemon was stopped, the
/// machine slept, or its clock was set. A look takes 3 s at most, and an unwell worker is looked at
/// without a pause.
const GAP_MAX_MS: u64 = 10_000;

/// The looks at one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    /// It was well at some look.
    pub ready_once: bool,
    since_ms: u64,
    last_ms: u64,
    looks: u32,
}

impl Silence {
    /// A look found it well.
    pub(super) fn well(&mut self) {
        *self = Self {
            ready_once: true,
            ..Self::default()
        };
    }

    /// A look that began at `now_ms` found it unwell; since when, and how many looks in a row.
    pub(super) fn unwell(&mut self, now_ms: u64) -> (u64, u32) {
        if self.looks == 0 || now_ms.abs_diff(self.last_ms) > GAP_MAX_MS {
            self.since_ms = now_ms;
            self.looks = 0;
        }
        self.looks = self.looks.saturating_add(1);
        self.last_ms = now_ms;
        self.since_ms = self.since_ms.min(now_ms);
        (self.since_ms, self.looks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_a_row_add_up_and_a_good_one_ends_them() {
        let mut silence = Silence::default();
        assert_eq!(silence.unwell(1_000), (1_000, 1));
        assert_eq!(silence.unwell(4_000), (1_000, 2));
        assert_eq!(silence.unwell(7_000), (1_000, 3));
        silence.well();
        assert!(silence.ready_once);
        assert_eq!(silence.unwell(10_000), (10_000, 1));
        assert!(silence.ready_once, "once is for good");
    }

    #[test]
    fn a_daemon_that_was_stopped_for_a_minute_begins_anew() {
        let mut silence = Silence::default();
        silence.well();
        // The look that was under way when the daemon was stopped ends with a time-out.
        assert_eq!(silence.unwell(61_000), (61_000, 1));
        silence.unwell(62_000);
        assert_eq!(silence.unwell(122_500), (122_500, 1));
    }

    #[test]
    fn a_clock_that_is_set_proves_no_silence() {
        let mut silence = Silence::default();
        silence.unwell(1_000_000);
        assert_eq!(silence.unwell(4_600_000), (4_600_000, 1));
        assert_eq!(silence.unwell(1_000), (1_000, 1));
        silence.unwell(5_000);
        assert_eq!(silence.unwell(4_000), (1_000, 3));
    }
}
