//! Real servers for this crate's tests: one broker per test process, stopped when the process ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const RIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/rig");

static BROKER: OnceLock<(String, u16)> = OnceLock::new();
static SECURED: OnceLock<Secured> = OnceLock::new();
static MOTO: OnceLock<String> = OnceLock::new();
static RUNTIMES: OnceLock<[PathBuf; 2]> = OnceLock::new();

/// Where the broker that all tests of this process share listens. Started at the first call.
///
/// Statics are never dropped, so a shell watches a pipe that only this process holds open, and takes
/// the rig down when the process has ended, however it ended.
pub fn broker() -> (String, u16) {
    BROKER
        .get_or_init(|| {
            let port = value(&up("--broker").1, "RIG_BROKER_PORT");
            ("127.0.0.1".to_owned(), port.parse().unwrap())
        })
        .clone()
}

/// Where the server of AWS's APIs that all tests of this process share listens, `http://HOST:PORT`.
/// Started at the first call, downloaded at the first use on a machine.
pub fn moto() -> String {
    MOTO.get_or_init(|| {
        fetch("moto");
        format!(
            "http://127.0.0.1:{}",
            value(&up("--moto").1, "RIG_MOTO_PORT")
        )
    })
    .clone()
}

/// A broker with TLS, SCRAM, client certificates and ACLs.
#[derive(Clone, Debug)]
pub struct Secured {
    /// The rig's folder.
    folder: PathBuf,
    /// Port for SCRAM-SHA-512 over TLS.
    pub port: u16,
    /// Port for client certificates.
    pub mtls_port: u16,
    /// Password of the super user `admin`.
    pub admin_password: String,
}

impl Secured {
    /// A certificate or key, PEM, such as `ca.pem`; `tests/rig/parts/tls.sh` names them.
    pub fn pem(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join("tls").join(file)).unwrap()
    }

    /// Runs one of Kafka's own tools as admin.
    pub fn tool(&self, arguments: &[&str]) -> String {
        let ran = Command::new(Path::new(RIG).join("rig"))
            .arg("kafka-secured")
            .arg(&self.folder)
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{told}");
        String::from_utf8(ran.stdout).unwrap()
    }
}

/// The secured broker that all tests of this process share. Started at the first call.
pub fn secured() -> Secured {
    SECURED
        .get_or_init(|| {
            let (folder, lines) = up("--secured");
            let port = |key| value(&lines, key).parse().unwrap();
            let password = folder.join("secured/admin-password");
            Secured {
                port: port("RIG_SECURED_PORT"),
                mtls_port: port("RIG_SECURED_MTLS_PORT"),
                admin_password: std::fs::read_to_string(password).unwrap().trim().to_owned(),
                folder,
            }
        })
        .clone()
}

/// Starts a part of the rig; gives its folder and what `rig.env` holds.
fn up(part: &str) -> (PathBuf, String) {
    let folder = tempfile::Builder::new()
        .prefix("runnel-rig-")
        .tempdir()
        .unwrap()
        .keep();
    let watched = Command::new("sh")
        .args([
            "-c",
            "read _; \"$0/rig\" down \"$1\" >/dev/null 2>&1; rm -rf \"$1\"",
            RIG,
        ])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::mem::forget(watched);
    let up = Command::new(Path::new(RIG).join("rig"))
        .arg("up")
        .arg(&folder)
        .arg(part)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(up.success(), "the rig's {part} did not come up");
    let lines = std::fs::read_to_string(folder.join("rig.env")).unwrap();
    (folder, lines)
}

fn fetch(word: &str) -> String {
    let fetched = Command::new(Path::new(RIG).join("fetch"))
        .arg(word)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&fetched.stderr);
    assert!(fetched.status.success(), "{told}");
    String::from_utf8(fetched.stdout).unwrap()
}

/// The homes of the real runtimes 3.9 and 4.3, downloaded at the first use on a machine.
pub fn runtimes() -> [PathBuf; 2] {
    RUNTIMES
        .get_or_init(|| {
            let places = fetch("runtimes");
            ["RIG_RUNTIME_3_9", "RIG_RUNTIME_4_3"].map(|key| PathBuf::from(value(&places, key)))
        })
        .clone()
}

fn value(lines: &str, key: &str) -> String {
    let line = lines
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {key} in {lines}"))
        .to_owned()
}
