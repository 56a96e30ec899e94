//! What a verdict has to know: what somebody has done about a message counts, and so does an answer that came too late.

use serde_json::json;
use sqlx::PgPool;

use super::{Desk, ROWS};
use crate::harness::run;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_was_told_by_phone_is_nobodys_turn_any_more(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[("OUTBOXD_DESK_BADGE_SECRET", SECRET)]).await;
    let mut wang = desk.of("wang").await;
    let path = "/messages/1002/handled";
    let tried = [("reason", "电话"), ("outcome", "not_reached")];
    let form = wang.get(path).await;
    wang.submit(path, &form, &tried).await.is(200);
    wang.get("/messages/1002").await.has("打过电话，未联系上。");
    let found = wang.get("/api/messages/1002").await.json();
    assert_eq!(found["notifications"][0]["verdict"]["who"], "recipient");
    wang.get("/dead").await.lacks("已处理");

    let told = [("reason", "电话"), ("outcome", "told")];
    let form = wang.get(path).await;
    wang.submit(path, &form, &told).await.is(200);
    for page in ["/messages/1002", "/messages/1002/sheet", "/search?q=10086"] {
        wang.get(page)
            .await
            .has("已由 wang 于")
            .has("电话告知")
            .lacks("点“允许”");
    }
    let found = wang.get("/api/messages/1002").await.json();
    let it = &found["notifications"][0];
    assert_eq!(it["verdict"]["who"], "nobody");
    assert_eq!(
        (&it["handled"]["outcome"], &it["handled"]["by"]),
        (&json!("told"), &json!("wang"))
    );
    wang.get("/dead").await.has("全部已处理");
    let causes = wang.get("/api/dead").await.json();
    assert_eq!(causes["causes"][0]["dealt_with"], 1);
    assert_eq!(causes["causes"][0]["who"], "nobody");
    let signed = super::signed(SECRET, "10086", "42", 600);
    let badge = wang.get(&format!("/api/badge/10086/42?{signed}")).await;
    assert_eq!(badge.json()["means"], "已电话告知。");

    // It speaks of that ending, and of no later one.
    run(
        &pool,
        "update outboxd.notification_delivery set settled_at = settled_at + interval '1 second' where id = 1002",
    )
    .await;
    let found = wang.get("/api/messages/1002").await.json();
    assert_eq!(found["notifications"][0]["verdict"]["who"], "recipient");
    assert!(found["notifications"][0]["handled"].is_null());
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_has_another_in_its_place_leads_there(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let path = "/messages/1002/redirect";
    let form = wang.get(path).await;
    let typed = [
        ("reason", "换人"),
        ("recipient", "43"),
        ("recipient_name", "陈静"),
    ];
    wang.submit(path, &form, &typed).await.is(200);
    wang.get("/messages/1002")
        .await
        .has("wang 于")
        .has("新建了通知 2 代替它")
        .lacks("点“允许”")
        .lacks("/1002/handled\"");
    wang.get("/messages/1002/handled")
        .await
        .is(409)
        .has("wang 已新建通知 2");
    let found = wang.get("/api/messages/1002").await.json();
    let it = &found["notifications"][0];
    assert_eq!(it["verdict"]["who"], "nobody");
    assert_eq!(it["successor"]["id"], 2);
    let causes = wang.get("/api/dead").await.json();
    assert_eq!(causes["causes"][0]["dealt_with"], 1);
}

/// A daemon that had lost its lease heard that it was accepted.
const LATE: &str = r#"
    update outboxd.notification_delivery set may_have_arrived = true where id = 1002;
    insert into outboxd.audit_log (actor, action, app, notification_ids, affected, detail)
    values ('daemon-b', 'late_answer', 'default', array[1002], 0,
            '{"attempt": 2, "outcome": "delivered", "sentence": "accepted", "errcode": 0, "msgid": null}')"#;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_answer_that_came_too_late_is_told(pool: PgPool) {
    run(&pool, ROWS).await;
    run(&pool, LATE).await;
    let desk = Desk::open(&pool, &[]).await;
    desk.get("/messages/1002")
        .await
        .has("第 2 次的答复迟到，微信已接收")
        .has("收到一条迟到的答复：微信已接收")
        .lacks("未写原因");
    let found = desk.get("/api/messages/1002").await.json();
    assert_eq!(
        found["notifications"][0]["acts"][0]["answer"]["outcome"],
        "delivered"
    );
}

const SECRET: &str = "0123456789abcdef";

/// Given up, then written about a hundred times to others.
const CROWD: &str = "
    insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient) overriding system value
    select 5000 + n, 'customer_assigned', '10086', 'staff-' || n from generate_series(1, 150) n;
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    values (9000, gen_random_uuid(), 'hooks', 'e', 'customer', '10087', '42', '{}', 2, 1, 0, 1, now(), 'crm', 'delivered', 'taken',
            false, now(), 'd')";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_badge_knows_the_one_among_many_and_who_took_it(pool: PgPool) {
    run(&pool, ROWS).await;
    run(&pool, CROWD).await;
    let desk = Desk::open(&pool, &[("OUTBOXD_DESK_BADGE_SECRET", SECRET)]).await;
    for (customer, status, name) in [
        ("10086", "dead", "已停止"),
        ("10087", "delivered", "接收方已接收"),
    ] {
        let signed = super::signed(SECRET, customer, "42", 600);
        let badge = desk
            .get(&format!("/api/badge/{customer}/42?{signed}"))
            .await;
        if customer == "10087" {
            badge.lacks("微信");
            for page in ["/messages/9000", "/messages/9000/sheet"] {
                desk.get(page).await.has("接收方").lacks("微信");
            }
        }
        let badge = badge.json();
        assert_eq!(
            (&badge["status"], &badge["name"]),
            (&json!(status), &json!(name))
        );
    }
}

const PAUSED: &str = "
    insert into outboxd.app_state (app, paused_at, paused_by) values ('lab', now(), 'wang');
    insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient, expires_at)
    values ('lab', 'e', '10089', '42', now() - interval '1 minute'), ('lab', 'e', '10090', '43', now() + interval '1 day')";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_waits_behind_a_pause_in_vain_is_somebodys_turn(pool: PgPool) {
    run(&pool, PAUSED).await;
    let desk = Desk::open(&pool, &[]).await;
    let found = desk.get("/api/search?q=10089").await.json();
    let it = &found["notifications"][0];
    assert_eq!(it["why_not_yet"]["held"], true);
    assert_eq!(it["verdict"]["who"], "support");
    desk.get("/search?q=10089")
        .await
        .has("请电话告知")
        .lacks("无需处理");
    let asked = async |path: &str| desk.get(path).await.json()["expired_held"].clone();
    let calls = asked("/api/calls").await;
    assert_eq!(calls.as_array().unwrap().len(), 1);
    assert_eq!(calls[0]["aggregate_id"], "10089");
    assert_eq!(asked("/api/calls?recipient=43").await, json!([]));
    desk.get("/calls")
        .await
        .has("尚未记为过期")
        .has("10089")
        .lacks("没有需要打电话的人");
    // The next claim settles it.
    run(
        &pool,
        "update outboxd.app_state set paused_at = null, paused_by = null",
    )
    .await;
    assert_eq!(asked("/api/calls").await, json!([]));
    let found = desk.get("/api/search?q=10089").await.json();
    assert_eq!(found["notifications"][0]["why_not_yet"]["held"], false);
    assert_eq!(found["notifications"][0]["verdict"]["who"], "nobody");
}

/// Past their limit: on hold for ever, due tomorrow, behind one that is, and one that nobody has settled for a minute. The
/// first is due and gone shortly, the last is superseded.
const TOO_LATE: &str = "
    insert into outboxd.notification_outbox
        (id, event_type, aggregate_id, recipient, created_at, next_attempt_at, expires_at, order_key, collapse_key)
    overriding system value
    select n, 'e', 'late' || n, '42', now() - interval '1 day', now() + due, now() + ends, line, collapses
      from (values (1, interval '-1 minute', interval '-1 second', null, null),
                   (3, '1 day', '-1 second', 'line', null), (4, '-1 hour', '-1 second', 'line', null),
                   (5, '-1 hour', '-2 minutes', null, null), (6, '1 day', '-1 second', null, 'k')) v(n, due, ends, line, collapses);
    insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, next_attempt_at, expires_at, collapse_key)
    overriding system value values (2, 'e', 'late2', '42', 'infinity', now() - interval '1 second', null),
                                   (7, 'e', 'newer', '42', now() + interval '1 day', null, 'k');";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_waits_past_a_limit_for_whatever_reason_can_be_phoned(pool: PgPool) {
    run(&pool, TOO_LATE).await;
    let open = Desk::open(&pool, &[]).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let calls = wang.get("/api/calls").await.json();
    let listed: Vec<i64> = calls["expired_held"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["id"].as_i64())
        .collect();
    assert_eq!(listed, [5, 4, 3, 2]);
    let verdict = async |id: i64| {
        let found = open.get(&format!("/api/messages/{id}")).await.json();
        found["notifications"][0].clone()
    };
    for id in [2, 3, 4, 5] {
        let it = verdict(id).await;
        assert_eq!(it["why_not_yet"]["kind"], "expired", "{id}");
        assert_eq!(it["verdict"]["who"], "support", "{id}");
        assert!(it["verdict"]["eta"].is_null(), "{id}");
        // What is not sent any more is not called by a word for what is.
        let page = open.get(&format!("/messages/{id}")).await;
        page.has("<span class=\"standing\">已过期</span>");
    }
    assert_eq!(verdict(1).await["verdict"]["who"], "nobody");
    assert_eq!(verdict(6).await["why_not_yet"]["kind"], "superseded");
    // Sent again it has no limit any more, as the page says, whatever else holds it.
    let path = "/messages/4/resend";
    let form = wang.get(path).await;
    form.has("有效期").has("不再限制");
    wang.submit(path, &form, &[("reason", "仍需告知")])
        .await
        .has("已取消时间限制");
    assert_eq!(verdict(4).await["why_not_yet"]["kind"], "behind");
    // The way to the other one that the words speak of.
    open.get("/messages/4")
        .await
        .has("<a href=\"/messages/3\">#3</a>");
    open.get("/messages/6")
        .await
        .has("<a href=\"/messages/7\">#7</a>");
}

/// One of A's is to be tried again, and the customer is B's by now: nobody may be told that A hears of it yet.
const OVERTAKEN: &str = "
    insert into outboxd.notification_outbox
        (id, event_type, aggregate_id, recipient, attempts, next_attempt_at, order_key, collapse_key)
    overriding system value values (1, 'customer_assigned', '10088', 'a', 1, now() + interval '1 hour', 'k', 'k'),
                                   (2, 'customer_assigned', '10088', 'b', 0, now(), 'k', 'k');";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn whom_a_newer_one_overtook_is_promised_nothing(pool: PgPool) {
    run(&pool, OVERTAKEN).await;
    let desk = Desk::open(&pool, &[("OUTBOXD_DESK_BADGE_SECRET", SECRET)]).await;
    for page in ["/messages/1", "/messages/1/sheet", "/search?q=10088"] {
        desk.get(page)
            .await
            .has("较新的通知 2 已取代它，这一条不会再发送")
            .lacks("自动重试")
            .lacks("会自动继续");
    }
    let found = desk.get("/api/messages/1").await.json();
    let it = &found["notifications"][0];
    assert_eq!(it["why_not_yet"], json!({"kind": "superseded", "by": 2}));
    assert!(it["verdict"]["eta"].is_null());
    let signed = super::signed(SECRET, "10088", "a", 600);
    desk.get(&format!("/badge/10088/a?{signed}"))
        .await
        .has("有更新的通知取代了它")
        .lacks("自动重试");
    // And whose turn it is to be told does not lead in a circle.
    let found = desk.get("/api/messages/2").await.json();
    let it = &found["notifications"][0];
    assert_eq!(
        (&it["why_not_yet"]["id"], &it["why_not_yet"]["gives_way"]),
        (&json!(1), &json!(true))
    );
    desk.get("/messages/2")
        .await
        .has("请对通知 1 选择“重新发送”");
}

/// Whoever is to allow messages is asked once, however many of theirs wait; nobody is on two lists.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_has_to_allow_messages_is_on_the_list_of_people(pool: PgPool) {
    run(&pool, PAUSED).await;
    run(
        &pool,
        "insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, expires_at, awaits_grant)
         select app, 'e', customer, recipient, 1, 1, coalesce(until, 'infinity'), until, true
           from (values ('default', '1', '50', null), ('default', '2', '50', null), ('default', '3', '51', now() + interval '1 hour'),
                        ('lab', '4', '51', null), ('lab', '5', '52', now() - interval '1 second'), ('default', '6', '53', null))
                w(app, customer, recipient, until);
         update outboxd.notification_outbox set awaits_grant = false, next_attempt_at = now() where recipient = '53'",
    )
    .await;
    let desk = Desk::open(&pool, &[]).await;
    let asked = async |path: &str| -> Vec<String> {
        let list = desk.get(path).await.json()["awaiting_grant"].clone();
        let rows = list.as_array().unwrap().iter();
        rows.map(|it| format!("{} {}", it["app"], it["aggregate_id"]).replace('"', ""))
            .collect()
    };
    assert_eq!(
        asked("/api/calls").await,
        ["default 1", "default 3", "lab 4"]
    );
    assert_eq!(
        asked("/api/calls?app=default&recipient=51").await,
        ["default 3"]
    );
    let page = desk.get("/calls?app=default").await;
    page.has("需要请对方点“允许”")
        .has("href=\"/messages?app=default&#38;status=awaiting_grant\"")
        .lacks("没有需要打电话的人");
    // What has expired is on the other list, and there alone.
    let held = desk.get("/api/calls").await.json()["expired_held"].clone();
    let held = held.as_array().unwrap().iter();
    let held: Vec<_> = held
        .map(|it| it["aggregate_id"].as_str().unwrap())
        .collect();
    assert_eq!(held, ["5", "10089"]);
    run(
        &pool,
        "update outboxd.notification_outbox set awaits_grant = false, next_attempt_at = now()",
    )
    .await;
    desk.get("/calls").await.lacks("需要请对方点“允许”");
}

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

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_answer_to_copy_tells_no_colleague_what_to_do(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::open(&pool, &[]).await;
    let copied = async || {
        let page = desk.get("/messages/1002").await;
        let (_, rest) = page.body.split_once("id=\"copy1002\">").unwrap();
        rest.split("</").next().unwrap().to_owned()
    };
    let asked = copied().await;
    assert!(asked.contains("请对方在小程序里"), "{asked}");
    run(
        &pool,
        "update outboxd.notification_delivery set reason = 'secret_wrong', errcode = 40125 where id = 1002",
    )
    .await;
    let asked = copied().await;
    assert!(
        asked.contains("[40125]") && !asked.contains("核对"),
        "{asked}"
    );
}
