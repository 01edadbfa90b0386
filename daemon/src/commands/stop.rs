//! `runnel stop`.

use super::{Client, CommandError};
use crate::store::is_in_use;
use runnel_api::{ErrorCode, Problem};
use std::io::Write;
use std::time::{Duration, Instant};

/// Workers stop side by side, each within its deadline (15 s by default); the rest is reserve.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often the end is looked for; nothing announces it.
const LOOK: Duration = Duration::from_millis(100);

/// Asks the daemon to end and waits until it is gone.
pub async fn stop(client: &Client, all: bool, out: &mut impl Write) -> Result<(), CommandError> {
    let body = serde_json::json!({ "stop_workers": all });
    let _: serde_json::Value = client.post("/api/v1/shutdown", &body).await?;
    let deadline = Instant::now() + PATIENCE;
    while !is_gone(client).await {
        if Instant::now() > deadline {
            let message = "the daemon was asked to stop and is still there";
            return Err(Problem::new(ErrorCode::TimedOut, message)
                .hint("its log says what it waits for")
                .into());
        }
        tokio::time::sleep(LOOK).await;
    }
    let workers = if all {
        "and all workers"
    } else {
        "and its workers go on"
    };
    writeln!(out, "the daemon has stopped, {workers}")?;
    Ok(())
}

/// On this machine the folder's lock tells of the end of the process, elsewhere the closed port
/// must do.
async fn is_gone(client: &Client) -> bool {
    match &client.connection().data_dir {
        Some(data_dir) => !is_in_use(data_dir),
        None => !client.is_listening().await,
    }
}
