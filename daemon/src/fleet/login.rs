//! The login of a fleet's REST interface: one user, a random password, in files that only we can read.

use runnel_api::Secret;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use zeroize::Zeroizing;

/// The user; the password is each fleet's own.
pub const REST_USER: &str = "runnel";

/// 32 random bytes.
pub fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// As Kafka's property-file login module reads it.
pub fn rest_credentials() -> io::Result<String> {
    Ok(format!("{REST_USER}={}\n", random_hex()?))
}

/// Who the workers of a fleet are for the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaLogin {
    /// User and password of SASL/SCRAM, for every Kafka client of the worker's JVM: Debezium's
    /// schema history has clients that know nothing of the worker's settings.
    pub scram: Option<(String, Secret)>,
    /// Certificate and key, PEM.
    pub certificate: Option<(String, Secret)>,
}

/// The login configuration (JAAS): it points to the credentials of the REST interface, and holds
/// those for the broker. Java reads it once, when the first client logs in.
pub fn jaas(credentials: &str, login: &KafkaLogin) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!(
        "KafkaConnect {{\n  org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n  file=\"{credentials}\";\n}};\n"
    ));
    if let Some((username, password)) = &login.scram {
        text.push_str(
            "KafkaClient {\n  org.apache.kafka.common.security.scram.ScramLoginModule required\n  username=",
        );
        quote(username, &mut text);
        text.push_str("\n  password=");
        quote(password.expose(), &mut text);
        text.push_str(";\n};\n");
    }
    text
}

/// A quoted word as Java's login configuration reads it (`StreamTokenizer`: `\\`, `\"`, octal codes).
fn quote(word: &str, text: &mut String) {
    text.push('"');
    for c in word.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_ascii_control() => {
                // Three digits, so that a digit that follows is not taken for one of them.
                let _ = write!(text, "\\{:03o}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Reads the password back.
pub fn rest_password(path: &Path) -> io::Result<Secret> {
    let text = fs::read_to_string(path)?;
    let mut properties = runnel_api::properties::parse(&text)
        .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
    Ok(Secret::new(
        properties.remove(REST_USER).unwrap_or_default(),
    ))
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_word_whatever_it_holds() {
        let login = KafkaLogin {
            scram: Some(("u\"ser".into(), Secret::new("p\\a\"s\n;s"))),
            certificate: None,
        };
        let text = jaas("/rest.properties", &login);
        assert!(text.contains("username=\"u\\\"ser\"\n"), "{}", *text);
        assert!(
            text.contains("password=\"p\\\\a\\\"s\\012;s\";\n"),
            "{}",
            *text
        );
        assert!(!format!("{login:?}").contains(";s"));
        assert!(!jaas("/r", &KafkaLogin::default()).contains("KafkaClient"));
    }
}
