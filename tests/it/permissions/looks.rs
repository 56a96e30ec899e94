//! A desk whose database login may only look: it offers nothing else, and does not say of what it may not read that it is not
//! there. And one whose rights are taken away comes back with them.

use sqlx::PgPool;

use super::desk::STAGE;
use super::url_of;
use crate::desk::{Desk, ROWS};
use crate::harness::{create_roles, run};

async fn of_support(pool: &PgPool) -> Desk {
    create_roles(pool).await;
    run(pool, STAGE).await;
    run(pool, ROWS).await;
    let url = url_of(pool, "support");
    Desk::staffed(pool, &[("DATABASE_URL", &*url)]).await
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_may_not_be_read_is_not_said_to_be_missing(pool: PgPool) {
    let desk = of_support(&pool).await;
    let mut wang = desk.of("wang").await;
    for text in ["李女士", "8000"] {
        let page = wang.get(&format!("/search?q={text}")).await;
        page.is(200)
            .has("无权读取")
            .has("请用客户编号或员工编号查询")
            .lacks("请到 CRM")
            .lacks("没有这段文字");
    }
    wang.get("/search?q=10086").await.is(200).has("43101");
    wang.get("/calls")
        .await
        .is(200)
        .has("无权读取电话")
        .lacks("通知内容里没有客户电话");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_act_is_offered_that_would_be_refused(pool: PgPool) {
    let desk = of_support(&pool).await;
    let mut wang = desk.of("wang").await;
    for path in ["/messages/1002", "/calls", "/dead", "/system", "/bulk/1"] {
        let page = wang.get(path).await;
        page.is(200)
            .lacks("/resend\"")
            .lacks("<form method=\"post\" action=\"/messages")
            .lacks("<form method=\"post\" action=\"/calls")
            .lacks("<form method=\"post\" action=\"/system")
            .lacks("<form method=\"post\" action=\"/bulk");
    }
    // With the right, on the same connections.
    run(
        &pool,
        "grant insert on outboxd.audit_log to outboxd_support",
    )
    .await;
    wang.get("/messages/1002").await.is(200).has("/resend\"");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_right_that_is_given_back_is_enough(pool: PgPool) {
    let desk = of_support(&pool).await;
    let mut wang = desk.of("wang").await;
    wang.get("/messages/1002").await.is(200);
    let taken = "revoke usage on schema outboxd from outboxd_support";
    run(&pool, taken).await;
    // Each of the desk's connections meets it.
    for _ in 0..6 {
        wang.get("/messages/1002").await.is(500).has("没有这个权限");
    }
    run(&pool, "grant usage on schema outboxd to outboxd_support").await;
    for _ in 0..6 {
        wang.get("/messages/1002").await.is(200);
    }
}
