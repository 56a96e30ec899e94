//! A newer one of the same `collapse_key` is the news: an act on an older one neither silences it nor promises what a
//! claim would not keep.

use outboxd::outbox::act::{self, Change, Doubt, Replaced, Retried};
use outboxd::outbox::inspect::Notification;
use sqlx::PgPool;

use super::{by, connection, one, seen, settle};
use crate::harness::{claimer, ids_of, run};

async fn redirected(pool: &PgPool, id: i64) -> Replaced {
    let saw = seen(pool, id).await;
    let mut conn = connection(pool).await;
    let change = Change::Recipient("staff-c");
    act::replace(&mut conn, &saw, &change, &by("wang"))
        .await
        .unwrap()
}

async fn retried(pool: &PgPool, it: Notification) -> Retried {
    let mut conn = connection(pool).await;
    let done = act::retry(&mut conn, &[it], &by("wang"), Doubt::Refuse).await;
    done.unwrap()[0]
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_older_one_is_neither_redirected_nor_sent_again(pool: PgPool) {
    settle(&pool, 346, 2, "dead", "attempts_spent").await;
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = 'cc'",
    )
    .await;
    // The newer one has settled.
    let told = redirected(&pool, 346).await;
    assert!(
        matches!(told, Replaced::Superseded(newer) if newer.0 == 347),
        "{told:?}"
    );
    let told = retried(&pool, one(&pool, 346).await).await;
    assert_eq!(told, Retried::Superseded);
    // It waits.
    let told = retried(&pool, one(&pool, 347).await).await;
    assert_eq!(told, Retried::Revived);
    let told = redirected(&pool, 346).await;
    assert!(
        matches!(told, Replaced::Superseded(newer) if newer.0 == 347),
        "{told:?}"
    );
    let told = retried(&pool, one(&pool, 346).await).await;
    assert_eq!(told, Retried::Superseded);
    assert_eq!(
        ids_of(&mut claimer(&pool, "d"), 5).await,
        [347],
        "it is sent"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn one_that_was_taken_back_is_no_newer_one(pool: PgPool) {
    settle(&pool, 1, 2, "dead", "attempts_spent").await;
    settle(&pool, 3, 1, "cancelled", "cancelled").await;
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = 'cc' where id in (1, 3);
        update outboxd.notification_delivery set collapse_key = 'cd' where id = 2",
    )
    .await;
    let told = redirected(&pool, 2).await;
    assert!(matches!(told, Replaced::Done { .. }), "{told:?}");
    let told = retried(&pool, one(&pool, 1).await).await;
    assert_eq!(told, Retried::Revived);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_waiting_older_one_is_not_brought_forward(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key, next_attempt_at)
         select 'e', 'c', 'r', key, now() + interval '1 hour' from unnest(array['cc', 'cc', 'other']) as key",
    )
    .await;
    for (id, told) in [
        (1, Retried::Superseded),
        (2, Retried::BroughtForward),
        (3, Retried::BroughtForward),
    ] {
        assert_eq!(retried(&pool, one(&pool, id).await).await, told, "{id}");
    }
}
