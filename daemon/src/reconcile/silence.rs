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
    cpu_ns: Option<u64>,
}

/// What the looks so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unwell {
    /// Since when it has been found unwell, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// By how many looks in a row.
    pub looks: u32,
    /// Whether it has used CPU time since the look before; also true when that is not known.
    pub works: bool,
}

impl Silence {
    /// A look found it well.
    pub(super) fn well(&mut self) {
        *self = Self {
            ready_once: true,
            ..Self::default()
        };
    }

    /// A look that began at `now_ms` found it unwell, after so much CPU time in its life.
    pub(super) fn unwell(&mut self, now_ms: u64, cpu_ns: Option<u64>) -> Unwell {
        if self.looks == 0 || now_ms.abs_diff(self.last_ms) > GAP_MAX_MS {
            self.since_ms = now_ms;
            self.looks = 0;
        }
        let known = self.cpu_ns.zip(cpu_ns);
        self.looks = self.looks.saturating_add(1);
        self.last_ms = now_ms;
        self.since_ms = self.since_ms.min(now_ms);
        self.cpu_ns = cpu_ns;
        Unwell {
            since_ms: self.since_ms,
            looks: self.looks,
            works: known.is_none_or(|(before, now)| now > before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Since when, and how many looks.
    fn look(silence: &mut Silence, now_ms: u64) -> (u64, u32) {
        let unwell = silence.unwell(now_ms, None);
        (unwell.since_ms, unwell.looks)
    }

    #[test]
    fn looks_in_a_row_add_up_and_a_good_one_ends_them() {
        let mut silence = Silence::default();
        assert_eq!(look(&mut silence, 1_000), (1_000, 1));
        assert_eq!(look(&mut silence, 4_000), (1_000, 2));
        assert_eq!(look(&mut silence, 7_000), (1_000, 3));
        silence.well();
        assert!(silence.ready_once);
        assert_eq!(look(&mut silence, 10_000), (10_000, 1));
        assert!(silence.ready_once, "once is for good");
    }

    #[test]
    fn a_daemon_that_was_stopped_for_a_minute_begins_anew() {
        let mut silence = Silence::default();
        silence.well();
        // The look that was under way when the daemon was stopped ends with a time-out.
        assert_eq!(look(&mut silence, 61_000), (61_000, 1));
        look(&mut silence, 62_000);
        assert_eq!(look(&mut silence, 122_500), (122_500, 1));
    }

    #[test]
    fn a_clock_that_is_set_proves_no_silence() {
        let mut silence = Silence::default();
        look(&mut silence, 1_000_000);
        assert_eq!(look(&mut silence, 4_600_000), (4_600_000, 1));
        assert_eq!(look(&mut silence, 1_000), (1_000, 1));
        look(&mut silence, 5_000);
        assert_eq!(look(&mut silence, 4_000), (1_000, 3));
    }

    #[test]
    fn only_a_process_that_uses_no_cpu_time_is_frozen() {
        let mut silence = Silence::default();
        let mut works = |now_ms, cpu_ns| silence.unwell(now_ms, cpu_ns).works;
        assert!(works(1_000, Some(5)), "nothing to compare with");
        assert!(!works(4_000, Some(5)));
        assert!(works(7_000, Some(6)));
        assert!(works(10_000, None), "in doubt it works");
        assert!(works(13_000, Some(6)));
        assert!(!works(16_000, Some(6)));
    }
}
