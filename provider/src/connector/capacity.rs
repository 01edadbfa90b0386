//! The argument `capacity`.

use crate::field_path;
use runnel_api::capacity::{Capacity, SCALE_IN_DEFAULT, SCALE_OUT_DEFAULT};
use tfplugin::value::Value;
use tfplugin::{Diagnostic, Diagnostics, Object, Path};

/// Reads a capacity. Defaults stand in for what is null, as the schema has them.
pub fn read(values: &Object) -> Result<Capacity, Diagnostic> {
    let capacity: Object = values.get("capacity")?;
    let autoscaling: Option<Object> = capacity.get("autoscaling")?;
    let provisioned: Option<Object> = capacity.get("provisioned")?;
    match (autoscaling, provisioned) {
        (Some(block), None) => Ok(Capacity::Autoscaling {
            mcu_count: number(&block, "mcu_count", 1)?,
            min_worker_count: block.get("min_worker_count")?,
            max_worker_count: block.get("max_worker_count")?,
            scale_in_cpu: policy(&block, "scale_in_policy", SCALE_IN_DEFAULT)?,
            scale_out_cpu: policy(&block, "scale_out_policy", SCALE_OUT_DEFAULT)?,
            max_autoscaling_task_count: block.get("max_autoscaling_task_count")?,
        }),
        (None, Some(block)) => Ok(Capacity::Provisioned {
            mcu_count: number(&block, "mcu_count", 1)?,
            worker_count: block.get("worker_count")?,
        }),
        _ => Err(Diagnostic::error(
            "Invalid capacity",
            "Set exactly one of `autoscaling` and `provisioned`.",
        )
        .at("capacity")),
    }
}

fn number(block: &Object, name: &str, default: u32) -> Result<u32, Diagnostic> {
    Ok(block.get::<Option<u32>>(name)?.unwrap_or(default))
}

fn policy(block: &Object, name: &str, default: u32) -> Result<u32, Diagnostic> {
    match block.get::<Option<Object>>(name)? {
        None => Ok(default),
        Some(policy) => number(&policy, "cpu_utilization_percentage", default),
    }
}

/// Adds what is wrong with a capacity, as far as it is known.
pub fn check(config: &Object, diagnostics: &mut Diagnostics) {
    if !config.value("capacity").is_wholly_known() || config.value("capacity").is_null() {
        return;
    }
    match read(config) {
        Err(diagnostic) => diagnostics.push(diagnostic),
        Ok(capacity) => {
            if let Some((field, reason)) = capacity.invalid() {
                let path = field_path::written(Path::attr("capacity"), field, config);
                diagnostics.error_at(path, "Invalid capacity", format!("{reason}."));
            }
        }
    }
}

/// Writes a capacity.
pub fn write(capacity: &Capacity) -> Value {
    let policy = |percent: u32| Value::object([("cpu_utilization_percentage", percent)]);
    match capacity {
        Capacity::Provisioned {
            mcu_count,
            worker_count,
        } => {
            let block = Value::object([("mcu_count", *mcu_count), ("worker_count", *worker_count)]);
            Value::object([("provisioned", block)])
        }
        Capacity::Autoscaling {
            mcu_count,
            min_worker_count,
            max_worker_count,
            scale_in_cpu,
            scale_out_cpu,
            max_autoscaling_task_count,
        } => {
            let block = Value::object([
                ("mcu_count", Value::from(*mcu_count)),
                ("min_worker_count", (*min_worker_count).into()),
                ("max_worker_count", (*max_worker_count).into()),
                ("scale_in_policy", policy(*scale_in_cpu)),
                ("scale_out_policy", policy(*scale_out_cpu)),
                (
                    "max_autoscaling_task_count",
                    (*max_autoscaling_task_count).into(),
                ),
            ]);
            Value::object([("autoscaling", block)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autoscaling(values: &[(&str, Value)]) -> Object {
        let mut block = Object::new()
            .with("min_worker_count", 1)
            .with("max_worker_count", 2);
        for (name, value) in values {
            block.set(*name, value.clone());
        }
        Object::new().with(
            "capacity",
            Value::object([("autoscaling", Value::from(block))]),
        )
    }

    #[test]
    fn a_capacity_reads_back_what_it_writes() {
        let percent = Value::object([("cpu_utilization_percentage", 30)]);
        for values in [
            autoscaling(&[]),
            autoscaling(&[
                ("scale_in_policy", percent),
                ("max_autoscaling_task_count", 4.into()),
            ]),
        ] {
            let capacity = read(&values).unwrap();
            let written = Object::new().with("capacity", write(&capacity));
            assert_eq!(read(&written), Ok(capacity));
        }
    }

    #[test]
    fn what_is_wrong_points_at_what_the_user_wrote() {
        let of = |config: &Object| {
            let mut diagnostics = Diagnostics::new();
            check(config, &mut diagnostics);
            diagnostics
                .iter()
                .map(|each| each.path.to_string())
                .collect::<Vec<_>>()
        };
        assert!(of(&autoscaling(&[])).is_empty());
        assert_eq!(
            of(&autoscaling(&[("min_worker_count", 3.into())])),
            ["capacity.autoscaling.min_worker_count"]
        );
        assert_eq!(
            of(&autoscaling(&[("mcu_count", 3.into())])),
            ["capacity.autoscaling.mcu_count"]
        );
        // Scale-in above the default of scale-out: only the former is in the file.
        let high = Value::object([("cpu_utilization_percentage", 90)]);
        assert_eq!(
            of(&autoscaling(&[("scale_in_policy", high)])),
            ["capacity.autoscaling.scale_in_policy.cpu_utilization_percentage"]
        );
        let low = Value::object([("cpu_utilization_percentage", 10)]);
        assert_eq!(
            of(&autoscaling(&[("scale_out_policy", low)])),
            ["capacity.autoscaling"]
        );
        let neither = Object::new().with("capacity", Value::object([] as [(&str, Value); 0]));
        assert_eq!(of(&neither), ["capacity"]);
        let unknown = autoscaling(&[("min_worker_count", Value::unknown())]);
        assert!(of(&unknown).is_empty());
    }
}
