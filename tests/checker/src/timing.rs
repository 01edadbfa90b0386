//! Silence and lag, from the times of records and of commits.

use crate::verdict::Lags;

/// Times of every record, milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<i64>);

impl Times {
    /// A record came.
    pub fn add(&mut self, at: i64) {
        if at >= 0 {
            self.0.push(at);
        }
    }

    /// The longest time without a record in which something was committed, counted from that commit.
    pub fn silence(&mut self, commits: &mut [i64]) -> Option<i64> {
        self.0.sort_unstable();
        commits.sort_unstable();
        let mut longest = None;
        let mut next = 0;
        let mut last = i64::MIN;
        for at in &self.0 {
            while commits.get(next).is_some_and(|it| *it <= last) {
                next += 1;
            }
            if let Some(commit) = commits.get(next)
                && commit < at
            {
                longest = longest.max(Some(at - (*commit).max(last)));
            }
            last = *at;
        }
        longest
    }

    /// From the last commit to the last record.
    pub fn catch_up(&self, commits: &[i64]) -> Option<i64> {
        let (record, commit) = (self.0.iter().max()?, commits.iter().max()?);
        Some(record - commit)
    }
}

/// Order statistics of lags.
pub fn lags(mut lags: Vec<i64>) -> Option<Lags> {
    lags.sort_unstable();
    let at = |percent: usize| lags.get((lags.len() * percent / 100).min(lags.len() - 1));
    Some(Lags {
        median_ms: *lags.get(lags.len() / 2)?,
        p99_ms: *at(99)?,
        max_ms: *lags.last()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(records: &[i64], commits: &[i64]) -> Option<i64> {
        let mut times = Times::default();
        for record in records {
            times.add(*record);
        }
        times.silence(&mut commits.to_vec())
    }

    #[test]
    fn silence_is_counted_only_while_something_was_committed() {
        let table: &[(&[i64], &[i64], Option<i64>)] = &[
            (&[], &[5], None),
            (&[10, 20], &[], None),
            // Committed at 12, seen at 20: silent for 8, not for 10.
            (&[10, 20], &[9, 12], Some(8)),
            // Nothing was written from 20 to 90.
            (&[10, 20, 100], &[9, 11, 90], Some(10)),
            // A long pause under load.
            (&[10, 500], &[9, 11, 12, 13, 400], Some(489)),
            // The first record is late.
            (&[50], &[10], Some(40)),
        ];
        for (records, commits, expected) in table {
            assert_eq!(silence(records, commits), *expected, "{records:?}");
        }
    }

    #[test]
    fn lags_are_sorted_before_they_are_counted() {
        let found = lags((1..=200).rev().collect());
        let expected = Lags {
            median_ms: 101,
            p99_ms: 199,
            max_ms: 200,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(lags(Vec::new()), None);
    }
}
