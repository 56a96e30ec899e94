//! `outboxd run`: ready when it can work, named in its metrics, ended when it cannot.

use sqlx::PgPool;

use super::{address_in, started};
use crate::fleet::{Fleet, signal};
use crate::harness::{enqueue, got, run};

/// The daemon is alive at once, ready when its schema is there, and no longer ready when it stops.
#[sqlx::test(migrations = false)]
async fn a_daemon_waits_for_its_schema_and_says_so(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet
        .set("OUTBOXD_HTTP_LISTEN", "127.0.0.1:0")
        .set("OUTBOXD_DRAIN_TIMEOUT", "2s");
    let (mut daemon, mut log) = started(&fleet, &["run"]);
    let address = address_in(&log.until("health and metrics").await);
    let waiting = log.until("waiting for the schema").await;
    assert!(waiting.contains("outboxd migrate"), "{waiting}");
    assert_eq!(got(&address, "/livez").await.0, 200);
    for path in ["/readyz", "/healthz"] {
        let (status, said) = got(&address, path).await;
        assert_eq!(status, 503);
        assert!(said.contains("outboxd migrate"), "{said}");
    }
    assert_eq!(
        got(&address, "/metrics").await.0,
        200,
        "without its schema, too"
    );
    assert_eq!(got(&address, "/nothing").await.0, 404);

    fleet.ask(&["migrate"]).await.ends_with(0);
    log.until("outboxd is running").await;
    assert_eq!(got(&address, "/readyz").await, (200, "ready\n".into()));
    enqueue(&pool, "li", "c").await;
    log.until("delivered (accepted)").await;
    fleet.settled().await;
    assert_eq!(got(&address, "/livez").await, (200, "alive\n".into()));

    // A call under way keeps it up for a moment, in which it says that it stops.
    enqueue(&pool, "hang", "slow").await;
    fleet
        .sim
        .wait_for(|ledger| ledger.calls().len() == 2)
        .await
        .unwrap();
    signal(&daemon, "TERM");
    log.until("stopping").await;
    assert_eq!(got(&address, "/readyz").await, (503, "stopping\n".into()));
    assert_eq!(
        got(&address, "/livez").await.0,
        200,
        "stopping is no reason to be killed"
    );
    assert_eq!(daemon.wait().await.unwrap().code(), Some(0));
}

/// The names that dashboards and alarms are built on.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_metrics_have_their_names(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_HTTP_LISTEN", "127.0.0.1:0");
    enqueue(&pool, "li", "a").await;
    enqueue(&pool, "fail-43101", "b").await;
    run(&pool, "select outboxd.enqueue_notification('e', 'li', 'later', next_attempt_at => now() + interval '1 hour')").await;
    let (mut daemon, mut log) = started(&fleet, &["run"]);
    let address = address_in(&log.until("health and metrics").await);
    for _ in 0..2 {
        log.until("\"status\":").await;
    }
    let (status, page) = got(&address, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"outbox_notifications_total{app="default",status="delivered"} 1"#,
        r#"outbox_notifications_total{app="default",status="dead"} 1"#,
        r#"outbox_attempts_total{app="default",outcome="delivered",reason="accepted"} 1"#,
        r#"outbox_attempts_total{app="default",outcome="failed",reason="not_subscribed"} 1"#,
        r#"outbox_call_duration_seconds_count{app="default"} 2"#,
        r#"outbox_claimed_total{app="default"} 2"#,
        r#"outbox_due{app="default"} 0"#,
        r#"outbox_in_flight{app="default"} 0"#,
        r#"outbox_awaiting_grant{app="default"} 0"#,
        r#"outbox_oldest_due_age_seconds{app="default"} 0"#,
        r#"outbox_circuit_open{app="default"} 0"#,
        r#"outbox_paused{app="default"} 0"#,
        r#"outbox_poll_last_success_timestamp_seconds{app="default"} "#,
        r#"outbox_claim_duration_seconds_count{app="default"} "#,
        "outbox_build_info{version=",
        "# EOF",
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    // The service's numbers are as of the scrape.
    run(
        &pool,
        "insert into outboxd.app_state (app, paused_at, paused_by) values ('default', now(), 'wang')
             on conflict (app) do update set paused_at = excluded.paused_at, paused_by = excluded.paused_by",
    )
    .await;
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = now() - interval '90 seconds';
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, awaits_grant)
         select 'e', 'c', 'r' || n, 1, 1, t, true
           from (values (1, timestamptz 'infinity'), (2, now() + interval '1 day'), (3, now() - interval '1 second')) v (n, t)",
    )
    .await;
    let (_, page) = got(&address, "/metrics").await;
    for line in [
        r#"outbox_paused{app="default"} 1"#,
        r#"outbox_due{app="default"} 2"#,
        r#"outbox_awaiting_grant{app="default"} 2"#,
        r#"outbox_oldest_due_age_seconds{app="default"} 9"#,
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    signal(&daemon, "TERM");
    assert!(daemon.wait().await.unwrap().success());
}

/// A start that no restart mends ends with 4, so that no supervisor tries for ever.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_restart_cannot_mend_ends_with_4(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    fleet.set(
        "OUTBOXD_HTTP_LISTEN",
        &taken.local_addr().unwrap().to_string(),
    );
    let said = fleet.ask(&["run"]).await.ends_with(4);
    assert!(said.err.contains("Set OUTBOXD_HTTP_LISTEN"), "{said:?}");
    // One that drains and ends needs no port.
    fleet.ask(&["run", "--once"]).await.ends_with(0);

    fleet
        .set("OUTBOXD_UNSAFE_DURABILITY", "false")
        .set("OUTBOXD_HTTP_LISTEN", "off");
    let name: String = sqlx::query_scalar("select current_database()::text")
        .fetch_one(&pool)
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        r#"alter database "{name}" set synchronous_commit = off"#
    )))
    .execute(&pool)
    .await
    .unwrap();
    let said = fleet
        .ask(&["run", "--once", "--lang", "zh"])
        .await
        .ends_with(4);
    assert!(
        said.err.contains("synchronous_commit = off") && said.err.contains("请把两项都打开"),
        "{said:?}"
    );
}
