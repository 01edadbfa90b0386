//! Secrets as files: written for `${file:…}` references, and kept out of logs and error texts.

use super::properties_file;
use super::run_dir::{create_private_dir, write_atomic};
use runnel_api::secret::{MASK, Secret};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Shorter values are not replaced in logs: they would blacken ordinary words.
const SHORTEST_REDACTED: usize = 6;
/// Lines of a secret of several lines (a PEM key) are replaced one by one from this length on.
const SHORTEST_REDACTED_LINE: usize = 16;
/// A file of secrets that is larger was not written by us.
const FILE_LIMIT: u64 = 4 << 20;

/// Writes secrets as one properties file, and gives for each key the reference that Connect's file provider resolves.
///
/// The file's name comes from its content, so that a running worker keeps the file its configuration names. Names
/// travel into Kafka's config topic, so the content is mixed with a random key of the connector: nobody can try
/// passwords against a name.
pub fn write(
    secrets_dir: &Path,
    name_key: &[u8],
    secrets: &BTreeMap<String, Secret>,
) -> io::Result<BTreeMap<String, String>> {
    if secrets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut file_keys = BTreeMap::new();
    let mut content = BTreeMap::new();
    for (index, (key, value)) in secrets.iter().enumerate() {
        let file_key = file_key(key, index);
        content.insert(file_key.clone(), value.expose().to_owned());
        file_keys.insert(key.clone(), file_key);
    }
    let text = zeroize::Zeroizing::new(properties_file::render(&content));
    for value in content.values_mut() {
        zeroize::Zeroize::zeroize(value);
    }
    let path = secrets_dir.join(file_name(name_key, text.as_bytes()));
    create_private_dir(secrets_dir)?;
    if !path.exists() {
        write_atomic(&path, text.as_bytes())?;
    }
    let path = path.to_string_lossy();
    Ok(file_keys
        .into_iter()
        .map(|(key, file_key)| (key, format!("${{file:{path}:{file_key}}}")))
        .collect())
}

/// The key inside the file: the connector's own where a reference can hold it.
fn file_key(key: &str, index: usize) -> String {
    let fits = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits {
        key.to_owned()
    } else {
        // The blank keeps it apart from every key that fits.
        format!("secret {index}")
    }
}

fn file_name(name_key: &[u8], content: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(name_key);
    hash.update(content);
    let mut name = String::from("secrets-");
    for byte in &hash.finalize()[..12] {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".properties");
    name
}

/// The file that a reference names; none when the text is no such reference.
pub fn file_of_reference(reference: &str) -> Option<PathBuf> {
    let inner = reference.strip_prefix("${file:")?.strip_suffix('}')?;
    let (path, _) = inner.split_once(':')?;
    Some(PathBuf::from(path))
}

/// Removes secret files but those in `keep`.
pub fn prune(secrets_dir: &Path, keep: &BTreeSet<PathBuf>) -> io::Result<()> {
    for path in files(secrets_dir)? {
        if !keep.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The finished secret files of a folder.
fn files(secrets_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(secrets_dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("secrets-") && name.ends_with(".properties")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Replaces known secrets in texts.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret inside another does not leave the rest of it.
    patterns: Vec<Secret>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} patterns)", self.patterns.len())
    }
}

impl Redactor {
    /// For these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns = BTreeSet::new();
        for secret in secrets {
            add_patterns(secret, &mut patterns);
        }
        let mut patterns: Vec<Secret> = patterns.into_iter().map(Secret::new).collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.expose().len()));
        Self { patterns }
    }

    /// For all secret files of a folder. A file that goes away or cannot be read as properties is left out.
    pub fn of_folder(secrets_dir: &Path) -> io::Result<Self> {
        let mut values = Vec::new();
        for path in files(secrets_dir)? {
            if fs::metadata(&path).map_or(true, |metadata| metadata.len() > FILE_LIMIT) {
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            if let Ok(properties) = runnel_api::properties::parse(&text) {
                values.extend(properties.into_values());
            }
        }
        Ok(Self::new(values.iter().map(String::as_str)))
    }

    /// The text with `***` for each secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for pattern in &self.patterns {
            if text.contains(pattern.expose()) {
                text = Cow::Owned(text.replace(pattern.expose(), MASK));
            }
        }
        text
    }

    /// Bytes of the longest secret.
    pub fn longest(&self) -> usize {
        self.patterns
            .first()
            .map_or(0, |pattern| pattern.expose().len())
    }
}

fn add_patterns(secret: &str, patterns: &mut BTreeSet<String>) {
    if secret.len() < SHORTEST_REDACTED {
        return;
    }
    patterns.insert(secret.to_owned());
    // As it stands inside JSON.
    if let Ok(json) = serde_json::to_string(secret) {
        patterns.insert(json[1..json.len() - 1].to_owned());
    }
    patterns.extend(
        secret
            .lines()
            .map(str::trim)
            .filter(|line| line.len() >= SHORTEST_REDACTED_LINE)
            .map(str::to_owned),
    );
    // A login module's options (`… password="x";`) are a secret whose inner part is one too.
    for after in secret.split("password=\"").skip(1) {
        if let Some((inner, _)) = after.split_once('"')
            && inner.len() >= SHORTEST_REDACTED
        {
            patterns.insert(inner.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Secret::new(*value)))
            .collect()
    }

    #[test]
    fn a_secret_is_in_a_private_file_named_by_content_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let first = secrets(&[("database.password", " p=\\w\n"), ("odd}key", "x")]);
        let references = write(dir.path(), b"k", &first).unwrap();
        assert_eq!(write(dir.path(), b"k", &first).unwrap(), references);
        let path = file_of_reference(&references["database.password"]).unwrap();
        assert_eq!(file_of_reference(&references["odd}key"]).unwrap(), path);
        assert!(references["odd}key"].ends_with(":secret 1}"));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = runnel_api::properties::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(read["database.password"], " p=\\w\n");
        assert_eq!(read["secret 1"], "x");

        let second = write(dir.path(), b"k", &secrets(&[("a", "b")])).unwrap();
        let other_key = write(dir.path(), b"l", &secrets(&[("a", "b")])).unwrap();
        assert_ne!(second, other_key);
        let keep = BTreeSet::from([file_of_reference(&second["a"]).unwrap()]);
        prune(dir.path(), &keep).unwrap();
        assert_eq!(files(dir.path()).unwrap(), Vec::from_iter(keep));
    }

    #[test]
    fn only_references_of_the_file_provider_name_a_file() {
        assert_eq!(file_of_reference("plain"), None);
        assert_eq!(file_of_reference("${env:A}"), None);
        assert_eq!(file_of_reference("${file:/a:b}"), Some("/a".into()));
    }

    #[test]
    fn secrets_are_replaced_in_every_form_they_take() {
        let pem = "-----BEGIN-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END-----";
        let jaas = "Scram required username=\"u\" password=\"inner-secret\";";
        let redactor = Redactor::new(["short", "hunter2", "hunter2-long", "q\"uote\\d", pem, jaas]);
        for (text, expected) in [
            ("short stays", "short stays"),
            ("a hunter2-long b hunter2", "a *** b ***"),
            (r#"{"p":"q\"uote\\d"}"#, r#"{"p":"***"}"#),
            ("key MIIEvQIBADANBgkqhkiG9w0B end", "key *** end"),
            ("login inner-secret", "login ***"),
        ] {
            assert_eq!(redactor.redact(text), expected);
        }
        assert!(!format!("{redactor:?}").contains("hunter"));
        assert_eq!(redactor.longest(), pem.replace('\n', "\\n").len());
    }

    #[test]
    fn a_missing_folder_holds_no_secret() {
        let redactor = Redactor::of_folder(Path::new("/nonexistent/secrets")).unwrap();
        assert_eq!(redactor.redact("text"), "text");
    }
}
