//! What support and operators see and do: every standing has its one reason, every act its audit line, and two
//! people who do the same thing at once do one thing.

mod oldest;
mod rights;
mod verbs;

use std::collections::HashMap;

use outboxd::notification::{NotificationId, Status};
use outboxd::outbox::act::{self, Breaker, By, Cancelled, Doubt, Paused, Retried};
use outboxd::outbox::claim::Reach;
use outboxd::outbox::inspect::{self, Filter, Notification, Period, Signs, Standing};
use outboxd::outbox::slices::Paths;
use sqlx::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;

use crate::harness::{claimer, number, run};

async fn connection(pool: &PgPool) -> PoolConnection<Postgres> {
    pool.acquire().await.unwrap()
}

fn by(actor: &str) -> By {
    By {
        actor: actor.to_owned(),
        reason: Some("test".to_owned()),
    }
}

async fn one(pool: &PgPool, id: i64) -> Notification {
    let mut conn = connection(pool).await;
    let mut found = inspect::of_ids(&mut conn, &[id]).await.unwrap();
    assert_eq!(found.len(), 1, "notification {id}");
    found.remove(0)
}

/// One row per standing, each named by its customer.
const UNSETTLED: &str = "
    insert into outboxd.app_state (app, paused_at, paused_by, pause_reason)
    values ('paused', now(), 'wang', 'template under review');
    insert into outboxd.app_state (app, breaker, breaker_until, breaker_reason, breaker_errcode)
    values ('broken', 'open', now() + interval '5 minutes', 'secret_wrong', 40125);
    insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient, next_attempt_at, order_key) values
        ('default', 'e', 'queued',    'r', now(), null),
        ('default', 'e', 'scheduled', 'r', now() + interval '1 hour', 'line'),
        ('default', 'e', 'behind',    'r', now(), 'line'),
        ('default', 'e', 'on_hold',   'r', 'infinity', null),
        ('paused',  'e', 'paused',    'r', now(), null),
        ('broken',  'e', 'breaker_open', 'r', now(), null);
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, lease_token, lease_until, leased_by, lease_epoch)
    values ('e', 'in_flight', 'r', 1, gen_random_uuid(), now() + interval '30 seconds', 'daemon-a', 1767225600000),
           ('e', 'take_over', 'r', 1, gen_random_uuid(), now() - interval '1 second', 'daemon-b', 1767225600000),
           ('e', 'take_over', 'r', 1, gen_random_uuid(), now() + interval '21 minutes', 'daemon-c', 1767225600000);
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, format_version) values ('e', 'newer_format', 'r', 2);
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, next_attempt_at, may_have_arrived)
    values ('e', 'retry_at', 'r', 2, now() + interval '10 minutes', true);
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, expires_at)
    values ('e', 'expired', 'r', now() - interval '1 second');
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, awaits_grant)
    values ('e', 'awaiting_grant', 'r', 1, 1, 'infinity', true);
    insert into outboxd.notification_attempt
        (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
    select id, 2, 'default', gen_random_uuid(), 'daemon-a', now(), now(), 'sent', 'unknown', 'timed_out'
      from outboxd.notification_outbox where aggregate_id = 'retry_at';";

/// One settled row per status, and one in doubt, with ids from 1001.
const SETTLED: &str = "
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by, expires_at)
    select 1000 + n, gen_random_uuid(), 'default', 'e', 'customer', 'settled', 'r' || n, '{\"name\": \"李女士\"}', 2, 3, 0, 1,
           now(), 'crm', status, reason, doubt, now(), 'daemon-a', case when status = 'expired' then now() end
      from (values (1, 'delivered', 'accepted', false), (2, 'dead', 'not_subscribed', false),
                   (3, 'dead', 'attempts_spent', true), (4, 'expired', 'expired', false),
                   (5, 'superseded', 'superseded', false), (6, 'cancelled', 'cancelled', false)) v(n, status, reason, doubt);
    select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 2000);";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_unsettled_row_has_exactly_its_one_reason(pool: PgPool) {
    run(&pool, UNSETTLED).await;
    let mut conn = connection(&pool).await;
    let filter = Filter {
        limit: 100,
        ..Filter::default()
    };
    let hits = inspect::list(&mut conn, &filter).await.unwrap();
    let rows = inspect::read(&mut conn, &hits).await.unwrap();
    assert_eq!(rows.len(), 13);
    for it in rows {
        let why = inspect::why_not_yet(&mut conn, it.id, it.key, &mut Signs::default())
            .await
            .unwrap();
        assert_eq!(why.unwrap().word(), it.aggregate_id);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_list_speaks_the_views_words(pool: PgPool) {
    run(&pool, UNSETTLED).await;
    run(&pool, SETTLED).await;
    let mut conn = connection(&pool).await;
    let mut seen = 0;
    for standing in Standing::ALL {
        let filter = Filter {
            standings: vec![standing],
            limit: 100,
            ..Filter::default()
        };
        let hits = inspect::list(&mut conn, &filter).await.unwrap();
        let rows = inspect::read(&mut conn, &hits).await.unwrap();
        assert!(!rows.is_empty(), "{standing}");
        assert!(rows.iter().all(|it| it.standing == standing), "{standing}");
        seen += rows.len();
    }
    assert_eq!(seen, 19, "every row under one standing");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn pages_follow_each_other_without_gap_or_repetition(pool: PgPool) {
    run(&pool, UNSETTLED).await;
    run(&pool, SETTLED).await;
    let mut conn = connection(&pool).await;
    let (mut before, mut ids) = (None, Vec::new());
    loop {
        let filter = Filter {
            before,
            limit: 3,
            period: Period::default(),
            ..Filter::default()
        };
        let page = inspect::list(&mut conn, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(NotificationId(last.id));
        ids.extend(page.iter().map(|hit| hit.id));
    }
    assert_eq!(ids.len(), 19);
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn anything_known_finds_the_notification(pool: PgPool) {
    run(&pool, SETTLED).await;
    let key = one(&pool, 1002).await.key.to_string();
    let mut conn = connection(&pool).await;
    for (text, expected) in [
        ("1002", vec![1002]),
        ("#1002", vec![1002]),
        (key.as_str(), vec![1002]),
        ("r2", vec![1002]),
        ("settled", vec![1006, 1005, 1004, 1003, 1002, 1001]),
        ("李女士", vec![1006, 1005, 1004, 1003, 1002, 1001]),
        ("nobody", vec![]),
        ("%", vec![]),
    ] {
        let found = inspect::find(&mut conn, &Paths::default(), text, 10)
            .await
            .unwrap();
        let ids: Vec<i64> = found.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(ids, expected, "{text}");
    }
}

/// Two with a dedupe key in two apps that nothing ever happened to, and more after them than anybody reads through.
const DEDUPED: &str = "
    update outboxd.notification_delivery set app = 'quiet', dedupe_key = 'assign:10086:7' where id = 1001;
    insert into outboxd.notification_outbox (id, app, event_type, aggregate_id, recipient, dedupe_key) overriding system value
    values (1990, 'a', 'e', 'other', 'r', 'x'), (1991, 'still', 'e', 'other', 'r', 'assign:10086:7');
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) select 'e', 'crowd', 'r' from generate_series(1, 2000);
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    select 5000 + n, gen_random_uuid(), 'default', 'e', 'customer', 'crowd', 'r', '{}', 2, 1, 0, 1, now(), 'crm', 'delivered',
           'accepted', false, now(), 'd' from generate_series(1, 2000) n;";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_dedupe_key_is_found_in_whatever_app_however_many_came_after(pool: PgPool) {
    run(&pool, SETTLED).await;
    run(&pool, DEDUPED).await;
    assert_eq!(
        number(&pool, "select count(*) from outboxd.app_state").await,
        0
    );
    let mut conn = connection(&pool).await;
    let found = inspect::find(&mut conn, &Paths::default(), "assign:10086:7", 10)
        .await
        .unwrap();
    let ids: Vec<i64> = found.hits.iter().map(|hit| hit.id).collect();
    assert_eq!(ids, [1991, 1001]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_id_that_was_handed_out_twice_shows_no_strangers(pool: PgPool) {
    run(&pool, SETTLED).await;
    run(
        &pool,
        "insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient) values (1001, 'e', 'another', 'r')",
    )
    .await;
    let mut conn = connection(&pool).await;
    let hits = inspect::of_customer(&mut conn, "another", 10)
        .await
        .unwrap();
    let rows = inspect::read(&mut conn, &hits).await.unwrap();
    let customers: Vec<&str> = rows.iter().map(|it| it.aggregate_id.as_str()).collect();
    assert_eq!(customers, ["another"]);
    let both = inspect::of_ids(&mut conn, &[1001]).await.unwrap();
    assert_eq!(both.len(), 2);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_time_beyond_the_calendar_costs_nobody_the_answer(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, next_attempt_at, expires_at, created_at)
         values ('e', 'odd', 'r', 'infinity', 'infinity', '290000-01-01'), ('e', 'odd', 'r', '290000-01-01', '-infinity', '4000-01-01 BC')",
    )
    .await;
    let mut conn = connection(&pool).await;
    let hits = inspect::of_customer(&mut conn, "odd", 10).await.unwrap();
    let rows = inspect::read(&mut conn, &hits).await.unwrap();
    assert_eq!(rows.len(), 2);
    for it in rows {
        let why = inspect::why_not_yet(&mut conn, it.id, it.key, &mut Signs::default())
            .await
            .unwrap();
        assert!(why.is_some());
    }
    inspect::stats(&mut conn).await.unwrap();
    inspect::last_written(&mut conn).await.unwrap();
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn retry_moves_back_what_may_go_back_and_says_why_not_otherwise(pool: PgPool) {
    run(&pool, SETTLED).await;
    // A newer one for the sake of which one was not sent.
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = 'cc' where id = 1005;
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key) values ('e', 'c', 'r', 'cc')",
    )
    .await;
    let mut conn = connection(&pool).await;
    let mut rows = inspect::of_ids(&mut conn, &[1001, 1002, 1003, 1004, 1005, 1006])
        .await
        .unwrap();
    rows.reverse();
    let before: HashMap<i64, String> = rows
        .iter()
        .map(|it| (it.id.0, it.key.to_string()))
        .collect();
    let done = act::retry(&mut conn, &rows, &by("lead"), Doubt::Refuse)
        .await
        .unwrap();
    assert_eq!(
        done,
        [
            Retried::Delivered,
            Retried::Revived,
            Retried::MayHaveArrived,
            Retried::RevivedWithoutLimit,
            Retried::Superseded,
            Retried::Revived,
        ]
    );
    let again = act::retry(&mut conn, &rows, &by("other"), Doubt::Accept)
        .await
        .unwrap();
    assert_eq!(
        again,
        [
            Retried::Delivered,
            Retried::DueAlready,
            Retried::Revived,
            Retried::DueAlready,
            Retried::Superseded,
            Retried::DueAlready,
        ]
    );
    drop(conn);
    let doubtful = one(&pool, 1003).await;
    assert_eq!(doubtful.key.to_string(), before[&1003], "same key");
    assert!(doubtful.may_have_arrived, "the doubt stays");
    assert_eq!(doubtful.attempts, 3, "the count never falls");
    let spared = number(
        &pool,
        "select spared::bigint from outboxd.notification_outbox where id = 1003",
    )
    .await;
    assert_eq!(spared, 3, "its whole schedule anew");
    assert_eq!(
        one(&pool, 1004).await.expires_at,
        None,
        "the limit that had passed is lifted"
    );
    let lines = number(
        &pool,
        "select sum(affected)::bigint from outboxd.audit_log where action = 'retry'",
    )
    .await;
    assert_eq!(lines, 4);
    let both = number(
        &pool,
        "select count(*) from outboxd.notification_outbox o join outboxd.notification_delivery d using (id)",
    )
    .await;
    assert_eq!(both, 0, "a row is in exactly one place");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn retry_brings_a_waiting_row_forward_and_leaves_one_in_flight_alone(pool: PgPool) {
    run(&pool, UNSETTLED).await;
    let mut conn = connection(&pool).await;
    for (customer, expected) in [
        ("retry_at", Retried::BroughtForward),
        ("on_hold", Retried::BroughtForward),
        ("retry_at", Retried::DueAlready),
        ("in_flight", Retried::InFlight),
        ("take_over", Retried::DueAlready),
    ] {
        let hits = inspect::of_customer(&mut conn, customer, 2).await.unwrap();
        let rows = inspect::read(&mut conn, &hits).await.unwrap();
        let done = act::retry(&mut conn, &rows, &by("lead"), Doubt::Refuse)
            .await
            .unwrap();
        assert_eq!(done, vec![expected; rows.len()], "{customer}");
    }
}

/// As on the desk's page: whatever holds it, a limit that has passed would end it before it is sent.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn retry_lifts_a_limit_that_has_passed_from_a_waiting_row_too(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, next_attempt_at, expires_at, collapse_key)
         overriding system value values
             (1, 'e', 'c', 'r', now() + interval '1 hour', now() - interval '1 second', null),
             (2, 'e', 'c', 'r', now() - interval '1 hour', now() - interval '1 second', null),
             (3, 'e', 'c', 'r', now() + interval '2 hours', now() + interval '1 hour', null),
             (4, 'e', 'c', 'r', now() + interval '1 hour', now() - interval '1 second', 'k'),
             (5, 'e', 'c', 'r', now() + interval '1 hour', null, 'k')",
    )
    .await;
    let mut conn = connection(&pool).await;
    let mut rows = inspect::of_ids(&mut conn, &[1, 2, 3, 4]).await.unwrap();
    rows.reverse();
    let done = act::retry(&mut conn, &rows, &by("lead"), Doubt::Refuse)
        .await
        .unwrap();
    assert_eq!(
        done,
        [
            Retried::ForwardWithoutLimit,
            Retried::ForwardWithoutLimit,
            Retried::BroughtForward,
            Retried::GivesWay,
        ]
    );
    let noted = number(
        &pool,
        "select count(*) from outboxd.audit_log where detail -> 'before' -> '1' ? 'expires_at'
            and not detail -> 'before' -> '3' ? 'expires_at'",
    )
    .await;
    assert_eq!(noted, 1, "which limit was lifted");
    let mut daemon = claimer(&pool, "d");
    daemon.sweep_next();
    let claims = daemon.claim(Reach::Due(9)).await.unwrap();
    let mut claimed: Vec<_> = claims
        .iter()
        .map(|it| (it.id.0, it.expired, it.superseded_by.is_some()))
        .collect();
    claimed.sort_unstable();
    assert_eq!(
        claimed,
        [
            (1, false, false),
            (2, false, false),
            (3, false, false),
            (4, false, true)
        ]
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn two_people_retry_at_once_and_one_of_them_does_it(pool: PgPool) {
    run(&pool, SETTLED).await;
    let row = one(&pool, 1002).await;
    let mut first = pool.begin().await.unwrap();
    let done = act::retry(
        &mut first,
        std::slice::from_ref(&row),
        &by("a"),
        Doubt::Refuse,
    )
    .await
    .unwrap();
    assert_eq!(done, [Retried::Revived]);
    let second = tokio::spawn({
        let (pool, row) = (pool.clone(), row.clone());
        async move {
            let mut tx = pool.begin().await.unwrap();
            let done = act::retry(&mut tx, &[row], &by("b"), Doubt::Refuse)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            done
        }
    });
    // Until the second one waits for the first one's lock.
    while number(&pool, "select count(*) from pg_locks where not granted").await == 0 {
        tokio::task::yield_now().await;
    }
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), [Retried::DueAlready]);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        1
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn cancel_settles_what_nobody_calls_and_asks_for_the_rest(pool: PgPool) {
    run(&pool, UNSETTLED).await;
    let mut conn = connection(&pool).await;
    for (customer, expected) in [
        ("queued", Cancelled::Done),
        ("queued", Cancelled::TooLate),
        ("take_over", Cancelled::DoneInDoubt),
        ("in_flight", Cancelled::Requested),
        ("in_flight", Cancelled::RequestedAlready),
    ] {
        let hits = inspect::of_customer(&mut conn, customer, 2).await.unwrap();
        let rows = inspect::read(&mut conn, &hits).await.unwrap();
        let done = act::cancel(&mut conn, &rows, &by("lead")).await.unwrap();
        assert_eq!(done, vec![expected; rows.len()], "{customer}");
    }
    let hits = inspect::of_customer(&mut conn, "take_over", 1)
        .await
        .unwrap();
    let lapsed = inspect::read(&mut conn, &hits).await.unwrap().remove(0);
    assert_eq!(lapsed.standing, Standing::Settled(Status::Cancelled));
    assert!(lapsed.may_have_arrived);
    assert_eq!(lapsed.last_reason.as_deref(), Some("lease_lapsed"));
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.audit_log where action = 'cancel'"
        )
        .await,
        3
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_pause_is_lifted_once_and_a_breaker_only_when_asked(pool: PgPool) {
    run(&pool, UNSETTLED).await;
    let mut conn = connection(&pool).await;
    let unknown = act::pause(&mut conn, "new", &by("wang")).await.unwrap();
    assert_eq!(unknown, Paused::Done { known: false });
    let again = act::pause(&mut conn, "new", &by("li")).await.unwrap();
    assert!(matches!(again, Paused::Already(pause) if pause.by == "wang"));
    let lifted = act::resume(&mut conn, "new", &by("li"), Breaker::Leave)
        .await
        .unwrap();
    assert_eq!(lifted.paused.map(|(by, _)| by).as_deref(), Some("wang"));
    let twice = act::resume(&mut conn, "new", &by("li"), Breaker::Leave)
        .await
        .unwrap();
    assert_eq!(twice.paused, None);
    let left = act::resume(&mut conn, "broken", &by("li"), Breaker::Leave)
        .await
        .unwrap();
    assert!(left.still_open.is_some() && !left.closed);
    let closed = act::resume(&mut conn, "broken", &by("li"), Breaker::Close)
        .await
        .unwrap();
    assert!(closed.still_open.is_none() && closed.closed);
    // Pause, resume, and the breaker closed; what changed nothing left no line.
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        3
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_numbers_add_up(pool: PgPool) {
    run(&pool, UNSETTLED).await;
    run(&pool, SETTLED).await;
    run(
        &pool,
        "update outboxd.notification_delivery set errcode = 43101 where reason = 'not_subscribed'",
    )
    .await;
    let mut conn = connection(&pool).await;
    let apps = inspect::stats(&mut conn).await.unwrap();
    let names: Vec<&str> = apps.iter().map(|app| app.app.as_str()).collect();
    assert_eq!(names, ["broken", "default", "paused"]);
    let app = &apps[1];
    // queued, behind, the newer format, the expired one and two of take_over are due.
    assert_eq!(
        (app.due.n, app.in_flight, app.retrying, app.scheduled),
        (6, 1, 3, 2)
    );
    assert_eq!(app.awaiting_grant.n, 1);
    assert_eq!(app.held, None);
    assert_eq!(apps[0].held.map(|held| held.n), Some(1));
    // Delivered 1 of delivered, spent and expired; who gave no permission is not counted here …
    assert_eq!((app.success.good, app.success.of), (1, 3));
    // … but here: of four people, one refused, and one has not allowed it yet.
    assert_eq!((app.authorised.good, app.authorised.of), (2, 4));
    assert_eq!(app.trouble.iter().map(|t| t.count).sum::<i64>(), 3);
}
