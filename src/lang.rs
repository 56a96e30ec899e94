//! The two languages people read. Flags, status words, columns and JSON stay English in both.

/// The language of sentences: messages, command line, desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

impl Lang {
    /// The word in the settings, in `lang` attributes and in the names of text files.
    pub fn word(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh",
        }
    }

    /// The language of a locale name such as `zh_CN.UTF-8`.
    pub fn of_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("zh") {
            Lang::Zh
        } else {
            Lang::En
        }
    }

    /// Which language to speak: the flag, else `OUTBOXD_LANG`, else the first of `LC_ALL`, `LC_MESSAGES` and
    /// `LANG` that is set, as gettext reads them.
    pub fn pick(flag: Option<Lang>, env: impl Fn(&str) -> Option<String>) -> Lang {
        flag.unwrap_or_else(|| {
            ["OUTBOXD_LANG", "LC_ALL", "LC_MESSAGES", "LANG"]
                .into_iter()
                .filter_map(env)
                .find(|value| !value.is_empty() && value != "auto")
                .map_or(Lang::En, |value| Lang::of_locale(&value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Lang;

    #[test]
    fn languages_of_locales() {
        assert_eq!(Lang::of_locale("zh_CN.UTF-8"), Lang::Zh);
        assert_eq!(Lang::of_locale("C.UTF-8"), Lang::En);
        assert_eq!(Lang::of_locale(""), Lang::En);
    }
}
