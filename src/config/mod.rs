//! The settings: from what was typed, exported or written in a file to what is meant, checked once.
//!
//! ```text
//! Sources ──layers──▶ text + origin ──kind──▶ value ──relations──▶ Config   (or Refused: every mistake at once)
//! ```
//!
//! One table ([`settings`]) holds every name, default, limit and explanation; loading, `config show`, the
//! template and the documentation read it. Nothing here is global: a test hands in its own [`Sources`].
//! The rest of the program sees typed values only and never asks where they came from.

mod apps;
mod desk;
mod dotenv;
mod instance;
pub mod kind;
mod layers;
mod load;
mod postgres;
pub mod print;
mod relations;
pub mod report;
pub mod setting;
pub mod settings;
pub mod sources;
mod targets;
mod unknown;
pub mod words;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use crate::lang::Lang;
use crate::secret::Secret;

pub use desk::{BadgeConfig, DeskConfig, Labels};
pub use instance::Instance;
pub use layers::DEFAULT_FILE;
pub use print::Row;
pub use report::{Finding, Misplaced, Refused};
pub use sources::{FileText, Origin, Sources};
pub use targets::{
    FunctionConfig, HttpConfig, HttpUrl, Miniprogram, OpenidSource, SendConfig, TargetConfig,
    TargetKind,
};
pub use words::Words;

/// What is meant.
#[derive(Clone, Debug)]
pub struct Config {
    pub database: DatabaseConfig,
    /// One or more; empty when only the database was needed.
    pub apps: Vec<AppConfig>,
    /// Health and metrics; `None` is off.
    pub http_listen: Option<SocketAddr>,
    pub desk: DeskConfig,
    pub lease: Duration,
    pub drain_timeout: Duration,
    pub poll_idle: Duration,
    pub log: LogConfig,
    pub lang: Lang,
    pub time_zone: Tz,
    pub instance: Instance,
    /// Where answers are kept while the database takes none.
    pub journal_dir: Option<PathBuf>,
    /// Allowed, and yet likely a mistake; to be logged at start.
    pub warnings: Vec<Finding>,
    shown: Vec<print::Shown>,
}

#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// A URL as sqlx reads it.
    pub url: Secret,
    pub pooler: Pooler,
    /// How long `run` waits for a database that does not answer yet.
    pub wait_for: Duration,
    /// Accept a database that may lose committed rows.
    pub unsafe_durability: bool,
}

/// One app: rows of its name, and what they are sent to.
#[derive(Clone, Debug)]
pub struct AppConfig {
    pub name: String,
    pub target: TargetConfig,
    pub slots: u32,
    pub call_timeout: Duration,
    /// The waits between attempts; never empty.
    pub retry_schedule: Vec<Duration>,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `tracing` directives, known to be readable.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

/// What stands between us and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    None,
    /// A pooler that hands out connections per transaction.
    Transaction,
}

/// How much of the configuration a command uses; the rest is neither needed nor checked, so that support
/// can ask the database on a machine that holds no WeChat secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    Database,
    /// The database, and what the desk is told.
    Desk,
    Everything,
}

impl Config {
    /// Reads every source and returns what is meant, or every mistake there is.
    pub fn load(sources: &Sources, needs: Needs) -> Result<Self, Refused> {
        load::load(sources, needs)
    }

    /// Every setting in use, its value and where it came from. Secrets are masked.
    pub fn describe(&self, lang: Lang) -> Vec<Row> {
        print::rows(&self.shown, lang)
    }

    /// A commented configuration file with every setting.
    pub fn template(lang: Lang) -> String {
        print::template(lang)
    }
}

impl Refused {
    /// As [`Config::describe`]: a wrong value is easier to find beside the right ones.
    pub fn describe(&self, lang: Lang) -> Vec<Row> {
        print::rows(&self.shown, lang)
    }
}
