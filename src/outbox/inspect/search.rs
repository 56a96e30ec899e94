//! The searches: from what a person typed to notifications by name, newest first.
//!
//! Each walks one index and stops at its limit. The search box, which knows less of what it looks for, has a
//! file of its own ([`super::find`]), and so have the filters of a list ([`super::list`]).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

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

/// The newest notification about a customer to one recipient, if there is one.
pub async fn newest_between(
    conn: &mut PgConnection,
    customer: &str,
    recipient: &str,
) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"-- outboxd newest between
           (select o.id as "id!", o.key as "key!" from outboxd.notification_outbox o
             where o.aggregate_id = $1 and o.recipient = $2 order by o.id desc limit 1)
           union all
           (select d.id, d.key from outboxd.notification_delivery d
             where d.aggregate_id = $1 and d.recipient = $2 order by d.id desc limit 1)
           order by 1 desc limit 1"#,
        customer,
        recipient
    )
    .fetch_all(conn)
    .await
}

/// The highest id that is stored; 0 if nothing is.
pub async fn newest_id(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- outboxd newest id
           select greatest((select max(o.id) from outboxd.notification_outbox o),
                           (select max(d.id) from outboxd.notification_delivery d), 0) as "id!""#
    )
    .fetch_one(conn)
    .await
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
