//! Random numbers that a seed repeats exactly, here and on every machine.

/// `SplitMix64`: one word of state, good enough to spread a workload, and never used for secrets.
#[derive(Debug, Clone)]
pub struct Dice(u64);

/// One step of `SplitMix64`'s output function: every input bit changes about half of the output bits.
pub fn scramble(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    /// The same seed gives the same throws.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of its own for one of several users of a seed.
    pub fn of(seed: u64, user: u64) -> Self {
        Self(scramble(seed ^ scramble(user)))
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        let word = scramble(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        word
    }

    /// A number in `0..end`; 0 when there is no such number.
    pub fn below(&mut self, end: u64) -> u64 {
        // A remainder is biased by less than end / 2^64.
        self.word().checked_rem(end).unwrap_or(0)
    }

    /// An index of a list of this length; 0 for an empty one.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// True in `percent` of 100 throws.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number in `0..end` in which small ones are likely: half of the throws fall in the first eighth.
    pub fn skewed(&mut self, end: u64) -> u64 {
        // u³ by whole numbers: 20 bits are enough for as many keys as a workload has.
        let u = u128::from(self.below(1 << 20));
        let cubed = u * u * u * u128::from(end);
        u64::try_from(cubed >> 60).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_throws_and_users_of_it_differ() {
        let throws = |mut dice: Dice| (0..8).map(|_| dice.word()).collect::<Vec<_>>();
        assert_eq!(throws(Dice::new(7)), throws(Dice::new(7)));
        assert_ne!(throws(Dice::of(7, 1)), throws(Dice::of(7, 2)));
    }

    #[test]
    fn skewed_throws_stay_below_their_end_and_lean_to_the_small() {
        let mut dice = Dice::new(1);
        let throws: Vec<u64> = (0..10_000).map(|_| dice.skewed(64)).collect();
        assert!(throws.iter().all(|it| *it < 64));
        let small = throws.iter().filter(|it| **it < 8).count();
        assert!((4_500..5_500).contains(&small), "{small} of 10000");
        assert_eq!(Dice::new(1).below(0), 0);
    }
}
