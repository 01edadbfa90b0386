//! A search for secrets: each has one home, and is nowhere else, be it plain, in base64 or in hexadecimal.

use crate::process::run_any;
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Shorter ones would be found by chance.
const LENGTH_MIN: usize = 12;

/// A secret that is looked for.
#[derive(Clone)]
pub struct Canary {
    /// What it is, for people.
    pub what: &'static str,
    /// It stands in files whose path ends so, or in a folder of this name; nowhere when there is none.
    pub home: Option<&'static str>,
    /// Itself, one line.
    value: String,
}

impl Canary {
    /// A secret that is long enough to be no accident.
    pub fn new(what: &'static str, home: Option<&'static str>, value: &str) -> Result<Self> {
        ensure!(
            value.len() >= LENGTH_MIN && !value.contains('\n'),
            "{what} cannot be looked for"
        );
        Ok(Self {
            what,
            home,
            value: value.to_owned(),
        })
    }

    /// The secret itself.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Forms in which it would be written. The last digit of base64 depends on what follows.
    fn forms(&self) -> [String; 3] {
        let bytes = self.value.as_bytes();
        let base64 = BASE64.encode(&bytes[..bytes.len() / 3 * 3]);
        let hex = bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        [self.value.clone(), base64, hex]
    }

    fn is_at_home(&self, file: &Path) -> bool {
        self.home.is_some_and(|home| {
            file.ends_with(home) || file.parent().is_some_and(|folder| folder.ends_with(home))
        })
    }
}

/// What was looked through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looked {
    /// Files, among them those of `/proc`.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// All files below these places, links not followed.
fn files(places: &[&Path]) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = places.iter().map(|place| (*place).to_owned()).collect();
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        // What goes while we look is not there.
        let Ok(kind) = fs::symlink_metadata(&path) else {
            continue;
        };
        if kind.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        } else if kind.is_file() {
            files.push(path);
        }
    }
    files
}

/// Command line and environment of every process.
fn processes() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            files.extend(["cmdline", "environ"].map(|file| folder.join(file)));
        }
    }
    Ok(files)
}

/// Looks through files and all processes; gives a line for each secret that is somewhere it should not be.
pub fn search(canaries: &[Canary], places: &[&Path]) -> Result<(Vec<String>, Looked)> {
    let mut all = files(places);
    ensure!(!all.is_empty(), "no file in {places:?}");
    let mut looked = Looked::default();
    for file in &all {
        looked.bytes += fs::metadata(file).map_or(0, |it| it.len());
    }
    for file in processes()? {
        // Its length tells nothing, so it is read; who is gone has none.
        looked.bytes += fs::read(&file).map_or(0, |it| it.len() as u64);
        all.push(file);
    }
    looked.files = all.len();
    let mut hits = Vec::new();
    for file in those_with(canaries, &all)? {
        for canary in canaries.iter().filter(|canary| !canary.is_at_home(&file)) {
            if !those_with(std::slice::from_ref(canary), std::slice::from_ref(&file))?.is_empty() {
                hits.push(format!("{} stands in {}", canary.what, file.display()));
            }
        }
    }
    Ok((hits, looked))
}

/// Files that hold one of the secrets. They reach `grep` by a pipe: its command line is looked at too.
fn those_with(canaries: &[Canary], files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let patterns: Vec<String> = canaries.iter().flat_map(Canary::forms).collect();
    let mut hits = Vec::new();
    for some in files.chunks(500) {
        let mut child = Command::new("grep")
            .args(["-laFs", "-f", "-", "--"])
            .args(some)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start grep")?;
        let mut pipe = child.stdin.take().context("its input")?;
        pipe.write_all(patterns.join("\n").as_bytes())?;
        drop(pipe);
        // 1: nowhere; 2: some file was not there any more.
        let output = child.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        hits.extend(text.lines().map(PathBuf::from));
    }
    Ok(hits)
}

/// Whether a text that is no secret stands in a file below a folder: shows that a search there sees anything.
pub fn sees(folder: &Path, text: &str) -> Result<bool> {
    let mut grep = Command::new("grep");
    grep.args(["-rqaF", "--", text]).arg(folder);
    Ok(run_any(&mut grep)?.0 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_left_alone_at_home() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "planted-q7Zk4vX9";
        let canary = |home| Canary::new("it", home, secret).unwrap();
        let base64 = base64::engine::general_purpose::STANDARD.encode(format!("{secret}=x"));
        for text in [secret, &base64, "706c616e7465642d71375a6b34765839"] {
            let file = folder.path().join("jaas.conf");
            fs::write(&file, format!("\0\u{1}before {text} after\n")).unwrap();
            let (hits, looked) = search(&[canary(None)], &[folder.path()]).unwrap();
            assert_eq!(hits.len(), 1, "{text}: {hits:?}");
            assert!(looked.bytes > 20 && looked.files > 1);
            let (hits, _) = search(&[canary(Some("jaas.conf"))], &[folder.path()]).unwrap();
            assert!(hits.is_empty(), "{hits:?}");
        }
        fs::write(folder.path().join("jaas.conf"), "planted-q7Zk4vX").unwrap();
        let (hits, _) = search(&[canary(None)], &[folder.path()]).unwrap();
        assert!(hits.is_empty(), "{hits:?}");
    }

    #[test]
    fn a_secret_in_an_environment_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        let secret = "planted-in-an-environment-8Hb2";
        let mut child = Command::new("sleep")
            .arg("30")
            .env("PLANTED", secret)
            .spawn()
            .unwrap();
        let canary = Canary::new("it", None, secret).unwrap();
        let found = search(&[canary], &[folder.path()]);
        child.kill().unwrap();
        child.wait().unwrap();
        let expected = format!("it stands in /proc/{}/environ", child.id());
        assert_eq!(found.unwrap().0, [expected]);
    }
}
