//! Where a period begins and ends among the ids, so that a walk through them starts and stops there.
//!
//! Ids are given in the order of writing, and nothing settles before it is written. So whatever follows a row that was written
//! at the period's end settled after it: the walk may begin there. At the other end it is a good place to stop and no more: a
//! row may be written days before it settles, and is asked for late.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Filter;

/// Of a list's period, among the ids.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// Hardly a row below it settled within the period.
    low: Option<i64>,
    /// No row from here on did.
    high: Option<i64>,
}

impl Ends {
    /// Where a walk towards older ones begins: below this id.
    pub(super) fn older(self, before: Option<i64>) -> Option<i64> {
        before.into_iter().chain(self.high).min()
    }

    /// Where a walk towards newer ones begins: above this id.
    pub(super) fn newer(self, after: Option<i64>) -> Option<i64> {
        after.into_iter().chain(self.low.map(|low| low - 1)).max()
    }

    /// Where a walk towards older ones ends: at this id, or where another one has ended.
    pub(super) fn bottom(self, reach: Option<i64>) -> Option<i64> {
        reach.into_iter().chain(self.low).max()
    }

    /// Where a walk towards newer ones ends: below this id, or where another one has ended.
    pub(super) fn top(self, reach: Option<i64>) -> Option<i64> {
        let beyond = reach.map(|id| id.saturating_add(1));
        beyond.into_iter().chain(self.high).min()
    }

    pub(super) fn without_low(self) -> Ends {
        Ends { low: None, ..self }
    }

    /// Between which ids those are that settled late, if the page may have any that the walk does not meet: above the
    /// first, below the second.
    pub(super) fn late(self, filter: &Filter) -> Option<(i64, i64)> {
        let low = self.low?;
        let above = filter.after.map_or(i64::MIN, |after| after.0);
        let below = filter.before.map_or(low, |before| before.0.min(low));
        (above < below - 1 || above == i64::MIN).then_some((above, below))
    }
}

/// The ends of a filter's period. One recipient's rows are few: all of them are walked.
pub(super) async fn of(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Ends> {
    let period = filter.period;
    let mut ends = Ends::default();
    if let Some(until) = period.settled_until {
        ends.high = Some(around(&mut *conn, until).await?.1);
    }
    let since = period.settled_since.max(period.created_since);
    if let Some(since) = since
        && filter.recipient.is_none()
    {
        ends.low = Some(around(&mut *conn, since).await?.0);
    }
    Ok(ends)
}

/// Two ids near each other: before the first hardly anything was written at this time or later, and everything from the
/// second on was. Halves the ids again and again. A CRM may write the time itself, and its clock be ahead: nothing was written
/// after it settled, nor after now, and the next few rows are looked at each time.
async fn around(conn: &mut PgConnection, at: DateTime<Utc>) -> sqlx::Result<(i64, i64)> {
    let found = sqlx::query!(
        r#"-- outboxd list: find a time
           with recursive halved as (
               select least((select min(o.id) from outboxd.notification_outbox o),
                            (select min(d.id) from outboxd.notification_delivery d), 1) as low,
                      greatest((select max(o.id) from outboxd.notification_outbox o),
                               (select max(d.id) from outboxd.notification_delivery d), 0) + 1 as high
               union all
               select case when near.is_later then h.low else middle.id end,
                      case when near.is_later then middle.id else h.high end
                 from halved h
                cross join lateral (select h.low + (h.high - h.low) / 2 as id) middle
                cross join lateral (
                      select coalesce(min(n.at) >= $1, true) as is_later from (
                             (select least(d.created_at, d.settled_at) as at from outboxd.notification_delivery d where d.id >= middle.id order by d.id limit 4)
                             union all
                             (select least(o.created_at, statement_timestamp()) as at from outboxd.notification_outbox o where o.id >= middle.id order by o.id limit 4)) n) near
                where h.high - h.low > 256)
           select low as "low!", high as "high!" from halved order by high - low limit 1"#,
        at
    )
    .fetch_one(conn)
    .await?;
    Ok((found.low, found.high))
}
