//! The mini programs: `[apps.NAME]` in the file, and the app `default`, for which variables speak.

use std::time::Duration;

use super::kind::Wrong;
use super::load::{Given, Loader};
use super::relations;
use super::report::Finding;
use super::setting::{Absent, DEFAULT_APP, Scope, Setting};
use super::settings::{self, ALL};
use super::sources::Origin;
use super::words::{Words, words};
use super::{AppConfig, Needs, Secret};

/// One app as far as it could be read.
pub(super) struct App {
    name: String,
    appid: Option<Given<String>>,
    appsecret: Option<Given<Secret>>,
    cloud_env: Option<Given<String>>,
    function: Option<Given<String>>,
    base_url: Option<Given<String>>,
    signing_secret: Option<Option<Given<Secret>>>,
    slots: Option<Given<u32>>,
    pub(super) call_timeout: Option<Given<Duration>>,
    retry_schedule: Option<Given<Vec<Duration>>>,
}

impl App {
    /// The app, if nothing about it was a mistake.
    pub(super) fn done(self) -> Option<AppConfig> {
        Some(AppConfig {
            name: self.name,
            appid: self.appid?.value,
            appsecret: self.appsecret?.value,
            cloud_env: self.cloud_env?.value,
            function: self.function?.value,
            base_url: self.base_url?.value,
            signing_secret: self.signing_secret?.map(|given| given.value),
            slots: self.slots?.value,
            call_timeout: self.call_timeout?.value,
            retry_schedule: self.retry_schedule?.value,
        })
    }
}

impl Loader<'_> {
    /// Every app there is; none when only the database is needed.
    pub(super) fn apps(&mut self) -> Vec<App> {
        if self.needs == Needs::Database {
            return Vec::new();
        }
        let mut names: Vec<String> = self.layers.apps().map(str::to_owned).collect();
        if !names.iter().any(|name| name == DEFAULT_APP) {
            if names.is_empty() || self.default_is_given() {
                names.insert(0, DEFAULT_APP.to_owned());
            } else {
                self.doubt_idle_variables();
            }
        }
        names
            .into_iter()
            .filter(|name| self.well_named(name))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|name| self.app(name))
            .collect()
    }

    fn app(&mut self, name: String) -> App {
        let app = App {
            appid: self.get(&settings::APPID, &name),
            appsecret: self.get(&settings::APPSECRET, &name),
            cloud_env: self.get(&settings::CLOUD_ENV, &name),
            function: self.get(&settings::FUNCTION, &name),
            base_url: self.get(&settings::BASE_URL, &name),
            signing_secret: self.optional(&settings::SIGNING_SECRET, &name),
            slots: self.get(&settings::SLOTS, &name),
            call_timeout: self.get(&settings::CALL_TIMEOUT, &name),
            retry_schedule: self.get(&settings::RETRY_SCHEDULE, &name),
            name,
        };
        match app.call_timeout.as_ref() {
            Some(call) if call.origin != Origin::Default => {
                self.warnings.extend(relations::call_outlasts_callee(call));
            }
            Some(_) | None => {}
        }
        let missing = std::mem::take(&mut self.missing);
        if missing.len() == needed().count() && app.name == DEFAULT_APP {
            self.mistakes.push(no_app());
        } else {
            self.mistakes.extend(missing);
        }
        app
    }

    /// Whether a flag, variable or credential says who the app `default` is.
    fn default_is_given(&self) -> bool {
        needed().any(|setting| !matches!(self.layers.find(setting, DEFAULT_APP), Ok(None)))
    }

    /// Variables that speak for an app which nobody configured.
    fn doubt_idle_variables(&mut self) {
        for setting in ALL.iter().filter(|setting| setting.scope == Scope::App) {
            if let Ok(Some(found)) = self.layers.find(setting, DEFAULT_APP) {
                let wrong = Wrong {
                    reason: Words::new(
                        "has no effect: it speaks for the app `default`, which is not configured",
                        "不起作用：它只用于应用 `default`，而该应用没有配置",
                    ),
                    way_out: words!(
                        "write {key} under [apps.NAME] in the file",
                        "请在配置文件的 [apps.名称] 下写 {key}",
                        key = Words::same(setting.key)
                    ),
                };
                let finding = Finding::new(setting.env, Some(found.origin), wrong);
                self.warnings.push(finding);
            }
        }
    }

    fn well_named(&mut self, name: &str) -> bool {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let well = !name.is_empty() && name.len() <= 64 && name.chars().all(fits);
        if !well {
            let key = format!("apps.{name}");
            let wrong = Wrong {
                reason: Words::new("is not a name for an app", "不能用作应用名"),
                way_out: Words::new(
                    "use letters, digits, - and _, at most 64",
                    "请用字母、数字、- 和 _，最多 64 个字符",
                ),
            };
            let origin = self.layers.file_origin(&key);
            self.mistakes.push(Finding::new(key, Some(origin), wrong));
        }
        well
    }
}

/// What says who an app is.
fn needed() -> impl Iterator<Item = &'static Setting> {
    ALL.iter().copied().filter(|setting| {
        setting.scope == Scope::App && matches!(setting.absent, Absent::Refused(_))
    })
}

fn no_app() -> Finding {
    let names: Vec<&str> = needed().map(|setting| setting.env).collect();
    Finding::new(
        names.join(", "),
        None,
        Wrong {
            reason: Words::new(
                "are missing: no mini program is configured",
                "没有设置：还没有配置任何小程序",
            ),
            way_out: Words::new(
                "AppID and AppSecret: mp.weixin.qq.com, 开发管理 → 开发设置; environment id (like cloud1-…): WeChat DevTools, 云开发 → 设置",
                "AppID 和 AppSecret：mp.weixin.qq.com「开发管理 → 开发设置」；环境 ID（形如 cloud1-…）：微信开发者工具「云开发 → 设置」",
            ),
        },
    )
}
