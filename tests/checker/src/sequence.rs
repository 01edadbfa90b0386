//! One series of numbered things that must be seen in order: the versions of a row, the numbers of a task.
//!
//! What is allowed is what at-least-once delivery means: the sights are ascending runs without a hole, and each run
//! begins at or before the first number not yet seen. So a restart may go back and repeat (a *rewind*), it must not skip.
//! Memory: one entry for each number; time: constant for each sight, a jump inside a rewind aside.

/// The series of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence<T> {
    /// Numbers up to here are not asked for: a snapshot began after them.
    base: u64,
    /// What was seen of `base + 1`, `base + 2`, …
    seen: Vec<Option<T>>,
    /// Where the present run stands.
    current: u64,
}

/// What one sight means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Seen for the first time, in its place.
    New,
    /// Seen for the first time, and the numbers from the first to the second (both included) were left out.
    Ahead(u64, u64),
    /// Seen for the first time after a greater one was.
    Late,
    /// Seen again, and the run goes on.
    Again,
    /// Seen again: a rewind begins, and this many numbers will come again.
    Rewind(u64),
    /// A rewind left out numbers that were seen before.
    Skip,
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self::after(0)
    }
}

impl<T> Sequence<T> {
    /// A series whose first number is `base + 1`.
    pub fn after(base: u64) -> Self {
        Self {
            base,
            seen: Vec::new(),
            current: base,
        }
    }

    /// The greatest number seen.
    pub fn max(&self) -> u64 {
        self.base + self.seen.len() as u64
    }

    /// Where the present run stands: the number seen last.
    pub fn current(&self) -> u64 {
        self.current
    }

    /// Numbers up to here are not asked for.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// What was seen under a number.
    pub fn get(&self, number: u64) -> Option<&T> {
        let at = number.checked_sub(self.base + 1)?;
        self.seen.get(usize::try_from(at).ok()?)?.as_ref()
    }

    /// Every number up to the greatest, with what was seen.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Option<&T>)> {
        (self.base + 1..).zip(self.seen.iter().map(Option::as_ref))
    }

    /// Numbers below the greatest that were never seen.
    pub fn holes(&self) -> impl Iterator<Item = u64> + '_ {
        let unseen = self.iter().filter(|(_, it)| it.is_none());
        unseen.map(|(number, _)| number)
    }

    /// Whether the last rewind has come back to the greatest number seen.
    pub fn has_caught_up(&self) -> bool {
        self.current >= self.max()
    }

    /// Something was seen under a number; `what` is kept at the first sight.
    pub fn observe(&mut self, number: u64, what: T) -> Sight {
        let max = self.max();
        if number > max {
            let in_a_rewind = self.current < max;
            let length = usize::try_from(number - self.base - 1).unwrap_or(usize::MAX);
            self.seen.resize_with(length, || None);
            self.seen.push(Some(what));
            self.current = number;
            return if number > max + 1 {
                Sight::Ahead(max + 1, number - 1)
            } else if in_a_rewind {
                Sight::Skip
            } else {
                Sight::New
            };
        }
        if self.get(number).is_none() {
            if let Some(slot) = number
                .checked_sub(self.base + 1)
                .and_then(|at| usize::try_from(at).ok())
                .and_then(|at| self.seen.get_mut(at))
            {
                *slot = Some(what);
            }
            if number == self.current + 1 {
                self.current = number;
            }
            return Sight::Late;
        }
        let skipped = (self.current + 1..number).any(|it| self.get(it).is_some());
        let goes_back = number <= self.current;
        self.current = number;
        if goes_back {
            Sight::Rewind(max - number + 1)
        } else if skipped {
            Sight::Skip
        } else {
            Sight::Again
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sight::{Again, Ahead, Late, New, Rewind, Skip};

    fn sights(base: u64, numbers: &[u64]) -> (Vec<Sight>, Sequence<()>) {
        let mut sequence = Sequence::after(base);
        let sights = numbers.iter().map(|it| sequence.observe(*it, ()));
        (sights.collect(), sequence)
    }

    #[test]
    fn every_sight_is_called_what_it_is() {
        let table: &[(&[u64], &[Sight])] = &[
            (&[1, 2, 3], &[New, New, New]),
            (&[1, 3], &[New, Ahead(2, 2)]),
            (&[2], &[Ahead(1, 1)]),
            (&[1, 3, 2, 4], &[New, Ahead(2, 2), Late, New]),
            (&[1, 2, 2, 3], &[New, New, Rewind(1), New]),
            (
                &[1, 2, 3, 1, 2, 3, 4],
                &[New, New, New, Rewind(3), Again, Again, New],
            ),
            // A rewind broken off by another one.
            (
                &[1, 2, 3, 1, 2, 1, 2, 3],
                &[New, New, New, Rewind(3), Again, Rewind(3), Again, Again],
            ),
            // One record repeated out of place, then on with the new.
            (&[1, 2, 3, 2, 4], &[New, New, New, Rewind(2), Skip]),
            (&[1, 2, 3, 1, 3, 4], &[New, New, New, Rewind(3), Skip, New]),
            // A rewind repeats the hole that was there: one loss, not two faults.
            (&[1, 3, 1, 3, 4], &[New, Ahead(2, 2), Rewind(3), Again, New]),
            // A rewind brings what was left out.
            (
                &[1, 3, 1, 2, 3],
                &[New, Ahead(2, 2), Rewind(3), Late, Again],
            ),
        ];
        for (numbers, expected) in table {
            assert_eq!(&sights(0, numbers).0, expected, "{numbers:?}");
        }
    }

    #[test]
    fn holes_and_an_unfinished_rewind_are_told_at_the_end() {
        let (_, sequence) = sights(0, &[1, 4, 5, 4]);
        assert_eq!(sequence.holes().collect::<Vec<_>>(), [2, 3]);
        assert!(!sequence.has_caught_up());
        let (sights, sequence) = sights(6, &[7, 8, 5]);
        assert_eq!(sights, [New, New, Late]);
        assert!(sequence.has_caught_up() && sequence.holes().next().is_none());
        assert_eq!((sequence.base(), sequence.max()), (6, 8));
    }
}
