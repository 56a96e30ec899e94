//! The transactions in which people read and act.
//!
//! Explicit ones with local timeouts: a pooler in transaction mode does no harm, and a slow question ends in
//! a sentence instead of a wait.

use sqlx::postgres::PgConnection;
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
