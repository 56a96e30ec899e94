//! What the pages say, in both languages, whatever stands in the rows; and what they say when something is wrong.

use reqwest::Method;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use super::{Desk, ROWS};
use crate::harness::run;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_search_by_name_gives_one_verdict_for_each_two(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::open(&pool, &[]).await;
    let page = desk.get("/search?q=%E6%9D%8E%E5%A5%B3%E5%A3%AB").await;
    page.has("李女士")
        .has("王小明")
        .has("[43101]")
        .has("138****8000")
        .has("更早的通知 (1)");
    assert_eq!(page.body.matches("<article").count(), 1);
    // Nobody can press a command.
    page.lacks("outboxd retry");
    let english = desk
        .ask(Method::GET, "/search?q=10088")
        .header("accept-language", "en");
    let english = english.send().await.unwrap().text().await.unwrap();
    assert!(
        english.contains("No answer in time") && english.contains("lang=\"en\""),
        "{english}"
    );
    // The same document as the command line's.
    let document = desk.get("/api/search?q=10086").await.json();
    assert_eq!(document["notifications"][0]["id"], 1002);
    assert_eq!(document["notifications"][0]["verdict"]["who"], "recipient");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_message_is_an_answer_too(pool: PgPool) {
    let desk = Desk::open(&pool, &[]).await;
    let said = async || desk.get("/api/search?q=10010").await.json()["verdict"].clone();
    desk.get("/search?q=10010")
        .await
        .has("没有通知")
        .has("从来没有写入过任何通知")
        .has("<strong>开发人员</strong>");
    assert_eq!(said().await["who"], "developer");
    run(&pool, ROWS).await;
    let page = desk.get("/search?q=13912345678").await;
    page.has("没有通知")
        .has("139****5678")
        .has("<strong>客服</strong>");
    // Whoever asks looks the assignment up, as long as the CRM writes at all.
    assert_eq!(said().await["kind"], "no_message");
    assert_eq!(said().await["who"], "support");
    run(
        &pool,
        "update outboxd.notification_outbox set created_at = created_at - interval '3 days';
         update outboxd.notification_delivery set created_at = created_at - interval '3 days'",
    )
    .await;
    assert_eq!(said().await["who"], "developer");
    desk.get("/search?q=10010")
        .await
        .has("没有写入任何通知")
        .has("<strong>开发人员</strong>");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_message_tells_its_whole_life(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::open(&pool, &[]).await;
    let found = desk.get("/api/search?q=10088").await.json();
    let id = found["notifications"][0]["id"].as_i64().unwrap();
    let page = desk.get(&format!("/messages/{id}")).await;
    page.has("请求已发出")
        .has("用时 10.0 秒，其中取凭证 0.3 秒，")
        .has("<li class=\"reached\">取凭证 0.3 秒</li>")
        .has("oABC…")
        .has("136****6000")
        .has("UTC+08:00");
    desk.get(&format!("/messages/{id}/sheet"))
        .await
        .has("通知凭证")
        .has("137****7000");
    let document = desk.get(&format!("/api/messages/{id}")).await.json();
    let attempt = &document["notifications"][0]["attempts_made"][0];
    assert_eq!(attempt["phase"], "sent");
    assert_eq!(attempt["token_ms"], 312);
    assert_eq!(
        document["notifications"][0]["why_not_yet"]["kind"],
        "retry_at"
    );
}

/// Text from a row must arrive as text, wherever it is shown.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nothing_in_a_row_becomes_markup(pool: PgPool) {
    run(
        &pool,
        r#"insert into outboxd.notification_outbox
               (app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key, collapse_key,
                created_by, attempts, next_attempt_at)
           values ('<b>app', '<b>event', '<b>type', '<b>customer', '"><img src=x onerror=alert(1)>',
                   '{"aggregate_label": "<b>label", "recipient_label": "<script>alert(1)</script>", "phone": "<b>phone", "<b>k": "<b>v"}',
                   '<b>dedupe', '<b>order', '<b>collapse', '<b>crm', 1, now() + interval '1 hour');
           insert into outboxd.notification_attempt
               (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, detail)
           select id, 1, app, gen_random_uuid(), '<b>daemon', now(), now(), 'sent', 'unknown', '<b>sentence', '<b>detail'
             from outboxd.notification_outbox;
           insert into outboxd.audit_log (actor, action, notification_ids, affected, reason)
           select '<b>actor', '<b>action', array[id], 1, '<b>reason' from outboxd.notification_outbox;
           insert into outboxd.app_state (app, paused_at, paused_by, pause_reason)
           values ('<b>app', now(), '<b>pauser', '<b>why')"#,
    )
    .await;
    let desk = Desk::open(&pool, &[]).await;
    let found = desk.get("/api/search?q=%3Cb%3Ecustomer").await.json();
    let id = found["notifications"][0]["id"].as_i64().unwrap();
    let pages = [
        "/search?q=%3Cb%3Ecustomer".to_owned(),
        "/search?q=%22%3E%3Cb%3Enobody".to_owned(),
        format!("/messages/{id}"),
        format!("/messages/{id}/sheet"),
        "/messages/%3Cb%3Ename".to_owned(),
        "/pulse".to_owned(),
    ];
    for path in pages {
        for lang in ["zh", "en"] {
            let asked = desk.ask(Method::GET, &path).header("accept-language", lang);
            let page = asked.send().await.unwrap().text().await.unwrap();
            for mark in [
                "<b>a",
                "<b>c",
                "<b>d",
                "<b>e",
                "<b>k",
                "<b>l",
                "<b>n",
                "<b>o",
                "<b>p",
                "<b>r",
                "<b>s",
                "<b>t",
                "<b>v",
                "<b>w",
                "<img src=x",
                "<script>",
            ] {
                assert!(!page.contains(mark), "{mark} in {path}:\n{page}");
            }
        }
    }
    let page = desk.get(&format!("/messages/{id}")).await;
    for text in [
        "b&#62;daemon",
        "b&#62;detail",
        "b&#62;actor",
        "b&#62;reason",
        "b&#62;dedupe",
        "b&#62;label",
    ] {
        page.has(text);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_answer_is_closed_to_other_sites_and_kept_nowhere(pool: PgPool) {
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    for path in ["/", "/login", "/nothing", "/api/pulse", "/robots.txt"] {
        let page = desk.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        for cookie in page.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
                "{cookie}"
            );
        }
        // No script and no style stands in a page.
        for inline in ["<style", "style=", "onclick", "<script>"] {
            page.lacks(inline);
        }
    }
    desk.get("/robots.txt").await.has("Disallow: /");
    let page = desk.get("/login").await;
    let (_, rest) = page.body.split_once("/assets/").unwrap();
    let asset = desk
        .get(&format!("/assets/{}", rest.split('"').next().unwrap()))
        .await;
    assert!(asset.header("cache-control").contains("immutable"));
    assert_eq!(
        desk.get("/assets/0000000000000000/desk.css").await.status,
        404
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn language_and_theme_are_chosen_once(pool: PgPool) {
    let desk = Desk::open(&pool, &[]).await;
    let mut visitor = desk.visitor();
    let page = visitor.get("/search?q=10086&lang=en").await;
    assert_eq!(
        (page.status, page.header("location")),
        (303, "/search?q=10086")
    );
    visitor
        .get("/search?q=10086")
        .await
        .has("lang=\"en\"")
        .has("No message");
    assert_eq!(visitor.get("/?theme=dark&lang=zh").await.status, 303);
    visitor
        .get("/")
        .await
        .has("data-theme=\"dark\"")
        .has("对方收到通知了吗");
    // What is no choice is left alone, and leads nowhere else.
    assert_eq!(visitor.get("/?theme=pink").await.status, 200);
    let page = visitor.get("//evil.example/?lang=en").await;
    assert_eq!(page.header("location"), "/evil.example/");
    // Nor does any link on a page about a path that is none.
    let staffed = Desk::staffed(&pool, &[]).await;
    for (desk, status) in [(&desk, 404), (&staffed, 401)] {
        for path in [
            "//evil.example/login",
            "///evil.example/",
            "//evil.example?q=1",
        ] {
            let page = desk.get(path).await;
            page.is(status).has("lang=en");
            for way in ["href=\"//", "action=\"//", "value=\"//", "src=\"//"] {
                page.lacks(way);
            }
        }
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn under_a_path_of_a_proxy_everything_stays_under_it(pool: PgPool) {
    run(&pool, ROWS).await;
    let url = ("OUTBOXD_DESK_URL", "https://crm.example.com/outboxd/");
    let (desk, _) = Desk::with_people(&pool, &[url]).await;
    assert_eq!(desk.get("/search?q=10086").await.status, 401);
    let page = desk.get("/outboxd/login").await;
    for address in page
        .body
        .split("href=\"")
        .chain(page.body.split("src=\""))
        .skip(1)
    {
        assert!(
            address.starts_with("/outboxd/")
                || address.starts_with('#')
                || address.starts_with("<!"),
            "{address}"
        );
    }
    let cookie = page.header("set-cookie");
    assert!(
        cookie.contains("Path=/outboxd/") && cookie.contains("Secure"),
        "{cookie}"
    );
    let mut visitor = desk.visitor();
    let page = visitor.get("/outboxd/login").await;
    let token = page
        .body
        .split("form_token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let fields = [
        ("name", "wang"),
        ("password", "correct horse"),
        ("form_token", token),
        ("next", "/help"),
    ];
    let foreign = visitor
        .post_bare(
            "/outboxd/login",
            &fields,
            &[("origin", "https://evil.example")],
        )
        .await;
    assert_eq!(foreign.status, 403);
    let page = visitor
        .post_bare(
            "/outboxd/login",
            &fields,
            &[("origin", "https://crm.example.com")],
        )
        .await;
    assert_eq!(
        (page.status, page.header("location")),
        (303, "/outboxd/help")
    );
    assert_eq!(
        visitor.get("/outboxd").await.header("location"),
        "/outboxd/"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn trouble_is_told_calmly(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::open(&pool, &[]).await;
    for (path, status, text) in [
        ("/nothing", 404, "没有这个页面"),
        ("/messages/999", 404, "没有通知 999"),
        ("/messages/%E6%9D%8E", 404, "没有通知 李"),
        ("/search?q=%FF", 200, "没有通知"),
    ] {
        let page = desk.get(path).await;
        assert_eq!(page.status, status, "{path}");
        page.has(text);
    }
    let page = desk.get("/api/messages/999").await;
    assert_eq!(
        (page.status, page.json()["error"].as_str()),
        (404, Some("not_found"))
    );
    let mut visitor = desk.visitor();
    let page = visitor.post("/search", &[]).await;
    assert_eq!((page.status, page.header("allow")), (405, "GET,HEAD"));

    // A question that takes too long, because somebody holds the table.
    let mut held = pool.acquire().await.unwrap();
    let mut tx = held.begin().await.unwrap();
    sqlx::raw_sql("lock table outboxd.notification_delivery in access exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    let page = desk.get("/search?q=10086").await;
    assert_eq!(page.status, 503);
    page.has("查询时间过长").has("请缩小范围");
    tx.rollback().await.unwrap();
    assert_eq!(desk.get("/search?q=10086").await.status, 200);

    run(&pool, "drop schema outboxd cascade").await;
    desk.get("/search?q=10086").await.has("outboxd migrate");
    let nowhere = [(
        "DATABASE_URL",
        "postgres://nobody:secret-word@127.0.0.1:1/x",
    )];
    let away = Desk::open(&pool, &nowhere).await;
    let page = away.get("/search?q=10086").await;
    assert_eq!(page.status, 503);
    page.has("数据库暂时连不上")
        .lacks("secret-word")
        .lacks("127.0.0.1:1");
    assert_eq!(away.get("/").await.status, 200);
    // Nobody holds a line, however many wait for one.
    let (one, other, third) = tokio::join!(
        away.get("/search?q=10086"),
        away.get("/search?q=10087"),
        away.get("/messages")
    );
    for page in [one, other, third] {
        page.has("数据库暂时连不上");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_database_that_is_there_and_lets_nobody_in_is_not_said_to_be_away(pool: PgPool) {
    let options = (*pool.connect_options()).clone();
    let url = options.database("nonesuch").to_url_lossy().to_string();
    let desk = Desk::open(&pool, &[("DATABASE_URL", &*url)]).await;
    desk.get("/messages")
        .await
        .is(503)
        .has("数据库不接受客服台的登录")
        .has("DATABASE_URL")
        .lacks("恢复后继续发送");
    assert_eq!(
        desk.get("/api/messages").await.json()["error"],
        "database_refuses"
    );
}
