//! What people read: the texts in Chinese and English, and the sentences made from them.
//!
//! The command line and the desk speak through this module, so a notification is explained in the same
//! words everywhere. Texts stand in `zh.toml` and `en.toml`, key by key, those of the desk's own pages in
//! `desk.zh.toml` and `desk.en.toml`; the sentences for causes come
//! from the [`crate::catalogue`]. Nothing here does I/O. A [`Voice`] carries what every sentence needs:
//! the language, the zone its times are read in, and the database's idea of now.

pub mod cause;
pub mod label;
pub mod mask;
pub mod time;
pub mod verdict;
pub mod waiting;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub use crate::lang::Lang;

/// How to speak to this reader at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    pub lang: Lang,
    pub zone: Tz,
    pub place: Place,
    /// The database's clock, so that "2 min ago" is right on a laptop whose clock is not.
    pub now: DateTime<Utc>,
}

/// Where the sentence is read. What to do next is a command on one, a button on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Terminal,
    /// The few texts of its own stand in `zh-desk.toml` and `en-desk.toml`, the rest is the same.
    Desk,
}

/// Whatever has a language: a [`Voice`], or a [`Lang`] where no times are said.
pub trait Speaks {
    /// The file of texts; one of `zh-desk` goes on in `zh`.
    fn locale(&self) -> &'static str;
}

impl Speaks for Voice {
    fn locale(&self) -> &'static str {
        match (self.place, self.lang) {
            (Place::Terminal, lang) => lang.word(),
            (Place::Desk, Lang::En) => "en-desk",
            (Place::Desk, Lang::Zh) => "zh-desk",
        }
    }
}

impl Speaks for Lang {
    fn locale(&self) -> &'static str {
        self.word()
    }
}

/// One text with its values, in the language of the speaker: `say!(voice, "time.now")`.
macro_rules! say {
    ($speaker:expr, $key:expr $(, $name:ident = $value:expr)* $(,)?) => {{
        use $crate::words::Speaks as _;
        rust_i18n::t!($key, locale = $speaker.locale() $(, $name = $value)*).into_owned()
    }};
}
pub(crate) use say;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts;
