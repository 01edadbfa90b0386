//! What the writers do, decided without a database, so that the model of [`crate::model`] does the same.

use crate::dice::Dice;
use crate::history::Kind;

/// A transaction to be tried: registers to change, in this order, and whether to roll back at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Each register once, with the wish to delete it when it is there.
    pub registers: Vec<(i64, bool)>,
    /// ROLLBACK instead of COMMIT.
    pub rolls_back: bool,
}

/// Of 100 transactions, so many are rolled back on purpose.
const ROLL_BACKS: u64 = 4;
/// Of 100 changes of a register that is there, so many delete it.
const DELETES: u64 = 5;

/// Throws the next transaction over registers `1..=keys`, small ones more often.
pub fn next(dice: &mut Dice, keys: u32) -> Plan {
    let size = match dice.below(100) {
        0..70 => 1,
        70..96 => 2 + dice.below(4),
        _ => 10 + dice.below(30),
    };
    let mut registers: Vec<(i64, bool)> = (0..size)
        .map(|_| {
            let id = i64::try_from(dice.skewed(u64::from(keys))).unwrap_or(0);
            (id + 1, dice.percent(DELETES))
        })
        .collect();
    // One order for all writers: they wait for each other and seldom deadlock.
    registers.sort_unstable();
    registers.dedup_by_key(|it| it.0);
    Plan {
        registers,
        rolls_back: dice.percent(ROLL_BACKS),
    }
}

/// What is done to a register that is or is not there.
pub fn kind(is_there: bool, wants_delete: bool) -> Kind {
    match (is_there, wants_delete) {
        (false, _) => Kind::Insert,
        (true, true) => Kind::Delete,
        (true, false) => Kind::Update,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_hold_each_register_once_and_all_kinds_of_transactions() {
        let mut dice = Dice::new(4);
        let plans: Vec<Plan> = (0..2_000).map(|_| next(&mut dice, 50)).collect();
        for plan in &plans {
            let ids: Vec<i64> = plan.registers.iter().map(|it| it.0).collect();
            assert!(ids.is_sorted_by(|a, b| a < b) && !ids.is_empty(), "{ids:?}");
            assert!(ids.iter().all(|it| (1..=50).contains(it)));
        }
        assert!(plans.iter().any(|it| it.rolls_back));
        assert!(plans.iter().any(|it| it.registers.len() > 8));
        assert!(plans.iter().any(|it| it.registers.iter().any(|it| it.1)));
    }
}
