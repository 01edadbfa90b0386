//! Decisions of scaling with their evidence, as people read them later.

use super::rows::{from_json, int, to_json};
use super::{Store, StoreError};
use runnel_api::scaling::ScalingDecision;
use runnel_api::{Kind, Name};
use rusqlite::params;

/// Decisions that are kept for each connector.
pub const DECISIONS_KEPT: usize = 500;

impl Store {
    /// Records a decision; [`DECISIONS_KEPT`] of each connector are kept, holds go before steps and
    /// old ones before new ones, and all go with the connector. Nothing is written for a connector that is gone meanwhile.
    pub fn add_decision(
        &self,
        connector: &Name,
        decision: &ScalingDecision,
    ) -> Result<(), StoreError> {
        let json = to_json(decision)?;
        self.write(|tx| {
            tx.execute(
                "INSERT INTO scaling_decisions (connector, at_ms, json)
                 SELECT name, ?3, ?4 FROM objects WHERE kind = ?1 AND name = ?2",
                params![
                    Kind::Connector.singular(),
                    connector.as_str(),
                    int(decision.at_ms),
                    json
                ],
            )
            .map_err(StoreError::Sql)?;
            tx.execute(
                "DELETE FROM scaling_decisions WHERE number IN
                   (SELECT number FROM scaling_decisions WHERE connector = ?1
                    ORDER BY json_extract(json, '$.verdict') = 'SCALE' DESC, number DESC
                    LIMIT -1 OFFSET ?2)",
                params![connector.as_str(), int(DECISIONS_KEPT as u64)],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }

    /// The newest decisions about a connector, newest first, at most `limit`.
    pub fn decisions(
        &self,
        connector: &Name,
        limit: usize,
    ) -> Result<Vec<ScalingDecision>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT json FROM scaling_decisions WHERE connector = ?1
                       ORDER BY number DESC LIMIT ?2";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let rows = statement
                .query_map(params![connector.as_str(), int(limit as u64)], |row| {
                    row.get::<_, String>(0)
                })
                .map_err(StoreError::Sql)?;
            rows.map(|text| from_json("scaling_decisions.json", &text.map_err(StoreError::Sql)?))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{name, open, put_connector, with_neighbours};
    use super::*;
    use runnel_api::scaling::{Evidence, HoldReason, Size, Verdict};

    fn decision(at_ms: u64) -> ScalingDecision {
        let from = Size {
            workers: 1,
            mcu_count: 1,
        };
        let verdict = if at_ms.is_multiple_of(2) {
            Verdict::Hold {
                reason: HoldReason::CoolDown,
            }
        } else {
            Verdict::Scale {
                to: Size { workers: 2, ..from },
            }
        };
        ScalingDecision {
            at_ms,
            from,
            verdict,
            evidence: Evidence {
                cpu_percent: vec![Some(90), None],
                threshold_percent: Some(80),
                lag: Some((1, 2)),
                text: format!("number {at_ms}"),
                ..Evidence::default()
            },
        }
    }

    fn hold(at_ms: u64) -> ScalingDecision {
        ScalingDecision {
            verdict: Verdict::Hold {
                reason: HoldReason::CoolDown,
            },
            ..decision(at_ms)
        }
    }

    #[test]
    fn many_holds_do_not_push_out_a_step() {
        let (_folder, store) = open();
        let connector = name("orders");
        put_connector(&store, &with_neighbours(&store), None);
        let step = ScalingDecision {
            verdict: Verdict::Scale {
                to: Size {
                    workers: 2,
                    mcu_count: 1,
                },
            },
            ..hold(1)
        };
        store.add_decision(&connector, &step).unwrap();
        for at_ms in 2..=DECISIONS_KEPT as u64 + 9 {
            store.add_decision(&connector, &hold(at_ms)).unwrap();
        }
        let all = store.decisions(&connector, usize::MAX).unwrap();
        assert_eq!(all.len(), DECISIONS_KEPT);
        assert_eq!(all.last(), Some(&step));
        assert_eq!(all[DECISIONS_KEPT - 2], hold(11));
    }

    #[test]
    fn decisions_read_back_newest_first_bounded_and_go_with_the_connector() {
        let (_folder, store) = open();
        let connector = name("orders");
        store.add_decision(&connector, &hold(0)).unwrap();
        assert_eq!(store.decisions(&connector, 9).unwrap(), [], "no connector");

        let spec = with_neighbours(&store);
        put_connector(&store, &spec, None);
        let kept = DECISIONS_KEPT as u64;
        for at_ms in 1..=kept + 3 {
            store.add_decision(&connector, &hold(at_ms)).unwrap();
        }
        let newest = store.decisions(&connector, 2).unwrap();
        assert_eq!(newest, [hold(kept + 3), hold(kept + 2)]);
        let all = store.decisions(&connector, usize::MAX).unwrap();
        assert_eq!((all.len(), all.last()), (DECISIONS_KEPT, Some(&hold(4))));
        assert_eq!(store.decisions(&name("other"), 9).unwrap(), []);

        let deleted = store
            .begin_delete(Kind::Connector, &connector, None)
            .unwrap()
            .into_operation();
        store
            .finish_delete(&connector, deleted.id, Vec::new())
            .unwrap();
        assert_eq!(store.decisions(&connector, 9).unwrap(), []);
    }
}
