//! The insert's side: whatever way a row comes in, a sleeper is called once it is committed; nobody is called when nobody
//! sleeps; and a CRM is never failed by it.

use sqlx::postgres::PgListener;
use sqlx::{Connection, Executor, PgConnection, PgPool};

use super::lanes::{Lanes, Settings, asleep, insert};
use crate::harness::{number, run};

/// Plain statements, each a transaction of its own, and the customers they write.
const DOORS: &[(&str, &[&str])] = &[
    ("insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'one', 'u')", &["one"]),
    ("insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'a', 'u'), ('e', 'b', 'u')", &["a", "b"]),
    ("select outboxd.enqueue_notification('e', 'u', 'function')", &["function"]),
    ("select outboxd.enqueue_notifications('[{\"event_type\": \"e\", \"recipient\": \"u\", \"aggregate_id\": \"batch\"}]')", &["batch"]),
    ("begin; savepoint s; insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'undone', 'u');
      rollback to s; insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'done', 'u');
      release s; commit", &["done"]),
    ("do $$ begin insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'outer', 'u');
      begin insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'inner', 'u'); raise 'no';
      exception when raise_exception then null; end; end $$", &["outer"]),
    ("with row as (insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'cte', 'u') returning id)
      select * from row", &["cte"]),
    ("insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, dedupe_key) values ('e', 'upsert', 'u', 'k')
      on conflict (app, dedupe_key) where dedupe_key is not null do nothing", &["upsert"]),
];

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_door_calls_the_sleeper(pool: PgPool) {
    let mut lanes = Lanes::start(&pool, &Settings::only_words());
    for (door, customers) in DOORS {
        asleep(&pool, 1).await;
        run(&pool, door).await;
        let mut claimed = Vec::new();
        for _ in *customers {
            claimed.push(lanes.claimed().await);
        }
        assert_eq!(&claimed, customers, "{door}");
    }
    asleep(&pool, 1).await;
    let mut connection = pool.acquire().await.unwrap();
    let mut copy = connection
        .copy_in_raw(
            "copy outboxd.notification_outbox (event_type, aggregate_id, recipient) from stdin",
        )
        .await
        .unwrap();
    copy.send("e\tcopied\tu\n".as_bytes()).await.unwrap();
    copy.finish().await.unwrap();
    assert_eq!(lanes.claimed().await, "copied");
    lanes.stop().await;
}

/// With nobody asleep an insert says nothing, and one of no rows never does: the first word heard is the marker's.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nobody_asleep_nobody_called(pool: PgPool) {
    let mut words = words(&pool).await;
    for (door, _) in DOORS {
        run(&pool, door).await;
    }
    let mut sleeper = sleeper(&pool, "default").await;
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) select 'e', 'c', 'u' where false;
                insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient) values ('other', 'e', 'c', 'u')").await;
    run(&pool, "notify outboxd_wake, 'marker'").await;
    assert_eq!(words.recv().await.unwrap().payload(), "marker");
    // And this is what would have been heard.
    insert(&pool, "default", "c").await;
    assert_eq!(words.recv().await.unwrap().payload(), "default");
    sleeper
        .execute("select pg_advisory_unlock_all()")
        .await
        .unwrap();
}

/// A full queue of notifications fails every commit that notifies. Long before, the trigger falls silent.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn with_a_queue_half_full_an_insert_says_nothing(pool: PgPool) {
    let mut words = words(&pool).await;
    let _sleeper = sleeper(&pool, "default").await;
    // Four gigabytes of notifications would take an hour: in this database the server's own answer is replaced.
    run(&pool, "alter function pg_catalog.pg_notification_queue_usage() rename to real_queue_usage;
                create function pg_catalog.pg_notification_queue_usage() returns float8 language sql as 'select 0.5::float8'").await;
    // New connections, for the old ones have the real function in their plans.
    let mut crm = PgConnection::connect_with(pool.connect_options().as_ref())
        .await
        .unwrap();
    insert(&mut crm, "default", "silent").await;
    run(
        &pool,
        "drop function pg_catalog.pg_notification_queue_usage();
                alter function pg_catalog.real_queue_usage() rename to pg_notification_queue_usage;
                notify outboxd_wake, 'marker'",
    )
    .await;
    assert_eq!(words.recv().await.unwrap().payload(), "marker");
    let mut crm = PgConnection::connect_with(pool.connect_options().as_ref())
        .await
        .unwrap();
    insert(&mut crm, "default", "heard").await;
    assert_eq!(words.recv().await.unwrap().payload(), "default");
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        2
    );
}

/// The right to insert is all a CRM's role needs, while somebody sleeps and while nobody does; that a careful
/// administrator has taken notifications from everybody does not matter.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_role_that_may_only_insert_wakes_the_sleeper(pool: PgPool) {
    // A role belongs to the whole server: a name for this database alone, gone with the test.
    run(&pool, "do $$ begin
        execute format('create role %I', current_database() || '_crm');
        execute format('grant usage on schema outboxd to %I', current_database() || '_crm');
        execute format('grant insert on outboxd.notification_outbox to %I', current_database() || '_crm');
        execute 'revoke all on function outboxd.sleep_lock, outboxd.wake_sleeper, pg_notify, pg_notification_queue_usage from public';
        end $$").await;
    let mut words = words(&pool).await;
    let mut crm = pool.acquire().await.unwrap();
    crm.execute("do $$ begin execute format('set role %I', current_database() || '_crm'); end $$")
        .await
        .unwrap();
    insert(&mut *crm, "default", "nobody sleeps").await;
    let mut sleeper = sleeper(&pool, "default").await;
    insert(&mut *crm, "default", "somebody sleeps").await;
    assert_eq!(words.recv().await.unwrap().payload(), "default");
    sleeper
        .execute("select pg_advisory_unlock_all()")
        .await
        .unwrap();
    crm.execute("reset role").await.unwrap();
    drop(crm);
    run(
        &pool,
        "do $$ begin
        execute format('drop owned by %I', current_database() || '_crm');
        execute format('drop role %I', current_database() || '_crm');
        end $$",
    )
    .await;
}

/// The trigger writes the lock's number out; the daemon asks `sleep_lock` for it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn trigger_and_daemon_mean_the_same_lock(pool: PgPool) {
    let mut crm = pool.begin().await.unwrap();
    for app in ["default", "小程序", "a b"] {
        insert(&mut *crm, app, "c").await;
    }
    let held: Vec<i64> = sqlx::query_scalar(
        "select (classid::bigint << 32) | objid::bigint from pg_locks
          where locktype = 'advisory' and pid = pg_backend_pid() and mode = 'ShareLock' order by 1",
    )
    .fetch_all(&mut *crm)
    .await
    .unwrap();
    let meant: Vec<i64> = sqlx::query_scalar(
        "select outboxd.sleep_lock(app) from unnest(array['default', '小程序', 'a b']) app order by 1",
    )
    .fetch_all(&mut *crm)
    .await
    .unwrap();
    assert_eq!(held, meant);
}

/// Somebody who hears what the trigger says.
async fn words(pool: &PgPool) -> PgListener {
    let mut words = PgListener::connect_with(pool).await.unwrap();
    words.listen("outboxd_wake").await.unwrap();
    words
}

/// A session that has an app's lock, as a sleeping daemon has.
async fn sleeper(pool: &PgPool, app: &str) -> PgConnection {
    let mut sleeper = PgConnection::connect_with(pool.connect_options().as_ref())
        .await
        .unwrap();
    let held: bool = sqlx::query_scalar("select pg_try_advisory_lock(outboxd.sleep_lock($1))")
        .bind(app)
        .fetch_one(&mut sleeper)
        .await
        .unwrap();
    assert!(held);
    sleeper
}
