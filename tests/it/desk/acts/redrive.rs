//! Redrives on the desk: from the filter to the report, driven by the desk itself, and stopped by hand or by harm.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;

use super::{Desk, Page, Visitor};
use crate::fleet::Fleet;
use crate::harness::{number, run};

/// `count` that were given up, a second apart.
async fn given_up(pool: &PgPool, count: i64) {
    sqlx::query(
        "insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
             priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
         select n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', 'c' || n, 'u' || n,
                '{\"name\": \"李女士\", \"phone\": \"13800001234\"}', 2, 1, 1, 1, now() - interval '2 hours', 'crm', 'dead',
                'template_wrong', false, now() - interval '1 minute' - ($1 - n) * interval '1 second', 'd'
           from generate_series(1, $1) n",
    )
    .bind(count)
    .execute(pool)
    .await
    .unwrap();
    run(
        pool,
        "select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 10000000)",
    )
    .await;
}

const NEW: &str = "/bulk/new?status=dead&cause=template_wrong&since=7d&per_second=20";

/// The plan's page.
async fn planned(visitor: &mut Visitor<'_>) -> (String, Page) {
    let form = visitor.get(NEW).await;
    let fields = [
        ("status", "dead"),
        ("cause", "template_wrong"),
        ("since", "7d"),
        ("why", "模板已修正"),
    ];
    let made = visitor.submit("/bulk/new", form.is(200), &fields).await;
    let path = made.is(303).header("location").to_owned();
    let page = visitor.get(&path).await;
    (path, page)
}

/// Its object, once it is so; polled, because only the database knows.
async fn becomes(visitor: &mut Visitor<'_>, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let it = visitor.get(&format!("/api{path}")).await.json()["bulks"][0].clone();
        if is_so(&it) {
            return it;
        }
        assert!(
            tokio::time::Instant::now() < give_up,
            "not within a minute: {it}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_form_that_is_sent_twice_plans_once(pool: PgPool) {
    given_up(&pool, 3).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let form = wang.get(NEW).await;
    let fields = |why| {
        [
            ("status", "dead"),
            ("cause", "template_wrong"),
            ("since", "7d"),
            ("why", why),
        ]
    };
    let (mut one, mut two, typed) = (wang.clone(), wang.clone(), fields("模板已修正"));
    let (first, second) = tokio::join!(
        one.submit("/bulk/new", &form, &typed),
        two.submit("/bulk/new", &form, &typed)
    );
    assert_eq!(
        (first.status, second.status),
        (303, 303),
        "{}{}",
        first.body,
        second.body
    );
    assert_eq!(first.header("location"), second.header("location"));
    // What came of it meanwhile changes nothing: the same form, the same plan.
    run(
        &pool,
        "delete from outboxd.notification_delivery where id < 3",
    )
    .await;
    let late = wang.submit("/bulk/new", &form, &typed).await;
    assert_eq!(late.is(303).header("location"), first.header("location"));
    // What was typed anew, and a form of its own, is meant anew.
    let other = wang.submit("/bulk/new", &form, &fields("再试一次")).await;
    let again = wang.get(NEW).await;
    let again = wang.submit("/bulk/new", &again, &typed).await;
    assert!(other.is(303).header("location") != again.is(303).header("location"));
    assert!(
        ![&other, &again]
            .iter()
            .any(|it| it.header("location") == first.header("location"))
    );
    let lines = "select count(*) from outboxd.audit_log where action = 'bulk_plan'";
    assert_eq!(number(&pool, lines).await, 3);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_was_previewed_is_sent_again_and_reported(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    given_up(&pool, 20).await;
    run(
        &pool,
        "update outboxd.notification_delivery set may_have_arrived = true where id = 18;
        update outboxd.notification_delivery set reason = 'not_subscribed' where id = 17;
        insert into outboxd.notification_successor (old_id, old_key, new_id, new_key, kind, by)
        select id, key, 77, gen_random_uuid(), 'redirect', 'wang' from outboxd.notification_delivery where id = 19;
        insert into outboxd.notification_handled (notification_id, key, settled_at, outcome, handled_by)
        select id, key, settled_at, 'told', 'wang' from outboxd.notification_delivery where id = 20",
    )
    .await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    wang.get(NEW)
        .await
        .has("<strong>16</strong> 条通知")
        .has("条可能已收到，未列入")
        .has("条已改发、更正或已有更新的通知，未列入")
        .has("条已人工处理，未列入")
        .has("模板");
    let before = number(&pool, "select count(*) from outboxd.bulk_redrive").await;
    assert_eq!(before, 0, "looking plans nothing");

    let (path, page) = planned(&mut wang).await;
    page.has("待开始").has("先发 5 条").has("模板已修正");
    let wrong = [("order", "start"), ("count", "15")];
    wang.submit(&path, &page, &wrong)
        .await
        .is(422)
        .has("数量不对")
        .has("16");
    let right = [("order", "start"), ("count", "16")];
    let (mut one, mut two) = (wang.clone(), wang.clone());
    let (first, second) = tokio::join!(
        one.submit(&path, &page, &right),
        two.submit(&path, &page, &right)
    );
    assert_eq!(
        (first.status, second.status),
        (303, 303),
        "{}{}",
        first.body,
        second.body
    );
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.audit_log where action = 'bulk_start'"
        )
        .await,
        1
    );

    let daemon = fleet.start();
    let end = becomes(&mut wang, &path, |it| it["state"] == "done").await;
    daemon.stop().await;
    assert_eq!(
        (&end["redriven"], &end["delivered"], &end["failed"]),
        (&16.into(), &16.into(), &0.into())
    );
    assert_eq!(end["preview"]["causes"][0]["reason"], "template_wrong");
    wang.get(&path)
        .await
        .has("已完成")
        .has("16 条已重新发送")
        .lacks("data-live")
        .lacks("<form method=\"post\" action=\"/bulk");
    wang.get("/bulk").await.has("16 / 16").has("模板已修正");
    wang.get(NEW).await.has("没有符合条件的通知");
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery where status = 'dead'"
        )
        .await,
        4
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn two_desks_drive_it_and_another_one_takes_it_up(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    given_up(&pool, 40).await;
    let (desk, other) = (
        Desk::staffed(&pool, &[]).await,
        Desk::staffed(&pool, &[]).await,
    );
    let mut wang = desk.of("wang").await;
    let (path, page) = planned(&mut wang).await;
    wang.submit(&path, &page, &[("order", "start"), ("count", "40")])
        .await
        .is(303);
    becomes(&mut wang, &path, |it| it["redriven"] == 5).await;
    drop(wang);
    desk.close().await;
    other.close().await;
    // Nobody drives it now.
    fleet.drain().await;
    assert_eq!(
        number(&pool, "select redriven from outboxd.bulk_redrive").await,
        5
    );
    let third = Desk::staffed(&pool, &[]).await;
    let mut chen = third.of("chen").await;
    let daemon = fleet.start();
    let end = becomes(&mut chen, &path, |it| it["state"] == "done").await;
    daemon.stop().await;
    assert_eq!(end["delivered"], 40);
    // Each once, however many drove.
    let most = number(&pool, "select max(n) from (select count(*) n from outboxd.notification_attempt group by notification_id) a").await;
    assert_eq!(most, 1);
    assert_eq!(fleet.sim.ledger().twice(), Vec::<&str>::new());
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn harm_stops_it_and_orders_are_for_what_was_seen(pool: PgPool) {
    given_up(&pool, 20).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let (mut wang, mut chen) = (desk.of("wang").await, desk.of("chen").await);
    let (path, page) = planned(&mut wang).await;
    wang.submit(&path, &page, &[("order", "start"), ("count", "20")])
        .await
        .is(303);
    becomes(&mut wang, &path, |it| it["redriven"] == 5).await;
    let running = wang.get(&path).await;
    running.has("data-live").has("已先发 5 条");
    wang.get(&format!("{path}/progress"))
        .await
        .is(200)
        .has("<progress max=\"20\" value=\"5\"")
        .lacks("<html");
    let seen = chen.get(&path).await;
    let pause = [("order", "pause"), ("reason", "先看看")];
    wang.submit(&path, &running, &[("order", "pause"), ("reason", "")])
        .await
        .is(422)
        .has("请填写原因");
    chen.submit(&path, &seen, &pause).await.is(303);
    // She saw it running; somebody was faster, and with another order.
    let late = wang
        .submit(&path, &running, &[("order", "cancel"), ("reason", "r")])
        .await;
    late.is(409).has("未做任何操作").has("已暂停").has("chen");
    let paused = wang.get(&path).await;
    wang.submit(&path, &paused, &[("order", "resume"), ("reason", "r")])
        .await
        .is(303);
    // All that went out is refused again.
    run(&pool, "with gone as (delete from outboxd.notification_outbox returning *)
        insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
             priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
        select id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
               format_version, created_at, created_by, 'dead', 'template_wrong', false, clock_timestamp(), 'd' from gone").await;
    let stopped = becomes(&mut wang, &path, |it| it["state"] == "stopped").await;
    assert!(stopped["failed"].as_i64().unwrap() >= 5, "{stopped}");
    assert!(stopped["redriven"].as_i64().unwrap() <= 10, "{stopped}");
    wang.get(&path)
        .await
        .has("已自动停止")
        .has("value=\"resume\"");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_may_not_act_sees_and_does_nothing(pool: PgPool) {
    given_up(&pool, 3).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let closed = Desk::staffed(&pool, &[("OUTBOXD_DESK_READ_ONLY", "true")]).await;
    let (mut wang, mut li) = (desk.of("wang").await, desk.of("li").await);
    let mut reader = closed.of("wang").await;
    let (path, page) = planned(&mut wang).await;
    for (visitor, said) in [(&mut li, "当前账号只能查看"), (&mut reader, "只读")] {
        visitor
            .get(NEW)
            .await
            .is(200)
            .has("<strong>3</strong>")
            .lacks("name=\"why\"");
        let own = visitor.get(&path).await;
        own.is(200).lacks("name=\"count\"").lacks("name=\"order\"");
        let token = own.hidden("form_token").unwrap();
        let version = page.hidden("version").unwrap();
        let order = [
            ("form_token", token.as_str()),
            ("version", &version),
            ("order", "start"),
            ("count", "3"),
        ];
        visitor
            .post_bare(&path, &order, &[])
            .await
            .is(403)
            .has(said);
        let plan = [
            ("form_token", token.as_str()),
            ("why", "r"),
            ("since", "7d"),
        ];
        visitor
            .post_bare("/bulk/new", &plan, &[])
            .await
            .is(403)
            .has(said);
    }
    let mut forged = page.clone();
    forged.body = forged.body.replace(
        "name=\"form_token\" value=\"",
        "name=\"form_token\" value=\"x",
    );
    wang.submit(&path, &forged, &[("order", "start"), ("count", "3")])
        .await
        .is(403);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.bulk_redrive where state = 'planned'"
        )
        .await,
        1
    );
    wang.get("/bulk/77").await.is(404).has("没有批量重发 77");
    wang.get("/bulk/new?since=soon")
        .await
        .is(422)
        .has("时间有误");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn where_nobody_drives_it_the_page_says_so(pool: PgPool) {
    given_up(&pool, 3).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let (path, page) = planned(&mut wang).await;
    wang.submit(&path, &page, &[("order", "start"), ("count", "3")])
        .await
        .is(303);
    const HINT: &str = "本客服台为只读，不会推进";
    wang.get(&path).await.has("进行中").lacks(HINT);
    drop(wang);
    desk.close().await;
    let closed = Desk::staffed(&pool, &[("OUTBOXD_DESK_READ_ONLY", "true")]).await;
    let mut wang = closed.of("wang").await;
    wang.get(&path)
        .await
        .has("进行中")
        .has(HINT)
        .has("outboxd bulk drive");
    run(
        &pool,
        "delete from outboxd.bulk_redrive_underway;
        update outboxd.bulk_redrive set state = 'done', is_walked = true, redriven = 3, delivered = 1",
    )
    .await;
    wang.get(&path)
        .await
        .lacks(HINT)
        .has("1 条已重新发送")
        .has("2 条在等待用户允许");
    let it = wang.get(&format!("/api{path}")).await.json()["bulks"][0].clone();
    assert_eq!((&it["waiting"], &it["underway"]), (&2.into(), &0.into()));
}
