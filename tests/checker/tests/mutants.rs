//! The table that `checker mutants` prints, for several seeds.

use checker::mutants::{Run, try_all};

#[test]
fn every_fault_is_found_and_nothing_else_is_called_one() {
    for seed in 1..=3 {
        let report = try_all(&Run::of_model(seed, 2_000), seed);
        assert!(
            report.passed() && report.is_whole(),
            "seed {seed}:\n{report}"
        );
        assert!(report.faults.len() >= 12 && report.controls.len() >= 8);
    }
}
