//! The second step: the process that becomes the worker.

use crate::failpoint::{self, Moment};
use crate::fleet::confinement::{Confined, give_up_capabilities};
use crate::fleet::run_dir::{LAUNCH, ORDER, ShimOrder, read_json};
use rustix::fs::Mode;
use rustix::process::{
    Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit, umask,
};
use rustix::thread::set_no_new_privs;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Raised above the daemon's and the shim's, so that the kernel takes the worker first (proc(5), -1000 to 1000).
const OOM_SCORE_ADJUSTMENT: &str = "300";

/// Becomes the worker of a run dir. It returns only on failure.
pub fn become_worker(run: &Path, parent: &OsStr) -> io::Result<()> {
    // It outlasts exec, since java is neither set-user-ID nor has capabilities of its own (prctl(2)).
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The shim may have died before the line above; then nobody would ever send the signal.
    let expected = parent.to_str().and_then(|text| text.parse().ok());
    let real = getppid().map(|pid| pid.as_raw_nonzero().get());
    if expected.is_none() || real != expected {
        return Err(io::Error::other("the shim is gone"));
    }
    super::watch_failpoints(run);
    let order: ShimOrder = read_json(&run.join(ORDER))?
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "order.json is missing"))?;
    let Some((program, arguments)) = order.argv.split_first() else {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("{ORDER} beside {LAUNCH} names no program"),
        ));
    };
    set_no_new_privs(true)?;
    // A core dump would hold every secret.
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    umask(Mode::RWXG | Mode::RWXO);
    // Neither is worth a worker: the limits are said as they are, see the isolation level.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT);
    for procs in &order.cgroups {
        if let Err(e) = fs::write(procs, "0") {
            eprintln!(
                "WARN runnel shim: cannot enter the control group {}: {e}",
                procs.display()
            );
        }
    }
    failpoint::reach(Moment::Before, "shim-exec");
    give_up_capabilities()?;
    if let Some(confinement) = &order.confinement
        && confinement.enter()? == Confined::No
    {
        eprintln!(
            "WARN runnel shim: the kernel has no Landlock; the worker may open whatever its user can"
        );
    }
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(order.environment)
        .exec();
    Err(io::Error::new(
        error.kind(),
        format!("{program} cannot be started: {error}"),
    ))
}
