//! A badge for a CRM's page: how the newest message about a customer to one recipient stands, in plain words and with no
//! personal data in it. The CRM signs each address; whoever has one sees this badge and nothing else, until it expires.
//!
//! ```text
//! sig = hex(HMAC-SHA-256(secret, JSON of [customer, recipient, expires]))
//! /badge/CUSTOMER/RECIPIENT?expires=UNIX_SECONDS&sig=SIG              to frame
//! /badge/CUSTOMER/RECIPIENT/image.svg?…      /api/badge/…?…            to show as an image; for programs
//! ```
//!
//! It is the one page that others may frame, and the one without a person: the guard asks [`is_one`] and [`dress`].

mod door;

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::HeaderMap;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, X_FRAME_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use self::door::{Door, Refused, Signed};
use super::assets;
use super::kept::Kept;
use super::page::When;
use super::trouble::Trouble;
use super::visit::{Visit, as_json, known_language};
use crate::answer::json::{VERSION, stamp};
use crate::answer::{Card, Sought, cards, nothing};
use crate::config::BadgeConfig;
use crate::lang::Lang;
use crate::outbox::inspect;
use crate::words::cause::role;
use crate::words::label::cells;
use crate::words::{Voice, say};

/// How long a browser, and this desk, keep an answer.
const FRESH: Duration = Duration::from_secs(10);

pub(super) struct Badges {
    /// None without a secret: there are no badges then.
    door: Option<Door>,
    policy: HeaderValue,
    /// One is asked for at a time: support's pages come first.
    known: Kept<(String, String, &'static str), Standing>,
}

impl Badges {
    pub(super) fn new(told: &BadgeConfig) -> Badges {
        let mut pages: Vec<String> = told
            .origins
            .iter()
            .map(url::Origin::ascii_serialization)
            .collect();
        if pages.is_empty() {
            pages.push("'none'".to_owned());
        }
        let policy = format!(
            "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors {}",
            pages.join(" ")
        );
        Badges {
            door: told.secret.clone().map(Door::new),
            policy: HeaderValue::from_str(&policy).expect("an origin is plain ASCII"),
            known: Kept::new(FRESH),
        }
    }
}

/// Whether a path behind the prefix is a badge's.
pub(super) fn is_one(path: &str) -> bool {
    path.starts_with("/badge/") || path.starts_with("/api/badge/")
}

/// The mark of a response that the CRM's pages may frame.
#[derive(Clone)]
struct ForOthers;

pub(super) fn is_for_others(response: &Response) -> bool {
    response.extensions().get::<ForOthers>().is_some()
}

/// After the guard has shut every door: the CRM's pages may show this one answer.
pub(super) fn dress(headers: &mut HeaderMap, badges: &Badges) {
    headers.insert(CONTENT_SECURITY_POLICY, badges.policy.clone());
    headers.remove(X_FRAME_OPTIONS);
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
}

/// How it stands, without a name.
#[derive(Clone)]
struct Standing {
    word: &'static str,
    mark: &'static str,
    tone: &'static str,
    name: String,
    means: String,
    since: Option<(When, String)>,
    who: &'static str,
}

#[derive(Template)]
#[template(path = "badge.html")]
struct BadgePage<'a> {
    lang: &'static str,
    css: String,
    icon: String,
    tone: &'a str,
    mark: &'a str,
    name: &'a str,
    means: &'a str,
    since: Option<&'a When>,
}

#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
struct BadgeImage<'a> {
    lang: &'static str,
    width: usize,
    colour: &'static str,
    mark: &'a str,
    name: &'a str,
    means: &'a str,
}

pub(super) async fn badge(
    visit: Visit,
    Path((customer, recipient)): Path<(String, String)>,
    Query(signed): Query<Signed>,
) -> Result<Response, Trouble> {
    let lang = language(&visit, &signed);
    let standing = standing(&visit, &customer, &recipient, &signed, lang).await?;
    if visit.json {
        return Ok(for_others(as_json(&object(&standing, lang)), &standing));
    }
    let html_lang = match lang {
        Lang::En => "en",
        Lang::Zh => "zh-CN",
    };
    let refusal;
    let page = match &standing {
        Ok(it) => BadgePage {
            lang: html_lang,
            css: visit.at(&assets::path("desk.css")),
            icon: visit.at(&assets::path("icon.svg")),
            tone: it.tone,
            mark: it.mark,
            name: &it.name,
            means: &it.means,
            since: it.since.as_ref().map(|(when, _)| when),
        },
        Err(refused) => {
            refusal = refused.said(lang);
            BadgePage {
                lang: html_lang,
                css: visit.at(&assets::path("desk.css")),
                icon: visit.at(&assets::path("icon.svg")),
                tone: "quiet",
                mark: "!",
                name: &refusal.0,
                means: &refusal.1,
                since: None,
            }
        }
    };
    let html = page.render().map_err(anyhow::Error::from)?;
    Ok(for_others(Html(html).into_response(), &standing))
}

pub(super) async fn image(
    visit: Visit,
    Path((customer, recipient)): Path<(String, String)>,
    Query(signed): Query<Signed>,
) -> Result<Response, Trouble> {
    let lang = language(&visit, &signed);
    let standing = standing(&visit, &customer, &recipient, &signed, lang).await?;
    let refusal;
    let (tone, mark, name, means) = match &standing {
        Ok(it) => (it.tone, it.mark, &it.name, &it.means),
        Err(refused) => {
            refusal = refused.said(lang);
            ("quiet", "!", &refusal.0, &refusal.1)
        }
    };
    let image = BadgeImage {
        lang: lang.word(),
        width: 34 + cells(name) * 15 / 2,
        colour: match tone {
            "good" => "#0b6b53",
            "bad" => "#b3261e",
            "waiting" => "#80540a",
            _ => "#55625d",
        },
        mark,
        name,
        means,
    };
    let svg = image.render().map_err(anyhow::Error::from)?;
    let response = ([(CONTENT_TYPE, "image/svg+xml")], svg).into_response();
    Ok(for_others(response, &standing))
}

fn language(visit: &Visit, signed: &Signed) -> Lang {
    let named = signed.lang.as_deref().and_then(known_language);
    named.unwrap_or(visit.lang)
}

/// The standing, if the address is signed and not asked for too often; [`Trouble`] only where there are no badges.
async fn standing(
    visit: &Visit,
    customer: &str,
    recipient: &str,
    signed: &Signed,
    lang: Lang,
) -> Result<Result<Standing, Refused>, Trouble> {
    let badges = &visit.desk.badges;
    let door = badges.door.as_ref().ok_or(Trouble::NoPage)?;
    if let Err(refused) = door.admit(visit.address, customer, recipient, signed) {
        return Ok(Err(refused));
    }
    let key = (customer.to_owned(), recipient.to_owned(), lang.word());
    let known = badges
        .known
        .get(key, || newest(visit, customer, recipient, lang));
    Ok(known.await.map_err(|trouble| {
        tracing::warn!(?trouble, "a badge has no answer");
        Refused::Away
    }))
}

async fn newest(
    visit: &Visit,
    customer: &str,
    recipient: &str,
    lang: Lang,
) -> Result<Standing, Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = Voice {
        lang,
        ..visit.voice(&mut tx).await?
    };
    let hits = inspect::newest_between(&mut tx, customer, recipient).await?;
    let mut read = inspect::read(&mut tx, &hits).await?;
    read.truncate(1);
    let found = cards(&mut tx, &voice, read).await?;
    let standing = match found.first() {
        Some(card) => Standing::of(card, &voice),
        None => {
            let last = inspect::last_written(&mut tx).await?;
            let who = nothing(&voice, &Sought::Customer(customer), last).who;
            Standing {
                word: "no_message",
                mark: "∅",
                tone: "quiet",
                name: say!(voice, "desk.search.none"),
                means: say!(voice, "desk.badge.none_means"),
                since: None,
                who: role(who),
            }
        }
    };
    tx.commit().await?;
    Ok(standing)
}

impl Standing {
    /// The verdict's own sentences may name people, so these are the words that may be passed on.
    fn of(card: &Card, voice: &Voice) -> Standing {
        let (it, verdict) = (&card.it, &card.verdict);
        let (mark, tone) = card.mark(voice);
        Standing {
            word: it.standing.word(),
            mark,
            tone: tone.word(),
            name: card.standing(voice),
            means: card.means(voice),
            since: Some((When::of(verdict.since, voice), stamp(verdict.since, voice))),
            who: role(verdict.who),
        }
    }
}

fn object(standing: &Result<Standing, Refused>, lang: Lang) -> Value {
    match standing {
        Ok(it) => json!({
            "version": VERSION, "status": it.word, "mark": it.mark, "tone": it.tone, "name": it.name,
            "means": it.means, "since": it.since.as_ref().map(|(_, stamp)| stamp), "who": it.who,
        }),
        Err(refused) => {
            let (happened, next) = refused.said(lang);
            json!({"version": VERSION, "error": refused.word(), "happened": happened, "next": next})
        }
    }
}

fn for_others(mut response: Response, standing: &Result<Standing, Refused>) -> Response {
    match standing {
        Ok(_) => {
            let keep = HeaderValue::from_static("private, max-age=10");
            response.headers_mut().insert(CACHE_CONTROL, keep);
        }
        Err(refused) => *response.status_mut() = refused.status(),
    }
    response.extensions_mut().insert(ForOthers);
    response
}
