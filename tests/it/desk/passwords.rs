//! Names and passwords shown with the request, as programs and `curl -u` do: whom they let in, how often, and for what.

use reqwest::{Method, RequestBuilder};
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{Desk, Page, ROWS};
use crate::harness::{number, run};

const WANG: (&str, &str) = ("wang", "correct horse");

fn as_who(
    desk: &Desk,
    method: Method,
    path: &str,
    (name, password): (&str, &str),
) -> RequestBuilder {
    desk.ask(method, path).basic_auth(name, Some(password))
}

async fn get(desk: &Desk, path: &str, who: (&str, &str)) -> Page {
    Page::of(as_who(desk, Method::GET, path, who).send().await.unwrap()).await
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_program_may_show_a_name_and_a_password(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    for path in [
        "/api/search?q=10086",
        "/messages/export.csv",
        "/messages/1002",
    ] {
        get(&desk, path, WANG).await.is(200).has("10086");
    }
    get(&desk, "/messages/1002", WANG).await.has("/reveal");
    let li = ("li", "battery staple");
    get(&desk, "/messages/1002", li)
        .await
        .is(200)
        .lacks("/reveal");
    for who in [
        ("wang", "battery staple"),
        ("nobody", "correct horse"),
        ("crm", "x"),
    ] {
        let refused = get(&desk, "/api/search?q=10086", who).await;
        assert_eq!(refused.is(401).json()["error"], "wrong_password", "{who:?}");
    }
    // Whoever is struck out is out, whatever is remembered.
    std::fs::write(desk.users(), "").unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let file = std::fs::File::options().write(true).open(desk.users());
    file.unwrap().set_modified(later).unwrap();
    get(&desk, "/api/search?q=10086", WANG).await.is(401);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn programs_are_asked_for_a_password_and_people_have_the_form(pool: PgPool) {
    let desk = Desk::staffed(&pool, &[]).await;
    let asked = "Basic realm=\"outboxd\", charset=\"UTF-8\"";
    let nobody = desk.get("/api/pulse").await;
    assert_eq!(nobody.is(401).header("www-authenticate"), asked);
    let wrong = get(&desk, "/api/pulse", ("wang", "guess")).await;
    assert_eq!(wrong.is(401).header("www-authenticate"), asked);
    // A browser would ask in a box of its own.
    let mut browser = desk.visitor();
    for path in ["/", "/messages/export.csv", "/api/pulse"] {
        let page = browser.get(path).await;
        assert_eq!(page.is(401).header("www-authenticate"), "", "{path}");
    }
    get(&desk, "/", ("wang", "guess"))
        .await
        .is(401)
        .has("name=\"password\"")
        .lacks("用户名或密码不对");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_right_password_may_come_often_and_a_guess_may_not(pool: PgPool) {
    let desk = Desk::staffed(&pool, &[]).await;
    let mut asked = JoinSet::new();
    for _ in 0..40 {
        asked.spawn(as_who(&desk, Method::GET, "/api/pulse", WANG).send());
    }
    for answer in asked.join_all().await {
        assert_eq!(answer.unwrap().status().as_u16(), 200);
    }
    let mut seen = Vec::new();
    for n in 0..5 {
        let guess = format!("guess {n}");
        seen.push(get(&desk, "/api/pulse", ("wang", &guess)).await.status);
    }
    assert_eq!(seen, [401, 401, 401, 401, 429]);
    // Nor does what is remembered say any more which guess is right.
    get(&desk, "/api/pulse", WANG).await.is(429);
    // The form counts the same tries; others go on.
    let typed = [("name", "wang"), ("password", "guess")];
    desk.visitor().post("/login", &typed).await.is(429);
    get(&desk, "/api/pulse", ("li", "battery staple"))
        .await
        .is(200);
}

/// A browser goes on showing what a proxy in front of us has asked for: the same one is no new guess.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_browser_shows_a_proxy_uses_up_no_tries(pool: PgPool) {
    let desk = Desk::staffed(&pool, &[]).await;
    for _ in 0..40 {
        get(&desk, "/", ("wang", "the proxy's"))
            .await
            .is(401)
            .has("name=\"password\"");
    }
    let typed = [("name", WANG.0), ("password", WANG.1)];
    desk.visitor().post("/login", &typed).await.is(303);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_password_that_a_browser_keeps_lets_no_other_site_act(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, token) = Desk::with_people(&pool, &[]).await;
    let path = "/messages/1002/reveal";
    let act = |fields: &[(&str, &str)]| {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        desk.ask(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.finish())
    };
    let by_wang = |request: RequestBuilder| request.basic_auth(WANG.0, Some(WANG.1));
    let mut browser = desk.visitor();
    let page = browser
        .send(by_wang(desk.ask(Method::GET, "/messages/1002")))
        .await;
    let form_token = page.hidden("form_token").unwrap();
    let (reason, right) = (("reason", "r"), ("form_token", &*form_token));
    for (why, request) in [
        ("no token", act(&[reason])),
        ("a guess", act(&[reason, ("form_token", "guess")])),
        (
            "another site",
            act(&[reason, right]).header("sec-fetch-site", "cross-site"),
        ),
        (
            "another origin",
            act(&[reason, right]).header("origin", "https://evil.example"),
        ),
    ] {
        let page = browser.send(by_wang(request)).await;
        assert_eq!(page.status, 403, "{why}");
        page.lacks("13800138000");
    }
    let revealed = "select count(*) from outboxd.audit_log";
    assert_eq!(number(&pool, revealed).await, 0);
    let page = browser.send(by_wang(act(&[reason, right]))).await;
    page.is(200).has("13800138000");
    // A program has a token of its own, which no browser sends by itself.
    let page = Page::of(act(&[reason]).bearer_auth(&token).send().await.unwrap()).await;
    page.is(200);
    assert_eq!(number(&pool, revealed).await, 2);
}
