//! What the targets of one's own need: an address, the hosts that may be internal, a file, a query.

use std::net::IpAddr;

use url::Url;

use super::{Kind, Read, Wrong, wrong};
use crate::config::words::{Words, words};
use crate::secret::MASK;

/// The whole URL of a receiver. What its query holds may be a key, so it is not shown.
pub struct HookUrl;

impl Kind for HookUrl {
    fn takes(&self) -> Words {
        Words::new(
            "an `https://` URL; `http://` on loopback only",
            "`https://` 地址；只有本机回环地址可用 `http://`",
        )
    }

    fn show(&self, text: &str) -> String {
        match text.split_once('?') {
            _ if text.contains('@') => MASK.to_owned(),
            Some((shown, _)) => format!("{shown}?{MASK}"),
            None => text.to_owned(),
        }
    }
}

impl Read for HookUrl {
    type Value = Url;

    fn read(&self, text: &str) -> Result<Url, Wrong> {
        let example = || {
            Words::new(
                "write it like https://example.com/notify",
                "请写成 https://example.com/notify 的样子",
            )
        };
        let Some(url) = Url::parse(text).ok().filter(Url::has_host) else {
            return wrong(Words::new("is not a URL", "不是 URL"), example());
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return wrong(
                Words::new(
                    "has a user name, a password or a # in it",
                    "含有用户名、密码或 #",
                ),
                example(),
            );
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback(&url) => Ok(url),
            "http" => wrong(
                Words::new(
                    "would send customers' data over the network unencrypted",
                    "会在网络上明文传送客户数据",
                ),
                Words::new(
                    "use https://; http:// is for this machine only (127.0.0.1, localhost)",
                    "请用 https://；http:// 只能用于本机（127.0.0.1、localhost）",
                ),
            ),
            _ => wrong(
                Words::new("is neither https nor http", "既不是 https 也不是 http"),
                example(),
            ),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match address(url) {
        Some(address) => address.is_loopback(),
        None => {
            let host = url.host_str().unwrap_or_default();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

fn address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_matches(['[', ']']).parse().ok()
}

impl HookUrl {
    /// `host:port`, as the list of allowed ones has it.
    pub fn place(url: &Url) -> String {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}")
    }

    /// Whether it can be seen without a look-up that it leads to an internal address.
    pub fn is_internal(url: &Url) -> bool {
        is_loopback(url)
            || address(url).is_some_and(|address| !crate::http::guard::is_public(address))
    }
}

/// Hosts with their ports, parted by spaces or commas.
pub struct HostPorts;

impl Kind for HostPorts {
    fn takes(&self) -> Words {
        Words::new("`HOST:PORT`, or several of them", "`主机:端口`，可以写多个")
    }

    fn list(&self) -> bool {
        true
    }
}

impl Read for HostPorts {
    type Value = Vec<String>;

    fn read(&self, text: &str) -> Result<Vec<String>, Wrong> {
        text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '，'))
            .filter(|place| !place.is_empty())
            .map(|place| {
                // Through the same parser as the URL, so that both write a host the same way.
                let url = Url::parse(&format!("https://{place}/")).ok();
                let whole = |url: &Url| url.path() == "/" && url.username().is_empty();
                let port = place
                    .rsplit_once(':')
                    .and_then(|(_, port)| port.parse::<u16>().ok());
                match (url.filter(whole), port) {
                    (Some(url), Some(port)) if port != 0 => {
                        Ok(format!("{}:{port}", url.host_str().unwrap_or_default()))
                    }
                    _ => wrong(
                        words!(
                            "has \"{place}\" in it, which is no host with its port",
                            "其中的“{place}”不是“主机:端口”"
                        ),
                        Words::new(
                            "write for example 127.0.0.1:8080 or crm.internal:443",
                            "请写，例如 127.0.0.1:8080 或 crm.internal:443",
                        ),
                    ),
                }
            })
            .collect()
    }
}

/// The path of a file that whoever needs it reads at start.
pub struct FilePath;

impl Kind for FilePath {
    fn takes(&self) -> Words {
        Words::new("the path of a file", "文件路径")
    }
}

impl Read for FilePath {
    type Value = String;

    fn read(&self, text: &str) -> Result<String, Wrong> {
        match text {
            "" => wrong(
                Words::new("is empty", "为空"),
                Words::new("give the path of the file", "请填写文件路径"),
            ),
            text => Ok(text.to_owned()),
        }
    }
}

/// A query of one value with one parameter.
pub struct Sql;

impl Kind for Sql {
    fn takes(&self) -> Words {
        Words::new(
            "such as `select openid from staff where id = $1::bigint`",
            "例如 `select openid from staff where id = $1::bigint`",
        )
    }
}

impl Read for Sql {
    type Value = String;

    fn read(&self, text: &str) -> Result<String, Wrong> {
        let query = text.trim().trim_end_matches(';').trim_end();
        if query.contains("$1") {
            return Ok(query.to_owned());
        }
        wrong(
            Words::new("does not ask for the recipient, $1", "没有用到接收人 $1"),
            Words::new(
                "write for example: select openid from staff where id = $1::bigint",
                "请写，例如：select openid from staff where id = $1::bigint",
            ),
        )
    }
}
