//! Everything that must hold before the first claim: a database that answers, keeps what it commits and is reached
//! without a pooler we were not told of, and the schema this daemon needs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sqlx::Row as _;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::config::words::words;
use crate::config::{Config, Misplaced, OpenidSource, Pooler, SendConfig, TargetConfig, Words};
use crate::delivery::LookupFailed;
use crate::outbox::line::{Database, Line, answered, behind_transaction_pooler, jittered};
use crate::outbox::openid::OpenidQuery;
use crate::outbox::schema;
use crate::relay::Until;

/// Waits and checks; returns when claiming may begin. One that is to drain and end does not wait for ever.
pub(super) async fn ready(
    config: &Config,
    database: &Database,
    until: Until,
    migrate: bool,
) -> Result<()> {
    wait_for_database(database, config.database.wait_for).await?;
    let pooled = config.database.pooler == Pooler::None
        && behind_transaction_pooler(database)
            .await
            .context("ask whether a pooler stands before the database")?;
    if pooled {
        bail!(Misplaced(Words::new(
            "a transaction pooler stands before the database: there, prepared statements reach other clients' \
             sessions. Give outboxd a direct connection, or set OUTBOXD_POOLER=transaction",
            "数据库前面有事务模式的连接池，预备语句会串到其他客户端的会话里。请给 outboxd 直连数据库的地址，\
             或设置 OUTBOXD_POOLER=transaction",
        )));
    }
    let mut line = database.line();
    check_durability(&mut line, config.database.unsafe_durability).await?;
    if migrate {
        schema::migrate(&mut database.connect().await?).await?;
    }
    let patience = match until {
        Until::Stopped => Duration::MAX,
        Until::Drained => config.database.wait_for,
    };
    try_openid_queries(config, database).await?;
    wait_for_schema(&mut line, patience).await?;
    make_partitions(&mut line).await;
    line.close().await;
    Ok(())
}

async fn wait_for_database(database: &Database, patience: Duration) -> Result<()> {
    let since = Instant::now();
    let mut told = false;
    loop {
        match database.connect().await {
            Ok(_) => return Ok(()),
            Err(cause) if since.elapsed() >= patience => {
                return Err(cause).with_context(|| {
                    format!(
                        "the database did not answer within {} s",
                        patience.as_secs()
                    )
                });
            }
            Err(cause) if !told => {
                warn!(
                    database = database.place(),
                    error = format!("{cause:#}"),
                    "waiting for the database"
                );
                told = true;
            }
            Err(_) => {}
        }
        sleep(jittered(Duration::from_millis(500))).await;
    }
}

/// "Recorded" is a promise only if the server keeps what it has committed.
async fn check_durability(line: &mut Line, unsafe_is_allowed: bool) -> Result<()> {
    let mut connection = line.take().await?;
    let row = answered(
        sqlx::query("select current_setting('fsync'), current_setting('synchronous_commit')")
            .fetch_one(&mut connection),
    )
    .await?;
    line.back(connection).await?;
    let (fsync, synchronous_commit): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if !unsafe_is_allowed && (fsync != "on" || synchronous_commit == "off") {
        bail!(Misplaced(words!(
            "the database may lose what it has committed: fsync = {fsync}, synchronous_commit = {synchronous_commit}. \
             Turn both on, or set OUTBOXD_UNSAFE_DURABILITY=true for a test",
            "数据库可能丢失已提交的数据：fsync = {fsync}，synchronous_commit = {synchronous_commit}。\
             请把两项都打开；测试时可设置 OUTBOXD_UNSAFE_DURABILITY=true",
        )));
    }
    Ok(())
}

/// A query that cannot run is a mistake in the settings, and would otherwise be found by the first row.
async fn try_openid_queries(config: &Config, database: &Database) -> Result<()> {
    for app in &config.apps {
        let TargetConfig::SubscribeSend(SendConfig {
            openid: OpenidSource::Query(query),
            ..
        }) = &app.target
        else {
            continue;
        };
        match OpenidQuery::new(database.line(), query).try_out().await {
            Ok(()) => {}
            Err(LookupFailed::Wrong(said)) => {
                let app = &app.name;
                bail!(Misplaced(words!(
                    "the query in openid_query of app {app} cannot run: {said}. Correct it, or grant the daemon's login \
                     the right to read what it names",
                    "应用 {app} 的 openid_query 无法执行：{said}。请改正查询，或授予守护进程的数据库账号读取权限",
                )));
            }
            Err(LookupFailed::Away(said)) => {
                warn!(
                    app = app.name,
                    error = said,
                    "openid_query could not be tried; it is with the first row"
                );
            }
        }
    }
    Ok(())
}

/// Waits as long as it takes, and says so: a daemon never migrates by itself.
async fn wait_for_schema(line: &mut Line, patience: Duration) -> Result<()> {
    let since = Instant::now();
    let mut told: Option<Instant> = None;
    loop {
        let lacks = match lacks(line).await {
            Ok(None) => return Ok(()),
            Ok(Some(lacks)) => lacks,
            Err(cause) => Lacks::Schema(format!("{cause:#}")),
        };
        if since.elapsed() >= patience {
            bail!(lacks.said());
        }
        if told.is_none_or(|at| at.elapsed() > Duration::from_secs(30)) {
            match &lacks {
                Lacks::Schema(waiting_for) => warn!(
                    waiting_for,
                    "waiting for the schema: run `outboxd migrate`, or start with `outboxd run --migrate`"
                ),
                Lacks::Right { .. } => warn!("waiting for a right: {}", lacks.said()),
            }
            told = Some(Instant::now());
        }
        sleep(schema::WAIT).await;
    }
}

/// What the daemon cannot begin without, and somebody may be about to give.
enum Lacks {
    Schema(String),
    Right { login: String, what: String },
}

impl Lacks {
    fn said(&self) -> String {
        match self {
            Lacks::Schema(what) => format!(
                "the schema is not there ({what}): run `outboxd migrate`, or start with `--migrate`"
            ),
            Lacks::Right { login, what } => format!(
                "the login {login} may not deliver ({what} is refused): use a login that has outboxd_daemon, given by: \
                 grant outboxd_daemon to {login}"
            ),
        }
    }
}

async fn lacks(line: &mut Line) -> Result<Option<Lacks>> {
    let mut connection = line.take().await?;
    let refused = answered(schema::refused(&mut connection)).await?;
    line.back(connection).await?;
    if let Some((login, what)) = refused {
        return Ok(Some(Lacks::Right { login, what }));
    }
    let status = schema_status(line).await?;
    let missing: Vec<&str> = status
        .missing
        .iter()
        .map(|(_, name)| name.as_str())
        .collect();
    Ok((!status.is_current()).then(|| Lacks::Schema(format!("missing: {}", missing.join(", ")))))
}

async fn schema_status(line: &mut Line) -> Result<schema::SchemaStatus> {
    let mut connection = line.take().await?;
    let status = answered(schema::status(&mut connection)).await?;
    line.back(connection).await?;
    Ok(status)
}

/// A partition that cannot be made now never stops anything: the default partition takes its rows.
pub(super) async fn make_partitions(line: &mut Line) {
    let made = async {
        let mut connection = line.take().await?;
        let made = answered(schema::ensure_partitions(&mut connection)).await?;
        line.back(connection).await?;
        anyhow::Ok(made)
    };
    match made.await {
        Ok(made) if made.is_empty() => {}
        Ok(made) => info!(partitions = made.join(", "), "made partitions"),
        Err(cause) => {
            warn!(
                error = format!("{cause:#}"),
                "next month's partitions are left for later"
            );
        }
    }
}
