//! The end of a run: the topics, folded to the last state of each row, are the database, row by row and with all columns.
//!
//! What was not seen at all is told as lost elsewhere. What is newer in a topic was written after somebody looked at the
//! database, and is compared with the history alone. Accounts and lists are compared in [`crate::ledgers`].

use crate::check::Found;
use crate::history::{Final, History, Stretch};
use crate::rows::RowCheck;

impl RowCheck {
    pub(crate) fn finish_state(&self, history: &History, found: &mut Found) {
        let Some(finals) = &history.finals else {
            return;
        };
        let corrupt = &mut found.verdict.corrupt;
        if self.rows.registers {
            for last in &finals.registers {
                if let Some(why) = self.differs(last) {
                    corrupt.add(|| format!("register {}, version {}: {why}", last.id, last.ver));
                }
            }
        }
        if self.rows.appends {
            for stretch in &finals.stretches {
                let Stretch {
                    writer, from, to, ..
                } = stretch;
                if self.sum(stretch).is_some_and(|it| it != stretch.sum) {
                    corrupt.add(|| {
                        format!("appends {from} to {to} of writer {writer}: the database holds other rows than were seen")
                    });
                }
            }
        }
    }

    fn differs(&self, last: &Final) -> Option<&'static str> {
        let (ver, seen) = self.registers.get(&last.id)?.last;
        if ver != last.ver {
            return None;
        }
        match (last.by, last.row, seen) {
            (None, _, Some(_)) => Some("the database has no such row, the topic has"),
            (Some(_), _, None) => Some("the database has the row, the topic deleted it"),
            (Some(_), Some(held), Some(seen)) if held != seen => {
                Some("the database holds another row than was seen")
            }
            _ => None,
        }
    }

    /// The digests of a stretch of appends, added up; none when one of them was not seen.
    fn sum(&self, stretch: &Stretch) -> Option<u64> {
        let seen = self.appends.get(&stretch.writer)?;
        let mut rows = stretch.from..=stretch.to;
        rows.try_fold(0_u64, |sum, seq| {
            Some(sum.wrapping_add(seen.get(seq)?.digest))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::history::Finals;
    use crate::verdict::Rows;
    use crate::{Mode, Verdict, model, verify};

    /// A faultless run, with a database that holds something else at the end.
    fn judged(spoil: impl Fn(&mut Finals)) -> Verdict {
        let (mut history, events) = model::run(9, 400, 20);
        spoil(
            history
                .finals
                .as_mut()
                .expect("a model looks at its database"),
        );
        let rows = Rows::of_topics(model::TABLE, &model::TOPICS);
        verify(&history, events, &Mode::Rows(rows))
    }

    #[test]
    fn a_database_that_differs_in_one_column_of_one_row_is_told_from_its_topic() {
        assert!(judged(|_| ()).passed);
        let table: &[fn(&mut Finals)] = &[
            |it| {
                let live = it.registers.iter_mut().find(|it| it.row.is_some());
                live.expect("a live register").row = Some(1);
            },
            |it| {
                let live = it.registers.iter_mut().find(|it| it.row.is_some());
                let live = live.expect("a live register");
                (live.by, live.row) = (None, None);
            },
            |it| it.stretches[1].sum ^= 1,
            |it| it.ledgers[0].value = "7".to_owned(),
            |it| it.ledgers[20].by.1 += 1,
        ];
        for (number, spoil) in table.iter().enumerate() {
            let verdict = judged(spoil);
            assert_eq!(verdict.corrupt.count, 1, "{number}: {verdict}");
        }
    }

    #[test]
    fn a_look_at_the_database_before_the_end_is_no_fault() {
        let (history, events) = model::run(9, 400, 20);
        let (earlier, _) = model::run(9, 200, 20);
        let history = crate::History {
            finals: earlier.finals,
            ..history
        };
        let rows = Rows::of_topics(model::TABLE, &model::TOPICS);
        let verdict = verify(&history, events, &Mode::Rows(rows));
        assert!(verdict.passed, "{verdict}");
    }
}
