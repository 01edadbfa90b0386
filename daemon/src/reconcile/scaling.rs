//! What the planner's decision on a fleet's size needs, and what becomes of it: samples in, a row in
//! the store and a word for the API out.

use super::Inner;
use super::goal::Situation;
use super::memory::{Facts, Memory};
use crate::metrics::Direction;
use crate::store::StoreError;
use runnel_api::Name;
use runnel_api::scaling::{ScalingDecision, ScalingStatus, Verdict};
use runnel_planner::scale::{Bucket, Meter, Sample, WorkerUsage};
use runnel_planner::{ConnectorPlan, Target};

/// What is remembered of a connector's load.
#[derive(Default)]
pub(super) struct Load {
    meter: Option<Meter>,
    /// When the last sample that was taken over was made.
    fed_ms: u64,
    /// The last decision that stands in the store.
    kept: Option<ScalingDecision>,
    /// What the API tells.
    pub told: Option<ScalingStatus>,
}

/// Takes the latest sample over; gives the load in buckets, oldest first.
pub(super) fn look(
    inner: &Inner,
    situation: &Situation,
    memory: &Memory,
    now_ms: u64,
) -> Vec<Bucket> {
    let Ok(target) = &situation.goal.wanted else {
        return Vec::new();
    };
    let latest = inner.parts.samples.latest();
    memory.with(|facts| {
        let lag = facts.lag;
        let load = &mut facts.load;
        let meter = load
            .meter
            .get_or_insert_with(|| Meter::new(&inner.timing.scaling));
        if latest.at_ms > load.fed_ms {
            load.fed_ms = latest.at_ms;
            let of_connector = latest.connectors.get(&situation.id);
            // A worker that cannot be read is left out, which makes its bucket unknown.
            let workers = of_connector
                .into_iter()
                .filter(|sample| sample.is_complete)
                .flat_map(|sample| &sample.workers)
                .filter_map(|(id, worker)| {
                    let usage = WorkerUsage {
                        cpu_ns: worker.usage?.cpu_ns,
                        mcu_count: worker.mcu_count,
                    };
                    Some((id.to_string(), usage))
                })
                .collect();
            let sample = Sample {
                at_ms: latest.at_ms,
                workers,
                lag,
            };
            meter.record(target.size, sample);
        }
        meter.buckets(now_ms)
    })
}

/// Keeps what was decided: every step, and every hold for another reason than the one before.
pub(super) async fn keep(
    inner: &Inner,
    name: &Name,
    decided: &ConnectorPlan,
    target: Option<&Target>,
    buckets: &[Bucket],
    memory: &Memory,
) -> Result<(), StoreError> {
    let decision = decided.decision.clone();
    let news = memory.with(|facts| tell(facts, decision.as_ref(), target, buckets));
    if let (true, Some(decision)) = (news, decision) {
        let counted = name;
        let (name, row) = (name.clone(), decision.clone());
        let store = &inner.parts.store;
        store
            .run(move |store| store.add_decision(&name, &row))
            .await?;
        if let Verdict::Scale { to } = decision.verdict {
            let metrics = &inner.parts.metrics;
            metrics.scaled(counted, Direction::between(decision.from, to));
        }
        memory.with(|facts| facts.load.kept = Some(decision));
    }
    Ok(())
}

fn tell(
    facts: &mut Facts,
    decision: Option<&ScalingDecision>,
    target: Option<&Target>,
    buckets: &[Bucket],
) -> bool {
    let load = &mut facts.load;
    load.told = target.map(|target| ScalingStatus {
        mode: target.policy.mode(),
        size: target.size,
        tasks_max: target.policy.tasks_max(target.size),
        cpu_percent: buckets.last().and_then(Bucket::cpu_percent),
        last: decision.cloned(),
    });
    decision.is_some_and(|decision| is_news(load.kept.as_ref(), decision))
}

fn is_news(kept: Option<&ScalingDecision>, decision: &ScalingDecision) -> bool {
    match (&decision.verdict, kept.map(|kept| &kept.verdict)) {
        (Verdict::Hold { reason }, Some(Verdict::Hold { reason: before })) => reason != before,
        (Verdict::Hold { .. } | Verdict::Scale { .. }, _) => true,
    }
}
