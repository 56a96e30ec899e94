//! The catalogue as a Markdown table, for the pages in `docs/` that support and operators read.

use std::fmt::Write as _;

use super::{ENTRIES, Entry, Kind, Origin, Who};
use crate::lang::Lang;

/// The whole table: codes, key, sentence, who acts, next step.
pub fn to_markdown(lang: Lang) -> String {
    let mut text = String::from(match lang {
        Lang::Zh => "| 代码 | 标识 | 含义 | 结果 | 谁处理 | 下一步 |\n",
        Lang::En => "| Codes | Key | Meaning | Result | Who acts | Next step |\n",
    });
    text.push_str("|---|---|---|---|---|---|\n");
    for entry in ENTRIES {
        let (meaning, next) = entry.text(lang);
        writeln!(
            text,
            "| {} | `{}` | {} | {} | {} | {} |",
            codes(entry, lang),
            entry.key,
            meaning,
            entry.kind.word(lang),
            entry.who.word(lang),
            next,
        )
        .expect("writing to a String cannot fail");
    }
    text
}

fn codes(entry: &Entry, lang: Lang) -> String {
    if entry.codes.is_empty() {
        return String::from("–");
    }
    let places: Vec<String> = entry
        .codes
        .iter()
        .map(|(origin, codes)| {
            let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
            format!("{} {}", origin.word(lang), codes.join(" "))
        })
        .collect();
    places.join("; ")
}

impl Entry {
    /// The sentence and the next step.
    pub fn text(&self, lang: Lang) -> (&'static str, &'static str) {
        match lang {
            Lang::Zh => (self.zh, self.next_zh),
            Lang::En => (self.en, self.next_en),
        }
    }
}

impl Who {
    /// The name of the role, as support reads it.
    pub fn word(self, lang: Lang) -> &'static str {
        let (zh, en) = match self {
            Who::Nobody => ("无需处理", "nobody"),
            Who::Recipient => ("接收人", "the recipient"),
            Who::Support => ("客服", "support"),
            Who::CrmAdmin => ("CRM 管理员", "CRM admin"),
            Who::Developer => ("开发人员", "developer"),
            Who::Operator => ("运维", "operator"),
        };
        pick(lang, zh, en)
    }
}

impl Kind {
    /// What becomes of the notification, in few words.
    pub fn word(self, lang: Lang) -> &'static str {
        let (zh, en) = match self {
            Kind::Delivered => ("已接收", "accepted"),
            Kind::Transient => ("稍后重试", "retried"),
            Kind::Throttled => ("稍后继续，不计次数", "retried shortly, costs no try"),
            Kind::Unreachable => ("未发出，不计次数", "not sent, costs no try"),
            Kind::Permanent => ("不再重试", "final"),
            Kind::Outage(_) => ("暂停整个小程序，不计次数", "the app pauses, costs no try"),
            Kind::Unknown => ("结果不明", "unknown"),
            Kind::TokenRefused => ("换凭证再试", "new token, tried again"),
        };
        pick(lang, zh, en)
    }
}

impl Origin {
    /// Where the code is read.
    pub fn word(self, lang: Lang) -> &'static str {
        let (zh, en) = match self {
            Origin::Token => ("凭证", "token"),
            Origin::Outer => ("网关", "outer"),
            Origin::BeforeSend => ("发送前", "before send"),
            Origin::Send => ("发送", "send"),
            Origin::Runtime => ("运行时", "runtime"),
            Origin::Http => ("HTTP", "HTTP"),
            Origin::Direct => ("直连", "direct"),
            Origin::Receiver => ("接收方 HTTP", "receiver HTTP"),
            Origin::Local => ("本地", "local"),
        };
        pick(lang, zh, en)
    }
}

fn pick(lang: Lang, zh: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}
