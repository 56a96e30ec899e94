//! A redrive always moves on: past what is refused, past what a newer one has overtaken, and past what waits for somebody.

use super::*;

/// Second by second, until it has ended.
async fn to_the_end(pool: &PgPool, id: BulkId) -> bulk::Bulk {
    order(pool, id, Order::Start).await;
    for _ in 0..40 {
        pass(pool).await;
        if step(pool, id).await == Stepped::Done {
            return read(pool, id).await;
        }
        work(pool, |_| false).await;
    }
    panic!("it does not end: {:?}", read(pool, id).await)
}

async fn sent_again(pool: &PgPool) -> Vec<i64> {
    let sent =
        "select id from outboxd.notification_delivery where status = 'delivered' order by id";
    sqlx::query_scalar(sent).fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_newer_one_has_overtaken_is_neither_counted_nor_taken_along(pool: PgPool) {
    settle(&pool, 1, 12, "dead", "template_wrong").await;
    // Six of one customer, the newest of which settled first; of two the newer one was taken back.
    run(&pool, "update outboxd.notification_delivery set order_key = 'li', collapse_key = 'li' where id <= 6;
        update outboxd.notification_delivery set settled_at = settled_at - interval '1 hour' where id = 6;
        update outboxd.notification_delivery set collapse_key = 'chen' where id in (7, 8);
        update outboxd.notification_delivery set status = 'cancelled' where id = 8;
        update outboxd.notification_delivery set collapse_key = 'wang' where id = 12").await;
    let (id, preview) = planned(&pool, &asked()).await;
    assert_eq!((preview.count, preview.replaced), (6, 5));
    // After the plan another one is overtaken.
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key, next_attempt_at)
        values ('customer_assigned', 'c', 'u', 'wang', now() + interval '1 day')").await;
    let it = to_the_end(&pool, id).await;
    assert_eq!((it.redriven, it.refused, it.delivered), (5, 0, 5));
    assert_eq!(sent_again(&pool).await, [6, 7, 9, 10, 11]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn predecessors_that_cannot_go_hold_nobody_up_and_are_counted_once(pool: PgPool) {
    settle(&pool, 1, 7, "dead", "template_wrong").await;
    // Five come before the one that settled first; of each another one waits.
    run(&pool, "update outboxd.notification_delivery set order_key = 'line' where id <= 6;
        update outboxd.notification_delivery set dedupe_key = 'd' || id where id <= 5;
        update outboxd.notification_delivery set settled_at = settled_at - interval '1 hour' where id = 6;
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, dedupe_key, next_attempt_at)
        select 'customer_assigned', 'c', 'u', 'd' || n, now() + interval '1 day' from generate_series(1, 5) n").await;
    let one_a_second = Asked {
        per_second: 1,
        ..asked()
    };
    let (id, _) = planned(&pool, &one_a_second).await;
    let it = to_the_end(&pool, id).await;
    assert_eq!((it.redriven, it.refused, it.delivered), (2, 5, 2));
    assert_eq!(sent_again(&pool).await, [6, 7]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn of_two_with_one_dedupe_key_the_first_goes(pool: PgPool) {
    settle(&pool, 1, 3, "dead", "template_wrong").await;
    run(
        &pool,
        "update outboxd.notification_delivery set dedupe_key = 'once' where id in (1, 2)",
    )
    .await;
    let (id, _) = planned(&pool, &asked()).await;
    let it = to_the_end(&pool, id).await;
    assert_eq!((it.redriven, it.refused, it.delivered), (2, 1, 2));
    assert_eq!(sent_again(&pool).await, [1, 3]);
}

/// WeChat has no permission for the first, so it waits for the person; the second one comes after it.
async fn awaits_permission(pool: &PgPool) {
    run(pool, "insert into outboxd.notification_attempt (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
        select id, 2, 'default', gen_random_uuid(), 'd', clock_timestamp(), clock_timestamp(), 'answered', 'failed', 'not_subscribed'
          from outboxd.notification_outbox where id = 1;
        update outboxd.notification_outbox set next_attempt_at = 'infinity', awaits_grant = true, attempts = 2, spared = 2 where id = 1").await;
}

async fn nobody_drives(pool: &PgPool) -> bool {
    let driven = bulk::next_to_drive(&mut *connection(pool).await).await;
    driven.unwrap().is_empty()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_waits_for_a_permission_is_somebodys_turn_and_not_its_own(pool: PgPool) {
    settle(&pool, 1, 6, "dead", "template_wrong").await;
    run(
        &pool,
        "update outboxd.notification_delivery set order_key = 'line' where id in (1, 2)",
    )
    .await;
    let patient = Asked {
        stop_above: 50,
        ..asked()
    };
    let (id, _) = planned(&pool, &patient).await;
    order(&pool, id, Order::Start).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(5));
    awaits_permission(&pool).await;
    assert_eq!(work(&pool, |_| false).await, [3, 4, 5]);
    pass(&pool).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(1));
    assert_eq!(step(&pool, id).await, Stepped::Waits, "one is on its way");
    assert_eq!(work(&pool, |_| false).await, [6]);
    assert_eq!(step(&pool, id).await, Stepped::Done);
    assert!(nobody_drives(&pool).await);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn one_that_was_ended_is_driven_no_longer_than_something_is_on_its_way(pool: PgPool) {
    settle(&pool, 1, 6, "dead", "template_wrong").await;
    let (id, _) = planned(&pool, &asked()).await;
    order(&pool, id, Order::Start).await;
    step(&pool, id).await;
    awaits_permission(&pool).await;
    order(&pool, id, Order::Cancel).await;
    step(&pool, id).await;
    assert!(!nobody_drives(&pool).await, "four are on their way");
    work(&pool, |_| false).await;
    step(&pool, id).await;
    assert!(nobody_drives(&pool).await);
    assert_eq!(read(&pool, id).await.delivered, 4);
}

/// More than a step looks at come after the one that waits for a permission; the others are not left for that.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_long_line_behind_a_permission_keeps_nobody_else_waiting(pool: PgPool) {
    settle(&pool, 1, 2603, "dead", "template_wrong").await;
    run(
        &pool,
        "update outboxd.notification_delivery set order_key = 'line' where id = 1 or id between 5 and 2600",
    )
    .await;
    let patient = Asked {
        stop_above: 50,
        per_second: 500,
        ..asked()
    };
    let (id, _) = planned(&pool, &patient).await;
    order(&pool, id, Order::Start).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(5));
    awaits_permission(&pool).await;
    for _ in 0..20 {
        pass(&pool).await;
        if step(&pool, id).await == Stepped::Done {
            break;
        }
        work(&pool, |_| false).await;
    }
    let it = read(&pool, id).await;
    assert_eq!((it.redriven, it.delivered, it.waiting), (2603, 6, 2597));
    assert_eq!(sent_again(&pool).await, [2, 3, 4, 2601, 2602, 2603]);
}
