//! What people read: the texts in Chinese and English, and the sentences made from them.
//!
//! The command line and the desk speak through this module, so a notification is explained in the same
//! words everywhere. Texts stand in `zh.toml` and `en.toml`, key by key; the sentences for causes come
//! from the [`crate::catalogue`]. Nothing here does I/O. A [`Voice`] carries what every sentence needs:
//! the language, the zone its times are read in, and the database's idea of now.

pub mod cause;
pub mod mask;
pub mod time;
pub mod verdict;
pub mod waiting;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub use crate::config::Lang;

/// As `--lang` takes it. Flags, status words and JSON stay English in both.
impl clap::ValueEnum for Lang {
    fn value_variants<'a>() -> &'a [Lang] {
        &[Lang::Zh, Lang::En]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.word()))
    }
}

/// Which language to speak before the settings are read, or without them: the flag, else `OUTBOXD_LANG`, else
/// the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set, as gettext reads them.
pub fn pick(flag: Option<Lang>, env: impl Fn(&str) -> Option<String>) -> Lang {
    flag.unwrap_or_else(|| {
        ["OUTBOXD_LANG", "LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(env)
            .find(|value| !value.is_empty() && value != "auto")
            .map_or(Lang::En, |value| Lang::of_locale(&value))
    })
}

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
