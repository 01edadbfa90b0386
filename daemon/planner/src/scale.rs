//! How large a fleet is to be: a pure decision from CPU time, with its evidence.
//!
//! The daemon feeds a [`Meter`] with what it reads of the workers every [`Timing::sample_ms`], and
//! asks [`decide`] what [`Meter::buckets`] mean under a [`Policy`]. Nothing here reads a clock: all
//! moments are milliseconds since the Unix epoch, given by the caller.
//!
//! A connector of many tasks gets more or fewer workers. One that runs a single task gets one
//! worker of another size, because a second worker would have nothing to do.

mod decision;
mod meter;
#[cfg(test)]
mod meter_tests;
mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wording;

pub use decision::{FleetFacts, decide};
pub use meter::{Bucket, Doubt, Load, Meter, Sample, WorkerUsage};
pub use policy::{Policy, TaskLimit};

/// Durations and counts of the decision. All of them are configuration, so that tests can be short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between two samples, in milliseconds. Only the caller waits for it.
    pub sample_ms: u64,
    /// Length of a bucket, in milliseconds. Buckets begin at multiples of it.
    pub bucket_ms: u64,
    /// Two samples further apart than this make the buckets between them unknown, in milliseconds.
    pub gap_ms: u64,
    /// A worker younger than this keeps the fleet as it is, in milliseconds: a JVM that starts
    /// burns CPU that no load explains.
    pub young_worker_ms: u64,
    /// That many newest buckets must all be above the scale-out threshold.
    pub scale_out_buckets: u32,
    /// Time from any action to the next one that makes the fleet larger, in milliseconds.
    pub scale_out_cool_down_ms: u64,
    /// That many newest buckets must all be below the scale-in threshold.
    pub scale_in_buckets: u32,
    /// Time from any action to the next one that makes the fleet smaller, in milliseconds.
    pub scale_in_cool_down_ms: u64,
    /// A fleet gets smaller only if its forecast utilisation is below this share of the scale-out
    /// threshold, in percent.
    pub forecast_percent: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            sample_ms: 10_000,
            bucket_ms: 60_000,
            gap_ms: 20_000,
            young_worker_ms: 120_000,
            scale_out_buckets: 3,
            scale_out_cool_down_ms: 180_000,
            scale_in_buckets: 15,
            scale_in_cool_down_ms: 900_000,
            forecast_percent: 75,
        }
    }
}
