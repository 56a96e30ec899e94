//! The one connection a verb uses.
//!
//! It keeps no named prepared statements, so a pooler in transaction mode does no harm.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::exit::{Exit, Stop};
use super::settings::Settings;
use crate::words::{Lang, say};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects, naming host and database when that fails, never the URL.
pub(super) async fn connect(settings: &Settings, lang: Lang) -> Result<PgConnection> {
    let options = PgConnectOptions::from_str(settings.database_url.expose())?
        .application_name("outboxd command line")
        .statement_cache_capacity(0);
    let place = format!(
        "{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username())
    );
    match tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(sqlx::Error::Io(error))) => Err(Stop::new(
            Exit::Unreachable,
            say!(lang, "error.connect", place = place, what = error),
        )
        .into()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Stop::new(
            Exit::Unreachable,
            say!(lang, "error.connect_timeout", place = place),
        )
        .into()),
    }
}
