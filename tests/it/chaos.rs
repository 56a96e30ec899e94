//! Daemons that are paused, killed and outnumbered. Judged by three ledgers: what the CRM committed, what the
//! simulator saw, and the tables; never by a daemon's word.

use std::process::ExitStatus;
use std::time::Duration;

use sqlx::PgPool;

use crate::fleet::{Fleet, signal};
use crate::harness::{appears, enqueue, free_port, number, run};

/// 10,000 notifications, 5 % of them with faults, four daemons, one of them killed in the middle.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn four_daemons_ten_thousand_rows_five_percent_faults_one_kill(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_SLOTS", "32").set("OUTBOXD_LOG", "warn");
    run(&pool, "
        with faults as (select array['once-http-500', 'once-reset-after-body', 'once-lost-reply', 'once-half-json', 'fail-43101',
                                     'once-outer-n504002', 'once-reset-unsent', 'once-fail-43108', 'slow-800ms', 'no-openid'] as f)
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload, order_key)
        select 'customer_assigned', 'c' || n, case when n % 20 = 0 then f[1 + n / 20 % 10] || '.' || n else 'staff-' || n % 300 end,
               jsonb_build_object('name', '客户' || n), case when n % 50 = 7 then 'k' || n % 500 end
          from faults, generate_series(1, 10000) n").await;
    let mut daemons: Vec<_> = (0..4).map(|_| fleet.process(&["run"])).collect();
    fleet
        .sim
        .wait_for_within(Duration::from_secs(60), |ledger| {
            ledger.messages().len() >= 3000
        })
        .await
        .unwrap();
    let mut killed = daemons.remove(0);
    killed.kill().await.unwrap();
    fleet.settled().await;
    for daemon in &mut daemons {
        signal(daemon, "TERM");
        assert!(daemon.wait().await.unwrap().success());
    }
    fleet.assert_invariants().await;
    let settled = number(&pool, "select count(*) from outboxd.notification_delivery").await;
    let refused = number(&pool, "select count(*) from outboxd.notification_delivery where status = 'dead' and reason in ('not_subscribed', 'no_openid')").await;
    assert_eq!(settled, 10_000, "lost");
    assert_eq!(
        fleet.sim.ledger().messages().len() as i64,
        settled - refused
    );
    assert_eq!(refused, 100);
    println!(
        "rows=10000 calls={} duplicates_suppressed={} lapsed={} lease_lost={} lost=0 twice=0",
        fleet.sim.ledger().calls().len(),
        number(&pool, "select count(*) from outboxd.notification_delivery where reason = 'accepted_duplicate'").await,
        number(&pool, "select count(*) from outboxd.notification_attempt where outcome = 'unknown' and phase = 'lapsed'").await,
        number(&pool, "select count(*) from outboxd.audit_log where action = 'late_answer'").await,
    );
}

/// A daemon that is frozen while its call is answered, and wakes after its lease was taken over.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_frozen_daemon_that_wakes_after_its_lease_is_refused(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    let port = free_port();
    fleet.set("OUTBOXD_HTTP_LISTEN", &format!("127.0.0.1:{port}"));
    let id = enqueue(&pool, "sent-slow-500ms", "c").await;
    let mut frozen = fleet.process(&["run"]);
    fleet
        .sim
        .wait_for(|ledger| ledger.messages().len() == 1)
        .await
        .unwrap();
    signal(&frozen, "STOP");
    fleet.set("OUTBOXD_HTTP_LISTEN", "off");
    let awake = fleet.start();
    fleet.settled().await;
    assert_eq!(
        fleet.verdict("c").await,
        ("delivered".into(), "accepted_duplicate".into())
    );
    signal(&frozen, "CONT");
    appears(
        &pool,
        "select count(*) from outboxd.audit_log where action = 'late_answer'",
    )
    .await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = reqwest::get(format!("http://127.0.0.1:{port}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains(r#"outbox_lease_lost_total{app="default"} 1"#),
        "{metrics}"
    );
    assert_eq!(fleet.sim.ledger().messages().len(), 1);
    let evidence: Vec<i64> =
        sqlx::query_scalar("select unnest(notification_ids) from outboxd.audit_log")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(evidence, [id]);
    fleet.assert_invariants().await;
    signal(&frozen, "TERM");
    frozen.wait().await.unwrap();
    awake.stop().await;
}

/// A row that takes its daemon with it is convicted alone; the rows in flight beside it go out.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn three_crashes_with_the_same_row_in_flight_quarantine_it_and_nothing_else(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    enqueue(&pool, "unsent-hang", "poison").await;
    enqueue(&pool, "once-unsent-hang", "innocent").await;
    for crash in 1..=3 {
        let mut daemon = fleet.process(&["run"]);
        let calls = if crash == 1 {
            2
        } else {
            fleet.sim.ledger().calls().len() + 1
        };
        fleet
            .sim
            .wait_for(|ledger| ledger.calls().len() >= calls)
            .await
            .unwrap();
        daemon.kill().await.unwrap();
        run(&pool, "update outboxd.notification_outbox set lease_until = now() - interval '1 second' where lease_until is not null").await;
        if crash == 1 {
            run(&pool, "update outboxd.notification_outbox set next_attempt_at = now() + interval '1 hour' where aggregate_id = 'innocent'").await;
        }
    }
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = now()",
    )
    .await;
    let daemon = fleet.start();
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(
        fleet.verdict("poison").await,
        ("dead".into(), "kills_worker".into())
    );
    assert_eq!(fleet.verdict("innocent").await.0, "delivered");
    fleet.assert_invariants().await;
}

/// SIGTERM and SIGINT alike: the call under way is finished and recorded, nothing is left leased.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_stop_finishes_what_is_under_way_and_leaves_no_lease(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_SLOTS", "8");
    for (n, name) in ["TERM", "INT"].into_iter().enumerate() {
        for i in 0..50 {
            enqueue(&pool, "slow-800ms", &format!("c{n}-{i}")).await;
        }
        let mut daemon = fleet.process(&["run"]);
        let before = fleet.sim.ledger().calls().len();
        fleet
            .sim
            .wait_for(|ledger| ledger.calls().len() >= before + 8)
            .await
            .unwrap();
        signal(&daemon, name);
        let status: ExitStatus = daemon.wait().await.unwrap();
        assert!(status.success(), "{name}: {status}");
        assert_eq!(
            number(
                &pool,
                "select count(*) from outboxd.notification_outbox where lease_token is not null"
            )
            .await,
            0,
            "{name}"
        );
        assert_eq!(
            number(
                &pool,
                "select count(*) from outboxd.notification_attempt where outcome = 'unknown'"
            )
            .await,
            0,
            "{name}"
        );
    }
    assert_eq!(
        fleet.sim.ledger().calls().len() as i64,
        number(&pool, "select count(*) from outboxd.notification_delivery").await
    );
    fleet.assert_invariants().await;
}

/// The second signal does not wait.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_second_signal_ends_at_once(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    enqueue(&pool, "hang", "c").await;
    let mut daemon = fleet.process(&["run"]);
    fleet
        .sim
        .wait_for(|ledger| ledger.calls().len() == 1)
        .await
        .unwrap();
    let started = std::time::Instant::now();
    signal(&daemon, "TERM");
    // Two signals of one kind may arrive as one; another kind is another signal.
    signal(&daemon, "INT");
    let status = daemon.wait().await.unwrap();
    assert!(matches!(status.code(), Some(130 | 143)), "{status}");
    assert!(
        started.elapsed() < Duration::from_millis(1500),
        "the call had two seconds"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn once_drains_what_is_due_and_exits(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, "select outboxd.enqueue_notification('e', 'li', 'c' || n) from generate_series(1, 100) n;
                select outboxd.enqueue_notification('e', 'li', 'later', next_attempt_at => now() + interval '1 hour')").await;
    let status = tokio::time::timeout(
        Duration::from_secs(30),
        fleet.process(&["run", "--once"]).wait(),
    )
    .await
    .unwrap()
    .unwrap();
    assert!(status.success());
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_delivery").await,
        100
    );
    assert_eq!(fleet.verdict("later").await.0, "scheduled");
}

/// The database goes away while outcomes wait to be written: they are written when it is back, without a second call.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_outcome_outlives_a_database_that_is_away_for_a_moment(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    for n in 0..10 {
        enqueue(&pool, "slow-800ms", &format!("c{n}")).await;
    }
    let daemon = fleet.start();
    fleet
        .sim
        .wait_for(|ledger| ledger.calls().len() == 10)
        .await
        .unwrap();
    // Every session of the daemon is ended, and its next ones for a while, too.
    for _ in 0..30 {
        run(&pool, "select pg_terminate_backend(pid) from pg_stat_activity
                     where application_name = 'outboxd' and datname = current_database() and pid <> pg_backend_pid()").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(fleet.sim.ledger().calls().len(), 10, "no second call");
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery where attempts = 1"
        )
        .await,
        10
    );
    fleet.assert_invariants().await;
}

/// `--once` leaves what is held, and says so by its exit code.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn once_does_not_call_a_held_app_drained(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, "insert into outboxd.app_state (app, paused_at, paused_by) values ('default', now(), 'wang')").await;
    let empty = fleet.process(&["run", "--once"]).wait().await.unwrap();
    assert!(empty.success(), "nothing was due");
    enqueue(&pool, "li", "c").await;
    let held = fleet.process(&["run", "--once"]).wait().await.unwrap();
    assert_eq!(held.code(), Some(1));
    assert_eq!(fleet.verdict("c").await.0, "held");
}

/// Nothing but suspects is due, and the breaker is open: one of them is the probe.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_suspect_can_be_the_probe_when_nothing_else_is_due(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    enqueue(&pool, "li", "c").await;
    run(&pool, "update outboxd.notification_outbox set lapses = 2;
                insert into outboxd.app_state (app, breaker, breaker_until) values ('default', 'open', now())").await;
    let daemon = fleet.start();
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(fleet.verdict("c").await.0, "delivered");
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.app_state where breaker = 'closed'"
        )
        .await,
        1
    );
}

/// A suspect that must wait for its predecessor keeps nobody waiting, `--once` neither.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn once_does_not_wait_for_a_suspect_that_cannot_be_claimed(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, "select outboxd.enqueue_notification('e', 'li', 'first', order_key => 'k', next_attempt_at => now() + interval '1 hour');
                select outboxd.enqueue_notification('e', 'li', 'second', order_key => 'k');
                update outboxd.notification_outbox set lapses = 2 where aggregate_id = 'second'").await;
    fleet.drain().await;
    assert!(fleet.sim.ledger().calls().is_empty());
}
