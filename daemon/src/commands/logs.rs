//! `runnel logs`.

use super::{Client, CommandError};
use futures_util::StreamExt as _;
use runnel_api::{ErrorCode, Name, Problem};
use std::io::Write;

/// Prints what the daemon sends, as it comes.
pub async fn print(
    client: &Client,
    name: &Name,
    follow: bool,
    tail: usize,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let path = format!("/api/v1/connectors/{name}/logs?tail={tail}&follow={follow}");
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
