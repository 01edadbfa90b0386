//! What the writers do, decided without a database, so that the model of [`crate::model`] does the same.

use crate::dice::Dice;
use crate::event::Ledger;
use crate::history::Kind;

/// A transaction to be tried: registers to change, in this order, and whether to roll back at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Each register once, with the wish to delete it when it is there.
    pub registers: Vec<(i64, bool)>,
    /// Rows of ledgers to change after them, each once; of accounts with the amount that is added. The amounts of one
    /// transaction make 0.
    pub legs: Vec<(Ledger, i64, i64)>,
    /// ROLLBACK instead of COMMIT.
    pub rolls_back: bool,
}

/// Of 100 transactions, so many are rolled back on purpose.
const ROLL_BACKS: u64 = 4;
/// Of 100 changes of a register that is there, so many delete it.
const DELETES: u64 = 5;
/// Of 100 transactions, so many move money between two accounts.
const TRANSFERS: u64 = 15;
/// Of 100 transactions, so many append to a list, half of them to two.
const APPENDS: u64 = 10;
/// Rows of each ledger.
pub const LEDGER_ROWS: i64 = 8;
/// What every account holds at first.
pub const OPENING: i64 = 1_000;
/// A list begins anew after so many elements, since each of its events holds it whole.
const LIST_LENGTH: u64 = 32;
/// The most that is moved at once.
const AMOUNT: u64 = 50;

/// What a row of a ledger holds at version 1.
pub fn opening(ledger: Ledger) -> String {
    match ledger {
        Ledger::Bank | Ledger::Vault => OPENING.to_string(),
        Ledger::List => "begin".to_owned(),
    }
}

/// What an attempt appends to a list.
pub fn element(writer: u32, wseq: u64) -> String {
    format!("e{writer}.{wseq}")
}

/// Whether a list begins anew with this version.
pub const fn begins_anew(ver: u64) -> bool {
    ver.is_multiple_of(LIST_LENGTH)
}

/// A list's next version. A semicolon parts the elements: Connect's text form of a row parts its columns by commas.
pub fn appended(before: &str, ver: u64, writer: u32, wseq: u64) -> String {
    let element = element(writer, wseq);
    if begins_anew(ver) {
        element
    } else {
        format!("{before};{element}")
    }
}

fn legs(dice: &mut Dice) -> Vec<(Ledger, i64, i64)> {
    let row =
        |dice: &mut Dice| 1 + i64::try_from(dice.below(LEDGER_ROWS.cast_unsigned())).unwrap_or(0);
    let mut legs = Vec::new();
    if dice.percent(TRANSFERS) {
        let account = |dice: &mut Dice| {
            let ledger = if dice.percent(50) {
                Ledger::Bank
            } else {
                Ledger::Vault
            };
            (ledger, row(dice))
        };
        let (from, to) = (account(dice), account(dice));
        let amount = 1 + i64::try_from(dice.below(AMOUNT)).unwrap_or(0);
        if from != to {
            legs.extend([(from.0, from.1, -amount), (to.0, to.1, amount)]);
        }
    }
    if dice.percent(APPENDS) {
        let (first, second) = (row(dice), row(dice));
        legs.push((Ledger::List, first, 0));
        if dice.percent(50) && second != first {
            legs.push((Ledger::List, second, 0));
        }
    }
    legs.sort_unstable();
    legs
}

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
        legs: legs(dice),
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
    fn a_list_grows_by_one_and_begins_anew_now_and_then() {
        assert_eq!(appended("begin", 2, 3, 40), "begin;e3.40");
        assert_eq!(appended("x;e1.2", 32, 0, 7), "e0.7");
    }

    #[test]
    fn plans_hold_each_register_once_and_all_kinds_of_transactions() {
        let mut dice = Dice::new(4);
        let plans: Vec<Plan> = (0..2_000).map(|_| next(&mut dice, 50)).collect();
        for plan in &plans {
            let ids: Vec<i64> = plan.registers.iter().map(|it| it.0).collect();
            assert!(ids.is_sorted_by(|a, b| a < b) && !ids.is_empty(), "{ids:?}");
            assert!(ids.iter().all(|it| (1..=50).contains(it)));
        }
        for plan in &plans {
            let rows: Vec<_> = plan.legs.iter().map(|it| (it.0, it.1)).collect();
            assert!(rows.is_sorted_by(|a, b| a < b), "{rows:?}");
            assert_eq!(plan.legs.iter().map(|it| it.2).sum::<i64>(), 0);
        }
        let transfers = |it: &&Plan| it.legs.iter().any(|it| it.2 != 0);
        assert!((200..400).contains(&plans.iter().filter(transfers).count()));
        let between = |it: &Plan| {
            [Ledger::Bank, Ledger::Vault]
                .iter()
                .all(|of| it.legs.iter().any(|it| it.0 == *of))
        };
        assert!(plans.iter().any(between));
        let lists = |it: &Plan| it.legs.iter().filter(|it| it.0 == Ledger::List).count();
        assert!(plans.iter().any(|it| lists(it) == 2));
        assert!(plans.iter().any(|it| it.rolls_back));
        assert!(plans.iter().any(|it| it.registers.len() > 8));
        assert!(plans.iter().any(|it| it.registers.iter().any(|it| it.1)));
    }
}
