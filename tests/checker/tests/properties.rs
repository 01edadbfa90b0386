//! Whatever order sound parts may give events in, the checker finds nothing; whatever single fault there is, it does.

use checker::dice::Dice;
use checker::event::{Body, Event};
use checker::model;
use checker::mutants::{self, Run, Trial};
use checker::verdict::{Mode, Rows};
use checker::{Verdict, verify};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn judged(run: &Run, rows: Rows, mut events: Vec<Event>) -> Verdict {
    model::number_offsets(&mut events);
    verify(&run.history, events, &Mode::Rows(rows))
}

/// Mixes the series of keys (or, for events without one, of topics), each in its own order.
fn interleaved(events: &[Event], dice: &mut Dice) -> Vec<Event> {
    let mut series: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().rev() {
        // A writer's appends to a partition are one series, as a register's versions are.
        let of = match (&event.body, event.key) {
            (_, Some(checker::event::RowKey::Register(id))) => format!("register {id}"),
            (_, Some(key @ checker::event::RowKey::Ledger(..))) => key.to_string(),
            (Body::Change(change), _) => format!(
                "appends of {:?} in {}",
                change.after.as_ref().map(|row| row.writer),
                event.partition
            ),
            _ => event.topic.to_string(),
        };
        series.entry(of).or_default().push(event);
    }
    let mut series: Vec<Vec<&Event>> = series.into_values().collect();
    let mut mixed = Vec::with_capacity(events.len());
    while !series.is_empty() {
        let at = dice.index(series.len());
        match series[at].pop() {
            Some(event) => mixed.push(event.clone()),
            None => drop(series.swap_remove(at)),
        }
    }
    mixed
}

/// A source that is killed at random and goes on from a place before.
fn restarted(events: &[Event], restarts: u32, dice: &mut Dice) -> Vec<Event> {
    let mut sent = Vec::new();
    let mut next = 0;
    let mut left = restarts;
    while next < events.len() {
        sent.push(events[next].clone());
        next += 1;
        if left > 0 && dice.below(events.len() as u64) < u64::from(restarts) {
            left -= 1;
            next -= dice.index(next.min(400));
        }
    }
    sent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_that_keeps_each_keys_own_is_clean_with_any_restarts(
        seed in any::<u64>(), transactions in 1_u32..400, keys in 1_u32..80, restarts in 0_u32..30,
    ) {
        let (history, events) = model::run(seed, transactions, keys);
        let rows = Rows::of_topics(model::TABLE, &model::TOPICS);
        let run = Run { history, events, rows };
        let mut dice = Dice::new(seed ^ 1);

        let one_log = restarted(&run.events, restarts, &mut dice);
        let verdict = judged(&run, run.rows.clone(), one_log);
        prop_assert!(verdict.passed, "{verdict}");

        let many_logs = restarted(&interleaved(&run.events, &mut dice), restarts, &mut dice);
        let rows = Rows { session_order: false, ..run.rows.clone() };
        let verdict = judged(&run, rows, many_logs);
        prop_assert!(verdict.passed, "{verdict}");
    }

    #[test]
    fn any_single_fault_is_found_in_any_run(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let names: Vec<_> = mutants::names().collect();
        let name = names[which.index(names.len())];
        let run = Run::of_model(seed, 1_500);
        match mutants::try_one(&run, name, seed) {
            Trial::Good(_) => {}
            bad => prop_assert!(false, "{name}: {bad:?}"),
        }
    }

    #[test]
    fn a_run_with_restarts_still_shows_each_lost_record(seed in any::<u64>(), restarts in 0_u32..10) {
        let (history, events) = model::run(seed, 300, 40);
        let rows = Rows::of_topics(model::TABLE, &model::TOPICS);
        let mut dice = Dice::new(seed ^ 2);
        let changes: Vec<usize> = events
            .iter()
            .enumerate()
            .filter(|(_, it)| matches!(it.body, Body::Change(_)))
            .map(|(at, _)| at)
            .collect();
        let mut lossy = events.clone();
        lossy.remove(changes[dice.index(changes.len())]);
        let run = Run { history, events, rows };
        let verdict = judged(&run, run.rows.clone(), restarted(&lossy, restarts, &mut dice));
        // A transaction whose outcome is unknown may be missing as a whole, but not in part: metadata tells.
        prop_assert!(!verdict.passed && verdict.torn.count > 0, "{verdict}");
    }
}
