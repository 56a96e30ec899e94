//! Sleeping and waking, with the real lanes and a real PostgreSQL. Where a test is about words, every poll that could hide
//! a missing one is an hour away.

mod degraded;
mod inserts;
mod lanes;
mod measure;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use outboxd::config::Pooler;
use outboxd::metrics::Metrics;
use outboxd::outbox::line::Database;
use outboxd::wake::{News, Rhythm, Wake};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinSet;

use self::lanes::{Lanes, Settings, asleep, insert};
use crate::fleet::Fleet;
use crate::harness::{appears, create_roles, database, number, run};

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_insert_wakes_a_sleeping_lane_and_a_rollback_does_not(pool: PgPool) {
    let mut lanes = Lanes::start(&pool, &Settings::only_words());
    for n in 0..20 {
        asleep(&pool, 1).await;
        let mut undone = pool.begin().await.unwrap();
        insert(&mut *undone, "default", "undone").await;
        undone.rollback().await.unwrap();
        insert(&pool, "default", &format!("c{n}")).await;
        assert_eq!(lanes.claimed().await, format!("c{n}"));
    }
    let woken = lanes.metric(r#"outbox_wake_ups_total{app="default"}"#);
    assert_eq!(woken, 20, "each insert calls once, no rollback does");
    lanes.stop().await;
}

/// Several daemons serve an app, one sleeps on its lock, and that is enough; when it goes, another takes its place.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn of_several_daemons_one_sleeper_is_enough(pool: PgPool) {
    let settings = Settings::only_words();
    let mut daemons: Vec<Lanes> = (0..3).map(|_| Lanes::start(&pool, &settings)).collect();
    while let Some(last) = daemons.len().checked_sub(1) {
        for n in 0..10 {
            asleep(&pool, 1).await;
            let customer = format!("c{last}-{n}");
            insert(&pool, "default", &customer).await;
            let claimed = lanes::first(&mut daemons).await;
            assert_eq!(claimed, customer);
        }
        // The one that sleeps now: the others must not rely on it.
        asleep(&pool, 1).await;
        let holder = lanes::holder(&mut daemons, &pool).await;
        daemons.remove(holder).stop().await;
    }
}

/// Refused by another sleeper, a lane need not poll, and hears of words to that one; refused by an insert, it polls.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_lane_knows_who_has_refused_it_the_lock(pool: PgPool) {
    let daemon = || Wake::new(database(&pool), Arc::new(Metrics::new()), Rhythm::default());
    let ((first, first_listens), (second, second_listens)) = (daemon(), daemon());
    let mut listening = JoinSet::new();
    listening.spawn(first_listens);
    listening.spawn(second_listens);
    let (mut sleeper, mut other) = (first.sleeper("default"), second.sleeper("default"));

    let mut open = pool.begin().await.unwrap();
    insert(&mut *open, "default", "c1").await;
    let refused = tokio::time::timeout(Duration::from_millis(300), sleeper.news()).await;
    assert!(
        refused.is_err() && sleeper.may_wait().is_none(),
        "{refused:?}"
    );
    open.commit().await.unwrap();

    assert_eq!(sleeper.news().await, News::MayWait);
    while other.may_wait().is_none() {
        let news = tokio::time::timeout(Duration::from_millis(50), other.news()).await;
        assert!(news.is_err(), "{news:?}");
    }
    insert(&pool, "default", "c2").await;
    assert_eq!(
        (sleeper.news().await, other.news().await),
        (News::Woken, News::Stirred)
    );

    // And nobody to hear of words any more.
    assert_eq!(sleeper.news().await, News::MayWait);
    while other.may_wait().is_none() {
        let news = tokio::time::timeout(Duration::from_millis(50), other.news()).await;
        assert!(news.is_err(), "{news:?}");
    }
    run(&pool, "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and application_name = 'outboxd' and query like '%try to sleep%'").await;
    assert_eq!(
        (sleeper.news().await, other.news().await),
        (News::Woken, News::Stirred)
    );
}

/// An idle app does not make the inserts of a busy one notify, nor is it woken by them.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn each_app_sleeps_for_itself(pool: PgPool) {
    let mut settings = Settings::only_words();
    settings.apps = vec!["idle", "busy"];
    let mut lanes = Lanes::start(&pool, &settings);
    asleep(&pool, 2).await;
    insert(&pool, "busy", "c1").await;
    assert_eq!(lanes.claimed().await, "c1");
    asleep(&pool, 2).await;
    assert_eq!(lanes.metric(r#"outbox_wake_ups_total{app="busy"}"#), 1);
    assert_eq!(lanes.metric(r#"outbox_wake_ups_total{app="idle"}"#), 0);
    lanes.stop().await;
}

/// A lane that cannot take a row leaves the lock to one that can.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_lane_without_a_free_slot_leaves_the_lock_to_another(pool: PgPool) {
    let mut settings = Settings::only_words();
    settings.slots = 1;
    settings.hold_calls = true;
    let mut full = Lanes::start(&pool, &settings);
    asleep(&pool, 1).await;
    insert(&pool, "default", "c1").await;
    assert_eq!(full.claimed().await, "c1");
    appears(&pool, lanes::NOBODY_SLEEPS).await;
    let mut free = Lanes::start(&pool, &settings);
    asleep(&pool, 1).await;
    insert(&pool, "default", "c2").await;
    assert_eq!(free.claimed().await, "c2");
    full.stop().await;
    free.stop().await;
}

/// A row that comes due by itself calls nobody; the look before the sleep knows of it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_scheduled_row_is_claimed_on_time_by_a_sleeper(pool: PgPool) {
    let mut lanes = Lanes::start(&pool, &Settings::only_words());
    asleep(&pool, 1).await;
    for (priority, ahead_ms) in [(3, 900), (1, 600), (2, 1200)] {
        sqlx::query("insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, priority, next_attempt_at)
                     values ('e', 'after ' || $2, 'u', $1, now() + $2 * interval '1 millisecond')")
            .bind(priority)
            .bind(ahead_ms)
            .execute(&pool)
            .await
            .unwrap();
    }
    for ahead_ms in [600, 900, 1200] {
        let claim = lanes.claim().await;
        assert_eq!(claim.aggregate_id, format!("after {ahead_ms}"));
        assert!(
            claim.waited < Duration::from_millis(400),
            "{ahead_ms}: {:?} late",
            claim.waited
        );
    }
    lanes.stop().await;
}

/// With the rights of its role and no others.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_daemon_sleeps_with_the_rights_of_its_role(pool: PgPool) {
    create_roles(&pool).await;
    run(
        &pool,
        "revoke all on all functions in schema outboxd from public",
    )
    .await;
    let login = PgConnectOptions::clone(&pool.connect_options());
    let daemon = Database::new(login.options([("role", "outboxd_daemon")]), Pooler::None);
    let mut lanes = Lanes::listening_at(&pool, &Settings::only_words(), daemon);
    asleep(&pool, 1).await;
    insert(&pool, "default", "c1").await;
    assert_eq!(lanes.claimed().await, "c1");
    lanes.stop().await;
}

/// While it waits, the session is idle and outside any transaction: vacuum is not held up.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_sleeper_pins_no_horizon(pool: PgPool) {
    let lanes = Lanes::start(&pool, &Settings::only_words());
    asleep(&pool, 1).await;
    let idle = "select count(*) from pg_stat_activity a join pg_locks l on l.pid = a.pid
                 where l.locktype = 'advisory' and a.datname = current_database() and a.application_name = 'outboxd'
                   and a.state = 'idle' and a.backend_xmin is null and a.backend_xid is null and a.xact_start is null";
    // Its last statement may be ending this moment.
    appears(&pool, idle).await;
    lanes.stop().await;
}

/// The whole daemon: one listening connection for all its apps, gone with it, and the metric.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_daemon_listens_on_one_connection_and_closes_it(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_POLL_IDLE", "60s");
    let daemon = fleet.start();
    asleep(&pool, 1).await;
    let listening = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'outboxd' and query ~ 'advisory|echo'";
    assert_eq!(number(&pool, listening).await, 1);
    crate::harness::enqueue(&pool, "li", "c").await;
    fleet.settled().await;
    daemon.stop().await;
    // Its sessions have been told to end; the server's processes take a moment to go.
    let gone = "select (count(*) = 0)::int::bigint from pg_stat_activity where datname = current_database() and application_name = 'outboxd'";
    appears(&pool, gone).await;
}

/// What an app is paused for must not wake it, and its resumption must be seen.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_paused_app_does_not_sleep_on_the_lock(pool: PgPool) {
    let mut settings = Settings::only_words();
    settings.poll_idle = Duration::from_millis(50);
    settings.rhythm.backstop = Duration::from_millis(50);
    let mut lanes = Lanes::start(&pool, &settings);
    asleep(&pool, 1).await;
    run(&pool, "insert into outboxd.app_state (app, paused_at, paused_by) values ('default', now(), 'wang')").await;
    appears(&pool, lanes::NOBODY_SLEEPS).await;
    insert(&pool, "default", "c1").await;
    run(
        &pool,
        "update outboxd.app_state set paused_at = null, paused_by = null",
    )
    .await;
    assert_eq!(lanes.claimed().await, "c1");
    asleep(&pool, 1).await;
    lanes.stop().await;
}

/// Behind a pooler nobody listens, and everything is called all the same.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn behind_a_transaction_pooler_a_daemon_only_polls(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    let port = crate::harness::free_port();
    fleet
        .set("OUTBOXD_POOLER", "transaction")
        .set("OUTBOXD_HTTP_LISTEN", &format!("127.0.0.1:{port}"));
    let mut daemon = fleet.process(&["run"]);
    for n in 0..5 {
        crate::harness::enqueue(&pool, "li", &format!("c{n}")).await;
        fleet.settled().await;
    }
    assert_eq!(number(&pool, lanes::SLEEPERS).await, 0);
    let (_, metrics) = crate::harness::got(&format!("127.0.0.1:{port}"), "/metrics").await;
    assert!(metrics.contains("outbox_listener_up 0"), "{metrics}");
    daemon.kill().await.unwrap();
}
