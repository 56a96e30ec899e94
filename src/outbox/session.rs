//! The transactions in which people read and act.
//!
//! Explicit ones with local timeouts: a pooler in transaction mode does no harm, and a slow question ends in
//! a sentence instead of a wait.
//!
//! Whoever reads keeps plans: most questions look up a handful of rows by an index, and to plan that anew, over every month of
//! the history, takes longer than to do it. So other ways are ruled out beforehand, as on the daemon's own lines
//! (docs/decisions/0006-kept-plans.md). What reads a stretch, has a filter, or needs a bitmap is planned anew, and so is
//! everything while the outbox is large and the server knows of hardly a row in it: to a planner that knows of none each index
//! is as good as the next, and may be walked through for every id that is looked up. Where it is small, that is soon done. One
//! core is enough for any question: the others deliver.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Postgres, Row as _, Transaction};

// A megabyte are some seven hundred rows. Its size is asked of the table, so who alters the outbox keeps every page waiting.
macro_rules! keeping_plans {
    () => {
        "select set_config('plan_cache_mode', case when fit then 'force_generic_plan' else 'force_custom_plan' end, true),
                set_config('enable_seqscan', case when fit then 'off' else 'on' end, true),
                set_config('enable_bitmapscan', case when fit then 'off' else 'on' end, true),
                coalesce(has_table_privilege(to_regclass('outboxd.audit_log'), 'insert'), true) as may_act
           from (select coalesce((select c.reltuples >= 1000 or pg_relation_size(c.oid) <= 1024 * 1024 from pg_class c
                                   where c.oid = to_regclass('outboxd.notification_outbox')), false) as fit) outbox"
    };
}

const READ: &str = "begin isolation level repeatable read read only";
const ACT: &str = "begin isolation level read committed read write";

macro_rules! reading {
    ($timeout:literal) => {
        concat!(
            "set local statement_timeout = '",
            $timeout,
            "'; set local jit = off; set local max_parallel_workers_per_gather = 0; ",
            keeping_plans!()
        )
    };
}

macro_rules! acting {
    ($timeout:literal, $lock_timeout:literal) => {
        concat!(
            "set local statement_timeout = '",
            $timeout,
            "'; set local lock_timeout = '",
            $lock_timeout,
            "'"
        )
    };
}

/// For questions: one snapshot, read-only, five seconds a statement.
pub async fn reading(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    with(reading!("5s"), conn.begin_with(READ).await?).await
}

/// For a page of the desk: as [`reading`], three seconds a statement. Also says whether this login may act as well: whether it
/// may write where every act of people is noted.
pub async fn viewing(pool: &PgPool) -> sqlx::Result<(Transaction<'static, Postgres>, bool)> {
    let mut tx = pool.begin_with(READ).await?;
    let row = sqlx::raw_sql(reading!("3s")).fetch_one(&mut *tx).await?;
    Ok((tx, row.try_get("may_act")?))
}

/// For acts: read committed, so that a lock waited for is looked behind.
pub async fn acting(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    with(acting!("30s", "10s"), conn.begin_with(ACT).await?).await
}

/// For an act on the desk: as [`acting`], within the time a page has.
pub async fn handling(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    with(acting!("3s", "2s"), pool.begin_with(ACT).await?).await
}

/// In a trip of its own, as above: what fails in the one that begins leaves a connection in a transaction that nobody ends.
async fn with<'c>(
    settings: &'static str,
    mut tx: Transaction<'c, Postgres>,
) -> sqlx::Result<Transaction<'c, Postgres>> {
    sqlx::raw_sql(settings).execute(&mut *tx).await?;
    Ok(tx)
}

/// Questions whose right plan depends on what is asked: with a filter, or over a stretch of time; and those that a bitmap answers.
/// Afterwards whoever reads keeps plans again, and whoever acts does not. Not one inside another.
pub(super) async fn planned_anew<T>(
    conn: &mut PgConnection,
    ask: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    const ANEW: &str =
        "set local plan_cache_mode = force_custom_plan; set local enable_seqscan to default;
        set local enable_bitmapscan to default";
    const AS_BEFORE: &str = concat!(
        keeping_plans!(),
        " where current_setting('transaction_read_only') = 'on'"
    );
    sqlx::raw_sql(ANEW).execute(&mut *conn).await?;
    let answer = ask(&mut *conn).await?;
    sqlx::raw_sql(AS_BEFORE).execute(conn).await?;
    Ok(answer)
}

/// Part of such a question that goes through an index in its order, from its end: the planner may think another one, and a sort,
/// cheaper, when it takes what is independent of each other for what is not.
pub(super) async fn in_order_of_an_index<T>(
    conn: &mut PgConnection,
    ask: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    sqlx::raw_sql("set local enable_sort = off")
        .execute(&mut *conn)
        .await?;
    let answer = ask(&mut *conn).await?;
    sqlx::raw_sql("set local enable_sort to default")
        .execute(conn)
        .await?;
    Ok(answer)
}

/// Part of such a question that reads a stretch of time as it lies on the disk, and breaks off when it has enough: the planner
/// may think that a walk through the ids comes to enough sooner, when none of those is of that time.
pub(super) async fn by_a_bitmap<T>(
    conn: &mut PgConnection,
    ask: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    sqlx::raw_sql("set local enable_indexscan = off; set local enable_seqscan = off")
        .execute(&mut *conn)
        .await?;
    let answer = ask(&mut *conn).await?;
    sqlx::raw_sql("set local enable_indexscan to default; set local enable_seqscan to default")
        .execute(conn)
        .await?;
    Ok(answer)
}
