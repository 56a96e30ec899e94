//! A newer one of the same `collapse_key` is the news: an act on an older one neither silences it nor promises what a
//! claim would not keep.

use outboxd::outbox::act::{self, Change, Doubt, Replaced, Retried};
use outboxd::outbox::claim::Reach;
use outboxd::outbox::inspect::{self, Notification, ToPhone};
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

async fn gives_no_way(pool: &PgPool, older: i64, newer: i64) {
    let told = redirected(pool, older).await;
    assert!(
        matches!(told, Replaced::Superseded(it) if it.0 == newer),
        "{told:?}"
    );
    let told = retried(pool, one(pool, older).await).await;
    assert_eq!(told, Retried::Superseded);
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
    gives_no_way(&pool, 346, 347).await;
    // It waits.
    let told = retried(&pool, one(&pool, 347).await).await;
    assert_eq!(told, Retried::Revived);
    gives_no_way(&pool, 346, 347).await;
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

/// Somebody took back the newer one for the sake of which an older one was not sent: that is the news again.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_superseded_by_one_that_was_taken_back_can_be_sent(pool: PgPool) {
    settle(&pool, 1, 1, "dead", "attempts_spent").await;
    settle(&pool, 2, 2, "superseded", "superseded").await;
    settle(&pool, 4, 1, "cancelled", "cancelled").await;
    settle(&pool, 5, 1, "superseded", "superseded").await;
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = case when id = 5 then 'cd' else 'cc' end;
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key) values ('e', 'c', 'r', 'cd')",
    )
    .await;
    let told = retried(&pool, one(&pool, 1).await).await;
    assert_eq!(
        told,
        Retried::Superseded,
        "there is a later one that is the news"
    );
    let told = retried(&pool, one(&pool, 2).await).await;
    assert_eq!(told, Retried::Superseded, "likewise");
    let told = retried(&pool, one(&pool, 5).await).await;
    assert_eq!(told, Retried::Superseded, "its newer one waits");
    let mut conn = connection(&pool).await;
    let asked = ToPhone {
        limit: 10,
        ..ToPhone::default()
    };
    let calls = inspect::to_phone(&mut conn, &asked).await.unwrap();
    // Nobody drops off the list: from 1 the card leads to what can be sent again.
    let listed: Vec<i64> = calls.iter().map(|call| call.hit.id).collect();
    assert_eq!(listed, [1]);
    let told = retried(&pool, one(&pool, 3).await).await;
    assert_eq!(told, Retried::Revived);
    let mut daemon = claimer(&pool, "d");
    let sent = ids_of(&mut daemon, 5).await;
    assert!(sent.contains(&3), "{sent:?}");
}

/// It is taken out of the way of those behind it, and nobody is promised that it is sent.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_waiting_older_one_gives_way(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, order_key, collapse_key, next_attempt_at)
         overriding system value values (1, 'e', 'c', 'r', 'o', 'cc', 'infinity'), (2, 'e', 'c', 'r', 'o', 'cc', now()),
             (3, 'e', 'c', 'r', null, 'other', 'infinity')",
    )
    .await;
    let mut daemon = claimer(&pool, "d");
    assert!(ids_of(&mut daemon, 5).await.is_empty(), "2 is behind 1");
    let told = retried(&pool, one(&pool, 2).await).await;
    assert_eq!(told, Retried::DueAlready);
    let told = retried(&pool, one(&pool, 1).await).await;
    assert_eq!(told, Retried::GivesWay);
    let told = retried(&pool, one(&pool, 3).await).await;
    assert_eq!(told, Retried::BroughtForward);
    daemon.sweep_next();
    let claims = daemon.claim(Reach::Due(5)).await.unwrap();
    let mut claimed: Vec<_> = claims
        .iter()
        .map(|it| (it.id.0, it.superseded_by.map(|id| id.0)))
        .collect();
    claimed.sort_unstable();
    assert_eq!(claimed, [(1, Some(2)), (3, None)]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_delivered_or_superseded_is_not_redirected_past_a_newer_one(pool: PgPool) {
    settle(&pool, 346, 1, "delivered", "accepted").await;
    settle(&pool, 347, 1, "superseded", "superseded").await;
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = 'cc';
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key) values ('e', 'c', 'staff-a', 'cc')",
    )
    .await;
    for id in [346, 347] {
        let told = redirected(&pool, id).await;
        assert!(matches!(told, Replaced::Superseded(_)), "{id}: {told:?}");
    }
    assert_eq!(ids_of(&mut claimer(&pool, "d"), 5).await.len(), 1);
}

/// Who is nobody's turn on the card is on no list of people to phone, and counted as dealt with.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nobody_is_phoned_about_what_a_newer_one_says(pool: PgPool) {
    settle(&pool, 1, 4, "dead", "attempts_spent").await;
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = 'cc' where id in (1, 2);
         update outboxd.notification_delivery set collapse_key = 'cd' where id = 3;
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key) values ('e', 'c', 'r', 'cd')",
    )
    .await;
    let mut conn = connection(&pool).await;
    let asked = ToPhone {
        limit: 10,
        ..ToPhone::default()
    };
    let calls = inspect::to_phone(&mut conn, &asked).await.unwrap();
    let ids: Vec<i64> = calls.iter().map(|call| call.hit.id).collect();
    assert_eq!(ids, [4, 2]);
    let since = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let causes = inspect::causes(&mut conn, None, since).await.unwrap();
    assert_eq!((causes[0].count.n, causes[0].dealt_with), (4, 2));
}
