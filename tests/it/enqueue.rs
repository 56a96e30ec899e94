//! The doors: what goes in, what is refused, and what a dedupe key promises.

use sqlx::PgPool;

use crate::harness::{enqueue, number};

async fn refusal(pool: &PgPool, sql: &'static str) -> String {
    sqlx::query(sql)
        .execute(pool)
        .await
        .expect_err(sql)
        .to_string()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_rolled_back_assignment_leaves_no_notification(pool: PgPool) {
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("select outboxd.enqueue_notification('customer_assigned', 'u', 'c')")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        0
    );
    enqueue(&pool, "u", "c").await;
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        1
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_same_dedupe_key_returns_the_earlier_id_also_after_it_has_settled(pool: PgPool) {
    let by_key = "select outboxd.enqueue_notification('e', 'u', 'c', dedupe_key => 'assign-7')";
    let first = number(&pool, by_key).await;
    assert_eq!(number(&pool, by_key).await, first);
    // Another app's key is another key.
    assert_ne!(number(&pool, "select outboxd.enqueue_notification('e', 'u', 'c', dedupe_key => 'assign-7', app => 'other')").await, first);
    settle_all(&pool).await;
    assert_eq!(number(&pool, by_key).await, first);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        0
    );
}

/// The race that insert-then-look closes: the earlier row settles while the second enqueue is under way.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_dedupe_key_holds_while_its_row_is_being_settled(pool: PgPool) {
    let by_key = "select outboxd.enqueue_notification('e', 'u', 'c', dedupe_key => 'k')";
    let first = number(&pool, by_key).await;
    let mut settling = pool.begin().await.unwrap();
    sqlx::raw_sql(SETTLE).execute(&mut *settling).await.unwrap();
    let second = tokio::spawn({
        let pool = pool.clone();
        async move { number(&pool, by_key).await }
    });
    // The second enqueue waits for the settling transaction: seen in the lock table, not by the clock.
    while number(&pool, "select count(*) from pg_locks where not granted").await == 0 {
        tokio::task::yield_now().await;
    }
    settling.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), first);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        0
    );
}

const SETTLE: &str = "with gone as (delete from outboxd.notification_outbox returning *)
    insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
        dedupe_key, priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason,
        may_have_arrived, settled_at, settled_by)
    select id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, priority, 1, 1,
           format_version, created_at, created_by, 'delivered', 'accepted', false, now(), 'test' from gone";

async fn settle_all(pool: &PgPool) {
    sqlx::raw_sql(SETTLE).execute(pool).await.unwrap();
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn fifty_concurrent_enqueues_of_one_key_make_one_row(pool: PgPool) {
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let pool = pool.clone();
        calls.spawn(async move {
            number(
                &pool,
                "select outboxd.enqueue_notification('e', 'u', 'c', dedupe_key => 'k')",
            )
            .await
        });
    }
    let ids: std::collections::HashSet<i64> = calls.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        1
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_cannot_be_carried_is_refused_in_a_sentence(pool: PgPool) {
    for (sql, sentence) in [
        (
            "select outboxd.enqueue_notification('e', 'u', 'c', '[1]')",
            "payload must be a JSON object, not array",
        ),
        (
            "select outboxd.enqueue_notification('e', 'u', 'c', 'null')",
            "payload must be a JSON object, not null",
        ),
        (
            "select outboxd.enqueue_notification('e', 'u', 'c', null)",
            "payload must be a JSON object, not null",
        ),
        (
            "select outboxd.enqueue_notification('e', 'u', 'c', jsonb_build_object('x', repeat('a', 65530)))",
            "at most 65536 (64 KiB)",
        ),
        (
            r#"select outboxd.enqueue_notification('e', 'u', 'c', '{"x": "\u0000"}')"#,
            "unsupported Unicode escape sequence",
        ),
        (
            "select outboxd.enqueue_notification('e', '', 'c')",
            "recipient (the CRM user to be told) must have 1 to 255 characters",
        ),
        (
            "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'c', repeat('u', 256))",
            "recipient (the CRM user to be told) must have 1 to 255 characters",
        ),
        (
            "select outboxd.enqueue_notification('e', 'u', 'c', priority => 9)",
            "priority must be 1 (first), 2 or 3 (last), not 9",
        ),
        (
            "select outboxd.enqueue_notifications('{}')",
            "expected a JSON array",
        ),
        (
            "select outboxd.enqueue_notifications('[1]')",
            "element 1 is not an object",
        ),
        (
            r#"select outboxd.enqueue_notifications('[{"event_type": "e", "recipient": "u"}]')"#,
            r#"element 1 has no "aggregate_id""#,
        ),
        (
            r#"select outboxd.enqueue_notifications('[{"event_typ": "e"}]')"#,
            r#"element 1 has the unknown key "event_typ""#,
        ),
        (
            "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload) values ('e', 'c', 'u', '[]')",
            "payload must be a JSON object, not array",
        ),
        (
            "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, lease_token) values ('e', 'c', 'u', gen_random_uuid())",
            "are set together, by the claim",
        ),
    ] {
        let said = refusal(&pool, sql).await;
        assert!(said.contains(sentence), "{sql}\nsaid: {said}");
    }
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox").await,
        0
    );
}

/// PostgreSQL prints a refused row into the error and the server's log; ours never gets that far.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_refusal_does_not_print_the_payload(pool: PgPool) {
    for sql in [
        r#"select outboxd.enqueue_notification('e', 'u', 'c', '{"phone": "13812345678"}', priority => 9)"#,
        r#"select outboxd.enqueue_notification('e', repeat('u', 256), 'c', '{"phone": "13812345678"}')"#,
        r#"select outboxd.enqueue_notification('e', null, 'c', '{"phone": "13812345678"}')"#,
        r#"insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload, priority)
           values ('e', 'c', 'u', '{"phone": "13812345678"}', 0)"#,
    ] {
        let error = sqlx::query(sql).execute(&pool).await.expect_err(sql);
        let everything = format!("{error:?}");
        assert!(!everything.contains("13812345678"), "{everything}");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_batch_returns_its_ids_in_order_and_dedupes(pool: PgPool) {
    let ids: Vec<i64> = sqlx::query_scalar(
        r#"select * from outboxd.enqueue_notifications(
               (select jsonb_agg(jsonb_build_object('event_type', 'customer_assigned', 'recipient', 'u', 'aggregate_id', 'c' || n,
                                                    'payload', jsonb_build_object('n', n), 'order_key', 'k' || n % 7,
                                                    'dedupe_key', 'd' || n % 49))
                  from generate_series(1, 50) n))"#,
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(ids.len(), 50);
    assert_eq!(
        ids[49], ids[0],
        "element 50 has the dedupe key of element 1"
    );
    assert!(ids[..49].is_sorted());
    let sevenths = number(&pool, "select (payload ->> 'n')::bigint from outboxd.notification_outbox order by id offset 6 limit 1").await;
    assert_eq!(sevenths, 7);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn key_and_payload_never_change(pool: PgPool) {
    enqueue(&pool, "u", "c").await;
    for sql in [
        "update outboxd.notification_outbox set payload = '{}'",
        "update outboxd.notification_outbox set key = gen_random_uuid()",
        "update outboxd.notification_outbox set recipient = 'x'",
    ] {
        assert!(refusal(&pool, sql).await.contains("never change"), "{sql}");
    }
}

/// A CRM's role can enqueue, inside its own transaction, and can do nothing else.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn each_role_can_do_its_duty_and_nothing_else(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    outboxd::outbox::schema::create_roles(&mut connection)
        .await
        .unwrap();
    outboxd::outbox::schema::create_roles(&mut connection)
        .await
        .expect("roles can be granted again");
    let matrix: &[(&str, &str, bool)] = &[
        (
            "outboxd_crm",
            "select outboxd.enqueue_notification('e', 'u', 'c', dedupe_key => 'k')",
            true,
        ),
        (
            "outboxd_crm",
            "select outboxd.enqueue_notifications('[]')",
            true,
        ),
        (
            "outboxd_crm",
            "select * from outboxd.notification_outbox",
            false,
        ),
        (
            "outboxd_crm",
            "delete from outboxd.notification_outbox",
            false,
        ),
        (
            "outboxd_crm",
            "select * from outboxd.notification_delivery_status",
            false,
        ),
        (
            "outboxd_support",
            "select * from outboxd.notification_delivery_status",
            true,
        ),
        (
            "outboxd_support",
            "select payload from outboxd.notification_outbox",
            false,
        ),
        (
            "outboxd_support",
            "select payload from outboxd.notification_delivery",
            false,
        ),
        (
            "outboxd_support",
            "select id, recipient, next_attempt_at from outboxd.notification_outbox",
            true,
        ),
        (
            "outboxd_support",
            "select outboxd.enqueue_notification('e', 'u', 'c')",
            false,
        ),
        (
            "outboxd_daemon",
            "update outboxd.notification_outbox set attempts = attempts",
            true,
        ),
        (
            "outboxd_daemon",
            "update outboxd.notification_outbox set payload = '{}'",
            false,
        ),
        (
            "outboxd_daemon",
            "select outboxd.enqueue_notification('e', 'u', 'c')",
            false,
        ),
        (
            "outboxd_daemon",
            "delete from outboxd.notification_attempt",
            false,
        ),
        ("outboxd_daemon", "select outboxd.ensure_partitions()", true),
        (
            "outboxd_admin",
            "select payload from outboxd.notification_delivery",
            true,
        ),
        (
            "outboxd_admin",
            "update outboxd.audit_log set actor = 'nobody'",
            false,
        ),
        ("outboxd_admin", "delete from outboxd.audit_log", false),
    ];
    for (role, sql, allowed) in matrix {
        let mut tx = pool.begin().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set local role {role}")))
            .execute(&mut *tx)
            .await
            .unwrap();
        let done = sqlx::raw_sql(*sql).execute(&mut *tx).await;
        assert_eq!(done.is_ok(), *allowed, "{role}: {sql}: {done:?}");
        if let Err(cause) = done {
            let code = cause
                .as_database_error()
                .and_then(|e| e.code().map(|c| c.to_string()));
            assert_eq!(code.as_deref(), Some("42501"), "{role}: {sql}: {cause}");
        }
        tx.rollback().await.unwrap();
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_empty_key_is_no_key(pool: PgPool) {
    let enqueue = "select outboxd.enqueue_notification('e', 'u', 'c', dedupe_key => '', order_key => '', collapse_key => '')";
    assert_ne!(number(&pool, enqueue).await, number(&pool, enqueue).await);
}

/// Under an older snapshot the history cannot be looked up: refused instead of sent twice.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_dedupe_key_is_refused_where_it_could_not_be_kept(pool: PgPool) {
    let mut tx = pool
        .begin_with("begin isolation level repeatable read")
        .await
        .unwrap();
    let said = sqlx::query("select outboxd.enqueue_notification('e', 'u', 'c', dedupe_key => 'k')")
        .execute(&mut *tx)
        .await
        .expect_err("refused")
        .to_string();
    assert!(
        said.contains("needs READ COMMITTED; under REPEATABLE READ"),
        "{said}"
    );
}

/// Two batches of the same keys in opposite order wait for each other one way only.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn batches_of_the_same_keys_do_not_deadlock(pool: PgPool) {
    let batch = |order: &str| {
        let sql = format!(
            "select count(*) from outboxd.enqueue_notifications((select jsonb_agg(jsonb_build_object('event_type', 'e',
                'recipient', 'u', 'aggregate_id', 'c', 'dedupe_key', 'k' || n, 'order_key', 'o' || n) order by n {order})
               from generate_series(1, 500) n))"
        );
        let pool = pool.clone();
        async move { sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await }
    };
    for _ in 0..5 {
        let (up, down) = tokio::join!(batch("asc"), batch("desc"));
        up.unwrap();
        down.unwrap();
        sqlx::query("delete from outboxd.notification_outbox")
            .execute(&pool)
            .await
            .unwrap();
    }
}

/// The locks of keys keep out of the small numbers that a CRM uses itself, and of each other's.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn key_locks_have_numbers_of_their_own(pool: PgPool) {
    let (low, shared, distinct): (i64, i64, i64) = sqlx::query_as(
        "select count(*) filter (where abs(l) < 100000), count(*) filter (where l = d), count(distinct l)
           from (select outboxd.key_lock('order', 'default', 'k' || n) l, outboxd.key_lock('dedupe', 'default', 'k' || n) d
                   from generate_series(1, 20000) n) locks",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((low, shared, distinct), (0, 0, 1024));
}
