//! The environment that Terraform sets and the line that it reads.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Says "you were started as a Terraform provider"; not a secret.
const COOKIE: (&str, &str) = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
);
/// The version of go-plugin's own handshake.
const CORE_VERSION: u32 = 1;
/// The one version of the Terraform protocol that is served.
const PROTOCOL_VERSION: u32 = 6;

/// How Terraform wants to be served.
#[derive(Debug, PartialEq)]
pub(super) struct Invitation {
    /// Where the socket goes.
    pub socket_dir: PathBuf,
    /// PEM of the only client that may connect; `None` if the user switched TLS off.
    pub client_certificate: Option<String>,
    /// Whether the client of go-plugin asks for the field that speaks of multiplexing.
    pub asks_multiplex: bool,
}

impl Invitation {
    /// Reads the environment; `None` if nobody invited us.
    pub(super) fn read(env: impl Fn(&str) -> Option<String>) -> Option<Self> {
        if env(COOKIE.0).as_deref() != Some(COOKIE.1) {
            return None;
        }
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        Some(Self {
            socket_dir: set("PLUGIN_UNIX_SOCKET_DIR")
                .map_or_else(std::env::temp_dir, PathBuf::from),
            client_certificate: set("PLUGIN_CLIENT_CERT"),
            asks_multiplex: set("PLUGIN_MULTIPLEX_GRPC").is_some(),
        })
    }
}

/// The line. `PLUGIN_PROTOCOL_VERSIONS` needs no reading: whatever the client offers, 6 is what we have, and a
/// client without it explains itself better than we could.
pub(super) fn line(invitation: &Invitation, socket: &Path, certificate: Option<&[u8]>) -> String {
    let certificate = certificate
        .map(|der| STANDARD_NO_PAD.encode(der))
        .unwrap_or_default();
    let multiplex = if invitation.asks_multiplex {
        "|false"
    } else {
        ""
    };
    format!(
        "{CORE_VERSION}|{PROTOCOL_VERSION}|unix|{}|grpc|{certificate}{multiplex}",
        socket.display()
    )
}

/// What somebody reads who runs the program by hand.
pub(super) fn by_hand(program: &str) -> String {
    format!(
        "{program} is a Terraform provider: a program that Terraform starts by itself.\n\
         Nothing happens if you run it by hand. Name the provider in a configuration and run `terraform init` \
         and `terraform plan` there."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn only_terraform_is_served() {
        assert_eq!(Invitation::read(env(&[])), None);
        assert_eq!(Invitation::read(env(&[(COOKIE.0, "wrong")])), None);
        let invitation = Invitation::read(env(&[
            COOKIE,
            ("PLUGIN_UNIX_SOCKET_DIR", "/run/x"),
            ("PLUGIN_CLIENT_CERT", "pem"),
        ]));
        let expected = Invitation {
            socket_dir: "/run/x".into(),
            client_certificate: Some("pem".to_owned()),
            asks_multiplex: false,
        };
        assert_eq!(invitation, Some(expected));
    }

    #[test]
    fn the_line_has_six_fields_and_a_seventh_on_demand() {
        let mut invitation = Invitation::read(env(&[COOKIE])).expect("invited");
        assert_eq!(
            line(&invitation, Path::new("/tmp/s"), Some(&[0, 255])),
            "1|6|unix|/tmp/s|grpc|AP8"
        );
        invitation.asks_multiplex = true;
        assert_eq!(
            line(&invitation, Path::new("/tmp/s"), None),
            "1|6|unix|/tmp/s|grpc||false"
        );
    }
}
