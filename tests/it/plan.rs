//! What a claim costs: never more for a long history, never a walk over rows that are not due, and always in place.
//! Asked of the server's own counters, so it is the real statement that is judged.

use outboxd::notification::{Key, NotificationId};
use outboxd::outbox::claim::{Claimer, Reach};
use outboxd::outbox::inspect::{self, Filter, Signs};
use outboxd::outbox::record::{Recorded, record};
use outboxd::outbox::session;
use outboxd::outbox::slices::Paths;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::harness::{claimer, database, number, run};

/// 1,000,000 settled rows, 100,000 not due, and a claimer whose statements were prepared on the empty table.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_claim_reads_what_it_takes_whatever_lies_around(pool: PgPool) {
    let mut daemon = claimer(&pool, "d");
    for _ in 0..10 {
        // A plan kept from here on would be a plan for an empty table.
        daemon.sweep_next();
        assert!(daemon.claim(Reach::Due(10)).await.unwrap().is_empty());
    }
    run(&pool, "alter table outboxd.notification_outbox set (autovacuum_enabled = off);
        insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
            priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
        select n, gen_random_uuid(), 'default', 'e', 'customer', 'c' || n, 'u' || n % 500, '{}', 2, 1, 1, 1, now(), 'crm',
               'delivered', 'accepted', false, now(), 'd' from generate_series(1, 1000000) n;
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, priority, next_attempt_at)
        select 'e', 'c' || n, 'u', 1 + n % 3, now() + n * interval '1 second' from generate_series(1, 100000) n;
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key, order_key)
        select 'e', 'c' || n, 'u', 'k' || n, 'k' || n from generate_series(1, 1000) n").await;
    let snapshot = old_snapshot(&pool).await;
    flush(&mut daemon).await;
    let before = Counters::read(&pool).await;
    for round in 0..50 {
        if round % 5 == 0 {
            daemon.sweep_next();
        }
        assert_eq!(daemon.claim(Reach::Due(20)).await.unwrap().len(), 20);
    }
    flush(&mut daemon).await;
    let after = Counters::read(&pool).await;
    assert_eq!(
        after.seq_scans - before.seq_scans,
        0,
        "every claim went by an index"
    );
    let fetched = after.index_fetches - before.index_fetches;
    assert!(
        fetched < 50_000,
        "1000 claims fetched {fetched} rows by index; the 100,000 not due must not be among them"
    );
    assert_eq!(after.updates - before.updates, 1000);
    let hot = after.hot_updates - before.hot_updates;
    assert_eq!(hot, 1000, "claims that stayed on their page (HOT updates)");
    snapshot.rollback().await.unwrap();
}

/// Under an old snapshot settled rows leave their index entries behind, and a table in which they are all there is looks
/// empty to the planner (`reltuples` 0): each index seems to be as good as the next. A record once walked through all the
/// entries of the wrong one for every row it wrote.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_record_reads_what_it_writes_whatever_the_planner_believes(pool: PgPool) {
    let mut daemon = claimer(&pool, "d");
    let mut writer = database(&pool).line().keeping_plans();
    run(
        &pool,
        "alter table outboxd.notification_outbox set (autovacuum_enabled = off)",
    )
    .await;
    let snapshot = old_snapshot(&pool).await;
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient)
             select 'e', 'c' || n, 'u' from generate_series(1, 20000) n",
    )
    .await;
    run(&pool, "delete from outboxd.notification_outbox").await;
    sqlx::query("vacuum analyze outboxd.notification_outbox")
        .execute(&pool)
        .await
        .unwrap();
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient)
             select 'e', 'c' || n, 'u' from generate_series(1, 100) n",
    )
    .await;
    daemon.sweep_next();
    let claims = daemon.claim(Reach::Due(100)).await.unwrap();
    flush(&mut daemon).await;
    let before = Counters::read(&pool).await;
    let endings: Vec<_> = claims.iter().map(crate::recorder::delivered).collect();
    let said = record(&mut writer, "default", "d", &endings).await.unwrap();
    writer.close().await;
    assert_eq!(said, vec![Recorded::Done; 100]);
    let after = Counters::read(&pool).await;
    let read = after.index_entries - before.index_entries;
    assert!(
        read < 1000,
        "a record of 100 rows read {read} entries of indexes"
    );
    snapshot.rollback().await.unwrap();
}

/// Those that wait for a permission stand in the index of what is due, behind all of their priority: whoever looks at the
/// queue's front must not walk over them to the next one.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_numbers_walk_over_no_crowd_that_waits(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, priority, attempts, spared, next_attempt_at, awaits_grant)
             select 'e', 'c', 'r' || n, 1 + n % 2, 1, 1, 'infinity', true from generate_series(1, 60000) n;
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, priority)
             select 'e', 'c', 'r', 3 from generate_series(1, 7) n;
         analyze outboxd.notification_outbox",
    )
    .await;
    let (stats, read) = read_for(&pool, "notification_outbox_due", async |connection| {
        inspect::stats(connection).await.unwrap()
    })
    .await;
    assert_eq!(
        (stats[0].due.n, stats[0].scheduled, stats[0].retrying),
        (7, 0, 0)
    );
    assert!(
        read < 30_000,
        "the numbers read {read} entries of the index"
    );
}

/// What is asked on a connection of its own, and how many entries of the index that read.
async fn read_for<T>(
    pool: &PgPool,
    index: &str,
    ask: impl AsyncFnOnce(&mut PgConnection) -> T,
) -> (T, i64) {
    let read = async || -> i64 {
        sqlx::query_scalar(
            "select sum(idx_tup_read)::bigint from pg_stat_user_indexes where indexrelname = $1",
        )
        .bind(index)
        .fetch_one(pool)
        .await
        .unwrap()
    };
    let before = read().await;
    let mut connection = pool.acquire().await.unwrap().detach();
    sqlx::query("set application_name = 'asks'")
        .execute(&mut connection)
        .await
        .unwrap();
    let answer = ask(&mut connection).await;
    // The counters of a session reach the others when it ends.
    connection.close().await.unwrap();
    let asks = "select count(*) from pg_stat_activity where application_name = 'asks' and datname = current_database()";
    while number(pool, asks).await > 0 {
        tokio::task::yield_now().await;
    }
    (answer, read().await - before)
}

/// A page of people is found in a crowd by a hop for each of them, however many of theirs wait.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn whom_to_ask_for_permission_costs_a_hop_a_person(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, awaits_grant)
             select 'e', 'c', 'r' || n % 2000, 1, 1, 'infinity', true from generate_series(1, 60000) n;
         analyze outboxd.notification_outbox",
    )
    .await;
    for (recipient, people) in [(None, 30), (Some("r1999"), 1), (Some("nobody"), 0)] {
        let index = "notification_outbox_awaiting";
        let (found, read) = read_for(&pool, index, async |connection| {
            inspect::awaiting_grant(connection, None, recipient, 30)
                .await
                .unwrap()
        })
        .await;
        assert_eq!(found.len(), people, "{recipient:?}");
        // A named person is looked for among all of them, in the index alone.
        let most = if recipient.is_none() { 1000 } else { 130_000 };
        assert!(read < most, "{recipient:?}: {read} entries of the index");
    }
}

/// What looks up a handful of rows is planned once for each connection; what has a filter or needs a bitmap each time it is
/// asked, and everything while the outbox is large and the server knows of hardly a row: there a wrong index looks as good as the right one.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_lookup_is_planned_once_and_a_list_each_time(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    ask_thrice(&mut conn).await;
    planned_once_and_each_time(&plans(&mut conn).await);
    // They will do for a few hundred rows.
    run(
        &pool,
        "alter table outboxd.notification_outbox set (autovacuum_enabled = off);
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient)
             select 'e', 'c' || n, 'u' from generate_series(1, 500) n",
    )
    .await;
    let before = plans(&mut conn).await;
    ask_thrice(&mut conn).await;
    for (asked, kept, anew) in since(&before, &plans(&mut conn).await) {
        let was_kept = before.iter().any(|(it, kept, _)| *it == asked && *kept > 0);
        assert_eq!((kept > 0, anew > 0), (was_kept, !was_kept), "{asked}");
    }
    // They are not for an outbox that has grown large.
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient)
             select 'e', 'c' || n, 'u' from generate_series(1, 30000) n",
    )
    .await;
    let before = plans(&mut conn).await;
    ask_thrice(&mut conn).await;
    for (asked, kept, anew) in since(&before, &plans(&mut conn).await) {
        assert_eq!(kept, 0, "{asked} was planned for an empty outbox");
        assert!(anew > 0, "{asked} was not asked");
    }
    // Many pages and hardly a row are what the server knows after a rush.
    run(
        &pool,
        "delete from outboxd.notification_outbox where aggregate_id <> 'c30000';
         analyze outboxd.notification_outbox",
    )
    .await;
    let mut conn = pool.acquire().await.unwrap().detach();
    ask_thrice(&mut conn).await;
    for (asked, kept, _) in plans(&mut conn).await {
        assert_eq!(kept, 0, "{asked}, after a rush");
    }
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient)
             select 'e', 'c' || n, 'u' from generate_series(1, 1000) n;
         analyze outboxd.notification_outbox",
    )
    .await;
    let mut conn = pool.acquire().await.unwrap().detach();
    ask_thrice(&mut conn).await;
    planned_once_and_each_time(&plans(&mut conn).await);
}

/// Of what was asked thrice.
fn planned_once_and_each_time(plans: &[(String, i64, i64)]) {
    let anew = [
        "list: ",
        "stats: ",
        "why_not_yet",
        "queued",
        "acts",
        "accepted late",
        "served",
        "attempted",
    ];
    for (asked, kept, planned) in plans {
        if anew.iter().any(|it| asked.contains(it)) {
            assert_eq!(*kept, 0, "{asked}");
        } else {
            assert_eq!(*planned, 0, "{asked}");
        }
    }
    for asked in [
        "read",
        "find",
        "acts",
        "accepted late",
        "list: delivered",
        "why_not_yet",
    ] {
        let found = plans
            .iter()
            .find(|(it, ..)| it.strip_prefix("-- outboxd ") == Some(asked));
        let times = found.map(|(_, kept, anew)| kept + anew);
        assert_eq!(times, Some(3), "{asked} in {plans:?}");
    }
}

async fn ask_thrice(conn: &mut PgConnection) {
    let mut filter = Filter {
        limit: 20,
        ..Filter::default()
    };
    for text in ["13812345678", "李女士", "7"] {
        let mut tx = session::reading(conn).await.unwrap();
        filter.event_type = Some(text.to_owned());
        inspect::list(&mut tx, &filter).await.unwrap();
        inspect::find(&mut tx, &Paths::default(), text, 20)
            .await
            .unwrap();
        inspect::of_ids(&mut tx, &[1, 2]).await.unwrap();
        inspect::accepted_late(&mut tx, &[1, 2]).await.unwrap();
        inspect::acts(&mut tx, NotificationId(1), 20).await.unwrap();
        let asked = [(NotificationId(1), Key(Uuid::nil()))];
        inspect::why_each_not_yet(&mut tx, &asked, &mut Signs::default())
            .await
            .unwrap();
        inspect::stats(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Of each statement, how often a kept plan was used, and one of its own made.
async fn plans(conn: &mut PgConnection) -> Vec<(String, i64, i64)> {
    sqlx::query_as(
        "select split_part(statement, e'\\n', 1), sum(generic_plans)::bigint, sum(custom_plans)::bigint
           from pg_prepared_statements where statement like '-- outboxd%' and parameter_types <> '{}' group by 1",
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

/// How often since then.
fn since(before: &[(String, i64, i64)], now: &[(String, i64, i64)]) -> Vec<(String, i64, i64)> {
    let more = |(asked, kept, anew): &(String, i64, i64)| {
        let was = before.iter().find(|(it, ..)| it == asked);
        let (was_kept, was_anew) = was.map_or((0, 0), |(_, kept, anew)| (*kept, *anew));
        (asked.clone(), kept - was_kept, anew - was_anew)
    };
    now.iter().map(more).collect()
}

/// An act that lists first is not left with the plans of whoever reads.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_act_is_planned_anew_and_may_scan(pool: PgPool) {
    let modes =
        "select current_setting('plan_cache_mode') || ' ' || current_setting('enable_seqscan')";
    let mut conn = pool.acquire().await.unwrap();
    for (reads, says) in [
        (true, "force_generic_plan off"),
        (false, "force_custom_plan on"),
    ] {
        let mut tx = if reads {
            session::reading(&mut conn).await.unwrap()
        } else {
            session::acting(&mut conn).await.unwrap()
        };
        inspect::list(&mut tx, &Filter::default()).await.unwrap();
        let said: String = sqlx::query_scalar(modes).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(said, says);
        tx.rollback().await.unwrap();
    }
}

/// As a report or a dump holds it: while it lives, the server can clear nothing away.
async fn old_snapshot(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut snapshot = pool
        .begin_with("begin isolation level repeatable read")
        .await
        .unwrap();
    sqlx::query("select from pg_class limit 1")
        .execute(&mut *snapshot)
        .await
        .unwrap();
    snapshot
}

/// The counters of a session reach the others when it ends.
async fn flush(daemon: &mut Claimer) {
    daemon.line().close().await;
}

struct Counters {
    seq_scans: i64,
    index_fetches: i64,
    index_entries: i64,
    updates: i64,
    hot_updates: i64,
}

impl Counters {
    async fn read(pool: &PgPool) -> Counters {
        // Wait for the ended session's numbers.
        while number(pool, "select count(*) from pg_stat_activity where application_name = 'outboxd' and datname = current_database()").await > 0 {
            tokio::task::yield_now().await;
        }
        let (seq_scans, index_fetches, index_entries, updates, hot_updates) = sqlx::query_as(
            "select sum(seq_scan)::bigint, sum(idx_tup_fetch)::bigint,
                    (select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'notification_outbox'),
                    sum(n_tup_upd) filter (where relname = 'notification_outbox')::bigint,
                    sum(n_tup_hot_upd) filter (where relname = 'notification_outbox')::bigint
               from pg_stat_user_tables where schemaname = 'outboxd' and relname ~ 'outbox|delivery'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        Counters {
            seq_scans,
            index_fetches,
            index_entries,
            updates,
            hot_updates,
        }
    }
}
