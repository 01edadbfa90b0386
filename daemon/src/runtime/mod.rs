//! Runtimes: registered Kafka Connect releases, each with the Java it runs on and a class-data
//! archive that halves a worker's start.
//!
//! A runtime is a folder with `libs/` that the user owns; what is recorded about it is one JSON file
//! per runtime under `<data_dir>/runtimes/`, next to its archive. `runnel runtime add` writes them,
//! the daemon reads them at its start.

mod archive;
mod archive_job;
pub mod commands;
mod home;
mod java;
mod registry;
mod release;
mod stub_broker;

pub use archive::{Archive, ArchiveChecks, ArchiveFault};
pub use home::{Logging, class_path};
pub use java::{Java, JavaSearch};
pub use registry::{RegistryFault, RuntimeRegistry};
pub use release::Release;
pub use stub_broker::StubBroker;

use runnel_api::{ErrorCode, Name, Problem};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A registered Kafka Connect release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// `kafkaconnect_version`: the release's first two numbers.
    pub name: String,
    /// The folder with `libs/`, absolute.
    pub home: PathBuf,
    /// Its jars; [`class_path`] lists them as a worker needs them.
    pub libs: PathBuf,
    /// The release: `4.3.1`.
    pub kafka_version: String,
    /// How a worker's logging is configured.
    pub logging: Logging,
    /// What workers run on.
    pub java: Java,
    /// The class-data archive, or why there is none.
    pub archive: ArchiveState,
    /// What the archive was made from: Java's build and each jar's path, size and time.
    pub fingerprint: String,
}

/// Whether a runtime has a class-data archive. Decided when it is added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveState {
    /// It was made.
    Made(Archive),
    /// Workers start without one.
    None {
        /// Why, for people.
        reason: String,
    },
}

impl Runtime {
    /// The archive for a worker's `-XX:SharedArchiveFile=`, checked now, or `None` if the runtime has
    /// none. On an error start the worker without it, and say so. Blocks while it reads up to 50 MB;
    /// see [`ArchiveChecks::verify`].
    pub fn verified_archive(&self, checks: &ArchiveChecks) -> Result<Option<&Path>, ArchiveFault> {
        match &self.archive {
            ArchiveState::None { .. } => Ok(None),
            ArchiveState::Made(archive) => checks
                .verify(archive)
                .map(|()| Some(archive.path.as_path())),
        }
    }
}

/// What `runnel runtime add` is asked.
#[derive(Clone, Debug)]
pub struct AddRuntime {
    /// The name it shall have.
    pub name: String,
    /// The folder with `libs/`.
    pub home: PathBuf,
    /// Where Java is looked for.
    pub java: JavaSearch,
    /// The daemon's folder.
    pub data_dir: PathBuf,
}

/// Checks a release, makes its archive and records both. The same jars and Java again change
/// nothing. Takes 6 to 9 s when the archive has to be made, at most a bit over 60 s.
///
/// # Errors
/// What is wrong with the folder, the release, the name or Java. That an archive cannot be made is
/// no error: see [`ArchiveState::None`].
pub async fn add(request: &AddRuntime) -> Result<Runtime, Problem> {
    let (home, name) = (request.home.clone(), request.name.clone());
    let inspected = tokio::task::spawn_blocking(move || home::inspect(&home, &name)).await;
    let home = inspected
        .map_err(|error| internal(&error))?
        .map_err(|fault| fault.to_problem())?;
    let java = java::probe(&request.java).await?;
    java::check_least(&java, home.release.java_least(), home.release)?;
    let registry = RuntimeRegistry::load(&request.data_dir);
    let jars = class_path(&home.libs).map_err(|error| internal(&error))?;
    let fingerprint = archive::fingerprint(&java.build, &jars).map_err(|error| internal(&error))?;
    let kept = registry
        .get(&request.name)
        .and_then(|known| kept_archive(known, &fingerprint));
    let folder = registry::create_folder(&request.data_dir)
        .map_err(|error| unwritable(&request.data_dir, &error))?;
    let archive = match kept {
        Some(archive) => ArchiveState::Made(archive),
        None => make_archive(&request.name, &home, &jars, &java, &folder).await,
    };
    let runtime = Runtime {
        name: request.name.clone(),
        home: home.folder,
        libs: home.libs,
        kafka_version: home.release.to_string(),
        logging: home.logging,
        java,
        archive,
        fingerprint,
    };
    registry::save(&folder, &runtime).map_err(|error| unwritable(&request.data_dir, &error))?;
    Ok(runtime)
}

/// The known runtime's archive, if it was made from the same parts and is whole.
fn kept_archive(known: &Runtime, fingerprint: &str) -> Option<Archive> {
    match &known.archive {
        ArchiveState::Made(archive) if known.fingerprint == fingerprint => ArchiveChecks::default()
            .verify(archive)
            .ok()
            .map(|()| archive.clone()),
        _ => None,
    }
}

async fn make_archive(
    name: &str,
    home: &home::Home,
    jars: &[PathBuf],
    java: &Java,
    folder: &Path,
) -> ArchiveState {
    // In the same folder as the archive will be, so that it can be renamed there.
    let made = match tempfile::Builder::new()
        .prefix(".archive-")
        .tempdir_in(folder)
    {
        Ok(aside) => archive_job::make(home, jars, java, aside.path())
            .await
            .map(|made| (aside, made)),
        Err(error) => Err(archive_job::JobFault::File(error)),
    };
    let kept = made.and_then(|(aside, made)| {
        let path = folder.join(format!("{name}.jsa"));
        let kept = archive::measure(&made).and_then(|(size, sha256)| {
            std::fs::rename(&made, &path)?;
            Ok(Archive { path, size, sha256 })
        });
        drop(aside);
        kept.map_err(archive_job::JobFault::File)
    });
    match kept {
        Ok(archive) => ArchiveState::Made(archive),
        Err(fault) => ArchiveState::None {
            reason: fault.to_string(),
        },
    }
}

fn internal(error: &dyn std::error::Error) -> Problem {
    Problem::new(ErrorCode::Internal, "the runtime could not be read").detail(error.to_string())
}

fn unwritable(data_dir: &Path, error: &std::io::Error) -> Problem {
    Problem::new(
        ErrorCode::InvalidArgument,
        format!("{} cannot be written", data_dir.display()),
    )
    .detail(error.to_string())
    .hint("give a folder of the user Runnel runs as")
    .field("data_dir")
}

/// Whether a text may name a file of the registry.
fn is_file_name(name: &str) -> bool {
    Name::parse(name).is_ok()
}

#[cfg(test)]
mod tests;
