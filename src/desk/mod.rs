//! The desk: pages on which support sees what became of a message and why, and operators act.
//!
//! ```text
//! request ──guard──▶ who is it, may they, in which language ──▶ page handler ──▶ outbox::inspect, outbox::act
//!                                                                   │
//!                    page or JSON, or a Trouble with its sentence ◀─┘
//! ```
//!
//! Nothing here decides anything about a notification: a page asks `crate::answer` and [`crate::outbox`], as the
//! command line does, and renders. Every page is whole without JavaScript; scripts only make it quicker.
//!
//! To add a page:
//! 1. a file with its handler, `async fn list(visit: Visit, …) -> Result<Response, Trouble>`. It reads in one
//!    `visit.desk.lines.read()`, and ends in `visit.answer(&Page {…}, document)`: the page and its JSON;
//! 2. `pages/NAME.html`, which begins with `{% extends "frame.html" %}`; a struct with `frame: Frame` first;
//! 3. a line in `all`, which serves it at `/NAME` and `/api/NAME`, and, if it belongs there, one in `page::NAV`;
//! 4. its texts in `src/words/desk.zh.toml` and `desk.en.toml`, asked for by `frame.t("desk.…")` or `say!`.
//!
//! An act is a POST form with `{{ frame.csrf_field()|safe }}` to a path under its page's; its handler begins with
//! `visit.operator(reason)?`. The guard has then seen to origin, form token and read-only mode.

mod act;
mod asked;
mod assets;
mod audit;
mod badge;
mod bulk;
mod calls;
mod card;
mod csv;
mod dead;
mod export;
mod guard;
mod help;
mod kept;
mod limit;
mod lines;
mod login;
mod message;
mod messages;
mod openapi;
mod overview;
mod page;
mod password;
mod period;
mod pulse;
mod search;
mod session;
mod start;
mod stream;
mod system;
mod trouble;
mod users;
mod visit;
mod who;

pub use start::{Open, open};
pub use users::{Role, line_for_password, line_for_token};

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use chrono_tz::Tz;

use crate::config::Labels;
use crate::lang::Lang;
use lines::Lines;

/// What every page has at hand.
struct Desk {
    lines: Lines,
    driver: bulk::drive::Driver,
    door: who::Door,
    keys: session::Keys,
    passwords: password::Passwords,
    reveals: limit::Reveals,
    /// Before every path; empty, or like `/outboxd`.
    prefix: String,
    /// Where people come from, when a proxy stands before us: `https://crm.example.com`.
    origin: Option<url::Origin>,
    secure: bool,
    read_only: bool,
    lang: Lang,
    zone: Tz,
    labels: Labels,
    overview: overview::Known,
    settings: system::Settings,
    badges: badge::Badges,
}

/// Every page, at its path and, as JSON, at the same path under `/api`.
fn pages(desk: &Arc<Desk>) -> Router {
    let mut routes = Routes::of(&desk.prefix);
    all(&mut routes);
    if !desk.prefix.is_empty() {
        let router = std::mem::take(&mut routes.router);
        routes.router = router.route(&desk.prefix, get(search::home));
    }
    routes
        .router
        .fallback(trouble::no_page)
        .method_not_allowed_fallback(trouble::no_such_act)
        .layer(DefaultBodyLimit::max(64 * 1024))
        .layer(axum::middleware::from_fn_with_state(
            desk.clone(),
            guard::guard,
        ))
}

/// The paths. What is under `/api` is described in `openapi.json`; a test sees to it.
fn all(routes: &mut Routes<'_>) {
    routes.page("/search", get(search::search));
    routes.page("/messages/{name}", get(message::message));
    routes.page("/pulse", get(pulse::pulse));
    routes.page("/messages", get(messages::messages));
    routes.page("/messages/{name}/{act}", get(act::form).post(act::act));
    routes.page("/bulk", get(bulk::list));
    routes.page("/bulk/new", get(bulk::new).post(bulk::plan));
    routes.page("/bulk/{id}", get(bulk::one).post(bulk::order));
    routes.plain("/bulk/{id}/progress", get(bulk::progress));
    routes.plain("/messages/newer", get(messages::newer));
    routes.page("/messages/export.csv", get(export::csv));
    routes.page("/messages/export.json", get(export::json));
    routes.page("/dead", get(dead::dead));
    routes.page("/dead/export.csv", get(dead::export));
    routes.page("/calls", get(calls::calls));
    routes.page("/calls/export.csv", get(calls::export));
    routes.page("/calls/handled", post(calls::handled));
    routes.plain("/calls/reveal", post(calls::reveal));
    routes.page("/audit", get(audit::audit));
    routes.page("/audit/export.csv", get(audit::csv));
    routes.page("/audit/export.json", get(audit::json));
    routes.page("/overview", get(overview::overview));
    routes.page("/system", get(system::system));
    routes.page("/system/pause", post(system::pause));
    routes.page("/system/resume", post(system::resume));
    routes.page("/badge/{customer}/{recipient}", get(badge::badge));
    routes.plain("/badge/{customer}/{recipient}/image.svg", get(badge::image));
    routes.plain("/api/openapi.json", get(openapi::document));
    routes.plain("/messages/{name}/sheet", get(message::sheet));
    routes.plain("/messages/{name}/reveal", post(message::reveal));
    routes.page("/help", get(help::help));
    routes.plain("/login", get(login::form).post(login::login));
    routes.plain("/logout", post(login::logout));
    routes.plain("/assets/{hash}/{name}", get(assets::asset));
    routes.plain("/robots.txt", get(assets::robots));
    routes.plain("/livez", get(assets::alive));
    routes.plain("/", get(search::home));
}

struct Routes<'a> {
    prefix: &'a str,
    router: Router,
    /// The paths, behind the prefix.
    paths: Vec<String>,
}

impl<'a> Routes<'a> {
    fn of(prefix: &'a str) -> Routes<'a> {
        Routes {
            prefix,
            router: Router::new(),
            paths: Vec::new(),
        }
    }

    fn page(&mut self, path: &str, methods: MethodRouter) {
        self.plain(path, methods.clone());
        self.plain(&format!("/api{path}"), methods);
    }

    fn plain(&mut self, path: &str, methods: MethodRouter) {
        self.paths.push(path.to_owned());
        let router = std::mem::take(&mut self.router);
        self.router = router.route(&format!("{}{path}", self.prefix), methods);
    }
}
