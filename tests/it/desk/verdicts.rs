//! What a verdict has to know: what somebody has done about a message counts, and so does an answer that came too late.

use sqlx::PgPool;

use super::{Desk, ROWS};
use crate::harness::run;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_chinese_input_method_types_is_found(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::open(&pool, &[]).await;
    for q in [
        "１００２",
        "＃１００２",
        "通知 #1002",
        "１００８６",
        "８０００",
        "１３８－００１３－８０００",
    ] {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let found = desk.get(&format!("/api/search?q={q}")).await.json();
        assert_eq!(found["notifications"][0]["id"], 1002, "{q}");
    }
    // What was typed may be anything.
    let q: String = url::form_urlencoded::byte_serialize("欧阳".as_bytes()).collect();
    desk.get(&format!("/search?q={q}"))
        .await
        .has("没有找到与“欧阳”有关的通知")
        .lacks("没有找到客户");
}
