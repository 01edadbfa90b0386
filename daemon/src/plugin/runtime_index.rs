//! What a runtime's jars offer to plugins: Kafka's classes, their hierarchy and their members. Made
//! once for each runtime folder and kept in a file, because it never changes while the jars do not.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::PluginError;
use super::jar::{KAFKA, Reading, member_key};
use super::limits::Limits;
use super::scan::{jars_in, read_all};
use runnel_api::plugin::Sha256Hex as Digest;

/// Counts the layouts of the cache file; a file of another layout is made again.
const FORMAT: u32 = 1;

/// A class of each runtime worth the name; without it the folder is something else.
const WORKER: &str = "org/apache/kafka/connect/runtime/Worker";

/// The Kafka classes of one runtime. About 2 MB in memory for Kafka 4.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeIndex {
    name: String,
    java: Option<u16>,
    classes: HashMap<Box<str>, RuntimeClass>,
    packages: HashSet<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RuntimeClass {
    pub(super) supers: Vec<Box<str>>,
    /// Sorted keys of members that are not private.
    members: Box<[u64]>,
}

#[derive(Serialize, Deserialize)]
struct CacheFile {
    format: u32,
    key: Digest,
    classes: HashMap<Box<str>, RuntimeClass>,
}

/// Why a folder is not a usable runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// There is no `libs` folder with jars.
    #[error("there are no jars in {}", .0.display())]
    NoJars(PathBuf),
    /// The jars are not those of Kafka Connect.
    #[error("the jars in {} are not those of Kafka Connect", .0.display())]
    NotConnect(PathBuf),
    /// A jar could not be read.
    #[error("the runtime's jars cannot be read")]
    Unreadable(#[source] PluginError),
}

impl RuntimeIndex {
    /// Reads the jars in `<home>/libs`. Takes 0.1–0.2 s in a release build;
    /// [`Self::open`] takes 0.01 s.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn build(name: &str, home: &Path) -> Result<Self, IndexError> {
        let libs = home.join("libs");
        let jars = jars_of(&libs)?;
        // A runtime is installed by the host's owner: its jars are trusted, unlike a plugin's.
        let limits = Limits {
            expanded_bytes: u64::MAX,
            classes: u64::MAX,
            ..Limits::default()
        };
        let mut classes = HashMap::new();
        for facts in
            read_all(&libs, &jars, Reading::Runtime, &limits).map_err(IndexError::Unreadable)?
        {
            for class in facts.classes {
                // The first jar on the (sorted) class path wins.
                classes.entry(class.name).or_insert(RuntimeClass {
                    supers: class.supers,
                    members: class.members,
                });
            }
        }
        if !classes.contains_key(WORKER) {
            return Err(IndexError::NotConnect(libs));
        }
        Ok(Self::of(name, classes))
    }

    /// As [`Self::build`], with the answer kept in a file in `cache` under a key of the jars' names,
    /// sizes and times. A cache that cannot be read or written only costs time.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn open(name: &str, home: &Path, cache: &Path) -> Result<Self, IndexError> {
        let libs = home.join("libs");
        let key = key_of(&libs, &jars_of(&libs)?).map_err(IndexError::Unreadable)?;
        let file = cache.join(format!("runtime-index-{}.json", &key.as_str()[..16]));
        if let Some(classes) = read_cache(&file, &key) {
            return Ok(Self::of(name, classes));
        }
        let index = Self::build(name, home)?;
        if let Err(why) = write_cache(
            &file,
            &CacheFile {
                format: FORMAT,
                key,
                classes: index.classes.clone(),
            },
        ) {
            tracing::warn!(file = %file.display(), %why, "the index of a runtime is not kept");
        }
        Ok(index)
    }

    /// Says which Java the runtime's workers run on (17 for Java 17), so that plugins that need a
    /// newer one are told apart.
    #[must_use]
    pub fn with_java(mut self, feature_release: u16) -> Self {
        self.java = Some(feature_release);
        self
    }

    /// The runtime's name, as `4.3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Java feature release given with [`Self::with_java`].
    pub fn java(&self) -> Option<u16> {
        self.java
    }

    /// How many classes of Kafka it has.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    fn of(name: &str, classes: HashMap<Box<str>, RuntimeClass>) -> Self {
        let packages = classes
            .keys()
            .map(|class| package_of(class).into())
            .collect();
        Self {
            name: name.to_owned(),
            java: None,
            classes,
            packages,
        }
    }

    pub(super) fn class(&self, name: &str) -> Option<&RuntimeClass> {
        self.classes.get(name)
    }

    /// Whether any class of this one's package is there.
    pub(super) fn has_package_of(&self, class: &str) -> bool {
        self.packages.contains(package_of(class))
    }
}

impl RuntimeClass {
    pub(super) fn declares(&self, name: &str, descriptor: &str) -> bool {
        self.members
            .binary_search(&member_key(name, descriptor))
            .is_ok()
    }
}

/// Whether a name belongs to Kafka.
pub(super) fn is_kafka(class: &str) -> bool {
    class.starts_with(KAFKA)
}

fn package_of(class: &str) -> &str {
    class.rsplit_once('/').map_or("", |(package, _)| package)
}

fn jars_of(libs: &Path) -> Result<Vec<String>, IndexError> {
    match jars_in(libs) {
        Ok(jars) if !jars.is_empty() => Ok(jars),
        _ => Err(IndexError::NoJars(libs.to_path_buf())),
    }
}

fn key_of(libs: &Path, jars: &[String]) -> Result<Digest, PluginError> {
    let mut hash = Sha256::new();
    for name in jars {
        let path = libs.join(name);
        let meta = fs::metadata(&path).map_err(PluginError::io("look at", &path))?;
        let modified = meta
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        hash.update(format!("{name}\0{}\0{}\n", meta.len(), modified.as_nanos()));
    }
    Ok(Digest::of_digest(&hash.finalize().into()))
}

fn read_cache(file: &Path, key: &Digest) -> Option<HashMap<Box<str>, RuntimeClass>> {
    let cached: CacheFile = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (cached.format == FORMAT && cached.key == *key).then_some(cached.classes)
}

/// Writes aside and renames, so that a reader never sees half a file.
fn write_cache(file: &Path, content: &CacheFile) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut aside = tempfile::NamedTempFile::new_in(folder)?;
    aside.write_all(&serde_json::to_vec(content)?)?;
    aside.as_file().sync_all()?;
    aside.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ClassMaker, zip_of};
    use super::*;

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("libs")).unwrap();
        home
    }

    fn add_jar(home: &Path, name: &str, classes: &[&str]) {
        let files: Vec<(String, Vec<u8>)> = classes
            .iter()
            .map(|c| (format!("{c}.class"), ClassMaker::new(c).bytes()))
            .collect();
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(n, b)| (n.as_str(), b.as_slice()))
            .collect();
        fs::write(home.join("libs").join(name), zip_of(&files)).unwrap();
    }

    #[test]
    fn a_folder_without_jars_or_without_connect_is_no_runtime() {
        let home = home();
        assert!(matches!(
            RuntimeIndex::build("x", Path::new("/nowhere")),
            Err(IndexError::NoJars(_))
        ));
        assert!(matches!(
            RuntimeIndex::build("x", home.path()),
            Err(IndexError::NoJars(_))
        ));
        add_jar(home.path(), "a.jar", &["org/acme/A"]);
        assert!(matches!(
            RuntimeIndex::build("x", home.path()),
            Err(IndexError::NotConnect(_))
        ));
    }

    #[test]
    fn an_index_is_read_back_from_its_cache_and_made_again_when_a_jar_changes_or_the_cache_is_damaged()
     {
        let (home, cache) = (home(), tempfile::tempdir().unwrap());
        add_jar(home.path(), "a.jar", &[WORKER]);
        let open = || RuntimeIndex::open("x", home.path(), cache.path()).unwrap();
        let files = || {
            fs::read_dir(cache.path())
                .unwrap()
                .map(|f| f.unwrap().path())
                .collect::<Vec<_>>()
        };
        let first = open();
        assert_eq!((first.class_count(), files().len()), (1, 1));
        assert_eq!(open(), first);
        fs::write(&files()[0], b"{").unwrap();
        assert_eq!(open(), first);
        add_jar(home.path(), "b.jar", &["org/apache/kafka/connect/X"]);
        assert_eq!(open().class_count(), 2);
    }
}
