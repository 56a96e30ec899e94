//! The waiting rows of one recipient, by the search's index: the same as by reading all that waits, for less.

use outboxd::notification::{NotificationId, Status};
use outboxd::outbox::inspect::{self, Filter, Standing};
use outboxd::outbox::slices::Paths;
use sqlx::{PgConnection, PgPool};

use super::{PAST, READ, ids, index_all};
use crate::harness::{create_roles, run};

/// The list of one recipient, as whoever reads every row would make it: the waiting ones of these words, and the settled.
async fn list_all(pool: &PgPool, filter: &Filter) -> Vec<i64> {
    let (order, than) = if filter.after.is_some() {
        ("asc", ">")
    } else {
        ("desc", "<")
    };
    let sql = format!(
        "select id from (select id from outboxd.notification_delivery_status
          where recipient = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::bigint is null or id {than} $3)
          order by id {order} limit $4) page order by id desc"
    );
    let words: Vec<&str> = filter.standings.iter().map(|it| it.word()).collect();
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(&filter.recipient)
        .bind(words)
        .bind(filter.before.or(filter.after).map(|id| id.0))
        .bind(filter.limit)
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn listed(conn: &mut PgConnection, filter: &Filter) -> Vec<i64> {
    let hits = inspect::list(conn, filter).await.unwrap();
    hits.iter().map(|hit| hit.id).collect()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_list_of_a_recipient_is_the_same_by_index_and_by_reading_all(pool: PgPool) {
    run(&pool, PAST).await;
    // One has more waiting rows than are looked up; one has so many settled ones that those waiting there are read.
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) select 'e', 'x', 'busy' from generate_series(1, 2500);
         update outboxd.notification_delivery set recipient = 'veteran' where id between 30000 and 32000;
         with back as (delete from outboxd.notification_delivery where id in (31000, 31500) returning *)
         insert into outboxd.notification_outbox (id, key, event_type, aggregate_id, recipient)
         select id, key, event_type, aggregate_id, recipient from back;
         update outboxd.notification_outbox set next_attempt_at = now() + interval '1 hour' where id % 3 = 0",
    )
    .await;
    index_all(&pool).await;
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) select 'e', 'x', 'staff-7' from generate_series(1, 3)",
    )
    .await;
    create_roles(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    for recipient in ["staff-7", "staff-12", "busy", "veteran", "nobody"] {
        for standings in [
            vec![],
            vec![Standing::Scheduled],
            vec![Standing::Queued, Standing::Settled(Status::Delivered)],
        ] {
            for (before, after) in [(None, None), (Some(40_700), None), (None, Some(31_200))] {
                let filter = Filter {
                    standings: standings.clone(),
                    recipient: Some(recipient.to_owned()),
                    before: before.map(NotificationId),
                    after: after.map(NotificationId),
                    limit: 30,
                    ..Filter::default()
                };
                let expected = list_all(&pool, &filter).await;
                assert_eq!(listed(&mut conn, &filter).await, expected, "{filter:?}");
                run_as(&mut conn, "set role outboxd_support").await;
                let as_support = listed(&mut conn, &filter).await;
                run_as(&mut conn, "reset role").await;
                assert_eq!(as_support, expected, "without the index: {filter:?}");
            }
        }
        let found = ids(&pool, recipient, 30).await;
        run_as(&mut conn, "set role outboxd_support").await;
        let as_support = inspect::find(&mut conn, &Paths::default(), recipient, 30)
            .await
            .unwrap();
        run_as(&mut conn, "reset role").await;
        assert_eq!(
            as_support.hits.iter().map(|hit| hit.id).collect::<Vec<_>>(),
            found,
            "{recipient}"
        );
    }
    assert_eq!(ids(&pool, "veteran", 2000).await.len(), 2000);
}

async fn run_as(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap();
}

/// The waiting rows of one of fifty are found without reading those of the others.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_list_of_a_recipient_reads_little_of_what_waits(pool: PgPool) {
    run(&pool, PAST).await;
    index_all(&pool).await;
    run(&pool, "vacuum analyze").await;
    let mut tx = pool.begin().await.unwrap();
    run_as(&mut tx, "set local enable_seqscan = off").await;
    let filter = Filter {
        recipient: Some("staff-7".to_owned()),
        standings: vec![Standing::Queued],
        limit: 30,
        ..Filter::default()
    };
    let before: i64 = sqlx::query_scalar(READ).fetch_one(&mut *tx).await.unwrap();
    assert_eq!(inspect::list(&mut tx, &filter).await.unwrap().len(), 20);
    let after: i64 = sqlx::query_scalar(READ).fetch_one(&mut *tx).await.unwrap();
    let read = after - before;
    assert!(read < 300, "{read} rows were read of 1,000 that wait");
}
