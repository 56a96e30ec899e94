//! A row's whole way, in one daemon: every kind of answer, and what becomes of the row.

use std::time::Duration;

use sqlx::PgPool;
use wechat_sim::TokenAnswer;

use crate::fleet::Fleet;
use crate::harness::{appears, enqueue, number, run};

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_assignment_becomes_a_message(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    enqueue(&pool, "li", "c1").await;
    fleet.drain().await;
    assert_eq!(
        fleet.verdict("c1").await,
        ("delivered".into(), "accepted".into())
    );
    let ledger = fleet.sim.ledger();
    assert_eq!(ledger.messages().len(), 1);
    assert_eq!(
        (
            ledger.messages()[0].recipient.as_str(),
            ledger.messages()[0].aggregate_id.as_str()
        ),
        ("li", "c1")
    );
    let msgid: String = sqlx::query_scalar("select msgid from outboxd.notification_delivery")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(
        msgid,
        ledger.messages()[0].msgid,
        "the id is carried exactly, digit by digit"
    );
    fleet.assert_invariants().await;
}

/// One line per story: the recipient scripts the fault, the verdict and the number of messages are the expectation.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_fault_ends_in_a_true_verdict(pool: PgPool) {
    let stories: &[(&str, &str, usize)] = &[
        ("plain", "delivered", 1),
        ("fail-43101", "dead", 0),
        ("fail-40003", "dead", 0),
        ("fail-47003", "dead", 0),
        ("no-openid", "dead", 0),
        ("once-fail-43108", "delivered", 1),
        ("once-http-500", "delivered", 1),
        ("once-http-503-retry-after-1", "delivered", 1),
        ("once-reset-after-body", "delivered", 1),
        ("once-reset-unsent", "delivered", 1),
        ("once-lost-reply", "delivered", 1),
        ("once-html", "delivered", 1),
        ("once-half-json", "delivered", 1),
        ("once-empty", "delivered", 1),
        ("once-garbage", "delivered", 1),
        ("once-huge", "delivered", 1),
        ("once-cut-body", "delivered", 1),
        ("once-dribble", "delivered", 1),
        ("once-hang", "delivered", 1),
        ("once-outer-n504002", "delivered", 1),
        ("once-outer-n501001", "delivered", 1),
        ("once-scf-430", "delivered", 1),
        ("once-scf-433", "delivered", 1),
        ("once-scf-429", "delivered", 1),
        ("object-resp", "delivered", 1),
        ("string-resp", "delivered", 1),
        ("triple-resp", "delivered", 1),
        ("once-wrong-key", "delivered", 1),
        ("text-codes", "delivered", 1),
        ("slow-800ms", "delivered", 1),
        ("once-in-progress", "delivered", 1),
    ];
    let fleet = Fleet::new(&pool).await;
    for (story, ..) in stories {
        // Among ordinary people: five silent answers in a row would rightly open the breaker.
        for _ in 0..8 {
            enqueue(&pool, "li", "c").await;
        }
        enqueue(&pool, story, story).await;
    }
    let daemon = fleet.start();
    fleet.settled().await;
    daemon.stop().await;
    let ledger = fleet.sim.ledger();
    for (story, status, messages) in stories {
        let (said, reason) = fleet.verdict(story).await;
        assert_eq!(
            (said.as_str(), ledger.messages_to(story).len()),
            (*status, *messages),
            "{story}: {reason}"
        );
    }
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_broken_app_pauses_costs_its_rows_nothing_and_comes_back_through_one_probe(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_SLOTS", "4");
    for n in 0..20 {
        enqueue(&pool, "li", &format!("c{n}")).await;
    }
    fleet.sim.switches().set(|s| s.wrong_secret = true);
    let daemon = fleet.start();
    appears(
        &pool,
        "select count(*) from outboxd.app_state where breaker = 'open'",
    )
    .await;
    let calls = fleet.sim.ledger().token_calls().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        fleet.sim.ledger().token_calls().len() <= calls + 4,
        "no hammering while paused"
    );
    assert_eq!(number(&pool, "select coalesce(max(attempts - spared), 0)::bigint from outboxd.notification_outbox where lease_until is null").await, 0);
    // Mended; time passes; one row probes.
    fleet.sim.switches().set(|s| s.wrong_secret = false);
    run(&pool, "update outboxd.app_state set breaker_until = now();
                update outboxd.notification_outbox set next_attempt_at = now() where lease_until is null").await;
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(fleet.sim.ledger().messages().len(), 20);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.app_state where breaker = 'closed'"
        )
        .await,
        1
    );
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_outage_burns_no_attempts_and_everything_arrives_after_it(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    for n in 0..30 {
        enqueue(&pool, "li", &format!("c{n}")).await;
    }
    fleet.sim.stop().await;
    let daemon = fleet.start();
    appears(
        &pool,
        "select count(*) from outboxd.app_state where breaker <> 'closed'",
    )
    .await;
    fleet.sim.restart().await;
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = now() where lease_until is null",
    )
    .await;
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(fleet.sim.ledger().messages().len(), 30);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery where status <> 'delivered'"
        )
        .await,
        0
    );
    fleet.assert_invariants().await;
}

/// A whole series of people whose first call stays without an answer: the probes ask about those already called
/// instead of risking one more each, so the breaker closes as soon as somebody answers.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_probe_asks_about_an_unknown_row_before_it_risks_another(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    for n in 0..40 {
        enqueue(&pool, &format!("once-lost-reply.{n}"), &format!("c{n}")).await;
    }
    let daemon = fleet.start();
    fleet.settled().await;
    daemon.stop().await;
    let strikes = number(
        &pool,
        "select coalesce(max(breaker_strikes), 0)::bigint from outboxd.app_state",
    )
    .await;
    assert_eq!(strikes, 0, "closed in the end");
    assert_eq!(fleet.sim.ledger().messages().len(), 40);
    let calls = fleet.sim.ledger().calls().len();
    assert_eq!(calls, 80, "each was called once and asked about once");
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_revoked_token_is_replaced_within_the_attempt(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_SLOTS", "4");
    let daemon = fleet.start();
    for n in 0..10 {
        enqueue(&pool, "li", &format!("c{n}")).await;
        fleet.settled().await;
        fleet.sim.revoke_tokens();
    }
    daemon.stop().await;
    assert_eq!(
        number(
            &pool,
            "select max(attempts)::bigint from outboxd.notification_delivery"
        )
        .await,
        1
    );
    assert!(
        fleet
            .sim
            .ledger()
            .token_calls()
            .iter()
            .all(|call| !call.is_forced)
    );
    assert!(
        fleet.sim.ledger().token_calls().len() <= 11,
        "one refresh per revocation"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_token_that_stays_refused_is_forced_once_per_fleet(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    enqueue(&pool, "li", "c0").await;
    fleet.drain().await;
    fleet.sim.poison_token();
    let daemons = [fleet.start(), fleet.start(), fleet.start()];
    for n in 1..10 {
        enqueue(&pool, "li", &format!("c{n}")).await;
    }
    fleet.settled().await;
    for daemon in daemons {
        daemon.stop().await;
    }
    let forced = fleet
        .sim
        .ledger()
        .token_calls()
        .iter()
        .filter(|call| call.is_forced)
        .count();
    assert_eq!(forced, 1);
    assert_eq!(
        number(
            &pool,
            "select forced_refresh_count::bigint from outboxd.app_state"
        )
        .await,
        1
    );
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_fetched_token_tells_its_age(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    enqueue(&pool, "li", "c").await;
    let daemon = fleet.start();
    // The simulator hands out tokens for 7,200 s; the last five seconds of one are left alone.
    appears(
        &pool,
        "select count(*) from outboxd.app_state
          where token_fetched_at between now() - interval '1 minute' and now()
            and token_expires_at - token_fetched_at between interval '7190 seconds' and interval '7195 seconds'",
    )
    .await;
    fleet.settled().await;
    enqueue(&pool, "li", "at hand").await;
    fleet.settled().await;
    daemon.stop().await;
    // Only the first call had to wait for it.
    let waits: Vec<Option<bool>> = sqlx::query_scalar(
        "select token_ms between 0 and latency_ms from outboxd.notification_attempt order by notification_id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(waits, [Some(true), None]);
    // The next daemon is handed the same token, which is no younger for it.
    run(
        &pool,
        "update outboxd.app_state set token_fetched_at = token_fetched_at - interval '1 hour',
                                      token_expires_at = token_expires_at - interval '10 seconds'",
    )
    .await;
    enqueue(&pool, "li", "d").await;
    let daemon = fleet.start();
    appears(
        &pool,
        "select count(*) from outboxd.app_state
          where token_expires_at - token_fetched_at between interval '10790 seconds' and interval '10796 seconds'",
    )
    .await;
    daemon.stop().await;
    // One that lives for another time is another one.
    run(
        &pool,
        "update outboxd.app_state set token_expires_at = token_expires_at + interval '1 hour'",
    )
    .await;
    enqueue(&pool, "li", "e").await;
    let daemon = fleet.start();
    appears(
        &pool,
        "select count(*) from outboxd.app_state where token_fetched_at > now() - interval '1 minute'",
    )
    .await;
    daemon.stop().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_throttled_token_endpoint_is_waited_for(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    fleet
        .sim
        .switches()
        .set(|s| s.next_token_answers.push_back(TokenAnswer::Code(-1)));
    enqueue(&pool, "li", "c").await;
    let daemon = fleet.start();
    appears(&pool, "select count(*) from outboxd.notification_attempt").await;
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = now() where lease_until is null",
    )
    .await;
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(fleet.verdict("c").await.0, "delivered");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn expired_superseded_and_cancelled_rows_are_settled_without_a_call(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, "select outboxd.enqueue_notification('e', 'late', 'expired', expires_at => now() - interval '1 second');
                select outboxd.enqueue_notification('e', 'a', 'superseded', collapse_key => 'k');
                select outboxd.enqueue_notification('e', 'b', 'newer', collapse_key => 'k');
                select outboxd.enqueue_notification('e', 'x', 'cancelled');
                update outboxd.notification_outbox set cancel_requested_by = 'wang' where aggregate_id = 'cancelled'").await;
    fleet.drain().await;
    for (customer, status) in [
        ("expired", "expired"),
        ("superseded", "superseded"),
        ("newer", "delivered"),
        ("cancelled", "cancelled"),
    ] {
        assert_eq!(fleet.verdict(customer).await.0, status);
    }
    assert_eq!(fleet.sim.ledger().calls().len(), 1);
    fleet.assert_invariants().await;
}

/// Values that have broken decoders elsewhere: each goes out, or dies alone; its neighbours never notice.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn one_odd_row_never_hurts_its_neighbours(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, r#"
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload)
        select 'e', 'good' || n, 'li', '{"name": "张三"}' from generate_series(1, 99) n;
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload) values
            ('e', 'odd1', 'u', '{"n": 1e400}'), ('e', 'odd2', 'u', '{"n": 123456789012345678901234567890}'),
            ('e', 'odd3', 'u', ('{"x": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb),
            ('e', 'odd4', 'u', '{"x": "\ud83d\ude00 \u202e rtl"}'),
            (E'e\x01\x1b[31m', 'odd5', E'u\x07 "quoted" \\ 名', '{}'),
            ('e', 'odd6', 'u', '{"x": -0.0, "": null, "a": {"b": {"c": [1, true]}}}'),
            ('e', 'odd7', 'u', jsonb_build_object('x', repeat('微', 21000)));
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, expires_at, next_attempt_at) values
            ('e', 'odd8', 'u', 'infinity', '4713-01-01 00:00:00 BC'), ('e', 'odd9', 'u', '-infinity', now());
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, traceparent) values
            ('e', 'odd10', 'u', 'not a traceparent')"#).await;
    fleet.drain().await;
    assert_eq!(number(&pool, "select count(*) from outboxd.notification_delivery where aggregate_id like 'good%' and status = 'delivered' and attempts = 1").await, 99);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        0,
        "{}",
        fleet.story().await
    );
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn first_arrivals_of_a_key_come_in_order(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, "select outboxd.enqueue_notification('e', case when n % 7 = 0 then 'once-http-500.' || n else 'u' end, 'c' || n, order_key => 'k')
                  from generate_series(1, 60) n").await;
    let daemons = [fleet.start(), fleet.start(), fleet.start()];
    fleet.settled().await;
    for daemon in daemons {
        daemon.stop().await;
    }
    let order: Vec<String> = fleet
        .sim
        .ledger()
        .messages()
        .iter()
        .map(|m| m.aggregate_id.clone())
        .collect();
    let expected: Vec<String> = (1..=60).map(|n| format!("c{n}")).collect();
    assert_eq!(order, expected);
    fleet.assert_invariants().await;
}
