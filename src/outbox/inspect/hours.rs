//! The last 24 hours, hour by hour, for charts: how many were accepted, refused and lost, how long the calls took, and
//! what went wrong, by cause.
//!
//! Nothing is rolled up beforehand and nothing is kept: each hour is read by its time, up to a cap of rows. So the cost
//! has a bound that neither the history nor a busy day moves; an hour at its cap is a sample, and says so.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Capped, Share};
use crate::outbox::session::planned_anew;

/// How many rows of each hour are read. A day with more than that in every hour took 0.2 s, beside 15 days of history.
const SAMPLE: i64 = 10_000;

/// One hour of one app, or of all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Hour {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Settled in it.
    pub settled: Capped,
    /// Accepted, of those that were to be delivered; who gave no permission counts in `authorised`.
    pub success: Share,
    /// Settled ones that were not refused for want of permission.
    pub authorised: Share,
    pub attempts: Capped,
    /// Of the calls.
    pub p95_ms: Option<f64>,
    /// Attempts that were not accepted, by their key in the catalogue.
    pub failed: BTreeMap<String, i64>,
}

/// Which of a day's hours. What is over hardly changes any more, so whoever looks often reads the first part seldom.
#[derive(Clone, Copy, Debug)]
pub enum Hours {
    /// This one, which is not over yet, and the one before it, of which some may just have been written.
    Last,
    /// The 22 before this time: together with the last two a day.
    Before(DateTime<Utc>),
}

/// The hours, oldest first.
pub async fn hours(
    conn: &mut PgConnection,
    app: Option<&str>,
    which: Hours,
) -> sqlx::Result<Vec<Hour>> {
    planned_anew(conn, async |conn| each(conn, app, which).await).await
}

async fn each(conn: &mut PgConnection, app: Option<&str>, which: Hours) -> sqlx::Result<Vec<Hour>> {
    let before = match which {
        Hours::Last => None,
        Hours::Before(time) => Some(time),
    };
    let settled = sqlx::query!(
        r#"-- outboxd hours: settled
           select hour.at as "at!", count(s.status) as "settled!",
                  count(*) filter (where s.status = 'delivered') as "delivered!",
                  count(*) filter (where s.status in ('delivered', 'dead', 'expired')
                                     and s.errcode is distinct from 43101) as "due!",
                  count(*) filter (where s.errcode = 43101) as "refused!",
                  count(*) filter (where s.status in ('delivered', 'dead') or s.errcode = 43101) as "answered!"
             from generate_series(coalesce($3::timestamptz - interval '22 hours', date_trunc('hour', statement_timestamp()) - interval '1 hour'),
                                  coalesce($3::timestamptz - interval '1 hour', statement_timestamp()), interval '1 hour') as hour(at)
             left join lateral (
                  select d.status, d.errcode from outboxd.notification_delivery d
                   where d.settled_at >= hour.at and d.settled_at < hour.at + interval '1 hour'
                     and ($1::text is null or d.app = $1)
                   limit $2) s on true
            group by 1 order by 1 limit 24"#,
        app,
        SAMPLE + 1,
        before
    )
    .fetch_all(&mut *conn)
    .await?;
    // Twice grouped: the hour as a whole, and each cause in it.
    let attempted = sqlx::query!(
        r#"-- outboxd hours: attempted
           select hour.at as "at!", a.sentence as "sentence?", grouping(a.sentence) = 1 as "whole!", count(a.sentence) as "attempts!",
                  count(*) filter (where a.outcome in ('failed', 'unknown')) as "failed!",
                  percentile_cont(0.95) within group (order by a.latency_ms)
                      filter (where a.phase in ('sent', 'answered')) as p95_ms
             from generate_series(coalesce($3::timestamptz - interval '22 hours', date_trunc('hour', statement_timestamp()) - interval '1 hour'),
                                  coalesce($3::timestamptz - interval '1 hour', statement_timestamp()), interval '1 hour') as hour(at)
             left join lateral (
                  select a.sentence, a.outcome, a.latency_ms, a.phase from outboxd.notification_attempt a
                   where a.ended_at >= hour.at and a.ended_at < hour.at + interval '1 hour'
                     and ($1::text is null or a.app = $1)
                   limit $2) a on true
            group by grouping sets ((1), (1, 2)) order by 1, 3 desc, 2 limit 10000"#,
        app,
        SAMPLE + 1,
        before
    )
    .fetch_all(conn)
    .await?;
    let mut hours: Vec<Hour> = settled
        .into_iter()
        .map(|row| Hour {
            at: row.at,
            settled: Capped::of(row.settled, SAMPLE),
            success: Share {
                good: row.delivered,
                of: row.due,
            },
            authorised: Share {
                good: row.answered - row.refused,
                of: row.answered,
            },
            attempts: Capped::default(),
            p95_ms: None,
            failed: BTreeMap::new(),
        })
        .collect();
    for row in attempted {
        let Some(hour) = hours.iter_mut().find(|hour| hour.at == row.at) else {
            continue;
        };
        if row.whole {
            hour.attempts = Capped::of(row.attempts, SAMPLE);
            hour.p95_ms = row.p95_ms;
        } else if let Some(sentence) = row.sentence.filter(|_| row.failed > 0) {
            hour.failed.insert(sentence, row.failed);
        }
    }
    Ok(hours)
}
