//! A folder with a configuration, a mirror with the provider, and `terraform` in it.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

/// Lines before the configuration of a test in its file.
pub const HEADER_LINES: i64 = 9;

/// A folder of one test, initialised.
pub struct Workspace {
    dir: TempDir,
    provider: String,
}

/// The example. Cargo builds it for a whole test run, but not for one test alone; so it is asked again, which
/// takes a moment if there is nothing to do.
pub fn echo_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("this test has a path");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("target/PROFILE/deps/TEST");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args([
                "build",
                "--quiet",
                "--offline",
                "-p",
                "tfplugin",
                "--example",
                "echo",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(
            cargo.status().is_ok_and(|status| status.success()),
            "cargo builds the example"
        );
        profile.join("examples/echo")
    })
}

fn platform() -> String {
    let os = if cfg!(target_os = "macos") {
        "darwin"
    } else {
        "linux"
    };
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    format!("{os}_{arch}")
}

impl Workspace {
    /// A folder whose provider keeps notes in `notes`.
    pub fn new(config: &str) -> Self {
        Self::with_provider("provider \"echo\" { dir = \"notes\" }\n", config)
    }

    /// A folder with another provider block.
    pub fn with_provider(provider: &str, config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mirror = dir
            .path()
            .join("mirror/example.com/test/echo/0.1.0")
            .join(platform());
        std::fs::create_dir_all(&mirror).expect("a folder");
        std::fs::create_dir_all(dir.path().join("notes")).expect("a folder");
        std::fs::create_dir_all(dir.path().join("sockets")).expect("a folder");
        std::os::unix::fs::symlink(echo_binary(), mirror.join("terraform-provider-echo_v0.1.0"))
            .expect("a link");
        let rc = format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n",
            dir.path().join("mirror").display()
        );
        std::fs::write(dir.path().join("terraform.rc"), rc).expect("a file");
        let work = Self {
            dir,
            provider: provider.to_owned(),
        };
        work.write(config);
        work.ok(&["init"]);
        work
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Replaces the configuration.
    pub fn write(&self, config: &str) {
        let header = format!(
            "terraform {{\n  required_providers {{\n    echo = {{\n      source = \"example.com/test/echo\"\n    }}\n  \
             }}\n}}\n{}",
            self.provider
        );
        std::fs::write(self.dir().join("main.tf"), format!("{header}\n{config}")).expect("a file");
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir().join(file)).expect("a file")
    }

    pub fn write_note(&self, name: &str, note: &Json) {
        std::fs::write(
            self.dir().join(format!("notes/{name}.json")),
            note.to_string(),
        )
        .expect("a file");
    }

    /// Names of the files that the provider keeps.
    pub fn notes(&self) -> Vec<String> {
        let all = std::fs::read_dir(self.dir().join("notes")).expect("a folder");
        all.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("terraform");
        command.arg(arguments[0]);
        if !matches!(arguments[0], "show" | "output") {
            command.arg("-no-color");
        }
        command
            .args(&arguments[1..])
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir())
            .env("TMPDIR", self.dir().join("sockets"))
            .env("TF_CLI_CONFIG_FILE", self.dir().join("terraform.rc"))
            .env("TF_IN_AUTOMATION", "1")
            .env("TF_INPUT", "0")
            .env("CHECKPOINT_DISABLE", "1")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self
            .command(arguments)
            .output()
            .expect("terraform is on the path");
        let left = std::fs::read_dir(self.dir().join("sockets"))
            .expect("a folder")
            .count();
        assert_eq!(left, 0, "every provider process removed its socket");
        output
    }

    /// Runs a command that succeeds; what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = text(&output);
        assert!(output.status.success(), "terraform {arguments:?}: {text}");
        text
    }

    /// Runs a command that fails; what it printed, without the frame and line breaks of messages.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            !output.status.success(),
            "terraform {arguments:?}: {}",
            text(&output)
        );
        unframed(&text(&output))
    }

    /// The JSON that a command prints.
    pub fn json(&self, arguments: &[&str]) -> Json {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "terraform {arguments:?}: {}",
            text(&output)
        );
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub fn json_even_if_it_fails(&self, arguments: &[&str]) -> Json {
        serde_json::from_slice(&self.run(arguments).stdout).expect("JSON")
    }

    /// The plan as Terraform tells it to programs.
    pub fn plan_json(&self) -> Json {
        self.ok(&["plan", "-out=plan.bin"]);
        self.json(&["show", "-json", "plan.bin"])
    }

    /// Plans and insists that nothing would change.
    pub fn no_changes(&self) {
        let output = self.run(&["plan", "-detailed-exitcode"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }

    /// A resource in the state, with everything that `show` says of it; null if it is not there.
    pub fn resource(&self, address: &str) -> Json {
        let state = self.json(&["show", "-json"]);
        let all = state["values"]["root_module"]["resources"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.into_iter()
            .find(|each| each["address"] == address)
            .unwrap_or_default()
    }

    /// The attributes of a resource in the state.
    pub fn state_of(&self, address: &str) -> Json {
        self.resource(address)["values"].clone()
    }

    /// Runs a command and presses Ctrl-C once `file` is there.
    pub fn interrupted(&self, arguments: &[&str], file: &str) -> (String, Option<i32>) {
        let mut child = self
            .command(arguments)
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("terraform is on the path");
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.dir().join(file).exists() {
            assert!(Instant::now() < deadline, "the provider never began");
            assert!(
                child.try_wait().expect("a child").is_none(),
                "terraform ended early"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let group = format!("-{}", child.id());
        let sent = Command::new("kill")
            .args(["-INT", "--", &group])
            .status()
            .expect("kill");
        assert!(sent.success());
        let mut printed = String::new();
        child
            .stdout
            .take()
            .expect("piped")
            .read_to_string(&mut printed)
            .expect("text");
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut printed)
            .expect("text");
        (unframed(&printed), child.wait().expect("a child").code())
    }
}

/// A member of a JSON object.
pub fn attribute(json: &Json, name: &str) -> Json {
    json[name].clone()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Terraform draws a line beside a message and breaks it at the width of a terminal.
fn unframed(text: &str) -> String {
    let words = text
        .split_whitespace()
        .filter(|word| !matches!(*word, "│" | "╷" | "╵"));
    words.collect::<Vec<_>>().join(" ")
}
