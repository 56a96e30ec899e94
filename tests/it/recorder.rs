//! The recorder and its fence: what is written, what is refused, and who has to wait.

use std::time::Duration;

use sqlx::PgPool;

use crate::fleet::Fleet;
use crate::harness::{appears, claimer, database, enqueue, lapse_leases, number, run};

/// Somebody holds one row locked in a forgotten session: its outcome waits, its neighbours' are written.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_row_locked_by_somebody_holds_up_nobody_else(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let locked = enqueue(&pool, "slow-800ms", "locked").await;
    // In flight beside it, and ending with it, so that they share its batch.
    for n in 0..9 {
        enqueue(&pool, "slow-800ms", &format!("s{n}")).await;
    }
    for n in 0..21 {
        enqueue(&pool, "li", &format!("c{n}")).await;
    }
    let daemon = fleet.start();
    appears(&pool, "select count(*) from outboxd.notification_outbox where aggregate_id = 'locked' and lease_token is not null").await;
    let mut forgotten = pool.begin().await.unwrap();
    sqlx::query("select from outboxd.notification_outbox where id = $1 for update")
        .bind(locked)
        .execute(&mut *forgotten)
        .await
        .unwrap();
    fleet
        .sim
        .wait_for(|ledger| ledger.messages().len() == 31)
        .await
        .unwrap();
    let started = std::time::Instant::now();
    while number(&pool, "select count(*) from outboxd.notification_delivery").await < 30 {
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "the neighbours wait for the lock"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    forgotten.rollback().await.unwrap();
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(
        fleet.sim.ledger().calls().len(),
        31,
        "nobody was called again"
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        0
    );
    fleet.assert_invariants().await;
}

/// A record whose answer is lost was written all the same: it is not taken for somebody else's.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_ending_written_twice_is_one_and_no_late_answer(pool: PgPool) {
    use outboxd::outbox::record::{Recorded, record};
    enqueue(&pool, "li", "c").await;
    let mut claimer = claimer(&pool, "d");
    let claim = claimer
        .claim(outboxd::outbox::claim::Reach::Due(1))
        .await
        .unwrap()
        .remove(0);
    let ending = delivered(&claim);
    let mut foreign = ending.clone();
    foreign.lease_token = outboxd::notification::LeaseToken(uuid::Uuid::new_v4());
    let mut line = database(&pool).line();
    // Two endings of one row in one batch: only the holder's counts.
    let said = record(
        &mut line,
        "default",
        "d",
        &[foreign.clone(), ending.clone()],
    )
    .await
    .unwrap();
    assert_eq!(said, [Recorded::LeaseLost, Recorded::Done]);
    let said = record(&mut line, "default", "d", &[ending, foreign])
        .await
        .unwrap();
    assert_eq!(said, [Recorded::Done, Recorded::LeaseLost]);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_attempt").await,
        1
    );
}

/// No attempt begins after its limit, so there is nothing to wait for beyond it: it is settled as expired then.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_row_waits_no_longer_than_its_time_limit(pool: PgPool) {
    use outboxd::outbox::claim::Reach;
    use outboxd::outbox::record::record;
    use outboxd::policy::Transition;
    run(&pool, "select outboxd.enqueue_notification('e', 'li', 'limited', expires_at => now() + interval '10 minutes');
                select outboxd.enqueue_notification('e', 'li', 'later', expires_at => now() + interval '2 hours');
                select outboxd.enqueue_notification('e', 'li', 'unlimited')").await;
    let mut claimer = claimer(&pool, "d");
    let mut line = database(&pool).line();
    let claims = claimer.claim(Reach::Due(3)).await.unwrap();
    let endings: Vec<_> = claims
        .iter()
        .map(|claim| outboxd::outbox::record::Ending {
            transition: Transition::Requeue {
                after: Duration::from_secs(3600),
                spared: false,
                may_have_arrived: false,
            },
            outcome: "failed",
            ..delivered(claim)
        })
        .collect();
    record(&mut line, "default", "d", &endings).await.unwrap();
    let waits: Vec<(String, bool, bool)> = sqlx::query_as(
        "select aggregate_id, next_attempt_at is not distinct from expires_at,
                next_attempt_at between now() + interval '59 minutes' and now() + interval '61 minutes'
           from outboxd.notification_outbox order by id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let expected = [
        ("limited".to_owned(), true, false),
        ("later".to_owned(), false, true),
        ("unlimited".to_owned(), false, true),
    ];
    assert_eq!(waits, expected);
}

/// The row is under another daemon's live lease: what the first one has to say is refused, whatever it is.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nobody_records_under_somebody_elses_lease(pool: PgPool) {
    use outboxd::outbox::claim::Reach;
    use outboxd::outbox::record::{Recorded, record};
    enqueue(&pool, "li", "c").await;
    let (mut first, mut second) = (claimer(&pool, "first"), claimer(&pool, "second"));
    let theirs = first.claim(Reach::Due(1)).await.unwrap().remove(0);
    lapse_leases(&pool).await;
    let ours = second.claim(Reach::Due(1)).await.unwrap().remove(0);
    let mut line = database(&pool).line();
    let (late, good) = (delivered(&theirs), delivered(&ours));
    let said = record(&mut line, "default", "first", &[late])
        .await
        .unwrap();
    assert_eq!(said, [Recorded::LeaseLost]);
    assert_eq!(number(&pool, "select count(*) from outboxd.notification_outbox where leased_by = 'second' and lease_until > now()").await, 1);
    let said = record(&mut line, "default", "second", &[good])
        .await
        .unwrap();
    assert_eq!(said, [Recorded::Done]);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_attempt").await,
        2
    );
}

pub(crate) fn delivered(claim: &outboxd::notification::Claim) -> outboxd::outbox::record::Ending {
    use outboxd::catalogue::local;
    outboxd::outbox::record::Ending {
        id: claim.id,
        place: claim.place.clone(),
        lease_token: claim.lease_token,
        attempt: claim.attempt,
        transition: outboxd::policy::Transition::Settle {
            status: outboxd::notification::Status::Delivered,
            reason: local::ACCEPTED,
            may_have_arrived: false,
        },
        phase: outboxd::delivery::Phase::Answered,
        outcome: "delivered",
        why: local::ACCEPTED,
        errcode: None,
        detail: None,
        msgid: None,
        took: Some(outboxd::outbox::record::Took {
            attempt: Duration::from_millis(5),
            token: None,
        }),
        ended_at: std::time::Instant::now(),
        lease_ends_at: claim.claimed_at + claim.lease,
    }
}

/// A database that refuses every outcome: calls stop when a few are unwritten, instead of going on for nothing.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_cannot_be_written_down_is_not_called_on_and_on(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_SLOTS", "4").set("OUTBOXD_LEASE", "30s");
    run(&pool, "alter table outboxd.notification_delivery add constraint nobody_settles check (false) not valid;
                select outboxd.enqueue_notification('e', 'li', 'c' || n) from generate_series(1, 500) n").await;
    let daemon = fleet.start();
    fleet
        .sim
        .wait_for(|ledger| ledger.messages().len() >= 8)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let called = fleet.sim.ledger().calls().len();
    assert!(called <= 40, "{called} calls, none of them written down");
    run(
        &pool,
        "alter table outboxd.notification_delivery drop constraint nobody_settles",
    )
    .await;
    fleet.settled().await;
    daemon.stop().await;
    fleet.assert_invariants().await;
}

/// The database takes no outcomes, the answers are in, and the daemon is killed. The next one records what was heard, and
/// calls nobody again.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_answer_survives_a_kill_while_the_database_is_away(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    let folder = std::env::temp_dir().join(format!("outboxd-it-{}", uuid::Uuid::new_v4()));
    fleet.set("OUTBOXD_JOURNAL_DIR", folder.to_str().unwrap());
    // Longer than this test, so that no lease lapses in it.
    fleet.set("OUTBOXD_LEASE", "5min");
    for n in 0..5 {
        enqueue(&pool, "li", &format!("c{n}")).await;
    }
    enqueue(&pool, "fail-43101", "refused").await;
    run(
        &pool,
        "alter table outboxd.notification_delivery rename to hidden",
    )
    .await;
    let mut daemon = fleet.process(&["run"]);
    let lines = || -> usize {
        let files = std::fs::read_dir(&folder).into_iter().flatten();
        let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
        texts.map(|text| text.lines().count()).sum()
    };
    let started = std::time::Instant::now();
    while lines() < 6 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{} answers are on disk",
            lines()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    daemon.kill().await.unwrap();
    run(
        &pool,
        "alter table outboxd.hidden rename to notification_delivery",
    )
    .await;

    let daemon = fleet.start();
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(
        fleet.sim.ledger().calls().len(),
        6,
        "nobody was called or asked again"
    );
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery
              where status = 'delivered' and msgid is not null and attempts = 1"
        )
        .await,
        5
    );
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery where errcode = 43101"
        )
        .await,
        1
    );
    assert_eq!(lines(), 0, "the journal is gone");
    fleet.assert_invariants().await;
    std::fs::remove_dir(folder).unwrap();
}
