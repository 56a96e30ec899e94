//! What another site can have a browser do: nothing. Every act of the desk, sent in every wrong way by somebody who may
//! act; and every page, which changes nothing by being looked at.

use reqwest::Method;
use sqlx::PgPool;

use super::desk::{Route, STAGE, typed};
use crate::desk::{Desk, Page, Visitor};
use crate::harness::run;

/// One act on each route that takes one.
const ACTS: [&str; 12] = [
    "/messages/1002/resend",
    "/messages/1002/handled",
    "/messages/1002/redirect",
    "/messages/1002/correct",
    "/messages/2001/cancel",
    "/messages/1002/reveal",
    "/calls/handled",
    "/calls/reveal",
    "/bulk/new",
    "/bulk/1",
    "/system/pause",
    "/system/resume",
];

const FORM: &str = "application/x-www-form-urlencoded";

/// What is in the tables, in a few letters.
async fn books(pool: &PgPool) -> String {
    sqlx::query_scalar(
        "select md5(concat((select string_agg(t::text, '' order by id) from outboxd.notification_outbox t),
                           (select string_agg(t::text, '' order by id) from outboxd.notification_delivery t),
                           (select string_agg(t::text, '' order by id) from outboxd.audit_log t),
                           (select string_agg(t::text, '' order by id) from outboxd.bulk_redrive t),
                           (select string_agg(t::text, '' order by app) from outboxd.app_state t),
                           (select string_agg(t::text, '' order by key) from outboxd.notification_handled t)))",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Its form, as somebody who may act would send it.
async fn form(wang: &mut Visitor<'_>, act: &str) -> Vec<(&'static str, String)> {
    let page = match act {
        "/calls/handled" | "/calls/reveal" => wang.get("/calls").await,
        "/messages/2001/cancel" | "/messages/1002/handled" => wang.get(act).await,
        _ => wang.get("/messages/1002/resend").await,
    };
    let mut fields: Vec<(&str, String)> = typed(act)
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    for name in ["form_token", "seen"] {
        // A filter has no version.
        if (act, name) == ("/bulk/new", "seen") {
            continue;
        }
        fields.push((name, page.hidden(name).unwrap()));
    }
    fields
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_act_is_done_that_no_page_of_ours_sent(pool: PgPool) {
    run(&pool, STAGE).await;
    let (desk, token) = Desk::with_people(&pool, &[]).await;
    let other = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let hers = desk.of("chen").await.form_token().await;
    let elsewhere = other.of("wang").await.form_token().await;
    for route in Route::all().iter().filter(|it| it.method == "POST") {
        let is_the_door = ["/login", "/logout"].contains(&&*route.path);
        let known = ACTS
            .iter()
            .any(|act| Route::of(&Route::all(), &Method::POST, act) == route);
        assert!(known || is_the_door, "no act on {route:?}");
    }
    for act in ACTS {
        let twin = Route::of(&Route::all(), &Method::POST, act).twin;
        for path in [act.to_owned(), format!("/api{act}")]
            .into_iter()
            .take(1 + usize::from(twin))
        {
            let fields = form(&mut wang, act).await;
            let with = |token: &str| {
                let mut fields = fields.clone();
                for field in fields.iter_mut().filter(|field| field.0 == "form_token") {
                    field.1 = token.to_owned();
                }
                fields
            };
            let site = "sec-fetch-site";
            let before = books(&pool).await;
            for (why, fields, headers) in [
                ("no token", with(""), vec![]),
                ("a guessed token", with("guess"), vec![]),
                ("a colleague's token", with(&hers), vec![]),
                ("another desk's token", with(&elsewhere), vec![]),
                ("another site", fields.clone(), vec![(site, "cross-site")]),
                ("a sister site", fields.clone(), vec![(site, "same-site")]),
                (
                    "an odd site",
                    fields.clone(),
                    vec![(site, "same-origin, none")],
                ),
                (
                    "another origin",
                    fields.clone(),
                    vec![("origin", "https://evil.example")],
                ),
                ("a hidden origin", fields.clone(), vec![("origin", "null")]),
                (
                    "our name in another origin",
                    fields.clone(),
                    vec![("origin", "http://127.0.0.1.evil.example")],
                ),
                (
                    "another port",
                    fields.clone(),
                    vec![("origin", "http://127.0.0.1:1")],
                ),
                (
                    "a guessed header",
                    with(""),
                    vec![("x-form-token", "guess")],
                ),
            ] {
                let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, &**v)).collect();
                let page = wang.post_bare(&path, &pairs, &headers).await;
                assert_eq!(page.status, 403, "{path}, {why}");
                page.lacks("13800138000");
            }
            // What a form of another site can be sent as, without asking first.
            let pairs = fields.iter().map(|(n, v)| (*n, v.as_str()));
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish();
            for kind in [
                "text/plain",
                "multipart/form-data; boundary=x",
                "application/json",
                "",
            ] {
                let asked = desk
                    .ask(Method::POST, &path)
                    .header("content-type", kind)
                    .body(body.clone());
                let page = wang.send(asked).await;
                assert!(
                    (400..500).contains(&page.status),
                    "{path} as {kind:?}: {}",
                    page.status
                );
            }
            // What no browser adds by itself does not help a browser that another site has sent.
            let asked = desk
                .ask(Method::POST, &path)
                .bearer_auth(&token)
                .header(site, "cross-site");
            let page = Page::of(
                asked
                    .header("content-type", FORM)
                    .body(body.clone())
                    .send()
                    .await
                    .unwrap(),
            )
            .await;
            assert_eq!(page.status, 403, "{path}, a token from another site");
            for method in [
                Method::GET,
                Method::HEAD,
                Method::PUT,
                Method::DELETE,
                Method::PATCH,
            ] {
                let asked = desk.ask(method.clone(), &format!("{path}?{body}"));
                wang.send(asked).await;
            }
            assert_eq!(books(&pool).await, before, "{path}");
            // The control: the same, from our page.
            let asked = desk
                .ask(Method::POST, &path)
                .header(site, "same-origin")
                .header("origin", &desk.base);
            let page = wang
                .send(asked.header("content-type", FORM).body(body))
                .await;
            assert!(
                (200..400).contains(&page.status),
                "{path}: {} {}",
                page.status,
                page.body
            );
            assert!(
                books(&pool).await != before || act == "/system/resume",
                "{path} does nothing at all"
            );
            run(&pool, STAGE).await;
        }
    }
}
