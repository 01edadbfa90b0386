//! What can be wrong with an uploaded plugin, in words for the person who uploaded it.

use runnel_api::{ErrorCode, Problem};
use std::io;
use std::path::PathBuf;

use runnel_api::plugin::Sha256Hex as Digest;

/// Why a file was not accepted as a plugin. `Display` is the message; [`PluginError::detail`] and
/// [`PluginError::hint`] say more, [`PluginError::field`] names the argument to blame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// Zero bytes.
    #[error("the plugin file is empty")]
    Empty,
    /// More bytes than an upload may have.
    #[error("the plugin file is larger than {}", bytes(*limit))]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are others than those that were announced or pinned.
    #[error("the plugin file does not have the SHA-256 that was given")]
    OtherDigest {
        /// What was asked for.
        expected: Digest,
        /// What arrived.
        actual: Digest,
    },
    /// Neither a ZIP nor a gzip.
    #[error("this is not an archive: the first bytes are {first_bytes}{}", looks.map(|l| format!(" ({l})")).unwrap_or_default())]
    NotAnArchive {
        /// The first bytes as hexadecimal digits and text.
        first_bytes: String,
        /// What they look like, if we know.
        looks: Option<&'static str>,
    },
    /// gzip, but no tar inside.
    #[error("the file is compressed with gzip, but there is no tar archive in it")]
    NotATar,
    /// Begins like an archive and then makes no sense: cut off or damaged.
    #[error("the archive is cut off or damaged")]
    Damaged {
        /// What the reader stumbled over.
        what: String,
    },
    /// An entry that must not be in an archive of a plugin.
    #[error("archive entry `{entry}` {fault}")]
    Entry {
        /// The entry's name with control characters escaped, cut to a readable length.
        entry: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// Entries share bytes: the trick of a flat ZIP bomb.
    #[error("entries of the archive overlap")]
    Overlap,
    /// Too many entries.
    #[error("there are more than {limit} entries in {}", jar.as_deref().map_or_else(|| "the archive".to_owned(), |j| format!("`{j}`")))]
    TooManyEntries {
        /// The limit that was passed.
        limit: u64,
        /// The jar within the archive, or the archive itself.
        jar: Option<String>,
    },
    /// The total of what came out of it.
    #[error("the archive inflates to more than {}", bytes(*limit))]
    Expands {
        /// The limit in bytes.
        limit: u64,
    },
    /// More classes than any real plugin has.
    #[error("the jars in the archive have more than {limit} classes")]
    TooManyClasses {
        /// The limit that was passed.
        limit: u64,
    },
    /// More references to Kafka than any real plugin has.
    #[error("the classes in the archive name Kafka's in more than {}", bytes(*limit))]
    TooManyReferences {
        /// The limit in bytes of names.
        limit: u64,
    },
    /// No jar and no class.
    #[error("there is no jar in the archive")]
    NoJar,
    /// A jar in the archive cannot be read.
    #[error("`{jar}` in the archive is not a readable jar")]
    BrokenJar {
        /// The jar's path in the archive.
        jar: String,
        /// What the reader stumbled over.
        what: String,
    },
    /// Jars, but nothing in them that Connect could load.
    #[error("no connector class in it")]
    NoPluginClass {
        /// How many jars were read.
        jars: usize,
        /// How many classes they hold.
        classes: usize,
    },
    /// The plugin with this digest is not (or no longer) in the store.
    #[error("the content of plugin sha256:{0} is not stored")]
    NotStored(Digest),
    /// Our own disk, not the archive.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried, as an infinitive.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What is wrong with one entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryFault {
    /// `..` in the path.
    #[error("leaves the folder")]
    Leaves,
    /// `/etc/…`.
    #[error("is an absolute path")]
    Absolute,
    /// `C:…`.
    #[error("begins with a drive letter")]
    Drive,
    /// `a\b`.
    #[error("has a backslash in its name")]
    Backslash,
    /// NUL, line feed and their like.
    #[error("has a control character in its name")]
    Control,
    /// Not UTF-8.
    #[error("has a name that is not UTF-8")]
    NotText,
    /// No name at all, or only `.`.
    #[error("has no name")]
    NoName,
    /// A part of the name, or all of it, is too long.
    #[error("has a name longer than {0} bytes")]
    LongName(usize),
    /// Too many folders.
    #[error("lies more than {0} folders deep")]
    Deep(usize),
    /// The same name twice.
    #[error("is in the archive twice")]
    Duplicate,
    /// Names that are the same file on some systems.
    #[error("differs from `{0}` only in upper and lower case")]
    CaseCollision(String),
    /// A file where another entry needs a folder.
    #[error("is a file and also a folder")]
    FileAndFolder,
    /// Symbolic or hard link.
    #[error("is a link")]
    Link,
    /// Device, pipe, socket, sparse or unknown type.
    #[error("is neither a file nor a folder")]
    Special,
    /// Password-protected.
    #[error("is encrypted")]
    Encrypted,
    /// bzip2, zstd and the like inside a ZIP.
    #[error("is compressed with a method other than deflate")]
    Method,
    /// Grows beyond the ratio.
    #[error("inflates to more than {0} times its compressed size")]
    Ratio(u64),
}

impl PluginError {
    /// Which kind of error this is for the API.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::OtherDigest { .. } => ErrorCode::ChecksumMismatch,
            Self::NoJar | Self::NoPluginClass { .. } => ErrorCode::NoConnectorClass,
            Self::NotStored(_) => ErrorCode::NotFound,
            Self::Io { .. } => ErrorCode::Internal,
            _ => ErrorCode::BadArchive,
        }
    }

    /// The error as the API tells it.
    pub fn to_problem(&self) -> Problem {
        Problem {
            code: self.code(),
            message: self.to_string(),
            detail: self.detail(),
            hint: self.hint().map(str::to_owned),
            field: self.field().map(str::to_owned),
        }
    }

    /// More about what was found, if there is more.
    pub fn detail(&self) -> Option<String> {
        Some(match self {
            Self::OtherDigest { expected, actual } => {
                format!("expected {expected}, the bytes have {actual}")
            }
            Self::Damaged { what } | Self::BrokenJar { what, .. } => what.clone(),
            Self::NoPluginClass { jars, classes } => format!(
                "{jars} jar{} with {classes} class{} hold no connector, converter, transformation, predicate or config provider",
                if *jars == 1 { "" } else { "s" },
                if *classes == 1 { "" } else { "es" },
            ),
            Self::Io { source, .. } => source.to_string(),
            Self::NotAnArchive { .. } => "a plugin is a ZIP, a tar.gz or a single JAR".to_owned(),
            _ => return None,
        })
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty | Self::Damaged { .. } => {
                "download the archive again and compare its checksum with the published one"
            }
            Self::TooLarge { .. }
            | Self::Expands { .. }
            | Self::TooManyEntries { .. }
            | Self::TooManyClasses { .. }
            | Self::TooManyReferences { .. } => {
                "pack only the connector and the jars it needs; each plugin can be an archive of its own"
            }
            Self::OtherDigest { .. } => {
                "correct `sha256`, or remove it to accept the file as it is"
            }
            Self::NotAnArchive {
                looks: Some(HTML), ..
            } => {
                "the download returned a web page, not the archive: open the link in a browser and look"
            }
            Self::NotAnArchive { .. } | Self::NotATar => {
                "pack the connector's jars as ZIP or tar.gz"
            }
            Self::Entry { fault, .. } => fault.hint(),
            Self::Overlap => "no packing tool makes such an archive; take it from its publisher",
            Self::NoJar => {
                "the archive must hold the connector's jars, not its sources; look for one named `…-plugin` or `…-package`"
            }
            Self::BrokenJar { .. } => {
                "replace the jar, or leave it out if the connector does not need it"
            }
            Self::NoPluginClass { .. } => {
                "upload the connector's plugin archive, not a library of it; a connector is a public class that extends SourceConnector or SinkConnector"
            }
            Self::NotStored(_) => "upload the archive again",
            Self::Io { .. } => "check free space and permissions of the daemon's data directory",
        })
    }

    /// The argument of `runnel_plugin` to blame; none if it is the daemon's own trouble.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::OtherDigest { .. } => Some("sha256"),
            Self::Io { .. } | Self::NotStored(_) => None,
            _ => Some("source"),
        }
    }

    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    pub(super) fn entry(name: &[u8], fault: EntryFault) -> Self {
        Self::Entry {
            entry: printable(name),
            fault,
        }
    }
}

impl EntryFault {
    fn hint(&self) -> &'static str {
        match self {
            Self::Leaves | Self::Absolute | Self::Drive => {
                "pack again from within the plugin's folder, with relative names"
            }
            Self::Backslash => {
                "pack again with a tool that writes forward slashes (ZIP requires them)"
            }
            Self::Link => "pack again with the files in place of links (`zip` does so; `tar -h`)",
            Self::Encrypted => "pack again without a password",
            Self::Method => "pack again with deflate, the default of every ZIP tool",
            Self::Duplicate | Self::CaseCollision(_) | Self::FileAndFolder => {
                "rename or remove one of the two"
            }
            Self::Ratio(_) => "no jar compresses so well; take the archive from its publisher",
            _ => "pack again with plain files and ordinary names",
        }
    }
}

/// What an HTML page is called by [`looks_like`].
pub(super) const HTML: &str = "an HTML page";

/// Names the format of some first bytes, for people who picked the wrong file.
pub(super) fn looks_like(head: &[u8]) -> Option<&'static str> {
    const TABLE: &[(usize, &[u8], &str)] = &[
        (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (0, b"Rar!", "a RAR archive"),
        (0, b"\xfd7zXZ\0", "a file compressed with xz"),
        (0, b"BZh", "a file compressed with bzip2"),
        (0, b"\x28\xb5\x2f\xfd", "a file compressed with zstd"),
        (0, b"\xca\xfe\xba\xbe", "a single Java class"),
        (0, b"\x7fELF", "a program"),
        (0, b"%PDF", "a PDF"),
        (0, b"<project", "a Maven pom"),
        (0, b"version https://git-lfs", "a Git LFS pointer"),
        (
            257,
            b"ustar",
            "a tar archive that is not compressed: run gzip over it",
        ),
    ];
    let start = head.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let text: Vec<u8> = head
        .iter()
        .skip(start)
        .take(16)
        .map(u8::to_ascii_lowercase)
        .collect();
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        return Some(HTML);
    }
    TABLE
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map(|(_, _, what)| *what)
}

/// An entry name for a message: at most 120 characters, control characters escaped.
pub(super) fn printable(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text
        .chars()
        .take(120)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.chars().nth(120).is_some() {
        shown.push('…');
    }
    shown
}

fn bytes(n: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS
        .iter()
        .find(|(size, _)| n >= *size && n.is_multiple_of(*size))
    {
        Some((size, unit)) => format!("{} {unit}", n / size),
        None => format!("{n} bytes"),
    }
}
