//! Coming in with name and password, and leaving.

use askama::Template;
use axum::Form as Body;
use axum::extract::Query;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::guard::{own_path, set_cookie};
use super::page::Frame;
use super::password;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::words::mask::safe;
use crate::words::say;

/// What the form needs; on a page of its own, or where somebody was turned away.
pub(super) struct Form {
    /// Where to go afterwards, behind the prefix.
    pub(super) next: String,
}

impl Form {
    /// There is a form only where passwords are taken.
    pub(super) fn of(visit: &Visit, next: &str) -> Option<Form> {
        visit.desk.door.users.as_ref()?;
        Some(Form {
            next: own_path(next),
        })
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    login: Option<Form>,
    whom_to_ask: String,
}

#[derive(Deserialize)]
pub(super) struct Back {
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Given {
    name: String,
    password: String,
    next: Option<String>,
}

pub(super) async fn form(visit: Visit, Query(back): Query<Back>) -> Result<Response, Trouble> {
    let page = LoginPage {
        frame: Frame::new(&visit, say!(visit.lang, "desk.login.title"), ""),
        login: Form::of(&visit, &back.next.unwrap_or_default()),
        whom_to_ask: whom_to_ask(&visit),
    };
    visit.answer(&page, || serde_json::Value::Null)
}

pub(super) async fn login(visit: Visit, Body(given): Body<Given>) -> Result<Response, Trouble> {
    let desk = &visit.desk;
    let next = own_path(&given.next.unwrap_or_default());
    let user = password::user(&visit, &given.name, given.password, &next).await?;
    tracing::info!(user = %safe(&user.name), address = %visit.address, "logged in to the desk");
    let mut response = Redirect::to(&visit.at(&next)).into_response();
    let session = desk
        .keys
        .open_session(&user, chrono::Utc::now().timestamp());
    set_cookie(response.headers_mut(), desk, session);
    // A new seed as well: what somebody saw before is of no use now.
    set_cookie(response.headers_mut(), desk, desk.keys.new_seed().1);
    Ok(response)
}

pub(super) async fn logout(visit: Visit, headers: HeaderMap) -> Response {
    let now = chrono::Utc::now().timestamp();
    let ended = visit.desk.keys.end_session(&headers, now);
    let mut response = Redirect::to(&visit.at("/")).into_response();
    set_cookie(response.headers_mut(), &visit.desk, ended);
    response
}

/// Whom to ask, and what that person has to set.
pub(super) fn whom_to_ask(visit: &Visit) -> String {
    match visit.desk.door.users {
        Some(_) => say!(visit.lang, "desk.login.ask_users"),
        None => say!(visit.lang, "desk.login.ask_proxy"),
    }
}
