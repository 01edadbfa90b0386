//! A strict reader of Prometheus' text format, version 0.0.4, for tests: what it takes, Prometheus takes.

use std::collections::{BTreeMap, BTreeSet};

/// One family as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    pub kind: String,
    pub help: String,
    /// Sample name and sorted labels → value.
    pub samples: BTreeMap<(String, Labels), f64>,
}

/// Label pairs, sorted.
pub type Labels = Vec<(String, String)>;

/// Reads and checks a whole exposition; says line and fault of the first that is wrong.
pub fn read(text: &str) -> Result<BTreeMap<String, Read>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    let mut families: BTreeMap<String, Read> = BTreeMap::new();
    let mut current = String::new();
    for (number, line) in text.lines().enumerate() {
        read_line(line, &mut current, &mut families)
            .map_err(|fault| format!("line {}: {fault}: {line}", number + 1))?;
    }
    for (name, family) in &families {
        check(name, family).map_err(|fault| format!("{name}: {fault}"))?;
    }
    Ok(families)
}

fn read_line(
    line: &str,
    current: &mut String,
    families: &mut BTreeMap<String, Read>,
) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("# HELP ") {
        let (name, help) = rest.split_once(' ').ok_or("no help")?;
        is_name(name)?;
        if families.contains_key(name) {
            return Err("a second HELP, or a family in two places".into());
        }
        let family = families.entry(name.to_owned()).or_default();
        family.help = unescape(help, false)?;
        *current = name.to_owned();
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        let (name, kind) = rest.split_once(' ').ok_or("no type")?;
        let family = families.get_mut(name).ok_or("TYPE without HELP")?;
        if name != current || !family.kind.is_empty() || !family.samples.is_empty() {
            return Err("TYPE stands elsewhere or twice".into());
        }
        if !["counter", "gauge", "histogram"].contains(&kind) {
            return Err("a type that we do not have".into());
        }
        family.kind = kind.to_owned();
        return Ok(());
    }
    if line.is_empty() || line.starts_with('#') {
        return Err("a line that we do not write".into());
    }
    let family = families.get_mut(current).ok_or("a sample before HELP")?;
    let (name, labels, value) = sample(line)?;
    let fits = match family.kind.as_str() {
        "histogram" => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| name.strip_suffix(end) == Some(current)),
        "" => return Err("no TYPE".into()),
        _ => name == *current,
    };
    if !fits {
        return Err("a sample of another family".into());
    }
    if family.samples.insert((name, labels), value).is_some() {
        return Err("a second sample of one series".into());
    }
    Ok(())
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn is_name(text: &str) -> Result<(), String> {
    let fits = |(at, byte): (usize, u8)| {
        byte.is_ascii_alphabetic() || b"_:".contains(&byte) || (at > 0 && byte.is_ascii_digit())
    };
    if text.is_empty() || !text.bytes().enumerate().all(fits) {
        return Err(format!("{text:?} is no name"));
    }
    Ok(())
}

fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let (name, rest) = match line.split_once('{') {
        Some((name, rest)) => (name, Some(rest)),
        None => (line.split_once(' ').ok_or("no value")?.0, None),
    };
    is_name(name)?;
    let (labels, value) = match rest {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), &line[name.len()..]),
    };
    let value = value.strip_prefix(' ').ok_or("no space before the value")?;
    let value: f64 = value
        .parse()
        .map_err(|_| format!("{value:?} is no value"))?;
    Ok((name.to_owned(), labels, value))
}

/// Labels behind `{`, and what follows `}`.
fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            let names: BTreeSet<&String> = labels.iter().map(|(name, _)| name).collect();
            if names.len() < labels.len() {
                return Err("a label twice".into());
            }
            labels.sort();
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once("=\"").ok_or("a label without value")?;
        is_name(name)?;
        if name.contains(':') || name.starts_with("__") {
            return Err(format!("{name} is no label's name"));
        }
        let mut escaped = false;
        let end = after
            .char_indices()
            .find(|(_, char)| {
                let ends = *char == '"' && !escaped;
                escaped = *char == '\\' && !escaped;
                ends
            })
            .ok_or("a value without end")?
            .0;
        labels.push((name.to_owned(), unescape(&after[..end], true)?));
        rest = &after[end + 1..];
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
        } else if !rest.starts_with('}') {
            return Err("labels are not separated".into());
        }
    }
}

fn unescape(text: &str, is_label: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(match (char, is_label) {
            ('\\', _) => match (chars.next(), is_label) {
                (Some('\\'), _) => '\\',
                (Some('n'), _) => '\n',
                (Some('"'), true) => '"',
                _ => return Err("an escape that is none".into()),
            },
            (other, _) => other,
        });
    }
    Ok(plain)
}

fn check(name: &str, family: &Read) -> Result<(), String> {
    if family.help.is_empty() || family.samples.is_empty() {
        return Err("no help or no sample".into());
    }
    if (family.kind == "counter") != name.ends_with("_total") {
        return Err("counters, and nothing else, end in _total".into());
    }
    if ["_bucket", "_sum", "_count"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return Err("the name ends as a part of a histogram does".into());
    }
    if family.kind == "counter"
        && family
            .samples
            .values()
            .any(|value| value.is_nan() || *value < 0.0)
    {
        return Err("a counter below zero".into());
    }
    if family.kind == "histogram" {
        check_histogram(name, family)?;
    }
    Ok(())
}

fn check_histogram(name: &str, family: &Read) -> Result<(), String> {
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((sample, labels), value) in &family.samples {
        if !sample.ends_with("_bucket") {
            continue;
        }
        let (bounds, others): (Labels, Labels) =
            labels.iter().cloned().partition(|(name, _)| name == "le");
        let [(_, bound)] = bounds.as_slice() else {
            return Err("a bucket without le".into());
        };
        let bound = bound.parse().map_err(|_| format!("le={bound:?}"))?;
        series.entry(others).or_default().push((bound, *value));
    }
    for (labels, mut buckets) in series {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
            return Err(format!("the buckets of {labels:?} do not add up"));
        }
        let count = family
            .samples
            .get(&(format!("{name}_count"), labels.clone()));
        let sum = family.samples.get(&(format!("{name}_sum"), labels.clone()));
        let last = buckets.last().filter(|(bound, _)| bound.is_infinite());
        if sum.is_none() || last.is_none() || last.map(|(_, value)| value) != count {
            return Err(format!(
                "no +Inf, sum or count of {labels:?}, or another count"
            ));
        }
    }
    Ok(())
}

#[test]
fn the_reader_refuses_what_prometheus_would() {
    let head = "# HELP a_total b\n# TYPE a_total counter\n";
    assert!(read(&format!("{head}a_total{{x=\"1\\\"\\n,}}\"}} 3\n")).is_ok());
    for wrong in [
        "a_total 1\n",
        "# HELP a_total b\na_total 1\n",
        "# HELP a b\n# TYPE a counter\na 1\n",
        "# HELP a_total b\n# TYPE a_total gauge\na_total 1\n",
        &format!("{head}a_total 1"),
        &format!("{head}a_total 1\na_total 2\n"),
        &format!("{head}a_total -1\n"),
        &format!("{head}b_total 1\n"),
        &format!("{head}a_total{{1x=\"1\"}} 1\n"),
        &format!("{head}a_total{{x=\"1\",x=\"2\"}} 1\n"),
        &format!("{head}a_total{{x=\"1\"y=\"2\"}} 1\n"),
        &format!("{head}a_total{{x=\"\\t\"}} 1\n"),
        &format!("{head}a_total one\n"),
        &format!("{head}a_total 1\n{head}a_total{{x=\"1\"}} 1\n"),
        "# HELP h b\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# HELP h b\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        "# HELP h b\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
