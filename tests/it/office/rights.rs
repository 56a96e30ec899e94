//! The rights of the desk: its role does everything the buttons do, and what it has no button for it may not do. Support
//! reads and does nothing.

use chrono::{TimeDelta, Utc};
use outboxd::outbox::act::{self, Breaker, Change, Doubt, HandOutcome};
use outboxd::outbox::bulk::{self, Asked, Order, Planned, Stepped};
use outboxd::outbox::inspect::{self, AuditFilter, Filter, ToPhone};
use outboxd::outbox::session;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use super::{by, connection, one, seen, settle};
use crate::harness::{create_roles, run};

async fn with_role(pool: &PgPool, role: &str) -> PoolConnection<Postgres> {
    let mut conn = connection(pool).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set role {role}")))
        .execute(&mut *conn)
        .await
        .unwrap();
    conn
}

async fn stage(pool: &PgPool) {
    create_roles(pool).await;
    settle(pool, 1, 20, "dead", "template_wrong").await;
    run(pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'c', 'r'), ('e', 'd', 'r')").await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_desk_does_what_its_buttons_do(pool: PgPool) {
    stage(&pool).await;
    let mut conn = with_role(&pool, "outboxd_desk").await;
    everything_is_read(&mut conn).await;
    act::retry_as_seen(&mut conn, &seen(&pool, 1).await, &by("op"), Doubt::Refuse)
        .await
        .unwrap();
    act::handle(
        &mut conn,
        &seen(&pool, 2).await,
        HandOutcome::NotReached,
        &by("op"),
    )
    .await
    .unwrap();
    act::handle(
        &mut conn,
        &seen(&pool, 2).await,
        HandOutcome::Told,
        &by("op"),
    )
    .await
    .unwrap();
    act::cancel_as_seen(&mut conn, &seen(&pool, 10_000_001).await, &by("op"))
        .await
        .unwrap();
    act::replace(
        &mut conn,
        &seen(&pool, 10_000_002).await,
        &Change::Recipient("x"),
        &by("op"),
    )
    .await
    .unwrap();
    act::replace(
        &mut conn,
        &seen(&pool, 3).await,
        &Change::Payload("{}"),
        &by("op"),
    )
    .await
    .unwrap();
    let it = one(&pool, 4).await;
    assert!(
        act::reveal(&mut conn, it.id, it.key, &by("op"))
            .await
            .unwrap()
            .is_some()
    );
    act::pause(&mut conn, "default", &by("op")).await.unwrap();
    act::pause(&mut conn, "default", &by("op")).await.unwrap();
    act::resume(&mut conn, "default", &by("op"), Breaker::Close)
        .await
        .unwrap();
    let asked = Asked {
        statuses: vec![outboxd::notification::Status::Dead],
        app: None,
        reason: None,
        event_type: None,
        recipient: None,
        settled_since: Some(Utc::now() - TimeDelta::days(1)),
        with_doubtful: true,
        with_late: true,
        per_second: 10,
        stop_above: 20,
    };
    let Planned::Done(id, _) = bulk::plan(&mut conn, &asked, None, &by("op"))
        .await
        .unwrap()
    else {
        panic!("nothing fits")
    };
    bulk::change(&mut conn, id, 1, Order::Start, &by("op"))
        .await
        .unwrap();
    assert_eq!(bulk::step(&mut conn, id).await.unwrap(), Stepped::Sent(5));
    run(
        &pool,
        "update outboxd.notification_outbox set cancel_requested_by = null",
    )
    .await;
    assert_eq!(bulk::step(&mut conn, id).await.unwrap(), Stepped::Waits);
}

async fn everything_is_read(conn: &mut PoolConnection<Postgres>) {
    let mut tx = session::reading(conn).await.unwrap();
    let filter = Filter {
        limit: 10,
        ..Filter::default()
    };
    let hits = inspect::list(&mut tx, &filter).await.unwrap();
    assert_eq!(inspect::read(&mut tx, &hits).await.unwrap().len(), 10);
    assert!(
        !inspect::causes(&mut tx, None, Utc::now() - TimeDelta::days(1))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        !inspect::to_phone(
            &mut tx,
            &ToPhone {
                limit: 10,
                ..ToPhone::default()
            }
        )
        .await
        .unwrap()
        .is_empty()
    );
    inspect::audit(
        &mut tx,
        &AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        },
    )
    .await
    .unwrap();
    inspect::hours(&mut tx, None, inspect::Hours::Last)
        .await
        .unwrap();
    inspect::stats(&mut tx).await.unwrap();
    assert!(inspect::system(&mut tx).await.unwrap().schema.is_current());
    bulk::bulks(&mut tx, None, 10).await.unwrap();
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_desk_rewrites_nothing_and_support_does_nothing(pool: PgPool) {
    stage(&pool).await;
    everything_is_read(&mut with_role(&pool, "outboxd_support").await).await;
    for (role, statement) in [
        (
            "outboxd_desk",
            "update outboxd.notification_outbox set payload = '{}'",
        ),
        (
            "outboxd_desk",
            "update outboxd.notification_outbox set lease_until = now()",
        ),
        (
            "outboxd_desk",
            "update outboxd.notification_delivery set status = 'delivered'",
        ),
        (
            "outboxd_desk",
            "update outboxd.notification_attempt set outcome = 'delivered'",
        ),
        ("outboxd_desk", "delete from outboxd.notification_attempt"),
        ("outboxd_desk", "delete from outboxd.audit_log"),
        ("outboxd_desk", "update outboxd.audit_log set actor = 'x'"),
        ("outboxd_desk", "delete from outboxd.notification_handled"),
        ("outboxd_desk", "delete from outboxd.notification_successor"),
        (
            "outboxd_desk",
            "update outboxd.bulk_redrive set statuses = '{cancelled}'",
        ),
        ("outboxd_desk", "update outboxd.bulk_redrive set why = 'x'"),
        ("outboxd_desk", "delete from outboxd.bulk_redrive"),
        (
            "outboxd_desk",
            "update outboxd.app_state set forced_refresh_count = 0",
        ),
        ("outboxd_desk", "select outboxd.ensure_partitions()"),
        ("outboxd_desk", "create table outboxd.t (a int)"),
        (
            "outboxd_support",
            "select payload from outboxd.notification_delivery",
        ),
        (
            "outboxd_support",
            "insert into outboxd.notification_handled (notification_id, key, settled_at, outcome, handled_by) values (1, gen_random_uuid(), now(), 'told', 'x')",
        ),
        (
            "outboxd_support",
            "insert into outboxd.audit_log (actor, action, affected) values ('x', 'x', 0)",
        ),
        (
            "outboxd_support",
            "update outboxd.bulk_redrive set state = 'running'",
        ),
        (
            "outboxd_support",
            "delete from outboxd.notification_delivery",
        ),
        ("outboxd_daemon", "select * from outboxd.bulk_redrive"),
        ("outboxd_crm", "select * from outboxd.notification_handled"),
    ] {
        let refused = sqlx::raw_sql(statement)
            .execute(&mut *with_role(&pool, role).await)
            .await
            .unwrap_err();
        let code = refused
            .as_database_error()
            .and_then(|e| e.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{role}: {statement}");
    }
}
