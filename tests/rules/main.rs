//! The repository's own rules: which crate may know which, how long a file may be, what no file may hold.
//!
//! They read what git knows of the work tree, new files included, and need nothing running:
//! `cargo test -p e2e --test rules`. An exception stands in a table here, with its reason; a table's line
//! that nothing needs any more is a failure too.

mod arrows;
mod packaging;
mod source;
mod text;

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the work tree.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// A file of the repository.
struct Tracked {
    /// From the top of the work tree, with `/`.
    path: String,
    text: String,
}

/// Every text file that is committed or could be (`git add .` would take it).
fn files() -> Result<Vec<Tracked>> {
    let root = root();
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root)
        .output()
        .context("run git ls-files")?;
    ensure!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    let mut files = Vec::new();
    for path in names.split_terminator('\0') {
        // Removed and not committed yet, or not text.
        let Ok(bytes) = std::fs::read(root.join(path)) else {
            continue;
        };
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        files.push(Tracked {
            path: path.to_owned(),
            text,
        });
    }
    ensure!(files.len() > 100, "git knows only {} files", files.len());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Whether a file's name has this extension.
fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|it| it == extension)
}

/// Fails with one line for each violation.
fn none(rule: &str, violations: &[String]) {
    assert!(
        violations.is_empty(),
        "{rule}:\n  {}",
        violations.join("\n  ")
    );
}
