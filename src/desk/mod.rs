//! The desk: pages on which support sees what became of a message and why, and operators act.
//!
//! ```text
//! request ──guard──▶ who is it, may they, in which language ──▶ page handler ──▶ outbox::inspect, outbox::act
//!                                                                   │
//!                    page or JSON, or a Trouble with its sentence ◀─┘
//! ```
//!
//! Nothing here decides anything about a notification: a page asks [`crate::answer`] and [`crate::outbox`], as the
//! command line does, and renders. Every page is whole without JavaScript; scripts only make it quicker.
//!
//! To add a page:
//! 1. a file with its handler, `async fn list(visit: Visit, …) -> Result<Response, Trouble>`. It reads in one
//!    `visit.desk.lines.read()`, and ends in `visit.answer(&Page {…}, document)`: the page and its JSON;
//! 2. `pages/NAME.html`, which begins with `{% extends "frame.html" %}`; a struct with `frame: Frame` first;
//! 3. a line in [`pages`], which serves it at `/NAME` and `/api/NAME`, and, if it belongs there, one in `page::NAV`;
//! 4. its texts in `src/words/desk.zh.toml` and `desk.en.toml`, asked for by `frame.t("desk.…")` or `say!`.
//!
//! An act is a POST form with `{{ frame.csrf_field()|safe }}` to a path under its page's; its handler begins with
//! `visit.operator(reason)?`. The guard has then seen to origin, form token and read-only mode.

mod act;
mod assets;
mod bulk;
mod card;
mod guard;
mod help;
mod limit;
mod lines;
mod login;
mod message;
mod page;
mod pulse;
mod search;
mod session;
mod start;
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
use crate::outbox::slices::Paths;
use lines::Lines;

/// What every page has at hand.
struct Desk {
    lines: Lines,
    driver: bulk::drive::Driver,
    door: who::Door,
    keys: session::Keys,
    logins: limit::Logins,
    pulse: pulse::Pulse,
    /// Before every path; empty, or like `/outboxd`.
    prefix: String,
    /// Where people come from, when a proxy stands before us: `https://crm.example.com`.
    origin: Option<url::Origin>,
    secure: bool,
    read_only: bool,
    lang: Lang,
    zone: Tz,
    labels: Labels,
    /// The same, as the search takes them.
    paths: Paths,
}

/// Every page, at its path and, as JSON, at the same path under `/api`.
fn pages(desk: &Arc<Desk>) -> Router {
    let mut routes = Routes {
        prefix: &desk.prefix,
        router: Router::new(),
    };
    routes.page("/search", get(search::search));
    routes.page("/messages/{name}", get(message::message));
    routes.page("/pulse", get(pulse::pulse));
    routes.page("/messages/{name}/{act}", get(act::form).post(act::act));
    routes.page("/bulk", get(bulk::list));
    routes.page("/bulk/new", get(bulk::new).post(bulk::plan));
    routes.page("/bulk/{id}", get(bulk::one).post(bulk::order));
    routes.plain("/bulk/{id}/progress", get(bulk::progress));
    routes.plain("/messages/{name}/sheet", get(message::sheet));
    routes.plain("/messages/{name}/reveal", post(message::reveal));
    routes.plain("/help", get(help::help));
    routes.plain("/login", get(login::form).post(login::login));
    routes.plain("/logout", post(login::logout));
    routes.plain("/assets/{hash}/{name}", get(assets::asset));
    routes.plain("/robots.txt", get(assets::robots));
    routes.plain("/livez", get(assets::alive));
    routes.plain("/", get(search::home));
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

struct Routes<'a> {
    prefix: &'a str,
    router: Router,
}

impl Routes<'_> {
    fn page(&mut self, path: &str, methods: MethodRouter) {
        self.plain(path, methods.clone());
        self.plain(&format!("/api{path}"), methods);
    }

    fn plain(&mut self, path: &str, methods: MethodRouter) {
        let router = std::mem::take(&mut self.router);
        self.router = router.route(&format!("{}{path}", self.prefix), methods);
    }
}
