//! One request's visitor, as every handler gets it: who it is, how they read, and what they may do.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::guard::own_path;
use super::trouble::Trouble;
use super::users::Role;
use super::who::Person;
use super::{Desk, session};
use crate::answer::json::harmless;
use crate::delivery::clean;
use crate::lang::Lang;
use crate::outbox::act::By;
use crate::outbox::inspect;
use crate::words::mask::{mask, safe};
use crate::words::{Place, Voice};

/// The cookies of what a reader has chosen, and the parameters that choose.
pub(super) const LANG: &str = "lang";
pub(super) const THEME: &str = "theme";

/// Travels with a response that has its own words, whatever its status.
#[derive(Clone)]
pub(super) struct Answered;

#[derive(Clone)]
pub(super) struct Visit {
    pub(super) desk: Arc<Desk>,
    /// `None` only on the few pages that everybody may see.
    pub(super) person: Option<Person>,
    pub(super) lang: Lang,
    pub(super) theme: Theme,
    /// What this browser's form tokens are made from.
    pub(super) seed: String,
    /// The path and query asked for, behind the prefix.
    pub(super) here: String,
    /// Something is to be done, not shown.
    pub(super) act: bool,
    /// Under `/api`.
    pub(super) json: bool,
    pub(super) address: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Theme; 3] = [Theme::Auto, Theme::Light, Theme::Dark];

    pub(super) fn word(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    pub(super) fn chosen(headers: &HeaderMap) -> Theme {
        let chosen = session::choice(headers, THEME).unwrap_or_default();
        Theme::ALL
            .into_iter()
            .find(|theme| theme.word() == chosen)
            .unwrap_or(Theme::Auto)
    }
}

/// The reader's language: chosen here, else the browser's, else the one that is configured.
pub(super) fn language(headers: &HeaderMap, configured: Lang) -> Lang {
    let chosen = session::choice(headers, LANG);
    if let Some(lang) = chosen.as_deref().and_then(known_language) {
        return lang;
    }
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok());
    accepted
        .unwrap_or_default()
        .split(',')
        .find_map(|entry| known_language(entry.split(['-', ';']).next().unwrap_or_default().trim()))
        .unwrap_or(configured)
}

pub(super) fn known_language(word: &str) -> Option<Lang> {
    [Lang::Zh, Lang::En]
        .into_iter()
        .find(|lang| lang.word().eq_ignore_ascii_case(word))
}

impl Visit {
    /// The voice of this moment, on the database's clock.
    pub(super) async fn voice(&self, conn: &mut PgConnection) -> Result<Voice, Trouble> {
        Ok(Voice {
            lang: self.lang,
            place: Place::Desk,
            zone: self.desk.zone,
            now: inspect::now(conn).await?,
        })
    }

    /// Whether there are buttons.
    pub(super) fn may_act(&self) -> bool {
        self.may_act_or_why().is_ok()
    }

    /// The page of an act is for those who may act; the others are told why not.
    pub(super) fn may_act_or_why(&self) -> Result<(), Trouble> {
        self.may_try()?;
        match self.desk.lines.may_act() {
            true => Ok(()),
            false => Err(Trouble::NoRight),
        }
    }

    /// The act itself leaves it to the database whether its login may: a right that was given a moment ago is enough.
    pub(super) fn may_try(&self) -> Result<(), Trouble> {
        let operator = |person: &Person| person.role == Role::Operator;
        match self.person.as_ref().is_some_and(operator) {
            _ if self.desk.read_only => Err(Trouble::ReadOnly),
            true => Ok(()),
            false => Err(Trouble::NoOperator),
        }
    }

    /// Who acts, if they may; every act begins here.
    pub(super) fn operator(&self, reason: &str) -> Result<By, Trouble> {
        self.may_try()?;
        match &self.person {
            Some(person) => Ok(By {
                // Whoever is called by a telephone number is somebody in the log, and masked where it is shown.
                actor: clean(&person.name),
                reason: Some(safe(reason.trim())).filter(|reason| !reason.is_empty()),
            }),
            None => Err(Trouble::NoOperator),
        }
    }

    /// What is masked is shown in full so often and no more.
    pub(super) fn may_see_one_more(&self, by: &By) -> Result<(), Trouble> {
        if self.desk.reveals.may_see(&by.actor) {
            return Ok(());
        }
        tracing::warn!(user = %safe(&by.actor), address = %self.address, "very much was to be shown in full at the desk");
        Err(Trouble::SeenMany)
    }

    /// The page to come back to. An act is posted to a path under its page's.
    pub(super) fn page(&self) -> &str {
        match self.here.rsplit_once('/') {
            Some(("", _)) if self.act => "/",
            Some((page, _)) if self.act => page,
            Some(_) | None => &self.here,
        }
    }

    /// The path asked for.
    pub(super) fn path(&self) -> &str {
        self.here.split('?').next().unwrap_or_default()
    }

    /// Where a path of ours is. One that somebody asked for may begin as an address elsewhere does.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{}", self.desk.prefix, own_path(path))
    }

    /// The page, or under `/api` its document.
    pub(super) fn answer(
        &self,
        page: &impl Template,
        document: impl FnOnce() -> Value,
    ) -> Result<Response, Trouble> {
        self.answer_as(StatusCode::OK, page, document)
    }

    /// The same for a page that says why something was not done.
    pub(super) fn answer_as(
        &self,
        status: StatusCode,
        page: &impl Template,
        document: impl FnOnce() -> Value,
    ) -> Result<Response, Trouble> {
        let mut response = if self.json {
            as_json(&document())
        } else {
            Html(page.render().map_err(anyhow::Error::from)?).into_response()
        };
        *response.status_mut() = status;
        response.extensions_mut().insert(Answered);
        Ok(response)
    }
}

pub(super) fn as_json(document: &Value) -> Response {
    let kind = [(CONTENT_TYPE, "application/json; charset=utf-8")];
    (kind, harmless(&format!("{document:#}\n"))).into_response()
}

/// A text as a page shows it: its first characters, without what could be obeyed, masked.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let text: String = mask(text)
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect();
    safe(&text)
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visit, Infallible> {
        Ok(parts
            .extensions
            .get::<Visit>()
            .cloned()
            .expect("the guard stands before every page"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_readers_language_is_chosen_then_the_browsers_then_configured() {
        for (cookie, accept, expected) in [
            ("", "", Lang::Zh),
            ("", "fr, en-GB;q=0.8, zh;q=0.5", Lang::En),
            ("", "zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("lang=en", "zh-CN", Lang::En),
            ("lang=<script>", "en", Lang::En),
            ("theme=dark; lang=zh", "en", Lang::Zh),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", HeaderValue::from_static(cookie));
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accept));
            assert_eq!(language(&headers, Lang::Zh), expected, "{cookie} {accept}");
        }
    }
}
