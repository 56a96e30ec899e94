//! One worker among others: `setup` makes the schema, `work` is the daemon as operators run it.
//!
//! The harness says by the environment where the database and the sink are and how many calls may be in flight.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use outboxd::config::{Config, Needs, Sources};
use outboxd::daemon;
use outboxd::outbox::schema;
use outboxd::relay::Until;
use sqlx::{Connection, PgConnection};

use crate::report::say;

pub(crate) async fn setup() -> Result<()> {
    let mut connection = PgConnection::connect(&variable("BENCH_DSN")?).await?;
    schema::migrate(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Says READY, then runs until SIGTERM.
pub(crate) async fn work() -> Result<()> {
    let config = config(
        &variable("BENCH_DSN")?,
        &variable("BENCH_URL")?,
        &variable("BENCH_CONC")?,
    )?;
    daemon::log_to_stderr(&config.log);
    say(format_args!("READY"));
    daemon::run_until_signalled(config, Until::Stopped, false).await
}

/// The defaults, but for the slots, the place of the sink, and one line per delivery in the log, which no other worker
/// writes either. `OUTBOXD_…` of the environment goes before.
fn config(dsn: &str, url: &str, slots: &str) -> Result<Config> {
    let mut env = BTreeMap::from(
        [
            ("DATABASE_URL", dsn),
            ("OUTBOXD_WECHAT_BASE_URL", url),
            ("OUTBOXD_SLOTS", slots),
            ("OUTBOXD_HTTP_LISTEN", "off"),
            ("OUTBOXD_LOG", "warn"),
            ("MINIPROGRAM_APPID", "wx0123456789abcdef"),
            ("MINIPROGRAM_APPSECRET", "0123456789abcdef0123456789abcdef"),
            ("MINIPROGRAM_CLOUD_ENV", "bench-env"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    env.extend(std::env::vars().filter(|(name, _)| name.starts_with("OUTBOXD_")));
    let sources = Sources {
        env,
        ..Sources::from_system(BTreeMap::new())
    };
    Config::load(&sources, Needs::Everything).map_err(|refused| anyhow::anyhow!("{refused}"))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}
