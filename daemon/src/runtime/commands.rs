//! `runnel runtime add` and `runnel runtime list`.

use super::{AddRuntime, ArchiveState, JavaSearch, Runtime, RuntimeRegistry, add, java};
use runnel_api::{ErrorCode, Problem};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What can be done about runtimes.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum RuntimeCommand {
    /// Register a Kafka Connect release, or look at a registered one anew.
    Add(AddArgs),
    /// Show the registered releases.
    List(ListArgs),
}

/// Arguments of `runnel runtime add`.
#[derive(Clone, Debug, clap::Args)]
pub struct AddArgs {
    /// First two numbers of the release, such as 4.3; connectors name it as `kafkaconnect_version`.
    pub name: String,
    /// Folder of the release, with its jars in libs/.
    #[arg(long)]
    pub home: PathBuf,
    /// Java launcher; default: that of `JAVA_HOME`, else the first on PATH.
    #[arg(long)]
    pub java: Option<PathBuf>,
    /// The daemon's folder.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
}

/// Arguments of `runnel runtime list`.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// The daemon's folder.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
}

impl RuntimeCommand {
    /// Runs the command. `java` is where Java is looked for when the command does not say; `data_dir`
    /// is used in the same way. Warnings go to `err`.
    pub async fn run(
        &self,
        java: JavaSearch,
        data_dir: &Path,
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> Result<(), Problem> {
        match self {
            Self::Add(args) => {
                let request = AddRuntime {
                    name: args.name.clone(),
                    home: args.home.clone(),
                    java: JavaSearch {
                        explicit: args.java.clone().or(java.explicit.clone()),
                        ..java
                    },
                    data_dir: args.data_dir.clone().unwrap_or_else(|| data_dir.to_owned()),
                };
                let runtime = add(&request).await?;
                print_added(&runtime, out, err).map_err(|error| unprintable(&error))
            }
            Self::List(args) => {
                let registry = RuntimeRegistry::load(args.data_dir.as_deref().unwrap_or(data_dir));
                print_list(&registry, out, err).map_err(|error| unprintable(&error))
            }
        }
    }
}

fn print_added(runtime: &Runtime, out: &mut impl Write, err: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "runtime {}: Kafka {} on {}",
        runtime.name, runtime.kafka_version, runtime.java.build
    )?;
    match &runtime.archive {
        ArchiveState::Made(archive) => {
            writeln!(
                out,
                "class-data archive: {} MB, {}",
                archive.size / 1_000_000,
                archive.path.display()
            )
        }
        ArchiveState::None { reason } => {
            writeln!(
                err,
                "warning: no class-data archive, so workers take about a second longer to start: {reason}"
            )
        }
    }
}

fn print_list(
    registry: &RuntimeRegistry,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<()> {
    for fault in &registry.faults {
        writeln!(err, "warning: {fault}")?;
    }
    if registry.runtimes.is_empty() {
        return writeln!(
            out,
            "no runtimes; register one by `runnel runtime add NAME --home DIR`"
        );
    }
    writeln!(
        out,
        "{:<8} {:<8} {:<8} {:<6} HOME",
        "NAME", "KAFKA", "ARCHIVE", "JAVA"
    )?;
    for runtime in &registry.runtimes {
        let archive = match &runtime.archive {
            ArchiveState::Made(archive) => format!("{} MB", archive.size / 1_000_000),
            ArchiveState::None { .. } => "none".to_owned(),
        };
        let Runtime {
            name,
            kafka_version,
            home,
            ..
        } = runtime;
        writeln!(
            out,
            "{name:<8} {kafka_version:<8} {archive:<8} {:<6} {}",
            runtime.java.major,
            home.display()
        )?;
        if !java::is_there(&runtime.java.path) {
            let path = runtime.java.path.display();
            writeln!(
                err,
                "warning: runtime {name}: Java at {path} is gone; register the runtime anew"
            )?;
        }
        if !runtime.libs.is_dir() {
            writeln!(
                err,
                "warning: runtime {name}: {} is gone",
                runtime.libs.display()
            )?;
        }
    }
    Ok(())
}

fn unprintable(error: &io::Error) -> Problem {
    Problem::new(ErrorCode::Internal, "the answer could not be printed").detail(error.to_string())
}
