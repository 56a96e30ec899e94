//! Who this daemon is: a name for people, and random characters, because names repeat (a copied `.env`,
//! containers that are all process 1) and a lease must not be mistaken for one's own.

use std::fmt;
use std::path::Path;

use uuid::Uuid;

use super::sources::Sources;

/// One run of one daemon. Printed as `name#1a2b3c4d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    /// Random, new with every start.
    pub id: Uuid,
}

impl Instance {
    pub(super) fn named(name: String) -> Self {
        Self {
            name,
            id: Uuid::new_v4(),
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.simple().to_string();
        write!(f, "{}#{}", self.name, &id[..8])
    }
}

/// The name when nobody gives one: host and process.
pub(super) fn default_name(sources: &Sources) -> String {
    let kernel = (sources.read_file)(Path::new("/proc/sys/kernel/hostname"));
    let host = match (&kernel, sources.variable("HOSTNAME")) {
        (Ok(file), _) => file.text.trim(),
        (Err(_), Some(name)) => name,
        (Err(_), None) => "outboxd",
    };
    format!("{host}:{}", std::process::id())
}
