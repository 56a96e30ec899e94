//! Acts on what was seen: a click does one thing, the second one is told, and the log has what was before and after.

use outboxd::notification::Status;
use outboxd::outbox::act::{
    self, AsSeen, By, Cancelled, Change, Doubt, HandOutcome, Handled, Replaced, Retried, Seen,
};
use outboxd::outbox::inspect::{Links, Standing};
use sqlx::PgPool;

use super::{by, connection, one, seen, settle};
use crate::harness::{claimer, ids_of, number, run};

#[test]
fn an_act_has_a_name_and_a_reason_and_shows_no_phone_number() {
    assert!(By::because("wang", " \n").is_none());
    assert!(By::because("", "customer called").is_none());
    let told = By::because("wang", "she called from 13800001234").unwrap();
    assert!(!told.reason.unwrap().contains("13800001234"));
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_double_click_sends_again_once(pool: PgPool) {
    settle(&pool, 1, 1, "dead", "not_subscribed").await;
    let saw = seen(&pool, 1).await;
    let mut conn = connection(&pool).await;
    let first = act::retry_as_seen(&mut conn, &saw, &by("wang"), Doubt::Refuse)
        .await
        .unwrap();
    assert!(
        matches!(first, AsSeen::Acted(Retried::Revived)),
        "{first:?}"
    );
    let second = act::retry_as_seen(&mut conn, &saw, &by("wang"), Doubt::Refuse)
        .await
        .unwrap();
    assert!(
        matches!(&second, AsSeen::Moved(it) if it.standing == Standing::Retrying),
        "{second:?}"
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        1
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_daemon_took_meanwhile_is_not_cancelled_unseen(pool: PgPool) {
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'c', 'r'), ('e', 'd', 'r')").await;
    let saw = seen(&pool, 1).await;
    let other = seen(&pool, 2).await;
    assert_eq!(ids_of(&mut claimer(&pool, "d"), 1).await, [1]);
    let mut conn = connection(&pool).await;
    let told = act::cancel_as_seen(&mut conn, &saw, &by("wang"))
        .await
        .unwrap();
    assert!(
        matches!(&told, AsSeen::Moved(it) if it.standing == Standing::InFlight),
        "{told:?}"
    );
    // Seen in flight, it may be asked for.
    let again = act::cancel_as_seen(&mut conn, &seen(&pool, 1).await, &by("wang"))
        .await
        .unwrap();
    assert!(
        matches!(again, AsSeen::Acted(Cancelled::Requested)),
        "{again:?}"
    );
    let done = act::cancel_as_seen(&mut conn, &other, &by("wang"))
        .await
        .unwrap();
    assert!(matches!(done, AsSeen::Acted(Cancelled::Done)), "{done:?}");
    let noted = number(&pool, "select count(*) from outboxd.audit_log where detail -> 'after' in ('{\"1\": \"cancel_requested\"}', '{\"2\": \"cancelled\"}')").await;
    assert_eq!(noted, 2);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn of_two_people_who_phone_one_did_it_and_a_new_refusal_is_new(pool: PgPool) {
    settle(&pool, 1, 1, "dead", "not_subscribed").await;
    settle(&pool, 2, 1, "delivered", "accepted").await;
    let saw = seen(&pool, 1).await;
    let mut conn = connection(&pool).await;
    for outcome in [HandOutcome::NotReached, HandOutcome::Told] {
        let done = act::handle(&mut conn, &saw, outcome, &by("wang"))
            .await
            .unwrap();
        assert!(matches!(done, Handled::Done), "{done:?}");
    }
    let second = act::handle(&mut conn, &saw, HandOutcome::Told, &by("li"))
        .await
        .unwrap();
    assert!(
        matches!(&second, Handled::Already { by, outcome, .. } if by == "wang" && outcome == "told"),
        "{second:?}"
    );
    let delivered = act::handle(
        &mut conn,
        &seen(&pool, 2).await,
        HandOutcome::Told,
        &by("li"),
    )
    .await
    .unwrap();
    assert!(
        matches!(delivered, Handled::NothingToHandle(_)),
        "{delivered:?}"
    );
    let log = number(&pool, "select count(*) from outboxd.audit_log where action = 'handle' and detail -> 'after' ->> 'outcome' = 'told'
        and detail -> 'before' ->> 'outcome' = 'not_reached'").await;
    assert_eq!(log, 1);
    // The evidence is as it was; sent again and refused again, it is another ending.
    assert_eq!(
        one(&pool, 1).await.standing,
        Standing::Settled(Status::Dead)
    );
    run(&pool, "update outboxd.notification_delivery set settled_at = settled_at + interval '1 second' where id = 1").await;
    let anew = act::handle(
        &mut conn,
        &seen(&pool, 1).await,
        HandOutcome::NotNeeded,
        &by("li"),
    )
    .await
    .unwrap();
    assert!(matches!(anew, Handled::Done), "{anew:?}");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn another_is_written_in_its_place_once_and_the_key_stays_true(pool: PgPool) {
    run(&pool, "select outboxd.enqueue_notification('customer_assigned', 'wrong', 'c1', '{\"name\": \"李女士\"}', dedupe_key => 'k', order_key => 'o');").await;
    let old = one(&pool, 1).await;
    let saw = Seen::of(&old, &Links::default());
    let mut conn = connection(&pool).await;
    let same = act::replace(&mut conn, &saw, &Change::Recipient("wrong"), &by("wang"))
        .await
        .unwrap();
    assert!(matches!(same, Replaced::NoChange), "{same:?}");
    let done = act::replace(&mut conn, &saw, &Change::Recipient("right"), &by("wang"))
        .await
        .unwrap();
    let Replaced::Done {
        new,
        superseded: true,
    } = done
    else {
        panic!("{done:?}")
    };
    let twice = act::replace(&mut conn, &saw, &Change::Recipient("third"), &by("li"))
        .await
        .unwrap();
    assert!(
        matches!(&twice, Replaced::Already { by, new: it } if by == "wang" && *it == new),
        "{twice:?}"
    );
    let (before, after) = (one(&pool, 1).await, one(&pool, new.0).await);
    assert_eq!(before.standing, Standing::Settled(Status::Superseded));
    assert_eq!((before.key, before.recipient.as_str()), (old.key, "wrong"));
    assert_ne!(after.key, old.key);
    assert_eq!(
        (
            after.recipient.as_str(),
            after.aggregate_id.as_str(),
            after.dedupe_key
        ),
        ("right", "c1", None)
    );

    // A settled one stays as it is, and the correction of a correction has its own link.
    let fixed = act::replace(
        &mut conn,
        &seen(&pool, new.0).await,
        &Change::Payload("{\"name\": \"王女士\", \"phone\": \"13800001234\"}"),
        &by("li"),
    )
    .await
    .unwrap();
    let Replaced::Done {
        new: third,
        superseded: true,
    } = fixed
    else {
        panic!("{fixed:?}")
    };
    run(&pool, "update outboxd.notification_outbox set lease_token = gen_random_uuid(), lease_until = now() + interval '1 minute', leased_by = 'd'").await;
    let busy = act::replace(
        &mut conn,
        &seen(&pool, third.0).await,
        &Change::Recipient("x"),
        &by("li"),
    )
    .await
    .unwrap();
    assert!(matches!(busy, Replaced::InFlight), "{busy:?}");
    settle(&pool, 50, 1, "dead", "not_subscribed").await;
    let of_settled = act::replace(
        &mut conn,
        &seen(&pool, 50).await,
        &Change::Recipient("x"),
        &by("li"),
    )
    .await
    .unwrap();
    assert!(
        matches!(
            of_settled,
            Replaced::Done {
                superseded: false,
                ..
            }
        ),
        "{of_settled:?}"
    );
    assert_eq!(
        one(&pool, 50).await.standing,
        Standing::Settled(Status::Dead)
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_successor").await,
        3
    );
    // The log names what changed and shows nothing of it.
    let log: Vec<String> = sqlx::query_scalar("select detail::text from outboxd.audit_log where action in ('redirect', 'correct') order by id")
        .fetch_all(&pool).await.unwrap();
    assert_eq!(log.len(), 3);
    assert!(
        log[1].contains("\"changed_fields\": [\"name\", \"phone\"]"),
        "{}",
        log[1]
    );
    assert!(
        !log.iter()
            .any(|line| line.contains("女士") || line.contains("13800001234")),
        "{log:?}"
    );
}

/// Somebody chose a time or a hold, and that stays; what waits for its next try is put right at once.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_planned_for_later_is_not_sent_by_a_correction(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, awaits_grant)
         values ('e', 'planned', 'r', 0, 0, now() + interval '1 day', false), ('e', 'on hold', 'r', 0, 0, 'infinity', false),
                ('e', 'due', 'r', 0, 0, now() - interval '1 hour', false),
                ('e', 'retry', 'r', 1, 0, now() + interval '1 hour', false), ('e', 'awaiting', 'r', 1, 1, 'infinity', true)",
    )
    .await;
    let mut conn = connection(&pool).await;
    for change in [
        Change::Payload("{\"name\": \"李女士\"}"),
        Change::Recipient("s"),
    ] {
        let ids: Vec<i64> =
            sqlx::query_scalar("select id from outboxd.notification_outbox order by id")
                .fetch_all(&pool)
                .await
                .unwrap();
        for id in ids {
            let saw = seen(&pool, id).await;
            let done = act::replace(&mut conn, &saw, &change, &by("wang"))
                .await
                .unwrap();
            assert!(matches!(done, Replaced::Done { .. }), "{done:?}");
        }
        let due: Vec<String> = sqlx::query_scalar(
            "select aggregate_id from outboxd.notification_outbox where next_attempt_at <= now() and not awaits_grant order by id",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(due, ["due", "retry", "awaiting"]);
        let kept = "select count(*) from outboxd.notification_outbox n join outboxd.notification_delivery o using (aggregate_id)
            where n.aggregate_id = 'on hold' and n.next_attempt_at = 'infinity'
               or n.aggregate_id = 'planned' and n.next_attempt_at between o.created_at + interval '1 day' and o.created_at + interval '25 hours'";
        assert!(number(&pool, kept).await >= 2);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn two_people_correct_at_once_and_one_of_them_does_it(pool: PgPool) {
    settle(&pool, 1, 1, "dead", "not_subscribed").await;
    let saw = seen(&pool, 1).await;
    let mut first = pool.begin().await.unwrap();
    let done = act::replace(&mut first, &saw, &Change::Recipient("a"), &by("wang"))
        .await
        .unwrap();
    assert!(matches!(done, Replaced::Done { .. }), "{done:?}");
    let second = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            let done = act::replace(&mut tx, &saw, &Change::Recipient("b"), &by("li"))
                .await
                .unwrap();
            tx.commit().await.unwrap();
            done
        }
    });
    while number(&pool, "select count(*) from pg_locks where not granted").await == 0 {
        tokio::task::yield_now().await;
    }
    first.commit().await.unwrap();
    let second = second.await.unwrap();
    assert!(
        matches!(&second, Replaced::Already { by, .. } if by == "wang"),
        "{second:?}"
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        1
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_looks_at_a_payload_stands_in_the_log(pool: PgPool) {
    settle(&pool, 1, 1, "dead", "not_subscribed").await;
    let it = one(&pool, 1).await;
    let mut conn = connection(&pool).await;
    let payload = act::reveal(&mut conn, it.id, it.key, &by("wang"))
        .await
        .unwrap();
    assert!(payload.unwrap().contains("13800001234"));
    let stranger = outboxd::notification::Key(sqlx::types::Uuid::new_v4());
    assert!(
        act::reveal(&mut conn, it.id, stranger, &by("wang"))
            .await
            .unwrap()
            .is_none()
    );
    let lines = number(&pool, "select count(*) from outboxd.audit_log where action = 'reveal' and notification_ids = '{1}' and reason = 'customer called'
        and detail::text not like '%1380%'").await;
    assert_eq!(lines, 1);
}
