//! The one connection a verb uses, and how its database is named in a sentence.
//!
//! It keeps no named prepared statements, so a pooler in transaction mode does no harm.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::exit::{Exit, Stop};
use super::settings::{Settings, Typed};
use crate::config::{Config, Needs};
use crate::words::{Lang, say};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where we are and as whom, for sentences: host, database and role, never the URL.
#[derive(Clone, Debug, Default)]
pub(super) struct At {
    /// Host and port, or the socket's folder.
    pub(super) server: String,
    pub(super) database: String,
    pub(super) role: String,
    /// The role whose rights the verb takes; `None` is the schema's owner.
    pub(super) needs: Option<&'static str>,
}

impl At {
    /// What the settings say; unknown while they are wrong.
    pub(super) fn of(typed: &Typed, needs: Option<&'static str>) -> At {
        let options = Config::load(&typed.sources(), Needs::Database)
            .ok()
            .and_then(|config| PgConnectOptions::from_str(config.database.url.expose()).ok());
        At {
            needs,
            ..options.as_ref().map(At::options).unwrap_or_default()
        }
    }

    fn options(options: &PgConnectOptions) -> At {
        At {
            server: match options.get_socket() {
                Some(folder) => folder.display().to_string(),
                None => format!("{}:{}", options.get_host(), options.get_port()),
            },
            database: options
                .get_database()
                .unwrap_or(options.get_username())
                .to_owned(),
            role: options.get_username().to_owned(),
            needs: None,
        }
    }

    /// Server and database.
    pub(super) fn place(&self, lang: Lang) -> String {
        if self.server.is_empty() {
            return say!(lang, "error.somewhere");
        }
        format!("{}/{}", self.server, self.database)
    }
}

/// Connects, naming host and database when that fails, never the URL.
pub(super) async fn connect(settings: &Settings, lang: Lang) -> Result<PgConnection> {
    let options = PgConnectOptions::from_str(settings.database_url.expose())?
        .application_name("outboxd command line")
        .statement_cache_capacity(0);
    let place = At::options(&options).place(lang);
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
