//! Redrives of many: exactly the set of the preview, a canary first, in order, stopped by itself, by any driver.

mod apart;
mod onward;

use std::collections::BTreeSet;

use outboxd::catalogue::local;
use outboxd::notification::{Claim, Status};
use outboxd::outbox::bulk::{self, Asked, BulkId, CANARY, Changed, Order, Planned, State, Stepped};
use outboxd::outbox::claim::Reach;
use outboxd::outbox::record::{Ending, record};
use outboxd::policy::Transition;
use sqlx::PgPool;

use super::{by, connection, settle};
use crate::harness::{claimer, database, number, run};
use crate::recorder::delivered;

fn asked() -> Asked {
    Asked {
        statuses: vec![Status::Dead],
        app: None,
        reason: Some("template_wrong".to_owned()),
        event_type: None,
        recipient: None,
        settled_since: None,
        with_doubtful: false,
        with_late: false,
        per_second: 40,
        stop_above: 20,
    }
}

/// It fails for good.
fn dead(claim: &Claim) -> Ending {
    Ending {
        transition: Transition::Settle {
            status: Status::Dead,
            reason: local::UNKNOWN_REFUSAL,
            may_have_arrived: false,
        },
        outcome: "failed",
        why: local::UNKNOWN_REFUSAL,
        ..delivered(claim)
    }
}

async fn planned(pool: &PgPool, asked: &Asked) -> (BulkId, bulk::Preview) {
    match bulk::plan(&mut *connection(pool).await, asked, None, &by("lead"))
        .await
        .unwrap()
    {
        Planned::Done(id, preview) => (id, preview),
        Planned::Nothing(preview) => panic!("{preview:?}"),
    }
}

async fn read(pool: &PgPool, id: BulkId) -> bulk::Bulk {
    bulk::bulk(&mut *connection(pool).await, id)
        .await
        .unwrap()
        .unwrap()
}

async fn order(pool: &PgPool, id: BulkId, order: Order) -> Changed {
    let version = read(pool, id).await.version;
    bulk::change(
        &mut *connection(pool).await,
        id,
        version,
        order,
        &by("lead"),
    )
    .await
    .unwrap()
}

async fn step(pool: &PgPool, id: BulkId) -> Stepped {
    bulk::step(&mut *connection(pool).await, id).await.unwrap()
}

/// A second passes.
async fn pass(pool: &PgPool) {
    run(
        pool,
        "update outboxd.bulk_redrive set next_rung_at = clock_timestamp()",
    )
    .await;
}

/// A daemon takes what is due, in its order, and each ends so. Returns their ids.
pub(super) async fn work(pool: &PgPool, fails: impl Fn(i64) -> bool) -> Vec<i64> {
    let mut daemon = claimer(pool, "d");
    daemon.sweep_next();
    let claims = daemon.claim(Reach::Due(1000)).await.unwrap();
    let endings: Vec<_> = claims
        .iter()
        .map(|claim| {
            if fails(claim.id.0) {
                dead(claim)
            } else {
                delivered(claim)
            }
        })
        .collect();
    let mut writer = database(pool).line();
    if !endings.is_empty() {
        record(&mut writer, "default", "d", &endings).await.unwrap();
    }
    writer.close().await;
    daemon.close().await;
    claims.iter().map(|claim| claim.id.0).collect()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn exactly_the_set_of_the_preview_goes_out_by_doubling_rungs(pool: PgPool) {
    settle(&pool, 1, 100, "dead", "template_wrong").await;
    settle(&pool, 201, 10, "dead", "not_subscribed").await;
    settle(&pool, 301, 10, "delivered", "accepted").await;
    run(&pool, "update outboxd.notification_delivery set may_have_arrived = true where id in (3, 4);
        update outboxd.notification_delivery set expires_at = now() - interval '1 hour' where id = 5;
        update outboxd.notification_delivery set created_at = now() - interval '3 days' where id = 6").await;
    let (id, preview) = planned(&pool, &asked()).await;
    assert_eq!(
        (
            preview.count,
            preview.is_more,
            preview.doubtful,
            preview.late,
            preview.stale
        ),
        (97, false, 2, 1, 1)
    );
    assert_eq!(
        step(&pool, id).await,
        Stepped::Nothing,
        "a plan waits for its start"
    );
    // What fits the filter later is not of the set.
    settle(&pool, 401, 5, "dead", "template_wrong").await;
    run(&pool, "update outboxd.notification_delivery set settled_at = now() + interval '1 minute' where id > 400").await;
    assert!(matches!(
        order(&pool, id, Order::Start).await,
        Changed::Done(_)
    ));

    let (mut rungs, mut sent) = (Vec::new(), BTreeSet::new());
    loop {
        pass(&pool).await;
        match step(&pool, id).await {
            Stepped::Sent(n) => {
                pass(&pool).await;
                assert_eq!(
                    step(&pool, id).await,
                    Stepped::Waits,
                    "nothing is known of the rung yet"
                );
                let ids = work(&pool, |_| false).await;
                assert_eq!(ids.len(), n);
                rungs.push(n);
                sent.extend(ids);
            }
            Stepped::Done => break,
            Stepped::Waits | Stepped::Nothing | Stepped::Stopped => {
                panic!("{:?}", read(&pool, id).await)
            }
        }
    }
    assert_eq!(rungs, [5, 10, 20, 40, 22]);
    let expected: BTreeSet<i64> = (1..=100).filter(|n| !(3..=5).contains(n)).collect();
    assert_eq!(sent, expected);
    let it = read(&pool, id).await;
    assert_eq!(
        (it.state, it.redriven, it.delivered, it.failed, it.underway),
        (State::Done, 97, 97, 0, 0)
    );
    let lines = number(&pool, "select sum(affected)::bigint from outboxd.audit_log where action = 'retry' and reason = 'bulk 1: customer called'").await;
    assert_eq!(lines, 97);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_bad_canary_stops_it_and_a_resume_begins_with_another(pool: PgPool) {
    settle(&pool, 1, 50, "dead", "template_wrong").await;
    let (id, _) = planned(&pool, &asked()).await;
    order(&pool, id, Order::Start).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(5));
    work(&pool, |n| n <= 2).await;
    assert_eq!(step(&pool, id).await, Stepped::Stopped);
    let it = read(&pool, id).await;
    assert_eq!(
        (it.state, it.stopped_because.as_deref(), it.redriven),
        (State::Stopped, Some("2/5"), 5)
    );
    pass(&pool).await;
    assert_eq!(
        step(&pool, id).await,
        Stepped::Waits,
        "nothing goes out of a stopped one"
    );
    assert!(matches!(
        order(&pool, id, Order::Resume).await,
        Changed::Done(_)
    ));
    assert_eq!(
        step(&pool, id).await,
        Stepped::Sent(usize::try_from(CANARY).unwrap())
    );
    // One of five is a fifth, which is not above it.
    work(&pool, |n| n == 6).await;
    pass(&pool).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(10));
    assert_eq!(read(&pool, id).await.failed, 3);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_failed_attempt_counts_at_once_and_is_waited_for(pool: PgPool) {
    settle(&pool, 1, 20, "dead", "template_wrong").await;
    let (id, _) = planned(
        &pool,
        &Asked {
            stop_above: 50,
            ..asked()
        },
    )
    .await;
    order(&pool, id, Order::Start).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(5));
    run(&pool, "insert into outboxd.notification_attempt (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
        select id, 2, 'default', gen_random_uuid(), 'd', clock_timestamp(), clock_timestamp(), 'answered', 'failed', 'http_5xx'
          from outboxd.notification_outbox where id = 1;
        update outboxd.notification_outbox set next_attempt_at = now() + interval '1 hour', attempts = 2 where id = 1").await;
    work(&pool, |_| false).await;
    pass(&pool).await;
    // Known of all five, so it goes on, and the one is not forgotten.
    assert_eq!(step(&pool, id).await, Stepped::Sent(10));
    let it = read(&pool, id).await;
    assert_eq!(
        (it.delivered, it.failed, it.retrying.n, it.underway),
        (4, 0, 1, 11)
    );
    work(&pool, |_| false).await;
    pass(&pool).await;
    assert_eq!(step(&pool, id).await, Stepped::Sent(5));
    work(&pool, |_| false).await;
    pass(&pool).await;
    assert_eq!(step(&pool, id).await, Stepped::Waits, "one has not ended");
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = now()",
    )
    .await;
    assert_eq!(work(&pool, |_| false).await, [1]);
    assert_eq!(step(&pool, id).await, Stepped::Done);
    assert_eq!(read(&pool, id).await.delivered, 20);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_order_of_a_key_is_kept_however_they_settled(pool: PgPool) {
    settle(&pool, 1, 30, "dead", "template_wrong").await;
    // The last of the set settled first: 28 before 3, and so on.
    run(&pool, "update outboxd.notification_delivery set settled_at = now() - interval '1 hour' - id * interval '1 second';
        update outboxd.notification_delivery set order_key = 'line' where id % 2 = 0").await;
    let (id, preview) = planned(&pool, &asked()).await;
    assert_eq!(preview.ordered, 15);
    order(&pool, id, Order::Start).await;
    let mut line = Vec::new();
    for _ in 0..200 {
        pass(&pool).await;
        if step(&pool, id).await == Stepped::Done {
            break;
        }
        line.extend(
            work(&pool, |_| false)
                .await
                .into_iter()
                .filter(|n| n % 2 == 0),
        );
    }
    assert_eq!(line, (1..=15).map(|n| 2 * n).collect::<Vec<i64>>());
    assert_eq!(read(&pool, id).await.state, State::Done);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn two_drivers_send_each_rung_once_and_one_that_dies_takes_nothing_along(pool: PgPool) {
    settle(&pool, 1, 200, "dead", "template_wrong").await;
    let (id, _) = planned(&pool, &asked()).await;
    order(&pool, id, Order::Start).await;
    // Held by one, passed by the other.
    let mut busy = pool.begin().await.unwrap();
    sqlx::query("select from outboxd.bulk_redrive for update")
        .execute(&mut *busy)
        .await
        .unwrap();
    assert_eq!(step(&pool, id).await, Stepped::Nothing);
    busy.rollback().await.unwrap();
    let drivers = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut sent = 0;
            while read(&pool, id).await.state == State::Running {
                pass(&pool).await;
                if let Stepped::Sent(n) = step(&pool, id).await {
                    sent += n;
                }
                work(&pool, |_| false).await;
            }
            sent
        })
    });
    let mut sent = 0;
    for driver in drivers.collect::<Vec<_>>() {
        sent += driver.await.unwrap();
    }
    assert_eq!(sent, 200);
    let it = read(&pool, id).await;
    assert_eq!(
        (it.state, it.redriven, it.delivered),
        (State::Done, 200, 200)
    );
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery where status = 'delivered'"
        )
        .await,
        200
    );
    assert!(
        bulk::next_to_drive(&mut *connection(&pool).await)
            .await
            .unwrap()
            .is_empty()
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_second_of_two_orders_is_told_and_a_cancelled_one_sends_no_more(pool: PgPool) {
    settle(&pool, 1, 20, "dead", "template_wrong").await;
    let (id, _) = planned(&pool, &asked()).await;
    let mut conn = connection(&pool).await;
    let first = bulk::change(&mut conn, id, 1, Order::Start, &by("wang"))
        .await
        .unwrap();
    assert!(matches!(first, Changed::Done(_)), "{first:?}");
    let second = bulk::change(&mut conn, id, 1, Order::Start, &by("li"))
        .await
        .unwrap();
    assert!(
        matches!(&second, Changed::Not(now) if now.changed_by == "wang"),
        "{second:?}"
    );
    step(&pool, id).await;
    assert!(matches!(
        order(&pool, id, Order::Pause).await,
        Changed::Done(_)
    ));
    work(&pool, |_| false).await;
    pass(&pool).await;
    assert_eq!(step(&pool, id).await, Stepped::Waits);
    let it = read(&pool, id).await;
    assert_eq!(
        (it.state, it.delivered),
        (State::Paused, 5),
        "what is under way is still accounted for"
    );
    assert!(matches!(
        order(&pool, id, Order::Cancel).await,
        Changed::Done(_)
    ));
    assert!(matches!(
        order(&pool, id, Order::Resume).await,
        Changed::Not(_)
    ));
    assert_eq!(read(&pool, id).await.redriven, 5);
    let told = number(&pool, "select count(*) from outboxd.audit_log where action in ('bulk_plan', 'bulk_start', 'bulk_pause', 'bulk_cancel')
        and detail ? 'before' and detail ? 'after'").await;
    assert_eq!(told, 4);
}
