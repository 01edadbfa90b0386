//! The real terraform, with a CLI configuration and a working directory of its own.

use crate::daemon::Daemon;
use crate::process::{binary, run_any};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a terraform command printed and how it ended.
pub struct Output {
    /// Exit code; 2 of `plan -detailed-exitcode` means changes.
    pub code: i32,
    /// Standard output and standard error.
    pub text: String,
}

impl Output {
    /// Fails unless the exit code is `code`.
    pub fn expect(self, code: i32) -> Result<Self> {
        if self.code == code {
            Ok(self)
        } else {
            bail!(
                "terraform ended with {}, not {code}:\n{}",
                self.code,
                self.text
            )
        }
    }

    /// Fails unless the text, with line breaks and Terraform's frame removed, holds `part`.
    pub fn says(&self, part: &str) -> Result<()> {
        let flat = flat(&self.text);
        if flat.contains(&flat_part(part)) {
            Ok(())
        } else {
            bail!("terraform does not say {part:?}:\n{}", self.text)
        }
    }
}

fn flat(text: &str) -> String {
    let unframed: String = text
        .chars()
        .map(|c| if "│╷╵".contains(c) { ' ' } else { c })
        .collect();
    flat_part(&unframed)
}

fn flat_part(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A configuration in a folder.
pub struct Terraform {
    folder: PathBuf,
    cli_config: PathBuf,
    environment: Vec<(String, String)>,
}

/// Makes the filesystem mirror and the CLI configuration that points to it.
pub fn mirror(folder: &Path) -> Result<PathBuf> {
    let place = folder.join("mirror/registry.terraform.io/runnel/runnel/0.1.0/linux_amd64");
    fs::create_dir_all(&place)?;
    fs::copy(
        binary("terraform-provider-runnel"),
        place.join("terraform-provider-runnel_v0.1.0"),
    )?;
    let rc = folder.join("terraform.rc");
    let text = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n",
        folder.join("mirror").display()
    );
    fs::write(&rc, text)?;
    Ok(rc)
}

fn write_main(folder: &Path, main: &str) -> Result<()> {
    let header = "terraform {\n  required_providers {\n    runnel = {\n      source = \"runnel/runnel\"\n    }\n  }\n}\n\nprovider \"runnel\" {}\n";
    fs::write(folder.join("main.tf"), format!("{header}{main}"))?;
    Ok(())
}

impl Terraform {
    /// A folder that holds a configuration already, initialised.
    pub fn existing(folder: &Path, cli_config: &Path, daemon: &Daemon) -> Result<Self> {
        let terraform = Self {
            folder: folder.to_owned(),
            cli_config: cli_config.to_owned(),
            environment: vec![
                ("RUNNEL_ENDPOINT".into(), daemon.endpoint()),
                (
                    "RUNNEL_TOKEN".into(),
                    fs::read_to_string(daemon.token_file())?.trim().into(),
                ),
            ],
        };
        terraform.run(&["init"])?.expect(0)?;
        Ok(terraform)
    }

    /// A folder with `main.tf`, initialised.
    pub fn new(folder: &Path, cli_config: &Path, daemon: &Daemon, main: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        write_main(folder, main)?;
        Self::existing(folder, cli_config, daemon)
    }

    /// Replaces `main.tf`.
    pub fn write(&self, main: &str) -> Result<()> {
        write_main(&self.folder, main)
    }

    /// The working directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets an environment variable for the commands to come.
    pub fn set(&mut self, key: &str, value: &str) {
        self.environment.retain(|(known, _)| known != key);
        self.environment.push((key.into(), value.into()));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("terraform");
        command
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
            .env("TF_CLI_CONFIG_FILE", &self.cli_config)
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1");
        command.env_remove("TF_LOG").env("NO_COLOR", "1");
        command.envs(
            self.environment
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        command
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        // Flags come before addresses and files.
        let (first, rest) = arguments.split_first().context("a command")?;
        let flags: &[&str] = match *first {
            "init" | "show" | "state" | "output" => &[],
            _ => &["-no-color", "-input=false"],
        };
        let all: Vec<&str> = [&[*first], flags, rest].concat();
        let mut command = self.command(&all);
        let (code, text) = run_any(&mut command)?;
        Ok(Output { code, text })
    }

    /// Starts a command and lets it run.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("start terraform")
    }

    /// `apply -auto-approve`.
    pub fn apply(&self) -> Result<Output> {
        self.run(&["apply", "-auto-approve"])
    }

    /// `destroy -auto-approve`.
    pub fn destroy(&self) -> Result<Output> {
        self.run(&["destroy", "-auto-approve"])
    }

    /// `plan -detailed-exitcode`: 0 no changes, 1 error, 2 changes.
    pub fn plan(&self) -> Result<Output> {
        self.run(&["plan", "-detailed-exitcode"])
    }

    /// The state as text, empty when there is none.
    pub fn state(&self) -> String {
        fs::read_to_string(self.folder.join("terraform.tfstate")).unwrap_or_default()
    }

    /// Addresses in the state.
    pub fn addresses(&self) -> Result<Vec<String>> {
        let output = self.run(&["state", "list"])?;
        Ok(output
            .text
            .lines()
            .filter(|line| line.starts_with("runnel_"))
            .map(str::to_owned)
            .collect())
    }
}
