//! The gate of each app, one row in `app_state`: who paused it, whether its breaker is open, the fleet's
//! fence around WeChat's forced token refresh, and how old the token is. Every claim passes it, so a pause acts at once everywhere.

use std::time::Duration;

use anyhow::{Context, Result};

use super::line::{Line, answered};
use crate::catalogue::{Entry, Pause};

/// What a daemon may claim now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// An operator paused it, or the breaker is open.
    Shut,
    /// The breaker's pause is over and this daemon, alone in the fleet, may claim one row. The probes take turns: first a
    /// row in doubt, which is asked about and not sent; after a probe that failed any row, for of some rows nobody will
    /// ever answer, and those would keep the breaker open for all the others.
    Probe {
        in_doubt: bool,
    },
}

/// Looks at the gate, and takes the probe when it is due.
pub async fn gate(line: &mut Line, app: &str, probe_for: Duration) -> Result<Gate> {
    let mut connection = line.take().await?;
    let probe_ms = i64::try_from(probe_for.as_millis()).unwrap_or(i64::MAX);
    // A probe whose daemon died is taken over when its time is up: half_open with its time passed.
    let row = answered(
        sqlx::query!(
            r#"-- outboxd gate
            with probe as (
                update outboxd.app_state
                   set breaker = 'half_open', breaker_until = clock_timestamp() + $2::bigint * interval '1 millisecond'
                 where app = $1 and paused_at is null and breaker <> 'closed' and breaker_until <= statement_timestamp()
                returning breaker_strikes
            )
            select (select breaker_strikes from probe) as strikes,
                   exists (select from outboxd.app_state
                            where app = $1 and (paused_at is not null or breaker <> 'closed')) as "shut!""#,
            app,
            probe_ms
        )
        .fetch_one(&mut connection),
    )
    .await
    .context("look at the gate")?;
    line.back(connection).await?;
    Ok(match (row.strikes, row.shut) {
        (Some(strikes), _) => Gate::Probe {
            in_doubt: strikes % 2 != 0,
        },
        (None, true) => Gate::Shut,
        (None, false) => Gate::Open,
    })
}

/// Puts the probe back: there was nothing to claim.
pub async fn return_probe(line: &mut Line, app: &str) -> Result<()> {
    let mut connection = line.take().await?;
    answered(
        sqlx::query!(
            r#"-- outboxd return probe
            update outboxd.app_state set breaker = 'open', breaker_until = clock_timestamp() + interval '1 second'
             where app = $1 and breaker = 'half_open'"#,
            app
        )
        .execute(&mut connection),
    )
    .await?;
    line.back(connection).await
}

/// Opens the breaker. Returns false when it was open already: of many calls that fail at once, one counts.
pub async fn open_breaker(
    line: &mut Line,
    app: &str,
    pause: Pause,
    why: &Entry,
    errcode: Option<i32>,
) -> Result<bool> {
    let (pause_ms, until_tomorrow) = match pause {
        Pause::For(time) => (i64::try_from(time.as_millis()).unwrap_or(i64::MAX), false),
        Pause::UntilTomorrow => (0, true),
    };
    let mut connection = line.take().await?;
    // A probe that fails doubles the pause, up to 30 times it and 15 minutes (or the pause itself, if longer).
    let done = answered(
        sqlx::query!(
            r#"-- outboxd open breaker
            insert into outboxd.app_state as s
                   (app, breaker, breaker_until, breaker_reason, breaker_errcode, breaker_strikes, breaker_since)
            values ($1, 'open',
                    case when $3 then ((date_trunc('day', now() at time zone interval '8 hours') + interval '1 day 5 minutes')
                                       at time zone interval '8 hours')
                         else clock_timestamp() + $2::bigint * interval '1 millisecond' end,
                    $4, $5, 1, clock_timestamp())
            on conflict (app) do update
               set breaker = 'open',
                   -- A quota whose probe is refused was renewed late: again in a while, not in a day.
                   breaker_until = case when $3 and s.breaker = 'closed' then excluded.breaker_until
                       when $3 then clock_timestamp() + least(10 * 2 ^ least(s.breaker_strikes - 1, 10), 240) * interval '1 minute'
                       else clock_timestamp() + greatest($2::bigint, least($2::bigint * 2 ^ least(s.breaker_strikes, 20), $2::bigint * 30, 900000)) * interval '1 millisecond' end,
                   breaker_reason = excluded.breaker_reason, breaker_errcode = excluded.breaker_errcode,
                   breaker_strikes = s.breaker_strikes + 1,
                   breaker_since = coalesce(s.breaker_since, excluded.breaker_since)
             where s.breaker <> 'open'"#,
            app,
            pause_ms,
            until_tomorrow,
            why.key,
            errcode
        )
        .execute(&mut connection),
    )
    .await
    .context("open the breaker")?;
    line.back(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Closes the breaker after a good answer. Returns false when it was closed already.
pub async fn close_breaker(line: &mut Line, app: &str) -> Result<bool> {
    let mut connection = line.take().await?;
    let done = answered(
        sqlx::query!(
            r#"-- outboxd close breaker
            update outboxd.app_state
               set breaker = 'closed', breaker_until = null, breaker_reason = null, breaker_errcode = null,
                   breaker_strikes = 0, breaker_since = null
             where app = $1 and breaker = 'half_open'"#,
            app
        )
        .execute(&mut connection),
    )
    .await
    .context("close the breaker")?;
    line.back(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// WeChat's rule for forced token refreshes, kept for the whole fleet: 30 s apart, at most 20 a day. True for
/// the one daemon that may do it now.
pub async fn may_force_refresh(line: &mut Line, app: &str) -> Result<bool> {
    let mut connection = line.take().await?;
    let done = answered(
        sqlx::query!(
            r#"-- outboxd may force refresh
            insert into outboxd.app_state as s (app, forced_refresh_at, forced_refresh_day, forced_refresh_count)
            values ($1, clock_timestamp(), (now() at time zone interval '8 hours')::date, 1)
            on conflict (app) do update
               set forced_refresh_at = excluded.forced_refresh_at,
                   forced_refresh_count = case when s.forced_refresh_day = excluded.forced_refresh_day
                                               then s.forced_refresh_count + 1 else 1 end,
                   forced_refresh_day = excluded.forced_refresh_day
             where coalesce(s.forced_refresh_at < clock_timestamp() - interval '30 seconds', true)
               and (s.forced_refresh_day is distinct from excluded.forced_refresh_day or s.forced_refresh_count < 20)"#,
            app
        )
        .execute(&mut connection),
    )
    .await
    .context("ask for a forced token refresh")?;
    line.back(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Tells whoever looks since when the app has its token, and until when it is used. WeChat hands every daemon the same one, so
/// it is no newer for being fetched again.
pub async fn note_token(line: &mut Line, app: &str, life: Duration) -> Result<()> {
    let mut connection = line.take().await?;
    answered(
        sqlx::query!(
            r#"-- outboxd note token
            insert into outboxd.app_state as s (app, token_fetched_at, token_expires_at)
            values ($1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2))
            on conflict (app) do update
               set token_fetched_at = case when excluded.token_expires_at between s.token_expires_at - interval '1 minute'
                                                                               and s.token_expires_at + interval '1 minute'
                                           then s.token_fetched_at else excluded.token_fetched_at end,
                   token_expires_at = excluded.token_expires_at"#,
            app,
            life.as_secs_f64()
        )
        .execute(&mut connection),
    )
    .await
    .context("note the token's age")?;
    line.back(connection).await
}
