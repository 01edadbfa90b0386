//! Places where the process dies when a test asks for it; only with the feature `failpoints`.
//!
//! A test writes the name of a point into the file `failpoint` of the data folder. The next process
//! that comes by removes the file and aborts: no destructor runs and nothing is flushed, as with
//! SIGKILL. Whoever starts next finds no file and goes on. Without the feature nothing of this is
//! compiled, and [`reach`] is empty.

/// Where a point stands in relation to its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The step has not begun.
    Before,
    /// The step has been done and nobody was told.
    After,
}

#[cfg(not(feature = "failpoints"))]
mod point {
    use super::Moment;
    use std::path::Path;

    /// Does nothing.
    pub const fn watch(_data_dir: &Path) {}

    /// Does nothing.
    pub const fn reach(_moment: Moment, _step: &str) {}
}

#[cfg(feature = "failpoints")]
mod point {
    use super::Moment;
    use runnel_planner::Action;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    /// The file in the data folder.
    const FILE: &str = "failpoint";

    /// Points within a step of the reconciler, and outside it: calls to a broker, writes of the API,
    /// and what a shim does in its life.
    const OTHERS: [&str; 22] = [
        "after:grant-acls",
        "after:grant-user",
        "after:revoke-user",
        "before:commit-put",
        "after:commit-put",
        "before:answer-put",
        "before:commit-delete",
        "after:commit-delete",
        "before:answer-delete",
        "after:write-sealing-key",
        "before:commit-sealing-key",
        "after:commit-sealing-key",
        "after:overwrite-sealing-key",
        "after:replace-sealing-key",
        "before:shim-name-itself",
        "before:shim-spawn",
        "before:shim-name-worker",
        "after:shim-name-worker",
        "before:shim-exec",
        "before:shim-reap",
        "before:shim-write-exit",
        "after:shim-write-exit",
    ];

    static DATA_DIR: OnceLock<PathBuf> = OnceLock::new();

    impl Moment {
        const fn word(self) -> &'static str {
            match self {
                Self::Before => "before",
                Self::After => "after",
            }
        }
    }

    /// Names of all points: before and after each action, and the others.
    pub fn all() -> Vec<String> {
        let of_actions = Action::KINDS
            .into_iter()
            .flat_map(|step| [Moment::Before, Moment::After].map(|moment| name(moment, step)));
        of_actions.chain(OTHERS.map(str::to_owned)).collect()
    }

    fn name(moment: Moment, step: &str) -> String {
        format!("{}:{step}", moment.word())
    }

    /// Says where the file is looked for; the first call counts.
    pub fn watch(data_dir: &Path) {
        let _ = DATA_DIR.set(data_dir.to_owned());
    }

    /// Dies here if this point is asked for.
    pub fn reach(moment: Moment, step: &str) {
        let Some(file) = DATA_DIR.get().map(|folder| folder.join(FILE)) else {
            return;
        };
        let point = name(moment, step);
        if std::fs::read_to_string(&file).is_ok_and(|asked| asked.trim() == point)
            // Who removes it dies; with two processes at one point one of them goes on.
            && std::fs::remove_file(&file).is_ok()
        {
            eprintln!("failpoint {point}: the process ends here");
            std::process::abort();
        }
    }
}

#[cfg(feature = "failpoints")]
pub use point::all;
pub use point::{reach, watch};
