//! Migrations and partitions: many at once, beside a CRM's own, and never in the way of settling.

use outboxd::outbox::schema;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor, PgPool};

use crate::harness::{number, run};

#[sqlx::test(migrations = false)]
async fn ten_migrations_starting_at_once_do_no_harm(pool: PgPool) {
    // A CRM that keeps its own sqlx migrations in the same database.
    run(&pool, "create table public._sqlx_migrations (version bigint primary key, description text not null,
        installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null);
        insert into public._sqlx_migrations values (1, 'the CRM''s own', now(), true, '\\x00', 0);
        create table public.notification_outbox (of_the_crm int)").await;
    let options = PgConnectOptions::clone(&pool.connect_options());
    let mut starters = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let options = options.clone();
        starters.spawn(async move {
            let mut connection = options.connect().await.unwrap();
            schema::migrate(&mut connection).await
        });
    }
    let mut applied = 0;
    for migrated in starters.join_all().await {
        let migrated = migrated.unwrap();
        assert!(migrated.after.is_current());
        applied += migrated.before.missing.len();
    }
    assert_eq!(
        applied,
        schema::MIGRATOR.iter().count(),
        "each says only what it did itself"
    );
    let versions = number(&pool, "select count(*) from outboxd._sqlx_migrations").await;
    assert_eq!(versions, schema::MIGRATOR.iter().count() as i64);
    assert_eq!(
        number(&pool, "select count(*) from public._sqlx_migrations").await,
        1
    );
}

#[sqlx::test(migrations = false)]
async fn status_says_what_is_missing_and_what_is_newer(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    let before = schema::status(&mut *connection).await.unwrap();
    assert!(!before.is_current() && before.applied.is_empty());
    schema::migrate(&mut connection).await.unwrap();
    run(&pool, "insert into outboxd._sqlx_migrations values (9999, 'of a newer outboxd', now(), true, '\\x00', 0)").await;
    let after = schema::status(&mut *connection).await.unwrap();
    assert!(after.is_current());
    assert_eq!(after.newer, [9999]);
    assert!(
        schema::migrate(&mut connection)
            .await
            .unwrap()
            .after
            .is_current(),
        "an older binary finds nothing to do"
    );
}

/// What `migrate sql` prints is the same schema, and the daemon knows it.
#[sqlx::test(migrations = false)]
async fn the_printed_sql_makes_the_same_schema(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    connection
        .execute(sqlx::AssertSqlSafe(schema::sql()))
        .await
        .unwrap();
    assert!(schema::status(&mut *connection).await.unwrap().is_current());
    schema::MIGRATOR.run(&pool).await.expect("checksums agree");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_missing_partition_never_stops_settling_and_is_mended(pool: PgPool) {
    run(&pool, "do $$ declare p text; begin
        for p in select inhrelid::regclass::text from pg_inherits where inhparent = 'outboxd.notification_delivery'::regclass
            and inhrelid::regclass::text not like '%default' loop execute 'drop table ' || p; end loop; end $$").await;
    run(&pool, "insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
        priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
        values (1, gen_random_uuid(), 'default', 'e', 'customer', 'c', 'u', '{}', 2, 1, 1, 1, now(), 'x', 'delivered', 'accepted', false, now(), 'x')").await;
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery_default"
        )
        .await,
        1
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.ensure_partitions(2)").await,
        3
    );
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery_default"
        )
        .await,
        0
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_delivery").await,
        1
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.ensure_partitions(2)").await,
        0,
        "idempotent"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn twenty_daemons_making_partitions_at_once_do_no_harm(pool: PgPool) {
    let mut daemons = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let pool = pool.clone();
        daemons.spawn(async move {
            sqlx::query("select outboxd.ensure_partitions(6)")
                .execute(&pool)
                .await
        });
    }
    for made in daemons.join_all().await {
        made.unwrap();
    }
    let partitions = number(&pool, "select count(*) from pg_inherits where inhparent = 'outboxd.notification_attempt'::regclass").await;
    assert_eq!(partitions, 8, "this month, six ahead, the default");
}
