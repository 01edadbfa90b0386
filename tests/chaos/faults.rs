//! What is done to a running whole, and undone.

use crate::stage::Stage;
use anyhow::{Result, bail, ensure};
use checker::dice::Dice;
use e2e::process::{run, signal};
use rustix::process::Signal;
use serde_json::json;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// Everything that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL to a worker.
    KillWorker,
    /// SIGKILL to a worker's shim; the worker dies with it.
    KillShim,
    /// SIGKILL to the daemon; it is started again up to 2 s later.
    KillDaemon,
    /// SIGKILL to the daemon, and to every shim and worker, within a few milliseconds.
    KillAll,
    /// SIGKILL to the broker; started again.
    KillBroker,
    /// SIGKILL to the database; started again.
    KillDatabase,
    /// SIGSTOP for 8 to 20 s to a worker: longer than its session in the group.
    FreezeWorker,
    /// SIGSTOP for 10 s to the daemon.
    FreezeDaemon,
    /// SIGSTOP for 5 s to the broker.
    FreezeBroker,
    /// SIGSTOP for 5 s to the database.
    FreezeDatabase,
    /// No byte more fits on the daemon's disk for 8 s; in half of the rounds a worker dies meanwhile.
    FullDisk,
    /// SIGTERM to the daemon, and a new one.
    EndDaemon,
    /// Another configuration is put.
    Change,
    /// `runnel restart`.
    Restart,
}

impl Fault {
    /// Each once.
    pub const ALL: [Self; 14] = [
        Self::KillWorker,
        Self::KillShim,
        Self::KillDaemon,
        Self::KillAll,
        Self::KillBroker,
        Self::KillDatabase,
        Self::FreezeWorker,
        Self::FreezeDaemon,
        Self::FreezeBroker,
        Self::FreezeDatabase,
        Self::FullDisk,
        Self::EndDaemon,
        Self::Change,
        Self::Restart,
    ];

    /// In words, for a table.
    pub const fn words(self) -> &'static str {
        match self {
            Self::KillWorker => "`kill -9` of a worker",
            Self::KillShim => "`kill -9` of a shim",
            Self::KillDaemon => "`kill -9` of the daemon",
            Self::KillAll => "`kill -9` of daemon, shims and workers",
            Self::KillBroker => "`kill -9` of the broker",
            Self::KillDatabase => "`kill -9` of the database",
            Self::FreezeWorker => "worker frozen for 8 to 20 s",
            Self::FreezeDaemon => "daemon frozen for 10 s",
            Self::FreezeBroker => "broker frozen for 5 s",
            Self::FreezeDatabase => "database frozen for 5 s",
            Self::FullDisk => "disk full for 8 s",
            Self::EndDaemon => "SIGTERM to the daemon",
            Self::Change => "change of the configuration",
            Self::Restart => "`runnel restart`",
        }
    }

    /// Whether the workers must be the same processes afterwards.
    pub const fn spares_workers(self) -> bool {
        matches!(
            self,
            Self::KillDaemon | Self::FreezeDaemon | Self::EndDaemon
        )
    }

    /// One after the other in an order that the dice give, each as often as any other.
    pub fn deal(dice: &mut Dice, rounds: usize, possible: &[Self]) -> Vec<Self> {
        let mut dealt = Vec::new();
        let mut deck: Vec<Self> = Vec::new();
        while dealt.len() < rounds {
            if deck.is_empty() {
                deck = possible.to_vec();
            }
            dealt.push(deck.swap_remove(dice.index(deck.len())));
        }
        dealt
    }

    /// Does it, where it is done to one connector to `target`; what is started again answers when
    /// this returns. Says in words what was rolled.
    pub fn inject(self, stage: &mut Stage, dice: &mut Dice, target: &str) -> Result<String> {
        match self {
            Self::KillWorker => {
                signal(stage.worker_and_shim(target)?.0, Signal::KILL)?;
                Ok(target.to_owned())
            }
            Self::KillShim => {
                signal(stage.worker_and_shim(target)?.1, Signal::KILL)?;
                Ok(target.to_owned())
            }
            Self::KillDaemon => {
                stage.world.daemon.kill()?;
                let pause = dice.below(2_000);
                sleep(Duration::from_millis(pause));
                stage.world.daemon.spawn()?;
                Ok(format!("back after {pause} ms"))
            }
            Self::KillAll => kill_all(stage, dice),
            Self::KillBroker | Self::KillDatabase => {
                let part = self.part();
                stage.world.rig.kill(part)?;
                stage.world.rig.start(part)?;
                Ok(part.to_owned())
            }
            Self::FreezeWorker => {
                let worker = stage.worker_and_shim(target)?.0;
                let pause = Duration::from_millis(8_000 + dice.below(12_000));
                freeze(worker, pause)?;
                Ok(format!("{target} for {:.1} s", pause.as_secs_f64()))
            }
            Self::FreezeDaemon => {
                let Some(daemon) = stage.world.daemon.pid() else {
                    bail!("the daemon does not run");
                };
                freeze(daemon, Duration::from_secs(10))?;
                Ok(String::new())
            }
            Self::FreezeBroker | Self::FreezeDatabase => {
                freeze(stage.world.rig.pid(self.part())?, Duration::from_secs(5))?;
                Ok(String::new())
            }
            Self::FullDisk => full_disk(stage, dice, target),
            Self::EndDaemon => {
                stage.world.daemon.end()?;
                stage.world.daemon.spawn()?;
                Ok(String::new())
            }
            Self::Change => change(stage, dice, target),
            Self::Restart => {
                stage.world.daemon.runnel(&["restart", target])?;
                Ok(target.to_owned())
            }
        }
    }

    const fn part(self) -> &'static str {
        match self {
            Self::KillBroker | Self::FreezeBroker => "broker",
            _ => "mariadb",
        }
    }
}

/// A process that ends while it is frozen was replaced by the daemon: that is its right.
fn freeze(pid: u32, pause: Duration) -> Result<()> {
    signal(pid, Signal::STOP)?;
    sleep(pause);
    let _ = signal(pid, Signal::CONT);
    Ok(())
}

fn kill_all(stage: &mut Stage, dice: &mut Dice) -> Result<String> {
    let mut pids = Vec::new();
    for connector in &stage.connectors {
        let (worker, shim) = stage.worker_and_shim(connector)?;
        pids.extend([worker, shim]);
    }
    stage.world.daemon.kill()?;
    for pid in pids {
        // A worker may be dead already, by its shim's death.
        let _ = signal(pid, Signal::KILL);
    }
    let pause = dice.below(1_000);
    sleep(Duration::from_millis(pause));
    stage.world.daemon.spawn()?;
    Ok(format!("back after {pause} ms"))
}

/// Puts another value of a key that has no effect on the records.
fn change(stage: &mut Stage, dice: &mut Dice, target: &str) -> Result<String> {
    let mut body = stage.spec(target)?;
    let size = (1_024 + dice.below(1_000)).to_string();
    body["spec"]["config"]["max.batch.size"] = json!(size);
    let id = stage.put(target, &body)?;
    let operation = stage.await_operation(&id)?;
    ensure!(operation["outcome"] == "SUCCEEDED", "{operation}");
    Ok(format!("{target}: max.batch.size = {size}"))
}

/// The daemon's folder is a file system in memory of its own, see [`mount`].
fn full_disk(stage: &mut Stage, dice: &mut Dice, target: &str) -> Result<String> {
    let data = stage.world.daemon.data();
    let resize = |kib: u64| {
        let options = format!("remount,size={kib}k");
        run(Command::new("mount").args(["-o", &options]).arg(&data)).map(drop)
    };
    let used = || -> Result<u64> {
        let text = run(Command::new("df").args(["--output=used", "-k"]).arg(&data))?;
        Ok(text.lines().nth(1).unwrap_or_default().trim().parse()?)
    };
    let mut tries = 0;
    while let Err(error) = used().and_then(resize) {
        // What is used grows while we look.
        tries += 1;
        ensure!(tries < 20, "the disk cannot be filled: {error:#}");
    }
    let dies = dice.below(2) == 0;
    if dies {
        signal(stage.worker_and_shim(target)?.0, Signal::KILL)?;
    }
    let mut body = stage.spec(target)?;
    body["spec"]["description"] = json!(format!("put at {:?}", std::time::SystemTime::now()));
    let path = format!("/api/v1/connectors/{target}");
    let answer = stage
        .world
        .daemon
        .send(reqwest::Method::PUT, &path, Some(&body));
    sleep(Duration::from_secs(8));
    resize(DISK_KIB)?;
    let status = answer?.0;
    if status < 300 {
        let found = stage.object(target)?["spec"]["description"].clone();
        ensure!(
            found == body["spec"]["description"],
            "an accepted change is gone: {found}"
        );
    }
    Ok(format!(
        "{}PUT answered {status}",
        if dies { "a worker killed, " } else { "" }
    ))
}

/// Size of the daemon's disk.
const DISK_KIB: u64 = 768 << 10;

/// Takes away what [`mount`] made, if it did.
pub fn unmount(data: &std::path::Path) {
    let is_mounted = Command::new("mountpoint").arg("-q").arg(data).status();
    if is_mounted.is_ok_and(|status| status.success())
        && let Err(error) = run(Command::new("umount").arg(data))
    {
        eprintln!("{error:#}");
    }
}

/// Makes a daemon's data folder a small file system of its own. Memory is taken only as it is used.
pub fn mount(home: &std::path::Path) -> Result<()> {
    let data = home.join("data");
    std::fs::create_dir(&data)?;
    let options = format!("size={DISK_KIB}k,mode=0700");
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "runnel-chaos"])
        .arg(&data))
    .map(drop)
}
