//! Who gets in, who may act, and what other sites cannot have done.

use outboxd::config::Misplaced;
use reqwest::Method;
use sqlx::PgPool;

use super::{Desk, ROWS};
use crate::harness::{number, run};

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn closed_by_default_where_others_could_reach_it(pool: PgPool) {
    let open = [("OUTBOXD_DESK_LISTEN", "0.0.0.0:0")];
    let refused = Desk::try_open(&pool, &open).await.err().unwrap();
    let Misplaced(words) = refused.downcast_ref::<Misplaced>().unwrap();
    assert!(words.en.contains("OUTBOXD_DESK_USERS"), "{}", words.en);
    // On this machine it opens, and only under this machine's names.
    let desk = Desk::open(&pool, &[]).await;
    assert_eq!(desk.get("/").await.status, 200);
    let foreign = desk.ask(Method::GET, "/").header("host", "evil.example");
    assert_eq!(foreign.send().await.unwrap().status().as_u16(), 421);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nobody_sees_a_page_without_being_somebody(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, token) = Desk::with_people(&pool, &[]).await;
    for path in [
        "/",
        "/search?q=10086",
        "/messages/1002",
        "/messages/1002/sheet",
        "/pulse",
        "/help",
        "/nothing",
    ] {
        let page = desk.get(path).await;
        assert_eq!(page.status, 401, "{path}");
        page.lacks("李女士")
            .lacks("10086</")
            .has("OUTBOXD_DESK_USERS")
            .has("name=\"password\"");
    }
    let page = desk.get("/api/search?q=10086").await;
    assert_eq!(
        (page.status, page.json()["error"].as_str()),
        (401, Some("log_in"))
    );
    // A token opens it; a wrong one does not, whatever else comes with it.
    for (given, status) in [
        (format!("Bearer {token}"), 200),
        ("Bearer x".to_owned(), 401),
        ("Basic x".to_owned(), 401),
    ] {
        let asked = desk
            .ask(Method::GET, "/api/search?q=10086")
            .header("authorization", &given);
        assert_eq!(
            asked.send().await.unwrap().status().as_u16(),
            status,
            "{given}"
        );
    }
    // A header that no proxy of ours has written names nobody.
    let asked = desk
        .ask(Method::GET, "/")
        .header("x-forwarded-user", "wang");
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 401);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_session_is_opened_by_a_password_and_ends_with_its_line(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut wrong = desk.visitor();
    for (name, password) in [
        ("wang", "battery staple"),
        ("nobody", "correct horse"),
        ("crm", ""),
    ] {
        let page = wrong
            .post("/login", &[("name", name), ("password", password)])
            .await;
        assert_eq!(page.status, 401, "{name}");
        page.has("用户名或密码不对");
    }
    let mut wang = desk.of("wang").await;
    wang.get("/").await.has("wang");
    let session = wang.cookies["outboxd_desk"].clone();
    // A forged one: one character changed anywhere is nobody's.
    for at in [0, session.len() / 2, session.len() - 2] {
        let mut forged = session.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = format!("outboxd_desk={}", String::from_utf8(forged).unwrap());
        let asked = desk.ask(Method::GET, "/").header("cookie", forged);
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 401, "{at}");
    }
    // Whoever is struck out of the file is out.
    let lines = std::fs::read_to_string(desk.users()).unwrap();
    let left: Vec<&str> = lines
        .lines()
        .filter(|line| !line.starts_with("wang"))
        .collect();
    std::fs::write(desk.users(), left.join("\n")).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::options()
        .write(true)
        .open(desk.users())
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert_eq!(wang.get("/").await.status, 401);
    let (mut li, mut elsewhere) = (desk.of("li").await, desk.of("li").await);
    let mut copied = li.clone();
    copied.get("/").await.is(200);
    assert_eq!(li.post("/logout", &[]).await.status, 303);
    assert_eq!(li.get("/").await.status, 401);
    // Nor does a copy of its cookie open it any more; a session in another browser goes on.
    assert_eq!(copied.get("/").await.status, 401);
    elsewhere.get("/").await.is(200);
    // Whose session ran out over a form comes back to its page, which can be shown.
    let page = li
        .post_bare("/messages/1002/reveal", &[("reason", "r")], &[])
        .await;
    page.has("name=\"next\" value=\"/messages/1002\"");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_wrong_password_forgets_not_where_somebody_wanted_to_go(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut wang = desk.visitor();
    let wanted = "/messages?status=dead&limit=50";
    let to = ("next", wanted);
    let field = format!("name=\"next\" value=\"{}\"", wanted.replace('&', "&#38;"));
    wang.get(wanted).await.has(&field);
    for _ in 0..2 {
        let fields = [("name", "wang"), ("password", "wrong"), to];
        let page = wang.post("/login", &fields).await;
        assert_eq!(page.status, 401);
        page.has(&field);
    }
    let right = [("name", "wang"), ("password", "correct horse"), to];
    let page = wang.post("/login", &right).await;
    assert_eq!(page.status, 303);
    assert_eq!(page.headers["location"], wanted);
    // Not to another site, though.
    let mut li = desk.visitor();
    let elsewhere = [
        ("name", "li"),
        ("password", "wrong"),
        ("next", "//evil.example"),
    ];
    li.post("/login", &elsewhere)
        .await
        .has("value=\"/evil.example\"");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn guessing_passwords_is_slowed_down(pool: PgPool) {
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut guesser = desk.visitor();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let page = guesser
            .post("/login", &[("name", "wang"), ("password", "guess")])
            .await;
        seen.push(page.status);
    }
    assert_eq!(seen, [401, 401, 401, 401, 401, 429]);
    // Others go on.
    desk.of("li").await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn only_an_operator_on_our_own_page_acts_and_every_look_is_written_down(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let looked = "select count(*) from outboxd.audit_log where action = 'reveal'";
    let path = "/messages/1002/reveal";

    let mut li = desk.of("li").await;
    li.get("/messages/1002")
        .await
        .has("138****8000")
        .lacks("/reveal");
    assert_eq!(li.post(path, &[("reason", "curious")]).await.status, 403);

    let mut wang = desk.of("wang").await;
    wang.get("/messages/1002")
        .await
        .has("138****8000")
        .lacks("13800138000")
        .has("/reveal");
    let token = wang.form_token().await;
    let (reason, token) = (("reason", "complaint 7"), ("form_token", token.as_str()));
    let here = format!("http://{}", desk.base.trim_start_matches("http://"));
    for (fields, headers, why) in [
        (vec![reason], vec![], "no token"),
        (
            vec![reason, ("form_token", "guess")],
            vec![],
            "a guessed token",
        ),
        (
            vec![reason, token],
            vec![("sec-fetch-site", "cross-site")],
            "another site",
        ),
        (
            vec![reason, token],
            vec![("sec-fetch-site", "same-site")],
            "a sister site",
        ),
        (
            vec![reason, token],
            vec![("origin", "https://evil.example")],
            "another origin",
        ),
        (
            vec![reason, token],
            vec![("origin", "null")],
            "a hidden origin",
        ),
    ] {
        let page = wang.post_bare(path, &fields, &headers).await;
        assert_eq!(page.status, 403, "{why}");
        page.lacks("13800138000");
    }
    let li_token = li.form_token().await;
    let foreign = wang
        .post_bare(path, &[reason, ("form_token", &li_token)], &[])
        .await;
    assert_eq!(foreign.status, 403, "somebody else's token");
    assert_eq!(wang.post(path, &[("reason", "  ")]).await.status, 400);
    assert_eq!(number(&pool, looked).await, 0);

    let page = wang
        .post_bare(path, &[reason, token], &[("origin", &here)])
        .await;
    assert_eq!(page.status, 200);
    page.has("13800138000").has("complaint 7");
    assert_eq!(page.header("cache-control"), "no-store");
    let who = "select count(*) from outboxd.audit_log where action = 'reveal' and actor = 'wang'
                 and reason = 'complaint 7' and notification_ids = '{1002}'";
    assert_eq!(number(&pool, who).await, 1);
    wang.get("/messages/1002").await.lacks("13800138000");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn read_only_refuses_every_act_and_shows_no_button(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, token) = Desk::with_people(&pool, &[("OUTBOXD_DESK_READ_ONLY", "true")]).await;
    let mut wang = desk.of("wang").await;
    wang.get("/messages/1002")
        .await
        .has("只读")
        .lacks("/reveal");
    let page = wang.post("/messages/1002/reveal", &[("reason", "r")]).await;
    assert_eq!(page.status, 403);
    page.has("--read-only");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let asked = desk.ask(method.clone(), "/search").bearer_auth(&token);
        assert_eq!(
            asked.send().await.unwrap().status().as_u16(),
            403,
            "{method}"
        );
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_proxy_is_believed_from_its_own_address_only(pool: PgPool) {
    run(&pool, ROWS).await;
    let header = ("OUTBOXD_DESK_USER_HEADER", "X-Forwarded-User");
    let near = [
        header,
        ("OUTBOXD_DESK_PROXY", "127.0.0.1"),
        ("OUTBOXD_DESK_OPERATORS", "wang"),
    ];
    let desk = Desk::open(&pool, &near).await;
    let asked = |name: &str| {
        desk.ask(Method::GET, "/messages/1002")
            .header("x-forwarded-user", name)
    };
    let page = asked("wang").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("/reveal"), "{page}");
    let page = asked("li").send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("/reveal") && page.contains(">li<"), "{page}");
    assert_eq!(asked(" ").send().await.unwrap().status().as_u16(), 401);
    // A name is taken as it is, or not at all.
    for like_wang in [
        "wa\u{200b}ng",
        "wang\u{202e}",
        "\u{feff}wang",
        "wang\u{3000}",
    ] {
        let answer = asked(like_wang).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{like_wang:?}");
    }
    let unreadable = reqwest::header::HeaderValue::from_bytes(b"wang\xff").unwrap();
    let unreadable = desk
        .ask(Method::GET, "/")
        .header("x-forwarded-user", unreadable);
    assert_eq!(unreadable.send().await.unwrap().status().as_u16(), 401);
    let twice = asked("li").header("x-forwarded-user", "wang");
    assert_eq!(twice.send().await.unwrap().status().as_u16(), 401);
    let page = desk.get("/").await;
    assert_eq!(page.status, 401);
    page.has("OUTBOXD_DESK_PROXY").lacks("name=\"password\"");

    let far = Desk::open(&pool, &[header, ("OUTBOXD_DESK_PROXY", "10.0.0.0/24")]).await;
    let asked = far.ask(Method::GET, "/").header("x-forwarded-user", "wang");
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 401);
}
