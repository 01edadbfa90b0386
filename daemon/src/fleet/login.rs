//! The login of a fleet's REST interface: one user, a random password, in files that only we can read.

use runnel_api::Secret;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

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

/// The login configuration that points to the credentials.
pub fn jaas(credentials: &str) -> String {
    format!(
        "KafkaConnect {{\n  org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n  file=\"{credentials}\";\n}};\n"
    )
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
