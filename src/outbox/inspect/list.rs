//! The list: the notifications that fit a filter, newest first, page by page in both directions.
//!
//! A page is found by the id it follows or precedes, never by counting rows over. Three questions make it: unsettled,
//! trouble, which has indexes of its own, and delivered. Each walks ids in order, from one [`ends`] of the period towards
//! the other; what settled in the period although it was written long before is asked [`late`], by time. A page that
//! people wait for looks at so many rows of each question and no more, and says how far it came: a filter that hardly any
//! row fits costs as much as one that all fit.

mod ends;
mod late;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::find::waiting_of;
use super::{Hit, Standing};
use crate::notification::{NotificationId, Status};
use crate::outbox::session::{in_order_of_an_index, planned_anew};
use ends::Ends;

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

/// Part of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// Not every row was looked at, only those up to this one, in the direction of the page.
    pub looked_to: Option<NotificationId>,
}

/// How many rows of each question a page looks at.
const LOOKED_AT: i64 = 20_000;

/// A page at a bounded price.
pub async fn page(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Page> {
    within(conn, filter, LOOKED_AT).await
}

/// A page, newest first, however many rows have to be looked at.
pub async fn list(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Hit>> {
    Ok(within(conn, filter, i64::MAX).await?.hits)
}

async fn within(conn: &mut PgConnection, filter: &Filter, most: i64) -> sqlx::Result<Page> {
    let ends = ends::of(&mut *conn, filter).await?;
    let Walked {
        mut hits,
        looked_to,
    } = planned_anew(conn, async |conn| match filter.after {
        None => older(conn, filter, ends, most).await,
        Some(_) => newer(conn, filter, ends, most).await,
    })
    .await?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let is_newer = filter.after.is_some();
    // Beyond the place where one question stopped, the others' hits are not all there are.
    let looked_to = match is_newer {
        false => looked_to.into_iter().max(),
        true => looked_to.into_iter().min(),
    };
    if let Some(to) = looked_to {
        hits.retain(|hit| if is_newer { hit.id <= to } else { hit.id >= to });
    }
    let is_full = hits.len() >= limit;
    hits.sort_unstable_by_key(|hit: &Hit| hit.id);
    // The nearest ones, in the order of every page.
    if is_newer {
        hits.truncate(limit);
        hits.reverse();
    } else {
        hits.reverse();
        hits.truncate(limit);
    }
    Ok(Page {
        hits,
        looked_to: looked_to.filter(|_| !is_full).map(NotificationId),
    })
}

/// What the questions came up with, and where those stopped that did not come to the end.
#[derive(Default)]
struct Walked {
    hits: Vec<Hit>,
    looked_to: Vec<i64>,
}

/// A row that fits, or the last one that was looked at.
struct Met {
    id: i64,
    key: uuid::Uuid,
    fits: bool,
    is_last: bool,
}

impl Walked {
    /// Whether the question came to the end of its ids.
    fn add(&mut self, met: Vec<Met>, limit: i64) -> bool {
        let full = i64::try_from(met.len()).is_ok_and(|n| n >= limit);
        let last = met.iter().find(|met| met.is_last).map(|met| met.id);
        let fits = met.into_iter().filter(|met| met.fits);
        self.hits
            .extend(fits.map(|Met { id, key, .. }| Hit { id, key }));
        self.looked_to.extend(last);
        !full && last.is_none()
    }
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

/// The three questions in one direction: so many rows each, in the order of their ids, without a sort. What was written at a
/// time settled no earlier, which spares the months before.
macro_rules! walk {
    ($name:ident, $from:ident, $than:literal, $end:ident, $until:literal, $order:literal) => {
        async fn $name(
            conn: &mut PgConnection,
            filter: &Filter,
            ends: Ends,
            most: i64,
        ) -> sqlx::Result<Walked> {
            let (words, from, period) = (words(filter), filter.$from.map(|id| id.0), filter.period);
            // Both ends of the walk, if the period has them.
            let (from, end) = (ends.$name(from), ends.$end());
            let settled_since = period.settled_since.max(period.created_since);
            let [unsettled, trouble, delivered] = asks(filter);
            let mut walked = Walked::default();
            if unsettled {
                let told = match &filter.recipient {
                    Some(recipient) => waiting_of(&mut *conn, recipient).await?,
                    None => None,
                };
                // The view's words in the view's order, over the table: through the view the planner looks up the
                // last attempt of every row before it sorts (340 ms for 100,000 waiting rows instead of 10).
                let ask = async |conn: &mut PgConnection| {
                    sqlx::query_as!(
                        Met,
                        r#"-- outboxd list: unsettled
                           select m.id as "id!", m.key as "key!", m.fits as "fits!", m.n = $11 as "is_last!" from (
                           select o.id, o.key, o.n,
                                  case when o.lease_until between statement_timestamp()
                                                             and statement_timestamp() + interval '20 minutes' then 'in_flight'
                                       when s.paused_at is not null or s.breaker in ('open', 'half_open') then 'held'
                                       when o.awaits_grant and o.next_attempt_at > statement_timestamp() then 'awaiting_grant'
                                       when o.attempts > 0 then 'retrying'
                                       when o.next_attempt_at > statement_timestamp() then 'scheduled'
                                       else 'queued' end = any($1)
                                  and ($2::text is null or o.app = $2)
                                  and ($4::text is null or o.event_type = $4)
                                  and ($5::text is null or last.sentence is not distinct from $5) as fits
                             from (select o.id, o.key, o.app, o.event_type, o.awaits_grant, o.attempts, o.next_attempt_at, o.lease_until,
                                          row_number() over (order by o.id "#
                            + $order
                            + r#") as n
                                     from outboxd.notification_outbox o
                                    where ($3::text is null or o.recipient = $3)
                                      and ($10::bigint[] is null or o.id = any($10))
                                      and o.created_at >= coalesce($8::timestamptz, '-infinity')
                                      and ($9::timestamptz is null or o.created_at < $9)
                                      and ($6::bigint is null or o.id "#
                            + $than
                            + r#" $6)
                                    order by o.id "#
                            + $order
                            + r#" limit $11) o
                             left join outboxd.app_state s using (app)
                             left join lateral (
                                  select a.sentence from outboxd.notification_attempt a
                                   where $5::text is not null and a.notification_id = o.id
                                   order by a.attempt desc limit 1) last on o.attempts > 0) m
                            where m.fits or m.n = $11
                            order by m.id "#
                            + $order
                            + r#" limit $7"#,
                        &words,
                        filter.app.as_deref(),
                        filter.recipient.as_deref(),
                        filter.event_type.as_deref(),
                        filter.reason.as_deref(),
                        filter.$from.map(|id| id.0),
                        filter.limit,
                        period.created_since,
                        period.created_until,
                        told.as_deref(),
                        most
                    )
                    .fetch_all(conn)
                    .await
                };
                let met = match told {
                    // A few ids that are known are sorted.
                    Some(_) => ask(&mut *conn).await?,
                    None => in_order_of_an_index(&mut *conn, ask).await?,
                };
                walked.add(met, filter.limit);
            }
            if trouble {
                let ask = async |conn: &mut PgConnection| {
                    sqlx::query_as!(
                        Met,
                        r#"-- outboxd list: trouble
                           select m.id as "id!", m.key as "key!", m.fits as "fits!", m.n = $12 as "is_last!" from (
                           select d.id, d.key, d.n,
                                  d.status = any($1) and ($2::text is null or d.app = $2)
                                  and ($4::text is null or d.event_type = $4) as fits
                             from (select d.id, d.key, d.status, d.app, d.event_type, row_number() over (order by d.id "#
                            + $order
                            + r#") as n
                                     from outboxd.notification_delivery d
                                    where d.status <> 'delivered'
                                      and ($3::text is null or d.recipient = $3)
                                      and ($5::text is null or d.reason = $5)
                                      and d.settled_at >= coalesce($8::timestamptz, '-infinity')
                                      and d.settled_at < coalesce($9::timestamptz, 'infinity')
                                      and d.created_at >= coalesce($10::timestamptz, '-infinity')
                                      and ($11::timestamptz is null or d.created_at < $11)
                                      and ($6::bigint is null or d.id "#
                            + $than
                            + r#" $6)
                                      and ($13::bigint is null or d.id "#
                            + $until
                            + r#" $13)
                                    order by d.id "#
                            + $order
                            + r#" limit $12) d) m
                            where m.fits or m.n = $12
                            order by m.id "#
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
                        period.created_until,
                        most,
                        end
                    )
                    .fetch_all(conn)
                    .await
                };
                let met = in_order_of_an_index(&mut *conn, ask).await?;
                if walked.add(met, filter.limit)
                    && let Some(from) = ends.late(filter)
                {
                    walked.hits.extend(late::trouble(&mut *conn, filter, &words, from).await?);
                }
            }
            if delivered {
                let ask = async |conn: &mut PgConnection| {
                    sqlx::query_as!(
                        Met,
                        r#"-- outboxd list: delivered
                           select m.id as "id!", m.key as "key!", m.fits as "fits!", m.n = $11 as "is_last!" from (
                           select d.id, d.key, d.n,
                                  ($1::text is null or d.app = $1) and ($3::text is null or d.event_type = $3)
                                  and ($4::text is null or d.reason is not distinct from $4) as fits
                             from (select d.id, d.key, d.app, d.event_type, d.reason, row_number() over (order by d.id "#
                            + $order
                            + r#") as n
                                     from outboxd.notification_delivery d
                                    where d.status = 'delivered'
                                      and ($2::text is null or d.recipient = $2)
                                      and d.settled_at >= coalesce($7::timestamptz, '-infinity')
                                      and d.settled_at < coalesce($8::timestamptz, 'infinity')
                                      and d.created_at >= coalesce($9::timestamptz, '-infinity')
                                      and ($10::timestamptz is null or d.created_at < $10)
                                      and ($5::bigint is null or d.id "#
                            + $than
                            + r#" $5)
                                      and ($12::bigint is null or d.id "#
                            + $until
                            + r#" $12)
                                    order by d.id "#
                            + $order
                            + r#" limit $11) d) m
                            where m.fits or m.n = $11
                            order by m.id "#
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
                        period.created_until,
                        most,
                        end
                    )
                    .fetch_all(conn)
                    .await
                };
                let met = in_order_of_an_index(&mut *conn, ask).await?;
                if walked.add(met, filter.limit)
                    && let Some(from) = ends.late(filter)
                {
                    walked.hits.extend(late::delivered(&mut *conn, filter, from).await?);
                }
            }
            Ok(walked)
        }
    };
}

walk!(older, before, "<", bottom, ">=", "desc");
walk!(newer, after, ">", top, "<", "asc");
