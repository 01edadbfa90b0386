//! `runnel restart`.

use super::{Client, CommandError};
use runnel_api::{ErrorCode, Name, Operation, Outcome, Problem, RestartRequest};
use std::io::Write;
use std::time::{Duration, Instant};

/// An operation has its own deadline; this one is only for a daemon that forgot it.
const PATIENCE: Duration = Duration::from_mins(30);

/// Asks for a restart and waits for its end.
pub async fn restart(
    client: &Client,
    name: &Name,
    request: &RestartRequest,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let path = format!("/api/v1/connectors/{name}/restart");
    let operation: Operation = client.post(&path, request).await?;
    let began = Instant::now();
    let ended = until_final(client, operation).await?;
    for warning in &ended.warnings {
        writeln!(out, "warning: {}", warning.message)?;
    }
    if ended.outcome == Outcome::Succeeded {
        let seconds = began.elapsed().as_secs_f64();
        let what = match request {
            RestartRequest {
                task: Some(task), ..
            } => format!("task {task} of {name}"),
            RestartRequest {
                worker: Some(worker),
                ..
            } => format!("worker {worker} of {name}"),
            RestartRequest { .. } => name.to_string(),
        };
        writeln!(out, "{what} was restarted and runs ({seconds:.1} s)")?;
        return Ok(());
    }
    Err(not_done(name, ended).into())
}

/// Asks for another password and waits until the workers run with it.
pub async fn rotate(
    client: &Client,
    name: &Name,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let path = format!("/api/v1/connectors/{name}/rotate");
    let operation: Operation = client.post(&path, &serde_json::json!({})).await?;
    let began = Instant::now();
    let ended = until_final(client, operation).await?;
    if ended.outcome == Outcome::Succeeded {
        let seconds = began.elapsed().as_secs_f64();
        writeln!(out, "{name} runs with another password ({seconds:.1} s)")?;
        return Ok(());
    }
    Err(not_done(name, ended).into())
}

/// Waits until an operation is final, with a line on standard error for each thing it waits for.
pub async fn until_final(client: &Client, operation: Operation) -> Result<Operation, Problem> {
    let deadline = Instant::now() + PATIENCE;
    let mut operation = operation;
    let mut told = None;
    while !operation.outcome.is_final() {
        if Instant::now() > deadline {
            let message = format!("operation {} does not end", operation.id);
            return Err(Problem::new(ErrorCode::TimedOut, message));
        }
        operation = client.wait(operation.id).await?;
        if operation.waiting_on.is_some() && operation.waiting_on != told {
            told.clone_from(&operation.waiting_on);
            eprintln!("waiting for {}", told.as_deref().unwrap_or_default());
        }
    }
    Ok(operation)
}

fn not_done(name: &Name, operation: Operation) -> Problem {
    operation.problem.unwrap_or_else(|| {
        let message = format!("the restart of {name} did not succeed");
        Problem::new(ErrorCode::ConnectorFailed, message)
            .hint(format!("look further with: runnel logs {name}"))
    })
}
