//! The people to phone: who may note what came of it, that it is noted once, and that a number is shown to those who say why.

use sqlx::PgPool;

use super::{Desk, Page, ROWS};
use crate::harness::{number, run};

/// What the form of the first call would send.
fn seen(page: &Page) -> String {
    let (_, rest) = page.body.split_once("name=\"seen\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

const HANDLED: &str = "select count(*) from outboxd.audit_log where action = 'handle'";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_was_told_leaves_the_list_and_a_second_press_says_so(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let page = wang.get("/calls?app=default").await;
    page.has("王小明")
        .has("李女士")
        .has("微信拒收")
        .has("138****8000")
        .lacks("#1001")
        .lacks("13800138000");
    let seen = seen(&page);
    let told = [
        ("seen", &*seen),
        ("outcome", "told"),
        ("reason", "十点打的 13900139000"),
    ];
    let done = wang.post("/calls/handled?app=default", &told).await;
    assert_eq!(done.status, 200);
    done.has("#1002 已电话告知").has("没有需要打电话的人");
    wang.post("/calls/handled?app=default", &told)
        .await
        .has("没有重复记录：#1002 已由 wang 记为“已告知”");
    assert_eq!(number(&pool, HANDLED).await, 1);
    // Told is not accepted: the message stays what it is.
    wang.get("/messages/1002")
        .await
        .has("已停止")
        .has("wang：人工处理");
    wang.get("/audit?action=handle")
        .await
        .has("<b>wang</b>")
        .has("<del>–</del> → <ins>told</ins>")
        .has("139****9000");
}

/// The form names the mark it saw: one try, pressed twice, is one try.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_try_is_noted_once_and_the_next_one_too(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let first = seen(&wang.get("/calls").await);
    let tried = |seen: &'static str| {
        [
            ("seen", seen),
            ("outcome", "not_reached"),
            ("reason", "no answer"),
        ]
    };
    let first: &'static str = first.leak();
    let page = wang.post("/calls/handled", &tried(first)).await;
    page.has("#1002 未联系上，仍保留在列表里")
        .has("wang 联系过，未联系上");
    let second: &'static str = seen(&page).leak();
    wang.post("/calls/handled", &tried(first))
        .await
        .has("没有重复记录");
    assert_eq!(number(&pool, HANDLED).await, 1);
    wang.post("/calls/handled", &tried(second))
        .await
        .has("仍保留在列表里");
    assert_eq!(number(&pool, HANDLED).await, 2);
    // What has moved since is left alone.
    run(
        &pool,
        "update outboxd.notification_delivery set attempts = attempts + 1 where id = 1002",
    )
    .await;
    wang.post("/calls/handled", &tried(second))
        .await
        .has("#1002 在页面打开之后有了变化");
    assert_eq!(number(&pool, HANDLED).await, 2);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_number_is_shown_to_an_operator_who_says_why(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let seen = seen(&wang.get("/calls").await);
    let bare = wang
        .post("/calls/reveal", &[("seen", &seen), ("reason", "  ")])
        .await;
    assert_eq!(bare.status, 400);
    bare.has("请填写原因").lacks("13800138000");
    const REVEALED: &str = "select count(*) from outboxd.audit_log where action = 'reveal' and actor = 'wang' and reason = 'to phone her'";
    assert_eq!(number(&pool, REVEALED).await, 0);
    let page = wang
        .post(
            "/calls/reveal",
            &[("seen", &seen), ("reason", "to phone her")],
        )
        .await;
    page.has("<b>13800138000</b>").has("已显示完整号码");
    assert_eq!(number(&pool, REVEALED).await, 1);
    wang.get("/calls").await.lacks("13800138000");
}

/// Whoever phones has enough; whoever copies the lot has not, and every look that was allowed is in the log.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nobody_looks_at_all_numbers_one_by_one(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let (mut wang, mut chen) = (desk.of("wang").await, desk.of("chen").await);
    let seen = seen(&wang.get("/calls").await);
    let look = [("seen", seen.as_str()), ("reason", "r")];
    // The two ways to look are one count.
    for _ in 0..15 {
        for path in ["/calls/reveal", "/messages/1002/reveal"] {
            wang.post(path, &look).await.is(200).has("13800138000");
        }
    }
    for path in ["/calls/reveal", "/messages/1002/reveal"] {
        wang.post(path, &look)
            .await
            .is(429)
            .has("查看完整内容的次数过多")
            .lacks("13800138000");
    }
    let looked = "select count(*) from outboxd.audit_log where action = 'reveal'";
    assert_eq!(number(&pool, looked).await, 30);
    chen.post("/calls/reveal", &look)
        .await
        .is(200)
        .has("13800138000");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_viewer_and_a_read_only_desk_change_nothing(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let seen = seen(&wang.get("/calls").await);
    let told = [("seen", &*seen), ("outcome", "told"), ("reason", "r")];
    let (locked, _) = Desk::with_people(&pool, &[("OUTBOXD_DESK_READ_ONLY", "true")]).await;
    for (mut visitor, sentence) in [
        (desk.of("li").await, "当前账号只能查看"),
        (locked.of("wang").await, "客服台现在是只读的"),
    ] {
        visitor
            .get("/calls")
            .await
            .has("王小明")
            .lacks("<details class=\"act\"")
            .lacks("name=\"seen\"");
        for path in ["/calls/handled", "/calls/reveal", "/api/calls/handled"] {
            // The token of the page to log in, for the list has no form.
            let answer = visitor.post(path, &told).await;
            assert_eq!(answer.status, 403, "{path}");
            answer.has(sentence).lacks("13800138000");
        }
    }
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        0
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_program_reads_the_list_and_notes_what_came_of_it(pool: PgPool) {
    run(&pool, ROWS).await;
    let (desk, token) = Desk::with_people(&pool, &[]).await;
    let bearer = format!("Bearer {token}");
    let ask = |method, path: &str| desk.ask(method, path).header("authorization", &bearer);
    let list = ask(reqwest::Method::GET, "/api/calls")
        .send()
        .await
        .unwrap();
    let list: serde_json::Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
    let it = &list["notifications"][0];
    assert_eq!(
        (&it["id"], &it["status"], &it["tried"]),
        (&1002.into(), &"dead".into(), &serde_json::Value::Null)
    );
    for result in ["noted", "already_noted"] {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("seen", it["seen"].as_str().unwrap()),
                ("outcome", "not_needed"),
                ("reason", "left"),
            ])
            .finish();
        let answer = ask(reqwest::Method::POST, "/api/calls/handled")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = answer.send().await.unwrap().text().await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["result"], result, "{answer}");
    }
}
