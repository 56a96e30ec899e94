//! What a card stands for, what may be passed on of it, and the whole life behind it.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::PgPool;

use super::{Desk, Page, ROWS};
use crate::harness::run;

/// Two by two they look alike when masked, or differ in one thing only.
const ALIKE: &str = r#"
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    select 2000 + n, gen_random_uuid(), app, event, type, customer, recipient, '{"aggregate_label": "周女士"}', 2, 1, 0, 1,
           now() - interval '1 hour', 'crm', status, reason, false, now(), 'd'
      from (values (1, 'default', 'assigned', 'customer', '13812348000', '42', 'dead', 'not_subscribed'),
                   (2, 'default', 'assigned', 'customer', '13899998000', '42', 'delivered', 'accepted'),
                   (3, 'default', 'assigned', 'customer', '10001', 'oABCD1234efgh5678IJKL9012_-x', 'dead', 'not_subscribed'),
                   (4, 'default', 'assigned', 'customer', '10001', 'oABCDzzzzefgh5678IJKL9012_-y', 'delivered', 'accepted'),
                   (5, 'default', 'assigned', 'customer', '10002', '42', 'dead', 'not_subscribed'),
                   (6, 'default', 'visit', 'customer', '10002', '42', 'delivered', 'accepted'),
                   (7, 'second', 'visit', 'customer', '10002', '42', 'delivered', 'accepted'),
                   (8, 'default', 'visit', 'order', '10002', '42', 'delivered', 'accepted'),
                   (9, 'default', 'assigned', 'customer', '10002', '42', 'delivered', 'accepted'))
           v(n, app, event, type, customer, recipient, status, reason);"#;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn strangers_who_look_alike_have_a_card_each(pool: PgPool) {
    run(&pool, ALIKE).await;
    let desk = Desk::open(&pool, &[]).await;
    let page = desk.get("/search?q=%E5%91%A8%E5%A5%B3%E5%A3%AB").await;
    let cards: BTreeSet<&str> = page
        .body
        .split("<h2 id=\"m")
        .skip(1)
        .map(|card| card.split('"').next().unwrap())
        .collect();
    let expected = [
        "2001", "2002", "2003", "2004", "2006", "2007", "2008", "2009",
    ];
    assert_eq!(cards, expected.into());
    // The one that failed stands under the newer one, and in sight.
    page.has("<details class=\"earlier\" open>").has("#2005");
    for personal in ["13812348000", "13899998000", "oABCD1234", "oABCDzzzz"] {
        page.lacks(personal);
    }
}

/// Whatever can stand in a verdict, with names in all of it.
const NAMED: &str = r#"
    insert into outboxd.app_state (app, paused_at, paused_by, pause_reason)
    values ('paused-canary', now(), 'staff-canary', 'reason-canary');
    insert into outboxd.app_state (app, breaker, breaker_until, breaker_reason, breaker_errcode)
    values ('broken-canary', 'open', now() + interval '5 minutes', 'secret_wrong', 40125);
    insert into outboxd.notification_outbox
        (app, event_type, aggregate_id, recipient, next_attempt_at, created_at, created_by, expires_at, attempts, awaits_grant,
         format_version, order_key, collapse_key)
    select app, 'assigned', '10077', 'r' || n, due, now() - interval '20 minutes', 'crm-canary', due_until, attempts, awaits, format,
           line, line
      from (values (1, 'paused-canary', now(), null, 0, false, 1, null),
                   (2, 'broken-canary', now(), null, 0, false, 1, null),
                   (3, 'idle-canary', now() - interval '10 minutes', null, 0, false, 1, null),
                   (4, 'retry-canary', now() + interval '10 minutes', null, 1, false, 1, null),
                   (5, 'later-canary', now() + interval '1 hour', null, 0, false, 1, 'line-canary'),
                   (6, 'later-canary', now(), null, 0, false, 1, 'line-canary'),
                   (7, 'held-canary', 'infinity', null, 0, false, 1, null),
                   (8, 'grant-canary', 'infinity', null, 1, true, 1, null),
                   (9, 'late-canary', now(), now() - interval '1 minute', 0, false, 1, null),
                   (10, 'newer-canary', now(), null, 0, false, 2, null))
           v(n, app, due, due_until, attempts, awaits, format, line);
    insert into outboxd.notification_outbox
        (app, event_type, aggregate_id, recipient, attempts, lease_token, lease_until, leased_by, lease_epoch, cancel_requested_by)
    values ('call-canary', 'assigned', '10077', 'r11', 1, gen_random_uuid(), now() + interval '30 seconds', 'daemon-canary',
            1767225600000, 'staff-canary'),
           ('call-canary', 'assigned', '10077', 'r12', 1, gen_random_uuid(), now() - interval '1 second', 'daemon-canary',
            1767225600000, null);
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    select 3000 + n, gen_random_uuid(), 'app-canary', 'assigned', 'customer', '10077', 'r' || n, '{}', 2, 1, 0, 1,
           now() - interval '1 hour', 'crm-canary', status, reason, doubt, now() - interval '1 minute', 'daemon-canary'
      from (values (21, 'delivered', 'accepted', false), (22, 'dead', 'not_subscribed', false), (23, 'dead', 'not_subscribed', true),
                   (24, 'dead', 'not_subscribed', false), (25, 'dead', 'not_subscribed', false), (26, 'expired', 'expired', false),
                   (27, 'superseded', 'superseded', false), (28, 'cancelled', 'cancelled', false),
                   (29, 'dead', 'lease_lapsed', false)) v(n, status, reason, doubt);
    insert into outboxd.audit_log (actor, action, notification_ids, affected, reason)
    values ('staff-canary', 'cancel', array[3028], 1, 'reason-canary');
    insert into outboxd.notification_handled (notification_id, key, settled_at, outcome, handled_by)
    select id, key, settled_at, case id when 3023 then 'not_reached' else 'told' end, 'staff-canary'
      from outboxd.notification_delivery where id in (3023, 3024);
    insert into outboxd.notification_successor (old_id, old_key, new_id, new_key, kind, by)
    select id, key, 3021, gen_random_uuid(), 'redirect', 'staff-canary' from outboxd.notification_delivery where id = 3025;"#;

/// The answers to copy, by the ids of their cards.
fn copied(page: &Page) -> Vec<(i64, String)> {
    let answers = page.body.split("<p class=\"text\" id=\"copy").skip(1);
    answers
        .map(|rest| {
            let (id, rest) = rest.split_once("\">").unwrap();
            (
                id.parse().unwrap(),
                rest.split("</").next().unwrap().to_owned(),
            )
        })
        .collect()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_answer_to_copy_names_nobody_of_ours(pool: PgPool) {
    run(&pool, NAMED).await;
    let desk = Desk::open(&pool, &[]).await;
    for lang in ["zh", "en"] {
        let mut visitor = desk.visitor();
        visitor.get(&format!("/?lang={lang}")).await;
        let page = visitor.get("/search?q=10077").await;
        // The verdicts do, for they are for colleagues.
        for name in ["staff", "reason", "daemon", "paused", "idle"] {
            page.has(&format!("{name}-canary"));
        }
        let answers = copied(&page);
        assert_eq!(answers.len(), 21, "{answers:#?}");
        for (id, answer) in &answers {
            assert!(!answer.contains("canary"), "{id}: {answer}");
        }
        if lang == "en" {
            continue;
        }
        let answer = |id: i64| &answers.iter().find(|(it, _)| *it == id).unwrap().1;
        for (id, text) in [
            (3021, "没看到的话"),
            (3022, "请对方在小程序里"),
            (3023, "对方可能已经收到"),
            (3024, "已电话告知"),
            (3025, "已由另一条通知代替"),
            (3028, "已取消"),
            (1, "恢复后自动继续"),
            (4, "预计 "),
            (5, "已被取代。有更新的通知取代了它"),
            (7, "没有指定发送时间"),
            (9, "已过期。过了有效期"),
        ] {
            assert!(answer(id).contains(text), "{id}: {}", answer(id));
        }
        assert!(!answer(5).contains("预计"), "{}", answer(5));
    }
}

/// Two attempts: one two seconds after it was written, one five minutes after the first.
const TRIED: &str = "
    update outboxd.notification_delivery set attempts = 2 where id = 1002;
    insert into outboxd.notification_attempt
        (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, latency_ms)
    select id, n, 'default', gen_random_uuid(), 'daemon-a', created_at + began, created_at + began + interval '400 milliseconds',
           'answered', 'failed', 'receiver_not_yet', 400
      from outboxd.notification_delivery
     cross join (values (1, interval '2 seconds'), (2, interval '5 minutes 2.4 seconds')) v(n, began)
     where id = 1002";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_life_says_how_long_it_waited_and_what_each_act_changed(pool: PgPool) {
    run(&pool, ROWS).await;
    run(&pool, TRIED).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let life = wang.get("/api/messages/1002").await.json()["notifications"][0].clone();
    let waits = |life: &serde_json::Value| {
        let tries = life["attempts_made"].as_array().unwrap();
        json!(
            tries
                .iter()
                .map(|it| it["waited_ms"].clone())
                .collect::<Vec<_>>()
        )
    };
    assert_eq!(waits(&life), json!([2000, 300_000]));
    let payload: serde_json::Value =
        serde_json::from_str(life["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload["phone"], "138****8000");
    assert_eq!(payload["aggregate_label"], "李女士");
    for page in ["/messages/1002", "/messages/1002/sheet"] {
        wang.get(page)
            .await
            .has("用时 0.4 秒，此前等待 2.0 秒")
            .has("此前等待 5 分钟");
    }
    wang.get("/messages/1002").await.has(">等待 5 分钟<");

    // Sent again, it waits from then on.
    let path = "/messages/1002/resend";
    let form = wang.get(path).await;
    wang.submit(path, &form, &[("reason", "再发")])
        .await
        .is(200);
    run(
        &pool,
        "update outboxd.notification_outbox set attempts = 3, lease_token = gen_random_uuid(), leased_by = 'daemon-b',
                lease_until = now() + interval '30 seconds', lease_epoch = extract(epoch from now()) * 1000 where id = 1002;
         delete from outboxd.notification_attempt where notification_id = 1002 and attempt = 1",
    )
    .await;
    wang.get("/messages/1002")
        .await
        .has("第 3 次开始，由 daemon-b 执行，此前等待 ")
        .lacks("此前等待 1 小时")
        .lacks("此前等待 59 分钟");
    let life = wang.get("/api/messages/1002").await.json()["notifications"][0].clone();
    // Nobody knows when the first ended.
    assert_eq!(waits(&life), json!([null]));
    assert_eq!(
        life["acts"][0]["before"],
        json!({"status": "dead", "reason": "not_subscribed"})
    );
    assert_eq!(life["acts"][0]["after"], "due");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_life_leads_to_the_one_before_and_tells_its_part_of_an_act_on_many(pool: PgPool) {
    run(&pool, ROWS).await;
    run(
        &pool,
        r#"insert into outboxd.audit_log (actor, action, notification_ids, affected, reason, detail)
           values ('chen', 'cancel', array[1001, 1002], 2, 'r', '{"before": {"1001": {"attempts": 8}, "1002": {"attempts": 3}},
                   "after": {"1001": "cancelled", "1002": "cancel_requested"}}')"#,
    )
    .await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let path = "/messages/1002/redirect";
    let form = wang.get(path).await;
    let typed = [
        ("reason", "换人"),
        ("recipient", "13912345678"),
        ("recipient_name", "陈静"),
    ];
    let done = wang.submit(path, &form, &typed).await;
    done.is(200);
    let old = wang.get("/api/messages/1002").await.json()["notifications"][0].clone();
    let acts = &old["acts"];
    assert_eq!(acts[0]["before"], json!({"attempts": 3}));
    assert_eq!(acts[0]["after"], "cancel_requested");
    assert_eq!(acts[1]["before"]["recipient"], "42");
    assert_eq!(acts[1]["after"]["recipient"], "139****5678");
    assert!(old["predecessor"].is_null());
    let path = format!("/api/messages/{}", old["successor"]["id"]);
    let new = wang.get(&path).await.json()["notifications"][0].clone();
    assert_eq!(new["predecessor"]["id"], 1002);
    assert_eq!(new["predecessor"]["key"], old["key"]);
    assert!(new["successor"].is_null());
}
