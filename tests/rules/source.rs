//! Rules of the Rust code: sizes, lints, and who alone may do what in the daemon.

use crate::{Tracked, files, has_extension, none};
use anyhow::Result;

/// Lines of a source file above which it must be in [`LONG`].
const LINES_WITH_REASON: usize = 500;
/// Lines that no source file may have; those in [`LONGER`] aside.
const LINES_MAX: usize = 800;

/// Files of more than 500 lines, and why each is one file.
const LONG: &[(&str, &str)] = &[
    (
        "tests/checker/src/mutants/faults.rs",
        "one table of faults and one short function for each",
    ),
    (
        "daemon/planner/src/derive/tests.rs",
        "one table of cases for one function, read side by side",
    ),
    (
        "daemon/planner/tests/toy/mod.rs",
        "one toy world: what happens in it is one match over the planner's actions",
    ),
    (
        "daemon/src/fleet/connect_rest.rs",
        "one method for each call of Connect's REST API, and one table of its failures",
    ),
    (
        "daemon/src/fleet/mod.rs",
        "the life of a process, start to burial, is one argument about files and proofs of death",
    ),
    (
        "daemon/src/reconcile/execute.rs",
        "one function for each action of the planner; which one runs is one match",
    ),
];

/// Files of more than 800 lines, and why.
const LONGER: &[(&str, &str)] = &[(
    "proto/wire/tfplugin6.proto",
    "one published protocol version is one schema; it grows with that protocol only",
)];

/// What only one place of the daemon may do, outside tests: words of code, the place, and files besides.
struct Privilege {
    what: &'static str,
    words: &'static [&'static str],
    place: &'static str,
    besides: &'static [(&'static str, &'static str)],
}

const PRIVILEGES: &[Privilege] = &[
    Privilege {
        what: "knows SQL",
        words: &["rusqlite"],
        place: "daemon/src/store/",
        besides: &[],
    },
    Privilege {
        what: "starts or signals processes",
        words: &[
            "process::Command",
            "process::Child",
            "process::kill",
            "process::pidfd",
            "process::{",
        ],
        place: "daemon/src/fleet/",
        besides: &[
            (
                "daemon/src/runtime/archive_job.rs",
                "makes a runtime's class-data archive with a JVM that is no worker: no connector, no cluster, bounded and \
                 killed within one call",
            ),
            (
                "daemon/src/runtime/java.rs",
                "asks a Java for its version, bounded, before anything may run on it",
            ),
        ],
    },
    Privilege {
        what: "speaks Kafka",
        words: &["kafka_protocol", "rdkafka"],
        place: "daemon/src/kafka/",
        besides: &[],
    },
    // Arguments (`main.rs`) and the program's own path (`wiring`, for the shim) are not the environment.
    Privilege {
        what: "reads the environment",
        words: &["env::var", "env::{"],
        place: "daemon/src/config.rs",
        besides: &[],
    },
    Privilege {
        what: "serves HTTP",
        words: &["axum", "hyper_util"],
        place: "daemon/src/http/",
        besides: &[(
            "daemon/src/log_delivery/cloudwatch/api.rs",
            "a client, which needs the adapter of a socket and nothing else",
        )],
    },
];

/// Test files are named so; the rest is the product.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.contains("/tests/")
        || name == "tests.rs"
        || name == "testing.rs"
        || name.ends_with("_tests.rs")
        // `#[cfg(test)]` in `lib.rs`: starts the real parts for the daemon's tests.
        || path == "daemon/src/rig.rs"
}

/// The code of a file without comments and without its own test module.
fn product_code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let mut code = String::new();
    for line in text[..end].lines() {
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Where a word stands in code. `process::{…}` counts only if it brings in what starts or signals.
fn uses(code: &str, word: &str) -> bool {
    let Some(path) = word.strip_suffix('{') else {
        return code.contains(word);
    };
    code.match_indices(word).any(|(at, _)| {
        let list = &code[at + word.len()..];
        let list = &list[..list.find('}').unwrap_or(list.len())];
        list.split(',').map(str::trim).any(|item| {
            if path.starts_with("env") {
                item.starts_with("var")
            } else {
                ["Command", "Child", "kill", "pidfd"]
                    .iter()
                    .any(|begin| item.starts_with(begin))
            }
        })
    })
}

fn rust(files: &[Tracked]) -> impl Iterator<Item = &Tracked> {
    files.iter().filter(|file| has_extension(&file.path, "rs"))
}

#[test]
fn a_long_file_has_a_reason_and_none_is_longer_than_800_lines() -> Result<()> {
    let files = files()?;
    let mut violations = Vec::new();
    let sources = files.iter().filter(|file| {
        ["rs", "proto", "tf", "sh"]
            .iter()
            .any(|extension| has_extension(&file.path, extension))
            || file.text.starts_with("#!")
    });
    for file in sources {
        let lines = file.text.lines().count();
        let listed = |table: &[(&str, &str)]| table.iter().any(|(path, _)| *path == file.path);
        let (long, longer) = (listed(LONG), listed(LONGER));
        let path = &file.path;
        if lines > LINES_MAX && !longer {
            violations.push(format!("{path}: {lines} lines; split it"));
        } else if lines > LINES_WITH_REASON && !long && !longer {
            violations.push(format!("{path}: {lines} lines and no reason in LONG"));
        } else if lines <= LINES_WITH_REASON && long || lines <= LINES_MAX && longer {
            violations.push(format!("{path}: only {lines} lines; take it off the list"));
        }
    }
    let gone = LONG.iter().chain(LONGER);
    let gone = gone.filter(|(path, _)| files.iter().all(|file| file.path != *path));
    violations.extend(gone.map(|(path, _)| format!("{path}: listed and not there")));
    none("sizes of source files", &violations);
    Ok(())
}

#[test]
fn a_lint_is_silenced_with_a_reason_only() -> Result<()> {
    let files = files()?;
    let mut violations = Vec::new();
    for file in rust(&files) {
        for silencer in ["allow", "expect"] {
            for inner in ["", "!"] {
                let begin = format!("#{inner}[{silencer}(");
                for (at, _) in file.text.match_indices(&begin) {
                    let attribute = &file.text[at..];
                    let attribute = &attribute[..attribute.find(")]").unwrap_or(attribute.len())];
                    if !attribute.contains("reason = \"") {
                        let line = file.text[..at].lines().count() + 1;
                        violations.push(format!("{}:{line}: {begin}…", file.path));
                    }
                }
            }
        }
    }
    none("lints silenced without a reason", &violations);
    Ok(())
}

#[test]
fn in_the_daemon_one_place_alone_does_each_dangerous_thing() -> Result<()> {
    let files = files()?;
    let daemon =
        || rust(&files).filter(|file| file.path.starts_with("daemon/src/") && !is_test(&file.path));
    let mut violations = Vec::new();
    for privilege in PRIVILEGES {
        let users: Vec<&str> = daemon()
            .filter(|file| {
                let code = product_code(&file.text);
                privilege.words.iter().any(|word| uses(&code, word))
            })
            .map(|file| file.path.as_str())
            .collect();
        let (place, what) = (privilege.place, privilege.what);
        assert!(
            users.iter().any(|path| path.starts_with(place)),
            "nothing in {place} {what}: the rule looks for the wrong words"
        );
        let listed = |path: &str| privilege.besides.iter().any(|(it, _)| *it == path);
        let more = users
            .iter()
            .filter(|path| !path.starts_with(place) && !listed(path));
        violations.extend(more.map(|path| format!("{path} {what}; only {place} may")));
        let idle = privilege
            .besides
            .iter()
            .filter(|(path, _)| !users.contains(path));
        violations.extend(idle.map(|(path, _)| format!("{path} no longer {what}: unlist it")));
    }
    none("privileges", &violations);
    Ok(())
}

#[test]
fn the_pure_crates_read_no_clock_no_disk_and_no_network() -> Result<()> {
    let files = files()?;
    let pure = ["daemon/api/src/", "daemon/iam/src/", "daemon/planner/src/"];
    let words = [
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
        "std::process",
        "std::env",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "tokio::",
        "reqwest",
        "Uuid::new_v4",
    ];
    let mut violations = Vec::new();
    for file in rust(&files) {
        if is_test(&file.path) || !pure.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        let code = product_code(&file.text);
        let found = words.iter().filter(|word| code.contains(**word));
        violations.extend(found.map(|word| format!("{}: {word}", file.path)));
    }
    none("I/O in pure crates", &violations);
    Ok(())
}

#[test]
fn no_module_is_named_for_what_has_no_name() -> Result<()> {
    let files = files()?;
    let mut violations = Vec::new();
    for file in rust(&files) {
        let nameless = [
            "utils", "util", "common", "types", "core", "misc", "helpers", "helper",
        ];
        let stem = file.path.trim_end_matches(".rs");
        if stem.split('/').any(|part| nameless.contains(&part)) {
            violations.push(file.path.clone());
        }
    }
    none("modules without a name of their own", &violations);
    Ok(())
}
