//! The list: the notifications that fit a filter, newest first, page by page in both directions.
//!
//! A page is found by the id it follows or precedes, never by counting rows over, and a count stops at its cap. The
//! settled ones are asked in two questions, because trouble has an index of its own: `dead` of the last day costs the
//! same beside a million delivered ones.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::find::waiting_of;
use super::{Capped, Hit, Standing};
use crate::notification::{NotificationId, Status};
use crate::outbox::session::planned_anew;

/// What is asked for. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Empty: any.
    pub standings: Vec<Standing>,
    pub app: Option<String>,
    pub recipient: Option<String>,
    pub event_type: Option<String>,
    /// Key into the catalogue.
    pub reason: Option<String>,
    pub period: Period,
    /// The keyset: only notifications older than this one.
    pub before: Option<NotificationId>,
    /// The page before: the nearest ones that are newer than this one. Leave `before` out then.
    pub after: Option<NotificationId>,
    pub limit: i64,
}

/// From when to when; the end does not belong to it. What is unsettled is of any settling period: it is of today.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    pub settled_since: Option<DateTime<Utc>>,
    pub settled_until: Option<DateTime<Utc>>,
    pub created_since: Option<DateTime<Utc>>,
    pub created_until: Option<DateTime<Utc>>,
}

/// A page, newest first.
pub async fn list(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Hit>> {
    let mut hits = planned_anew(conn, async |conn| match filter.after {
        None => older(conn, filter).await,
        Some(_) => newer(conn, filter).await,
    })
    .await?;
    hits.sort_unstable_by_key(|hit: &Hit| hit.id);
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    if filter.after.is_none() {
        hits.reverse();
        hits.truncate(limit);
    } else {
        // The nearest ones, in the order of every page.
        hits.truncate(limit);
        hits.reverse();
    }
    Ok(hits)
}

/// How many fit, counted up to the cap.
pub async fn count(conn: &mut PgConnection, filter: &Filter, cap: i64) -> sqlx::Result<Capped> {
    let filter = Filter {
        before: None,
        after: None,
        limit: cap + 1,
        ..filter.clone()
    };
    let hits = list(conn, &filter).await?;
    Ok(Capped::of(
        i64::try_from(hits.len()).unwrap_or(i64::MAX),
        cap,
    ))
}

/// The words of the view that were asked for, or all.
fn words(filter: &Filter) -> Vec<String> {
    let asked = |s: &&Standing| filter.standings.is_empty() || filter.standings.contains(s);
    let asked = Standing::ALL.iter().filter(asked);
    asked.map(|s| s.word().to_owned()).collect()
}

/// Which of the three questions have to be asked.
fn asks(filter: &Filter) -> [bool; 3] {
    const DELIVERED: Standing = Standing::Settled(Status::Delivered);
    let any = |of: fn(&Standing) -> bool| {
        let asked = |s: &&Standing| filter.standings.is_empty() || filter.standings.contains(s);
        Standing::ALL.iter().filter(asked).any(of)
    };
    [
        any(|s| !s.is_settled()),
        any(|s| s.is_settled() && *s != DELIVERED),
        any(|s| *s == DELIVERED),
    ]
}

/// The three questions in one direction. What was written at a time settled no earlier, which spares the months before.
macro_rules! page {
    ($name:ident, $from:ident, $than:literal, $order:literal) => {
        async fn $name(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Hit>> {
            let (words, from, period) = (words(filter), filter.$from.map(|id| id.0), filter.period);
            let settled_since = period.settled_since.max(period.created_since);
            let [unsettled, trouble, delivered] = asks(filter);
            let mut hits = Vec::new();
            if unsettled {
                let told = match &filter.recipient {
                    Some(recipient) => waiting_of(&mut *conn, recipient).await?,
                    None => None,
                };
                // The view's words in the view's order, over the table: through the view the planner looks up the
                // last attempt of every row before it sorts (340 ms for 100,000 waiting rows instead of 10).
                hits.extend(
                    sqlx::query_as!(
                        Hit,
                        r#"-- outboxd list: unsettled
                           select o.id, o.key from outboxd.notification_outbox o
                             left join outboxd.app_state s using (app)
                             left join lateral (
                                  select a.sentence from outboxd.notification_attempt a
                                   where $5::text is not null and a.notification_id = o.id
                                   order by a.attempt desc limit 1) last on o.attempts > 0
                            where case when o.lease_until between statement_timestamp()
                                                             and statement_timestamp() + interval '20 minutes' then 'in_flight'
                                       when s.paused_at is not null or s.breaker in ('open', 'half_open') then 'held'
                                      when o.awaits_grant and o.next_attempt_at > statement_timestamp() then 'awaiting_grant'
                                       when o.attempts > 0 then 'retrying'
                                       when o.next_attempt_at > statement_timestamp() then 'scheduled'
                                       else 'queued' end = any($1)
                              and ($2::text is null or o.app = $2)
                              and ($3::text is null or o.recipient = $3)
                              and ($10::bigint[] is null or o.id = any($10))
                              and ($4::text is null or o.event_type = $4)
                              and ($5::text is null or last.sentence = $5)
                              and o.created_at >= coalesce($8::timestamptz, '-infinity')
                              and ($9::timestamptz is null or o.created_at < $9)
                              and ($6::bigint is null or o.id "#
                            + $than
                            + r#" $6)
                            order by o.id "#
                            + $order
                            + r#" limit $7"#,
                        &words,
                        filter.app.as_deref(),
                        filter.recipient.as_deref(),
                        filter.event_type.as_deref(),
                        filter.reason.as_deref(),
                        from,
                        filter.limit,
                        period.created_since,
                        period.created_until,
                        told.as_deref()
                    )
                    .fetch_all(&mut *conn)
                    .await?,
                );
            }
            if trouble {
                // By an index that has only these; the one by id would step over 300,000 delivered ones to the next other.
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
                              and d.settled_at >= coalesce($8::timestamptz, '-infinity')
                              and d.settled_at < coalesce($9::timestamptz, 'infinity')
                              and d.created_at >= coalesce($10::timestamptz, '-infinity')
                              and ($11::timestamptz is null or d.created_at < $11)
                              and ($6::bigint is null or d.id "#
                            + $than
                            + r#" $6)
                            order by d.id "#
                            + $order
                            + r#" limit $7"#,
                        &words,
                        filter.app.as_deref(),
                        filter.recipient.as_deref(),
                        filter.event_type.as_deref(),
                        filter.reason.as_deref(),
                        from,
                        filter.limit,
                        settled_since,
                        period.settled_until,
                        period.created_since,
                        period.created_until
                    )
                    .fetch_all(&mut *conn)
                    .await?,
                );
            }
            if delivered {
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
                              and d.settled_at >= coalesce($7::timestamptz, '-infinity')
                              and d.settled_at < coalesce($8::timestamptz, 'infinity')
                              and d.created_at >= coalesce($9::timestamptz, '-infinity')
                              and ($10::timestamptz is null or d.created_at < $10)
                              and ($5::bigint is null or d.id "#
                            + $than
                            + r#" $5)
                            order by d.id "#
                            + $order
                            + r#" limit $6"#,
                        filter.app.as_deref(),
                        filter.recipient.as_deref(),
                        filter.event_type.as_deref(),
                        filter.reason.as_deref(),
                        from,
                        filter.limit,
                        settled_since,
                        period.settled_until,
                        period.created_since,
                        period.created_until
                    )
                    .fetch_all(&mut *conn)
                    .await?,
                );
            }
            Ok(hits)
        }
    };
}

page!(older, before, "<", "desc");
page!(newer, after, ">", "asc");
