//! The guard before every page: who is it, may they, and in which form do they get their answer.
//!
//! What changes something is let through only from our own pages: the browser says where it comes from, and the form
//! carries a token that no other site can read. A page once begun is finished even when nobody waits for it any more,
//! so that no statement is left half-way on its connection.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use cookie::Cookie;
use tokio::time::timeout;

use super::badge;
use super::trouble::Trouble;
use super::visit::{LANG, THEME, Theme, Visit, known_language, language};
use super::who::{Means, host, means_this_machine};
use super::{Desk, password, session};
use crate::port::PATIENCE;

/// The form's field, and the header, that carry the token.
pub(super) const FORM_TOKEN: &str = "form_token";
const TOKEN_HEADER: &str = "x-form-token";

pub(super) async fn guard(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let (mut visit, new_seed) = visit(&desk, &request, peer);
    let known = know(&mut visit, request.headers()).await;
    let immutable = visit.here.starts_with("/assets/");
    let dressed = visit.clone();
    let page = tokio::spawn(async move {
        let admitted = match known {
            Ok(()) => admit(&visit, request).await,
            Err(trouble) => Err(trouble),
        };
        match admitted {
            Ok(Admitted::Page(mut request)) => {
                request.extensions_mut().insert(visit);
                next.run(*request).await
            }
            Ok(Admitted::Chosen(response)) => response,
            Err(trouble) => trouble.into_response(),
        }
    });
    let mut response = match page.await {
        Ok(response) if badge::is_for_others(&response) => response,
        Ok(response) => super::trouble::told(response, &dressed),
        Err(panic) => {
            let trouble = Trouble::Broken(anyhow::Error::from(panic).context("a page broke off"));
            super::trouble::told(trouble.into_response(), &dressed)
        }
    };
    let for_others = badge::is_for_others(&response);
    // A browser that has been on our pages has the form, and would put a box of its own over them.
    if response.status() == StatusCode::UNAUTHORIZED
        && dressed.json
        && desk.door.users.is_some()
        && new_seed.is_some()
    {
        let asked = HeaderValue::from_static(r#"Basic realm="outboxd", charset="UTF-8""#);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, asked);
    }
    if let Some(cookie) = new_seed.filter(|_| !immutable && !for_others && !dressed.json) {
        set_cookie(response.headers_mut(), &desk, cookie);
    }
    protect(response.headers_mut());
    if for_others {
        badge::dress(response.headers_mut(), &desk.badges);
    }
    response
}

pub(super) fn set_cookie(headers: &mut HeaderMap, desk: &Desk, cookie: Cookie<'static>) {
    let text = session::dressed(cookie, &desk.prefix, desk.secure);
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Who it is and how they read.
fn visit(
    desk: &Arc<Desk>,
    request: &Request,
    peer: SocketAddr,
) -> (Visit, Option<Cookie<'static>>) {
    let headers = request.headers();
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let here = path.strip_prefix(&*desk.prefix).unwrap_or(path).to_owned();
    let (seed, new_seed) = match desk.keys.seed(headers) {
        Some(seed) => (seed, None),
        None => {
            let (seed, cookie) = desk.keys.new_seed();
            (seed, Some(cookie))
        }
    };
    let now = chrono::Utc::now().timestamp();
    let visit = Visit {
        person: desk.door.who(headers, peer.ip(), &desk.keys, now),
        lang: language(headers, desk.lang),
        theme: Theme::chosen(headers),
        seed,
        act: !matches!(*request.method(), Method::GET | Method::HEAD),
        json: here.starts_with("/api/"),
        here,
        address: desk.door.address(headers, peer.ip()),
        desk: desk.clone(),
    };
    (visit, new_seed)
}

/// A password that the request shows is compared only where somebody has to be known, and nothing else says who it is.
async fn know(visit: &mut Visit, headers: &HeaderMap) -> Result<(), Trouble> {
    if visit.person.is_none() && !is_for_all(visit) {
        visit.person = password::in_request(visit, headers).await?;
    }
    Ok(())
}

/// What is shown to everybody. Logging in and out changes nothing but the visitor's own cookie.
fn is_for_all(visit: &Visit) -> bool {
    let path = visit.path();
    ["/login", "/logout", "/robots.txt", "/livez"].contains(&path)
        || path.starts_with("/assets/")
        || !visit.act && badge::is_one(path)
}

enum Admitted {
    Page(Box<Request>),
    /// The reader has chosen a language or a theme; back to the same page.
    Chosen(Response),
}

/// Lets the request through, or says why not.
async fn admit(visit: &Visit, request: Request) -> Result<Admitted, Trouble> {
    at_our_name(visit, &request)?;
    if !visit.act
        && !badge::is_one(visit.path())
        && let Some(response) = chosen(visit, request.uri())
    {
        return Ok(Admitted::Chosen(response));
    }
    let for_all = is_for_all(visit);
    if visit.person.is_none() && !for_all {
        return Err(Trouble::LogIn);
    }
    if !visit.act {
        return Ok(Admitted::Page(Box::new(request)));
    }
    if visit.desk.read_only && !for_all {
        return Err(Trouble::ReadOnly);
    }
    from_our_page(visit, request).await
}

/// Where nobody has to say who they are, a foreign name that leads to this machine must not lead into the desk, nor a
/// proxy that passes visitors on. Most say so in a header; nginx 1.22 says nothing, and speaks HTTP/1.0.
fn at_our_name(visit: &Visit, request: &Request) -> Result<(), Trouble> {
    if !visit.desk.door.stands_open() {
        return Ok(());
    }
    let headers = request.headers();
    let passed_on = request.version() < Version::HTTP_11
        || headers.keys().map(HeaderName::as_str).any(|name| {
            ["forwarded", "via", "x-real-ip"].contains(&name) || name.starts_with("x-forwarded-")
        });
    if !passed_on && means_this_machine(host(headers).unwrap_or_default()) {
        return Ok(());
    }
    Err(Trouble::Elsewhere)
}

/// `?lang=zh` and `?theme=dark` choose, on every page.
fn chosen(visit: &Visit, uri: &Uri) -> Option<Response> {
    let query = uri.query()?;
    let mut rest = url::form_urlencoded::Serializer::new(String::new());
    let mut cookies = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let known = match &*name {
            LANG => known_language(&value).map(|lang| (LANG, lang.word())),
            THEME => Theme::ALL
                .into_iter()
                .find(|theme| theme.word() == value)
                .map(|theme| (THEME, theme.word())),
            _ => None,
        };
        match known {
            Some((name, word)) => {
                let mut cookie = Cookie::new(name, word);
                cookie.set_max_age(cookie::time::Duration::days(365));
                cookies.push(cookie);
            }
            None => {
                rest.append_pair(&name, &value);
            }
        }
    }
    if cookies.is_empty() || visit.json {
        return None;
    }
    let rest = rest.finish();
    let mark = if rest.is_empty() { "" } else { "?" };
    let mut response =
        Redirect::to(&format!("{}{mark}{rest}", own_path(uri.path()))).into_response();
    for cookie in cookies {
        set_cookie(response.headers_mut(), &visit.desk, cookie);
    }
    Some(response)
}

/// A path that stays on this host: `//elsewhere` would not, nor would it with a tab between, which a browser passes over.
pub(super) fn own_path(path: &str) -> String {
    let path: String = path.chars().filter(|c| !c.is_control()).collect();
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

/// Only our own pages may have something done.
async fn from_our_page(visit: &Visit, request: Request) -> Result<Admitted, Trouble> {
    let headers = request.headers();
    if !is_ours(visit, headers) {
        return Err(Trouble::Forged);
    }
    let given = headers.get(TOKEN_HEADER).and_then(|v| v.to_str().ok());
    let given = given.map(str::to_owned);
    let (parts, body) = request.into_parts();
    let bytes = match timeout(PATIENCE, to_bytes(body, 64 * 1024)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) | Err(_) => return Err(Trouble::Unasked),
    };
    let whole = |parts, bytes| {
        let request = Request::from_parts(parts, Body::from(bytes));
        Ok(Admitted::Page(Box::new(request)))
    };
    let by = visit.person.as_ref().map(|person| person.by);
    if by == Some(Means::Token) {
        return whole(parts, bytes);
    }
    let given = given.or_else(|| {
        url::form_urlencoded::parse(&bytes)
            .find(|(name, _)| name == FORM_TOKEN)
            .map(|(_, value)| value.into_owned())
    });
    let person = visit.person.as_ref().map_or("", |person| &person.name);
    let right =
        given.is_some_and(|given| visit.desk.keys.is_form_token(&given, &visit.seed, person));
    if !right {
        return Err(Trouble::Forged);
    }
    whole(parts, bytes)
}

/// Whether the browser says that one of our pages sent this. What says nothing at all is no browser of today, and has
/// the token to show.
fn is_ours(visit: &Visit, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.parse::<url::Url>() else {
        return false;
    };
    match &visit.desk.origin {
        Some(ours) => origin.origin() == *ours,
        None => {
            let port = origin
                .port()
                .map_or_else(String::new, |port| format!(":{port}"));
            let host = origin.host_str().unwrap_or_default();
            text(header::HOST)
                .is_some_and(|ours| ours.eq_ignore_ascii_case(&format!("{host}{port}")))
        }
    }
}

/// What every answer says to the browser: nothing from elsewhere, kept nowhere, shown in no frame.
fn protect(headers: &mut HeaderMap) {
    const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=()",
        ),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn a_way_back_stays_here() {
        for (path, expected) in [
            ("/messages/7", "/messages/7"),
            ("//elsewhere.example/x", "/elsewhere.example/x"),
            ("/\\elsewhere.example", "/elsewhere.example"),
            ("/\t/elsewhere.example", "/elsewhere.example"),
            ("\n/\r\\elsewhere.example", "/elsewhere.example"),
            ("https://elsewhere.example", "/https://elsewhere.example"),
        ] {
            assert_eq!(own_path(path), expected);
        }
    }
}
