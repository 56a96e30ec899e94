//! Look: the one cheap question a lane with nothing to do asks, instead of suspects, claim and gate.
//!
//! It names no row and takes none. It may say that something is due where a claim finds nothing to take (a row behind
//! another of its `order_key`, or one that another daemon takes this moment); it never says that nothing is due where a
//! claim would take a row. It walks from the beginning, so it also sees what was committed late.

use std::time::Duration;

use anyhow::{Context, Result};

use super::line::{Line, answered};

/// What a lane may know before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The app is paused, or its breaker is not closed.
    pub held: bool,
    /// When the next row comes due, up to an hour ahead; zero: now.
    pub due_in: Option<Duration>,
}

pub async fn look(line: &mut Line, app: &str) -> Result<Look> {
    let mut connection = line.take().await?;
    // A lease that is running is left out, not waited for: its daemon ends it, and what a crash leaves behind is found by
    // a later look. The hour keeps the numbers small, whatever is written into a row.
    let row = answered(
        sqlx::query!(
            r#"-- outboxd look
            select exists (select from outboxd.app_state
                            where app = $1 and (paused_at is not null or breaker <> 'closed')) as "held!",
                   (select min(greatest(extract(epoch from least(next.at, statement_timestamp() + interval '1 hour')
                                                           - statement_timestamp()) * 1000000, 0))::bigint
                      from unnest(array[1, 2, 3]::smallint[]) as level (priority)
                     cross join lateral (
                           select c.next_attempt_at as at
                             from outboxd.notification_outbox c
                            where c.app = $1 and c.priority = level.priority
                              and c.next_attempt_at < 'infinity'
                              and (c.lease_until is null or c.lease_until < statement_timestamp()
                                   or c.lease_until > statement_timestamp() + interval '20 minutes')
                              and c.format_version <= 1
                            order by c.next_attempt_at, c.id
                            limit 1) next) as due_in_us"#,
            app
        )
        .fetch_one(&mut connection),
    )
    .await
    .context("look for due notifications")?;
    line.back(connection).await?;
    Ok(Look {
        held: row.held,
        due_in: row
            .due_in_us
            .map(|us| Duration::from_micros(us.unsigned_abs())),
    })
}
