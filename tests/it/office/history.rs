//! What a list costs beside a long history, by the server's own counters.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use outboxd::notification::{NotificationId, Status};
use outboxd::outbox::bulk;
use outboxd::outbox::inspect::{self, Filter, Standing, ToPhone};
use sqlx::PgPool;

use super::{by, settle};
use crate::harness::{number, run};

/// 300,000 delivered ones of a day and 2,000 others: whatever is asked, the others at most are read, and not the history.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_list_reads_the_history(pool: PgPool) {
    const MOST: i64 = 4500;
    // In a session that has ended: what it read must not be counted late, as somebody else's.
    let filling = PgPool::connect_with((*pool.connect_options()).clone())
        .await
        .unwrap();
    settle(&filling, 1, 300_000, "delivered", "accepted").await;
    settle(&filling, 400_001, 2000, "dead", "not_subscribed").await;
    run(
        &filling,
        "update outboxd.notification_delivery set reason = 'kills_worker' where id = 400007",
    )
    .await;
    sqlx::query("vacuum analyze outboxd.notification_delivery")
        .execute(&filling)
        .await
        .unwrap();
    filling.close().await;
    let dead = || vec![Standing::Settled(Status::Dead)];
    let page = Filter {
        limit: 50,
        ..Filter::default()
    };
    let lists = [
        page.clone(),
        Filter {
            standings: dead(),
            ..page.clone()
        },
        Filter {
            standings: dead(),
            before: Some(NotificationId(401_000)),
            ..page.clone()
        },
        Filter {
            standings: dead(),
            reason: Some("kills_worker".into()),
            ..page.clone()
        },
        Filter {
            recipient: Some("u7".into()),
            ..page.clone()
        },
        Filter {
            after: Some(NotificationId(200)),
            ..page
        },
    ];
    for filter in lists {
        let read = rows_read(&pool, async |conn| {
            inspect::list(conn, &filter).await.unwrap();
        })
        .await;
        assert!(read <= MOST, "{filter:?} read {read} rows");
    }
    let week_ago = Utc::now() - TimeDelta::days(7);
    let read = rows_read(&pool, async |conn| {
        inspect::causes(conn, None, week_ago).await.unwrap();
    })
    .await;
    assert!(read <= MOST, "causes read {read} rows");
    let asked = ToPhone {
        limit: 50,
        ..ToPhone::default()
    };
    let read = rows_read(&pool, async |conn| {
        inspect::to_phone(conn, &asked).await.unwrap();
    })
    .await;
    assert!(read <= 500, "to_phone read {read} rows");
    // A rung of a redrive is found where the walk stands.
    // Planned in a session that has ended: what that read must not be counted as the step's.
    rows_read(&pool, async |conn| bulk_of(conn, "not_subscribed").await).await;
    let asked = bulk::BulkId(1);
    let read = rows_read(&pool, async |conn| {
        let stepped = bulk::step(conn, asked).await.unwrap();
        assert_eq!(stepped, bulk::Stepped::Sent(5));
    })
    .await;
    assert!(read <= 500, "the step of a redrive read {read} rows");
}

/// However many have failed and are tried again, to show a redrive costs the same.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_redrive_is_shown_without_counting_what_is_under_way(pool: PgPool) {
    settle(&pool, 1, 10, "dead", "not_subscribed").await;
    rows_read(&pool, async |conn| {
        bulk_of(conn, "not_subscribed").await;
        let failed = "insert into outboxd.bulk_redrive_underway (bulk_id, notification_id, key, redriven_at, has_failed)
            select 1, n, gen_random_uuid(), now(), true from generate_series(1, 50000) n";
        sqlx::query(failed).execute(&mut *conn).await.unwrap();
        let sent = "update outboxd.bulk_redrive set redriven = 50003, delivered = 2, failed = 1";
        sqlx::query(sent).execute(&mut *conn).await.unwrap();
        let analyze = "analyze outboxd.bulk_redrive_underway";
        sqlx::query(analyze).execute(conn).await.unwrap();
    })
    .await;
    let read = rows_read(&pool, async |conn| {
        let it = bulk::bulk(conn, bulk::BulkId(1)).await.unwrap().unwrap();
        assert_eq!(it.underway, 50_000);
    })
    .await;
    assert!(read <= 2500, "to show a redrive read {read} rows");
}

/// A redrive that has begun.
async fn bulk_of(conn: &mut sqlx::PgConnection, reason: &str) {
    let asked = bulk::Asked {
        statuses: vec![Status::Dead],
        app: None,
        reason: Some(reason.to_owned()),
        event_type: None,
        recipient: None,
        settled_since: None,
        with_doubtful: false,
        with_late: false,
        per_second: 20,
        stop_above: 20,
    };
    let planned = bulk::plan(conn, &asked, None, &by("lead")).await.unwrap();
    let bulk::Planned::Done(id, _) = planned else {
        panic!("{planned:?}")
    };
    let order = bulk::Order::Start;
    bulk::change(conn, id, 1, order, &by("lead")).await.unwrap();
}

/// How many rows of the history and of redrives, and of their indexes, a question read, by the server's own counters.
pub(super) async fn rows_read(pool: &PgPool, ask: impl AsyncFn(&mut sqlx::PgConnection)) -> i64 {
    const READ: &str = "select (select sum(seq_tup_read)::bigint from pg_stat_user_tables where relname ~ 'delivery|underway')
        + (select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname ~ 'delivery|underway')";
    let before = number(pool, READ).await;
    let mut own = sqlx::ConnectOptions::connect(&*pool.connect_options())
        .await
        .unwrap();
    sqlx::query("set application_name = 'asks'")
        .execute(&mut own)
        .await
        .unwrap();
    ask(&mut own).await;
    sqlx::Connection::close(own).await.unwrap();
    // A session's counters reach the others when it ends.
    while number(pool, "select count(*) from pg_stat_activity where application_name = 'asks' and datname = current_database()").await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    number(pool, READ).await - before
}
