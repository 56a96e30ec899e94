//! The transactions in which people read and act.
//!
//! Explicit ones with local timeouts: a pooler in transaction mode does no harm, and a slow question ends in
//! a sentence instead of a wait.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Postgres, Transaction};

/// For questions: one snapshot, read-only, five seconds a statement.
pub async fn reading(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    let mut tx = conn
        .begin_with("begin isolation level repeatable read read only")
        .await?;
    sqlx::query("set local statement_timeout = '5s'")
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}

/// For acts: read committed, so that a lock waited for is looked behind.
pub async fn acting(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    let mut tx = conn
        .begin_with("begin isolation level read committed read write")
        .await?;
    sqlx::query("set local statement_timeout = '30s'")
        .execute(&mut *tx)
        .await?;
    sqlx::query("set local lock_timeout = '10s'")
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}

/// For a page of the desk: as [`reading`], three seconds a statement.
pub async fn viewing(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut tx = pool
        .begin_with("begin isolation level repeatable read read only")
        .await?;
    sqlx::query("set local statement_timeout = '3s'")
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}

/// For an act on the desk: as [`acting`], within the time a page has.
pub async fn handling(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut tx = pool
        .begin_with("begin isolation level read committed read write")
        .await?;
    sqlx::query("set local statement_timeout = '3s'")
        .execute(&mut *tx)
        .await?;
    sqlx::query("set local lock_timeout = '2s'")
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}
