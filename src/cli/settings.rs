//! From what was typed before the verb to the settings a verb needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono_tz::Tz;

use super::Cli;
use super::out::Out;
use crate::config::{Config, Needs, Refused, Sources};
use crate::lang::Lang;
use crate::outbox::slices::Paths;
use crate::secret::Secret;

/// What was typed before the verb.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) config: Option<PathBuf>,
    pub(super) database_url: Option<String>,
    pub(super) lang: Option<Lang>,
}

impl Typed {
    pub(super) fn of(cli: &Cli) -> Typed {
        Typed {
            config: cli.config.clone(),
            database_url: cli.database_url.clone(),
            lang: cli.lang,
        }
    }

    pub(super) fn sources(&self) -> Sources {
        let mut flags = BTreeMap::new();
        if let Some(file) = &self.config {
            flags.insert("config".to_owned(), file.display().to_string());
        }
        if let Some(url) = &self.database_url {
            flags.insert("database-url".to_owned(), url.clone());
        }
        if let Some(lang) = self.lang {
            flags.insert("lang".to_owned(), lang.word().to_owned());
        }
        Sources::from_system(flags)
    }

    /// The checked settings; doubts go to standard error, mistakes end the program with exit code 4.
    pub(super) fn load(&self, needs: Needs, out: Out) -> Result<Config, Refused> {
        let loaded = Config::load(&self.sources(), needs);
        let (doubts, lang) = match &loaded {
            Ok(config) => (&config.warnings, config.lang),
            Err(refused) => (&refused.warnings, refused.lang),
        };
        for doubt in doubts {
            out.note(&format!("outboxd: {}", doubt.warning(lang)));
        }
        loaded
    }
}

/// What the verbs for people need of the configuration.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) database_url: Secret,
    pub(super) zone: Tz,
    pub(super) paths: Paths,
    /// Where in a payload telephone numbers stand.
    pub(super) phones: Vec<Vec<String>>,
}

impl From<Config> for Settings {
    fn from(config: Config) -> Settings {
        Settings {
            database_url: config.database.url,
            zone: config.time_zone,
            paths: config.desk.labels.paths(),
            phones: config.desk.labels.phone,
        }
    }
}
