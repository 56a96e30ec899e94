//! The search box on a past of forty thousand rows: what a person would find by reading them all, the index finds; what
//! is gone is gone from it, too; and nothing of it reads more than it shows.

use std::time::Duration;

use outboxd::outbox::inspect::{self, Found};
use outboxd::outbox::slices::{self, LARGE, Paths, SMALL};
use sqlx::{PgPool, Row as _};

use crate::harness::{database, number, run};

mod random;
mod waiting;

/// 40,000 settled rows of five months and 1,000 waiting ones, of 8,000 customers. Each 97th row has a name of its own, each
/// tenth telephone number the same end.
const PAST: &str = "
    do $$
    begin
        for n in 1..4 loop
            execute format('create table outboxd.%I partition of outboxd.notification_delivery for values from (%L) to (%L)',
                'notification_delivery_' || to_char(date_trunc('month', now(), 'UTC') - make_interval(months => n), 'YYYY_MM'),
                date_trunc('month', now(), 'UTC') - make_interval(months => n),
                date_trunc('month', now(), 'UTC') - make_interval(months => n - 1));
        end loop;
    end $$;
    create table person as
    select n, (n % 8000)::text as customer, 'staff-' || n % 50 as recipient,
           jsonb_build_object(
               'customerName', case when n % 97 = 0 then '欧阳' || chr(19968 + n % 2000) || '女士'
                                    else substr('李王张刘陈杨赵黄', 1 + n % 8, 1) || substr('女先小', 1 + n % 3, 1) || substr('士生明', 1 + n % 3, 1) end,
               'recipientName', case when n % 50 = 7 then 'Wang Fang' else '员工' || n % 50 end,
               'phone', case when n % 10 = 3 then 1300000 + n % 9973 || '4711' else (13000000000 + (n % 8000)::bigint * 7919)::text end) as payload
      from generate_series(1, 41000) n;
    insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
        priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    select n, md5('key' || n)::uuid, 'default', 'e', 'customer', 'c' || customer, recipient, payload, 2, 1, 1, 1, at, 'crm', 'delivered',
           'accepted', false, at, 'd'
      from person, lateral (select date_trunc('month', now(), 'UTC') - interval '4 months' * (1 - n / 40000.0) as at) t
     where n <= 40000;
    insert into outboxd.notification_outbox (id, key, event_type, aggregate_id, recipient, payload)
    select n, md5('key' || n)::uuid, 'e', 'c' || customer, recipient, payload from person where n > 40000;
    select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 41000);
    analyze;";

/// As if the seconds had passed for which a slice waits. Transactions run in other tests' databases, too, and a slice waits
/// for them as well.
async fn index_all(pool: &PgPool) -> Vec<i64> {
    let mut line = database(pool).line();
    let mut covered = Vec::new();
    let give_up = tokio::time::Instant::now() + Duration::from_secs(60);
    let ready = "select count(*) from outboxd.search_mark m, outboxd.notification_outbox_id_seq s where m.ready_id = s.last_value";
    loop {
        let done = number(pool, ready).await > 0;
        let written = slices::write(&mut line, &Paths::default(), LARGE).await;
        let covered_ids = match written.unwrap() {
            0 => slices::gather(&mut line).await.unwrap(),
            ids => ids,
        };
        match covered_ids {
            0 if done => break,
            0 => {
                run(
                    pool,
                    "update outboxd.search_mark set seen_at = seen_at - interval '1 minute'",
                )
                .await
            }
            ids => covered.push(ids),
        }
        assert!(
            tokio::time::Instant::now() < give_up,
            "no slice is complete"
        );
    }
    line.close().await;
    covered
}

async fn find(pool: &PgPool, text: &str, limit: i64) -> Found {
    let mut conn = pool.acquire().await.unwrap();
    inspect::find(&mut conn, &Paths::default(), text, limit)
        .await
        .unwrap()
}

async fn ids(pool: &PgPool, text: &str, limit: i64) -> Vec<i64> {
    let found = find(pool, text, limit).await;
    found.hits.iter().map(|hit| hit.id).collect()
}

/// What reading everything finds.
async fn read_all(pool: &PgPool, text: &str, limit: i64) -> Vec<i64> {
    // Who bears the text comes before who has it in part.
    let rows = sqlx::query(
        "select n::bigint from (
            select n, recipient = $1 or 'c' || customer = $1 or n::text = ltrim($1, '0') or md5('key' || n)::uuid::text = $1 as bears,
                   strpos(lower(payload ->> 'customerName'), lower($1)) > 0 or strpos(lower(payload ->> 'recipientName'), lower($1)) > 0
                   or right(payload ->> 'phone', length($1)) = $1 and length($1) >= 4 as has
              from person) it
          where bears or has order by bears desc, n desc limit $2",
    )
    .bind(text)
    .bind(limit)
    .fetch_all(pool)
    .await
    .unwrap();
    let mut ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_index_finds_what_reading_everything_finds(pool: PgPool) {
    run(&pool, PAST).await;
    let behind = find(&pool, "欧阳", 10).await;
    assert!(
        behind.read_through.is_some(),
        "nothing is indexed, and that is said"
    );
    let covered = index_all(&pool).await;
    assert_eq!(covered.iter().filter(|ids| **ids == LARGE).count(), 1);
    assert_eq!(covered.iter().filter(|ids| **ids == SMALL).count(), 8);

    let texts = sqlx::query_scalar::<_, String>(
        "select text from person, lateral (values (payload ->> 'customerName'), (right(payload ->> 'phone', 4)), (payload ->> 'phone'),
                (right(payload ->> 'phone', 6)), (md5('key' || n)::uuid::text), (recipient), ('c' || customer),
                (left(payload ->> 'customerName', 1)), (right(payload ->> 'customerName', 2))) v (text)
          where n % 1999 = 0",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(texts.len() > 150);
    let known = [
        "李女士",
        "女士",
        "李",
        "欧",
        "欧阳",
        "阳",
        "Wang Fang",
        "wang",
        "fang",
        "员工12",
        "staff-7",
        "nobody",
        "王八蛋",
    ];
    for text in known
        .iter()
        .copied()
        .chain(texts.iter().map(String::as_str))
    {
        let expected = read_all(&pool, text, 20).await;
        let found = find(&pool, text, 20).await;
        assert_eq!(found.read_through, None, "{text}");
        let found: Vec<i64> = found.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_bears_the_name_is_not_crowded_out(pool: PgPool) {
    run(&pool, PAST).await;
    index_all(&pool).await;
    // A customer called like a surname that thousands have.
    run(
        &pool,
        "update outboxd.notification_delivery set aggregate_id = '李' where id = 5",
    )
    .await;
    let found = ids(&pool, "李", 10).await;
    assert_eq!(found.len(), 10);
    assert!(found.contains(&5), "{found:?}");
    assert!(found.is_sorted_by(|a, b| a > b), "newest first: {found:?}");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_is_dropped_with_its_month_is_neither_found_nor_kept(pool: PgPool) {
    run(&pool, PAST).await;
    index_all(&pool).await;
    let name = sqlx::query_scalar::<_, String>(
        "select payload ->> 'customerName' from person where n = 97",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(ids(&pool, &name, 20).await.last(), Some(&97));
    run(
        &pool,
        "do $$ begin execute 'drop table outboxd.notification_delivery_'
            || to_char(date_trunc('month', now(), 'UTC') - interval '4 months', 'YYYY_MM'); end $$",
    )
    .await;
    assert!(!ids(&pool, &name, 20).await.contains(&97));
    let kept = "select count(*) from outboxd.search_term t, unnest(t.ids) at where t.first_id + (at & 32767) < 9000";
    assert!(number(&pool, kept).await > 0);
    assert_eq!(
        index_all(&pool).await,
        [LARGE],
        "the one slice that had such rows"
    );
    assert_eq!(number(&pool, kept).await, 0);
    assert!(!ids(&pool, "李女", 20).await.is_empty());
    assert!(index_all(&pool).await.is_empty(), "and it is done");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_row_that_commits_late_is_waited_for(pool: PgPool) {
    let mut late = pool.begin().await.unwrap();
    sqlx::query(
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload)
         values ('e', 'c', 'r', '{\"customerName\": \"司马迟\"}')",
    )
    .execute(&mut *late)
    .await
    .unwrap();
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload)
         select 'e', 'c', 'r', '{\"customerName\": \"李女士\"}' from generate_series(1, 5000)",
    )
    .await;
    let mut line = database(&pool).line();
    for _ in 0..3 {
        run(
            &pool,
            "update outboxd.search_mark set seen_at = seen_at - interval '1 minute'",
        )
        .await;
        let covered = slices::write(&mut line, &Paths::default(), LARGE)
            .await
            .unwrap();
        assert_eq!(covered, 0, "its slice is not complete");
    }
    late.commit().await.unwrap();
    assert_eq!(index_all(&pool).await, [SMALL; 4]);
    assert_eq!(ids(&pool, "司马", 10).await, [1]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn other_paths_are_another_index(pool: PgPool) {
    run(&pool, PAST).await;
    run(&pool, "update outboxd.notification_delivery set payload = payload || '{\"pet\": {\"name\": \"旺财\"}}' where id = 300").await;
    index_all(&pool).await;
    assert!(ids(&pool, "旺财", 10).await.is_empty());
    let paths = Paths(vec!["pet.name".to_owned()]);
    let mut line = database(&pool).line();
    while slices::write(&mut line, &paths, LARGE).await.unwrap() > 0 {}
    let mut conn = pool.acquire().await.unwrap();
    let found = inspect::find(&mut conn, &paths, "旺财", 10).await.unwrap();
    assert_eq!(
        found.hits.iter().map(|hit| hit.id).collect::<Vec<_>>(),
        [300]
    );
    let others = "select count(*) from outboxd.search_term where term = '李女'";
    assert_eq!(number(&pool, others).await, 0);
}

/// By the server's own counters, so it is the real statements that are judged, whatever the planner would explain.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_search_reads_little_more_than_it_shows(pool: PgPool) {
    run(&pool, PAST).await;
    index_all(&pool).await;
    run(&pool, "vacuum analyze").await;
    let key = "select md5('key500')::uuid::text";
    let key: String = sqlx::query_scalar(key).fetch_one(&pool).await.unwrap();
    for (text, most) in [
        ("c77", 10_000),
        ("staff-7", 10_000),
        ("欧阳", 10_000),
        ("李女士", 10_000),
        ("4711", 10_000),
        ("司马", 10_000),
    ] {
        let read = read_by(&pool, text, None).await;
        assert!(read < most, "{text}: {read} rows were read of 41,000");
    }
    let read = read_by(&pool, &key, Some(500)).await;
    assert!(read < 200, "a key: {read} rows were read of 41,000");
    let read = read_by(&pool, "474711", None).await;
    assert!(
        read < 500,
        "six digits: {read} rows were read of 4,100 that end on four of them"
    );
}

/// How many rows this transaction has read. What is read by an index is counted there.
const READ: &str = "select coalesce(sum(case c.relkind when 'r' then pg_stat_get_xact_tuples_returned(c.oid) else 0 end
                                     + pg_stat_get_xact_tuples_fetched(c.oid)), 0)::bigint
                      from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'outboxd' and c.relkind in ('r', 'i') and c.relname ~ 'notification_(outbox|delivery)'";

/// How many rows a search reads, by index or otherwise. With an id: as `show KEY`.
async fn read_by(pool: &PgPool, text: &str, key_of: Option<i64>) -> i64 {
    let mut tx = pool.begin().await.unwrap();
    // The months are small here: what an index serves is to be read by it.
    sqlx::query("set local enable_seqscan = off")
        .execute(&mut *tx)
        .await
        .unwrap();
    let before: i64 = sqlx::query_scalar(READ).fetch_one(&mut *tx).await.unwrap();
    match key_of {
        None => {
            inspect::find(&mut tx, &Paths::default(), text, 20)
                .await
                .unwrap();
        }
        Some(id) => {
            let hits = inspect::of_key(&mut tx, text.parse().unwrap())
                .await
                .unwrap();
            assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [id]);
        }
    }
    let after: i64 = sqlx::query_scalar(READ).fetch_one(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    after - before
}
