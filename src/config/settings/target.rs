//! The settings that say what an app's notifications are sent to, and which of an app's settings speak to which
//! target.

use super::super::kind::{
    Choice, EventTypes, FilePath, Hidden, HookUrl, HostPorts, Name, Span, Sql,
};
use super::super::setting::{Absent, Scope, Setting};
use super::super::words::Words;
use super::super::{Needs, TargetKind};
use super::{APPID, APPSECRET, BASE_URL, CLOUD_ENV, FUNCTION};
use crate::delivery::OnUnknown;

/// Whether this target has a use for the setting.
pub fn serves(env: &str, target: TargetKind) -> bool {
    let only = |targets: &[TargetKind]| targets.contains(&target);
    use TargetKind::{CloudFunction, Http, SubscribeSend};
    match env {
        _ if env == APPID.env || env == APPSECRET.env || env == BASE_URL.env => {
            only(&[CloudFunction, SubscribeSend])
        }
        _ if env == CLOUD_ENV.env || env == FUNCTION.env || env == SIGNING_SECRET.env => {
            only(&[CloudFunction])
        }
        _ if env == AWAIT_GRANT.env || env == ASK_GRANTS_EVERY.env => only(&[CloudFunction]),
        _ if env == TEMPLATES.env || env == OPENID_FROM.env || env == OPENID_QUERY.env => {
            only(&[SubscribeSend])
        }
        _ if env == TARGET_URL.env || env == WEBHOOK_SECRET.env || env == ALLOW.env => {
            only(&[Http])
        }
        _ if env == ON_UNKNOWN.env => only(&[SubscribeSend, Http]),
        _ => true,
    }
}

pub static TARGET: Setting<Choice<TargetKind>> = Setting {
    env: "OUTBOXD_TARGET",
    also: None,
    key: "target",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("cloud-function"),
    doc: Words::new(
        "What is called for each notification: WeChat's cloud function; `subscribe-send`, the message itself, without a function; `http`, any service of your own. See [targets](targets.md).",
        "每条通知调用什么：微信云函数；`subscribe-send` 不经云函数、直接发送订阅消息；`http` 为自己的任何服务。见[发送目标](targets.zh-CN.md)。",
    ),
    kind: Choice(&[
        ("cloud-function", TargetKind::CloudFunction),
        ("subscribe-send", TargetKind::SubscribeSend),
        ("http", TargetKind::Http),
    ]),
};

pub static SIGNING_SECRET: Setting<Hidden> = Setting {
    env: "OUTBOXD_SIGNING_SECRET",
    also: None,
    key: "signing_secret",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Means(Words::new("events are not signed", "不签名")),
    doc: Words::new(
        "Shared with the cloud function, which then refuses events that others made. The same text goes into the function's environment.",
        "与云函数共用的密钥，云函数据此拒绝他人伪造的事件。云函数的环境变量里要填同一个值。",
    ),
    kind: Hidden::SigningSecret,
};

pub static AWAIT_GRANT: Setting<EventTypes> = Setting {
    env: "OUTBOXD_AWAIT_GRANT",
    also: None,
    key: "await_grant",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Means(Words::new("no notification waits", "都不等待")),
    doc: Words::new(
        "The event types whose notifications wait when the user has not allowed messages (43101), and are sent when they do; `*` is every type. The others are settled as dead at once. See [targets](targets.md#await_grant).",
        "用户没有允许接收消息（43101）时，哪些事件类型的通知等待用户允许后再发送；`*` 表示所有类型。其他类型直接停止。见[发送目标](targets.zh-CN.md#await_grant)。",
    ),
    kind: EventTypes,
};

pub static ASK_GRANTS_EVERY: Setting<Span> = Setting {
    env: "OUTBOXD_ASK_GRANTS_EVERY",
    also: None,
    key: "ask_grants_every",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("1m"),
    doc: Words::new(
        "How often the cloud function is asked who has allowed messages, while notifications wait for it: one call per 50 people, by one daemon of all.",
        "有通知等待用户允许时，多久向云函数查询一次谁已允许：每 50 人一次调用，所有守护进程中只有一个去问。",
    ),
    kind: Span {
        min: "1s",
        max: "24h",
    },
};

pub static TEMPLATES: Setting<FilePath> = Setting {
    env: "OUTBOXD_TEMPLATES",
    also: None,
    key: "templates",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Refused(Words::new(
        "give the path of a templates.json, as the cloud function has one",
        "请填写 templates.json 的路径，格式与云函数的相同",
    )),
    doc: Words::new(
        "For `subscribe-send`: the file that maps events to templates, the cloud function's `templates.json`. Read at start.",
        "用于 `subscribe-send`：通知与模板的对应文件，即云函数的 `templates.json`。启动时读取。",
    ),
    kind: FilePath,
};

pub static OPENID_FROM: Setting<Name> = Setting {
    env: "OUTBOXD_OPENID_FROM",
    also: None,
    key: "openid_from",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Means(Words::new("not taken from the event", "不从通知中取")),
    doc: Words::new(
        "For `subscribe-send`: where in the event the openid stands, such as `payload.openid`.",
        "用于 `subscribe-send`：openid 在通知里的位置，例如 `payload.openid`。",
    ),
    kind: Name {
        marks: "._-",
        longest: 200,
    },
};

pub static OPENID_QUERY: Setting<Sql> = Setting {
    env: "OUTBOXD_OPENID_QUERY",
    also: None,
    key: "openid_query",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Means(Words::new("not asked of the CRM", "不查询 CRM")),
    doc: Words::new(
        "For `subscribe-send`: a `select` on the CRM's database that finds the openid of the recipient `$1`, which is text. It runs read-only, for 2 s at most, on a connection of its own.",
        "用于 `subscribe-send`：在 CRM 数据库里按接收人 `$1`（文本）查 openid 的 `select`。只读执行，最多 2 秒，使用单独的连接。",
    ),
    kind: Sql,
};

pub static TARGET_URL: Setting<HookUrl> = Setting {
    env: "OUTBOXD_TARGET_URL",
    also: None,
    key: "target_url",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Refused(Words::new(
        "give the address that is to be called, such as https://example.com/notify",
        "请填写要调用的地址，例如 https://example.com/notify",
    )),
    doc: Words::new(
        "For `http`: the address that is called. Internal addresses are refused, at start and at each connect, unless `OUTBOXD_ALLOW` names them.",
        "用于 `http`：要调用的地址。内部地址在启动和每次连接时都会被拒绝，除非写进 `OUTBOXD_ALLOW`。",
    ),
    kind: HookUrl,
};

pub static WEBHOOK_SECRET: Setting<Hidden> = Setting {
    env: "OUTBOXD_WEBHOOK_SECRET",
    also: None,
    key: "webhook_secret",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Refused(Words::new(
        "make one with: echo whsec_$(openssl rand -base64 32), and give the same text to the receiver",
        "请用此命令生成：echo whsec_$(openssl rand -base64 32)，并把同一文本交给接收方",
    )),
    doc: Words::new(
        "For `http`: what calls are signed with, by [Standard Webhooks](https://www.standardwebhooks.com/).",
        "用于 `http`：按 [Standard Webhooks](https://www.standardwebhooks.com/) 签名所用的密钥。",
    ),
    kind: Hidden::WebhookSecret,
};

pub static ALLOW: Setting<HostPorts> = Setting {
    env: "OUTBOXD_ALLOW",
    also: None,
    key: "allow",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Means(Words::new("no internal address", "不允许内部地址")),
    doc: Words::new(
        "For `http`: the hosts, each with its port, that may have an internal address; `http://` is for those on loopback.",
        "用于 `http`：允许使用内部地址的主机，每个都写端口；其中的本机回环地址可用 `http://`。",
    ),
    kind: HostPorts,
};

pub static ON_UNKNOWN: Setting<Choice<OnUnknown>> = Setting {
    env: "OUTBOXD_ON_UNKNOWN",
    also: None,
    key: "on_unknown",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("stop"),
    doc: Words::new(
        "For `subscribe-send` and `http`: what to do when nobody knows whether a call arrived. `stop` shows it as \"may have arrived\"; `resend` calls again and may tell a person twice; `inquire` asks a receiver of `http` that keeps receipts.",
        "用于 `subscribe-send` 和 `http`：不知道调用是否到达时怎么办。`stop` 停止并显示「可能已收到」；`resend` 再次调用，可能重复通知；`inquire` 询问保存了回执的 `http` 接收方。",
    ),
    kind: Choice(&[
        ("stop", OnUnknown::Stop),
        ("resend", OnUnknown::Resend),
        ("inquire", OnUnknown::Ask),
    ]),
};
