//! `runnel logs`.

use super::{Client, CommandError};
use futures_util::StreamExt as _;
use runnel_api::{ErrorCode, Name, Problem};
use std::fmt::Write as _;
use std::io::Write;

/// Which records are printed. The daemon chooses; nothing else crosses the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Which {
    /// Goes on with what is written from now on, over rotation and new workers.
    #[arg(short, long)]
    pub follow: bool,
    /// Number of last lines to begin with; 100, or all with --since. The oldest record comes whole.
    #[arg(short = 'n', long, visible_alias = "lines", value_name = "LINES")]
    pub tail: Option<usize>,
    /// Only records from then on: a duration such as 10m, or a time such as 2026-11-22T17:40:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only records that hold this regular expression, in their head or their trace.
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only records of at least this level: trace, debug, info, warn, error or fatal.
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,
    /// Only this worker, by its id or how that begins.
    #[arg(long, value_name = "ID")]
    pub worker: Option<String>,
}

impl Which {
    /// As the API takes it.
    fn query(&self) -> String {
        let mut query = format!("follow={}", self.follow);
        let tail = self.tail.map(|tail| tail.to_string());
        for (key, value) in [
            ("tail", &tail),
            ("since", &self.since),
            ("grep", &self.grep),
            ("level", &self.level),
            ("worker", &self.worker),
        ] {
            if let Some(value) = value {
                query.push('&');
                query.push_str(key);
                query.push('=');
                query.push_str(&escaped(value));
            }
        }
        query
    }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Prints what the daemon sends, as it comes.
pub async fn print(
    client: &Client,
    name: &Name,
    which: &Which,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let path = format!("/api/v1/connectors/{name}/logs?{}", which.query());
    let mut chunks = client.stream(&path).await?.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(ErrorCode::Unavailable, "the log broke off").detail(error.to_string())
        })?;
        out.write_all(&chunk)?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_survives_the_query() {
        let which = Which {
            tail: Some(3),
            grep: Some("a b&c=ü+(%)".to_owned()),
            since: Some("2026-11-22T17:40:00+01:00".to_owned()),
            ..Which::default()
        };
        assert_eq!(
            which.query(),
            "follow=false&tail=3&since=2026-11-22T17%3A40%3A00%2B01%3A00&grep=a%20b%26c%3D%C3%BC%2B%28%25%29"
        );
    }
}
