//! A line to the database: one connection for one duty (claim, record, state), opened when needed.
//!
//! A statement that fails, or that outlives its deadline, takes its connection with it: a half-open or
//! half-read connection is never used again, and a read-only node is left at once. Under load this is
//! also the fast way: a pool would ping before and after each statement.

mod held;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row as _};
use tokio::time::timeout;

pub use held::Held;

use crate::config::{DatabaseConfig, Pooler};

/// We give up the connection a little after the server has given up the statement, for a server that no longer answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is and how to speak to it.
#[derive(Clone, Debug)]
pub struct Database {
    options: PgConnectOptions,
    pooler: Pooler,
}

impl Database {
    pub fn configured(config: &DatabaseConfig) -> Result<Self> {
        let options = config.url.expose().parse().context("read DATABASE_URL")?;
        Ok(Database::new(options, config.pooler))
    }

    pub fn new(options: PgConnectOptions, pooler: Pooler) -> Self {
        let options = options
            .log_statements(tracing::log::LevelFilter::Off)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1))
            .application_name("outboxd")
            // A start-up parameter that PgBouncer refuses by default, before we could say what is wrong.
            .extra_float_digits(None);
        Database { options, pooler }
    }

    /// Host, port and database, for sentences; never the URL.
    pub fn place(&self) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        let database = self.options.get_database().unwrap_or_default();
        format!("{host}:{port}/{database}")
    }

    /// For the listening connection, which is no line: it is not opened by a statement and waits between them.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// For work in the background that may well take a second: the log is not told of each.
    pub fn line_of_patience(&self) -> Line {
        let options = self.options.clone();
        Database {
            options: options
                .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(4)),
            pooler: self.pooler,
        }
        .line()
    }

    pub fn line(&self) -> Line {
        Line {
            database: self.clone(),
            plans: Plans::Fresh,
            connection: None,
        }
    }

    /// A fresh connection, checked: it can write, and its text is UTF-8.
    pub async fn connect(&self) -> Result<PgConnection> {
        self.connect_with(Plans::Fresh).await
    }

    async fn connect_with(&self, plans: Plans) -> Result<PgConnection> {
        let mut connection = self.open().await?;
        // In the simple protocol, one message: safe behind a transaction pooler, too.
        let row = answered(connection.fetch_one(sqlx::raw_sql(
            "-- outboxd connect
             select pg_is_in_recovery() or current_setting('transaction_read_only')::bool,
                    current_setting('server_encoding')",
        )))
        .await?;
        let (read_only, encoding): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
        ensure!(
            !read_only,
            "the database is read-only (a standby, or a demoted primary)"
        );
        ensure!(
            encoding == "UTF8",
            "the database's encoding is {encoding}; outboxd needs UTF8"
        );
        // Not as start-up parameters, which poolers refuse before we can say why one is no good here.
        if self.pooler == Pooler::None {
            answered(connection.execute(AssertSqlSafe(plans.settings()))).await?;
        }
        Ok(connection)
    }

    async fn open(&self) -> Result<PgConnection> {
        timeout(CONNECT_TIMEOUT, self.options.connect())
            .await
            .context("connect to the database: no answer in 5 s")?
            .context("connect to the database")
    }
}

/// How the server plans a line's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plans {
    /// Anew each time, for the parameters and the tables as they are. A plan kept from when the outbox was empty would
    /// be the wrong one later.
    Fresh,
    /// Once per connection, with every wrong choice ruled out beforehand, so that it does not matter what the tables
    /// held at that moment. For the two statements that run all day, claim and record: planning them each time is a
    /// fifth of their cost.
    Kept,
}

impl Plans {
    /// Set on every session; behind a pooler, where the session is not ours, for each transaction.
    fn settings(self) -> String {
        let plans = match self {
            Plans::Fresh => "set plan_cache_mode = force_custom_plan",
            // Rows by index, batches by hash.
            Plans::Kept => {
                "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off; \
                 set enable_nestloop = off; set enable_mergejoin = off"
            }
        };
        format!("{TIMEOUTS}; {plans}")
    }
}

/// The server's own limit is shorter than ours, so that a slow statement ends there instead of holding its connection
/// after we have left. And no compiling: a plan with choices ruled out only looks dear.
const TIMEOUTS: &str = "set statement_timeout = 5000; set lock_timeout = 4000; \
                        set idle_in_transaction_session_timeout = 10000; set jit = off";
const _: () = assert!(ANSWER_TIMEOUT.as_millis() > 5000);

/// One connection for one duty.
#[derive(Debug)]
pub struct Line {
    database: Database,
    plans: Plans,
    connection: Option<PgConnection>,
}

impl Line {
    /// For a line with few statements that run all day.
    pub fn keeping_plans(self) -> Self {
        Line {
            plans: Plans::Kept,
            ..self
        }
    }

    /// A further line like this one, not yet connected.
    pub fn another(&self) -> Line {
        Line {
            database: self.database.clone(),
            plans: self.plans,
            connection: None,
        }
    }

    /// The connection, taken out of the line: give it [`back`](Line::back) when the statement has succeeded,
    /// drop it when it has not.
    pub async fn take(&mut self) -> Result<Held> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.database.connect_with(self.plans).await?,
        };
        let unnamed = self.database.pooler == Pooler::Transaction;
        if unnamed {
            let settings = self.plans.settings().replace("set ", "set local ");
            let begin = AssertSqlSafe(format!("begin; {settings}"));
            answered(connection.execute(begin)).await?;
        }
        Ok(Held {
            connection,
            unnamed,
        })
    }

    pub async fn back(&mut self, held: Held) -> Result<()> {
        let Held {
            mut connection,
            unnamed,
        } = held;
        if unnamed {
            answered(connection.execute("commit")).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Ends the connection politely.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = timeout(Duration::from_secs(1), connection.close()).await;
        }
    }
}

/// Waits for the server's answer, but not for ever.
pub async fn answered<T>(statement: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    Ok(timeout(ANSWER_TIMEOUT, statement)
        .await
        .context("the database did not answer in 8 s")??)
}

/// True when behind this address one client's transactions run on changing server connections.
///
/// Two clients take turns: while the first is between transactions the second opens one. A server
/// connection of one's own stays the same throughout; one that is shared changes hands.
pub async fn behind_transaction_pooler(database: &Database) -> Result<bool> {
    let mut first = database.open().await?;
    let mut second = database.open().await?;
    let mut third = database.open().await?;
    let probe = async {
        first.execute("begin").await?;
        let before = backend(&mut first).await?;
        second.execute("begin").await?;
        backend(&mut second).await?;
        first.execute("commit").await?;
        third.execute("begin").await?;
        let taken_over = backend(&mut third).await? == before;
        first.execute("begin").await?;
        let after = backend(&mut first).await?;
        first.execute("commit").await?;
        third.execute("commit").await?;
        second.execute("commit").await?;
        Ok::<_, sqlx::Error>(taken_over || before != after)
    };
    // Only a change of hands is proof; a slow network, or a pooler with fewer than three connections, is none.
    answered(probe).await
}

async fn backend(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar("select pg_backend_pid()")
        .persistent(false)
        .fetch_one(connection)
        .await
}

/// A wait that differs between daemons, so that they do not return all at once.
pub fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.9..1.1))
}
