//! The badge: to whom it opens, what it says, and what it never says.

use sqlx::PgPool;

use crate::desk::{Desk, Page, ROWS, signed};
use crate::harness::run;

const SECRET: &str = "0123456789abcdef";

async fn open(pool: &PgPool) -> Desk {
    run(pool, ROWS).await;
    let settings = [
        ("OUTBOXD_DESK_BADGE_SECRET", SECRET),
        (
            "OUTBOXD_DESK_BADGE_ORIGINS",
            "https://crm.example.com https://m.example.com:8443",
        ),
    ];
    // With people, so that nothing but the signature can have opened it.
    Desk::with_people(pool, &settings).await.0
}

fn bears_nobody(page: &Page) {
    for personal in [
        "李女士",
        "王小明",
        "13800138000",
        "10086",
        "daemon-a",
        "form_token",
        "set-cookie",
    ] {
        page.lacks(personal);
    }
    assert_eq!(page.header("set-cookie"), "");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_signed_address_shows_how_it_stands_and_names_nobody(pool: PgPool) {
    let desk = open(&pool).await;
    let signed = signed(SECRET, "10086", "42", 600);
    let page = desk.get(&format!("/badge/10086/42?{signed}")).await;
    assert_eq!(page.status, 200);
    page.has("已停止").has("[43101]");
    bears_nobody(&page);
    let policy = page.header("content-security-policy");
    assert!(
        policy.ends_with("frame-ancestors https://crm.example.com https://m.example.com:8443"),
        "{policy}"
    );
    assert_eq!(page.header("x-frame-options"), "");
    assert_eq!(page.header("cache-control"), "private, max-age=10");
    let english = desk.get(&format!("/badge/10086/42?{signed}&lang=en")).await;
    english.has("lang=\"en\"").has("dead");

    let image = desk
        .get(&format!("/badge/10086/42/image.svg?{signed}"))
        .await;
    assert_eq!(
        (image.status, image.header("content-type")),
        (200, "image/svg+xml")
    );
    assert_eq!(image.header("cross-origin-resource-policy"), "cross-origin");
    image.has("已停止");
    bears_nobody(&image);

    let document = desk.get(&format!("/api/badge/10086/42?{signed}")).await;
    bears_nobody(&document);
    let document = document.json();
    assert_eq!(
        (document["status"].as_str(), document["who"].as_str()),
        (Some("dead"), Some("recipient"))
    );
    // Every other page stays in no frame.
    assert_eq!(desk.get("/login").await.header("x-frame-options"), "DENY");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_message_is_a_standing_too_and_ids_are_any_text(pool: PgPool) {
    let desk = open(&pool).await;
    let signed = signed(SECRET, "张/先生\"", "<b>", 600);
    let path = format!("/badge/%E5%BC%A0%2F%E5%85%88%E7%94%9F%22/%3Cb%3E?{signed}");
    let page = desk.get(&path).await;
    assert_eq!(page.status, 200);
    page.has("没有通知").lacks("<b>");
    // The CRM writes to others, so whoever asks looks this one up there.
    let document = desk.get(&format!("/api{path}")).await.json();
    assert_eq!(document["who"], "support", "{document}");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_is_not_signed_for_this_opens_nothing(pool: PgPool) {
    let desk = open(&pool).await;
    let right = signed(SECRET, "10086", "42", 600);
    let (rest, last) = right.split_at(right.len() - 1);
    let another = if last == "0" { "1" } else { "0" };
    for (path, why) in [
        (format!("/badge/10086/43?{right}"), "another recipient"),
        (format!("/badge/10087/42?{right}"), "another customer"),
        (
            format!("/badge/10086/42?{rest}{another}"),
            "another signature",
        ),
        (
            format!(
                "/badge/10086/42?{}",
                right.replace("expires=1", "expires=2")
            ),
            "another time",
        ),
        (
            format!(
                "/badge/10086/42?{}",
                signed("another secret!!", "10086", "42", 600)
            ),
            "another secret",
        ),
        (
            format!("/badge/10086/42?{}", signed(SECRET, "10086", "42", -1)),
            "out of date",
        ),
        (
            format!(
                "/badge/10086/42?{}",
                signed(SECRET, "10086", "42", 25 * 3600)
            ),
            "for too long",
        ),
    ] {
        let page = desk.get(&path).await;
        assert_eq!(page.status, 403, "{why}");
        page.lacks("43101").lacks("已停止");
        bears_nobody(&page);
        assert_eq!(page.header("cache-control"), "no-store", "{why}");
        let document = desk.get(&format!("/api{path}")).await;
        assert_eq!(document.status, 403, "{why}");
        assert!(document.json()["error"].is_string(), "{why}");
    }
    assert_eq!(desk.get("/badge/10086/42").await.status, 400);
    // The door is open for looking at a badge, and for nothing else.
    let asked = desk.ask(reqwest::Method::POST, &format!("/badge/10086/42?{right}"));
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 401);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn too_many_in_a_second_are_told_to_wait(pool: PgPool) {
    let desk = open(&pool).await;
    let path = format!("/badge/10086/42?{}", signed(SECRET, "10086", "42", 600));
    let mut seen = std::collections::BTreeSet::new();
    let all = futures(&desk, &path, 150).await;
    seen.extend(all);
    assert_eq!(seen, [200, 429].into());
}

async fn futures(desk: &Desk, path: &str, n: usize) -> Vec<u16> {
    let asked: Vec<_> = (0..n)
        .map(|_| tokio::spawn(desk.ask(reqwest::Method::GET, path).send()))
        .collect();
    let mut seen = Vec::new();
    for one in asked {
        seen.push(one.await.unwrap().unwrap().status().as_u16());
    }
    seen
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn without_a_secret_there_are_no_badges_and_without_origins_no_frames(pool: PgPool) {
    run(&pool, ROWS).await;
    let path = format!("/badge/10086/42?{}", signed(SECRET, "10086", "42", 600));
    let off = Desk::open(&pool, &[]).await;
    assert_eq!(off.get(&path).await.status, 404);
    let alone = Desk::open(&pool, &[("OUTBOXD_DESK_BADGE_SECRET", SECRET)]).await;
    let page = alone.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .ends_with("frame-ancestors 'none'")
    );
}
