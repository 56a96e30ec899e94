//! The schema `outboxd`: its migrations, and waiting for the version this daemon needs.
//!
//! A daemon never migrates by itself: `outboxd migrate` does, on one connection, under sqlx's lock, in the
//! schema's own table, beside whatever migrations the CRM runs in the same database.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::migrate::{Migrate as _, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, PgExecutor};

/// `migrations/`, embedded; its table is `outboxd._sqlx_migrations` (sqlx.toml).
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Roles and grants, a separate and optional step: many a team has its own.
pub const ROLES: &str = include_str!("../../migrations/roles.sql");

/// How the database's schema stands to this binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStatus {
    pub applied: Vec<i64>,
    /// In this binary, not in the database.
    pub missing: Vec<(i64, String)>,
    /// In the database, not in this binary: a newer outboxd has been here. Schemas only add within a
    /// major version, so that is no fault.
    pub newer: Vec<i64>,
}

impl SchemaStatus {
    pub fn is_current(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Who has logged in, and what of a daemon's work is refused to them, if anything is. What is not there is not refused.
pub async fn refused<C>(connection: &mut C) -> sqlx::Result<Option<(String, String)>>
where
    for<'c> &'c mut C: PgExecutor<'c>,
{
    sqlx::query_as(
        "with work (n, name, action, the_column) as (
             values (1, '_sqlx_migrations', 'select', null), (2, 'notification_outbox', 'update', 'lease_token'),
                    (3, 'notification_outbox', 'delete', null), (4, 'notification_delivery', 'insert', null),
                    (5, 'notification_attempt', 'insert', null), (6, 'app_state', 'insert', 'breaker')
         ),
         refused (n, what) as (
             select n, action || ' on ' || name
               from work
               join pg_catalog.pg_class c on c.relname = name and c.relnamespace = to_regnamespace('outboxd')
              where not case when the_column is null then has_table_privilege(c.oid, action)
                             else has_column_privilege(c.oid, the_column, action) end
             union all
             select 7, 'execute on ' || p.proname
               from pg_catalog.pg_proc p
              where p.pronamespace = to_regnamespace('outboxd') and p.proname = 'newest_settled'
                and not has_function_privilege(p.oid, 'execute')
         )
         select current_user::text, what from refused order by n limit 1",
    )
    .persistent(false)
    .fetch_optional(&mut *connection)
    .await
}

/// Reads the migration table; an absent one means that nothing is applied.
pub async fn status<C>(connection: &mut C) -> sqlx::Result<SchemaStatus>
where
    for<'c> &'c mut C: PgExecutor<'c>,
{
    let present: bool =
        sqlx::query_scalar("select to_regclass('outboxd._sqlx_migrations') is not null")
            .persistent(false)
            .fetch_one(&mut *connection)
            .await?;
    let applied: Vec<i64> = if present {
        sqlx::query_scalar(
            "select version from outboxd._sqlx_migrations where success order by version",
        )
        .persistent(false)
        .fetch_all(&mut *connection)
        .await?
    } else {
        Vec::new()
    };
    Ok(SchemaStatus {
        missing: MIGRATOR
            .iter()
            .filter(|m| !applied.contains(&m.version))
            .map(|m| (m.version, m.description.to_string()))
            .collect(),
        newer: applied
            .iter()
            .copied()
            .filter(|version| !MIGRATOR.version_exists(*version))
            .collect(),
        applied,
    })
}

/// The schema before and after a migration, both seen under its lock: what was missing before, this one applied.
#[derive(Clone, Debug)]
pub struct Migrated {
    pub before: SchemaStatus,
    pub after: SchemaStatus,
}

/// Applies what is missing. Any number of these may run at once: the first works, the others wait for
/// its lock and find it done.
pub async fn migrate(connection: &mut PgConnection) -> Result<Migrated> {
    connection
        .execute("set lock_timeout = '60s'; set statement_timeout = 0")
        .await?;
    // The same lock as the migrator's own, held around it; a failure takes the connection and the lock along.
    connection
        .lock()
        .await
        .context("wait for another migration")?;
    let before = status(connection).await?;
    if !before.is_current() {
        MIGRATOR
            .run_direct(None, connection, false)
            .await
            .context("apply the migrations")?;
    }
    let after = status(connection).await?;
    connection.unlock().await?;
    Ok(Migrated { before, after })
}

/// The SQL of all migrations, for those who run it with Flyway, TypeORM or Prisma. It also writes the
/// migration table, so that `outboxd migrate status` and the daemon know what is there.
pub fn sql() -> String {
    let mut sql = String::new();
    for migration in MIGRATOR.iter() {
        let _ = writeln!(sql, "-- {:04} {}", migration.version, migration.description);
        let _ = writeln!(sql, "{}\n", migration.sql.as_str().trim_end());
    }
    sql.push_str(
        "create table if not exists outboxd._sqlx_migrations (\n    version bigint primary key, description text not null, \
         installed_on timestamptz not null default now(),\n    success boolean not null, checksum bytea not null, \
         execution_time bigint not null);\n",
    );
    for migration in MIGRATOR.iter() {
        let checksum: String = migration
            .checksum
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let _ = writeln!(
            sql,
            "insert into outboxd._sqlx_migrations values ({}, '{}', now(), true, '\\x{checksum}', 0);",
            migration.version, migration.description
        );
    }
    sql
}

/// Creates the roles and grants them what they need.
pub async fn create_roles(connection: &mut PgConnection) -> Result<()> {
    let mut transaction = connection.begin().await?;
    transaction.execute(ROLES).await.context("create roles")?;
    transaction.commit().await?;
    Ok(())
}

/// Makes the coming months' partitions; safe from any daemon at any time.
pub async fn ensure_partitions(connection: impl PgExecutor<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"-- outboxd ensure partitions
        select made as "made!" from outboxd.ensure_partitions(2) as made"#
    )
    .fetch_all(connection)
    .await
}

/// Pause between two looks at a schema that is not there yet.
pub const WAIT: Duration = Duration::from_secs(2);
