//! Cookies that are not what they should be, and names under which the desk does not open.

use reqwest::Method;
use sqlx::PgPool;

use super::{Desk, ROWS};
use crate::harness::{number, run};

const SESSION: &str = "outboxd_desk";
const SEED: &str = "outboxd_form";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_cookie_but_the_desks_own_opens_it(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let other = Desk::staffed(&pool, &[]).await;
    let wang = desk.of("wang").await;
    let (session, seed) = (&wang.cookies[SESSION], &wang.cookies[SEED]);
    let elsewhere = other.of("wang").await.cookies[SESSION].clone();
    for (why, cookie) in [
        ("none", String::new()),
        ("empty", format!("{SESSION}=")),
        ("another desk's", format!("{SESSION}={elsewhere}")),
        ("the form's, under its name", format!("{SESSION}={seed}")),
        ("under the form's name", format!("{SEED}={session}")),
        (
            "cut off",
            format!("{SESSION}={}", &session[..session.len() - 4]),
        ),
        ("longer", format!("{SESSION}={session}{session}")),
        (
            "in other letters",
            format!("{SESSION}={}", session.to_lowercase()),
        ),
        ("very long", format!("{SESSION}={}", "A".repeat(8000))),
        (
            "followed by a forged one",
            format!("{SESSION}={session}; {SESSION}=x"),
        ),
    ] {
        for path in ["/messages/1002", "/api/messages/1002"] {
            let asked = desk.ask(Method::GET, path).header("cookie", &cookie);
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 401, "{why}: {path}");
            assert!(
                !answer.text().await.unwrap().contains("李女士"),
                "{why}: {path}"
            );
        }
    }
    // The control.
    let asked = desk
        .ask(Method::GET, "/messages/1002")
        .header("cookie", format!("{SESSION}={session}"));
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 200);
}

/// Whoever put something into a browser before its owner logged in has gained nothing.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_planted_before_the_login_is_of_no_use_after_it(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut stranger = desk.visitor();
    let form = stranger.get("/login").await;
    let token = form.hidden("form_token").unwrap();
    let mut wang = desk.visitor();
    wang.cookies = stranger.cookies.clone();
    let li = desk.of("li").await.cookies[SESSION].clone();
    wang.cookies.insert(SESSION.to_owned(), li);
    // The token was made for nobody, and she is li until she has logged in.
    let mine = wang.get("/messages/1002").await;
    let typed = [("name", "wang"), ("password", "correct horse")];
    wang.submit("/login", &mine, &typed).await.is(303);
    assert_ne!(wang.cookies[SEED], stranger.cookies[SEED]);
    wang.get("/").await.is(200).has("wang");
    for old in [token, mine.hidden("form_token").unwrap()] {
        let fields = [("form_token", &*old), ("reason", "r")];
        let page = wang.post_bare("/messages/1002/reveal", &fields, &[]).await;
        page.is(403).lacks("13800138000");
    }
    stranger.get("/").await.is(401);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        0
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn cookies_are_for_the_desk_alone(pool: PgPool) {
    for (url, path, secure) in [
        ("", "Path=/;", false),
        ("https://crm.example.com/outboxd", "Path=/outboxd/;", true),
    ] {
        let settings = [("OUTBOXD_DESK_URL", url)];
        let desk = Desk::staffed(&pool, &settings[usize::from(url.is_empty())..]).await;
        let prefix = url.strip_prefix("https://crm.example.com").unwrap_or("");
        let mut wang = desk.visitor();
        let form = wang.get(&format!("{prefix}/login")).await;
        let typed = [("name", "wang"), ("password", "correct horse")];
        let answer = wang.submit(&format!("{prefix}/login"), &form, &typed).await;
        answer.is(303);
        let cookies: Vec<&str> = answer
            .headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        for cookie in cookies {
            let cookie = format!("{cookie};");
            for word in ["HttpOnly;", "SameSite=Lax;", path] {
                assert!(cookie.contains(word), "{word} {cookie}");
            }
            assert_eq!(cookie.contains("Secure;"), secure, "{cookie}");
            assert!(!cookie.contains("Domain="), "{cookie}");
        }
    }
}

/// A foreign name that leads to this machine: its owner's page would be the desk's own in a browser's eyes.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_foreign_name_that_leads_here_opens_nothing(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::open(&pool, &[]).await;
    for (host, opens) in [
        ("127.0.0.1", true),
        ("127.0.0.1:9091", true),
        ("localhost:9091", true),
        ("[::1]:9091", true),
        ("evil.example", false),
        ("evil.example:9091", false),
        ("127.0.0.1.evil.example", false),
        ("localhost.evil.example", false),
        ("evil.example#127.0.0.1", false),
        ("127.0.0.1@evil.example", false),
        ("[::1].evil.example", false),
        ("0.0.0.0", false),
        ("10.0.0.1", false),
        ("", false),
    ] {
        for (method, path) in [
            (Method::GET, "/messages/1002"),
            (Method::GET, "/api/messages/1002"),
            (Method::GET, "/messages/export.csv"),
            (Method::POST, "/messages/1002/reveal"),
        ] {
            let asked = desk.ask(method.clone(), path).header("host", host);
            let answer = asked.send().await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            if opens {
                // An act still wants its token.
                let expected = if method == Method::GET { 200 } else { 403 };
                assert_eq!(status, expected, "{host}: {path}");
            } else {
                assert!([400, 421].contains(&status), "{host}: {path}: {status}");
                assert!(!body.contains("李女士"), "{host}: {path}");
            }
        }
    }
}
