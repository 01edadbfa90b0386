//! Configuration, wiring, signals.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // Before anything else: a shim has one thread and no runtime.
    if args.next().is_some_and(|word| word == "shim") {
        return runnel::fleet::shim::main(args);
    }
    ExitCode::SUCCESS
}
