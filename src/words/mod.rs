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

/// The languages the texts exist in. Flags, status words and JSON stay English in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    Zh,
    En,
}

impl Lang {
    /// The locale's name in the text files.
    pub fn code(self) -> &'static str {
        match self {
            Lang::Zh => "zh",
            Lang::En => "en",
        }
    }

    /// Which language to speak: the flag, else `OUTBOXD_LANG`, else the first of `LC_ALL`,
    /// `LC_MESSAGES` and `LANG` that is set, as gettext reads them.
    pub fn pick(flag: Option<Lang>, env: impl Fn(&str) -> Option<String>) -> Lang {
        if let Some(lang) = flag {
            return lang;
        }
        ["OUTBOXD_LANG", "LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(env)
            .find(|value| !value.is_empty() && value != "auto")
            .map_or(Lang::En, |value| {
                if value.to_ascii_lowercase().starts_with("zh") {
                    Lang::Zh
                } else {
                    Lang::En
                }
            })
    }
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
        rust_i18n::t!($key, locale = $speaker.lang().code() $(, $name = $value)*).into_owned()
    }};
}
pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn env(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        }
    }

    #[test]
    fn the_language_is_the_flag_then_our_variable_then_the_locale() {
        let zh = "zh_CN.UTF-8";
        for (flag, pairs, expected, why) in [
            (None, vec![], Lang::En, "nothing set"),
            (None, vec![("LANG", zh)], Lang::Zh, "LANG=zh_CN"),
            (
                None,
                vec![("LC_ALL", "C"), ("LANG", "zh_CN")],
                Lang::En,
                "LC_ALL beats LANG",
            ),
            (
                None,
                vec![("LC_ALL", ""), ("LC_MESSAGES", "zh_TW")],
                Lang::Zh,
                "an empty variable counts as unset",
            ),
            (
                None,
                vec![("OUTBOXD_LANG", "en"), ("LC_ALL", "zh_CN")],
                Lang::En,
                "ours beats the locale",
            ),
            (
                Some(Lang::Zh),
                vec![("OUTBOXD_LANG", "en")],
                Lang::Zh,
                "the flag beats all",
            ),
        ] {
            assert_eq!(Lang::pick(flag, env(&pairs)), expected, "{why}");
        }
    }

    fn texts(source: &str) -> BTreeMap<String, String> {
        fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
            for (name, value) in table {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                match value {
                    toml::Value::Table(inner) => flatten(&key, inner, into),
                    toml::Value::String(text) => {
                        into.insert(key, text.clone());
                    }
                    other => panic!("{key} is not a text: {other:?}"),
                }
            }
        }
        let mut all = BTreeMap::new();
        flatten("", &source.parse::<toml::Table>().unwrap(), &mut all);
        all
    }

    fn holes(text: &str) -> BTreeSet<&str> {
        text.split("%{")
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap())
            .collect()
    }

    #[test]
    fn both_languages_have_the_same_texts_with_the_same_holes() {
        let zh = texts(include_str!("zh.toml"));
        let en = texts(include_str!("en.toml"));
        assert_eq!(zh.keys().collect::<Vec<_>>(), en.keys().collect::<Vec<_>>());
        for (key, text) in &zh {
            assert_eq!(holes(text), holes(&en[key]), "{key}");
            assert!(
                !text.trim().is_empty() && !en[key].trim().is_empty(),
                "{key}"
            );
        }
    }

    /// A text asked for by a key that does not exist would be printed as its key.
    #[test]
    fn every_text_asked_for_exists_and_none_is_left_over() {
        let en = texts(include_str!("en.toml"));
        let mut asked = BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src"
        ))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let source = std::fs::read_to_string(&path).unwrap();
                    for word in source.split('"').skip(1) {
                        if en.contains_key(word) {
                            asked.insert(word.to_owned());
                        }
                    }
                    let flat: String = source.split_whitespace().collect();
                    for call in flat.split("say!(").skip(1) {
                        let Some(key) = call.split('"').nth(1) else {
                            continue;
                        };
                        let literal = call
                            .split_once(',')
                            .is_some_and(|(_, k)| k.starts_with('"'));
                        assert!(
                            !literal || en.contains_key(key),
                            "{}: {key}",
                            path.display()
                        );
                    }
                }
            }
        }
        let left_over: Vec<_> = en.keys().filter(|key| !asked.contains(*key)).collect();
        assert!(left_over.is_empty(), "texts nobody asks for: {left_over:?}");
    }
}
