//! The numbers: per app what waits, what was given up, and how the last hour went against the targets.
//!
//! Every count is capped: the front of each app's queue, of each priority what is due and what comes later; of the last hour's
//! attempts and settled rows so many of every five minutes; the last day's trouble. A number at its cap says so.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::service::{self, NAMES};
use crate::outbox::session::{in_order_of_an_index, planned_anew};

/// A count that stopped counting at its cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capped {
    pub n: i64,
    pub more: bool,
}

impl Capped {
    /// From a count that went one further than the cap.
    pub fn of(counted: i64, cap: i64) -> Capped {
        Capped {
            n: counted.min(cap),
            more: counted > cap,
        }
    }
}

impl fmt::Display for Capped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.n, if self.more { "+" } else { "" })
    }
}

/// A share of a whole, against its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub good: i64,
    pub of: i64,
}

impl Share {
    /// Nothing to judge yet is no share.
    pub fn percent(self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts are capped far below 2^52"
        )]
        (self.of > 0).then(|| self.good as f64 * 100.0 / self.of as f64)
    }
}

/// What was given up in the last 24 hours for one reason.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub status: String,
    pub reason: String,
    pub count: i64,
}

/// One app's numbers.
#[derive(Clone, Debug, Default)]
pub struct AppStats {
    pub app: String,
    pub due: Capped,
    /// Of those that are not behind another of their `order_key`.
    pub oldest_due_at: Option<DateTime<Utc>>,
    pub in_flight: i64,
    pub retrying: i64,
    pub scheduled: i64,
    /// Waiting for the user's permission.
    pub awaiting_grant: Capped,
    /// All unsettled rows, those that wait for a permission among them, when the app is paused or its breaker is open.
    pub held: Option<Capped>,
    pub paused_at: Option<DateTime<Utc>>,
    pub paused_by: Option<String>,
    pub pause_reason: Option<String>,
    pub breaker: Option<String>,
    pub breaker_until: Option<DateTime<Utc>>,
    pub breaker_reason: Option<String>,
    /// A daemon left a sign within the last minute: an attempt, or a lease that lives.
    pub served: bool,
    /// Since when rows wait that a daemon could claim.
    pub claimable_since: Option<DateTime<Utc>>,
    /// They waited a minute and more without a sign of a daemon: since when.
    pub unserved_since: Option<DateTime<Utc>>,
    /// Of an unserved app: others that were served within the last hour.
    pub others_served: Vec<String>,
    pub trouble: Vec<Trouble>,
    /// Attempts that ended in the last hour.
    pub attempts: Capped,
    pub p95_ms: Option<f64>,
    /// Notifications settled in the last hour: delivered, of those that were to be delivered. A person who
    /// gave no permission counts in `authorised`, not here.
    pub success: Share,
    /// Distinct recipients of the last hour that WeChat did not refuse with 43101, and for whom nothing waits.
    pub authorised: Share,
}

/// How many rows each capped number looks at.
const FRONT: i64 = 10_000;
const TROUBLE: i64 = 100_000;
/// Of each five minutes of the last hour: a busy hour's shares and times are those of a sample, as on the chart of the day.
const SAMPLE: i64 = 1_000;

/// Every app that has work, a state, or a recent past.
pub async fn stats(conn: &mut PgConnection) -> sqlx::Result<Vec<AppStats>> {
    planned_anew(conn, all).await
}

async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<AppStats>> {
    let mut apps = waiting(conn).await?;
    let trouble = async |conn: &mut PgConnection| {
        sqlx::query!(
        r#"-- outboxd stats: trouble
           select t.app, t.status, t.reason, count(*) as "count!" from (
               select d.app, d.status, d.reason from outboxd.notification_delivery d
                where d.status <> 'delivered' and d.settled_at > statement_timestamp() - interval '24 hours'
                order by d.settled_at desc, d.id desc limit $1) t
            where t.status in ('dead', 'expired')
            group by 1, 2, 3 order by 4 desc, 1, 2, 3 limit 1000"#,
        TROUBLE
    )
    .fetch_all(conn)
    .await
    };
    for row in in_order_of_an_index(conn, trouble).await? {
        entry(&mut apps, row.app).trouble.push(Trouble {
            status: row.status,
            reason: row.reason,
            count: row.count,
        });
    }
    for row in sqlx::query!(
        r#"-- outboxd stats: attempts
           with sample as materialized (
               select part.n, a.app, a.latency_ms, a.phase
                 from generate_series(1, 12) as part(n)
                cross join lateral (
                      select a.app, a.latency_ms, a.phase from outboxd.notification_attempt a
                       where a.ended_at > statement_timestamp() - part.n * interval '5 minutes'
                         and a.ended_at <= statement_timestamp() - (part.n - 1) * interval '5 minutes'
                       limit $1) a)
           select a.app as "app!", count(*) as "attempts!",
                  percentile_cont(0.95) within group (order by a.latency_ms)
                      filter (where a.phase in ('sent', 'answered')) as p95_ms,
                  exists (select from sample s group by s.n having count(*) >= $1) as "more!"
             from sample a group by 1 order by 1 limit 1000"#,
        SAMPLE
    )
    .fetch_all(&mut *conn)
    .await?
    {
        let app = entry(&mut apps, row.app);
        app.attempts = Capped {
            n: row.attempts,
            more: row.more,
        };
        app.p95_ms = row.p95_ms;
    }
    for row in sqlx::query!(
        r#"-- outboxd stats: settled
           select d.app as "app!",
                  count(*) filter (where d.status = 'delivered') as "delivered!",
                  count(*) filter (where d.status in ('delivered', 'dead', 'expired')
                                     and d.errcode is distinct from 43101) as "due!",
                  count(distinct d.recipient) filter (where d.errcode = 43101) as "refusing!",
                  count(distinct d.recipient) filter (where d.status in ('delivered', 'dead')
                                                         or d.errcode = 43101) as "recipients!"
             from ((select d.app, d.status, d.errcode, d.recipient
                      from generate_series(1, 12) as part(n)
                     cross join lateral (
                           select d.app, d.status, d.errcode, d.recipient from outboxd.notification_delivery d
                            where d.settled_at > statement_timestamp() - part.n * interval '5 minutes'
                              and d.settled_at <= statement_timestamp() - (part.n - 1) * interval '5 minutes'
                            limit $1) d)
                   union all
                   (select o.app, 'awaiting_grant', 43101, o.recipient from outboxd.notification_outbox o
                     where o.awaits_grant and o.next_attempt_at > statement_timestamp() limit $2)) d
            group by 1 order by 1 limit 1000"#,
        SAMPLE,
        FRONT
    )
    .fetch_all(&mut *conn)
    .await?
    {
        let app = entry(&mut apps, row.app);
        app.success = Share {
            good: row.delivered,
            of: row.due,
        };
        app.authorised = Share {
            good: row.recipients - row.refusing,
            of: row.recipients,
        };
    }
    let now = super::now(&mut *conn).await?;
    let attempted = service::attempted(conn).await?;
    Ok(judged(apps, now, &attempted))
}

/// Says of each app whether it is served, by the evidence `why` goes by.
fn judged(
    mut apps: BTreeMap<String, AppStats>,
    now: DateTime<Utc>,
    attempted: &[String],
) -> Vec<AppStats> {
    let of_the_hour: Vec<String> = apps
        .values()
        .filter(|app| app.attempts.n > 0)
        .map(|app| app.app.clone())
        .collect();
    for app in apps.values_mut() {
        app.served = app.in_flight > 0 || attempted.contains(&app.app);
        // An open breaker lets nobody claim before its time.
        let since = app.claimable_since.filter(|_| app.paused_at.is_none());
        app.claimable_since = since.map(|since| app.breaker_until.map_or(since, |t| t.max(since)));
        app.unserved_since = app
            .claimable_since
            .filter(|since| !app.served && service::is_too_long(now, *since));
        if app.unserved_since.is_some() {
            let others = of_the_hour.iter().filter(|other| **other != app.app);
            app.others_served = others.take(NAMES).cloned().collect();
        }
    }
    apps.into_values().collect()
}

fn entry(apps: &mut BTreeMap<String, AppStats>, app: String) -> &mut AppStats {
    apps.entry(app.clone()).or_insert_with(|| AppStats {
        app,
        ..AppStats::default()
    })
}

/// The queue's front and what waits for a permission, app by app. The apps are found by hopping along the index, not by reading it.
async fn waiting(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<String, AppStats>> {
    let rows = sqlx::query!(
        r#"-- outboxd stats: waiting
           with recursive hop as (
               (select o.app from outboxd.notification_outbox o order by o.app limit 1)
               union all
               select (select o.app from outboxd.notification_outbox o where o.app > hop.app order by o.app limit 1)
                 from hop where hop.app is not null),
           apps as (
               (select hop.app from hop where hop.app is not null limit 1000)
               union
               -- One that is neither served nor held any more is none, though it once had a token.
               (select s.app from outboxd.app_state s
                 where s.paused_at is not null or s.breaker <> 'closed'
                       or coalesce(s.token_expires_at > statement_timestamp() - interval '1 day', true)
                 order by s.app limit 1000))
           select apps.app as "app!", front.rows as "rows!", front.due as "due!", front.in_flight as "in_flight!",
                  front.retrying as "retrying!", front.scheduled as "scheduled!",
                  awaiting.n as "awaiting!", front.claimable_since, front.oldest_due_at,
                  s.paused_at, s.paused_by, s.pause_reason, s.breaker as "breaker?", s.breaker_until, s.breaker_reason
             from apps
             left join outboxd.app_state s using (app)
             cross join lateral (
                  select count(*) as rows,
                         count(*) filter (where not live and next_attempt_at <= statement_timestamp()) as due,
                         count(*) filter (where live) as in_flight,
                         count(*) filter (where not live and attempts > 0) as retrying,
                         count(*) filter (where not live and attempts = 0
                                            and next_attempt_at > statement_timestamp()) as scheduled,
                         -- Of so many that not all were looked at, the oldest counts in any case.
                         coalesce(min(next_attempt_at) filter (where not live and turn),
                                  case when count(*) filter (where next_attempt_at <= statement_timestamp()) >= $1
                                       then min(next_attempt_at) filter (where not live and next_attempt_at <= statement_timestamp()) end)
                             as oldest_due_at,
                         min(greatest(next_attempt_at, created_at,
                                      case when lease_until <= statement_timestamp() then lease_until end))
                             filter (where not live and turn and format_version <= 1) as claimable_since
                    from (select o.*, coalesce(o.lease_until between statement_timestamp()
                                                     and statement_timestamp() + interval '20 minutes', false) as live,
                                 -- Due, and not behind another of its order_key.
                                 case when o.next_attempt_at > statement_timestamp() then false
                                      when o.order_key is null then true
                                      else not exists (select from outboxd.notification_outbox p
                                                        where p.app = apps.app and p.order_key = o.order_key
                                                          and p.id < o.id) end as turn
                            from generate_series(1, 3) as p(priority)
                           cross join lateral (
                                 (select o.id, o.next_attempt_at, o.attempts, o.order_key, o.lease_until, o.format_version,
                                         least(o.created_at, statement_timestamp()) as created_at
                                    from outboxd.notification_outbox o
                                   where o.app = apps.app and o.priority = p.priority
                                     and o.next_attempt_at <= statement_timestamp()
                                   order by o.next_attempt_at, o.id limit $1)
                                 union all
                                 -- Those that wait for a permission stand among these, however many. They are passed by
                                 -- behind the limit, and counted apart.
                                 (select l.id, l.next_attempt_at, l.attempts, l.order_key, l.lease_until, l.format_version,
                                         l.created_at
                                    from (select o.id, o.next_attempt_at, o.attempts, o.order_key, o.lease_until,
                                                 o.format_version, o.awaits_grant,
                                                 least(o.created_at, statement_timestamp()) as created_at
                                            from outboxd.notification_outbox o
                                           where o.app = apps.app and o.priority = p.priority
                                             and o.next_attempt_at > statement_timestamp()
                                           order by o.next_attempt_at, o.id limit $1) l
                                   where not l.awaits_grant)) o
                          offset 0) front) front
             cross join lateral (
                  select count(*) as n from (
                         select from outboxd.notification_outbox o
                          where o.app = apps.app and o.awaits_grant and o.next_attempt_at > statement_timestamp()
                          limit $1) w) awaiting
            order by 1 limit 1000"#,
        FRONT + 1
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let open = matches!(row.breaker.as_deref(), Some("open" | "half_open"));
            let stats = AppStats {
                app: row.app.clone(),
                due: Capped::of(row.due, FRONT),
                oldest_due_at: row.oldest_due_at,
                in_flight: row.in_flight,
                retrying: row.retrying,
                scheduled: row.scheduled,
                awaiting_grant: Capped::of(row.awaiting, FRONT),
                held: (open || row.paused_at.is_some())
                    .then(|| Capped::of(row.rows - row.in_flight + row.awaiting, FRONT)),
                paused_at: row.paused_at,
                paused_by: row.paused_by,
                pause_reason: row.pause_reason,
                breaker: row.breaker,
                breaker_until: row.breaker_until,
                breaker_reason: row.breaker_reason,
                claimable_since: row.claimable_since,
                ..AppStats::default()
            };
            (row.app, stats)
        })
        .collect())
}
