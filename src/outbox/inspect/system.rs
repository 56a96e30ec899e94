//! The machinery as the database sees it: which daemons are at work, what they hold, and how the schema stands.
//!
//! Daemons keep no register of themselves; one is known by what it leaves behind.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::Capped;
use crate::outbox::schema::{self, SchemaStatus};
use crate::outbox::session::planned_anew;

/// How many attempts of the last minute and of the last hour are looked at, and leases of each app and priority.
const ATTEMPTS: i64 = 100_000;
const FRONT: i64 = 1000;

/// The machinery.
#[derive(Clone, Debug)]
pub struct System {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// PostgreSQL's version, as it says it.
    pub server_version: String,
    pub schema: SchemaStatus,
    pub daemons: Vec<DaemonSeen>,
    pub gates: Vec<GateFacts>,
    pub wake_up: WakeUp,
    pub receipts: Receipts,
}

/// Whether an insert wakes an idle daemon, or waits for its next look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WakeUp {
    /// The trigger that calls a sleeper is there and fires.
    pub is_on: bool,
    /// Apps of which a daemon sleeps just now.
    pub asleep: Vec<String>,
}

/// What the receiver's receipts were needed for, in the last 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    pub attempts: Capped,
    /// Attempts nobody knows the end of, each of them asked about before anything is sent again.
    pub unknown: i64,
    /// Attempts answered from a receipt: sent earlier, and not a second time.
    pub found: i64,
}

/// A daemon that left a sign within the last hour, for one app.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSeen {
    pub daemon: String,
    pub app: String,
    /// Its last attempt; `None` when only a lease speaks of it.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// Calls under way: leases that live.
    pub leases: i64,
    /// Until when the last of them lives.
    pub leased_until: Option<DateTime<Utc>>,
    /// Leases that ran out before their attempt ended, and that nobody has taken over yet.
    pub lapsed: i64,
}

/// What the database knows of an app's gate and credentials, beyond `stats`.
#[derive(Clone, Debug, PartialEq)]
pub struct GateFacts {
    pub app: String,
    pub paused_at: Option<DateTime<Utc>>,
    pub paused_by: Option<String>,
    pub pause_reason: Option<String>,
    pub breaker: String,
    pub breaker_since: Option<DateTime<Utc>>,
    pub breaker_until: Option<DateTime<Utc>>,
    pub breaker_reason: Option<String>,
    pub breaker_errcode: Option<i32>,
    /// Probes that failed since it opened.
    pub breaker_strikes: i32,
    /// When a daemon first fetched the access token that was fetched last, and until when it is used.
    pub token_fetched_at: Option<DateTime<Utc>>,
    pub token_expires_at: Option<DateTime<Utc>>,
    /// The fleet's last forced refresh of the access token; at most 20 on a day of UTC+8.
    pub forced_refresh_at: Option<DateTime<Utc>>,
    pub forced_refresh_day: Option<NaiveDate>,
    pub forced_refresh_count: i32,
}

/// Looks at all of it.
pub async fn system(conn: &mut PgConnection) -> sqlx::Result<System> {
    planned_anew(conn, all).await
}

async fn all(conn: &mut PgConnection) -> sqlx::Result<System> {
    let server = sqlx::query!(
        r#"-- outboxd system
           select statement_timestamp() as "now!", current_setting('server_version') as "version!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let schema = schema::status(&mut *conn).await?;
    let daemons = daemons(&mut *conn).await?;
    let gates = sqlx::query_as!(
        GateFacts,
        r#"-- outboxd gates
           select s.app, s.paused_at, s.paused_by, s.pause_reason, s.breaker, s.breaker_since, s.breaker_until,
                  s.breaker_reason, s.breaker_errcode, s.breaker_strikes, s.token_fetched_at, s.token_expires_at,
                  s.forced_refresh_at, s.forced_refresh_day,
                  s.forced_refresh_count
             from outboxd.app_state s order by s.app limit 1000"#
    )
    .fetch_all(&mut *conn)
    .await?;
    let wake_up = wake_up(&mut *conn).await?;
    let receipts = receipts(conn).await?;
    Ok(System {
        now: server.now,
        server_version: server.version,
        schema,
        daemons,
        gates,
        wake_up,
        receipts,
    })
}

/// A sleeper holds its app's lock (migrations/0007); whose it is, the known apps tell.
async fn wake_up(conn: &mut PgConnection) -> sqlx::Result<WakeUp> {
    let is_on = sqlx::query_scalar!(
        r#"-- outboxd wake-up
           select exists (
                  select from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
                   where n.nspname = 'outboxd' and c.relname = 'notification_outbox' and t.tgname = 'wake_sleeper'
                     and t.tgenabled in ('O', 'A')) as "is_on!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let asleep = sqlx::query_scalar!(
        r#"-- outboxd wake-up: asleep
           select distinct known.app as "app!" from (
                  select s.app from outboxd.app_state s
                  union
                  select recent.app from (select a.app from outboxd.notification_attempt a
                                           where a.ended_at > statement_timestamp() - interval '1 hour' limit $1) recent) known
             join pg_locks l on l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.mode = 'ExclusiveLock'
                  and l.database = (select d.oid from pg_database d where d.datname = current_database())
                  and (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(known.app, -2112352295251475)
            order by 1 limit 1000"#,
        ATTEMPTS
    )
    .fetch_all(conn)
    .await?;
    Ok(WakeUp { is_on, asleep })
}

async fn receipts(conn: &mut PgConnection) -> sqlx::Result<Receipts> {
    let row = sqlx::query!(
        r#"-- outboxd receipts
           select count(*) as "attempts!",
                  count(*) filter (where a.outcome = 'unknown') as "unknown!",
                  count(*) filter (where a.sentence = 'accepted_duplicate') as "found!"
             from (select a.outcome, a.sentence from outboxd.notification_attempt a
                    where a.ended_at > statement_timestamp() - interval '24 hours' limit $1) a"#,
        ATTEMPTS + 1
    )
    .fetch_one(conn)
    .await?;
    Ok(Receipts {
        attempts: Capped::of(row.attempts, ATTEMPTS),
        unknown: row.unknown,
        found: row.found,
    })
}

/// The last minute beside the last hour: a busy hour is cut short at its beginning, and the minute says who is there now.
async fn daemons(conn: &mut PgConnection) -> sqlx::Result<Vec<DaemonSeen>> {
    sqlx::query_as!(
        DaemonSeen,
        r#"-- outboxd daemons
           with recursive hop as (
               (select o.app from outboxd.notification_outbox o order by o.app limit 1)
               union all
               select (select o.app from outboxd.notification_outbox o where o.app > hop.app order by o.app limit 1)
                 from hop where hop.app is not null),
           seen as (
               select recent.daemon, recent.app, max(recent.ended_at) as last_attempt_at from (
                      (select a.daemon, a.app, a.ended_at from outboxd.notification_attempt a
                        where a.phase <> 'lapsed' and a.ended_at > statement_timestamp() - interval '1 minute' limit $1)
                      union all
                      (select a.daemon, a.app, a.ended_at from outboxd.notification_attempt a
                        where a.phase <> 'lapsed' and a.ended_at > statement_timestamp() - interval '1 hour' limit $1)) recent
                group by 1, 2),
           held as (
               select front.leased_by as daemon, hop.app,
                      count(*) filter (where front.lives) as leases,
                      max(front.lease_until) filter (where front.lives) as leased_until,
                      count(*) filter (where not front.lives) as lapsed
                 from hop cross join generate_series(1, 3) as p(priority)
                cross join lateral (
                      select o.leased_by, o.lease_until,
                             o.lease_until between statement_timestamp()
                                               and statement_timestamp() + interval '20 minutes' as lives
                        from outboxd.notification_outbox o
                       where o.app = hop.app and o.priority = p.priority
                       order by o.next_attempt_at, o.id limit $2) front
                where front.leased_by is not null
                group by 1, 2)
           select daemon as "daemon!", app as "app!", seen.last_attempt_at, coalesce(held.leases, 0) as "leases!",
                  held.leased_until, coalesce(held.lapsed, 0) as "lapsed!"
             from seen full join held using (daemon, app)
            order by 1, 2 limit 1000"#,
        ATTEMPTS,
        FRONT
    )
    .fetch_all(conn)
    .await
}
