//! Reads all jars of a plugin's folder and puts their classes together as a JVM would see them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::entry::ends_with_ignore_case;
use super::error::PluginError;
use super::jar::{self, Class, JarFacts, Reading};
use super::limits::{Limits, Spent};
use super::unpack::tree;

/// More threads than this gain nothing: the largest jar is half of the work.
const THREADS: usize = 4;

/// The classes of a plugin.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) jars: usize,
    pub(super) classes: HashMap<Box<str>, Found>,
    /// Interface → classes, from the service files of all jars.
    pub(super) services: BTreeMap<String, BTreeSet<String>>,
    /// The highest class-file major of the classes that any Java would load: those for later
    /// releases in a multi-release jar do not count. 0 without classes.
    pub(super) java_major: u16,
    versions: Vec<Option<String>>,
}

/// A class and the jar that it comes from.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) class: Class,
    jar: usize,
}

impl Scan {
    pub(super) fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name).map(|found| &found.class)
    }

    /// The version of the jar that a class comes from.
    pub(super) fn version_of(&self, name: &str) -> Option<&str> {
        let found = self.classes.get(name)?;
        self.versions.get(found.jar)?.as_deref()
    }

    fn add(&mut self, facts: JarFacts) {
        let jar = self.versions.len();
        self.versions.push(facts.version);
        for (interface, classes) in facts.services {
            self.services.entry(interface).or_default().extend(classes);
        }
        for class in facts.classes {
            if class.release == 0 {
                self.java_major = self.java_major.max(class.major);
            }
            match self.classes.entry(class.name.clone()) {
                Entry::Vacant(slot) => {
                    slot.insert(Found { class, jar });
                }
                // The first jar on the path wins; within it the newest release does.
                Entry::Occupied(mut slot) => {
                    let there = slot.get();
                    if there.jar == jar && class.release > there.class.release {
                        slot.insert(Found { class, jar });
                    }
                }
            }
        }
    }
}

/// The jars below a folder, in the order in which Connect puts them on the class path.
pub(super) fn jars_in(folder: &Path) -> Result<Vec<String>, PluginError> {
    let mut jars: Vec<String> = tree(folder)?
        .into_iter()
        .filter(|(_, is_folder)| !is_folder)
        .filter_map(|(path, _)| Some(path.strip_prefix(folder).ok()?.to_str()?.to_owned()))
        .filter(|name| ends_with_ignore_case(name, ".jar"))
        .collect();
    jars.sort_unstable();
    Ok(jars)
}

/// Reads the jars of a plugin's folder.
pub(super) fn scan(folder: &Path, limits: &Limits) -> Result<Scan, PluginError> {
    let jars = jars_in(folder)?;
    let mut scan = Scan {
        jars: jars.len(),
        ..Scan::default()
    };
    for facts in read_all(folder, &jars, Reading::Plugin, limits)? {
        scan.add(facts);
    }
    Ok(scan)
}

/// Reads jars on a few threads; the answers are in the order of the names.
pub(super) fn read_all(
    folder: &Path,
    jars: &[String],
    reading: Reading,
    limits: &Limits,
) -> Result<Vec<JarFacts>, PluginError> {
    let (next, spent) = (AtomicUsize::new(0), Spent::default());
    let done = Mutex::new(Vec::with_capacity(jars.len()));
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS)
        .min(jars.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, name)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jars.get(index).map(|name| (index, name))
                } {
                    let facts = jar::read(&folder.join(name), name, reading, &spent, limits);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((index, facts));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, facts)| facts).collect()
}
