//! What one app's notifications are sent to, and what must hold between the settings of a target.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::kind::{HookUrl, Wrong};
use super::load::Loader;
use super::report::Finding;
use super::setting::Scope;
use super::settings::{self, ALL, serves};
use super::sources::Origin;
use super::words::{Words, words};
use crate::delivery::OnUnknown;
use crate::policy::AwaitGrant;
use crate::secret::Secret;
use crate::wechat::Templates;

/// The word in the setting `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    CloudFunction,
    SubscribeSend,
    Http,
}

/// A target and what it needs.
#[derive(Clone, Debug)]
pub enum TargetConfig {
    CloudFunction(FunctionConfig),
    SubscribeSend(SendConfig),
    Http(HttpConfig),
}

/// One mini program.
#[derive(Clone, Debug)]
pub struct Miniprogram {
    pub appid: String,
    pub appsecret: Secret,
    /// Without a slash at its end.
    pub base_url: String,
}

/// The cloud function of a mini program.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    pub miniprogram: Miniprogram,
    pub cloud_env: String,
    pub function: String,
    /// Signs events when given.
    pub signing_secret: Option<Secret>,
    pub await_grant: AwaitGrant,
    /// How often the function is asked, while something waits.
    pub ask_grants_every: Duration,
}

/// The message itself, sent from here.
#[derive(Clone, Debug)]
pub struct SendConfig {
    pub miniprogram: Miniprogram,
    pub templates: Arc<Templates>,
    pub openid: OpenidSource,
    pub on_unknown: OnUnknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenidSource {
    /// A path into the event.
    Event(String),
    /// A query on the CRM's database.
    Query(String),
}

/// A receiver of one's own.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub url: HttpUrl,
    pub secret: Secret,
    /// Its host and port may have an internal address.
    pub may_be_internal: bool,
    pub on_unknown: OnUnknown,
}

/// A URL whose query may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

impl std::fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HookUrl::place(&self.0))
    }
}

impl Loader<'_> {
    pub(super) fn target(&mut self, kind: TargetKind, app: &str) -> Option<TargetConfig> {
        let target = match kind {
            TargetKind::CloudFunction => self.function(app).map(TargetConfig::CloudFunction),
            TargetKind::SubscribeSend => self.subscribe_send(app).map(TargetConfig::SubscribeSend),
            TargetKind::Http => self.http(app).map(TargetConfig::Http),
        };
        self.doubt_useless(kind, app);
        target
    }

    fn function(&mut self, app: &str) -> Option<FunctionConfig> {
        let appid = self.get(&settings::APPID, app);
        let appsecret = self.get(&settings::APPSECRET, app);
        let cloud_env = self.get(&settings::CLOUD_ENV, app);
        let function = self.get(&settings::FUNCTION, app);
        let base_url = self.get(&settings::BASE_URL, app);
        let signing_secret = self.optional(&settings::SIGNING_SECRET, app);
        let await_grant = self.optional(&settings::AWAIT_GRANT, app);
        let ask_grants_every = self.get(&settings::ASK_GRANTS_EVERY, app);
        Some(FunctionConfig {
            miniprogram: Miniprogram {
                appid: appid?.value,
                appsecret: appsecret?.value,
                base_url: base_url?.value,
            },
            cloud_env: cloud_env?.value,
            function: function?.value,
            signing_secret: signing_secret?.map(|given| given.value),
            await_grant: await_grant?.map_or(AwaitGrant::Never, |given| given.value),
            ask_grants_every: ask_grants_every?.value,
        })
    }

    fn subscribe_send(&mut self, app: &str) -> Option<SendConfig> {
        let appid = self.get(&settings::APPID, app);
        let appsecret = self.get(&settings::APPSECRET, app);
        let base_url = self.get(&settings::BASE_URL, app);
        let templates = self.templates(app);
        let openid = self.openid(app);
        let on_unknown = self.get(&settings::ON_UNKNOWN, app);
        if let Some(given) = on_unknown
            .as_ref()
            .filter(|given| given.value == OnUnknown::Ask)
        {
            self.mistakes.push(given.finding(Wrong {
                reason: Words::new(
                    "is not for target = subscribe-send: WeChat cannot be asked whether it has sent",
                    "不能用于 target = subscribe-send：无法向微信询问是否已发送",
                ),
                way_out: Words::new("set it to stop or resend", "请设为 stop 或 resend"),
            }));
        }
        Some(SendConfig {
            miniprogram: Miniprogram {
                appid: appid?.value,
                appsecret: appsecret?.value,
                base_url: base_url?.value,
            },
            templates: templates?,
            openid: openid?,
            on_unknown: on_unknown?.value,
        })
    }

    fn templates(&mut self, app: &str) -> Option<Arc<Templates>> {
        let path = self.get(&settings::TEMPLATES, app)?;
        let wrong = match (self.sources.read_file)(Path::new(&path.value)) {
            Ok(file) => match Templates::read(&file.text) {
                Ok(templates) => return Some(Arc::new(templates)),
                Err(said) => Wrong {
                    reason: words!(
                        "is no mapping of templates: {said}",
                        "不是可用的模板对应文件：{said}"
                    ),
                    way_out: Words::new(
                        "its form is told in cloudfunctions/quickstartFunctions/README.md",
                        "格式见 cloudfunctions/quickstartFunctions/README.zh-CN.md",
                    ),
                },
            },
            Err(error) => Wrong {
                reason: words!("cannot be read: {error}", "无法读取：{error}"),
                way_out: Words::new(
                    "check the path, and let the user outboxd runs as read it",
                    "请检查路径，并让运行 outboxd 的用户有权读取",
                ),
            },
        };
        self.mistakes.push(path.finding(wrong));
        None
    }

    /// Exactly one place to take the openid from.
    fn openid(&mut self, app: &str) -> Option<OpenidSource> {
        let from = self.optional(&settings::OPENID_FROM, app)?;
        let query = self.optional(&settings::OPENID_QUERY, app)?;
        let (name, other) = (
            settings::OPENID_FROM.name(app),
            settings::OPENID_QUERY.name(app),
        );
        match (from, query) {
            (Some(from), None) => Some(OpenidSource::Event(from.value)),
            (None, Some(query)) => Some(OpenidSource::Query(query.value)),
            (Some(from), Some(_)) => {
                self.mistakes.push(from.finding(Wrong {
                    reason: words!("is given together with {other}", "与 {other} 同时出现"),
                    way_out: Words::new("keep one of them", "请只保留一个"),
                }));
                None
            }
            (None, None) => {
                let wrong = Wrong {
                    reason: words!(
                        "and {other} are both missing: nobody says whom to send to",
                        "和 {other} 都没有设置：不知道发给谁"
                    ),
                    way_out: Words::new(
                        "give one: payload.openid, or select openid from staff where id = $1::bigint",
                        "请设置一个：payload.openid，或 select openid from staff where id = $1::bigint",
                    ),
                };
                self.mistakes.push(Finding::new(name, None, wrong));
                None
            }
        }
    }

    fn http(&mut self, app: &str) -> Option<HttpConfig> {
        let url = self.get(&settings::TARGET_URL, app);
        let secret = self.get(&settings::WEBHOOK_SECRET, app);
        let allow = self.optional(&settings::ALLOW, app);
        let on_unknown = self.get(&settings::ON_UNKNOWN, app);
        let (url, allow) = (url?, allow?.map_or_else(Vec::new, |given| given.value));
        let place = HookUrl::place(&url.value);
        let may_be_internal = allow.contains(&place);
        if !may_be_internal && HookUrl::is_internal(&url.value) {
            let list = settings::ALLOW.name(app);
            self.mistakes.push(url.finding(Wrong {
                reason: Words::new("is an internal address", "是内部地址"),
                way_out: words!(
                    "if it is meant, set {list} to {place}",
                    "如果确实如此，请把 {list} 设为 {place}"
                ),
            }));
        }
        Some(HttpConfig {
            url: HttpUrl(url.value),
            secret: secret?.value,
            may_be_internal,
            on_unknown: on_unknown?.value,
        })
    }

    /// What another target would have a use for. The CRM may have variables of WeChat's too.
    fn doubt_useless(&mut self, kind: TargetKind, app: &str) {
        let word = match kind {
            TargetKind::CloudFunction => "cloud-function",
            TargetKind::SubscribeSend => "subscribe-send",
            TargetKind::Http => "http",
        };
        let useless = ALL
            .iter()
            .filter(|setting| setting.scope == Scope::App && !serves(setting.env, kind));
        for setting in useless {
            let Ok(Some(found)) = self.layers.find(setting, app) else {
                continue;
            };
            if setting.env == settings::AWAIT_GRANT.env {
                // Nothing would ever end the wait, and whoever set it relies on it.
                let wrong = Wrong {
                    reason: words!(
                        "is not for target = {word}: no ledger there can be asked whether the user has allowed messages",
                        "不能用于 target = {word}：那里没有记录可供查询用户是否已允许"
                    ),
                    way_out: Words::new(
                        "remove it; a refused notification is settled, and sent again with `outboxd retry`",
                        "请删除；被拒绝的通知会直接结束，之后可用 `outboxd retry` 重新发送",
                    ),
                };
                let finding = Finding::new(setting.name(app), Some(found.origin), wrong);
                self.mistakes.push(finding);
                continue;
            }
            let of_the_crm = setting.env.starts_with("MINIPROGRAM_")
                && !matches!(found.origin, Origin::File { .. });
            if !of_the_crm {
                let wrong = Wrong {
                    reason: words!(
                        "has no effect with target = {word}",
                        "在 target = {word} 时不起作用"
                    ),
                    way_out: Words::new("remove it, or change the target", "请删除，或更换 target"),
                };
                let finding = Finding::new(setting.name(app), Some(found.origin), wrong);
                self.warnings.push(finding);
            }
        }
    }
}
