//! How long the oldest waits that could go now: the number behind an alert, on the desk and in the metrics alike.

use std::time::Duration;

use outboxd::outbox::{backlog, inspect};
use sqlx::PgPool;

use crate::harness::run;

async fn oldest(pool: &PgPool) -> (Option<i64>, Duration) {
    let mut conn = pool.acquire().await.unwrap();
    let now = inspect::now(&mut conn).await.unwrap();
    let stats = inspect::stats(&mut conn).await.unwrap();
    let since = stats[0].oldest_due_at.map(|at| (now - at).num_minutes());
    let backlog = backlog::backlog(&mut *conn, &["default".to_owned()]).await;
    (since, backlog.unwrap()[0].oldest_due_age)
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn one_behind_another_is_nobodys_delay(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, order_key, attempts, next_attempt_at)
         overriding system value values (101, 'e', 'c', 'r', 'o', 1, now() + interval '12 minutes'),
             (102, 'e', 'c', 'r', 'o', 0, now() - interval '10 minutes')",
    )
    .await;
    assert_eq!(oldest(&pool).await, (None, Duration::ZERO));
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, order_key, next_attempt_at)
         values ('e', 'c', 'r', 'p', now() - interval '5 minutes')",
    )
    .await;
    let (since, age) = oldest(&pool).await;
    assert_eq!((since, age.as_secs() / 60), (Some(5), 5));
}

/// More stand behind one than are looked at: whatever is behind them is late, and that is not kept quiet.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn of_more_than_are_looked_at_the_oldest_counts(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, order_key, attempts, next_attempt_at)
         values ('e', 'c', 'r', 'o', 1, now() + interval '1 hour');
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, order_key, next_attempt_at)
         select 'e', 'c', 'r', 'o', now() - interval '10 minutes' from generate_series(1, 10001);
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, next_attempt_at)
         values ('e', 'c', 'r', now() - interval '6 minutes')",
    )
    .await;
    let (since, age) = oldest(&pool).await;
    assert_eq!((since, age.as_secs() / 60), (Some(10), 10));
}
