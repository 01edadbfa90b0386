//! The rules for names of archive entries. Pure: a name goes in, a safe relative path comes out.

use std::collections::HashMap;

use super::error::{EntryFault, PluginError};
use super::limits::Limits;

/// Which rules hold for the entries of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// An archive that we unpack: names that could collide on any file system are refused.
    Unpacked,
    /// A jar that is kept as it is: obfuscators make `a.class` and `A.class`, and shading tools
    /// write the same licence file twice.
    Kept,
}

/// A name that has passed [`check_name`]: relative, of plain parts, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SafeName {
    pub(super) path: String,
    pub(super) folder: bool,
}

impl SafeName {
    /// Whether this is a file that the JVM takes for a jar. Connect itself looks at the ending.
    pub(super) fn is_jar(&self) -> bool {
        !self.folder && ends_with_ignore_case(&self.path, ".jar")
    }
}

pub(super) fn ends_with_ignore_case(text: &str, ending: &str) -> bool {
    let (text, ending) = (text.as_bytes(), ending.as_bytes());
    text.len() >= ending.len() && text[text.len() - ending.len()..].eq_ignore_ascii_case(ending)
}

/// Checks one name as it stands in the archive. `./` at the start and a slash at the end are how
/// `tar` and `zip` write folders, and mean nothing.
pub(super) fn check_name(raw: &[u8], limits: &Limits) -> Result<SafeName, EntryFault> {
    let text = std::str::from_utf8(raw).map_err(|_| EntryFault::NotText)?;
    if text.chars().any(char::is_control) {
        return Err(EntryFault::Control);
    }
    if text.contains('\\') {
        return Err(EntryFault::Backslash);
    }
    if text.starts_with('/') {
        return Err(EntryFault::Absolute);
    }
    if matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(EntryFault::Drive);
    }
    if text.len() > limits.path_bytes {
        return Err(EntryFault::LongName(limits.path_bytes));
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(EntryFault::Leaves),
            _ if part.len() > limits.name_bytes => {
                return Err(EntryFault::LongName(limits.name_bytes));
            }
            _ => parts.push(part),
        }
    }
    let folder = text.ends_with('/') || text == "." || text.ends_with("/.");
    if parts.is_empty() && !folder {
        return Err(EntryFault::NoName);
    }
    if parts.len() > limits.depth + usize::from(!folder) {
        return Err(EntryFault::Deep(limits.depth));
    }
    Ok(SafeName {
        path: parts.join("/"),
        folder,
    })
}

/// The names seen so far in one archive: counts them and finds those that cannot stand together.
#[derive(Debug)]
pub(super) struct Names<'a> {
    limits: &'a Limits,
    rules: Rules,
    count: u64,
    /// Folded name → (name as first seen, is it a folder). Holds the parents of entries as well.
    seen: HashMap<String, (String, bool)>,
    explicit: std::collections::HashSet<String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(limits: &'a Limits, rules: Rules) -> Self {
        Self {
            limits,
            rules,
            count: 0,
            seen: HashMap::new(),
            explicit: std::collections::HashSet::new(),
        }
    }

    /// Takes the next entry's name; `folder` is what the entry's type says where it says so.
    pub(super) fn admit(
        &mut self,
        raw: &[u8],
        folder: Option<bool>,
    ) -> Result<SafeName, PluginError> {
        self.count += 1;
        let most = match self.rules {
            Rules::Unpacked => self.limits.entries,
            Rules::Kept => self.limits.jar_entries,
        };
        if self.count > most {
            return Err(PluginError::TooManyEntries {
                limit: most,
                jar: None,
            });
        }
        let mut name =
            check_name(raw, self.limits).map_err(|fault| PluginError::entry(raw, fault))?;
        name.folder = folder.unwrap_or(name.folder);
        if self.rules == Rules::Unpacked && !name.path.is_empty() {
            self.collide(&name)
                .map_err(|fault| PluginError::entry(raw, fault))?;
        }
        Ok(name)
    }

    fn collide(&mut self, name: &SafeName) -> Result<(), EntryFault> {
        if !self.explicit.insert(name.path.clone()) {
            return Err(EntryFault::Duplicate);
        }
        let ends = name
            .path
            .match_indices('/')
            .map(|(at, _)| (at, true))
            .chain([(name.path.len(), name.folder)]);
        for (end, folder) in ends {
            let part = &name.path[..end];
            // Lower-casing is not the whole of Unicode case folding, but what file systems that
            // ignore case agree on.
            match self.seen.entry(part.to_lowercase()) {
                std::collections::hash_map::Entry::Vacant(slot) => {
                    slot.insert((part.to_owned(), folder));
                }
                std::collections::hash_map::Entry::Occupied(slot) => {
                    let (first, first_folder) = slot.get();
                    if first != part {
                        return Err(EntryFault::CaseCollision(first.clone()));
                    }
                    if *first_folder != folder {
                        return Err(EntryFault::FileAndFolder);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The folder that all these paths lie in, as a prefix with its slash (or empty). Stripping it puts
/// the jars of `debezium-connector-mysql/…` where Connect expects them and keeps their places
/// relative to each other, which a manifest's Class-Path relies on.
pub(super) fn common_folder<'p>(mut paths: impl Iterator<Item = &'p str>) -> String {
    let Some(first) = paths.next() else {
        return String::new();
    };
    let mut prefix = first.rfind('/').map_or("", |at| &first[..=at]);
    for path in paths {
        while !path.starts_with(prefix) {
            prefix = prefix[..prefix.len() - 1]
                .rfind('/')
                .map_or("", |at| &prefix[..=at]);
        }
    }
    prefix.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_taken_or_refused_by_the_table() {
        let limits = Limits {
            depth: 3,
            name_bytes: 10,
            path_bytes: 30,
            ..Limits::default()
        };
        let ok: &[(&[u8], &str, bool)] = &[
            (b"a.jar", "a.jar", false),
            (b"./a/b.jar", "a/b.jar", false),
            (b"a//b/", "a/b", true),
            (b"./", "", true),
            (b"1/2/3/x", "1/2/3/x", false),
            (b"..a/b..", "..a/b..", false),
        ];
        for (raw, path, folder) in ok {
            let name = check_name(raw, &limits).unwrap();
            assert_eq!((name.path.as_str(), name.folder), (*path, *folder));
        }
        let bad: &[(&[u8], EntryFault)] = &[
            (b"../x", EntryFault::Leaves),
            (b"a/../../x", EntryFault::Leaves),
            (b"a/..", EntryFault::Leaves),
            (b"/etc/x", EntryFault::Absolute),
            (b"C:/x", EntryFault::Drive),
            (b"c:x", EntryFault::Drive),
            (b"a\\..\\b", EntryFault::Backslash),
            (b"a\0b", EntryFault::Control),
            (b"a\nb", EntryFault::Control),
            (b"\xff", EntryFault::NotText),
            (b"", EntryFault::NoName),
            (b"12345678901", EntryFault::LongName(10)),
            (b"123456789/123456789/123456789/1", EntryFault::LongName(30)),
            (b"1/2/3/4/x", EntryFault::Deep(3)),
        ];
        for (raw, fault) in bad {
            assert_eq!(
                check_name(raw, &limits).unwrap_err(),
                *fault,
                "{}",
                String::from_utf8_lossy(raw)
            );
        }
    }

    #[test]
    fn names_that_cannot_stand_together_are_refused_also_when_only_a_folder_differs_in_case() {
        let limits = Limits::default();
        let admit = |names: &[&str]| {
            let mut seen = Names::new(&limits, Rules::Unpacked);
            names
                .iter()
                .try_for_each(|n| seen.admit(n.as_bytes(), None).map(drop))
        };
        admit(&["a/", "a/b.jar", "a/c.jar", "d/e/f.jar", "d/"]).unwrap();
        let fault = |names: &[&str]| match admit(names).unwrap_err() {
            PluginError::Entry { fault, .. } => fault,
            other => panic!("{other}"),
        };
        assert_eq!(fault(&["a.jar", "a.jar"]), EntryFault::Duplicate);
        assert_eq!(fault(&["a.jar", "./a.jar"]), EntryFault::Duplicate);
        assert_eq!(
            fault(&["a.jar", "A.jar"]),
            EntryFault::CaseCollision("a.jar".into())
        );
        assert_eq!(
            fault(&["lib/a.jar", "LIB/b.jar"]),
            EntryFault::CaseCollision("lib".into())
        );
        assert_eq!(fault(&["lib", "lib/b.jar"]), EntryFault::FileAndFolder);
    }

    #[test]
    fn the_common_folder_is_stripped_and_deeper_ones_stay() {
        let common = |paths: &[&str]| common_folder(paths.iter().copied());
        assert_eq!(common(&["a.jar", "b.jar"]), "");
        assert_eq!(common(&["p/a.jar", "p/b.jar"]), "p/");
        assert_eq!(common(&["p/lib/a.jar", "p/lib/b.jar"]), "p/lib/");
        assert_eq!(common(&["p/a.jar", "p/lib/b.jar"]), "p/");
        assert_eq!(common(&["pa/a.jar", "p/b.jar"]), "");
        assert_eq!(common(&[]), "");
    }

    proptest! {
        #[test]
        fn no_accepted_name_can_leave_its_folder(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(name) = check_name(&raw, &Limits::default()) {
                prop_assert!(std::path::Path::new(&name.path).components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }

        #[test]
        fn no_accepted_name_of_path_like_text_can_leave_its_folder(raw in "[./\\\\a:]{0,24}") {
            if let Ok(name) = check_name(raw.as_bytes(), &Limits::default()) {
                prop_assert!(std::path::Path::new(&name.path).components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }
}
