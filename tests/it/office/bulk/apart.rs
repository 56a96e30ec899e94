//! What a redrive keeps apart: what people have dealt with, and what came before a pause.

use outboxd::outbox::act::{self, Change, HandOutcome, Handled, Replaced};

use super::*;
use crate::office::seen;

async fn replaced(pool: &PgPool, id: i64, change: Change<'_>) {
    let mut conn = connection(pool).await;
    let saw = seen(pool, id).await;
    let done = act::replace(&mut conn, &saw, &change, &by("wang")).await;
    assert!(matches!(done, Ok(Replaced::Done { .. })), "{done:?}");
}

async fn handled(pool: &PgPool, id: i64, outcome: HandOutcome) {
    let mut conn = connection(pool).await;
    let saw = seen(pool, id).await;
    let done = act::handle(&mut conn, &saw, outcome, &by("wang")).await;
    assert!(matches!(done, Ok(Handled::Done)), "{done:?}");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_people_have_dealt_with_is_left_alone_and_counted(pool: PgPool) {
    settle(&pool, 1, 10, "dead", "template_wrong").await;
    // Of one line are one that was corrected and one that waits behind it.
    run(&pool, "update outboxd.notification_delivery set order_key = 'line' where id in (1, 2);
        update outboxd.notification_delivery set may_have_arrived = true, expires_at = now() - interval '1 hour' where id in (3, 4)").await;
    replaced(&pool, 1, Change::Payload("{}")).await;
    handled(&pool, 3, HandOutcome::Told).await;
    handled(&pool, 4, HandOutcome::Told).await;
    replaced(&pool, 4, Change::Recipient("staff-10")).await;
    handled(&pool, 5, HandOutcome::NotReached).await;
    handled(&pool, 7, HandOutcome::NotNeeded).await;
    let everything = Asked {
        with_doubtful: true,
        with_late: true,
        ..asked()
    };
    let (id, preview) = planned(&pool, &everything).await;
    assert_eq!(
        (preview.count, preview.replaced, preview.handled),
        (6, 2, 2)
    );
    assert_eq!((preview.doubtful, preview.late), (0, 0), "taken along");
    // Somebody is told after the plan.
    handled(&pool, 9, HandOutcome::Told).await;
    order(&pool, id, Order::Start).await;
    let mut sent = BTreeSet::new();
    while step(&pool, id).await != Stepped::Done {
        sent.extend(work(&pool, |_| false).await);
        pass(&pool).await;
    }
    sent.retain(|id| *id <= 10);
    assert_eq!(sent, BTreeSet::from([2, 5, 6, 8, 10]));
}

/// A redrive meets one that somebody is about to replace: it waits for nobody, and sends only the others.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_somebody_is_at_is_left_to_them(pool: PgPool) {
    settle(&pool, 1, 3, "dead", "template_wrong").await;
    let (id, _) = planned(&pool, &asked()).await;
    order(&pool, id, Order::Start).await;
    let saw = seen(&pool, 2).await;
    let mut wang = pool.begin().await.unwrap();
    let change = Change::Recipient("staff-9");
    let done = act::replace(&mut wang, &saw, &change, &by("wang")).await;
    assert!(matches!(done, Ok(Replaced::Done { .. })), "{done:?}");
    assert_eq!(step(&pool, id).await, Stepped::Sent(2));
    wang.commit().await.unwrap();
    let mut sent = work(&pool, |_| false).await;
    sent.retain(|id| *id <= 3);
    sent.sort_unstable();
    assert_eq!(sent, [1, 3]);
    assert_eq!(read(&pool, id).await.refused, 1);
}

/// One is of no use any more when its turn comes, though it was at the plan.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_has_passed_its_limit_since_the_plan_goes_only_where_late_ones_do(pool: PgPool) {
    for with_late in [false, true] {
        run(
            &pool,
            "truncate outboxd.notification_outbox, outboxd.notification_delivery",
        )
        .await;
        settle(&pool, 1, 3, "dead", "template_wrong").await;
        run(
            &pool,
            "update outboxd.notification_delivery set expires_at = now() + interval '1 hour'",
        )
        .await;
        let everything = Asked {
            with_late,
            ..asked()
        };
        let (id, preview) = planned(&pool, &everything).await;
        assert_eq!((preview.count, preview.late), (3, 0));
        run(
            &pool,
            "update outboxd.notification_delivery set expires_at = clock_timestamp() where id = 2",
        )
        .await;
        order(&pool, id, Order::Start).await;
        let expected = if with_late { 3 } else { 2 };
        assert_eq!(step(&pool, id).await, Stepped::Sent(expected));
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn one_failure_of_five_is_one_of_five_after_a_pause_too(pool: PgPool) {
    settle(&pool, 1, 20, "dead", "template_wrong").await;
    let (id, _) = planned(&pool, &asked()).await;
    order(&pool, id, Order::Start).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(5));
    let later = "update outboxd.notification_outbox set next_attempt_at = now() + interval '1 hour' where id in (1, 4, 5)";
    run(&pool, later).await;
    order(&pool, id, Order::Pause).await;
    assert_eq!(work(&pool, |_| false).await.len(), 2);
    assert_eq!(step(&pool, id).await, Stepped::Waits);
    order(&pool, id, Order::Resume).await;
    // One of the five fails. Two had ended before, and of two nothing is known.
    let due = "update outboxd.notification_outbox set next_attempt_at = now() where id = 1";
    run(&pool, due).await;
    assert_eq!(work(&pool, |_| true).await, [1]);
    pass(&pool).await;
    assert_eq!(step(&pool, id).await, Stepped::Waits);
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = now()",
    )
    .await;
    assert_eq!(work(&pool, |_| false).await.len(), 2);
    assert_eq!(step(&pool, id).await, Stepped::Sent(5), "the canary");
    let it = read(&pool, id).await;
    assert_eq!((it.delivered, it.failed, it.redriven), (4, 1, 10));
    // The canary judges as ever.
    work(&pool, |n| n <= 7).await;
    assert_eq!(step(&pool, id).await, Stepped::Stopped);
}
