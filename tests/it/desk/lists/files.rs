//! The list as a file, for a spreadsheet or a program.

use sqlx::PgPool;

use super::{ids, settle};
use crate::desk::Desk;
use crate::harness::run;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_file_holds_exactly_the_list_and_calculates_nothing(pool: PgPool) {
    settle(&pool, 1, 3, "dead", "not_subscribed").await;
    settle(&pool, 11, 601, "delivered", "accepted").await;
    run(
        &pool,
        r#"update outboxd.notification_delivery set aggregate_id = '=1+1', recipient = '@x"y',
                  payload = '{"aggregate_label": "+cmd|calc", "recipient_label": "-2", "phone": "\t13800001234"}' where id = 2"#,
    )
    .await;
    let desk = Desk::open(&pool, &[]).await;
    let file = desk.get("/messages/export.csv?status=dead").await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"messages.csv\""
    );
    let lines: Vec<&str> = file.body.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(lines.len(), 4, "{}", file.body);
    assert!(file.body.starts_with("\u{feff}\"编号\""), "{}", lines[0]);
    assert!(
        lines[1].starts_with("\"3\",\"已停止\",\"c3\",\"李女士\""),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with(
            "\"2\",\"已停止\",\"'=1+1\",\"'+cmd|calc\",\"'@x\"\"y\",\"'-2\",\"138****1234\""
        ),
        "{}",
        lines[2]
    );
    file.lacks("13800001234");
    let all = desk.get("/messages/export.json").await;
    assert_eq!(ids(&all).len(), 604);
    assert!(all.json()["next_before"].is_null());
    let listed = desk.get("/api/messages?status=dead").await;
    assert_eq!(
        desk.get("/messages/export.json?status=dead").await.json()["notifications"],
        listed.json()["notifications"]
    );
    let nothing = desk.get("/messages/export.json?app=other").await;
    assert_eq!(ids(&nothing), [0; 0]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_file_is_bounded_and_says_where_it_stopped(pool: PgPool) {
    settle(&pool, 1, 10_050, "delivered", "accepted").await;
    let desk = Desk::open(&pool, &[]).await;
    let file = desk.get("/messages/export.json?period=7d").await;
    assert_eq!(ids(&file).len(), 10_000);
    assert_eq!(file.json()["next_before"], 51);
    let rest = desk.get("/messages/export.json?period=7d&before=51").await;
    assert_eq!(ids(&rest), (1..=50).rev().collect::<Vec<_>>());
    let file = desk.get("/messages/export.csv?period=7d").await;
    assert_eq!(file.body.lines().count(), 1 + 10_000 + 1);
    file.has("文件里只有前 10000 条");
}

/// The list, and nobody who is dealt with.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn whom_to_phone_is_a_file_too(pool: PgPool) {
    settle(&pool, 1, 620, "dead", "not_subscribed").await;
    settle(&pool, 1001, 2, "delivered", "accepted").await;
    let desk = Desk::open(&pool, &[]).await;
    for (seen, outcome) in [("3", "told"), ("7", "not_reached")] {
        let call = desk.get(&format!("/api/messages/{seen}/handled")).await;
        let seen_then = call.json()["seen"].as_str().unwrap().to_owned();
        let mut nobody = desk.visitor();
        nobody
            .post(
                &format!("/messages/{seen}/handled"),
                &[
                    ("seen", &seen_then),
                    ("outcome", outcome),
                    ("reason", "=rang"),
                ],
            )
            .await
            .is(200);
    }
    let file = desk.get("/calls/export.csv").await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"calls.csv\""
    );
    file.lacks("13800001234").lacks("\r\n\"3\",");
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!(lines.len(), 1 + 619);
    assert!(
        lines[1].starts_with("\"620\",\"已停止\",\"c620\",\"李女士\""),
        "{}",
        lines[1]
    );
    let tried: Vec<&&str> = lines
        .iter()
        .filter(|line| line.contains("联系过"))
        .collect();
    assert!(
        tried.len() == 1 && tried[0].starts_with("\"7\","),
        "{tried:?}"
    );
    let one = desk.get("/calls/export.csv?recipient=u2&app=default").await;
    assert_eq!(one.body.lines().count(), 1 + 124);
    desk.get("/calls/export.csv?after=1.1").await.is(400);
    // What was done is in a file of its own, and what was given up by its cause.
    let log = desk.get("/audit/export.csv?action=handle").await;
    assert_eq!(log.body.lines().count(), 3, "{}", log.body);
    log.has("\"'=rang\"").has("outcome: – → told");
    let dead = desk.get("/dead/export.csv").await;
    assert_eq!(dead.body.lines().count(), 2, "{}", dead.body);
    dead.has("\"620\",\"0\",\"1\",");
    // Each list leads to its file.
    for (page, file) in [
        ("/calls?period=30d", "/calls/export.csv?period=30d"),
        ("/dead?app=default", "/dead/export.csv?app=default"),
        ("/audit?action=handle", "/audit/export.csv?action=handle"),
    ] {
        desk.get(page).await.has(&format!("href=\"{file}\""));
    }
}
