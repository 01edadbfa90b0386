//! Configuration, wiring, signals: which command was typed, and its exit code.

use clap::{Parser, Subcommand};
use runnel::commands::{self, Check, ClientCommand, Common};
use runnel::config::{Config, Environment, Overrides};
use runnel::kafka::tail::{TailArgs, tail};
use runnel::runtime::RuntimeRegistry;
use runnel::runtime::commands::RuntimeCommand;
use runnel::{cluster_lookup, wiring};
use runnel_api::{ErrorCode, Problem};
use std::path::PathBuf;
use std::process::ExitCode;

/// Gives memory back after an archive was unpacked: after two plugins the daemon kept 167 MiB with
/// glibc's allocator and keeps 96 MiB with this one (measured).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runnel: Kafka Connect workers for connectors that Terraform declares.
#[derive(Parser)]
#[command(name = "runnel", version, propagate_version = true)]
struct Line {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the daemon.
    Daemon {
        /// Where the API listens, HOST:PORT.
        #[arg(long)]
        listen: Option<String>,
        /// The folder of everything that the daemon keeps.
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Registers and lists Kafka Connect releases.
    #[command(subcommand)]
    Runtime(RuntimeCommand),
    /// Prints the records of a topic.
    Tail(TailArgs),
    /// Looks at this machine and says what to do.
    Doctor,
    /// Names of the points at which this build can be made to die.
    #[cfg(feature = "failpoints")]
    Failpoints,
    #[command(flatten)]
    Client(ClientCommand),
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // Before anything else: a shim has one thread and no runtime.
    if args.next().is_some_and(|word| word == "shim") {
        return runnel::fleet::shim::main(args);
    }
    let line = Line::parse();
    let runtime = match &line.command {
        Command::Daemon { .. } => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build(),
        _ => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build(),
    };
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(run(line));
            // A blocking thread that still reads must not hold the exit.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(line: Line) -> ExitCode {
    let environment = Environment::of_process();
    let Line { common, command } = line;
    let result = match command {
        Command::Client(command) => return commands::run(command, &common, &environment).await,
        Command::Daemon { listen, data_dir } => {
            daemon(&common, listen, data_dir, &environment).await
        }
        Command::Runtime(command) => runtimes(&common, &command, &environment).await,
        Command::Tail(arguments) => records(&common, &arguments, &environment).await,
        Command::Doctor => doctor(&common, &environment),
        #[cfg(feature = "failpoints")]
        Command::Failpoints => {
            for point in runnel::failpoint::all() {
                println!("{point}");
            }
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprint!("{}", commands::told(&problem));
            ExitCode::FAILURE
        }
    }
}

fn load(overrides: &Overrides, environment: &Environment) -> Result<Config, Problem> {
    Config::load(environment, overrides).map_err(|error| {
        let problem = Problem::new(ErrorCode::InvalidArgument, error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => problem.detail(source.to_string()),
            None => problem,
        }
    })
}

fn of_file(common: &Common, environment: &Environment) -> Result<Config, Problem> {
    let overrides = Overrides {
        config: common.config.clone(),
        ..Overrides::default()
    };
    load(&overrides, environment)
}

async fn daemon(
    common: &Common,
    listen: Option<String>,
    data_dir: Option<PathBuf>,
    environment: &Environment,
) -> Result<(), Problem> {
    let overrides = Overrides {
        config: common.config.clone(),
        listen,
        data_dir,
    };
    let config = load(&overrides, environment)?;
    let filter = environment.log_filter.as_deref().unwrap_or("info");
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    wiring::daemon(config, environment).await.map_err(|error| {
        Problem::new(ErrorCode::Unavailable, format!("the daemon ends: {error}")).detail(
            error
                .chain()
                .skip(1)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": "),
        )
    })
}

async fn runtimes(
    common: &Common,
    command: &RuntimeCommand,
    environment: &Environment,
) -> Result<(), Problem> {
    let config = of_file(common, environment)?;
    let java = wiring::java_search(&config, environment);
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    command
        .run(java, &config.data_dir, &mut out, &mut err)
        .await
}

async fn records(
    common: &Common,
    arguments: &TailArgs,
    environment: &Environment,
) -> Result<(), Problem> {
    let access = cluster_lookup::access(common, arguments, environment).await?;
    tail(arguments, &access, std::io::stdout()).await.map(drop)
}

fn doctor(common: &Common, environment: &Environment) -> Result<(), Problem> {
    let config = of_file(common, environment)?;
    let mut checks = commands::checks(&config, environment);
    checks.extend(runtime_checks(&config));
    checks.extend(commands::protections(&config, environment));
    let (text, fine) = commands::print_checks(&checks);
    print!("{text}");
    if fine {
        return Ok(());
    }
    Err(
        Problem::new(ErrorCode::Unavailable, "something is not as it must be")
            .hint("Do what the failed checks say"),
    )
}

/// Each runtime with its class-data archive.
fn runtime_checks(config: &Config) -> Vec<Check> {
    let registry = RuntimeRegistry::load(&config.data_dir);
    let mut checks: Vec<Check> = registry
        .runtimes
        .iter()
        .map(wiring::runtime_check)
        .collect();
    for fault in &registry.faults {
        checks.push(Check::fail(
            "runtime",
            fault.to_string(),
            "register it again: runnel runtime add NAME --home DIR",
        ));
    }
    if checks.is_empty() {
        let advice = "register one: runnel runtime add 4.3 --home DIR (a folder with libs/)";
        checks.push(Check::fail("runtime", "none is registered", advice));
    }
    checks
}
