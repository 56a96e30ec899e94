//! The listening connection: one for each daemon, on which its lanes' sleep locks are held and the words come in.
//!
//! sqlx's listener reconnects silently, and with the old session would go the locks that lanes believe in. So it is told
//! not to, and whatever goes wrong here ends this [`Listener`]; its owner makes a new one. The session is never inside a
//! transaction while it waits. Locks of a daemon that is frozen, or cut off without a word, do not outlive it for long:
//! the server ends a session that has been silent for too long.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::time::timeout;

use super::line::Database;

/// The trigger calls an app's sleeper here; the payload is the app.
const WAKE: &str = "outboxd_wake";
/// A daemon tests its own ears here; the payload is a random word.
const ECHO: &str = "outboxd_echo";

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A row of this app was committed.
    Wake(String),
    /// Some daemon, perhaps this one, tests its ears.
    Echo(String),
}

/// What came of trying to take a sleep lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    Had,
    /// Another daemon sleeps on it.
    Attended,
    /// A transaction that has inserted is still open.
    Refused,
}

#[derive(Debug)]
pub struct Listener {
    listener: PgListener,
    pool: PgPool,
    patience: Duration,
}

impl Listener {
    /// Connects and subscribes. No statement on it is waited for longer than `patience`; the server ends the session
    /// when it has been `silent` for that long.
    pub async fn connect(
        database: &Database,
        patience: Duration,
        silent: Duration,
    ) -> Result<Listener> {
        // sqlx's pool would try until its time is up, and then say no more than that. This asks first, refuses a standby, and
        // says why.
        let asked = database.connect().await?;
        let _ = timeout(patience, asked.close()).await;
        let session = format!(
            "set statement_timeout = 5000; set lock_timeout = 4000; set idle_in_transaction_session_timeout = 10000; \
             set idle_session_timeout = {}",
            silent.as_millis()
        );
        // A pool of one, for sqlx's listener takes its connection from a pool. It never opens a second one.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(patience)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let session = AssertSqlSafe(session.clone());
                Box::pin(async move { connection.execute(session).await.map(drop) })
            })
            .connect_lazy_with(database.options().clone());
        let listener = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen_all([WAKE, ECHO]).await?;
            sqlx::Result::Ok(listener)
        };
        match within(patience, listener).await {
            Ok(listener) => Ok(Listener {
                listener,
                pool,
                patience,
            }),
            Err(cause) => {
                drop(pool.close());
                Err(cause).context("listen")
            }
        }
    }

    /// The next word. May be dropped while it waits.
    pub async fn word(&mut self) -> Result<Word> {
        loop {
            let heard = self.listener.try_recv().await?;
            let word = heard.ok_or_else(|| anyhow!("the listening connection was lost"))?;
            match word.channel() {
                WAKE => return Ok(Word::Wake(word.payload().to_owned())),
                ECHO => return Ok(Word::Echo(word.payload().to_owned())),
                _ => {}
            }
        }
    }

    /// Tries to take the app's sleep lock. Whether the shared lock can be had tells who has refused it.
    pub async fn try_lock(&mut self, app: &str) -> Result<Tried> {
        let lock = sqlx::query_scalar!(
            r#"-- outboxd try to sleep
            select case when pg_try_advisory_lock(lock) then 'had'
                        when not pg_try_advisory_lock_shared(lock) then 'attended'
                        when pg_advisory_unlock_shared(lock) then 'refused' end as "tried!"
              from outboxd.sleep_lock($1) as lock"#,
            app
        );
        let tried = within(self.patience, lock.fetch_one(&mut self.listener))
            .await
            .context("take the sleep lock")?;
        Ok(match tried.as_str() {
            "had" => Tried::Had,
            "attended" => Tried::Attended,
            _ => Tried::Refused,
        })
    }

    pub async fn unlock(&mut self, app: &str) -> Result<()> {
        let unlock = sqlx::query_scalar!(
            r#"select pg_advisory_unlock(outboxd.sleep_lock($1)) as "held!""#,
            app
        );
        within(self.patience, unlock.fetch_one(&mut self.listener))
            .await
            .context("give the sleep lock back")?;
        Ok(())
    }

    /// Says a word that must come back, and asks whether inserts would call. False: the trigger is absent or disabled.
    pub async fn echo(&mut self, word: &str) -> Result<bool> {
        let echo = sqlx::query_scalar!(
            r#"-- outboxd echo
            select exists (
                select from pg_trigger
                 where tgrelid = to_regclass('outboxd.notification_outbox') and tgname = 'wake_sleeper'
                   and tgenabled in ('O', 'A')) as "inserts_call!"
              from pg_notify($1, $2)"#,
            ECHO,
            word
        );
        within(self.patience, echo.fetch_one(&mut self.listener))
            .await
            .context("notify oneself")
    }

    /// Ends the connection politely, and its locks with it.
    pub async fn close(self) {
        let Listener { listener, pool, .. } = self;
        let closed = pool.close();
        drop(listener);
        let _ = timeout(Duration::from_secs(1), closed).await;
    }
}

impl Listener {
    /// Leaves a connection that cannot be trusted any more. Closing the pool first keeps sqlx from putting it, locks and
    /// all, back for the next user.
    pub fn abandon(self) {
        drop(self.pool.close());
    }
}

async fn within<T>(
    patience: Duration,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> Result<T> {
    timeout(patience, statement)
        .await
        .with_context(|| format!("no answer in {} s", patience.as_secs_f32()))?
        .map_err(Into::into)
}
