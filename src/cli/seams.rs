//! What the command line needs from the rest of the program: settings, the daemon, the schema, the client.
//!
//! Every verb reaches them through this file and nowhere else. A refused configuration is exit code 4 with
//! every mistake in it, whichever verb met it.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono_tz::Tz;
use sqlx::postgres::PgConnection;
use tracing_subscriber::EnvFilter;

use super::exit::{Exit, Stop};
use crate::config::{
    AppConfig, Config, LogConfig, LogFormat, Needs, Refused, Row, Secret, Sources,
};
use crate::notification::Claim;
use crate::outbox::schema::{self, SchemaStatus};
use crate::relay::Until;
use crate::wechat::{NeverForce, Rehearsal, WechatTarget};
use crate::words::{Lang, say};
use crate::{daemon, words};

/// What was typed before the verb.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) config: Option<PathBuf>,
    pub(super) database_url: Option<String>,
    pub(super) lang: Option<Lang>,
}

impl Typed {
    fn sources(&self) -> Sources {
        let mut flags = BTreeMap::new();
        let mut add = |name: &str, value: Option<String>| {
            flags.extend(value.map(|value| (name.to_owned(), value)));
        };
        add(
            "config",
            self.config.as_ref().map(|file| file.display().to_string()),
        );
        add("database-url", self.database_url.clone());
        add("lang", self.lang.map(|lang| lang.word().to_owned()));
        Sources::from_system(flags)
    }

    fn load(&self, needs: Needs) -> Result<Config, Refused> {
        Config::load(&self.sources(), needs)
    }

    /// The language of words said before, or without, the settings.
    pub(super) fn lang(&self) -> Lang {
        words::pick(self.lang, |name| std::env::var(name).ok())
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Stop {
        Stop::new(Exit::BadConfig, refused.to_string())
    }
}

/// What the verbs for people need of the configuration.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) database_url: Secret,
    pub(super) zone: Tz,
    pub(super) lang: Lang,
}

/// Reads what concerns the database: support's machine holds no WeChat secret.
pub(super) fn settings(typed: &Typed) -> Result<Settings> {
    let config = typed.load(Needs::Database).map_err(Stop::from)?;
    Ok(Settings {
        database_url: config.database.url,
        zone: config.time_zone,
        lang: config.lang,
    })
}

/// `outboxd run`: until a signal, or until nothing is due.
pub(super) fn run(typed: &Typed, until: Until, migrate: bool) -> Result<Exit> {
    let config = typed.load(Needs::Everything).map_err(Stop::from)?;
    log(&config.log)?;
    for warning in &config.warnings {
        let (doubt, way_out) = (warning.sentence(config.lang), warning.way_out(config.lang));
        tracing::warn!("{doubt}: {way_out}");
    }
    daemon::main(config, until, migrate)?;
    Ok(Exit::Ok)
}

/// Logs to standard error: text on a terminal, JSON elsewhere, unless told otherwise.
fn log(config: &LogConfig) -> Result<()> {
    let filter = EnvFilter::try_new(&config.filter).context("read the log filter")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    match config.format {
        LogFormat::Json => log.json().init(),
        LogFormat::Auto if !terminal => log.json().init(),
        LogFormat::Auto | LogFormat::Text => log.with_ansi(terminal).init(),
    }
    Ok(())
}

/// `outboxd migrate`.
pub(super) async fn migrate(conn: &mut PgConnection) -> Result<SchemaStatus> {
    schema::migrate(conn).await
}

/// `outboxd migrate status`.
pub(super) async fn migrate_status(conn: &mut PgConnection) -> Result<SchemaStatus> {
    schema::status(conn).await
}

/// `outboxd migrate sql`.
pub(super) fn migrate_sql() -> String {
    schema::sql()
}

/// `outboxd migrate roles --print`.
pub(super) fn roles_sql() -> &'static str {
    schema::ROLES
}

/// `outboxd migrate roles`.
pub(super) async fn create_roles(conn: &mut PgConnection) -> Result<()> {
    schema::create_roles(conn).await
}

/// `outboxd config show`: the settings found, and what is wrong with them if anything is.
pub(super) fn config_show(typed: &Typed) -> (Vec<Row>, Option<Stop>) {
    let lang = typed.lang();
    match typed.load(Needs::Everything) {
        Ok(config) => (config.describe(config.lang), None),
        Err(refused) => (refused.describe(lang), Some(refused.into())),
    }
}

/// `outboxd config template`.
pub(super) fn config_template(lang: Lang) -> String {
    Config::template(lang)
}

/// `outboxd send-test`: one real call with the settings of `app`, step by step.
pub(super) async fn rehearse(typed: &Typed, app: &str, claim: &Claim) -> Result<Rehearsal> {
    let config = typed.load(Needs::Everything).map_err(Stop::from)?;
    let Some(app) = config.apps.iter().find(|known| known.name == app) else {
        let known: Vec<&str> = config.apps.iter().map(|app| app.name.as_str()).collect();
        let sentence = say!(
            config.lang,
            "send_test.no_app",
            app = app,
            known = known.join(", ")
        );
        return Err(Stop::new(Exit::BadConfig, sentence).into());
    };
    Ok(target(app)?.rehearse(claim).await)
}

fn target(app: &AppConfig) -> Result<WechatTarget> {
    WechatTarget::new(daemon::wechat_settings(app), Arc::new(NeverForce))
}
