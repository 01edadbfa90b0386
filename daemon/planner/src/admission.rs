//! Whether the host has room for a connector: the MCUs of its fewest workers, on top of what the
//! others hold. More than that is lent while there is room, so it is no matter of admission.

use runnel_api::capacity::Capacity;
use runnel_api::connector::Assumed;
use runnel_api::{ErrorCode, Name, Problem};
use std::collections::BTreeMap;

/// How many holders a refusal names.
const NAMED: usize = 10;

/// Who asks for room, and who has some.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// MCUs that the host has; none when they are not limited.
    pub limit: Option<u32>,
    /// The connector.
    pub name: &'a Name,
    /// What it would have.
    pub capacity: &'a Capacity,
    /// MCUs that each stored connector holds, this one included where it exists.
    pub held: &'a BTreeMap<Name, u32>,
    /// What is planned in the same run; it takes the place of what is stored.
    pub assumed: &'a Assumed,
}

/// Refuses a connector for which there is no room. One that asks for no more than it has is let
/// through even above the limit: the limit may have been lowered since.
pub fn admit(admission: &Admission<'_>) -> Result<(), Box<Problem>> {
    let Some(limit) = admission.limit else {
        return Ok(());
    };
    let asked = admission.capacity.mcus_min();
    let has = admission.held.get(admission.name);
    if has.is_some_and(|has| asked <= *has) {
        return Ok(());
    }
    let others = others(admission);
    let held: u64 = others.values().map(|mcus| u64::from(*mcus)).sum();
    let sum = held + u64::from(asked);
    if sum <= u64::from(limit) {
        return Ok(());
    }
    let message = format!(
        "the host has no room for the {} of {}",
        counted(u64::from(asked)),
        admission.name
    );
    let detail = format!(
        "the host has {} for workers, and with this connector they would be {sum}; {}",
        counted(u64::from(limit)),
        holders(&others, held)
    );
    Err(Box::new(
        Problem::new(ErrorCode::CapacityExceeded, message)
            .detail(detail)
            .hint(
                "lower the capacity, destroy a connector that is not needed, or raise \
                 `[capacity] mcus` in runnel.toml",
            )
            .field("capacity"),
    ))
}

/// What each other connector will hold.
fn others(admission: &Admission<'_>) -> BTreeMap<Name, u32> {
    let Assumed {
        capacities,
        destroyed,
        ..
    } = admission.assumed;
    let stored = admission
        .held
        .iter()
        .filter(|(name, _)| !destroyed.contains(*name))
        .map(|(name, mcus)| (name.clone(), *mcus));
    let planned = capacities
        .iter()
        .map(|(name, capacity)| (name.clone(), capacity.mcus_min()));
    let mut others: BTreeMap<Name, u32> = stored.chain(planned).collect();
    others.remove(admission.name);
    others
}

/// The largest first.
fn holders(others: &BTreeMap<Name, u32>, held: u64) -> String {
    if others.is_empty() {
        return String::from("no other connector holds any");
    }
    let mut largest: Vec<(&Name, u32)> = others.iter().map(|(name, mcus)| (name, *mcus)).collect();
    // The names are sorted, and a stable sort keeps them so among equals.
    largest.sort_by_key(|(_, mcus)| std::cmp::Reverse(*mcus));
    let named: Vec<String> = largest
        .iter()
        .take(NAMED)
        .map(|(name, mcus)| format!("{name} {mcus}"))
        .collect();
    let more = match largest.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("others hold {held}: {}{more}", named.join(", "))
}

fn counted(mcus: u64) -> String {
    let plural = if mcus == 1 { "" } else { "s" };
    format!("{mcus} MCU{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn fixed(worker_count: u32, mcu_count: u32) -> Capacity {
        Capacity::Provisioned {
            mcu_count,
            worker_count,
        }
    }

    fn scaled(min_worker_count: u32, mcu_count: u32) -> Capacity {
        Capacity::Autoscaling {
            mcu_count,
            min_worker_count,
            max_worker_count: 10,
            scale_in_cpu: 20,
            scale_out_cpu: 80,
            max_autoscaling_task_count: None,
        }
    }

    fn held(pairs: &[(&str, u32)]) -> BTreeMap<Name, u32> {
        let pairs = pairs.iter();
        pairs.map(|(text, mcus)| (name(text), *mcus)).collect()
    }

    fn planned(pairs: &[(&str, Capacity)], destroyed: &[&str]) -> Assumed {
        let pairs = pairs.iter();
        Assumed {
            capacities: pairs
                .map(|(text, capacity)| (name(text), capacity.clone()))
                .collect(),
            destroyed: destroyed.iter().map(|text| name(text)).collect(),
            ..Assumed::default()
        }
    }

    fn of_new(
        limit: Option<u32>,
        capacity: &Capacity,
        held: &BTreeMap<Name, u32>,
        assumed: &Assumed,
    ) -> Result<(), Box<Problem>> {
        admit(&Admission {
            limit,
            name: &name("new"),
            capacity,
            held,
            assumed,
        })
    }

    #[test]
    fn the_fewest_workers_of_all_must_fit() {
        let nobody = Assumed::default();
        let two = held(&[("a", 1), ("b", 2)]);
        for (limit, capacity, fits) in [
            (None, fixed(10, 8), true),
            (Some(4), fixed(1, 1), true),
            (Some(4), fixed(2, 1), false),
            (Some(4), fixed(1, 2), false),
            (Some(4), scaled(1, 1), true),
            (Some(4), scaled(2, 1), false),
            (Some(u32::MAX), fixed(u32::MAX, u32::MAX), false),
        ] {
            let answer = of_new(limit, &capacity, &two, &nobody);
            assert_eq!(answer.is_ok(), fits, "{limit:?} {capacity:?}");
        }
    }

    #[test]
    fn what_is_planned_in_the_same_run_takes_the_place_of_what_is_stored() {
        let stored = held(&[("a", 3)]);
        for (assumed, fits) in [
            (planned(&[("a", fixed(1, 1))], &[]), true),
            (planned(&[("a", fixed(4, 1))], &[]), false),
            (planned(&[("b", fixed(1, 1))], &[]), false),
            (planned(&[], &["a"]), true),
            (planned(&[("b", fixed(2, 1))], &["a"]), true),
            // A replacement: the old one goes, the new one has this.
            (planned(&[("a", fixed(3, 1))], &["a"]), false),
            // It is this very connector.
            (
                planned(&[("a", fixed(2, 1)), ("new", fixed(9, 1))], &[]),
                true,
            ),
        ] {
            let answer = of_new(Some(4), &fixed(2, 1), &stored, &assumed);
            assert_eq!(answer.is_ok(), fits, "{assumed:?}");
        }
    }

    #[test]
    fn a_connector_that_does_not_grow_is_let_through() {
        let stored = held(&[("a", 3), ("new", 3)]);
        let nobody = Assumed::default();
        for (workers, fits) in [(1, true), (3, true), (4, false)] {
            let answer = of_new(Some(4), &fixed(workers, 1), &stored, &nobody);
            assert_eq!(answer.is_ok(), fits, "{workers}");
        }
    }

    #[test]
    fn a_refusal_gives_the_sum_the_limit_and_the_largest_holders() {
        let many: Vec<(String, u32)> = (0..12)
            .map(|at| (format!("c{at:02}"), 1 + at / 6))
            .collect();
        let many: Vec<(&str, u32)> = many
            .iter()
            .map(|(text, mcus)| (text.as_str(), *mcus))
            .collect();
        let refused = of_new(Some(18), &fixed(1, 1), &held(&many), &Assumed::default());
        let problem = refused.unwrap_err();
        assert_eq!(problem.code, ErrorCode::CapacityExceeded);
        assert_eq!(problem.field.as_deref(), Some("capacity"));
        assert_eq!(problem.message, "the host has no room for the 1 MCU of new");
        assert_eq!(
            problem.detail.as_deref(),
            Some(
                "the host has 18 MCUs for workers, and with this connector they would be 19; \
                 others hold 18: c06 2, c07 2, c08 2, c09 2, c10 2, c11 2, c00 1, c01 1, c02 1, \
                 c03 1 and 2 more"
            )
        );
        let alone = of_new(Some(1), &fixed(2, 1), &held(&[]), &Assumed::default());
        let detail = alone.unwrap_err().detail.unwrap();
        assert!(
            detail.ends_with("would be 2; no other connector holds any"),
            "{detail}"
        );
    }
}
