//! No page shows a telephone number, however it is written; only who says why sees it.

use sqlx::PgPool;

use super::{Desk, ROWS};
use crate::harness::run;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_number_is_masked_however_it_is_written(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    for phone in [
        "138-0013-8000",
        "1 380 013 8000",
        "010-62345678",
        "62345678",
        "+852 9123 4567",
        "１３８００１３８０００",
        // As some address books paste it.
        "\u{202d}138 0013 8000\u{202c}",
    ] {
        let payload = serde_json::json!({"phone": phone, "note": "回访\n138 0013 8000", "\u{2068}note": "\u{2068}13800138000"});
        sqlx::query("update outboxd.notification_delivery set payload = $1 where id = 1002")
            .bind(payload)
            .execute(&pool)
            .await
            .unwrap();
        for path in [
            "/calls",
            "/search?q=10086",
            "/messages/1002",
            "/messages/1002/sheet",
            "/messages/1002/correct",
            "/messages/export.csv",
            "/calls/export.csv",
            "/dead/export.csv",
            "/audit/export.csv",
        ] {
            wang.get(path)
                .await
                .is(200)
                .lacks(phone)
                .lacks("138 0013 8000")
                .lacks("13800138000");
        }
    }
    wang.get("/messages/1002").await.has("回访\\n138 **** 8000");
}

/// Some CRM know their users by their telephone number.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_recipient_that_is_a_number_is_masked_wherever_it_stands(pool: PgPool) {
    run(&pool, ROWS).await;
    run(
        &pool,
        "update outboxd.notification_delivery set recipient = '13800138000'",
    )
    .await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let form = wang.get("/bulk/new?recipient=13800138000&since=7d").await;
    let typed = [
        ("status", "dead"),
        ("recipient", "13800138000"),
        ("since", "7d"),
        ("why", "模板已修正"),
    ];
    wang.submit("/bulk/new", form.is(200), &typed).await.is(303);
    for path in [
        "/bulk",
        "/bulk/1",
        "/calls",
        "/search?q=10086",
        "/messages",
        "/messages/1002",
        "/dead",
        "/audit",
    ] {
        let page = wang.get(path).await;
        page.is(200).lacks("13800138000");
        let json = wang.get(&format!("/api{path}")).await;
        json.is(200).lacks("13800138000");
    }
    wang.get("/bulk/1")
        .await
        .has("138****8000")
        .lacks("/bulk/new?");
    wang.get("/api/bulk/1").await.has("138****8000");
}

/// Some single sign-ons know people by their telephone number. The log tells them apart, and no page shows one.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn whoever_is_called_by_a_number_is_somebody_in_the_log(pool: PgPool) {
    run(&pool, ROWS).await;
    let settings = [
        ("OUTBOXD_DESK_USER_HEADER", "X-Forwarded-User"),
        ("OUTBOXD_DESK_PROXY", "127.0.0.1"),
        ("OUTBOXD_DESK_OPERATORS", "*"),
    ];
    let desk = Desk::open(&pool, &settings).await;
    let (wang, chen) = ("13800138000", "13899998000");
    let mut his = desk.behind_a_proxy(chen);
    let mut hers = desk.behind_a_proxy(wang);
    let act = |id| format!("/messages/{id}/resend");
    let form = hers.get(&act(1002)).await;
    let again = his.get(&act(1002)).await;
    let reason = [("reason", "客户来电")];
    hers.submit(&act(1002), form.is(200), &reason).await.is(200);
    // Not his own first click.
    his.submit(&act(1002), &again, &reason)
        .await
        .is(409)
        .lacks("第一次点击");
    // Who has paused an app stands beside what waits for it, and on the system's page.
    let pause = [("app", "default"), ("reason", "模板审核")];
    hers.post("/system/pause", &pause).await.is(303);
    for path in [
        "/messages/1002",
        "/api/messages/1002",
        "/search?q=10086",
        "/api/search?q=10086",
        "/system",
        "/api/system",
    ] {
        his.get(path).await.is(200).lacks(wang);
    }
    let waits = his.get("/api/messages/1002").await;
    waits.has("\"kind\": \"paused\"").has("138****8000");
    run(
        &pool,
        "delete from outboxd.audit_log where action = 'pause'",
    )
    .await;
    let actors: Vec<String> = sqlx::query_scalar("select actor from outboxd.audit_log")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(actors, [wang]);
    for path in [
        "/messages/1002",
        "/messages/1002/sheet",
        "/audit",
        "/api/audit",
        "/api/messages/1002",
    ] {
        his.get(path)
            .await
            .is(200)
            .has("138****8000")
            .lacks(wang)
            .lacks(chen);
    }
}
