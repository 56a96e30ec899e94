//! What every page has around it, and the small pieces its template asks for.

use chrono::{DateTime, SecondsFormat, Utc};

use super::assets;
use super::guard::FORM_TOKEN;
use super::visit::{Theme, Visit, shown};
use super::who::Means;
use crate::words::{Lang, Voice};

/// The pages in the head of every page: path, and the key of its name.
pub(super) const NAV: [(&str, &str); 9] = [
    ("/", "desk.nav.search"),
    ("/messages", "desk.nav.messages"),
    ("/dead", "desk.nav.dead"),
    ("/calls", "desk.nav.calls"),
    ("/bulk", "desk.nav.bulk"),
    ("/audit", "desk.nav.audit"),
    ("/overview", "desk.nav.overview"),
    ("/system", "desk.nav.system"),
    ("/help", "desk.nav.help"),
];

pub(super) struct Frame {
    visit: Visit,
    pub(super) title: String,
    /// The path of the page in [`NAV`] that is open.
    active: &'static str,
}

/// A link in the head.
pub(super) struct Link {
    pub(super) href: String,
    pub(super) text: String,
    pub(super) current: bool,
}

impl Frame {
    pub(super) fn new(visit: &Visit, title: impl Into<String>, active: &'static str) -> Frame {
        Frame {
            visit: visit.clone(),
            title: title.into(),
            active,
        }
    }

    /// A text of the desk without holes.
    pub(super) fn t(&self, key: &str) -> String {
        rust_i18n::t!(key, locale = self.lang()).into_owned()
    }

    pub(super) fn lang(&self) -> &'static str {
        self.visit.lang.word()
    }

    /// For `lang` attributes.
    pub(super) fn html_lang(&self) -> &'static str {
        match self.visit.lang {
            Lang::En => "en",
            Lang::Zh => "zh-CN",
        }
    }

    pub(super) fn theme(&self) -> &'static str {
        self.visit.theme.word()
    }

    /// The address of a path of ours.
    pub(super) fn at(&self, path: &str) -> String {
        self.visit.at(path)
    }

    pub(super) fn asset(&self, name: &str) -> String {
        self.at(&assets::path(name))
    }

    pub(super) fn links(&self) -> Vec<Link> {
        if self.visit.person.is_none() {
            return Vec::new();
        }
        let link = |(path, key): (&str, &str)| Link {
            href: self.at(path),
            text: self.t(key),
            current: path == self.active,
        };
        NAV.into_iter().map(link).collect()
    }

    pub(super) fn languages(&self) -> Vec<Link> {
        [(Lang::Zh, "中文"), (Lang::En, "English")]
            .map(|(lang, name)| Link {
                href: self.choosing("lang", lang.word()),
                text: name.to_owned(),
                current: lang == self.visit.lang,
            })
            .into()
    }

    pub(super) fn themes(&self) -> Vec<Link> {
        Theme::ALL
            .map(|theme| Link {
                href: self.choosing("theme", theme.word()),
                text: match theme {
                    Theme::Auto => self.t("desk.theme.auto"),
                    Theme::Light => self.t("desk.theme.light"),
                    Theme::Dark => self.t("desk.theme.dark"),
                },
                current: theme == self.visit.theme,
            })
            .into()
    }

    /// This page with a choice, which the guard turns into a cookie.
    fn choosing(&self, name: &str, word: &str) -> String {
        let here = self.visit.page();
        let mark = if here.contains('?') { '&' } else { '?' };
        self.at(&format!("{here}{mark}{name}={word}"))
    }

    pub(super) fn person(&self) -> Option<String> {
        let person = self.visit.person.as_ref()?;
        (person.by != Means::Here).then(|| shown(&person.name))
    }

    pub(super) fn is_in(&self) -> bool {
        self.visit.person.is_some()
    }

    pub(super) fn may_log_out(&self) -> bool {
        let person = self.visit.person.as_ref();
        person.is_some_and(|person| person.by == Means::Session)
    }

    /// Whether there are buttons.
    pub(super) fn may_act(&self) -> bool {
        self.visit.may_act()
    }

    pub(super) fn read_only(&self) -> bool {
        self.visit.desk.read_only
    }

    /// What every form carries.
    pub(super) fn csrf_field(&self) -> String {
        let person = self.visit.person.as_ref().map_or("", |person| &person.name);
        let token = self.visit.desk.keys.form_token(&self.visit.seed, person);
        format!(r#"<input type="hidden" name="{FORM_TOKEN}" value="{token}">"#)
    }
}

/// A moment on a page: how long ago it was, and exactly when, with the zone, on hover.
#[derive(Clone)]
pub(super) struct When {
    pub(super) iso: String,
    pub(super) exact: String,
    pub(super) short: String,
    pub(super) relative: String,
}

impl When {
    pub(super) fn of(at: DateTime<Utc>, voice: &Voice) -> When {
        let local = at.with_timezone(&voice.zone);
        When {
            iso: local.to_rfc3339_opts(SecondsFormat::Millis, false),
            exact: format!(
                "{} {}",
                local.format("%Y-%m-%d %H:%M:%S%.3f"),
                local.format("%Z (UTC%:z)")
            ),
            short: voice.exact(at),
            relative: voice.relative(at),
        }
    }
}
