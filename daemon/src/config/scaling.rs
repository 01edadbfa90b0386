//! `[scaling]`: the times of autoscaling. The defaults are those for real load; tests use small ones.

use super::{ConfigError, TIMING_MAX_MS};
use runnel_planner::scale::Timing;
use serde::Deserialize;
use std::path::Path;

/// Most buckets of a window: a day of minutes.
const BUCKETS_MAX: u32 = 1_440;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScalingEntry {
    sample_ms: Option<u64>,
    bucket_ms: Option<u64>,
    gap_ms: Option<u64>,
    young_worker_ms: Option<u64>,
    scale_out_buckets: Option<u32>,
    scale_out_cool_down_ms: Option<u64>,
    scale_in_buckets: Option<u32>,
    scale_in_cool_down_ms: Option<u64>,
    forecast_percent: Option<u32>,
}

/// Checks each value, and that a bucket can ever be known: without two samples in it and a gap
/// that bears the rhythm of samples, nothing would scale and nobody would be told why.
pub(super) fn read(path: &Path, entry: &ScalingEntry) -> Result<Timing, ConfigError> {
    let invalid = |key: &str, wrong: String, advice: &'static str| ConfigError::Invalid {
        origin: path.display().to_string(),
        key: format!("scaling.{key}"),
        wrong,
        advice,
    };
    let ms = |key: &str, value: Option<u64>, default: u64, least: u64| match value {
        None => Ok(default),
        Some(ms) if (least..=TIMING_MAX_MS).contains(&ms) => Ok(ms),
        Some(ms) => Err(invalid(
            key,
            format!("is {ms}"),
            "write milliseconds, up to 86400000 (one day); samples and buckets take at least 100",
        )),
    };
    let count = |key: &str, value: Option<u32>, default: u32, most: u32| match value {
        None => Ok(default),
        Some(count) if (1..=most).contains(&count) => Ok(count),
        Some(count) => Err(invalid(
            key,
            format!("is {count}"),
            "write at least 1, at most 1440 buckets or 100 percent",
        )),
    };
    let usual = Timing::default();
    let sample_ms = ms("sample_ms", entry.sample_ms, usual.sample_ms, 100)?;
    let timing = Timing {
        sample_ms,
        bucket_ms: ms("bucket_ms", entry.bucket_ms, usual.bucket_ms, 100)?,
        gap_ms: ms("gap_ms", entry.gap_ms, sample_ms.saturating_mul(2), 100)?,
        young_worker_ms: ms(
            "young_worker_ms",
            entry.young_worker_ms,
            usual.young_worker_ms,
            0,
        )?,
        scale_out_buckets: count(
            "scale_out_buckets",
            entry.scale_out_buckets,
            usual.scale_out_buckets,
            BUCKETS_MAX,
        )?,
        scale_out_cool_down_ms: ms(
            "scale_out_cool_down_ms",
            entry.scale_out_cool_down_ms,
            usual.scale_out_cool_down_ms,
            0,
        )?,
        scale_in_buckets: count(
            "scale_in_buckets",
            entry.scale_in_buckets,
            usual.scale_in_buckets,
            BUCKETS_MAX,
        )?,
        scale_in_cool_down_ms: ms(
            "scale_in_cool_down_ms",
            entry.scale_in_cool_down_ms,
            usual.scale_in_cool_down_ms,
            0,
        )?,
        forecast_percent: count(
            "forecast_percent",
            entry.forecast_percent,
            usual.forecast_percent,
            100,
        )?,
    };
    if timing.bucket_ms < timing.sample_ms {
        let wrong = format!("is below scaling.sample_ms ({})", timing.sample_ms);
        return Err(invalid(
            "bucket_ms",
            wrong,
            "make buckets at least as long as the time between samples",
        ));
    }
    if timing.gap_ms < timing.sample_ms {
        let wrong = format!("is below scaling.sample_ms ({})", timing.sample_ms);
        return Err(invalid(
            "gap_ms",
            wrong,
            "leave it out: it is twice the time between samples",
        ));
    }
    Ok(timing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Timing, String> {
        let entry: ScalingEntry = toml::from_str(text).unwrap();
        read(Path::new("runnel.toml"), &entry).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_decision() {
        assert_eq!(of("").unwrap(), Timing::default());
    }

    #[test]
    fn a_rhythm_in_which_nothing_could_be_known_is_refused() {
        assert!(of("sample_ms = 500\nbucket_ms = 1000").is_ok());
        for (text, key) in [
            ("sample_ms = 0", "scaling.sample_ms"),
            ("sample_ms = 2000\nbucket_ms = 1000", "scaling.bucket_ms"),
            ("sample_ms = 2000\ngap_ms = 1000", "scaling.gap_ms"),
            ("scale_in_buckets = 0", "scaling.scale_in_buckets"),
            ("forecast_percent = 101", "scaling.forecast_percent"),
        ] {
            assert!(of(text).unwrap_err().contains(key), "{text}");
        }
    }
}
