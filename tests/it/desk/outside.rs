//! What comes to the desk from outside: through a proxy, over connections that keep silent, in characters nobody types.

use std::time::Duration;

use outboxd::config::Misplaced;
use reqwest::{Method, RequestBuilder};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Desk, Page, ROWS};
use crate::harness::run;

/// What it says when it does not open.
async fn refused(pool: &PgPool, settings: &[(&str, &str)]) -> String {
    let opened = Desk::try_open(pool, settings).await;
    let refused = opened.err().unwrap_or_else(|| panic!("{settings:?} opens"));
    let Misplaced(words) = refused.downcast_ref().unwrap();
    words.en.to_string()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_public_name_wants_people_who_log_in(pool: PgPool) {
    for url in ["https://crm.example.com/outboxd", "http://10.0.0.1:9091"] {
        let said = refused(&pool, &[("OUTBOXD_DESK_URL", url)]).await;
        assert!(said.contains(url), "{said}");
        assert!(said.contains("OUTBOXD_DESK_USERS"), "{said}");
        Desk::staffed(&pool, &[("OUTBOXD_DESK_URL", url)]).await;
    }
    for url in [
        "http://127.0.0.1:9091/",
        "http://[::1]/",
        "http://localhost/",
    ] {
        let desk = Desk::open(&pool, &[("OUTBOXD_DESK_URL", url)]).await;
        desk.get("/").await.is(200);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn whoever_a_proxy_passes_on_is_not_on_this_machine(pool: PgPool) {
    let (open, staffed) = (
        Desk::open(&pool, &[]).await,
        Desk::staffed(&pool, &[]).await,
    );
    for header in [
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-real-ip",
    ] {
        for (desk, status) in [(&open, 421), (&staffed, 401)] {
            let asked = desk.ask(Method::GET, "/").header(header, "203.0.113.9");
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{header}");
        }
    }
    // What nginx 1.22 sends where nothing but `proxy_pass` is said.
    for (desk, status) in [(&open, "421"), (&staffed, "401")] {
        let address = desk.base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let asked = format!("GET / HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert!(
            heard.starts_with(&format!("HTTP/1.0 {status}")),
            "{status}: {heard}"
        );
    }
    open.get("/").await.is(200);
}

/// A proxy that asks for a password of its own hands that on, unless told otherwise.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_shown_to_the_proxy_locks_nobody_out(pool: PgPool) {
    run(&pool, ROWS).await;
    let names = [
        ("OUTBOXD_DESK_PROXY", "127.0.0.1"),
        ("OUTBOXD_DESK_USER_HEADER", "X-Forwarded-User"),
    ];
    let alone = Desk::open(&pool, &names).await;
    let (both, token) = Desk::with_people(&pool, &names).await;
    // zhao:the proxy's; wang:correct horse
    let (foreign, wangs) = (
        "Basic emhhbzp0aGUgcHJveHkncw==",
        "Basic d2FuZzpjb3JyZWN0IGhvcnNl",
    );
    let crm = format!("Bearer {token}");
    for (desk, shown, expected) in [
        (&alone, foreign, Some("zhao")),
        (&alone, "Bearer of.the.proxy", Some("zhao")),
        (&alone, "Negotiate oYG2", Some("zhao")),
        (&both, foreign, Some("zhao")),
        (&both, "Negotiate oYG2", Some("zhao")),
        // Whom the proxy names, not whose password it is.
        (&both, wangs, Some("zhao")),
        (&both, &crm, Some("crm")),
        // A token that is wrong, or was struck out, is no visitor under another name.
        (&both, "Bearer of.the.proxy", None),
        (&both, "bearer of.the.proxy", None),
        (&both, "Bearer", None),
    ] {
        let asked = desk.ask(Method::GET, "/").header("authorization", shown);
        let answer = asked.header("x-forwarded-user", "zhao").send().await;
        let page = Page::of(answer.unwrap()).await;
        match expected {
            Some(name) => page.is(200).has(&format!(">{name}<")),
            None => page.is(401),
        };
    }
    // Nor is it in the way of whoever logs in behind it.
    let desk = Desk::staffed(&pool, &names[..1]).await;
    let mut wang = desk.visitor();
    let with = |asked: RequestBuilder| asked.header("authorization", foreign);
    let form = wang.send(with(desk.ask(Method::GET, "/"))).await;
    let fields = [
        ("name", "wang"),
        ("password", "correct horse"),
        ("form_token", &form.hidden("form_token").unwrap()),
    ];
    let proxys = [("authorization", foreign)];
    wang.post_bare("/login", &fields, &proxys).await.is(303);
    for _ in 0..7 {
        let page = wang.send(with(desk.ask(Method::GET, "/"))).await;
        page.is(200).has(">wang<");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_proxy_that_nobody_logs_in_at_tells_addresses_and_no_names(pool: PgPool) {
    run(&pool, ROWS).await;
    let near = ("OUTBOXD_DESK_PROXY", "127.0.0.1");
    let desk = Desk::staffed(&pool, &[near, ("OUTBOXD_DESK_OPERATORS", "*")]).await;
    let named = desk
        .ask(Method::GET, "/messages/1002")
        .header("x-forwarded-user", "wang");
    assert_eq!(named.send().await.unwrap().status().as_u16(), 401);
    // Whoever guesses is slowed down by his own address, and nobody else is.
    let mut guesser = desk.visitor();
    let token = guesser.form_token().await;
    let mut seen = Vec::new();
    for from in [["10.0.0.1"; 6].as_slice(), &["10.0.0.2"]].concat() {
        let fields = [
            ("name", "wang"),
            ("password", "guess"),
            ("form_token", &token),
        ];
        let headers = [("x-forwarded-for", from)];
        seen.push(guesser.post_bare("/login", &fields, &headers).await.status);
    }
    assert_eq!(seen, [401, 401, 401, 401, 401, 429, 401]);

    // With a header of its own it names people as well.
    let header = ("OUTBOXD_DESK_USER_HEADER", "X-Staff");
    let desk = Desk::staffed(&pool, &[near, header]).await;
    for (name, status) in [("X-Staff", 200), ("X-Forwarded-User", 401)] {
        let named = desk.ask(Method::GET, "/").header(name, "zhao");
        let answer = named.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name}");
    }
    // Half of the two lets nobody in.
    for half in [near, header] {
        let said = refused(&pool, &[half]).await;
        assert!(said.contains("OUTBOXD_DESK_USER_HEADER"), "{said}");
        assert!(said.contains("OUTBOXD_DESK_PROXY"), "{said}");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_keeps_silent_is_not_waited_for(pool: PgPool) {
    let desk = Desk::staffed(&pool, &[]).await;
    let address = desk.base.trim_start_matches("http://");
    let mut open = JoinSet::new();
    for (said, answer) in [
        ("", ""),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1", ""),
        (
            "POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nname=",
            "HTTP/1.1 400",
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        open.spawn(async move {
            let mut heard = Vec::new();
            let ended = timeout(Duration::from_secs(30), stream.read_to_end(&mut heard));
            assert!(ended.await.is_ok(), "still open after {said:?}");
            let heard = String::from_utf8(heard).unwrap();
            assert!(heard.starts_with(answer), "{said:?}: {heard}");
        });
    }
    open.join_all().await;
}

/// One that takes connections and says nothing.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nobody_waits_in_turn_for_a_database_that_keeps_silent(pool: PgPool) {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://x@{}/x", mute.local_addr().unwrap());
    let desk = Desk::open(&pool, &[("DATABASE_URL", &url)]).await;
    let mut asked = JoinSet::new();
    for path in ["/overview", "/pulse"].repeat(3) {
        asked.spawn(desk.ask(Method::GET, path).send());
    }
    let told = timeout(Duration::from_secs(10), asked.join_all()).await;
    for answer in told.expect("not one after the other") {
        assert_eq!(answer.unwrap().status().as_u16(), 503);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn characters_nobody_types_break_nothing(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    wang.get("/search?q=%00").await.is(303);
    wang.get("/api/search?q=%00").await.is(400);
    wang.get("/search?q=%0010086%09")
        .await
        .is(200)
        .has("李女士");
    for path in [
        "/api/messages/%00",
        "/api/messages?recipient=%00",
        "/api/messages?customer=%00",
        "/api/audit?actor=%00",
        "/api/calls?recipient=%00",
        "/messages/%00/resend",
    ] {
        let page = wang.get(path).await;
        assert!(page.status < 500, "{path}: {}", page.status);
    }
    let path = "/messages/1002/correct";
    let form = wang.get(path).await;
    for (field, value) in [
        ("field:/aggregate_label", "王\0女士"),
        ("new_value", "上\u{7}海"),
    ] {
        let typed = [("reason", "r"), (field, value), ("new_name", "city")];
        let typed = &typed[..if field == "new_value" { 3 } else { 2 }];
        let told = wang.submit(path, &form, typed).await;
        told.is(422).has("控制字符");
    }
}
