//! The extra jar with the service files that a plugin's own jars lack: with it a worker finds the
//! plugin's classes by `plugin.discovery=service_load`, three seconds instead of ten or more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::error::PluginError;

/// The jar's name. An upload that has a file of this name (because it was packed from our own
/// folder) keeps it, and ours gets a number.
const NAME: &str = "runnel-manifest";

/// Writes the jar into a plugin's folder; does nothing if no service file is missing. The same
/// services give the same bytes.
pub(super) fn write(
    folder: &Path,
    services: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), PluginError> {
    if services.is_empty() {
        return Ok(());
    }
    let names =
        std::iter::once(format!("{NAME}.jar")).chain((2..100).map(|n| format!("{NAME}-{n}.jar")));
    let path = names
        .map(|name| folder.join(name))
        .find(|path| !path.exists())
        .unwrap_or_else(|| folder.join(NAME));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(PluginError::io("make", &path))?;
    let write = || -> std::io::Result<()> {
        let mut jar = ZipWriter::new(file);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default());
        jar.start_file("META-INF/MANIFEST.MF", options)?;
        jar.write_all(b"Manifest-Version: 1.0\r\nCreated-By: runnel\r\n\r\n")?;
        for (interface, classes) in services {
            jar.start_file(format!("META-INF/services/{interface}"), options)?;
            for class in classes {
                writeln!(jar, "{class}")?;
            }
        }
        jar.finish()?.sync_all()
    };
    write().map_err(PluginError::io("write", &path))
}
