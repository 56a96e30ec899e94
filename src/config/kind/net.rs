//! Addresses: of the database, of WeChat, of our own ear.

use std::net::{IpAddr, SocketAddr};

use url::Url; // The same parser sqlx and the HTTP client use, so nobody reads a URL differently.

use super::{Kind, Read, Wrong, wrong};
use crate::config::words::{Words, words};
use crate::secret::{MASK, Secret};

/// A PostgreSQL connection URL; its password is never shown.
pub struct DatabaseUrl;

impl Kind for DatabaseUrl {
    fn takes(&self) -> Words {
        Words::new(
            "`postgres://user:password@host:5432/database`",
            "`postgres://用户:密码@主机:5432/数据库`",
        )
    }

    fn secret(&self) -> bool {
        true
    }

    /// The URL with its password masked; wholly masked when it cannot be read, for then nobody knows
    /// where in it the password stands.
    fn show(&self, text: &str) -> String {
        let Ok(mut url) = Url::parse(text) else {
            return MASK.to_owned();
        };
        if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
            return MASK.to_owned();
        }
        if url.query_pairs().any(|(key, _)| key == "password") {
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let mut shown = url.query_pairs_mut();
            shown.clear();
            for (key, value) in &pairs {
                let hidden = key == "password";
                shown.append_pair(key, if hidden { MASK } else { value });
            }
            drop(shown);
        }
        url.into()
    }
}

impl Read for DatabaseUrl {
    type Value = Secret;

    fn read(&self, text: &str) -> Result<Secret, Wrong> {
        let Ok(url) = Url::parse(text) else {
            return wrong(
                Words::new("is not a URL", "不是 URL"),
                Words::new(
                    "write postgres://user:password@host:5432/database; in the password, write %23 for #, %2F for /, %40 for @",
                    "请写成 postgres://用户:密码@主机:5432/数据库；密码里的 # 写成 %23，/ 写成 %2F，@ 写成 %40",
                ),
            );
        };
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return wrong(
                Words::new(
                    "is not the URL of a PostgreSQL database",
                    "不是 PostgreSQL 数据库的 URL",
                ),
                Words::new("begin it with postgres://", "请以 postgres:// 开头"),
            );
        }
        const SSL_MODES: [&str; 6] = [
            "disable",
            "allow",
            "prefer",
            "require",
            "verify-ca",
            "verify-full",
        ];
        let unknown_mode = url.query_pairs().any(|(key, value)| {
            matches!(&*key, "sslmode" | "ssl-mode") && !SSL_MODES.contains(&&*value.to_lowercase())
        });
        if unknown_mode {
            let modes = SSL_MODES.join(", ");
            return wrong(
                Words::new("has an unknown sslmode", "sslmode 无法识别"),
                words!("use one of: {modes}", "可用的值：{modes}"),
            );
        }
        Ok(Secret::new(text))
    }
}

/// The base of an HTTP service: https, or http on this machine. The value has no slash at its end.
pub struct BaseUrl;

impl Kind for BaseUrl {
    fn takes(&self) -> Words {
        Words::new(
            "an `https://` URL; `http://` on loopback only",
            "`https://` 地址；只有本机回环地址可用 `http://`",
        )
    }

    /// A user name or a password is refused, and not shown while that is said.
    fn show(&self, text: &str) -> String {
        match text.contains('@') {
            true => MASK.to_owned(),
            false => text.to_owned(),
        }
    }
}

impl Read for BaseUrl {
    type Value = String;

    fn read(&self, text: &str) -> Result<String, Wrong> {
        let example = || {
            Words::new(
                "write it like https://api.weixin.qq.com",
                "请写成 https://api.weixin.qq.com 的样子",
            )
        };
        let Some(url) = Url::parse(text).ok().filter(Url::has_host) else {
            return wrong(Words::new("is not a URL", "不是 URL"), example());
        };
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare {
            return wrong(
                Words::new(
                    "has more than a host and a path",
                    "除了主机和路径还有别的内容",
                ),
                example(),
            );
        }
        match url.scheme() {
            "https" => Ok(text.trim_end_matches('/').to_owned()),
            "http" if loopback(&url) => Ok(text.trim_end_matches('/').to_owned()),
            "http" => wrong(
                Words::new(
                    "would send the token over the network unencrypted",
                    "会在网络上明文传送 token",
                ),
                Words::new(
                    "use https://; http:// is for a simulator on this machine (127.0.0.1, localhost)",
                    "请用 https://；http:// 只能用于本机的模拟器（127.0.0.1、localhost）",
                ),
            ),
            _ => wrong(
                Words::new("is neither https nor http", "既不是 https 也不是 http"),
                example(),
            ),
        }
    }
}

fn loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Where to listen, or `off`.
pub struct Listen;

impl Kind for Listen {
    fn takes(&self) -> Words {
        Words::new("`ADDRESS:PORT`, or `off`", "`地址:端口`，或 `off`")
    }

    fn doubt(&self, text: &str) -> Option<Wrong> {
        let address: SocketAddr = text.parse().ok()?;
        (!address.ip().is_loopback()).then(|| Wrong {
            reason: Words::new(
                "lets other machines read health and metrics",
                "会让其他机器读到健康状态和指标",
            ),
            way_out: Words::new(
                "nothing personal is in them; if only this machine reads them, use 127.0.0.1",
                "其中没有个人信息；如果只在本机读取，请用 127.0.0.1",
            ),
        })
    }
}

impl Read for Listen {
    type Value = Option<SocketAddr>;

    fn read(&self, text: &str) -> Result<Option<SocketAddr>, Wrong> {
        if text == "off" {
            return Ok(None);
        }
        match text.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => wrong(
                Words::new("is not an IP address with a port", "不是“IP 地址:端口”"),
                Words::new(
                    "write 127.0.0.1:9090, or off",
                    "请写 127.0.0.1:9090，或 off",
                ),
            ),
        }
    }
}
