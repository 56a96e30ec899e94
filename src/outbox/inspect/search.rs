//! The searches: from what a person typed to notifications by name, newest first.
//!
//! Each walks one index and stops at its limit. The search box, which knows less of what it looks for, has a
//! file of its own ([`super::find`]).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Standing;
use crate::notification::{NotificationId, Status};

/// A notification a search came up with. The key belongs to it: after a failover to a lagging standby an id
/// alone may name two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub id: i64,
    pub key: Uuid,
}

/// The notifications about one customer, of any aggregate type.
pub async fn of_customer(
    conn: &mut PgConnection,
    customer: &str,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"-- outboxd of_customer
           (select o.id as "id!", o.key as "key!" from outboxd.notification_outbox o
             where o.aggregate_id = $1 order by o.id desc limit $2)
           union all
           (select d.id, d.key from outboxd.notification_delivery d
             where d.aggregate_id = $1 order by d.id desc limit $2)
           order by 1 desc limit $2"#,
        customer,
        limit
    )
    .fetch_all(conn)
    .await
}

/// What `list` is asked for. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Empty: any.
    pub standings: Vec<Standing>,
    pub app: Option<String>,
    pub recipient: Option<String>,
    pub event_type: Option<String>,
    pub reason: Option<String>,
    pub period: Period,
    /// The keyset: only notifications older than this one.
    pub before: Option<NotificationId>,
    pub limit: i64,
}

/// Settled since when. What is unsettled is always of today.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    pub settled_since: Option<DateTime<Utc>>,
}

/// The notifications that fit, newest first. The settled ones come from the period only; trouble has an
/// index of its own, so `dead` of the last day costs the same beside a million delivered ones.
pub async fn list(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Hit>> {
    let asked =
        |standing: &Standing| filter.standings.is_empty() || filter.standings.contains(standing);
    let words: Vec<String> = Standing::ALL
        .iter()
        .filter(|s| asked(s))
        .map(|s| s.word().to_owned())
        .collect();
    let before = filter.before.map(|id| id.0);
    let mut hits = Vec::new();
    if Standing::ALL.iter().any(|s| asked(s) && !s.is_settled()) {
        // The view's words in the view's order, over the table: through the view the planner looks up the
        // last attempt of every row before it sorts (340 ms for 100,000 waiting rows instead of 10).
        hits.extend(
            sqlx::query_as!(Hit,
                r#"-- outboxd list: unsettled
                   select o.id, o.key from outboxd.notification_outbox o
                     left join outboxd.app_state s using (app)
                     left join lateral (
                          select a.sentence from outboxd.notification_attempt a
                           where $5::text is not null and a.notification_id = o.id
                           order by a.attempt desc limit 1) last on o.attempts > 0
                    where case when o.lease_until > statement_timestamp() then 'in_flight'
                               when s.paused_at is not null or s.breaker in ('open', 'half_open') then 'held'
                               when o.attempts > 0 then 'retrying'
                               when o.next_attempt_at > statement_timestamp() then 'scheduled'
                               else 'queued' end = any($1)
                      and ($2::text is null or o.app = $2)
                      and ($3::text is null or o.recipient = $3)
                      and ($4::text is null or o.event_type = $4)
                      and ($5::text is null or last.sentence = $5)
                      and ($6::bigint is null or o.id < $6)
                    order by o.id desc limit $7"#,
                &words,
                filter.app.as_deref(),
                filter.recipient.as_deref(),
                filter.event_type.as_deref(),
                filter.reason.as_deref(),
                before,
                filter.limit
            )
            .fetch_all(&mut *conn)
            .await?,
        );
    }
    if Standing::ALL
        .iter()
        .any(|s| asked(s) && s.is_settled() && *s != Standing::Settled(Status::Delivered))
    {
        hits.extend(
            sqlx::query_as!(
                Hit,
                r#"-- outboxd list: trouble
                   select d.id, d.key from outboxd.notification_delivery d
                    where d.status <> 'delivered' and d.status = any($1)
                      and ($2::text is null or d.app = $2)
                      and ($3::text is null or d.recipient = $3)
                      and ($4::text is null or d.event_type = $4)
                      and ($5::text is null or d.reason = $5)
                      and ($6::bigint is null or d.id < $6)
                      and d.settled_at >= coalesce($8::timestamptz, '-infinity')
                    order by d.id desc limit $7"#,
                &words,
                filter.app.as_deref(),
                filter.recipient.as_deref(),
                filter.event_type.as_deref(),
                filter.reason.as_deref(),
                before,
                filter.limit,
                filter.period.settled_since
            )
            .fetch_all(&mut *conn)
            .await?,
        );
    }
    if asked(&Standing::Settled(Status::Delivered)) {
        hits.extend(
            sqlx::query_as!(
                Hit,
                r#"-- outboxd list: delivered
                   select d.id, d.key from outboxd.notification_delivery d
                    where d.status = 'delivered'
                      and ($1::text is null or d.app = $1)
                      and ($2::text is null or d.recipient = $2)
                      and ($3::text is null or d.event_type = $3)
                      and ($4::text is null or d.reason = $4)
                      and ($5::bigint is null or d.id < $5)
                      and d.settled_at >= coalesce($7::timestamptz, '-infinity')
                    order by d.id desc limit $6"#,
                filter.app.as_deref(),
                filter.recipient.as_deref(),
                filter.event_type.as_deref(),
                filter.reason.as_deref(),
                before,
                filter.limit,
                filter.period.settled_since
            )
            .fetch_all(&mut *conn)
            .await?,
        );
    }
    hits.sort_unstable_by_key(|hit: &Hit| std::cmp::Reverse(hit.id));
    hits.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
    Ok(hits)
}

/// When anything was last enqueued, about any customer: tells "this one was not enqueued" from "nothing
/// ever is". A time from the future counts as now; no time at all stays none.
pub async fn last_written(conn: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        r#"-- outboxd last_written
           select case when last.at > statement_timestamp() then statement_timestamp()
                       else greatest(last.at, '0001-01-01') end as at
             from (select greatest(
                      (select o.created_at from outboxd.notification_outbox o order by o.id desc limit 1),
                      (select d.created_at from outboxd.notification_delivery d order by d.id desc limit 1)) as at) last
            where last.at is not null"#
    )
    .fetch_optional(conn)
    .await
    .map(Option::flatten)
}
