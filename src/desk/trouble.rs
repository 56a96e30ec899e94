//! What a visitor reads instead of a page: a calm sentence, and what to do.
//!
//! A handler returns a [`Trouble`]; the guard, which knows the reader, makes a page or a JSON object of it ([`told`]).
//! No cause of ours is shown. What broke goes to the log under a number that the page shows, too.

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use rand::RngExt as _;
use serde_json::json;

use super::login;
use super::page::Frame;
use super::visit::{Answered, Visit, as_json};
use crate::answer::json::VERSION;
use crate::words::say;

#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody we know.
    LogIn,
    /// A wrong name or password, for the login page to say, and where to go once it is right.
    WrongPassword(String),
    /// Logged in too often in a minute; where to go once it succeeds.
    TooOften(String),
    /// This account has had too much shown in full within an hour.
    SeenMany,
    /// A viewer who wants to act.
    NoOperator,
    ReadOnly,
    /// It does not come from one of our pages.
    Forged,
    /// Asked by another site's name.
    Elsewhere,
    NoPage,
    NoSuchAct,
    /// No notification of this name.
    NotFound(String),
    /// No app of this name.
    NoApp(String),
    /// Two notifications of this id.
    TwoBearIt(String),
    /// No redrive of this number.
    NoBulk(String),
    /// Not to be understood.
    Unasked,
    /// A filter that cannot be meant, with the sentence about it.
    Asked(String),
    /// An act without its reason.
    NoReason,
    Slow,
    Busy,
    Away,
    /// It is there, and does not let this login in, or has no database of this name.
    ShutOut,
    /// The tables are missing, or older than this program.
    NoSchema,
    /// The database's role may not do it.
    NoRight,
    /// The database takes no changes.
    Standby,
    Broken(anyhow::Error),
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Trouble::LogIn | Trouble::WrongPassword(_) => StatusCode::UNAUTHORIZED,
            Trouble::TooOften(_) | Trouble::SeenMany => StatusCode::TOO_MANY_REQUESTS,
            Trouble::NoOperator | Trouble::ReadOnly | Trouble::Forged => StatusCode::FORBIDDEN,
            Trouble::Elsewhere => StatusCode::MISDIRECTED_REQUEST,
            Trouble::NoPage | Trouble::NotFound(_) | Trouble::NoApp(_) | Trouble::NoBulk(_) => {
                StatusCode::NOT_FOUND
            }
            Trouble::TwoBearIt(_) => StatusCode::CONFLICT,
            Trouble::NoSuchAct => StatusCode::METHOD_NOT_ALLOWED,
            Trouble::Unasked | Trouble::Asked(_) | Trouble::NoReason => StatusCode::BAD_REQUEST,
            Trouble::Slow
            | Trouble::Busy
            | Trouble::Away
            | Trouble::ShutOut
            | Trouble::NoSchema
            | Trouble::Standby => StatusCode::SERVICE_UNAVAILABLE,
            Trouble::NoRight | Trouble::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Itself, where it passes without anybody's doing, and is worth trying again as it is.
    pub(super) fn passing(&self) -> Option<Trouble> {
        match self {
            Trouble::Slow => Some(Trouble::Slow),
            Trouble::Busy => Some(Trouble::Busy),
            Trouble::Away => Some(Trouble::Away),
            Trouble::ShutOut => Some(Trouble::ShutOut),
            _ => None,
        }
    }

    /// The stable word in JSON.
    fn word(&self) -> &'static str {
        match self {
            Trouble::LogIn => "log_in",
            Trouble::WrongPassword(_) => "wrong_password",
            Trouble::TooOften(_) => "too_often",
            Trouble::SeenMany => "seen_many",
            Trouble::NoOperator => "no_operator",
            Trouble::ReadOnly => "read_only",
            Trouble::Forged => "forged",
            Trouble::Elsewhere => "elsewhere",
            Trouble::NoPage => "no_page",
            Trouble::NoSuchAct => "no_such_act",
            Trouble::NotFound(_) | Trouble::NoBulk(_) => "not_found",
            Trouble::NoApp(_) => "no_app",
            Trouble::TwoBearIt(_) => "two_bear_it",
            Trouble::Unasked | Trouble::Asked(_) => "not_understood",
            Trouble::NoReason => "no_reason",
            Trouble::Slow => "too_slow",
            Trouble::Busy => "busy",
            Trouble::Away => "database_away",
            Trouble::ShutOut => "database_refuses",
            Trouble::NoSchema => "no_schema",
            Trouble::NoRight => "no_right",
            Trouble::Standby => "standby",
            Trouble::Broken(_) => "broken",
        }
    }

    /// What is the matter, and what to do.
    fn said(&self, visit: &Visit, number: u32) -> (String, String) {
        let lang = visit.lang;
        match self {
            Trouble::LogIn => (say!(lang, "desk.trouble.log_in"), login::whom_to_ask(visit)),
            Trouble::WrongPassword(_) => (
                say!(lang, "desk.trouble.wrong_password"),
                login::whom_to_ask(visit),
            ),
            Trouble::TooOften(_) => (
                say!(lang, "desk.trouble.too_often"),
                say!(lang, "desk.trouble.too_often_next"),
            ),
            Trouble::SeenMany => (
                say!(lang, "desk.trouble.seen_many"),
                say!(lang, "desk.trouble.seen_many_next"),
            ),
            Trouble::NoOperator => (
                say!(lang, "desk.trouble.no_operator"),
                say!(lang, "desk.trouble.no_operator_next"),
            ),
            Trouble::ReadOnly => (
                say!(lang, "desk.trouble.read_only"),
                say!(lang, "desk.trouble.read_only_next"),
            ),
            Trouble::Forged => (
                say!(lang, "desk.trouble.forged"),
                say!(lang, "desk.trouble.forged_next"),
            ),
            Trouble::Elsewhere => (
                say!(lang, "desk.trouble.elsewhere"),
                say!(lang, "desk.trouble.elsewhere_next"),
            ),
            Trouble::NoPage => (
                say!(lang, "desk.trouble.no_page"),
                say!(lang, "desk.trouble.no_page_next"),
            ),
            Trouble::NoSuchAct => (
                say!(lang, "desk.trouble.no_such_act"),
                say!(lang, "desk.trouble.no_page_next"),
            ),
            Trouble::NotFound(name) => (
                say!(lang, "none.id", id = name),
                say!(lang, "desk.trouble.no_page_next"),
            ),
            Trouble::NoApp(name) => (
                say!(lang, "desk.trouble.no_app", app = name),
                say!(lang, "desk.trouble.no_app_next"),
            ),
            Trouble::TwoBearIt(name) => (
                say!(lang, "desk.trouble.two_bear_it", id = name),
                say!(lang, "desk.trouble.two_bear_it_next"),
            ),
            Trouble::NoBulk(name) => (
                say!(lang, "desk.trouble.no_bulk", id = name),
                say!(lang, "desk.trouble.no_bulk_next"),
            ),
            Trouble::Unasked => (
                say!(lang, "desk.trouble.unasked"),
                say!(lang, "desk.trouble.no_page_next"),
            ),
            Trouble::Asked(sentence) => (sentence.clone(), say!(lang, "desk.asked.next")),
            Trouble::NoReason => (
                say!(lang, "desk.trouble.no_reason"),
                say!(lang, "desk.trouble.no_reason_next"),
            ),
            Trouble::Slow => (
                say!(lang, "desk.trouble.slow"),
                say!(lang, "desk.trouble.slow_next"),
            ),
            Trouble::Busy => (
                say!(lang, "desk.trouble.busy"),
                say!(lang, "desk.trouble.busy_next"),
            ),
            Trouble::Away => (
                say!(lang, "desk.trouble.away"),
                say!(lang, "desk.trouble.away_next"),
            ),
            Trouble::ShutOut => (
                say!(lang, "desk.trouble.shut_out"),
                say!(lang, "desk.trouble.shut_out_next"),
            ),
            Trouble::NoSchema => (
                say!(lang, "desk.trouble.no_schema"),
                say!(lang, "desk.trouble.no_schema_next"),
            ),
            Trouble::NoRight => (
                say!(lang, "desk.trouble.no_right"),
                say!(lang, "desk.trouble.no_right_next"),
            ),
            Trouble::Standby => (
                say!(lang, "desk.trouble.standby"),
                say!(lang, "desk.trouble.standby_next"),
            ),
            Trouble::Broken(_) => (
                say!(lang, "desk.trouble.broken"),
                say!(lang, "desk.trouble.broken_next", number = number),
            ),
        }
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Trouble {
        match error.downcast::<sqlx::Error>() {
            Ok(error) => error.into(),
            Err(error) => Trouble::Broken(error),
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Trouble {
        let state = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed => return Trouble::Away,
            sqlx::Error::Database(database) => database.code().unwrap_or_default().into_owned(),
            _ => String::new(),
        };
        match state.as_str() {
            // A character that no text of the database holds: nobody types it.
            "22021" | "22P05" => Trouble::Unasked,
            "57014" => Trouble::Slow,
            "55P03" | "40P01" | "40001" => Trouble::Busy,
            "42P01" | "42883" | "3F000" | "42703" => Trouble::NoSchema,
            "42501" => Trouble::NoRight,
            "25006" => Trouble::Standby,
            "3D000" | "28P01" | "28000" => Trouble::ShutOut,
            // Shutting down, starting up, too many connections.
            state
                if ["57P", "08", "53"]
                    .iter()
                    .any(|class| state.starts_with(class)) =>
            {
                Trouble::Away
            }
            _ => Trouble::Broken(error.into()),
        }
    }
}

/// The trouble travels with the response until the guard finds words for it.
impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

pub(super) async fn no_page() -> Trouble {
    Trouble::NoPage
}

pub(super) async fn no_such_act() -> Trouble {
    Trouble::NoSuchAct
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    frame: Frame,
    happened: String,
    next: String,
    /// With the form to log in.
    login: Option<login::Form>,
    /// Worth trying again as it is.
    again: bool,
}

/// The response with its trouble told in the reader's words; any other response as it is.
pub(super) fn told(response: Response, visit: &Visit) -> Response {
    let trouble = match response.extensions().get::<Arc<Trouble>>() {
        Some(trouble) => trouble.clone(),
        None if response.extensions().get::<Answered>().is_some() => return response,
        // What the framework could not read.
        None if response.status().is_client_error() => Arc::new(Trouble::Unasked),
        None => return response,
    };
    let number: u32 = rand::rng().random_range(100_000..1_000_000);
    if let Trouble::Broken(error) = &*trouble {
        tracing::error!(
            number,
            error = format!("{error:#}"),
            "a page of the desk broke"
        );
    }
    let (happened, next) = trouble.said(visit, number);
    let mut answer = if visit.json {
        as_json(&json!({
            "version": VERSION, "error": trouble.word(), "happened": happened, "next": next,
        }))
    } else {
        let page = TroublePage {
            frame: Frame::new(visit, happened.clone(), ""),
            login: match &*trouble {
                Trouble::LogIn => login::Form::of(visit, visit.page()),
                Trouble::WrongPassword(next) | Trouble::TooOften(next) => {
                    login::Form::of(visit, next)
                }
                _ => None,
            },
            again: trouble.passing().is_some(),
            happened,
            next,
        };
        match page.render() {
            Ok(page) => Html(page).into_response(),
            Err(_) => page.happened.into_response(),
        }
    };
    *answer.status_mut() = trouble.status();
    // Which methods there are.
    for (name, value) in response.headers() {
        if name == axum::http::header::ALLOW {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}
