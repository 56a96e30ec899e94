//! Whether anybody serves an app.
//!
//! Daemons keep no register of themselves; what tells that one is at work is what it leaves behind: a live
//! lease, or an attempt that ended within the last minute. Rows that could have been claimed for a minute
//! without either are rows nobody serves: no daemon is up, or none knows an app of that name.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// A daemon looks every quarter of a second, so a minute without a sign is no coincidence.
pub(super) const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// How many rows at the front of an app's queue are looked at for a live lease: leased rows keep their place.
const FRONT: i64 = 1000;

/// How many attempts of the last hour are looked at for other apps' names, and how many names are told.
const ATTEMPTS: i64 = 10_000;
pub(super) const NAMES: usize = 5;

/// Whether claimable rows that have waited since then, without a sign of a daemon, have waited too long.
pub(super) fn is_too_long(now: DateTime<Utc>, claimable_since: DateTime<Utc>) -> bool {
    now - claimable_since >= PATIENCE
}

/// Nobody serves the app.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Nobody {
    /// Apps of the last hour's attempts: if there are any, daemons are up, and the name is the likely mistake.
    pub(super) others: Vec<String>,
}

/// `None` while there is a sign of a daemon that serves this app.
pub(super) async fn nobody_serves(
    conn: &mut PgConnection,
    app: &str,
) -> sqlx::Result<Option<Nobody>> {
    let served = sqlx::query_scalar!(
        r#"-- outboxd served
           select exists (
                      select from outboxd.notification_attempt a
                       where a.app = $1 and a.ended_at > statement_timestamp() - interval '1 minute')
               or exists (
                      select from (
                          select o.lease_until from outboxd.notification_outbox o where o.app = $1
                           order by o.priority, o.next_attempt_at, o.id limit $2) front
                       where front.lease_until > statement_timestamp()) as "served!""#,
        app,
        FRONT
    )
    .fetch_one(&mut *conn)
    .await?;
    if served {
        return Ok(None);
    }
    let others = sqlx::query_scalar!(
        r#"-- outboxd served: others
           select distinct recent.app as "app!" from (
                  select a.app from outboxd.notification_attempt a
                   where a.ended_at > statement_timestamp() - interval '1 hour' limit $2) recent
            where recent.app <> $1
            order by 1 limit $3"#,
        app,
        ATTEMPTS,
        i64::try_from(NAMES).unwrap_or(i64::MAX)
    )
    .fetch_all(conn)
    .await?;
    Ok(Some(Nobody { others }))
}

/// The apps with an attempt in the last minute.
pub(super) async fn attempted(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"-- outboxd attempted
           select distinct a.app as "app!" from outboxd.notification_attempt a
            where a.ended_at > statement_timestamp() - interval '1 minute'
            order by 1 limit 1000"#
    )
    .fetch_all(conn)
    .await
}
