//! The claim statement: who gets which rows, in what order, at what cost.

use std::time::Duration;

use outboxd::catalogue::{Pause, by_key};
use outboxd::outbox::claim::Reach;
use outboxd::outbox::state::{Gate, gate, open_breaker};
use sqlx::PgPool;

use crate::harness::{LEASE, claimer, enqueue, ids_of, lapse_leases, number, run};

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_claim_takes_as_many_as_asked_and_no_other_daemon_gets_them(pool: PgPool) {
    run(
        &pool,
        "select outboxd.enqueue_notification('e', 'u', 'c' || n) from generate_series(1, 100) n",
    )
    .await;
    let mut daemons = Vec::new();
    for n in 0..8 {
        daemons.push(claimer(&pool, &format!("d{n}")));
    }
    let mut calls = tokio::task::JoinSet::new();
    for mut daemon in daemons {
        calls.spawn(async move { ids_of(&mut daemon, 10).await });
    }
    let taken = calls.join_all().await;
    let mut all: Vec<i64> = taken.concat();
    assert!(taken.iter().all(|ids| ids.len() <= 10));
    all.sort_unstable();
    all.dedup();
    assert_eq!(
        all.len(),
        taken.iter().map(Vec::len).sum::<usize>(),
        "no row twice"
    );
    assert_eq!(number(&pool, "select count(*) from outboxd.notification_outbox where lease_until > now() and attempts = 1").await, all.len() as i64);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_lapsed_lease_is_taken_over_and_its_attempt_written_down_as_unknown(pool: PgPool) {
    enqueue(&pool, "u", "c").await;
    let mut first = claimer(&pool, "first");
    let before = first.claim(Reach::Due(10)).await.unwrap().remove(0);
    assert_eq!(
        (before.attempt.0, before.spent, before.may_have_arrived),
        (1, 1, false)
    );
    let mut second = claimer(&pool, "second");
    assert_eq!(
        ids_of(&mut second, 10).await,
        Vec::<i64>::new(),
        "a live lease is respected"
    );
    lapse_leases(&pool).await;
    second.sweep_next();
    let after = second.claim(Reach::Due(10)).await.unwrap().remove(0);
    assert_eq!(
        (after.attempt.0, after.lapses, after.may_have_arrived),
        (2, 1, true)
    );
    assert!(
        after.epoch > before.epoch
            && after.key == before.key
            && after.lease_token != before.lease_token
    );
    let line: (i32, String, String, String, String) = sqlx::query_as(
        "select attempt, phase, outcome, sentence, daemon from outboxd.notification_attempt",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(
        line,
        (
            1,
            "lapsed".into(),
            "unknown".into(),
            "lease_lapsed".into(),
            "first".into()
        )
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_row_in_flight_at_two_lapses_is_left_for_a_claim_of_its_own(pool: PgPool) {
    let poison = enqueue(&pool, "u", "c").await;
    let mut daemon = claimer(&pool, "d");
    for _ in 0..2 {
        assert!(!daemon.suspect_is_due().await.unwrap());
        assert_eq!(ids_of(&mut daemon, 10).await, [poison]);
        lapse_leases(&pool).await;
    }
    let innocent = enqueue(&pool, "u", "c2").await;
    assert_eq!(ids_of(&mut daemon, 10).await, [innocent]);
    assert!(daemon.suspect_is_due().await.unwrap());
    let suspect = daemon
        .claim(Reach::Suspect { as_probe: false })
        .await
        .unwrap()
        .remove(0);
    assert_eq!((suspect.id.0, suspect.lapses), (poison, 2));
    assert!(!daemon.suspect_is_due().await.unwrap());
}

/// Two power cuts make suspects of all that was in flight; the third can only convict the one that ran alone.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn power_cuts_convict_nobody_who_was_in_company(pool: PgPool) {
    for n in 0..10 {
        enqueue(&pool, "u", &format!("c{n}")).await;
    }
    let mut daemon = claimer(&pool, "d");
    for _ in 0..2 {
        assert_eq!(ids_of(&mut daemon, 10).await.len(), 10);
        lapse_leases(&pool).await;
    }
    assert_eq!(ids_of(&mut daemon, 10).await, Vec::<i64>::new());
    let mut lapses = Vec::new();
    for round in 0..11 {
        let suspect = daemon
            .claim(Reach::Suspect { as_probe: false })
            .await
            .unwrap()
            .remove(0);
        lapses.push((suspect.id.0, suspect.lapses));
        if round == 0 {
            lapse_leases(&pool).await;
            // The other nine were never in flight alone: their last lease is the one that lapsed in company.
        }
    }
    let convicted: Vec<i64> = lapses
        .iter()
        .filter(|(_, n)| *n >= 3)
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(convicted, [1], "{lapses:?}");
}

/// A late import behind the mark goes at full speed, not at one sweep of free slots a second.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn many_rows_committed_late_are_not_left_to_one_sweep_each(pool: PgPool) {
    let mut late = pool.begin().await.unwrap();
    sqlx::query(
        "select outboxd.enqueue_notification('e', 'u', 'late') from generate_series(1, 500)",
    )
    .execute(&mut *late)
    .await
    .unwrap();
    let mut daemon = claimer(&pool, "d");
    for n in 0..4 {
        enqueue(&pool, "u", "c").await;
        assert_eq!(
            daemon.claim(Reach::Due(10)).await.unwrap().len(),
            1,
            "round {n}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    late.commit().await.unwrap();
    enqueue(&pool, "u", "fresh").await;
    let started = std::time::Instant::now();
    let mut taken = 0;
    while taken < 501 {
        taken += daemon.claim(Reach::Due(10)).await.unwrap().len();
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{taken} of 501 after 10 s"
        );
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn rows_with_an_order_key_wait_for_their_predecessor(pool: PgPool) {
    run(&pool, "select outboxd.enqueue_notification('e', 'u', 'c', order_key => 'k' || n % 2) from generate_series(1, 6) n").await;
    let mut daemon = claimer(&pool, "d");
    assert_eq!(ids_of(&mut daemon, 10).await, [1, 2], "one of each key");
    assert_eq!(ids_of(&mut daemon, 10).await, Vec::<i64>::new());
    run(
        &pool,
        "delete from outboxd.notification_outbox where id = 1",
    )
    .await;
    assert_eq!(ids_of(&mut daemon, 10).await, [3]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn priority_goes_first_and_what_is_not_due_does_not_go(pool: PgPool) {
    run(&pool, "select outboxd.enqueue_notification('e', 'u', 'c', priority => 4 - n) from generate_series(1, 3) n;
        select outboxd.enqueue_notification('e', 'u', 'c', priority => 1, next_attempt_at => now() + interval '1 hour');
        select outboxd.enqueue_notification('e', 'u', 'c', priority => 1, next_attempt_at => 'infinity');
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, format_version) values ('e', 'c', 'u', 2)").await;
    let mut daemon = claimer(&pool, "d");
    for expected in [3, 2, 1] {
        assert_eq!(ids_of(&mut daemon, 1).await, [expected]);
    }
    assert_eq!(ids_of(&mut daemon, 10).await, Vec::<i64>::new());
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_shut_gate_stops_every_claim_at_once(pool: PgPool) {
    enqueue(&pool, "u", "c").await;
    let mut daemon = claimer(&pool, "d");
    run(&pool, "insert into outboxd.app_state (app, paused_at, paused_by) values ('default', now(), 'wang')").await;
    assert_eq!(ids_of(&mut daemon, 10).await, Vec::<i64>::new());
    run(&pool, "update outboxd.app_state set paused_at = null, paused_by = null, breaker = 'open', breaker_until = now() + interval '1 hour'").await;
    assert_eq!(ids_of(&mut daemon, 10).await, Vec::<i64>::new());
    run(&pool, "update outboxd.app_state set breaker = 'closed'").await;
    assert_eq!(ids_of(&mut daemon, 10).await, [1]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_newer_notification_of_the_same_collapse_key_is_seen_wherever_it_is(pool: PgPool) {
    run(
        &pool,
        "select outboxd.enqueue_notification('e', 'a', 'c', collapse_key => 'customer:c');
                select outboxd.enqueue_notification('e', 'b', 'c', collapse_key => 'customer:c');
                select outboxd.enqueue_notification('e', 'b', 'd', collapse_key => 'customer:d')",
    )
    .await;
    let mut daemon = claimer(&pool, "d");
    let mut claims = daemon.claim(Reach::Due(10)).await.unwrap();
    claims.sort_by_key(|c| c.id);
    let seen: Vec<Option<i64>> = claims
        .iter()
        .map(|c| c.superseded_by.map(|id| id.0))
        .collect();
    assert_eq!(seen, [Some(2), None, None]);
}

/// A low-water mark must not hide a row that was committed late.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_row_committed_late_is_found_by_the_sweep(pool: PgPool) {
    let mut late = pool.begin().await.unwrap();
    sqlx::query("select outboxd.enqueue_notification('e', 'u', 'late')")
        .execute(&mut *late)
        .await
        .unwrap();
    let mut daemon = claimer(&pool, "d");
    let mut seen = Vec::new();
    // Move the mark well past the uncommitted row.
    for n in 0..4 {
        seen.push(enqueue(&pool, "u", "c").await);
        assert_eq!(
            daemon.claim(Reach::Due(10)).await.unwrap().len(),
            1,
            "round {n}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    late.commit().await.unwrap();
    let found = loop {
        let claims = daemon.claim(Reach::Due(10)).await.unwrap();
        if let Some(claim) = claims.first() {
            break claim.aggregate_id.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(found, "late");
}

/// Where a walk from the beginning is slow, no claim makes it; a row committed late is found by one made aside.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_row_committed_late_is_found_by_a_sweep_made_aside(pool: PgPool) {
    let mut late = pool.begin().await.unwrap();
    sqlx::query("select outboxd.enqueue_notification('e', 'u', 'late')")
        .execute(&mut *late)
        .await
        .unwrap();
    let mut daemon = claimer(&pool, "d");
    daemon.sweep_is_slow_from(Duration::ZERO);
    // Past the half second that every walk looks back.
    for n in 0..4 {
        enqueue(&pool, "u", "c").await;
        let claims = daemon.claim(Reach::Due(10)).await.unwrap();
        assert_eq!(claims.len(), 1, "round {n}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    late.commit().await.unwrap();
    // Ten milliseconds after the last sweep its share is used up, and no claim may make one.
    assert!(daemon.claim(Reach::Due(10)).await.unwrap().is_empty());
    tokio::time::timeout(Duration::from_secs(20), daemon.swept_aside())
        .await
        .expect("a sweep made aside sees the row");
    let claims = daemon.claim(Reach::Due(10)).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].aggregate_id, "late");
}

/// Of some rows nobody will ever answer. They must not keep the breaker open for the others: the probes take turns.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn after_a_probe_that_failed_the_next_one_is_not_in_doubt(pool: PgPool) {
    let (mute, well) = (
        enqueue(&pool, "u", "c").await,
        enqueue(&pool, "u", "d").await,
    );
    run(
        &pool,
        "update outboxd.notification_outbox set may_have_arrived = true where aggregate_id = 'c'",
    )
    .await;
    let mut daemon = claimer(&pool, "d");
    let why = by_key("lease_lapsed").unwrap();
    let mut probed = Vec::new();
    for _ in 0..4 {
        open_breaker(
            daemon.line(),
            "default",
            Pause::For(Duration::ZERO),
            why,
            None,
        )
        .await
        .unwrap();
        let Gate::Probe { in_doubt } = gate(daemon.line(), "default", LEASE).await.unwrap() else {
            panic!("the pause is over");
        };
        let claims = daemon.claim(Reach::Probe { in_doubt }).await.unwrap();
        probed.push(claims[0].id.0);
        run(&pool, "update outboxd.notification_outbox set lease_token = null, lease_until = null, leased_by = null").await;
    }
    assert_eq!(probed, [mute, well, mute, well]);
}

/// What a sweep costs is the walk, not the time until the lane has room to look.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_sweep_made_aside_is_not_charged_the_time_until_it_is_noticed(pool: PgPool) {
    let mut daemon = claimer(&pool, "d");
    daemon.sweep_is_slow_from(Duration::ZERO);
    assert!(daemon.claim(Reach::Due(1)).await.unwrap().is_empty());
    daemon.sweep_is_slow_from(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // It begins here, and is noticed two seconds later by the next claim of a lane whose slots were all taken.
    assert!(daemon.claim(Reach::Due(1)).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(daemon.claim(Reach::Due(1)).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(
        daemon.sweeps_next(),
        "quick again, so a claim makes it, a second later"
    );
}
