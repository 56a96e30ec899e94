//! Who somebody is: a token, a proxy's word, a session, or a password shown with the request ([`super::password`]).
//! With none of these set up, this machine's own people may do everything, for whoever sits there may ask the database
//! as well.

use std::net::IpAddr;

use anyhow::Result;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use url::Url;

use super::session::Keys;
use super::users::{Role, User, Users};
use crate::config::words::words;
use crate::config::{DeskConfig, Misplaced};
use crate::delivery::clean;

/// Somebody who is in.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) by: Means,
}

/// What says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// Nothing: the desk listens on this machine only.
    Here,
    Session,
    /// A browser never sends one by itself, so no other site can have it sent.
    Token,
    Proxy,
    /// Shown with the request. A browser that was asked for one goes on sending it, whichever site has it sent.
    Password,
}

impl Person {
    pub(super) fn of(user: User, by: Means) -> Person {
        Person {
            name: user.name,
            role: user.role,
            by,
        }
    }
}

/// Who gets in.
pub(super) struct Door {
    pub(super) users: Option<Users>,
    proxy: Vec<IpNet>,
    /// In which the proxy names people; without it, only where they come from.
    user_header: Option<String>,
    operators: Vec<String>,
}

impl Door {
    pub(super) fn new(told: &DeskConfig) -> Result<Door> {
        Ok(Door {
            users: told
                .users
                .clone()
                .map(Users::open)
                .transpose()
                .map_err(misplaced)?,
            proxy: told.proxy.clone(),
            user_header: told.user_header.clone(),
            operators: told.operators.clone(),
        })
    }

    /// Nobody has to say who they are.
    pub(super) fn stands_open(&self) -> bool {
        self.users.is_none() && self.proxy.is_empty()
    }

    pub(super) fn believes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxy.iter().any(|network| network.contains(&peer))
    }

    /// Whose request this is, if it is anybody's we know.
    pub(super) fn who(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        keys: &Keys,
        now: i64,
    ) -> Option<Person> {
        if self.stands_open() {
            return Some(Person {
                name: "local".to_owned(),
                role: Role::Operator,
                by: Means::Here,
            });
        }
        let users = self.users.as_ref();
        // Whoever shows a token means it: a wrong one is no visitor under another name. Where there is no file there
        // are no tokens, and what is shown is the proxy's.
        if let (Some(users), Some(token)) = (users, shown(headers, "Bearer")) {
            let user = users.with_token(&token)?;
            return Some(Person::of(user, Means::Token));
        }
        if self.believes(peer)
            && let Some(person) = self.named_by_proxy(headers)
        {
            return Some(person);
        }
        let session = keys.session(headers, now)?;
        let user = users?.still(&session.name, &session.print)?;
        Some(Person::of(user, Means::Session))
    }

    fn named_by_proxy(&self, headers: &HeaderMap) -> Option<Person> {
        // Two of them mean that somebody before the proxy has written one.
        let mut given = headers.get_all(self.user_header.as_ref()?).iter();
        let (name, None) = (given.next()?, given.next()) else {
            return None;
        };
        // A name that would have to be changed to be shown is not somebody else's.
        let name = std::str::from_utf8(name.as_bytes()).ok()?;
        if name.is_empty() || name.trim() != name || clean(name) != name {
            return None;
        }
        let may_act = self
            .operators
            .iter()
            .any(|known| known == name || known == "*");
        Some(Person {
            role: if may_act {
                Role::Operator
            } else {
                Role::Viewer
            },
            name: name.to_owned(),
            by: Means::Proxy,
        })
    }

    /// Where the request comes from: behind the proxy, what the proxy says last.
    pub(super) fn address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if !self.believes(peer) {
            return peer;
        }
        headers
            .get_all("x-forwarded-for")
            .iter()
            .next_back()
            .and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok())
            .unwrap_or(peer)
    }
}

/// A file that cannot be read will not be read by a restart either.
fn misplaced(cause: anyhow::Error) -> anyhow::Error {
    Misplaced(words!(
        "{cause:#}. Make each line with: outboxd desk-password NAME",
        "{cause:#}。每一行请用此命令生成：outboxd desk-password 名字",
    ))
    .into()
}

/// What a request shows of this kind in its `Authorization`.
fn shown(headers: &HeaderMap, kind: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(AUTHORIZATION)?.as_bytes());
    let (given, rest) = value.split_once([' ', '\t']).unwrap_or((&value, ""));
    given
        .eq_ignore_ascii_case(kind)
        .then(|| rest.trim().to_owned())
}

/// The name and the password that a request shows.
pub(super) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = STANDARD.decode(shown(headers, "Basic")?).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// The host a request names, without its port.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    match host.strip_prefix('[') {
        // Behind the bracket there is a port or nothing; more would be another name.
        Some(v6) => {
            let (address, port) = v6.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then_some(address)
        }
        None => host.split(':').next(),
    }
}

/// Whether an address of pages is one of this machine's own.
pub(super) fn leads_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    means_this_machine(host.trim_matches(['[', ']']))
}

/// Whether a name in a request can only mean this machine. Any other name may be a foreign site's that leads here.
pub(super) fn means_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
