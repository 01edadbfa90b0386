//! What a worker's log tells about the worker: its port, its membership, its last words.
//!
//! Texts checked on Kafka Connect 3.9.2 and 4.3.1.

/// News in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The REST interface is bound to this port.
    Port(u16),
    /// The worker joined its group under this member id.
    Member(String),
}

/// Characters of a remembered error line.
const ERROR_LIMIT: usize = 2000;

/// Reads news out of a line as it came.
pub fn news(line: &str) -> Option<News> {
    let message = message(line)?;
    if let Some(rest) = message.strip_prefix("INFO Advertised URI: http://127.0.0.1:") {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        return rest[..digits].parse().ok().map(News::Port);
    }
    // A connector's own consumers have members too; only the worker's line begins so.
    let rest = message.strip_prefix("INFO [Worker clientId=connect-")?;
    let (_, rest) = rest.split_once("memberId='")?;
    let (member, _) = rest.split_once('\'')?;
    member
        .starts_with("connect-")
        .then(|| News::Member(member.to_owned()))
}

/// The part after `[timestamp] `.
fn message(line: &str) -> Option<&str> {
    line.strip_prefix('[')?
        .split_once("] ")
        .map(|(_, rest)| rest)
}

/// Remembers why a worker may end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWords {
    error: Option<String>,
    /// The exception after the error line, then each cause of it: the last is the root.
    cause: Option<String>,
    /// The line before was the error line.
    just_set: bool,
    /// The JVM ended itself for want of memory.
    pub out_of_memory: bool,
}

impl LastWords {
    /// Takes a line whose secrets are replaced.
    pub fn hear(&mut self, line: &str) {
        let head_of_trace = std::mem::take(&mut self.just_set);
        // Printed by the JVM under -XX:+ExitOnOutOfMemoryError.
        if line.starts_with("Terminating due to java.lang.OutOfMemoryError") {
            self.out_of_memory = true;
            self.set_error(line);
        } else if let Some(message) = message(line) {
            if message.starts_with("ERROR ") || message.starts_with("FATAL ") {
                self.set_error(line);
            }
        } else if let Some(cause) = line.strip_prefix("Caused by: ") {
            self.cause = Some(short(cause));
        } else if is_from_the_jvm(line) {
            self.set_error(line);
        } else if head_of_trace && !line.starts_with(char::is_whitespace) {
            self.cause = Some(short(line));
        }
    }

    fn set_error(&mut self, line: &str) {
        self.error = Some(short(line));
        self.cause = None;
        self.just_set = true;
    }

    /// The last error line and the last cause after it.
    pub fn last_error(&self) -> Option<String> {
        let error = self.error.as_deref()?;
        Some(match &self.cause {
            Some(cause) => format!("{error} — caused by: {cause}"),
            None => error.to_owned(),
        })
    }
}

/// What `java` prints before there is a log.
fn is_from_the_jvm(line: &str) -> bool {
    [
        "Error: ",
        "Error occurred during initialization of VM",
        "Exception in thread ",
        "Unrecognized VM option",
        "# A fatal error has been detected",
        "runnel shim: ",
    ]
    .iter()
    .any(|begin| line.starts_with(begin))
}

fn short(line: &str) -> String {
    line[..line.floor_char_boundary(ERROR_LIMIT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_member_are_read_from_both_releases() {
        let port = "[2026-11-22T17:40:47.746Z] INFO Advertised URI: http://127.0.0.1:45169/ (org.apache.kafka.connect.runtime.rest.RestServer)";
        assert_eq!(news(port), Some(News::Port(45169)));
        let member = "[2026-11-22T17:40:48.871Z] INFO [Worker clientId=connect-127.0.0.1:36989, groupId=g] Successfully joined group with generation Generation{generationId=1, memberId='connect-127.0.0.1:36989-03fc1169-da18-43da-9ba5-9e32d223047f', protocol='sessioned'} (x)";
        assert_eq!(
            news(member),
            Some(News::Member(
                "connect-127.0.0.1:36989-03fc1169-da18-43da-9ba5-9e32d223047f".into()
            ))
        );
    }

    #[test]
    fn a_line_that_only_quotes_the_news_is_none() {
        for line in [
            "INFO Advertised URI: http://127.0.0.1:1/",
            "[t] INFO saw Advertised URI: http://127.0.0.1:1/",
            "[t] INFO Advertised URI: http://10.0.0.1:1/",
            "[t] INFO Advertised URI: http://127.0.0.1:99999/",
            "[t] INFO Advertised URI: http://127.0.0.1:/",
            "[t] INFO [Consumer clientId=connector-consumer-s-0, groupId=connect-s] memberId='connect-x'",
            "[t] INFO [Worker clientId=connect-a] memberId='connect-open",
            "[",
            "",
        ] {
            assert_eq!(news(line), None, "{line}");
        }
    }

    #[test]
    fn the_last_error_keeps_its_root_cause() {
        let mut words = LastWords::default();
        assert_eq!(words.last_error(), None);
        for line in [
            "[t] ERROR first (x)",
            "Caused by: old",
            "[t] INFO fine ERROR is no level here",
            "[t] ERROR Stopping due to error (org.apache.kafka.connect.cli.ConnectDistributed)",
            "org.apache.kafka.connect.errors.ConnectException: no cluster",
            "Caused by: a",
            "Caused by: org.apache.kafka.common.errors.TimeoutException: timed out",
            "[t] INFO Kafka Connect stopping",
        ] {
            words.hear(line);
        }
        assert_eq!(
            words.last_error().unwrap(),
            "[t] ERROR Stopping due to error (org.apache.kafka.connect.cli.ConnectDistributed) — caused by: org.apache.kafka.common.errors.TimeoutException: timed out"
        );
        assert!(!words.out_of_memory);
        words.hear("[t] ERROR Stopping due to error (x)");
        words.hear("org.apache.kafka.common.config.ConfigException: no such class");
        words.hear("\tat org.apache.kafka.X.y(X.java:1)");
        words.hear("not part of it");
        assert!(words.last_error().unwrap().ends_with(
            " — caused by: org.apache.kafka.common.config.ConfigException: no such class"
        ));
        words.hear("Terminating due to java.lang.OutOfMemoryError: Java heap space");
        assert!(words.out_of_memory);
        assert!(words.last_error().unwrap().ends_with("Java heap space"));
        words.hear("Error: Could not find or load main class X");
        assert!(words.last_error().unwrap().starts_with("Error: "));
    }
}
