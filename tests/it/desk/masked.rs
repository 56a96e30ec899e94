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
    ] {
        let payload = serde_json::json!({"phone": phone, "note": "联系 138 0013 8000"});
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
        ] {
            wang.get(path)
                .await
                .is(200)
                .lacks(phone)
                .lacks("138 0013 8000");
        }
    }
    wang.get("/calls").await.has("１３８****８０００");
}
