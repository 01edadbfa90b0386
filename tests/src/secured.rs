//! The secured broker of a rig: where it is, whom it trusts, and Kafka's own tools against it.

use crate::process::run;
use crate::rig::{Rig, script};
use crate::wire::Login;
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a client of the secured broker needs (rig part `secured`). Nothing in it changes from the first `up` to `down`.
#[derive(Clone)]
pub struct Secured {
    /// The rig's folder.
    folder: PathBuf,
    /// `127.0.0.1:PORT` of the listener for `SASL_SSL` with SCRAM-SHA-512.
    pub bootstrap: String,
    /// The same as a port.
    pub port: u16,
    /// `127.0.0.1:PORT` of the listener that wants a client certificate.
    pub mtls_bootstrap: String,
    /// The same as a port.
    pub mtls_port: u16,
    /// The authority that signed the broker's certificate, in PEM.
    pub ca: PathBuf,
    /// An authority that has signed nothing here.
    pub other_ca: PathBuf,
    /// A super user by SCRAM.
    pub admin_user: String,
    /// Its password.
    pub admin_password: String,
    /// The principal of the client certificate, without `User:`.
    pub client_name: String,
    /// The client certificate, in PEM.
    pub client_certificate: PathBuf,
    /// Its key, PKCS#8 in PEM.
    pub client_key: PathBuf,
    /// All certificates: `NAME.pem` and `NAME.key` with the names of [`Bad`], `ca`, `broker`, `client`, …
    pub tls: PathBuf,
}

/// Server certificates to be refused, for a listener of a test's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// By the right authority, for this host, ended in 2020.
    Expired,
    /// By the right authority, for another host.
    Elsewhere,
}

impl Secured {
    /// Reads what `rig env` prints; the part must have been started once.
    pub fn of(rig: &Rig) -> Result<Self> {
        let path = |key| rig.fact(key).map(PathBuf::from);
        let password = path("RIG_SECURED_ADMIN_PASSWORD_FILE")?;
        let admin_password = std::fs::read_to_string(&password)
            .with_context(|| format!("reading {}", password.display()))?;
        Ok(Self {
            folder: rig.folder().to_owned(),
            bootstrap: rig.fact("RIG_SECURED_BOOTSTRAP")?.to_owned(),
            port: rig.fact("RIG_SECURED_PORT")?.parse()?,
            mtls_bootstrap: rig.fact("RIG_SECURED_MTLS_BOOTSTRAP")?.to_owned(),
            mtls_port: rig.fact("RIG_SECURED_MTLS_PORT")?.parse()?,
            ca: path("RIG_SECURED_CA")?,
            other_ca: path("RIG_SECURED_OTHER_CA")?,
            admin_user: rig.fact("RIG_SECURED_ADMIN_USER")?.to_owned(),
            admin_password: admin_password.trim_end().to_owned(),
            client_name: rig.fact("RIG_SECURED_CLIENT_NAME")?.to_owned(),
            client_certificate: path("RIG_SECURED_CLIENT_CERTIFICATE")?,
            client_key: path("RIG_SECURED_CLIENT_KEY")?,
            tls: path("RIG_TLS_DIR")?,
        })
    }

    /// Certificate and key for a listener that clients must refuse (`openssl s_server -cert … -key …`).
    #[must_use]
    pub fn bad(&self, which: Bad) -> (PathBuf, PathBuf) {
        let name = match which {
            Bad::Expired => "expired",
            Bad::Elsewhere => "elsewhere",
        };
        let file = |ending: &str| self.tls.join(format!("{name}.{ending}"));
        (file("pem"), file("key"))
    }

    /// The admin's login.
    #[must_use]
    pub fn admin(&self) -> Login {
        self.login(&self.admin_user, &self.admin_password)
    }

    /// A SCRAM user's login.
    #[must_use]
    pub fn login(&self, user: &str, password: &str) -> Login {
        Login {
            bootstrap: self.bootstrap.clone(),
            ca: self.ca.clone(),
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Runs one of Kafka's own tools as admin and gives what it prints.
    pub fn kafka(&self, arguments: &[&str]) -> Result<String> {
        self.tool(&[], arguments)
    }

    /// Runs one of Kafka's own tools with a user's client properties ([`Secured::write_login`]).
    pub fn kafka_as(&self, login: &Path, arguments: &[&str]) -> Result<String> {
        let login = login.to_str().context("a path in UTF-8")?;
        self.tool(&["--as", login], arguments)
    }

    /// Runs one of Kafka's own tools with the client certificate, at the listener that wants one.
    pub fn kafka_by_certificate(&self, arguments: &[&str]) -> Result<String> {
        self.tool(&["--certificate"], arguments)
    }

    fn tool(&self, who: &[&str], arguments: &[&str]) -> Result<String> {
        run(Command::new(script())
            .arg("kafka-secured")
            .arg(&self.folder)
            .args(who)
            .args(arguments))
    }

    /// Writes the client properties of a SCRAM user for Kafka's tools, readable by its owner alone.
    pub fn write_login(&self, file: &Path, user: &str, password: &str) -> Result<()> {
        let text = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n\
             ssl.truststore.location={}\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
             username=\"{user}\" password=\"{password}\";\n",
            self.ca.display()
        );
        write_private(file, &text)
    }

    /// Makes a SCRAM user, or changes its password. The password reaches the tool by a file.
    pub fn upsert_user(&self, user: &str, password: &str) -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        write_private(
            file.path(),
            &format!("SCRAM-SHA-512=iterations=4096,password={password}\n"),
        )?;
        let path = file.path().to_str().context("a path in UTF-8")?;
        self.kafka(&[
            "configs",
            "--alter",
            "--add-config-file",
            path,
            "--entity-type",
            "users",
            "--entity-name",
            user,
        ])
        .map(drop)
    }

    /// Names of the topics on the broker, as the admin sees them.
    pub fn topics(&self) -> Result<Vec<String>> {
        let text = self.kafka(&["topics", "--list"])?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", file.display()))
}
