//! `runnel status NAME --decisions`.

use super::{Client, CommandError};
use runnel_api::scaling::{ScalingDecision, Verdict};
use runnel_api::{Name, Page};
use std::io::Write;

/// How many decisions are shown.
const SHOWN: usize = 100;

/// Prints the newest decisions of scaling about a connector, the newest last.
pub async fn print(client: &Client, name: &Name, out: &mut impl Write) -> Result<(), CommandError> {
    let path = format!("/api/v1/connectors/{name}/decisions?limit={SHOWN}");
    let page: Page<ScalingDecision> = client.get(&path).await?;
    if page.items.is_empty() {
        writeln!(out, "no decisions yet")?;
    } else {
        out.write_all(shown(&page.items).as_bytes())?;
    }
    Ok(())
}

/// One line each, oldest first; what is given begins with the newest.
fn shown(decisions: &[ScalingDecision]) -> String {
    let mut rows = vec![[
        "TIME".to_owned(),
        "DECISION".to_owned(),
        "EVIDENCE".to_owned(),
    ]];
    rows.extend(decisions.iter().rev().map(|decision| {
        let made = match &decision.verdict {
            Verdict::Scale { to } => format!("{} → {to}", decision.from),
            Verdict::Hold { reason } => format!("hold {}", super::status::word(reason)),
        };
        let evidence = decision.evidence.text.replace('\n', " ");
        [super::table::time(decision.at_ms), made, evidence]
    }));
    super::table::aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::scaling::{Evidence, HoldReason, Size};

    #[test]
    fn the_table_goes_from_the_oldest_to_the_newest() {
        let size = |workers| Size {
            workers,
            mcu_count: 1,
        };
        let decision = |at_ms, verdict, text: &str| ScalingDecision {
            at_ms,
            from: size(1),
            verdict,
            evidence: Evidence {
                text: text.to_owned(),
                ..Evidence::default()
            },
        };
        let hold = Verdict::Hold {
            reason: HoldReason::CoolDown,
        };
        let newest_first = [
            decision(1_763_845_261_999, hold, ""),
            decision(
                1_763_845_200_000,
                Verdict::Scale { to: size(2) },
                "CPU 91, 92, 93 %",
            ),
            decision(
                u64::MAX,
                Verdict::Hold {
                    reason: HoldReason::Fixed,
                },
                "x",
            ),
        ];
        assert_eq!(
            shown(&newest_first),
            "TIME                  DECISION                                EVIDENCE\n\
             ?                     hold FIXED                              x\n\
             2025-11-22T21:00:00Z  1 worker of 1 MCU → 2 workers of 1 MCU  CPU 91, 92, 93 %\n\
             2025-11-22T21:01:01Z  hold COOL_DOWN\n"
        );
    }
}
