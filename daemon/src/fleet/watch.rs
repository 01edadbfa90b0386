//! Tells at once when a worker dies, begins to listen or joins its group.
//!
//! One thread waits on an inotify of the run dirs, where the shims rename their news into place, and on a pidfd of
//! each shim and worker, so that a death is seen that nobody could write down. It costs nothing while nothing happens.
//! A wake-up says nothing: who is woken looks at everything.

use super::process::{ProcessHandle, ProcessId, timespec};
use super::run_dir::{EXIT, SHIM, Started, WORKER, read_json};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A look without a reason, should the kernel's notice have been lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// The same where inotify is not to be had (its instances are limited per user).
const LOOK_WITHOUT_INOTIFY: Duration = Duration::from_millis(500);

/// The thread's handle; it ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
}

#[derive(Debug)]
struct Shared {
    end: AtomicBool,
    wake: Mutex<UnixStream>,
    /// Shims that this daemon started, to be reaped.
    children: Mutex<Vec<Child>>,
}

impl Shared {
    fn wake(&self) {
        let mut wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        // A full pipe wakes as well.
        let _ = wake.write(&[1]);
    }

    fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

impl Watcher {
    /// Watches the run dirs below `root`, those of earlier daemons too.
    pub fn start(root: &Path) -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            end: AtomicBool::new(false),
            wake: Mutex::new(writer),
            children: Mutex::new(Vec::new()),
        });
        let (sender, changes) = watch::channel(0_u64);
        let mut eyes = Eyes {
            root: root.to_owned(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            reader,
            runs: BTreeMap::new(),
        };
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("fleet-watch".into())
            .spawn(move || {
                while !for_thread.end.load(Ordering::Acquire) {
                    let news = eyes.wait();
                    for_thread.reap();
                    if news {
                        sender.send_modify(|count| *count = count.wrapping_add(1));
                    }
                }
            })?;
        Ok(Self { shared, changes })
    }

    /// A receiver that counts changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Takes a shim that was just started; its run dir is watched from now on.
    pub fn adopt(&self, child: Child) {
        self.shared
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
        self.shared.wake();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Release);
        self.shared.wake();
    }
}

/// One process of a run. Moved by the thread's looks, forward only.
#[derive(Debug)]
enum Watched {
    /// Its file is not written yet.
    Unnamed,
    Alive(ProcessHandle),
    Dead,
}

impl Watched {
    /// True when it was found dead by this look.
    fn look(&mut self, named: impl FnOnce() -> Option<ProcessId>) -> bool {
        if !matches!(self, Self::Unnamed) {
            return false;
        }
        match named().map(|id| id.open()) {
            Some(Ok(Some(handle))) => *self = Self::Alive(handle),
            Some(Ok(None)) => {
                *self = Self::Dead;
                return true;
            }
            // Not written yet, or doubt: looked at again at the next wake-up.
            None | Some(Err(_)) => {}
        }
        false
    }

    /// True when it died since the last look.
    fn settle(&mut self) -> bool {
        let died = matches!(self, Self::Alive(handle) if handle.await_death(Duration::ZERO).unwrap_or(false));
        if died {
            *self = Self::Dead;
        }
        died
    }
}

#[derive(Debug)]
struct Run {
    shim: Watched,
    worker: Watched,
}

struct Eyes {
    root: PathBuf,
    inotify: Option<OwnedFd>,
    reader: UnixStream,
    runs: BTreeMap<PathBuf, Run>,
}

impl Eyes {
    /// Waits for something to happen; true when it is news about a worker.
    fn wait(&mut self) -> bool {
        if self.look() {
            return true;
        }
        let limit = if self.inotify.is_some() {
            LOOK_ANYWAY
        } else {
            LOOK_WITHOUT_INOTIFY
        };
        {
            let mut fds = vec![PollFd::new(&self.reader, PollFlags::IN)];
            if let Some(inotify) = &self.inotify {
                fds.push(PollFd::new(inotify, PollFlags::IN));
            }
            for run in self.runs.values() {
                for process in [&run.shim, &run.worker] {
                    if let Watched::Alive(handle) = process {
                        fds.push(PollFd::new(handle, PollFlags::IN));
                    }
                }
            }
            if let Err(e) = poll(&mut fds, Some(&timespec(limit)))
                && e != rustix::io::Errno::INTR
            {
                // Out of memory for the poll: do not spin.
                std::thread::sleep(LOOK_WITHOUT_INOTIFY);
            }
        }
        let mut buffer = [0; 256];
        while matches!(self.reader.read(&mut buffer), Ok(1..)) {}
        let renamed = self.drain_inotify();
        let mut died = false;
        for run in self.runs.values_mut() {
            died |= run.shim.settle();
            died |= run.worker.settle();
        }
        renamed || died || (self.inotify.is_none() && !self.runs.is_empty())
    }

    fn drain_inotify(&self) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut any = false;
        let mut buffer = [0; 4096];
        while matches!(rustix::io::read(inotify, &mut buffer), Ok(1..)) {
            any = true;
        }
        any
    }

    /// Brings the watched set in line with the disk; true when that showed a death nobody was told of.
    fn look(&mut self) -> bool {
        let Ok(on_disk) = run_dirs(&self.root) else {
            // What is watched stays watched; the next wake-up looks again.
            return false;
        };
        self.runs.retain(|path, _| on_disk.contains(path));
        let mut news = false;
        for path in on_disk {
            let run = match self.runs.entry(path.clone()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    // Before the first look into the folder, so that nothing falls in between.
                    if let Some(inotify) = &self.inotify {
                        let _ = inotify::add_watch(inotify, &path, WatchFlags::MOVED_TO);
                    }
                    entry.insert(Run {
                        shim: Watched::Unnamed,
                        worker: Watched::Unnamed,
                    })
                }
            };
            // A run that ended before is no news, only its shim may still have to go.
            let over = path.join(EXIT).exists();
            let shim = || read_json::<ProcessId>(&path.join(SHIM)).ok().flatten();
            let worker = || read_json::<Started>(&path.join(WORKER)).ok().flatten();
            let found_dead = run.shim.look(shim) | run.worker.look(|| worker().map(|s| s.worker));
            news |= found_dead && !over;
        }
        news
    }
}

/// The run dirs of all connectors. A folder that cannot be read is an error: its workers must not seem to be gone.
pub fn run_dirs(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut runs = BTreeSet::new();
    for connector in visible(root)? {
        runs.extend(run_dirs_of(&connector)?);
    }
    Ok(runs)
}

/// Run dirs of one connector.
pub fn run_dirs_of(connector: &Path) -> io::Result<BTreeSet<PathBuf>> {
    Ok(visible(&connector.join("workers"))?.into_iter().collect())
}

/// What is in a folder, but for names with a dot in front; nothing when it is no folder.
fn visible(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(e),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}
