//! The questions that make a list, in either direction: one recipient's, or everybody's delivered ones; what is unsettled; and
//! everybody's trouble. Each looks at so many rows in the order of their ids, tells of those that fit, and of the last.

use sqlx::PgConnection;

use super::ends::Ends;
use super::{Filter, Looked, Met, Walked, late};
use crate::notification::Status;
use crate::outbox::inspect::Standing;
use crate::outbox::inspect::find::waiting_of;
use crate::outbox::session::{by_a_bitmap, in_order_of_an_index};

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
/// time settled no earlier, which spares the months before. Trouble, which lies apart, comes last: beyond where the others
/// have filled the page it is not looked for.
macro_rules! walk {
    ($name:ident, $from:ident, $than:literal, $end:ident, $until:literal, $order:literal) => {
        pub(super) async fn $name(
            conn: &mut PgConnection,
            filter: &Filter,
            ends: Ends,
            most: Looked,
        ) -> sqlx::Result<Walked> {
            let (words, from, period) = (words(filter), filter.$from.map(|id| id.0), filter.period);
            let from = ends.$name(from);
            let settled_since = period.settled_since.max(period.created_since);
            let [unsettled, trouble, delivered] = asks(filter);
            let mut walked = Walked::default();
            let everybody = filter.recipient.is_none();
            if let Some(recipient) = &filter.recipient
                && (trouble || delivered)
            {
                // By the index of recipients, whatever became of them: the one of trouble has everybody's.
                let ask = async |conn: &mut PgConnection| {
                    sqlx::query_as!(
                        Met,
                        r#"-- outboxd list: of a recipient
                           select m.id as "id!", m.key as "key!", m.fits as "fits!", m.n = $11 as "is_last!" from (
                           select d.id, d.key, d.n,
                                  d.status = any($1) and ($2::text is null or d.app = $2)
                                  and ($4::text is null or d.event_type = $4)
                                  and ($5::text is null or d.reason is not distinct from $5) as fits
                             from (select d.id, d.key, d.status, d.app, d.event_type, d.reason,
                                          row_number() over (order by d.id "#
                            + $order
                            + r#") as n
                                     from outboxd.notification_delivery d
                                    where d.recipient = $3
                                      and d.settled_at >= coalesce($8::timestamptz, '-infinity')
                                      and d.settled_at < coalesce($9::timestamptz, 'infinity')
                                      and d.created_at >= coalesce($10::timestamptz, '-infinity')
                                      and ($12::timestamptz is null or d.created_at < $12)
                                      and ($6::bigint is null or d.id "#
                            + $than
                            + r#" $6)
                                    order by d.id "#
                            + $order
                            + r#" limit $11) d) m
                            where m.fits or m.n = $11
                            order by m.id "#
                            + $order
                            + r#" limit $7"#,
                        &words,
                        filter.app.as_deref(),
                        recipient,
                        filter.event_type.as_deref(),
                        filter.reason.as_deref(),
                        from,
                        filter.limit,
                        settled_since,
                        period.settled_until,
                        period.created_since,
                        most.apart,
                        period.created_until
                    )
                    .fetch_all(conn)
                    .await
                };
                let met = in_order_of_an_index(&mut *conn, ask).await?;
                walked.add(met, filter.limit);
            }
            if delivered && everybody {
                let ask = async |conn: &mut PgConnection| {
                    sqlx::query_as!(
                        Met,
                        r#"-- outboxd list: delivered
                           select m.id as "id!", m.key as "key!", m.fits as "fits!", m.n = $10 as "is_last!" from (
                           select d.id, d.key, d.n,
                                  ($1::text is null or d.app = $1) and ($2::text is null or d.event_type = $2)
                                  and ($3::text is null or d.reason is not distinct from $3) as fits
                             from (select d.id, d.key, d.app, d.event_type, d.reason, row_number() over (order by d.id "#
                            + $order
                            + r#") as n
                                     from outboxd.notification_delivery d
                                    where d.status = 'delivered'
                                      and d.settled_at >= coalesce($6::timestamptz, '-infinity')
                                      and d.settled_at < coalesce($7::timestamptz, 'infinity')
                                      and d.created_at >= coalesce($8::timestamptz, '-infinity')
                                      and ($9::timestamptz is null or d.created_at < $9)
                                      and ($4::bigint is null or d.id "#
                            + $than
                            + r#" $4)
                                      and ($11::bigint is null or d.id "#
                            + $until
                            + r#" $11)
                                    order by d.id "#
                            + $order
                            + r#" limit $10) d) m
                            where m.fits or m.n = $10
                            order by m.id "#
                            + $order
                            + r#" limit $5"#,
                        filter.app.as_deref(),
                        filter.event_type.as_deref(),
                        filter.reason.as_deref(),
                        from,
                        filter.limit,
                        settled_since,
                        period.settled_until,
                        period.created_since,
                        period.created_until,
                        most.beside,
                        ends.$end(None)
                    )
                    .fetch_all(conn)
                    .await
                };
                let met = in_order_of_an_index(&mut *conn, ask).await?;
                if (walked.add(met, filter.limit) || filter.after.is_some())
                    && let Some(between) = ends.late(filter)
                {
                    let ask = async |conn: &mut PgConnection| late::delivered(conn, filter, &words, between).await;
                    let late = by_a_bitmap(&mut *conn, ask).await?;
                    walked.add_late(late);
                }
            }
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
                                      and ($12::bigint is null or o.id "#
                            + $until
                            + r#" $12)
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
                        most.beside,
                        Ends::default().$end(walked.reach)
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
            if trouble && everybody {
                let end = ends.$end(walked.reach);
                let is_whole = end == ends.$end(None);
                let ask = async |conn: &mut PgConnection| {
                    sqlx::query_as!(
                        Met,
                        r#"-- outboxd list: trouble
                           select m.id as "id!", m.key as "key!", m.fits as "fits!", m.n = $11 as "is_last!" from (
                           select d.id, d.key, d.n,
                                  d.status = any($1) and ($2::text is null or d.app = $2)
                                  and ($3::text is null or d.event_type = $3) as fits
                             from (select d.id, d.key, d.status, d.app, d.event_type, row_number() over (order by d.id "#
                            + $order
                            + r#") as n
                                     from outboxd.notification_delivery d
                                    where d.status <> 'delivered'
                                      and ($4::text is null or d.reason = $4)
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
                        &words,
                        filter.app.as_deref(),
                        filter.event_type.as_deref(),
                        filter.reason.as_deref(),
                        from,
                        filter.limit,
                        settled_since,
                        period.settled_until,
                        period.created_since,
                        period.created_until,
                        most.apart,
                        end
                    )
                    .fetch_all(conn)
                    .await
                };
                let met = in_order_of_an_index(&mut *conn, ask).await?;
                if (walked.add(met, filter.limit) && is_whole || filter.after.is_some())
                    && let Some(between) = ends.late(filter)
                {
                    let ask = async |conn: &mut PgConnection| late::trouble(conn, filter, &words, between).await;
                    let late = by_a_bitmap(&mut *conn, ask).await?;
                    walked.add_late(late);
                }
            }
            Ok(walked)
        }
    };
}

walk!(older, before, "<", bottom, ">=", "desc");
walk!(newer, after, ">", top, "<", "asc");
