//! All charts and the page that shows them.

use crate::chart;
use crate::curves::{CURVES, Curve};
use crate::simulation::{Outcome, play};
use runnel_api::capacity::SCALE_IN_DEFAULT;
use std::fmt::Write as _;

/// A scale-in threshold above the default, to compare.
const EARLY: u32 = 40;

const INTRODUCTION: &str = "# Scaling in figures

What the decision of [the guide](../guides/scaling.md) does under four loads, played in virtual time with its default
times and thresholds. `cargo run -p runnel-planner --example scaling -- docs/scaling` writes this page and its charts;
a test holds them to the code. Work that cannot be done at once waits. A new worker works after 5 s, and a single-task
connector is silent for 5 s when its worker is exchanged. Time without room is time in which the load was more than
the whole fleet could do.
";

/// Names and texts of every file of the page.
pub fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut page = INTRODUCTION.to_owned();
    for curve in &CURVES {
        let horizontal = play(&curve.horizontal(SCALE_IN_DEFAULT));
        let vertical = play(&curve.vertical(SCALE_IN_DEFAULT));
        let panels = [
            ("Horizontal: 1 to 5 workers of 1 MCU", &horizontal),
            ("Vertical: 1 worker of 1 to 8 MCUs", &vertical),
        ];
        files.push((
            format!("{}.svg", curve.name),
            chart::svg(curve.title, &panels),
        ));
        section(&mut page, curve, &horizontal, &vertical);
    }
    files.push(("README.md".to_owned(), page));
    files
}

fn section(page: &mut String, curve: &Curve, horizontal: &Outcome, vertical: &Outcome) {
    let (title, name) = (curve.title, curve.name);
    // Writing to a string cannot fail; so below.
    let _ = writeln!(page, "\n## {title}\n\n![{title}]({name}.svg)\n");
    page.push_str(
        "| | changes | MCU-hours | at the maximum all the time | without room | longest wait |\n",
    );
    page.push_str("|---|---|---|---|---|---|\n");
    let early = (play(&curve.horizontal(EARLY)), play(&curve.vertical(EARLY)));
    for (way, outcome, most) in [
        ("horizontal", horizontal, 5),
        ("horizontal, scale-in at 40 %", &early.0, 5),
        ("vertical", vertical, 8),
        ("vertical, scale-in at 40 %", &early.1, 8),
    ] {
        let seconds = u64::try_from(outcome.minutes.len()).unwrap_or(0) * 60;
        let _ = writeln!(
            page,
            "| {way} | {} | {} | {} | {} % | {} |",
            outcome.actions.len(),
            tenths(outcome.mcu_seconds * 10 / 3_600),
            tenths(most * seconds * 10 / 3_600),
            tenths(outcome.unmet_seconds * 1_000 / seconds.max(1)),
            duration(outcome.behind_seconds)
        );
    }
    for (way, outcome) in [("Horizontal", horizontal), ("Vertical", vertical)] {
        let _ = writeln!(page, "\n{way}:\n");
        if outcome.actions.is_empty() {
            page.push_str("- no change\n");
        }
        for action in &outcome.actions {
            let minute = action.second / 60;
            let (hour, minute, second) = (minute / 60, minute % 60, action.second % 60);
            let _ = writeln!(
                page,
                "- {hour}:{minute:02}:{second:02} {}",
                action.text.replace("->", "→")
            );
        }
    }
}

fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

fn duration(seconds: u64) -> String {
    if seconds < 120 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds / 60)
    }
}
