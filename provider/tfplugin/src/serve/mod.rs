//! Serving.
pub mod log;
use crate::provider::Provider;
use std::process::ExitCode;
/// Serves `provider` to the Terraform that started this process, until it says stop.
pub fn serve<P: Provider>(_provider: P) -> ExitCode {
    ExitCode::FAILURE
}
