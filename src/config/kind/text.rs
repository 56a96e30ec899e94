//! Names, folders and secrets.

use std::path::PathBuf;

use super::{Kind, Read, Wrong, wrong};
use crate::config::words::{Words, words};
use crate::secret::{MASK, Secret};

/// A name of letters, digits and a few marks.
pub struct Name {
    pub marks: &'static str,
    pub longest: usize,
}

impl Kind for Name {
    fn takes(&self) -> Words {
        let Self { marks, longest } = self;
        words!(
            "letters, digits and `{marks}`, at most {longest}",
            "字母、数字和 `{marks}`，最多 {longest} 个字符"
        )
    }
}

impl Read for Name {
    type Value = String;

    fn read(&self, text: &str) -> Result<String, Wrong> {
        let fits = |c: char| c.is_ascii_alphanumeric() || self.marks.contains(c);
        if text.is_empty() {
            return wrong(
                Words::new("is empty", "为空"),
                Words::new(
                    "give it a value, or remove the line",
                    "请填写，或删除这一行",
                ),
            );
        }
        if text.len() > self.longest || !text.chars().all(fits) {
            let takes = self.takes();
            return wrong(
                words!("takes only {t}", "只接受{t}", t = takes),
                Words::new(
                    "copy it again, without quotes and spaces",
                    "请重新复制，不要带引号和空格",
                ),
            );
        }
        Ok(text.to_owned())
    }
}

/// A folder, from the root: a relative one would depend on where the daemon was started.
pub struct Folder;

impl Kind for Folder {
    fn takes(&self) -> Words {
        Words::new("an absolute path", "绝对路径")
    }
}

impl Read for Folder {
    type Value = PathBuf;

    fn read(&self, text: &str) -> Result<PathBuf, Wrong> {
        let path = PathBuf::from(text);
        if !path.is_absolute() {
            return wrong(
                Words::new("is not an absolute path", "不是绝对路径"),
                Words::new(
                    "write it from the root, such as /var/lib/outboxd, or remove the line",
                    "请从根目录写起，如 /var/lib/outboxd，或删除这一行",
                ),
            );
        }
        Ok(path)
    }
}

/// The `AppID` of a mini program.
pub struct AppId;

impl AppId {
    const TEXT: Name = Name {
        marks: "_-",
        longest: 64,
    };
}

impl Kind for AppId {
    fn takes(&self) -> Words {
        Words::new(
            "`wx` and 16 characters `0-9a-f`",
            "`wx` 加 16 位 `0-9a-f` 字符",
        )
    }

    fn doubt(&self, text: &str) -> Option<Wrong> {
        let usual = text
            .strip_prefix("wx")
            .is_some_and(|rest| rest.len() == 16 && lower_hex(rest));
        (!usual).then(|| Wrong {
            reason: Words::new(
                "does not look like an AppID (wx and 16 characters 0-9a-f)",
                "看起来不是 AppID（应为 wx 加 16 位 0-9a-f 字符）",
            ),
            way_out: Words::new(
                "compare it with mp.weixin.qq.com, 开发管理 → 开发设置",
                "请与 mp.weixin.qq.com「开发管理 → 开发设置」里的值对照",
            ),
        })
    }
}

impl Read for AppId {
    type Value = String;

    fn read(&self, text: &str) -> Result<String, Wrong> {
        Self::TEXT.read(text)
    }
}

fn lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A secret, and what it usually looks like; anything else is doubted without being shown.
pub enum Hidden {
    /// 32 hexadecimal characters.
    AppSecret,
    /// Any text of our own choosing, long enough: what a function already has may be shorter, and is doubted.
    SigningSecret,
    /// Likewise, and refused: with it a stranger makes himself an operator, or a badge.
    DeskSecret,
    /// `whsec_` and base64, by Standard Webhooks.
    WebhookSecret,
}

impl Kind for Hidden {
    fn takes(&self) -> Words {
        match self {
            Hidden::AppSecret => Words::new("32 characters `0-9a-f`", "32 位 `0-9a-f` 字符"),
            Hidden::SigningSecret | Hidden::DeskSecret => Words::new(
                "any text without spaces, 16 characters or more",
                "任意文字，不含空格，不少于 16 个字符",
            ),
            Hidden::WebhookSecret => Words::new(
                "`whsec_` and the base64 of 24 to 64 bytes",
                "`whsec_` 加 24 到 64 字节的 base64",
            ),
        }
    }

    fn secret(&self) -> bool {
        true
    }

    fn show(&self, _text: &str) -> String {
        MASK.to_owned()
    }

    fn doubt(&self, text: &str) -> Option<Wrong> {
        match self {
            Hidden::AppSecret if text.len() == 32 && lower_hex(text) => None,
            Hidden::AppSecret => Some(Wrong {
                reason: Words::new(
                    "does not look like an AppSecret (32 characters 0-9a-f)",
                    "看起来不是 AppSecret（应为 32 位 0-9a-f 字符）",
                ),
                way_out: Words::new(
                    "if it is a placeholder, fetch the real one: mp.weixin.qq.com, 开发管理 → 开发设置",
                    "如果还是占位文字，请到 mp.weixin.qq.com「开发管理 → 开发设置」取真实的值",
                ),
            }),
            // Read strictly instead.
            Hidden::WebhookSecret | Hidden::DeskSecret => None,
            Hidden::SigningSecret => short(text),
        }
    }
}

impl Read for Hidden {
    type Value = Secret;

    fn read(&self, text: &str) -> Result<Secret, Wrong> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong(
                Words::new(
                    "is empty, or has a space or a line break in it",
                    "为空，或其中有空格或换行",
                ),
                Words::new("copy it again, in one piece", "请重新复制，中间不要断开"),
            );
        }
        if matches!(self, Hidden::WebhookSecret) && crate::hook::Signer::new(text).is_none() {
            return wrong(
                Words::new(
                    "is not whsec_ and the base64 of 24 to 64 bytes",
                    "不是 whsec_ 加 24 到 64 字节的 base64",
                ),
                Words::new(
                    "make one with: echo whsec_$(openssl rand -base64 32)",
                    "请用此命令生成：echo whsec_$(openssl rand -base64 32)",
                ),
            );
        }
        if matches!(self, Hidden::DeskSecret)
            && let Some(wrong) = short(text)
        {
            return Err(wrong);
        }
        Ok(Secret::new(text))
    }
}

fn short(text: &str) -> Option<Wrong> {
    (text.len() < 16).then(|| Wrong {
        reason: Words::new("is short enough to be guessed", "太短，容易被猜到"),
        way_out: Words::new(
            "make one with: openssl rand -hex 32",
            "请用此命令生成：openssl rand -hex 32",
        ),
    })
}
