//! What the desk is told: where it listens, who may come in, and where a payload keeps names.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::{Origin, Url};

use super::load::Loader;
use super::setting::DEFAULT_APP;
use super::{relations, settings};
use crate::outbox::slices::Paths;
use crate::secret::Secret;

#[derive(Clone, Debug)]
pub struct DeskConfig {
    pub listen: SocketAddr,
    /// As people type it, when that is not where we listen.
    pub url: Option<Url>,
    /// The file of those who may come in.
    pub users: Option<PathBuf>,
    /// Signs the cookies; `None` is a new one at each start.
    pub secret: Option<Secret>,
    /// Whose word is believed on where a visitor comes from, and who it is.
    pub proxy: Vec<IpNet>,
    /// In which it says who; `None` is in none.
    pub user_header: Option<String>,
    /// Who of those the proxy names may act; `*` is everybody.
    pub operators: Vec<String>,
    pub read_only: bool,
    pub labels: Labels,
    pub badge: BadgeConfig,
}

/// The badges a CRM's pages show.
#[derive(Clone, Debug)]
pub struct BadgeConfig {
    /// `None` is off.
    pub secret: Option<Secret>,
    /// Whose pages may frame one.
    pub origins: Vec<Origin>,
}

/// Where a payload keeps what people know each other by: names that lead into the object.
#[derive(Clone, Debug)]
pub struct Labels {
    pub customer: Vec<Vec<String>>,
    pub recipient: Vec<Vec<String>>,
    pub phone: Vec<Vec<String>>,
}

impl Labels {
    /// All of them, as the search takes them.
    pub fn paths(&self) -> Paths {
        let all = [&self.customer, &self.recipient, &self.phone];
        Paths(
            all.into_iter()
                .flatten()
                .map(|names| names.join("."))
                .collect(),
        )
    }
}

impl Loader<'_> {
    /// `None` after noting a mistake.
    pub(super) fn desk(&mut self) -> Option<DeskConfig> {
        let listen = self.get(&settings::DESK_LISTEN, DEFAULT_APP);
        let url = self.desk_setting(&settings::DESK_URL);
        let users = self.desk_setting(&settings::DESK_USERS);
        let secret = self.desk_setting(&settings::DESK_SECRET);
        let proxy = self.desk_setting(&settings::DESK_PROXY);
        let user_header = self.desk_setting(&settings::DESK_USER_HEADER);
        let operators = self.desk_setting(&settings::DESK_OPERATORS);
        let read_only = self.get(&settings::DESK_READ_ONLY, DEFAULT_APP);
        let customer = self.get(&settings::DESK_CUSTOMER_LABEL, DEFAULT_APP);
        let recipient = self.get(&settings::DESK_RECIPIENT_LABEL, DEFAULT_APP);
        let phone = self.get(&settings::DESK_PHONE, DEFAULT_APP);
        let badge_secret = self.desk_setting(&settings::DESK_BADGE_SECRET);
        let badge_origins = self.desk_setting(&settings::DESK_BADGE_ORIGINS);
        if let (Some(listen), Some(url)) = (&listen, &url) {
            self.warnings
                .extend(relations::desk_is_reached_by_https(listen, url.as_ref()));
        }
        Some(DeskConfig {
            listen: listen?.value,
            url: url?,
            users: users?.map(PathBuf::from),
            secret: secret?,
            proxy: proxy?.unwrap_or_default(),
            user_header: user_header?,
            operators: operators?.unwrap_or_default(),
            read_only: read_only?.value,
            labels: Labels {
                customer: customer?.value,
                recipient: recipient?.value,
                phone: phone?.value,
            },
            badge: BadgeConfig {
                secret: badge_secret?,
                origins: badge_origins?.unwrap_or_default(),
            },
        })
    }

    /// A setting the desk can do without, and nobody else looks at.
    fn desk_setting<K: super::kind::Read + 'static>(
        &mut self,
        setting: &'static super::setting::Setting<K>,
    ) -> Option<Option<K::Value>> {
        if setting.needs > self.needs {
            return Some(None);
        }
        self.optional(setting, DEFAULT_APP)
            .map(|given| given.map(|given| given.value))
    }
}
