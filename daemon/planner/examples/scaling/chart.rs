//! Outcomes as SVG. Coordinates are integers in tenths of a pixel.

use crate::simulation::{Outcome, Step};
use std::fmt::Write as _;

const WIDTH: u64 = 9_600;
const LEFT: u64 = 560;
const RIGHT: u64 = 9_400;
/// Tops and heights within a panel.
const LOAD: (u64, u64) = (240, 1_400);
const CPU: (u64, u64) = (1_860, 800);
const PANEL: u64 = 3_200;
const HEAD: u64 = 840;
/// Most points of a line.
const POINTS: u64 = 480;

const STYLE: &str = "    .page { fill: #ffffff; }
    .name { fill: #1f2328; font-weight: 600; }
    .note { fill: #4b535d; font-size: 12px; }
    .grid { stroke: #d1d9e0; stroke-width: 1; }
    .limit { stroke: #59636e; stroke-width: 1; stroke-dasharray: 5 4; }
    .demand { fill: #fb8f44; fill-opacity: 0.35; stroke: #bc4c00; stroke-width: 1; }
    .size { fill: none; stroke: #0969da; stroke-width: 2; }
    .cpu { fill: none; stroke: #8250df; stroke-width: 1.3; }
    .more { fill: #1a7f37; }
    .less { fill: #cf222e; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117; }
      .name { fill: #f0f6fc; }
      .note { fill: #b1bac4; }
      .grid { stroke: #30363d; }
      .limit { stroke: #9198a1; }
      .demand { fill: #db6d28; stroke: #f0883e; }
      .size { stroke: #4493f8; }
      .cpu { stroke: #ab7df8; }
      .more { fill: #3fb950; }
      .less { fill: #f85149; }
    }
";

/// One chart of several panels: a name and what became of it.
pub fn svg(title: &str, panels: &[(&str, &Outcome)]) -> String {
    let count = u64::try_from(panels.len()).unwrap_or(0);
    let (width, height) = (WIDTH / 10, (HEAD + count * PANEL) / 10);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\" font-family=\"system-ui, 'Segoe UI', \
         Helvetica, Arial, sans-serif\" font-size=\"14\">\n  <title id=\"title\">{title}</title>\n  \
         <desc id=\"desc\">The load in MCUs, the size of the fleet, its CPU utilisation with both thresholds, and \
         each change of size.</desc>\n  <style>\n{STYLE}  </style>\n  \
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n  \
         <text class=\"name\" x=\"20\" y=\"30\" font-size=\"17\">{title}</text>\n"
    );
    legend(&mut svg);
    let mut top = HEAD;
    for (name, outcome) in panels {
        panel(&mut svg, top, name, outcome);
        top += PANEL;
    }
    svg.push_str("</svg>\n");
    svg
}

/// A length in pixels.
fn px(tenths: u64) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        rest => format!("{}.{rest}", tenths / 10),
    }
}

fn text(svg: &mut String, class: &str, x: u64, y: u64, anchor: &str, words: &str) {
    let (x, y) = (px(x), px(y));
    // Writing to a string cannot fail; so below.
    let _ = writeln!(
        svg,
        "  <text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

fn line(svg: &mut String, class: &str, y: u64) {
    let (left, right, y) = (px(LEFT), px(RIGHT), px(y));
    let _ = writeln!(
        svg,
        "  <path class=\"{class}\" d=\"M{left} {y} H{right}\"/>"
    );
}

fn legend(svg: &mut String) {
    let lines = [
        ("demand", 200, "load"),
        ("size", 980, "size of the fleet"),
        ("cpu", 2_480, "CPU utilisation (a break: not known)"),
        ("limit", 5_220, "thresholds"),
    ];
    for (class, x, words) in lines {
        let (from, to) = (px(x), px(x + 220));
        let _ = match class {
            "demand" => writeln!(
                svg,
                "  <rect class=\"demand\" x=\"{from}\" y=\"49\" width=\"22\" height=\"10\"/>"
            ),
            _ => writeln!(svg, "  <path class=\"{class}\" d=\"M{from} 54 H{to}\"/>"),
        };
        text(svg, "note", x + 290, 585, "start", words);
    }
    for (class, x, words, is_up) in [
        ("more", 6_580, "one step larger", true),
        ("less", 8_000, "one step smaller", false),
    ] {
        let mark = triangle(x, if is_up { 480 } else { 600 }, is_up);
        let _ = writeln!(svg, "  <path class=\"{class}\" d=\"{mark}\"/>");
        text(svg, "note", x + 120, 585, "start", words);
    }
}

/// A triangle whose tip is there.
fn triangle(x: u64, y: u64, is_up: bool) -> String {
    let base = if is_up { y + 100 } else { y - 100 };
    let (left, right) = (px(x - 55), px(x + 55));
    format!(
        "M{} {} L{left} {base} L{right} {base} z",
        px(x),
        px(y),
        base = px(base)
    )
}

fn panel(svg: &mut String, top: u64, name: &str, outcome: &Outcome) {
    let seconds = u64::try_from(outcome.minutes.len()).unwrap_or(0) * 60;
    let across = Across {
        seconds: seconds.max(1),
    };
    text(svg, "name", 200, top, "start", name);
    let units = "above in MCUs, below in percent of the size; hours";
    text(svg, "note", RIGHT, top, "end", units);
    let largest = outcome.actions.iter().map(|it| it.to.mcus()).max();
    let largest = u64::from(largest.unwrap_or(1).max(outcome.start.mcus())) * 1_000;
    let busiest = outcome
        .minutes
        .iter()
        .map(|it| it.demand)
        .max()
        .unwrap_or(0);
    let whole = largest.max(busiest).div_ceil(1_000).max(1);
    let step = if whole > 5 { 2 } else { 1 };
    let load_y = |milli: u64| top + LOAD.0 + LOAD.1 - LOAD.1 * milli / (whole * 1_000);
    for mcus in (0..=whole).step_by(step) {
        line(svg, "grid", load_y(mcus * 1_000));
        text(
            svg,
            "note",
            LEFT - 80,
            load_y(mcus * 1_000) + 40,
            "end",
            &mcus.to_string(),
        );
    }
    demand(svg, &across, outcome, load_y);
    size(svg, &across, outcome, load_y);
    let cpu_y = |percent: u64| top + CPU.0 + CPU.1 - CPU.1 * percent.min(100) / 100;
    for (percent, class) in [(0, "grid"), (20, "limit"), (80, "limit"), (100, "grid")] {
        line(svg, class, cpu_y(percent));
        text(
            svg,
            "note",
            LEFT - 80,
            cpu_y(percent) + 40,
            "end",
            &format!("{percent} %"),
        );
    }
    cpu(svg, &across, outcome, cpu_y);
    hours(svg, &across, top + CPU.0 + CPU.1 + 180);
    for action in &outcome.actions {
        mark(svg, across.x(action.second), top + CPU.0 - 40, action);
    }
}

/// The axis of time.
struct Across {
    seconds: u64,
}

impl Across {
    fn x(&self, second: u64) -> u64 {
        LEFT + (RIGHT - LEFT) * second / self.seconds
    }

    /// Minutes to a point, and that point's middle.
    fn points(&self) -> usize {
        let minutes = self.seconds / 60;
        usize::try_from(minutes.div_ceil(POINTS).max(1)).unwrap_or(1)
    }
}

fn demand(svg: &mut String, across: &Across, outcome: &Outcome, y: impl Fn(u64) -> u64) {
    let mut path = format!("M{} {}", px(across.x(0)), px(y(0)));
    let mut second = 0;
    for minutes in outcome.minutes.chunks(across.points()) {
        let count = u64::try_from(minutes.len()).unwrap_or(1);
        let mean = minutes.iter().map(|it| it.demand).sum::<u64>() / count;
        let _ = write!(
            path,
            " L{} {}",
            px(across.x(second + count * 30)),
            px(y(mean))
        );
        second += count * 60;
    }
    let _ = write!(path, " L{} {} z", px(across.x(second)), px(y(0)));
    let _ = writeln!(svg, "  <path class=\"demand\" d=\"{path}\"/>");
}

fn size(svg: &mut String, across: &Across, outcome: &Outcome, y: impl Fn(u64) -> u64) {
    let height = |mcus: u32| px(y(u64::from(mcus) * 1_000));
    let mut path = format!("M{} {}", px(LEFT), height(outcome.start.mcus()));
    for action in &outcome.actions {
        let x = px(across.x(action.second));
        let _ = write!(path, " H{x} V{}", height(action.to.mcus()));
    }
    let _ = writeln!(svg, "  <path class=\"size\" d=\"{path} H{}\"/>", px(RIGHT));
}

fn cpu(svg: &mut String, across: &Across, outcome: &Outcome, y: impl Fn(u64) -> u64) {
    let mut path = String::new();
    let mut pen = 'M';
    let mut second = 0;
    for minutes in outcome.minutes.chunks(across.points()) {
        let count = u64::try_from(minutes.len()).unwrap_or(1);
        let known: Vec<u64> = minutes
            .iter()
            .filter_map(|it| it.percent.map(u64::from))
            .collect();
        let middle = across.x(second + count * 30);
        second += count * 60;
        let Some(mean) = known.iter().sum::<u64>().checked_div(known.len() as u64) else {
            pen = 'M';
            continue;
        };
        let _ = write!(path, "{pen}{} {} ", px(middle), px(y(mean)));
        pen = 'L';
    }
    let _ = writeln!(svg, "  <path class=\"cpu\" d=\"{}\"/>", path.trim_end());
}

fn hours(svg: &mut String, across: &Across, y: u64) {
    let whole = across.seconds / 3_600;
    let step = match whole {
        0..13 => 1,
        13..25 => 2,
        _ => 6,
    };
    for hour in (0..=whole).step_by(step) {
        let words = if hour == 0 {
            "0 h".to_owned()
        } else {
            hour.to_string()
        };
        text(svg, "note", across.x(hour * 3_600), y, "middle", &words);
    }
}

/// A mark of an action; its words show where the chart is opened by itself.
fn mark(svg: &mut String, x: u64, y: u64, action: &Step) {
    let is_up = action.to.mcus() > action.from.mcus();
    let class = if is_up { "more" } else { "less" };
    let tip = if is_up { y - 100 } else { y };
    let _ = writeln!(
        svg,
        "  <path class=\"{class}\" d=\"{}\"><title>{} to {}</title></path>",
        triangle(x, tip, is_up),
        action.from,
        action.to
    );
}
