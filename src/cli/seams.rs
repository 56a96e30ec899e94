//! What the command line needs from the rest of the program: settings, the daemon, the schema, the client.
//!
//! Every verb reaches them through this file and nowhere else.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use chrono_tz::Tz;

use super::exit::{Exit, Stop};
use crate::notification::Claim;
use crate::words::Lang;

/// What was typed before the verb.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) config: Option<PathBuf>,
    pub(super) database_url: Option<String>,
}

/// What the verbs for people need of the configuration.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) database_url: String,
    pub(super) zone: Tz,
}

/// Reads the settings: flag, environment, file, default.
pub(super) fn settings(typed: &Typed) -> Result<Settings> {
    if let Some(file) = &typed.config {
        bail!("--config {}: not connected", file.display());
    }
    let from_env = || std::env::var("DATABASE_URL").ok();
    let Some(database_url) = typed.database_url.clone().or_else(from_env) else {
        bail!(Stop::new(Exit::BadConfig, "DATABASE_URL is not set"));
    };
    let zone = std::env::var("OUTBOXD_TIME_ZONE").unwrap_or_else(|_| "Asia/Shanghai".to_owned());
    let Ok(zone) = zone.parse() else {
        bail!(Stop::new(
            Exit::BadConfig,
            format!("OUTBOXD_TIME_ZONE={zone} is not a time zone")
        ));
    };
    Ok(Settings { database_url, zone })
}

/// `outboxd run`.
pub(super) async fn run(_typed: &Typed, _once: bool, _migrate: bool) -> Result<Exit> {
    bail!("run: not connected")
}

/// `outboxd migrate`.
pub(super) async fn migrate(_typed: &Typed) -> Result<Exit> {
    bail!("migrate: not connected")
}

/// `outboxd migrate status`: [`Exit::Failed`] while behind.
pub(super) async fn migrate_status(_typed: &Typed) -> Result<Exit> {
    bail!("migrate status: not connected")
}

/// `outboxd migrate sql`.
pub(super) fn migrate_sql() -> Result<String> {
    bail!("migrate sql: not connected")
}

/// `outboxd migrate roles`.
pub(super) fn migrate_roles() -> Result<String> {
    bail!("migrate roles: not connected")
}

/// `outboxd config show`: name, value with secrets hidden, and where it came from.
pub(super) fn config_show(_typed: &Typed, _lang: Lang) -> Result<Vec<[String; 3]>> {
    bail!("config show: not connected")
}

/// `outboxd config template`.
pub(super) fn config_template(_lang: Lang) -> Result<String> {
    bail!("config template: not connected")
}

/// One step of a rehearsal.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) went: Went,
    pub(super) took: Duration,
    pub(super) said: String,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    Well,
    Wrong,
}

/// `outboxd send-test`: one real call, step by step.
pub(super) async fn rehearse(_typed: &Typed, _claim: &Claim) -> Result<Vec<Step>> {
    Ok(vec![Step {
        name: "token".to_owned(),
        went: Went::Wrong,
        took: Duration::ZERO,
        said: "not connected".to_owned(),
    }])
}
