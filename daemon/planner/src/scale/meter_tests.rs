use super::testing::size;
use super::{Bucket, Doubt, Load, Meter, Sample, Timing, WorkerUsage};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A multiple of a minute.
const START: u64 = 1_763_812_800_000;

/// CPU time of workers `a`, `b`, … of one MCU, in milliseconds, at seconds after the start.
fn sample(second: u64, cpu_ms: &[u64]) -> Sample {
    let usage = |cpu_ms: &u64| WorkerUsage {
        cpu_ns: cpu_ms * 1_000_000,
        mcu_count: 1,
    };
    Sample {
        at_ms: START + second * 1_000,
        workers: ["a", "b", "c"]
            .into_iter()
            .map(str::to_owned)
            .zip(cpu_ms.iter().map(usage))
            .collect(),
        lag: None,
    }
}

fn meter() -> Meter {
    Meter::new(&Timing::default())
}

/// Loads when the newest sample was just taken.
fn loads(meter: &Meter, second: u64) -> Vec<Load> {
    let buckets = meter.buckets(START + second * 1_000);
    buckets.iter().map(|bucket| bucket.load).collect()
}

/// One worker that uses that many milliseconds of CPU a second, from one second to another.
fn run(meter: &mut Meter, from: u64, to: u64, millis: u64) {
    for second in (from..=to).step_by(10) {
        meter.record(size(1, 1), sample(second, &[second * millis]));
    }
}

#[test]
fn utilisation_is_cpu_time_of_all_workers_by_the_time_of_all_mcus() {
    let mut meter = meter();
    for second in (0..=60).step_by(10) {
        // 90 % and 30 %.
        meter.record(size(2, 1), sample(second, &[second * 900, second * 300]));
    }
    assert_eq!(loads(&meter, 60), [Load::Percent(60)]);

    let mut large = Meter::new(&Timing::default());
    for second in (0..=60).step_by(10) {
        let usage = WorkerUsage {
            cpu_ns: second * 3_000_000_000,
            mcu_count: 4,
        };
        let sample = Sample {
            at_ms: START + second * 1_000,
            workers: BTreeMap::from([("a".to_owned(), usage)]),
            lag: None,
        };
        large.record(size(1, 4), sample);
    }
    assert_eq!(loads(&large, 60), [Load::Percent(75)]);
}

#[test]
fn a_worker_that_nothing_holds_back_is_above_a_hundred() {
    let mut meter = meter();
    run(&mut meter, 0, 60, 1_500);
    assert_eq!(loads(&meter, 60), [Load::Percent(150)]);
}

#[test]
fn percent_is_rounded_to_the_nearest() {
    for (millis, percent) in [(804, 80), (805, 81), (194, 19), (195, 20)] {
        let mut meter = meter();
        run(&mut meter, 0, 60, millis);
        assert_eq!(loads(&meter, 60), [Load::Percent(percent)]);
    }
}

#[test]
fn the_first_bucket_is_the_first_whole_one() {
    let mut meter = meter();
    run(&mut meter, 10, 170, 500);
    let buckets = meter.buckets(START + 170_000);
    let starts: Vec<u64> = buckets.iter().map(|it| it.start_ms - START).collect();
    assert_eq!(starts, [60_000]);
}

#[test]
fn time_between_samples_is_shared_by_the_buckets_that_it_crosses() {
    let mut meter = meter();
    // 0.5 s a second up to 0:55, then 1 s a second to 1:05, then nothing.
    for (second, cpu_ms) in [(0, 0), (15, 7_500), (35, 17_500), (55, 27_500)] {
        meter.record(size(1, 1), sample(second, &[cpu_ms]));
    }
    for second in (65..=125).step_by(20) {
        meter.record(size(1, 1), sample(second, &[37_500]));
    }
    // 27.5 s + 5 s of 60 s, then 5 s of 60 s.
    assert_eq!(loads(&meter, 125), [Load::Percent(54), Load::Percent(8)]);
}

#[test]
fn a_gap_makes_every_bucket_that_it_touches_unknown() {
    let mut meter = meter();
    run(&mut meter, 0, 100, 500);
    run(&mut meter, 120, 130, 500);
    // 20 s are none, 21 s are one.
    run(&mut meter, 151, 251, 500);
    let known = Load::Percent(50);
    let gap = Load::Unknown(Doubt::Gap);
    assert_eq!(loads(&meter, 251), [known, known, gap, known]);
    run(&mut meter, 290, 370, 500);
    assert_eq!(loads(&meter, 370), [known, known, gap, known, gap, known]);
}

#[test]
fn a_bucket_is_over_when_the_next_sample_is_there_or_overdue() {
    let mut meter = meter();
    run(&mut meter, 5, 115, 500);
    let at = |second| loads(&meter, second);
    assert_eq!(at(115), []);
    assert_eq!(at(125), [], "the sample that ends it may still come");
    assert_eq!(at(135), []);
    assert_eq!(at(136), [Load::Unknown(Doubt::Gap)]);
    assert_eq!(at(180), [Load::Unknown(Doubt::Gap); 2]);
}

#[test]
fn a_worker_that_comes_or_goes_makes_its_bucket_unknown() {
    let mut meter = meter();
    for second in (0..=240).step_by(10) {
        let cpu = second * 500;
        // The second one cannot be read from 1:30 on; at 2:30 it can.
        let both = !(90..150).contains(&second);
        let cpu = if both { vec![cpu, cpu] } else { vec![cpu] };
        meter.record(size(2, 1), sample(second, &cpu));
    }
    let known = Load::Percent(50);
    let came_or_went = Load::Unknown(Doubt::Membership);
    // The first doubt of a bucket is the one that it tells.
    let too_few = Load::Unknown(Doubt::OtherSize);
    assert_eq!(loads(&meter, 240), [known, came_or_went, too_few, known]);
}

#[test]
fn a_replaced_worker_is_another_one() {
    let mut meter = meter();
    run(&mut meter, 0, 30, 500);
    for second in (40..=60).step_by(10) {
        let mut sample = sample(second, &[]);
        let usage = WorkerUsage {
            cpu_ns: second * 500_000_000,
            mcu_count: 1,
        };
        sample.workers.insert("another".to_owned(), usage);
        meter.record(size(1, 1), sample);
    }
    assert_eq!(loads(&meter, 60), [Load::Unknown(Doubt::Membership)]);
}

#[test]
fn a_fleet_that_is_not_as_wanted_is_unknown() {
    let mut meter = meter();
    for second in (0..=120).step_by(10) {
        meter.record(size(2, 1), sample(second, &[second * 900]));
    }
    assert_eq!(loads(&meter, 120), [Load::Unknown(Doubt::OtherSize); 2]);
    let mut meter = Meter::new(&Timing::default());
    for second in (0..=60).step_by(10) {
        meter.record(size(1, 2), sample(second, &[second * 900]));
    }
    assert_eq!(loads(&meter, 60), [Load::Unknown(Doubt::OtherSize)]);
    let mut meter = Meter::new(&Timing::default());
    for second in (0..=60).step_by(10) {
        meter.record(size(1, 1), sample(second, &[]));
    }
    assert_eq!(loads(&meter, 60), [Load::Unknown(Doubt::OtherSize)]);
}

#[test]
fn a_counter_that_goes_back_makes_its_bucket_unknown() {
    let mut meter = meter();
    run(&mut meter, 0, 90, 500);
    for second in (100..=180).step_by(10) {
        meter.record(size(1, 1), sample(second, &[(second - 100) * 500]));
    }
    let expected = [
        Load::Percent(50),
        Load::Unknown(Doubt::CounterReset),
        Load::Percent(50),
    ];
    assert_eq!(loads(&meter, 180), expected);
}

#[test]
fn another_size_begins_anew() {
    let mut meter = meter();
    run(&mut meter, 0, 170, 900);
    assert_eq!(loads(&meter, 170).len(), 2);
    for second in (180..=240).step_by(10) {
        meter.record(size(2, 1), sample(second, &[second * 400, second * 400]));
    }
    assert_eq!(loads(&meter, 240), [Load::Percent(40)]);
    // And so does the way back.
    run(&mut meter, 250, 310, 900);
    assert_eq!(loads(&meter, 310), []);
}

#[test]
fn a_clock_that_goes_back_begins_anew() {
    let mut meter = meter();
    run(&mut meter, 0, 180, 500);
    meter.record(size(1, 1), sample(180, &[1]));
    assert_eq!(
        loads(&meter, 180).len(),
        3,
        "the same moment again is ignored"
    );
    run(&mut meter, 60, 120, 500);
    assert_eq!(loads(&meter, 120), [Load::Percent(50)]);
}

#[test]
fn the_lag_of_a_bucket_is_the_one_at_its_end() {
    let mut meter = meter();
    for second in (0..=120).step_by(10) {
        let mut sample = sample(second, &[second * 500]);
        sample.lag = (second <= 60).then_some(second);
        meter.record(size(1, 1), sample);
    }
    let lags: Vec<Option<u64>> = meter
        .buckets(START + 120_000)
        .iter()
        .map(|bucket| bucket.lag)
        .collect();
    assert_eq!(lags, [Some(60), None]);
}

#[test]
fn a_long_run_keeps_what_the_longest_window_needs() {
    let mut meter = meter();
    run(&mut meter, 0, 36_000, 500);
    let buckets = meter.buckets(START + 36_000_000);
    assert_eq!(buckets.len(), 15);
    assert_eq!(buckets[14].start_ms, START + 36_000_000 - 60_000);
    // After a day without a sample all of it is unknown, and no more of it than before.
    let later = meter.buckets(START + 122_400_000);
    assert_eq!(later.len(), 15);
    assert!(later.iter().all(|it| it.load == Load::Unknown(Doubt::Gap)));
    run(&mut meter, 122_400, 122_460, 500);
    let known = meter.buckets(START + 122_460_000);
    assert_eq!(known[14].load, Load::Percent(50));
    assert!(
        known[..14]
            .iter()
            .all(|it| it.load == Load::Unknown(Doubt::Gap))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_samples_give_bounded_aligned_buckets_without_holes(
        samples in prop::collection::vec(
            (
                prop_oneof![8 => START..START + 4_000_000, 1 => any::<u64>()],
                prop::collection::vec(any::<u64>().prop_map(|it| it / 1_000_000), 0..3),
            ),
            0..40,
        ),
        workers in 1..3_u32,
        now in prop_oneof![8 => START..START + 5_000_000, 1 => any::<u64>()],
    ) {
        let mut meter = meter();
        for (at_ms, cpu_ms) in samples {
            let sample = Sample { at_ms, ..sample(0, &cpu_ms) };
            meter.record(size(workers, 1), sample);
        }
        let buckets = meter.buckets(now);
        prop_assert!(buckets.len() <= 15);
        let is_next = |pair: &[Bucket]| pair[0].start_ms + 60_000 == pair[1].start_ms;
        prop_assert!(buckets.windows(2).all(is_next));
        prop_assert!(buckets.iter().all(|it| it.start_ms.is_multiple_of(60_000)));
    }
}
