//! From layers of text to one [`Config`].
//!
//! [`Loader::get`] does one setting: find, read, remember for `config show`, note mistake or doubt. It
//! answers `None` only after noting a mistake, so that everything is looked at before anything is refused.

use super::apps::App;
use super::kind::{Read, Wrong};
use super::layers::{Found, Garbled, Layers};
use super::print::Shown;
use super::report::{Finding, Refused};
use super::setting::{Absent, DEFAULT_APP, Setting};
use super::settings;
use super::sources::{Origin, Sources};
use super::words::{Words, words};
use super::{Config, DatabaseConfig, Instance, LogConfig, Needs, Pooler};
use super::{instance, postgres, relations};
use crate::lang::Lang;

pub(super) fn load(sources: &Sources, needs: Needs) -> Result<Config, Refused> {
    let mut layers = Layers::of(sources);
    let warnings = std::mem::take(&mut layers.warnings);
    let found = std::mem::take(&mut layers.mistakes);
    let mut loader = Loader {
        layers,
        sources,
        needs,
        mistakes: Vec::new(),
        warnings,
        missing: Vec::new(),
        shown: Vec::new(),
    };
    for (at_least, finding) in found {
        match needs >= at_least {
            true => loader.mistakes.push(finding),
            false => loader.warnings.push(finding),
        }
    }
    let lang = loader.lang();
    let config = loader.config(lang);
    let Loader {
        mistakes,
        warnings,
        shown,
        ..
    } = loader;
    match config {
        Some(config) if mistakes.is_empty() => Ok(Config {
            warnings,
            shown,
            ..config
        }),
        _ => Err(Refused {
            lang,
            mistakes,
            warnings,
            shown,
        }),
    }
}

/// A value with what a message about it needs.
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) name: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

impl<T> Given<T> {
    pub(super) fn finding(&self, wrong: Wrong) -> Finding {
        Finding::new(&*self.name, Some(self.origin.clone()), wrong).showing(&*self.text)
    }
}

pub(super) struct Loader<'a> {
    pub(super) layers: Layers<'a>,
    pub(super) sources: &'a Sources,
    pub(super) needs: Needs,
    pub(super) mistakes: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// Settings that must be given and are not; whoever asked for them says it as one mistake or several.
    pub(super) missing: Vec<Finding>,
    shown: Vec<Shown>,
}

impl Loader<'_> {
    fn config(&mut self, lang: Lang) -> Option<Config> {
        let database = self.database();
        let apps = self.apps();
        let lease = self.get(&settings::LEASE, DEFAULT_APP);
        let drain = self.get(&settings::DRAIN_TIMEOUT, DEFAULT_APP);
        let poll_idle = self.get(&settings::POLL_IDLE, DEFAULT_APP);
        let instance = self.instance();
        let journal_dir = self.optional(&settings::JOURNAL_DIR, DEFAULT_APP);
        let http_listen = self.get(&settings::HTTP_LISTEN, DEFAULT_APP);
        let desk = self.desk();
        let filter = self.get(&settings::LOG, DEFAULT_APP);
        let format = self.get(&settings::LOG_FORMAT, DEFAULT_APP);
        self.get(&settings::LANG, DEFAULT_APP);
        let time_zone = self.get(&settings::TIME_ZONE, DEFAULT_APP);
        if let (Some(drain), Some(lease)) = (&drain, &lease) {
            self.mistakes
                .extend(relations::drain_within_lease(drain, lease));
        }
        if let Some(lease) = &lease {
            for call in apps.iter().filter_map(|app| app.call_timeout.as_ref()) {
                self.mistakes
                    .extend(relations::lease_covers_calls(lease, call));
            }
        }
        Some(Config {
            database: database?,
            apps: apps.into_iter().map(App::done).collect::<Option<_>>()?,
            http_listen: http_listen?.value,
            desk: desk?,
            lease: lease?.value,
            drain_timeout: drain?.value,
            poll_idle: poll_idle?.value,
            log: LogConfig {
                filter: filter?.value,
                format: format?.value,
            },
            lang,
            time_zone: time_zone?.value,
            instance: instance?,
            journal_dir: journal_dir?.map(|given| given.value),
            warnings: Vec::new(),
            shown: Vec::new(),
        })
    }
}

/// Noted among the mistakes already.
struct Noted;

impl Loader<'_> {
    /// The language of this very report. [`Loader::get`] notes its mistakes later, in its place.
    fn lang(&self) -> Lang {
        let setting = &settings::LANG;
        let chosen = match self.layers.find(setting, DEFAULT_APP) {
            Ok(Some(found)) => setting.kind.read(&found.text).ok().flatten(),
            Ok(None) | Err(_) => None,
        };
        chosen.unwrap_or_else(|| {
            let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
                .iter()
                .find_map(|name| self.sources.variable(name));
            Lang::of_locale(locale.unwrap_or_default())
        })
    }

    fn database(&mut self) -> Option<DatabaseConfig> {
        let url = match self.seek(&settings::DATABASE_URL, DEFAULT_APP) {
            Ok(Some(url)) => Some(url),
            Ok(None) => match postgres::url(&self.layers) {
                Some(found) => self.accept(&settings::DATABASE_URL, DEFAULT_APP, found),
                None => self.absent(&settings::DATABASE_URL, DEFAULT_APP),
            },
            Err(Noted) => None,
        };
        self.mistakes.append(&mut self.missing);
        let pooler = self.get(&settings::POOLER, DEFAULT_APP);
        let wait_for = self.get(&settings::WAIT_FOR, DEFAULT_APP);
        let unsafe_durability = self.get(&settings::UNSAFE_DURABILITY, DEFAULT_APP);
        if let (Some(url), Some(pooler)) = (&url, &pooler) {
            let pooled = pooler.value == Pooler::Transaction;
            let doubt = relations::pooler_is_told(url.value.expose(), pooled);
            self.warnings.extend(doubt.map(|wrong| url.finding(wrong)));
        }
        Some(DatabaseConfig {
            url: url?.value,
            pooler: pooler?.value,
            wait_for: wait_for?.value,
            unsafe_durability: unsafe_durability?.value,
        })
    }

    fn instance(&mut self) -> Option<Instance> {
        let given = match self.needs {
            Needs::Everything => self.seek(&settings::INSTANCE, DEFAULT_APP).ok()?,
            Needs::Database | Needs::Desk => None,
        };
        let name = given.map(|given| given.value).unwrap_or_else(|| {
            let name = instance::default_name(self.sources);
            self.show(
                &settings::INSTANCE,
                DEFAULT_APP,
                Words::same(&*name),
                Origin::Default,
            );
            name
        });
        Some(Instance::named(name))
    }

    /// A setting that has a default or must be given.
    pub(super) fn get<K: Read + 'static>(
        &mut self,
        setting: &'static Setting<K>,
        app: &str,
    ) -> Option<Given<K::Value>> {
        if setting.needs > self.needs {
            return self.absent(setting, app);
        }
        match self.seek(setting, app) {
            Ok(Some(given)) => Some(given),
            Ok(None) => self.absent(setting, app),
            Err(Noted) => None,
        }
    }

    /// A setting the program can do without; the outer `None` after noting a mistake.
    pub(super) fn optional<K: Read + 'static>(
        &mut self,
        setting: &'static Setting<K>,
        app: &str,
    ) -> Option<Option<Given<K::Value>>> {
        let given = self.seek(setting, app).ok()?;
        if let (None, Absent::Means(words)) = (&given, &setting.absent) {
            self.show(setting, app, words.clone(), Origin::Default);
        }
        Some(given)
    }

    /// A setting, if any source gives it.
    fn seek<K: Read + 'static>(
        &mut self,
        setting: &'static Setting<K>,
        app: &str,
    ) -> Result<Option<Given<K::Value>>, Noted> {
        match self.layers.find(setting, app) {
            Ok(None) => Ok(None),
            Ok(Some(found)) => self.accept(setting, app, found).map(Some).ok_or(Noted),
            Err(garbled) => {
                let Garbled { origin, wrong } = *garbled;
                let finding = Finding::new(setting.name(app), Some(origin), wrong);
                self.mistakes.push(finding);
                Err(Noted)
            }
        }
    }

    /// Reads a text that was given; `None` after noting a mistake.
    fn accept<K: Read + 'static>(
        &mut self,
        setting: &'static Setting<K>,
        app: &str,
        found: Found,
    ) -> Option<Given<K::Value>> {
        let name = setting.name(app);
        let text = setting.kind.show(&found.text);
        let origin = found.origin;
        self.show(setting, app, Words::same(&*text), origin.clone());
        let about = |wrong| Finding::new(&*name, Some(origin.clone()), wrong).showing(&*text);
        let value = match setting.kind.read(&found.text) {
            Ok(value) => value,
            Err(wrong) => {
                self.mistakes.push(about(wrong));
                return None;
            }
        };
        let doubt = setting.kind.doubt(&found.text);
        self.warnings.extend(doubt.map(about));
        if setting.kind.secret()
            && let Some(file) = found.open_file
        {
            let finding = Finding::new(&*name, Some(origin.clone()), open_to_all(&file));
            // Once for a file, however many secrets stand in it.
            if !self.warnings.iter().any(|w| w.reason == finding.reason) {
                self.warnings.push(finding);
            }
        }
        Some(Given {
            value,
            name,
            text,
            origin,
        })
    }

    /// Nobody gave the setting: its default, or a mistake.
    fn absent<K: Read + 'static>(
        &mut self,
        setting: &'static Setting<K>,
        app: &str,
    ) -> Option<Given<K::Value>> {
        match &setting.absent {
            Absent::Default(text) => {
                if setting.needs <= self.needs {
                    self.show(setting, app, Words::new(text, text), Origin::Default);
                }
                let value = setting.kind.read(text).ok();
                debug_assert!(
                    value.is_some(),
                    "the default of {} is readable",
                    setting.env
                );
                Some(Given {
                    value: value?,
                    name: setting.name(app),
                    text: (*text).to_owned(),
                    origin: Origin::Default,
                })
            }
            Absent::Refused(where_to_find) => {
                let wrong = Wrong {
                    reason: Words::new("is missing", "没有设置"),
                    way_out: where_to_find.clone(),
                };
                let finding = Finding::new(setting.name(app), None, wrong);
                self.missing.push(finding);
                None
            }
            Absent::Means(_) => None,
        }
    }

    fn show(&mut self, setting: &'static Setting, app: &str, value: Words, origin: Origin) {
        if setting.needs <= self.needs {
            self.shown.push(Shown {
                setting,
                app: app.to_owned(),
                value,
                origin,
            });
        }
    }
}

fn open_to_all(file: &str) -> Wrong {
    Wrong {
        reason: words!(
            "is in {file}, which every user of this machine may read",
            "所在的 {file} 本机所有用户都能读"
        ),
        way_out: words!("run: chmod 600 {file}", "请执行：chmod 600 {file}"),
    }
}
