//! The apps: `[apps.NAME]` in the file, and the app `default`, for which variables speak.

use std::time::Duration;

use super::kind::Wrong;
use super::load::{Given, Loader};
use super::relations;
use super::report::Finding;
use super::setting::{Absent, DEFAULT_APP, Scope, Setting};
use super::settings::{self, ALL, serves};
use super::sources::Origin;
use super::words::{Words, words};
use super::{AppConfig, Needs, TargetConfig, TargetKind};

/// One app as far as it could be read.
pub(super) struct App {
    name: String,
    target: Option<TargetConfig>,
    slots: Option<Given<u32>>,
    pub(super) call_timeout: Option<Given<Duration>>,
    retry_schedule: Option<Given<Vec<Duration>>>,
}

impl App {
    /// The app, if nothing about it was a mistake.
    pub(super) fn done(self) -> Option<AppConfig> {
        Some(AppConfig {
            name: self.name,
            target: self.target?,
            slots: self.slots?.value,
            call_timeout: self.call_timeout?.value,
            retry_schedule: self.retry_schedule?.value,
        })
    }
}

impl Loader<'_> {
    /// Every app there is; none when only the database is needed.
    pub(super) fn apps(&mut self) -> Vec<App> {
        if self.needs < Needs::Everything {
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
        let kind = self.get(&settings::TARGET, &name).map(|given| given.value);
        let app = App {
            target: kind.and_then(|kind| self.target(kind, &name)),
            slots: self.get(&settings::SLOTS, &name),
            call_timeout: self.get(&settings::CALL_TIMEOUT, &name),
            retry_schedule: self.get(&settings::RETRY_SCHEDULE, &name),
            name,
        };
        match app.call_timeout.as_ref() {
            Some(call)
                if call.origin != Origin::Default && kind == Some(TargetKind::CloudFunction) =>
            {
                self.warnings.extend(relations::call_outlasts_callee(call));
            }
            Some(_) | None => {}
        }
        let missing = std::mem::take(&mut self.missing);
        let is_nobody = kind == Some(TargetKind::CloudFunction)
            && missing.len() == needed(TargetKind::CloudFunction).count();
        if is_nobody && app.name == DEFAULT_APP {
            self.mistakes.push(no_app());
        } else {
            self.mistakes.extend(missing);
        }
        app
    }

    /// Whether a flag, variable or credential says who the app `default` is.
    fn default_is_given(&self) -> bool {
        let is_given =
            |setting: &Setting| !matches!(self.layers.find(setting, DEFAULT_APP), Ok(None));
        let needed = |setting: &&Setting| matches!(setting.absent, Absent::Refused(_));
        let of_apps = ALL.iter().filter(|setting| setting.scope == Scope::App);
        is_given(&settings::TARGET) || of_apps.copied().filter(needed).any(is_given)
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
fn needed(target: TargetKind) -> impl Iterator<Item = &'static Setting> {
    ALL.iter().copied().filter(move |setting| {
        setting.scope == Scope::App
            && serves(setting.env, target)
            && matches!(setting.absent, Absent::Refused(_))
    })
}

fn no_app() -> Finding {
    let names: Vec<&str> = needed(TargetKind::CloudFunction)
        .map(|setting| setting.env)
        .collect();
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
