//! Whether anybody serves an app.
//!
//! Daemons keep no register of themselves; what tells that one is at work is what it leaves behind: a live
//! lease, or an attempt that ended within the last minute. Rows that could have been claimed for a minute
//! without either are rows nobody serves: no daemon is up, or none knows an app of that name. All of it belongs to questions
//! that are planned anew.

use std::collections::HashMap;

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

/// The pace is how many settled in the last ten seconds, counted up to a limit.
pub(super) const PACE_SECONDS: i64 = 10;
const PACE: i64 = 10_000;

/// Nobody serves the app.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Nobody {
    /// Apps of the last hour's attempts: if there are any, daemons are up, and the name is the likely mistake.
    pub(super) others: Vec<String>,
}

/// What was seen of each app while one question is answered: a customer's hundred rows are of one app, and
/// the signs are looked for once.
#[derive(Debug, Default)]
pub struct Signs {
    unserved: HashMap<String, Option<Nobody>>,
    paces: HashMap<String, i64>,
}

impl Signs {
    /// `None` while there is a sign of a daemon that serves this app.
    pub(super) async fn nobody_serves(
        &mut self,
        conn: &mut PgConnection,
        app: &str,
    ) -> sqlx::Result<Option<Nobody>> {
        if let Some(seen) = self.unserved.get(app) {
            return Ok(seen.clone());
        }
        let seen = nobody_serves(conn, app).await?;
        self.unserved.insert(app.to_owned(), seen.clone());
        Ok(seen)
    }

    /// How many of this app settled in the last [`PACE_SECONDS`].
    pub(super) async fn pace(&mut self, conn: &mut PgConnection, app: &str) -> sqlx::Result<i64> {
        if let Some(pace) = self.paces.get(app) {
            return Ok(*pace);
        }
        let pace = sqlx::query_scalar!(
            r#"-- outboxd pace
               select count(*) as "pace!" from (
                      select 1 from outboxd.notification_delivery d
                       where d.app = $1 and d.settled_at > statement_timestamp() - $2::bigint * interval '1 second'
                       limit $3) counted"#,
            app,
            PACE_SECONDS,
            PACE
        )
        .fetch_one(conn)
        .await?;
        self.paces.insert(app.to_owned(), pace);
        Ok(pace)
    }
}

async fn nobody_serves(conn: &mut PgConnection, app: &str) -> sqlx::Result<Option<Nobody>> {
    let served = sqlx::query_scalar!(
        r#"-- outboxd served
           select exists (
                      select from outboxd.notification_attempt a
                       where a.app = $1 and a.ended_at > statement_timestamp() - interval '1 minute')
               or exists (
                      select from (
                          select o.lease_until from outboxd.notification_outbox o where o.app = $1
                           order by o.priority, o.next_attempt_at, o.id limit $2) front
                       where front.lease_until between statement_timestamp()
                                                     and statement_timestamp() + interval '20 minutes') as "served!""#,
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
