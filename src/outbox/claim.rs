//! Claim: one statement takes due rows under a lease, and counts the attempt.
//!
//! The lease is data, not a status: in flight means `lease_until > now()`. A lapsed lease is taken by
//! the ordinary claim, which writes the attempt that never ended down as `unknown`; there is no janitor.
//! No transaction, lock or connection is held while the call runs.

mod look;
mod low_water;
mod sweep;
mod take;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use uuid::Uuid;

pub use self::look::Look;
use self::low_water::{LowWater, Position};
use self::sweep::Sweep;
use self::take::Row;
use super::line::{Line, answered};
use crate::notification::{Claim, LeaseToken};

/// One app's claims by one daemon.
#[derive(Debug)]
pub struct Claimer {
    line: Line,
    app: String,
    daemon: String,
    lease: Duration,
    mark: LowWater,
    sweep: Sweep,
}

/// Which rows a claim may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Due rows, as many as there are free slots, while the app's gate is open.
    Due(usize),
    /// One due row although the breaker is not closed: is the outage over? `in_doubt`: rather one whose last call stayed
    /// without an answer.
    Probe { in_doubt: bool },
    /// One row that was in flight at two lapsed claims. It runs alone, so that a third lapse is its own. `as_probe`
    /// although the breaker is not closed, when nothing else is due.
    Suspect { as_probe: bool },
}

impl Claimer {
    pub fn new(line: Line, app: &str, daemon: &str, lease: Duration) -> Self {
        Claimer {
            line: line.keeping_plans(),
            app: app.to_owned(),
            daemon: daemon.to_owned(),
            lease,
            mark: LowWater::default(),
            sweep: Sweep::new(),
        }
    }

    /// The line, for the statements on `app_state` that stand between two claims.
    pub fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// True when the next claim walks from the beginning instead of from the mark.
    pub fn sweeps_next(&self) -> bool {
        self.sweep.is_due_here()
    }

    /// The next claim sweeps, however long that takes.
    pub fn sweep_next(&mut self) {
        self.sweep.force();
    }

    /// The next claim sweeps, unless there is so much to step over that it is made aside.
    pub fn sweep_soon(&mut self) {
        self.sweep.soon();
    }

    pub async fn claim(&mut self, reach: Reach) -> Result<Vec<Claim>> {
        self.mind_the_sweep();
        let sweep = self.sweep.is_due_here() || matches!(reach, Reach::Probe { .. });
        let from = self.mark.from(sweep);
        let token = LeaseToken(Uuid::new_v4());
        let mut connection = self.line.take().await?;
        let claimed_at = Instant::now();
        let rows = match reach {
            Reach::Due(slots) => {
                answered(self.due(&mut connection, token, slots, false, from)).await
            }
            Reach::Probe { in_doubt } => {
                answered(self.probe(&mut connection, token, in_doubt, from)).await
            }
            Reach::Suspect { as_probe } => {
                answered(self.suspect(&mut connection, token, as_probe)).await
            }
        }
        .context("claim due notifications");
        let swept = sweep && !matches!(reach, Reach::Suspect { .. });
        match &rows {
            Ok(_) if swept => self.sweep.made_here(claimed_at.elapsed()),
            Err(_) if swept => self.sweep.failed_here(),
            Ok(_) | Err(_) => {}
        }
        let rows = rows?;
        self.line.back(connection).await?;

        if let Reach::Due(slots) = reach {
            for (level, taken) in by_priority(&rows) {
                if sweep && rows.len() >= slots {
                    self.mark.rewind(level, taken);
                } else {
                    self.mark.advance(level, taken);
                }
            }
        }
        Ok(rows
            .into_iter()
            .map(|row| row.into_claim(token, claimed_at, self.lease))
            .collect())
    }

    /// True when a suspect is due. Cheap: it has an index of its own, empty in good times.
    pub async fn suspect_is_due(&mut self) -> Result<bool> {
        let mut connection = self.line.take().await?;
        let due = answered(
            sqlx::query_scalar!(
                r#"-- outboxd suspect is due
                select exists (
                    select from outboxd.notification_outbox c
                     where app = $1 and lapses >= 1 and lapses + (lease_token is not null)::int >= 2
                       and next_attempt_at <= statement_timestamp()
                       and (lease_until is null or lease_until < statement_timestamp()
                            or lease_until > statement_timestamp() + interval '20 minutes')
                       and format_version <= 1
                       and (order_key is null or not exists (
                           select from outboxd.notification_outbox p
                            where p.app = c.app and p.order_key = c.order_key and p.id < c.id))) as "due!""#,
                self.app
            )
            .fetch_one(&mut connection),
        )
        .await
        .context("look for suspects")?;
        self.line.back(connection).await?;
        Ok(due)
    }

    pub async fn close(mut self) {
        self.line.close().await;
    }
}

/// The furthest position taken, by level of priority.
fn by_priority(rows: &[Row]) -> Vec<(usize, Position)> {
    let mut furthest = [None; 3];
    for row in rows {
        if let Ok(level @ 0..=2) = usize::try_from(row.priority - 1) {
            furthest[level] = furthest[level].max(Some(Position(row.due_us, row.id)));
        }
    }
    let taken = furthest.into_iter().enumerate();
    taken
        .filter_map(|(level, position)| Some((level, position?)))
        .collect()
}
