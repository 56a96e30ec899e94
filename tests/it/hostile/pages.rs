//! Every page of the desk, and the badge, with hostile rows behind it.

use reqwest::Method;
use sqlx::PgPool;

use super::html::{Words, assert_knows, words};
use super::{MARK, PLAIN, PLAIN_ROWS, encoded, fill, texts};
use crate::desk::{Desk, signed};

const SECRET: &str = "0123456789abcdef";

/// The pages about one row.
fn about(n: i64, text: &str) -> Vec<String> {
    let badge = signed(SECRET, text, text, 600);
    let (waits, ended, text) = (1000 + n, 2000 + n, encoded(text));
    vec![
        format!("/messages/{waits}"),
        format!("/messages/{ended}"),
        format!("/messages/{waits}/sheet"),
        format!("/messages/{ended}/sheet"),
        format!("/messages/{waits}/cancel"),
        format!("/messages/{waits}/correct"),
        format!("/messages/{waits}/redirect"),
        format!("/messages/{ended}/resend"),
        format!("/messages/{ended}/handled"),
        format!("/messages/{ended}/correct"),
        format!("/search?q={text}"),
        format!("/messages?recipient={text}&app={text}&event_type={text}&reason={text}"),
        format!("/messages?status={text}"),
        format!("/messages?{text}={text}"),
        format!("/messages/{text}"),
        format!("/dead?app={text}"),
        format!("/calls?recipient={text}&app={text}"),
        format!("/audit?actor={text}&action={text}&app={text}&notification={ended}"),
        format!("/overview?app={text}"),
        format!("/bulk/{}", n + 1),
        format!("/bulk/{}/progress", n + 1),
        format!("/bulk/{text}"),
        format!(
            "/bulk/new?app={text}&cause={text}&event_type={text}&recipient={text}&since={text}"
        ),
        format!("/login?next={text}"),
        format!("/badge/{text}/{text}?{badge}"),
        format!("/badge/{text}/{text}/image.svg?{badge}"),
        format!("/badge/{text}/{text}?expires={text}&sig={text}"),
        format!("/assets/{text}/{text}"),
    ]
}

/// The pages on which every row may be.
const LISTS: [&str; 13] = [
    "/",
    "/messages",
    "/messages?status=dead",
    "/dead",
    "/dead?period=30d",
    "/calls",
    "/audit",
    "/bulk",
    "/bulk/new",
    "/overview",
    "/system",
    "/pulse",
    "/help",
];

async fn page(desk: &Desk, path: &str, lang: &str) -> String {
    let asked = desk.ask(Method::GET, path).header("accept-language", lang);
    let answer = asked.send().await.unwrap();
    assert_ne!(answer.status().as_u16(), 500, "{path}");
    answer.text().await.unwrap()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_page_holds_an_element_that_no_template_wrote(pool: PgPool) {
    let desk = Desk::open(&pool, &[("OUTBOXD_DESK_BADGE_SECRET", SECRET)]).await;
    for n in 0..PLAIN_ROWS {
        fill(&pool, n, &format!("{PLAIN} {n}")).await;
    }
    let mut known = Words::new();
    let plain = about(0, &format!("{PLAIN} 0"));
    for path in plain.iter().map(String::as_str).chain(LISTS) {
        known.extend(words(path, &page(&desk, path, "zh").await));
    }
    assert!(known.contains("article") && known.contains("input value"));
    for (n, text) in (PLAIN_ROWS..).zip(texts()) {
        fill(&pool, n, &text).await;
    }
    let mut shown = 0;
    for (n, text) in (PLAIN_ROWS..).zip(texts()) {
        // Both languages, in turn.
        for (path, lang) in about(n, &text).iter().zip(["zh", "en"].iter().cycle()) {
            let html = page(&desk, path, lang).await;
            assert_knows(&known, path, &html);
            shown += usize::from(html.contains(MARK));
        }
        for path in [
            format!("/messages/{}", 1000 + n),
            format!("/messages/{}", 2000 + n),
        ] {
            assert!(
                page(&desk, &path, "zh").await.contains(MARK),
                "{path}: {text:?}"
            );
        }
    }
    assert!(shown > 15 * texts().len(), "{shown}");
    for path in LISTS {
        for lang in ["zh", "en"] {
            assert_knows(&known, path, &page(&desk, path, lang).await);
        }
    }
}
