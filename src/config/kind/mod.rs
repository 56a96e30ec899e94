//! What a setting's text may look like, and what it means.
//!
//! A kind reads text, says which texts it takes (for the documentation), and how a value is shown. Every
//! source speaks this one grammar: what stands in TOML as `slots = 10` arrives here as `"10"`. Pure; a
//! refused text comes back with its reason and the way out, never with the text of a secret.

mod choice;
mod desk;
mod events;
mod hook;
mod net;
mod number;
mod text;

pub use choice::{Choice, Filter, Zone};
pub use desk::{Address, Names, Networks, PayloadFields, PublicUrl};
pub use events::EventTypes;
pub use hook::{FilePath, HookUrl, HostPorts, Sql};
pub use net::{BaseUrl, DatabaseUrl, Listen};
pub use number::{Count, Schedule, Span};
pub use text::{AppId, Folder, Hidden, Name};

use super::words::Words;

/// Why a text was refused or is doubtful, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub reason: Words,
    pub way_out: Words,
}

fn wrong<T>(reason: Words, way_out: Words) -> Result<T, Wrong> {
    Err(Wrong { reason, way_out })
}

/// What every kind can tell about itself, whatever it reads.
pub trait Kind: Sync {
    /// The texts it takes, in a few words.
    fn takes(&self) -> Words;

    /// Whether the value must not be shown.
    fn secret(&self) -> bool {
        false
    }

    /// The value as people may see it.
    fn show(&self, text: &str) -> String {
        text.to_owned()
    }

    /// The value as TOML writes it.
    fn toml(&self, text: &str) -> String {
        toml::Value::from(text).to_string()
    }

    /// Whether TOML may give it as an array.
    fn list(&self) -> bool {
        false
    }

    /// What is allowed and yet looks like a mistake.
    fn doubt(&self, _text: &str) -> Option<Wrong> {
        None
    }
}

/// A kind together with the type it reads.
pub trait Read: Kind {
    type Value;

    fn read(&self, text: &str) -> Result<Self::Value, Wrong>;
}
