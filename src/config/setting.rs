//! What one line of the table of settings says, and the names that follow from it.

use super::Needs;
use super::kind::Kind;
use super::settings::{DATABASE_URL, LANG};
use super::words::Words;

/// One setting.
pub struct Setting<K: ?Sized = dyn Kind> {
    /// The environment variable; also names the systemd credential.
    pub env: &'static str,
    /// A variable of another's convention that means the same and is asked first.
    pub also: Option<&'static str>,
    /// The TOML key; that of an app's setting is relative to `apps.NAME`.
    pub key: &'static str,
    pub scope: Scope,
    /// Which commands cannot do without it.
    pub needs: Needs,
    pub absent: Absent,
    pub doc: Words,
    pub kind: K,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Once for the whole daemon.
    Daemon,
    /// Once for each app; variables speak for the app `default`.
    App,
}

/// What happens when nobody gives the setting.
pub enum Absent {
    /// Refused, with these words about where to find the value.
    Refused(Words),
    /// This text is read instead.
    Default(&'static str),
    /// The program does what these words say.
    Means(Words),
}

/// The app that variables and credentials speak for.
pub const DEFAULT_APP: &str = "default";

impl<K: ?Sized + Kind> Setting<K> {
    /// Where the setting stands in the file.
    pub fn path(&self, app: &str) -> String {
        match self.scope {
            Scope::Daemon => self.key.to_owned(),
            Scope::App => format!("apps.{app}.{}", self.key),
        }
    }

    /// What messages call it: the variable, or the TOML path of an app that has no variables.
    pub fn name(&self, app: &str) -> String {
        if self.scope == Scope::App && app != DEFAULT_APP {
            self.path(app)
        } else {
            self.env.to_owned()
        }
    }

    /// The flag, without its dashes: only where one command may want another value than the rest.
    pub fn flag(&self) -> Option<&'static str> {
        match self.env {
            env if env == DATABASE_URL.env => Some("database-url"),
            env if env == LANG.env => Some("lang"),
            _ => None,
        }
    }

    /// The name under which systemd may hand over the value.
    pub fn credential(&self, app: &str) -> Option<String> {
        self.kind.secret().then(|| match self.name(app) {
            name if name == self.env => name.to_lowercase(),
            path => path,
        })
    }
}
