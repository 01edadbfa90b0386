//! Plays the scaling decision against loads in virtual time.
//!
//! `cargo run -p runnel-planner --example scaling` prints what happened; with a folder as its
//! argument it writes the page and its charts there.

mod chart;
mod curves;
mod page;
mod simulation;

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let files = page::files();
    let Some(folder) = env::args_os().nth(1) else {
        for (name, text) in &files {
            if name == "README.md" {
                print!("{text}");
            }
        }
        return Ok(());
    };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    for (name, text) in &files {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
