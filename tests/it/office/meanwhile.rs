//! An act that had to wait for somebody sees what came meanwhile, and does nothing to what it did not look at.

use outboxd::notification::Status;
use outboxd::outbox::act::{self, Change, Doubt, Replaced, Retried};
use outboxd::outbox::inspect::Standing;
use sqlx::PgPool;

use super::bulk::work;
use super::{by, connection, one, seen, settle};
use crate::harness::{appears, claimer, ids_of, number, run};

/// Somebody of this database waits for a lock.
const WAITS: &str = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_delivered_while_a_retry_waited_stays_delivered(pool: PgPool) {
    settle(&pool, 70, 1, "dead", "attempts_spent").await;
    run(&pool, "insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient) overriding system value values (69, 'e', 'c', 'r')").await;
    let both = [one(&pool, 69).await, one(&pool, 70).await];
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("select from outboxd.notification_outbox where id = 69 for update")
        .execute(&mut *holder)
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let (pool, both) = (pool.clone(), both.clone());
        async move {
            let mut tx = pool.begin().await.unwrap();
            let fates = act::retry(&mut tx, &both, &by("wang"), Doubt::Refuse).await;
            tx.commit().await.unwrap();
            fates.unwrap()
        }
    });
    appears(&pool, WAITS).await;
    let mut conn = connection(&pool).await;
    let other = act::retry(&mut conn, &both[1..], &by("li"), Doubt::Refuse).await;
    assert_eq!(other.unwrap(), [Retried::Revived]);
    assert_eq!(work(&pool, |_| false).await, [70]);
    holder.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), [Retried::DueAlready, Retried::Gone]);
    let now = one(&pool, 70).await;
    assert_eq!(now.standing, Standing::Settled(Status::Delivered));
    let lines = "select count(*) from outboxd.audit_log where actor = 'wang'";
    assert_eq!(number(&pool, lines).await, 0);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_daemon_took_while_a_redirect_waited_is_left_to_it(pool: PgPool) {
    settle(&pool, 139, 1, "dead", "attempts_spent").await;
    run(
        &pool,
        "update outboxd.notification_delivery set order_key = 'k61'",
    )
    .await;
    let (it, saw) = (one(&pool, 139).await, seen(&pool, 139).await);
    // A CRM that has written one of this key and has not committed.
    let mut crm = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(outboxd.key_lock('order', 'default', 'k61'))")
        .execute(&mut *crm)
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            let change = Change::Recipient("staff-62");
            let done = act::replace(&mut tx, &saw, &change, &by("wang")).await;
            tx.commit().await.unwrap();
            done.unwrap()
        }
    });
    appears(&pool, WAITS).await;
    let mut conn = connection(&pool).await;
    let other = act::retry(&mut conn, &[it], &by("li"), Doubt::Refuse).await;
    assert_eq!(other.unwrap(), [Retried::Revived]);
    assert_eq!(ids_of(&mut claimer(&pool, "d"), 1).await, [139]);
    crm.commit().await.unwrap();
    let done = waiting.await.unwrap();
    assert!(
        matches!(&done, Replaced::Moved(now) if now.standing == Standing::InFlight),
        "{done:?}"
    );
    let written = "select count(*) from outboxd.notification_outbox where id <> 139";
    assert_eq!(number(&pool, written).await, 0);
    assert_eq!(one(&pool, 139).await.standing, Standing::InFlight);
    let lines = "select count(*) from outboxd.audit_log where actor = 'wang'";
    assert_eq!(number(&pool, lines).await, 0);
}
