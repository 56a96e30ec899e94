//! The books: what the tables say was done against what the sink saw.
//!
//! A figure counts only if every row is where it must be: settled rows were called once each and delivered at one
//! attempt, the others were left alone, none is missing and none is held.

use std::collections::HashSet;

use anyhow::Result;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::sink::Call;

/// Opened before the daemon starts.
pub(crate) struct Books {
    waiting: i64,
    opened_at: DateTime<Utc>,
    /// Ids of rows that were settled before are not above it.
    last_settled: i64,
}

/// Closed after it has stopped.
#[derive(Debug)]
pub(crate) struct Balance {
    pub(crate) settled: i64,
    /// The last row's, in µs since 1970.
    pub(crate) settled_at_us: i64,
    pub(crate) duplicates: i64,
    pub(crate) lost: i64,
    pub(crate) faults: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct Settled {
    numbers: Vec<i64>,
    rows: i64,
    delivered: i64,
    attempts: i64,
    last_us: i64,
}

#[derive(sqlx::FromRow)]
struct Waiting {
    rows: i64,
    leased: i64,
    tried: i64,
}

#[derive(sqlx::FromRow)]
struct Attempts {
    rows: i64,
    delivered: i64,
    other: i64,
}

impl Books {
    pub(crate) async fn open(database: &mut PgConnection) -> Result<Books> {
        let (waiting, opened_at, last_settled) = sqlx::query_as(
            "select (select count(*) from outboxd.notification_outbox), clock_timestamp(),
                    (select coalesce(max(id), 0) from outboxd.notification_delivery)",
        )
        .fetch_one(database)
        .await?;
        Ok(Books {
            waiting,
            opened_at,
            last_settled,
        })
    }

    /// `inserted` rows have come in between. Those that a stopped daemon put back unstarted may wait on.
    pub(crate) async fn close(
        self,
        database: &mut PgConnection,
        inserted: i64,
        calls: &[Call],
    ) -> Result<Balance> {
        let settled: Settled = sqlx::query_as(
            "select coalesce(array_agg(aggregate_id::bigint), '{}') as numbers, count(*) as rows,
                    count(*) filter (where status = 'delivered') as delivered,
                    coalesce(sum(attempts), 0)::bigint as attempts,
                    coalesce((extract(epoch from max(settled_at)) * 1000000)::bigint, 0) as last_us
               from outboxd.notification_delivery where settled_at >= $1",
        )
        .bind(self.opened_at)
        .fetch_one(&mut *database)
        .await?;
        let attempts: Attempts = sqlx::query_as(
            "select count(*) filter (where s.id is not null) as rows,
                    count(*) filter (where a.outcome = 'delivered') as delivered,
                    count(*) filter (where a.outcome not in ('delivered', 'released')) as other
               from outboxd.notification_attempt a
               left join outboxd.notification_delivery s on s.id = a.notification_id and s.settled_at >= $1
              where a.ended_at >= $1",
        )
        .bind(self.opened_at)
        .fetch_one(&mut *database)
        .await?;
        let waiting: Waiting = sqlx::query_as(
            "select count(*) as rows, count(lease_token) as leased, coalesce(sum(attempts - spared), 0)::bigint as tried
               from outboxd.notification_outbox",
        )
        .fetch_one(database)
        .await?;

        let called: HashSet<i64> = calls.iter().map(|call| call.id).collect();
        let written: HashSet<i64> = settled.numbers.iter().copied().collect();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let duplicates = count(calls.len()) - count(called.len());
        let lost = count(written.difference(&called).count());
        let unwritten = count(called.difference(&written).count());
        let gone = self.waiting + inserted - settled.rows - waiting.rows;
        // Rows released in an earlier run of this database have older attempts, too.
        let unnumbered = match self.last_settled {
            0 => settled.attempts - attempts.rows,
            _ => 0,
        };
        let faults = [
            (duplicates, "calls were made a second time"),
            (lost, "rows are settled without a call"),
            (unwritten, "rows were called and are not settled"),
            (gone, "rows are neither waiting nor settled"),
            (
                settled.rows - count(written.len()),
                "rows are settled twice",
            ),
            (
                settled.rows - settled.delivered,
                "rows are settled and not delivered",
            ),
            (
                attempts.delivered - settled.rows,
                "attempts delivered more than rows were settled",
            ),
            (attempts.other, "attempts failed"),
            (unnumbered, "attempts are counted and not written"),
            (waiting.leased, "rows are still leased"),
            (waiting.tried, "attempts at waiting rows"),
        ];
        Ok(Balance {
            settled: settled.rows,
            settled_at_us: settled.last_us,
            duplicates,
            lost: lost + gone,
            faults: faults
                .into_iter()
                .filter(|(number, _)| *number != 0)
                .map(|(number, fault)| format!("{number} {fault}"))
                .collect(),
        })
    }
}
