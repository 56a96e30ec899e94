//! Loading as a whole, from sources made of a few maps.

mod documents;
mod mistakes;
mod origins;
mod targets;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::{Config, FileText, FunctionConfig, Needs, Refused, Row, Sources, TargetConfig};
use crate::lang::Lang;

const APPID: &str = "wx0123456789abcdef";
const APPSECRET: &str = "0123456789abcdef0123456789abcdef";
const URL: &str = "postgres://crm:hunter2@db:5432/crm";

/// A machine: flags, variables, and files.
#[derive(Clone, Default)]
struct Machine {
    flags: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    files: BTreeMap<String, FileText>,
}

impl Machine {
    /// One on which everything that must be given is given by variables.
    fn configured() -> Self {
        Self::default()
            .env("DATABASE_URL", URL)
            .env("MINIPROGRAM_APPID", APPID)
            .env("MINIPROGRAM_APPSECRET", APPSECRET)
            .env("MINIPROGRAM_CLOUD_ENV", "cloud1-abc")
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.insert(name.into(), value.into());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    fn file(self, path: &str, text: &str) -> Self {
        self.put(path, text, false)
    }

    fn open_file(self, path: &str, text: &str) -> Self {
        self.put(path, text, true)
    }

    fn put(mut self, path: &str, text: &str, open_to_all: bool) -> Self {
        let text = text.to_owned();
        self.files
            .insert(path.into(), FileText { text, open_to_all });
        self
    }

    fn load(self, needs: Needs) -> Result<Config, Refused> {
        let Self { flags, env, files } = self;
        let read_file = move |path: &std::path::Path| {
            let path = path.to_str().unwrap();
            match files.get(path) {
                Some(file) if file.text == "<denied>" => {
                    Err(io::Error::from(io::ErrorKind::PermissionDenied))
                }
                Some(file) => Ok(file.clone()),
                None => Err(io::Error::from(io::ErrorKind::NotFound)),
            }
        };
        let sources = Sources {
            flags,
            env,
            read_file: Box::new(read_file),
        };
        Config::load(&sources, needs)
    }

    fn config(self) -> Config {
        self.load(Needs::Everything).unwrap()
    }

    fn refused(self) -> Refused {
        self.load(Needs::Everything).unwrap_err()
    }
}

fn function(config: &Config, app: usize) -> &FunctionConfig {
    match &config.apps[app].target {
        TargetConfig::CloudFunction(function) => function,
        other => panic!("{other:?}"),
    }
}

fn row(config: &Config, setting: &str) -> (String, String) {
    let rows = config.describe(Lang::En);
    let Row { value, origin, .. } = rows
        .into_iter()
        .find(|row| row.setting == setting)
        .unwrap_or_else(|| panic!("no row for {setting}"));
    (value, origin)
}

#[test]
fn defaults_are_what_the_table_says() {
    let config = Machine::configured().config();
    assert_eq!(config.lease, Duration::from_secs(60));
    assert_eq!(config.drain_timeout, Duration::from_secs(20));
    assert_eq!(config.poll_idle, Duration::from_millis(250));
    assert_eq!(config.http_listen.unwrap().to_string(), "127.0.0.1:9090");
    assert_eq!(config.time_zone, chrono_tz::Asia::Shanghai);
    assert_eq!(config.lang, Lang::En);
    assert_eq!(config.warnings, []);
    let [app] = &config.apps[..] else {
        panic!("{:?}", config.apps);
    };
    assert_eq!(app.name, "default");
    let target = function(&config, 0);
    assert_eq!(target.miniprogram.appid, APPID);
    assert_eq!(target.miniprogram.appsecret.expose(), APPSECRET);
    assert_eq!(target.function, "quickstartFunctions");
    assert_eq!(target.miniprogram.base_url, "https://api.weixin.qq.com");
    assert_eq!(target.signing_secret, None);
    assert_eq!(app.slots, 10);
    assert_eq!(app.call_timeout, Duration::from_secs(10));
    assert_eq!(app.retry_schedule.len(), 10);
    assert_eq!(app.retry_schedule[9], Duration::from_secs(8 * 3600));
}

#[test]
fn debug_output_and_description_hold_no_secret() {
    let machine = Machine::configured().env("OUTBOXD_SIGNING_SECRET", "signing-secret-0123456789");
    let config = machine.config();
    let printed = format!("{config:?} {:?}", config.describe(Lang::Zh));
    for secret in ["hunter2", APPSECRET, "signing-secret"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn support_needs_the_database_only() {
    let config = Machine::default()
        .env("DATABASE_URL", URL)
        .env("OUTBOXD_LEASE", "nonsense")
        .env("MINIPROGRAM_APPSECRET_FILE", "/root/secret")
        .file("/etc/outboxd/config.toml", "<denied>")
        .load(Needs::Database)
        .unwrap();
    assert!(config.apps.is_empty());
    assert_eq!(config.database.url.expose(), URL);
    let settings: Vec<String> = config
        .describe(Lang::En)
        .into_iter()
        .map(|row| row.setting)
        .collect();
    assert!(
        !settings.contains(&"OUTBOXD_LEASE".to_owned()),
        "{settings:?}"
    );
}

#[test]
fn two_daemons_of_one_name_differ() {
    let one = Machine::configured().env("OUTBOXD_INSTANCE", "a").config();
    let two = Machine::configured().env("OUTBOXD_INSTANCE", "a").config();
    assert_eq!(one.instance.name, two.instance.name);
    assert_ne!(one.instance.to_string(), two.instance.to_string());
    assert!(one.instance.to_string().starts_with("a#"));
}

#[test]
fn the_instance_is_called_after_host_and_process() {
    let machine = Machine::configured().file("/proc/sys/kernel/hostname", "crm-1\n");
    let name = machine.config().instance.name;
    assert_eq!(name, format!("crm-1:{}", std::process::id()));
}
