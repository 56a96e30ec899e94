//! The desk's own connections: a few, apart from the daemon's, so that no page takes a turn from a delivery.
//!
//! Every statement of a page has three seconds. What does not get its answer becomes a [`Trouble`] with a sentence,
//! never a page that hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Postgres, Transaction};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::trouble::Trouble;
use crate::config::{DatabaseConfig, Pooler};
use crate::outbox::session;
use crate::secret::Secret;

/// More pages at once than this wait for each other: looking is never worth a daemon's statement.
const LINES: u32 = 4;
/// How long a page waits for one of them, or for the database to answer at all.
pub(super) const WAIT: Duration = Duration::from_secs(3);

/// How long the database may take to answer at all, once none of them was to be had; and how long that is known.
const PROBE: Duration = Duration::from_secs(1);

/// How many statements each of them keeps.
const NAMED: usize = 100;

pub(super) struct Lines {
    pool: PgPool,
    /// Whether the database was there when last somebody had waited in vain.
    probed: Mutex<Option<(Instant, bool)>>,
    /// Whether the database's login may act, as the last page had it.
    may_act: AtomicBool,
}

impl Lines {
    /// Connects with the first page, not before: a desk starts without its database.
    pub(super) fn new(database: &DatabaseConfig) -> Result<Lines> {
        let pool = PgPoolOptions::new()
            .max_connections(LINES)
            .acquire_timeout(WAIT);
        let options = options(&database.url)?;
        Ok(Lines {
            probed: Mutex::default(),
            may_act: AtomicBool::new(true),
            pool: match database.pooler {
                Pooler::Transaction => pool.connect_lazy_with(options),
                // A page asks some twenty questions: read once by the server, each takes one trip instead of two. Which plans
                // are kept, too, the transactions of [`session`] say; an act is planned anew.
                Pooler::None => pool
                    .after_connect(|conn, _| {
                        Box::pin(async {
                            conn.execute("set plan_cache_mode = force_custom_plan")
                                .await
                                .map(drop)
                        })
                    })
                    .connect_lazy_with(options.statement_cache_capacity(NAMED)),
            },
        })
    }

    /// One snapshot to read from.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Postgres>, Trouble> {
        match session::viewing(&self.pool).await {
            Ok((tx, may_act)) => {
                self.may_act.store(may_act, Ordering::Relaxed);
                Ok(tx)
            }
            Err(error) => Err(self.trouble(error).await),
        }
    }

    pub(super) fn may_act(&self) -> bool {
        self.may_act.load(Ordering::Relaxed)
    }

    /// To act in; whoever acts commits.
    pub(super) async fn act(&self) -> Result<Transaction<'static, Postgres>, Trouble> {
        match session::handling(&self.pool).await {
            Ok(tx) => Ok(tx),
            Err(error) => Err(self.trouble(error).await),
        }
    }

    /// Waiting in vain means busy lines, or a database that nobody reaches. The pool counts lines that are still being
    /// laid; one more attempt tells, for all who have waited meanwhile.
    async fn trouble(&self, error: sqlx::Error) -> Trouble {
        if !matches!(error, sqlx::Error::PoolTimedOut) {
            return error.into();
        }
        let mut probed = self.probed.lock().await;
        let is_there = match *probed {
            Some((at, is_there)) if at.elapsed() < PROBE => is_there,
            _ => {
                let options = self.pool.connect_options();
                let answered = match timeout(PROBE, PgConnection::connect_with(&options)).await {
                    Ok(Ok(line)) => line.close().await.is_ok(),
                    // Whatever it has to say, it is there.
                    Ok(Err(error)) => error.as_database_error().is_some(),
                    Err(_) => false,
                };
                *probed = Some((Instant::now(), answered));
                answered
            }
        };
        if is_there {
            Trouble::Busy
        } else {
            Trouble::Away
        }
    }
}

/// How the desk connects, be it through a pooler.
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
