//! The numbers of the service for `/metrics`: read when scraped, and capped, so that a scrape of a million
//! waiting rows costs no more than one of thirty thousand.

use std::time::Duration;

use sqlx::PgExecutor;

/// One app's backlog, over its 10,000 oldest due rows of each priority.
#[derive(Clone, Debug)]
pub struct Backlog {
    pub app: String,
    pub due: i64,
    pub in_flight: i64,
    pub oldest_due_age: Duration,
    /// Waiting for the user's permission.
    pub awaiting_grant: i64,
    pub paused: bool,
    pub breaker_open: bool,
}

pub async fn backlog(
    connection: impl PgExecutor<'_>,
    apps: &[String],
) -> sqlx::Result<Vec<Backlog>> {
    let rows = sqlx::query!(
        r#"-- outboxd backlog
        select a.app as "app!",
               count(*) filter (where not o.live) as "due!",
               count(*) filter (where o.live) as "in_flight!",
               -- One behind another of its order_key waits for that one's next try, and for nobody's attention. Of so many
               -- that not all were looked at, the oldest counts in any case.
               coalesce(extract(epoch from statement_timestamp() - coalesce(
                   min(o.next_attempt_at) filter (where not o.live and (o.order_key is null or not exists (
                               select from outboxd.notification_outbox p
                                where p.app = a.app and p.order_key = o.order_key and p.id < o.id))),
                   case when count(*) >= 10000 then min(o.next_attempt_at) filter (where not o.live) end)), 0)::float8 as "oldest_s!",
               (select count(*) from (
                       select from outboxd.notification_outbox w
                        where w.app = a.app and w.awaits_grant and w.next_attempt_at > statement_timestamp()
                        limit 10000) waiting) as "awaiting_grant!",
               coalesce(bool_or(s.paused_at is not null), false) as "paused!",
               coalesce(bool_or(s.breaker <> 'closed'), false) as "breaker_open!"
          from unnest($1::text[]) as a (app)
          left join outboxd.app_state s on s.app = a.app
          left join lateral (
               select due.* from (values (1::smallint), (2::smallint), (3::smallint)) as level (priority)
                cross join lateral (
                      select id, order_key, next_attempt_at, coalesce(o.lease_until between statement_timestamp()
                                 and statement_timestamp() + interval '20 minutes', false) as live from outboxd.notification_outbox o
                       where o.app = a.app and o.priority = level.priority and o.next_attempt_at <= statement_timestamp()
                       order by next_attempt_at limit 10000) due) o on true
         group by a.app"#,
        apps
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Backlog {
            app: row.app,
            due: row.due,
            in_flight: row.in_flight,
            oldest_due_age: Duration::from_secs_f64(row.oldest_s.max(0.0)),
            awaiting_grant: row.awaiting_grant,
            paused: row.paused,
            breaker_open: row.breaker_open,
        })
        .collect())
}
