//! The commands people type: each asks a running daemon over HTTP and prints what it says.
//!
//! `runnel daemon`, `runnel tail` and `runnel runtime` are not here; they do their own work.

mod audit;
mod client;
mod decisions;
mod doctor;
mod logs;
mod protections;
mod restart;
mod rotate_key;
mod status;
mod stop;
mod table;
#[cfg(test)]
mod tests;
mod token;

pub use audit::AuditArgs;
pub use client::{Client, Connection};
pub use doctor::{Check, Verdict, checks, print as print_checks};
pub use logs::Which;
pub use protections::protections;
pub use token::TokenCommand;

use crate::config::{Config, Environment, Overrides};
use runnel_api::{ErrorCode, Name, Problem, RestartRequest};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of every command that talks to a daemon.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Common {
    /// Address of the daemon, such as `http://127.0.0.1:8083`; without it that of `RUNNEL_ENDPOINT`,
    /// or what the daemon wrote to its data folder.
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// File that holds the token; without it the token in `RUNNEL_TOKEN`, or `root.token` in the
    /// data folder.
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the authority of the daemon's certificate, for an endpoint with https; without
    /// it the file of `RUNNEL_CA_CERTIFICATE`, or the authorities that this system trusts.
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,
    /// PEM file with a certificate to show to the daemon and its private key; without it the file
    /// of `RUNNEL_CLIENT_CERTIFICATE`.
    #[arg(long, global = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// The daemon's configuration file, to find its data folder.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Commands that talk to a daemon.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ClientCommand {
    /// Shows all connectors, or one with its tasks, workers and last operation.
    Status {
        /// The connector; all without it.
        #[arg(value_parser = parse_name)]
        name: Option<Name>,
        /// Shows when and why its size changed or did not instead.
        #[arg(long, requires = "name")]
        decisions: bool,
    },
    /// Prints the worker logs of a connector, also of one that could not be created.
    Logs {
        /// The connector.
        #[arg(value_parser = parse_name)]
        name: Name,
        /// Which of its records.
        #[command(flatten)]
        which: logs::Which,
    },
    /// Starts the workers of a connector anew, or one worker or task, and waits until it runs again.
    Restart {
        /// The connector.
        #[arg(value_parser = parse_name)]
        name: Name,
        /// Restarts this task only, in its worker.
        #[arg(long, value_name = "N", conflicts_with = "worker")]
        task: Option<u32>,
        /// Replaces this worker only; `runnel status NAME` shows their ids.
        #[arg(long, value_name = "ID")]
        worker: Option<String>,
    },
    /// Gives a connector's user on the broker another password, starts its workers anew with it and
    /// waits until they run.
    Rotate {
        /// The connector.
        #[arg(value_parser = parse_name)]
        name: Name,
    },
    /// Gives the daemon another key for the secrets in its store; nothing restarts for it.
    RotateKey,
    /// Makes, lists and revokes tokens of the API.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Shows who changed what, or checks that the log of it is whole.
    Audit(AuditArgs),
    /// Stops the daemon; workers go on and the next daemon takes them over.
    Stop {
        /// Stops the workers too.
        #[arg(long)]
        all: bool,
    },
}

fn parse_name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}

/// Why a command ends without having done its work.
#[derive(Debug)]
pub enum CommandError {
    /// Told in full.
    Problem(Box<Problem>),
    /// What is printed cannot be written; with a closed pipe nobody wants to hear of it.
    Output(io::Error),
}

impl From<Problem> for CommandError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Where to find the daemon, from options, environment and configuration.
pub fn connection(common: &Common, environment: &Environment) -> Result<Connection, Problem> {
    let overrides = Overrides {
        config: common.config.clone(),
        ..Overrides::default()
    };
    let config = Config::load(environment, &overrides);
    // With both given the configuration does not matter, not even a broken one.
    let is_complete = (common.endpoint.is_some() || environment.endpoint.is_some())
        && (common.token_file.is_some() || environment.token.is_some());
    let config = match config {
        Ok(config) => Some(config),
        Err(_) if is_complete => None,
        Err(error) => {
            let problem = Problem::new(ErrorCode::InvalidArgument, error.to_string());
            return Err(match std::error::Error::source(&error) {
                Some(source) => problem.detail(source.to_string()),
                None => problem,
            });
        }
    };
    Connection::find(common, environment, config.as_ref())
}

/// Runs a command and tells what went wrong. Success is 0, anything else 1; clap takes 2 for a
/// command line that it does not understand.
pub async fn run(command: ClientCommand, common: &Common, environment: &Environment) -> ExitCode {
    let mut out = io::stdout();
    match execute(command, common, environment, &mut out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(CommandError::Output(error)) => {
            eprintln!("error: the output cannot be written: {error}");
            ExitCode::FAILURE
        }
        Err(CommandError::Problem(problem)) => {
            eprint!("{}", told(&problem));
            ExitCode::FAILURE
        }
    }
}

async fn execute(
    command: ClientCommand,
    common: &Common,
    environment: &Environment,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let connection = connection(common, environment)?;
    let client = Client::new(connection)?;
    match command {
        ClientCommand::Status {
            name: Some(name),
            decisions: true,
        } => decisions::print(&client, &name, out).await,
        ClientCommand::Status {
            name: Some(name), ..
        } => status::one(&client, &name, out).await,
        ClientCommand::Status { name: None, .. } => status::all(&client, out).await,
        ClientCommand::Logs { name, which } => logs::print(&client, &name, &which, out).await,
        ClientCommand::Restart { name, task, worker } => {
            let request = RestartRequest { task, worker };
            restart::restart(&client, &name, &request, out).await
        }
        ClientCommand::Rotate { name } => restart::rotate(&client, &name, out).await,
        ClientCommand::RotateKey => rotate_key::rotate_key(&client, out).await,
        ClientCommand::Token(command) => token::run(&client, command, out).await,
        ClientCommand::Audit(args) => audit::print(&client, &args, out).await,
        ClientCommand::Stop { all } => stop::stop(&client, all, out).await,
    }
}

/// A problem as lines for a terminal.
pub fn told(problem: &Problem) -> String {
    let mut text = format!("error: {}\n", problem.message);
    for (label, part) in [
        ("field", &problem.field),
        ("detail", &problem.detail),
        ("hint", &problem.hint),
    ] {
        if let Some(part) = part {
            let indented = part.replace('\n', "\n          ");
            let _ = writeln!(text, "  {label:<6}: {indented}");
        }
    }
    text
}
