//! Look: the one cheap question a lane with nothing to do asks, instead of suspects, claim and gate.
//!
//! It names no row and takes none. It may say that something is due where a claim finds nothing to take (a row behind
//! another of its `order_key`, or one that another daemon takes this moment); it never says that nothing is due where a
//! claim would take a row. It walks where a claim would: from the mark, and as a sweep when one is due.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Claimer;
use super::low_water::columns;
use crate::outbox::line::answered;

/// What a lane may know before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The app is paused, or its breaker is not closed.
    pub held: bool,
    /// When the next row comes due, up to an hour ahead; zero: now.
    pub due_in: Option<Duration>,
    /// It walked from the beginning.
    pub swept: bool,
}

impl Claimer {
    pub async fn look(&mut self) -> Result<Look> {
        let began = Instant::now();
        self.mind_the_sweep();
        let swept = self.sweep.is_due_here();
        let (from_us, from_id) = columns(self.mark.from(swept));
        let mut connection = self.line.take().await?;
        // A lease that is running is left out, not waited for: its daemon ends it, and what a crash leaves behind is found by
        // a later look. The hour keeps the numbers small, whatever is written into a row.
        let row = answered(
        sqlx::query!(
            r#"-- outboxd look
            select exists (select from outboxd.app_state
                            where app = $1 and (paused_at is not null or breaker <> 'closed')) as "held!",
                   (select min(greatest(extract(epoch from least(next.at, statement_timestamp() + interval '1 hour')
                                                           - statement_timestamp()) * 1000000, 0))::bigint
                      from unnest(array[1, 2, 3]::smallint[], $2::bigint[], $3::bigint[]) as level (priority, from_us, from_id)
                     cross join coalesce(timestamptz 'epoch' + from_us * interval '1 microsecond', '-infinity') as mark
                     cross join lateral (
                           select c.next_attempt_at as at
                             from outboxd.notification_outbox c
                            where c.app = $1 and c.priority = level.priority
                              and (c.next_attempt_at, c.id) >= (
                                  least(mark, statement_timestamp() - interval '500 milliseconds'),
                                  case when mark < statement_timestamp() - interval '500 milliseconds' then from_id
                                       else -9223372036854775808 end)
                              and c.next_attempt_at < 'infinity'
                              and (c.lease_until is null or c.lease_until < statement_timestamp()
                                   or c.lease_until > statement_timestamp() + interval '20 minutes')
                              and c.format_version <= 1
                            order by c.next_attempt_at, c.id
                            limit 1) next) as due_in_us"#,
            self.app,
            &from_us as &[Option<i64>],
            &from_id,
        )
        .fetch_one(&mut connection),
    )
    .await
    .context("look for due notifications")?;
        self.line.back(connection).await?;
        if swept {
            self.sweep.made_here(began.elapsed());
        }
        Ok(Look {
            held: row.held,
            due_in: row
                .due_in_us
                .map(|us| Duration::from_micros(us.unsigned_abs())),
            swept,
        })
    }
}
