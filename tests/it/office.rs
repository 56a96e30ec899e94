//! The office behind the desk, what it asks of the database: lists that walk an index in both directions, acts on what was seen, and
//! redrives of many.

mod acts;
mod bulk;
mod history;
mod lists;
mod meanwhile;
mod newer;
mod rights;
mod verbs;
mod walk;

use outboxd::notification::NotificationId;
use outboxd::outbox::act::{By, Seen};
use outboxd::outbox::inspect::{self, Notification};
use sqlx::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;

async fn connection(pool: &PgPool) -> PoolConnection<Postgres> {
    pool.acquire().await.unwrap()
}

fn by(actor: &str) -> By {
    By::because(actor, "customer called").unwrap()
}

async fn one(pool: &PgPool, id: i64) -> Notification {
    let mut found = inspect::of_ids(&mut *connection(pool).await, &[id])
        .await
        .unwrap();
    assert_eq!(found.len(), 1, "notification {}", NotificationId(id));
    found.remove(0)
}

async fn seen(pool: &PgPool, id: i64) -> Seen {
    let it = one(pool, id).await;
    let mut conn = connection(pool).await;
    let mut links = inspect::links(&mut conn, std::slice::from_ref(&it))
        .await
        .unwrap();
    Seen::of(&it, &links.remove(&it.key.0).unwrap_or_default())
}

/// `count` settled ones with ids from `first`, a second apart, the last of them a minute ago.
async fn settle(pool: &PgPool, first: i64, count: i64, status: &str, reason: &str) {
    sqlx::query(
        "insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
             priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
         select n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', 'c' || n, 'u' || n % 500,
                '{\"name\": \"李女士\", \"phone\": \"13800001234\"}', 2, 1, 1, 1, now() - interval '2 hours', 'crm', $3, $4, false,
                now() - interval '1 minute' - ($1 + $2 - n) * interval '1 second', 'd'
           from generate_series($1, $1 + $2 - 1) n",
    )
    .bind(first)
    .bind(count)
    .bind(status)
    .bind(reason)
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql(
        "select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 10000000)",
    )
    .execute(pool)
    .await
    .unwrap();
}
