//! What people read: the texts in Chinese and English, and the sentences made from them.
//!
//! The command line and the desk speak through this module, so a notification is explained in the same
//! words everywhere. Texts stand in `zh.toml` and `en.toml`, key by key; the sentences for causes come
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
    /// The database's clock, so that "2 min ago" is right on a laptop whose clock is not.
    pub now: DateTime<Utc>,
}

/// Whatever has a language: a [`Voice`], or a [`Lang`] where no times are said.
pub trait Speaks {
    fn lang(&self) -> Lang;
}

impl Speaks for Voice {
    fn lang(&self) -> Lang {
        self.lang
    }
}

impl Speaks for Lang {
    fn lang(&self) -> Lang {
        *self
    }
}

/// One text with its values, in the language of the speaker: `say!(voice, "time.now")`.
macro_rules! say {
    ($speaker:expr, $key:expr $(, $name:ident = $value:expr)* $(,)?) => {{
        use $crate::words::Speaks as _;
        rust_i18n::t!($key, locale = $speaker.lang().word() $(, $name = $value)*).into_owned()
    }};
}
pub(crate) use say;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts;
