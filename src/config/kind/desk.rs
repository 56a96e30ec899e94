//! What the desk needs: an address to listen on, its own URL, a proxy's addresses, people's names, a payload's field.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::{Origin, Url};

use super::{Kind, Read, Wrong, wrong};
use crate::config::words::{Words, words};

/// Where to listen.
pub struct Address;

impl Kind for Address {
    fn takes(&self) -> Words {
        Words::new("`ADDRESS:PORT`", "`地址:端口`")
    }
}

impl Read for Address {
    type Value = SocketAddr;

    fn read(&self, text: &str) -> Result<SocketAddr, Wrong> {
        text.parse().or_else(|_| {
            wrong(
                Words::new("is not an IP address with a port", "不是“IP 地址:端口”"),
                Words::new("write 127.0.0.1:9091", "请写 127.0.0.1:9091"),
            )
        })
    }
}

/// The address of pages as people type it, maybe with a path.
pub struct PublicUrl;

impl Kind for PublicUrl {
    fn takes(&self) -> Words {
        Words::new(
            "an `https://` or `http://` URL, maybe with a path",
            "`https://` 或 `http://` 地址，可以带路径",
        )
    }

    fn doubt(&self, text: &str) -> Option<Wrong> {
        let url = Url::parse(text).ok()?;
        let host = url.host_str().unwrap_or_default();
        let here = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        (url.scheme() == "http" && !here).then(|| Wrong {
            reason: Words::new(
                "sends passwords and customers' data over the network unencrypted",
                "会在网络上明文传送密码和客户数据",
            ),
            way_out: Words::new(
                "put a proxy with https before it and write https://",
                "请在前面放一个带 https 的代理，并写成 https://",
            ),
        })
    }
}

impl Read for PublicUrl {
    type Value = Url;

    fn read(&self, text: &str) -> Result<Url, Wrong> {
        let url = Url::parse(text).ok().filter(|url| {
            url.has_host()
                && matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        match url {
            // The prefix stands before every path, so it takes none of the characters that would have to be escaped.
            Some(url) if url.path().chars().all(plain) => Ok(url),
            Some(_) | None => wrong(
                Words::new(
                    "is not a URL of a host and a plain path",
                    "不是只有主机和简单路径的 URL",
                ),
                Words::new(
                    "write it like https://crm.example.com/outboxd",
                    "请写成 https://crm.example.com/outboxd 的样子",
                ),
            ),
        }
    }
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/-_.~".contains(c)
}

/// Addresses and networks, parted by spaces or commas.
pub struct Networks;

impl Kind for Networks {
    fn takes(&self) -> Words {
        Words::new(
            "addresses and networks, such as `127.0.0.1 10.0.0.0/24`",
            "地址或网段，例如 `127.0.0.1 10.0.0.0/24`",
        )
    }

    fn list(&self) -> bool {
        true
    }

    fn doubt(&self, text: &str) -> Option<Wrong> {
        let network = self.read(text).ok()?.into_iter().find(wide)?;
        Some(Wrong {
            reason: words!(
                "believes everybody in {network}",
                "会相信 {network} 里的所有机器"
            ),
            way_out: Words::new("name the proxy's own address", "请只写代理自己的地址"),
        })
    }
}

/// Larger than the network of one machine room: others than proxies are in it.
fn wide(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 24,
        IpNet::V6(network) => network.prefix_len() < 64,
    }
}

impl Read for Networks {
    type Value = Vec<IpNet>;

    fn read(&self, text: &str) -> Result<Vec<IpNet>, Wrong> {
        let networks: Result<Vec<IpNet>, Wrong> = parts(text)
            .map(|part| {
                let address = part.parse::<IpAddr>().map(IpNet::from);
                address.or_else(|_| part.parse()).or_else(|_| {
                    wrong(
                        words!(
                            "has \"{part}\" in it, which is neither an address nor a network",
                            "其中的“{part}”既不是地址也不是网段"
                        ),
                        Words::new("write for example 127.0.0.1", "请写，例如 127.0.0.1"),
                    )
                })
            })
            .collect();
        match networks {
            Ok(none) if none.is_empty() => wrong(
                Words::new("is empty", "为空"),
                Words::new(
                    "name the proxy's address, or remove the line",
                    "请填写代理的地址，或删除这一行",
                ),
            ),
            Ok(networks) if networks.iter().any(|network| network.prefix_len() == 0) => wrong(
                Words::new("believes everybody", "等于相信所有人"),
                Words::new("name the proxy's own address", "请只写代理自己的地址"),
            ),
            networks => networks,
        }
    }
}

/// People's names, parted by spaces or commas.
pub struct Names;

impl Kind for Names {
    fn takes(&self) -> Words {
        Words::new("names, or `*`", "名字，或 `*`")
    }

    fn list(&self) -> bool {
        true
    }
}

impl Read for Names {
    type Value = Vec<String>;

    fn read(&self, text: &str) -> Result<Vec<String>, Wrong> {
        Ok(parts(text).map(str::to_owned).collect())
    }
}

/// Other people's pages, by scheme, host and port, parted by spaces or commas.
pub struct Origins;

impl Kind for Origins {
    fn takes(&self) -> Words {
        Words::new(
            "origins, such as `https://crm.example.com`",
            "来源，例如 `https://crm.example.com`",
        )
    }

    fn list(&self) -> bool {
        true
    }
}

impl Read for Origins {
    type Value = Vec<Origin>;

    fn read(&self, text: &str) -> Result<Vec<Origin>, Wrong> {
        parts(text)
            .map(|part| match Url::parse(part) {
                Ok(url)
                    if matches!(url.scheme(), "http" | "https")
                        && url.origin().ascii_serialization() == part.trim_end_matches('/') =>
                {
                    Ok(url.origin())
                }
                Ok(_) | Err(_) => wrong(
                    words!(
                        "has \"{part}\" in it, which is not a scheme and a host and nothing more",
                        "其中的“{part}”不是单纯的协议加主机名"
                    ),
                    Words::new(
                        "write it like https://crm.example.com",
                        "请写成 https://crm.example.com 的样子",
                    ),
                ),
            })
            .collect()
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '，' | '、'))
        .filter(|part| !part.is_empty())
}

/// Fields of a payload, each by the names that lead to it; the first that is there counts.
pub struct PayloadFields;

impl Kind for PayloadFields {
    fn takes(&self) -> Words {
        Words::new(
            "names, joined by dots where one lies in another, separated by commas: `customer.name, customerName`",
            "字段名，多层用点号连接，多个用逗号分隔：`customer.name, customerName`",
        )
    }
}

impl Read for PayloadFields {
    type Value = Vec<Vec<String>>;

    fn read(&self, text: &str) -> Result<Vec<Vec<String>>, Wrong> {
        let names = |field: &str| field.trim().split('.').map(str::to_owned).collect();
        let fields: Vec<Vec<String>> = text.split([',', '，', '、']).map(names).collect();
        let is_wrong = |names: &Vec<String>| names.iter().any(String::is_empty) || names.len() > 8;
        if fields.iter().any(is_wrong) || fields.len() > 8 {
            return wrong(
                Words::new("is not a field of a payload", "不是消息内容里的字段"),
                Words::new(
                    "write names, joined by dots where one lies in another, such as customer.name, customerName",
                    "请写字段名，多层用点号连接，多个用逗号分隔，例如 customer.name, customerName",
                ),
            );
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_meant() {
        assert!(Address.read("127.0.0.1:9091").is_ok());
        for wrong in ["9091", "localhost:9091", "off", ""] {
            assert!(Address.read(wrong).is_err(), "{wrong}");
        }
        let url = PublicUrl.read("https://crm.example.com/outboxd/").unwrap();
        assert_eq!(url.path(), "/outboxd/");
        for wrong in [
            "crm.example.com",
            "ftp://crm.example.com",
            "https://a:b@crm.example.com",
            "https://crm.example.com/?a",
            "https://crm.example.com/a%22b",
            "https://crm.example.com/{x}",
        ] {
            assert!(PublicUrl.read(wrong).is_err(), "{wrong}");
        }
        assert!(PublicUrl.doubt("http://crm.example.com").is_some());
        assert!(PublicUrl.doubt("http://127.0.0.1:9091").is_none());
        assert_eq!(Networks.read("127.0.0.1，10.0.0.0/8 ::1").unwrap().len(), 3);
        for wrong in ["", "proxy", "10.0.0.0/33", "0.0.0.0/0", "127.0.0.1 ::/0"] {
            assert!(Networks.read(wrong).is_err(), "{wrong}");
        }
        for (text, wide) in [
            ("127.0.0.1 ::1", false),
            ("10.0.0.0/24 fd00::/64", false),
            ("10.0.0.0/23", true),
            ("fd00::/48", true),
        ] {
            assert_eq!(Networks.doubt(text).is_some(), wide, "{text}");
        }
        assert_eq!(Names.read("wang、li").unwrap(), ["wang", "li"]);
        assert_eq!(
            PayloadFields.read("customer.name, name").unwrap(),
            [vec!["customer", "name"], vec!["name"]]
        );
        for wrong in ["", "a..b", ".a", "a,"] {
            assert!(PayloadFields.read(wrong).is_err(), "{wrong}");
        }
    }
}
