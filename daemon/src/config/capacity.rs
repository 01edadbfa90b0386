//! `[capacity]`: what the machine gives to workers.

use super::{Capacity, ConfigError, MCU_MEMORY_MIB_DEFAULT, MCU_MEMORY_MIB_MIN};
use crate::fleet::Jvm;
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CapacityEntry {
    mcu_memory_mib: Option<u32>,
    starts_at_once: Option<u32>,
    mcus: Option<u32>,
    jvm: Option<Jvm>,
}

pub(super) fn read(path: &Path, entry: &CapacityEntry) -> Result<Capacity, ConfigError> {
    let mcu_memory_mib = entry.mcu_memory_mib.unwrap_or(MCU_MEMORY_MIB_DEFAULT);
    if mcu_memory_mib < MCU_MEMORY_MIB_MIN {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "capacity.mcu_memory_mib".to_owned(),
            wrong: format!("is {mcu_memory_mib}"),
            advice: "write at least 256: a worker does not start in less",
        });
    }
    let starts_at_once = entry.starts_at_once.unwrap_or_else(cpus);
    if starts_at_once == 0 {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "capacity.starts_at_once".to_owned(),
            wrong: "is 0, so that no worker could ever start".to_owned(),
            advice: "write at least 1, or leave it out: one for each CPU",
        });
    }
    if entry.mcus == Some(0) {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "capacity.mcus".to_owned(),
            wrong: "is 0, so that no connector could run".to_owned(),
            advice: "write how many MCUs workers may have together, or leave it out for no limit",
        });
    }
    Ok(Capacity {
        mcu_memory_mib,
        starts_at_once,
        mcus: entry.mcus,
        jvm: entry.jvm,
    })
}

/// A starting worker keeps one CPU busy for 2–4 s (measured).
fn cpus() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cpus).unwrap_or(u32::MAX)
}
