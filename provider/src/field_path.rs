//! From the daemon's `field` (`config["tasks.max"]`) to the place in the user's file.

use tfplugin::{Object, Path, Step};

/// Reads a field as the daemon writes it: attributes with dots between them, map keys and list
/// positions in brackets. `None` if it is written in another way.
pub fn parse(field: &str) -> Option<Path> {
    let mut path = Path::root();
    let mut rest = field;
    let mut first = true;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = bracket(inside)?;
            path = path.then(step);
            rest = after;
        } else {
            let word = match rest.strip_prefix('.') {
                Some(after) if !first => after,
                None if first => rest,
                _ => return None,
            };
            let end = word.find(['.', '[']).unwrap_or(word.len());
            let (name, after) = word.split_at(end);
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(fits) {
                return None;
            }
            path = path.attribute(name);
            rest = after;
        }
        first = false;
    }
    (!path.is_root() && matches!(path.steps().first(), Some(Step::Attribute(_)))).then_some(path)
}

/// What stands between brackets, and what follows them.
fn bracket(inside: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = inside.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let key: String = serde_json::from_str(&inside[..end + 2]).ok()?;
        let after = quoted[end + 1..].strip_prefix(']')?;
        return Some((Step::Key(key), after));
    }
    let (digits, after) = inside.split_once(']')?;
    let index = digits.parse().ok().filter(|index| *index >= 0)?;
    Some((Step::Index(index), after))
}

/// The place in `config` that `field` means: the nearest one that the user's file has, because
/// Terraform shows nothing for a key that is not there. The root for a field that makes no sense.
pub fn locate(field: &str, config: &Object) -> Path {
    let Some(path) = parse(field) else {
        return Path::root();
    };
    let steps = path.steps();
    (1..=steps.len())
        .rev()
        .map(|length| {
            steps[..length]
                .iter()
                .fold(Path::root(), |path, step| path.then(step.clone()))
        })
        .find(|path| config.at(path).is_some())
        .unwrap_or_default()
}

/// The place of an attribute below `root`, given with dots between its parts, or the nearest one
/// around it that the user wrote: what is null or a default has no place in the file.
pub fn written(root: Path, field: &str, config: &Object) -> Path {
    let full = field
        .split('.')
        .fold(root, |path, name| path.attribute(name));
    let steps = full.steps();
    (1..=steps.len())
        .rev()
        .map(|length| {
            steps[..length]
                .iter()
                .fold(Path::root(), |path, step| path.then(step.clone()))
        })
        .find(|path| config.at(path).is_some_and(|value| !value.is_null()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::value::Value;

    fn user_file() -> Object {
        Object::new()
            .with("name", "orders")
            .with("config", Value::map([("tasks.max", "1")]))
            .with("config_wo", Value::Null)
            .with("plugins", Value::set([Value::from("a")]))
            .with(
                "capacity",
                Value::object([("autoscaling", Value::object([("min_worker_count", 1)]))]),
            )
    }

    #[test]
    fn a_field_reads_as_the_path_it_prints() {
        for field in [
            "name",
            r#"config["tasks.max"]"#,
            r#"config["a\"]b"]"#,
            "capacity.autoscaling.min_worker_count",
            "statement[2].actions",
            r#"policies["kafka"]"#,
        ] {
            assert_eq!(
                parse(field).map(|path| path.to_string()).as_deref(),
                Some(field)
            );
        }
    }

    #[test]
    fn what_is_no_field_is_refused_and_never_panics() {
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[\"",
            "a[\"x",
            "a[\"x\"",
            "a[x]",
            "a[-1]",
            "[0]",
            "a b",
            "a[\"\\\"]",
            "é[\"",
            "a[99999999999999999999]",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_field_is_found_at_the_nearest_place_that_the_user_wrote() {
        for (field, place) in [
            ("name", "name"),
            (r#"config["tasks.max"]"#, r#"config["tasks.max"]"#),
            (r#"config["database.hostname"]"#, "config"),
            (r#"config_wo["database.password"]"#, "config_wo"),
            ("plugins[0]", "plugins"),
            (
                "capacity.autoscaling.min_worker_count",
                "capacity.autoscaling.min_worker_count",
            ),
            ("capacity.provisioned.worker_count", "capacity"),
            ("something.else", ""),
            ("???", ""),
        ] {
            assert_eq!(locate(field, &user_file()).to_string(), place, "{field}");
        }
    }
}
