//! The desk's own connections: a few, apart from the daemon's, so that no page takes a turn from a delivery.
//!
//! Every statement of a page has three seconds. What does not get its answer becomes a [`Trouble`] with a sentence,
//! never a page that hangs.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Postgres, Transaction};

use super::trouble::Trouble;
use crate::outbox::session;
use crate::secret::Secret;

/// More pages at once than this wait for each other: looking is never worth a daemon's statement.
const LINES: u32 = 4;
/// How long a page waits for one of them, or for the database to answer at all.
pub(super) const WAIT: Duration = Duration::from_secs(3);

pub(super) struct Lines {
    pool: PgPool,
}

impl Lines {
    /// Connects with the first page, not before: a desk starts without its database.
    pub(super) fn new(url: &Secret) -> Result<Lines> {
        Ok(Lines {
            pool: PgPoolOptions::new()
                .max_connections(LINES)
                .acquire_timeout(WAIT)
                .connect_lazy_with(options(url)?),
        })
    }

    /// One snapshot to read from.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Postgres>, Trouble> {
        session::viewing(&self.pool)
            .await
            .map_err(|error| self.trouble(error))
    }

    /// To act in; whoever acts commits.
    pub(super) async fn act(&self) -> Result<Transaction<'static, Postgres>, Trouble> {
        session::handling(&self.pool)
            .await
            .map_err(|error| self.trouble(error))
    }

    /// Waiting in vain means busy lines, or a database that nobody reaches.
    fn trouble(&self, error: sqlx::Error) -> Trouble {
        match error {
            sqlx::Error::PoolTimedOut if self.pool.size() > 0 => Trouble::Busy,
            error => error.into(),
        }
    }
}

/// How the desk connects.
pub(super) fn options(url: &Secret) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = url.expose().parse().context("read DATABASE_URL")?;
    Ok(options
        .log_statements(tracing::log::LevelFilter::Off)
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1))
        .application_name("outboxd desk")
        // A start-up parameter that PgBouncer refuses, and named statements that it mixes up.
        .extra_float_digits(None)
        .statement_cache_capacity(0))
}
