//! What did not arrive: given up, grouped by cause, the people who have to be told another way, and those who have to be
//! asked to allow messages.
//!
//! The first two walk the index of trouble from its end and stop at a cap, so a day on which everything failed costs no more than
//! the cap, and a million delivered ones cost nothing.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Capped, Hit, Signs, WhyNotYet, why_each_not_yet};
use crate::catalogue;
use crate::notification::{Key, NotificationId};
use crate::outbox::session::{in_order_of_an_index, planned_anew};

/// How many of the newest rows are grouped at most.
pub const NEWEST: i64 = 5_000;

/// What was given up for one reason. `by_key(&reason)` in the [`catalogue`] says whose turn it is and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    pub app: String,
    /// `dead` or `expired`.
    pub status: String,
    pub reason: String,
    /// At the cap of all groups together, there may be more.
    pub count: Capped,
    /// How many of them may have arrived all the same.
    pub in_doubt: i64,
    /// How many of them are nobody's turn any more: told or not needed, or another was written in their place or after them.
    pub dealt_with: i64,
    pub oldest: DateTime<Utc>,
    pub newest: DateTime<Utc>,
    /// The newest five.
    pub samples: Vec<i64>,
}

impl Cause {
    /// What the catalogue says about it; `None` for a reason of a newer version.
    pub fn entry(&self) -> Option<&'static catalogue::Entry> {
        catalogue::by_key(&self.reason)
    }
}

/// What was given up since then, the most frequent cause first.
pub async fn causes(
    conn: &mut PgConnection,
    app: Option<&str>,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Cause>> {
    let asked = async |conn: &mut PgConnection| {
        sqlx::query!(
        r#"-- outboxd causes
           select t.app, t.status, t.reason, count(*) as "count!", count(*) filter (where t.may_have_arrived) as "in_doubt!",
                  count(*) filter (where n.old_id is not null or h.key is not null
                                      or t.collapse_key is not null
                                         and (exists (select from outboxd.notification_outbox o
                                                       where o.app = t.app and o.collapse_key = t.collapse_key and o.id > t.id)
                                              or exists (select from outboxd.notification_delivery o
                                                          where o.app = t.app and o.collapse_key = t.collapse_key and o.id > t.id
                                                            and o.settled_at > t.created_at - interval '1 day'
                                                            and o.status not in ('cancelled', 'superseded')))) as "dealt_with!",
                  min(t.settled_at) as "oldest!", max(t.settled_at) as "newest!",
                  (array_agg(t.id order by t.settled_at desc, t.id desc))[1:5] as "samples!",
                  sum(count(*)) over ()::bigint as "all!"
             from (select d.app, d.status, d.reason, d.may_have_arrived, d.settled_at, d.id, d.key, d.collapse_key,
                          d.created_at
                     from outboxd.notification_delivery d
                    where d.status in ('dead', 'expired')
                      and ($1::text is null or d.app = $1) and d.settled_at >= $2
                    order by d.settled_at desc, d.id desc limit $3) t
             left join outboxd.notification_successor n on n.old_id = t.id and n.old_key = t.key
             left join outboxd.notification_handled h
               on h.notification_id = t.id and h.key = t.key and h.settled_at = t.settled_at and h.outcome <> 'not_reached'
            group by 1, 2, 3 order by 4 desc, 1, 2, 3 limit 1000"#,
        app,
        since,
        NEWEST + 1
    )
    .fetch_all(conn)
    .await
    };
    let rows = planned_anew(conn, async |conn| in_order_of_an_index(conn, asked).await).await?;
    let more = rows.first().is_some_and(|row| row.all > NEWEST);
    let causes = rows.into_iter().map(|row| Cause {
        count: Capped { n: row.count, more },
        app: row.app,
        status: row.status,
        reason: row.reason,
        in_doubt: row.in_doubt,
        dealt_with: row.dealt_with,
        oldest: row.oldest,
        newest: row.newest,
        samples: row.samples,
    });
    Ok(causes.collect())
}

/// Where a page of [`to_phone`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    pub at: DateTime<Utc>,
    pub id: i64,
}

/// Which page of [`to_phone`].
#[derive(Clone, Copy, Debug, Default)]
pub enum Turn {
    #[default]
    Newest,
    /// Those that ended before this one.
    Before(Ending),
    /// The nearest ones that ended after it.
    After(Ending),
}

/// The people to tell another way.
#[derive(Clone, Debug, Default)]
pub struct ToPhone {
    pub app: Option<String>,
    pub recipient: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub turn: Turn,
    pub limit: i64,
}

/// One of them: the notification, when it ended, and who has tried to reach the person.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub hit: Hit,
    pub ending: Ending,
    /// Somebody tried and did not reach the person: who, and when.
    pub tried: Option<(String, DateTime<Utc>)>,
}

/// Given up or expired, not yet dealt with by hand, and no other notification written in its place or after it; newest first.
pub async fn to_phone(conn: &mut PgConnection, asked: &ToPhone) -> sqlx::Result<Vec<Call>> {
    planned_anew(conn, async |conn| match asked.turn {
        Turn::Newest => older(conn, asked, None).await,
        Turn::Before(ending) => older(conn, asked, Some(ending)).await,
        Turn::After(ending) => {
            let mut calls = newer(conn, asked, Some(ending)).await?;
            calls.reverse();
            Ok(calls)
        }
    })
    .await
}

macro_rules! page {
    ($name:ident, $than:literal, $order:literal) => {
        async fn $name(
            conn: &mut PgConnection,
            asked: &ToPhone,
            from: Option<Ending>,
        ) -> sqlx::Result<Vec<Call>> {
            let rows = sqlx::query!(
                r#"-- outboxd to phone
                   select d.id, d.key as "key: Uuid", d.settled_at, h.handled_by as "tried_by?", h.handled_at as "tried_at?"
                     from outboxd.notification_delivery d
                     left join outboxd.notification_handled h
                       on h.notification_id = d.id and h.key = d.key and h.settled_at = d.settled_at
                    where d.status in ('dead', 'expired')
                      and ($1::text is null or d.app = $1)
                      and ($2::text is null or d.recipient = $2)
                      and d.settled_at >= coalesce($3::timestamptz, '-infinity')
                      and coalesce(h.outcome = 'not_reached', true)
                      and not exists (select from outboxd.notification_successor n
                                       where n.old_id = d.id and n.old_key = d.key)
                      -- A newer one of its collapse_key has the news; it did not settle before this one was written.
                      and (d.collapse_key is null
                           or not exists (select from outboxd.notification_outbox n
                                           where n.app = d.app and n.collapse_key = d.collapse_key and n.id > d.id)
                              and not exists (select from outboxd.notification_delivery n
                                               where n.app = d.app and n.collapse_key = d.collapse_key and n.id > d.id
                                                 and n.settled_at > d.created_at - interval '1 day'
                                                 and n.status not in ('cancelled', 'superseded')))
                      and ($4::timestamptz is null or (d.settled_at, d.id) "#
                    + $than
                    + r#" ($4, $5))
                    order by d.settled_at "#
                    + $order
                    + r#", d.id "#
                    + $order
                    + r#" limit $6"#,
                asked.app.as_deref(),
                asked.recipient.as_deref(),
                asked.since,
                from.map(|it| it.at),
                from.map_or(0, |it| it.id),
                asked.limit
            )
            .fetch_all(conn)
            .await?;
            let calls = rows.into_iter().map(|row| Call {
                hit: Hit {
                    id: row.id,
                    key: row.key,
                },
                ending: Ending {
                    at: row.settled_at,
                    id: row.id,
                },
                tried: row.tried_by.zip(row.tried_at),
            });
            Ok(calls.collect())
        }
    };
}

page!(older, "<", "desc");
page!(newer, ">", "asc");

/// How many of an app's waiting rows are looked at, from either end of each priority; and when it is about one recipient.
const LOOKED_AT: i64 = 2_000;
const LOOKED_AT_FOR_ONE: i64 = 5_000;
/// How many people who wait are passed by.
const PEOPLE: i64 = 10_000;

/// Those whose time is over, but which no claim settles as expired for now: nobody hears of them otherwise until their turn
/// comes. Which ones these are, says [`why_each_not_yet`]. Of an app with very many only the first and the last of each
/// priority are looked at: those that are due, and those that wait longest for their time.
pub async fn expired_held(
    conn: &mut PgConnection,
    app: Option<&str>,
    recipient: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    // Some of them have another reason, and are none of these.
    let more = limit.saturating_mul(10);
    let mut late = planned_anew(conn, async |conn| late(conn, app, recipient, more).await).await?;
    let asked: Vec<_> = late
        .iter()
        .map(|hit| (NotificationId(hit.id), Key(hit.key)))
        .collect();
    let reasons = why_each_not_yet(conn, &asked, &mut Signs::default()).await?;
    late.retain(|hit| {
        let reason = reasons.get(&hit.key);
        matches!(reason, Some(WhyNotYet::Expired { held: true, .. }))
    });
    late.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(late)
}

/// Past their limit, newest first. The apps are found by hopping along the index.
async fn late(
    conn: &mut PgConnection,
    app: Option<&str>,
    recipient: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"-- outboxd expired held
           with recursive hop as (
               (select o.app from outboxd.notification_outbox o order by o.app limit 1)
               union all
               select (select o.app from outboxd.notification_outbox o where o.app > hop.app order by o.app limit 1)
                 from hop where hop.app is not null),
           apps as (
               select hop.app from hop where hop.app is not null and ($1::text is null or hop.app = $1) limit 1000)
           select w.id as "id!", w.key as "key!"
             from apps
            cross join unnest(array[1, 2, 3]::smallint[]) as level (priority)
            cross join lateral (
                  select first.id, first.key from (
                         select o.id, o.key, o.recipient, o.expires_at, o.format_version, o.cancel_requested_by
                           from outboxd.notification_outbox o
                          where o.app = apps.app and o.priority = level.priority
                          order by o.next_attempt_at, o.id limit $3) first
                   where ($2::text is null or first.recipient = $2) and first.expires_at <= statement_timestamp()
                     and first.format_version <= 1 and first.cancel_requested_by is null
                  union
                  select last.id, last.key from (
                         select o.id, o.key, o.recipient, o.expires_at, o.format_version, o.cancel_requested_by
                           from outboxd.notification_outbox o
                          where o.app = apps.app and o.priority = level.priority
                          order by o.next_attempt_at desc, o.id desc limit $3) last
                   where ($2::text is null or last.recipient = $2) and last.expires_at <= statement_timestamp()
                     and last.format_version <= 1 and last.cancel_requested_by is null) w
            order by w.id desc limit $4"#,
        app,
        recipient,
        match recipient {
            None => LOOKED_AT,
            Some(_) => LOOKED_AT_FOR_ONE,
        },
        limit
    )
    .fetch_all(conn)
    .await
}

/// People who have to allow messages first (43101), with one notification each that waits for it: whoever asks them asks
/// once. Each step hops to the next person in an index that holds nobody else. What has expired is none of them: those are
/// [`expired_held`], or settled at once.
pub async fn awaiting_grant(
    conn: &mut PgConnection,
    app: Option<&str>,
    recipient: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    planned_anew(conn, async |conn| {
        sqlx::query_as!(
            Hit,
            r#"-- outboxd awaiting grant
               with recursive person as (
                   (select o.app, o.recipient, 1::bigint as n from outboxd.notification_outbox o
                     where o.awaits_grant and ($1::text is null or o.app = $1) and ($2::text is null or o.recipient = $2)
                     order by o.app, o.recipient limit 1)
                   union all
                   select next.app, next.recipient, person.n + 1 from person cross join lateral (
                          select o.app, o.recipient from outboxd.notification_outbox o
                           where o.awaits_grant and (o.app, o.recipient) > (person.app, person.recipient)
                             and ($1::text is null or o.app = $1) and ($2::text is null or o.recipient = $2)
                           order by o.app, o.recipient limit 1) next
                    where person.n < $4
               )
               select w.id as "id!", w.key as "key!" from person cross join lateral (
                      select o.id, o.key from outboxd.notification_outbox o
                       where o.awaits_grant and o.app = person.app and o.recipient = person.recipient
                         and o.next_attempt_at > statement_timestamp()
                       order by o.event_type, o.id limit 1) w
                limit $3"#,
            app,
            recipient,
            limit,
            PEOPLE
        )
        .fetch_all(conn)
        .await
    })
    .await
}
