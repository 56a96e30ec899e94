//! The overview, the system page, the badge and the description of the JSON, over real HTTP.

mod badge;
mod described;

use reqwest::Method;
use sqlx::PgPool;

use super::{Desk, ROWS, Visitor};
use crate::harness::{number, run};

/// Two apps: one with a past and a permission problem, one paused.
const APPS: &str = "
    insert into outboxd.app_state (app, paused_at, paused_by, pause_reason)
    values ('lab', now(), 'wang', 'template under review 13800138000');
    insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient)
    values ('lab', 'e', 'c', 'r'), ('lab', 'e', 'd', 'r');
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
    select 5000 + n, gen_random_uuid(), 'default', 'e', 'customer', 'c', 'u' || n, '{}', 2, 1, 0, 1, now(), 'crm',
           case when n <= 7 then 'delivered' else 'dead' end,
           case when n <= 7 then 'accepted' when n <= 9 then 'not_subscribed' else 'template_wrong' end,
           case when n between 8 and 9 then 43101 end, false, now() - interval '1 minute', 'd'
      from generate_series(1, 10) n;
    insert into outboxd.notification_attempt
        (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, errcode, latency_ms)
    select 5000 + n, 1, 'default', gen_random_uuid(), 'daemon-a', now(), now(), 'answered',
           case when n <= 7 then 'delivered' else 'failed' end,
           case when n <= 7 then 'accepted' when n <= 9 then 'not_subscribed' else 'template_wrong' end, null, 2400
      from generate_series(1, 10) n;";

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn each_number_stands_against_its_target_in_words(pool: PgPool) {
    run(&pool, APPS).await;
    let desk = Desk::open(&pool, &[]).await;
    let page = desk.get("/overview").await;
    assert_eq!(page.status, 200);
    // 7 of 8 accepted, 8 of 10 authorised, 2.4 s: none of them is good enough, and the colour is not all that says so.
    page.has("87.5 %")
        .has("7/8")
        .has("80.0 %")
        .has("8/10")
        .has("2.40 秒")
        .has("最慢的应用：default")
        .lacks("> 达标");
    assert!(page.body.matches("未达标").count() >= 3);
    page.has("/help#not_subscribed")
        .has("138****8000")
        .lacks("13800138000");
    // One app alone has its own sum; one that is not there says so.
    let lab = desk.get("/overview?app=lab").await;
    lab.has("暂停")
        .lacks("87.5 %")
        .lacks("/help#not_subscribed");
    let none = desk.get("/overview?app=%3Cb%3Enone").await;
    assert_eq!(none.status, 404);
    none.has("没有应用").lacks("<b>none");
    let document = desk.get("/api/overview").await.json();
    assert_eq!(document["sum"]["due"]["count"], 2);
    assert_eq!(document["sum"]["last_hour"]["success"]["of"], 8);
    assert_eq!(document["hours"].as_array().unwrap().len(), 24);
    let failed: i64 = document["hours"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|hour| hour["failed"]["not_subscribed"].as_i64())
        .sum();
    assert_eq!(failed, 2);
    // The hours are on the page too, for whoever runs no script.
    assert_eq!(page.body.matches("data-label=\"已了结\"").count(), 24);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_operator_pauses_and_resumes_with_a_reason_and_nobody_else(pool: PgPool) {
    run(&pool, ROWS).await;
    run(&pool, APPS).await;
    let (desk, token) = Desk::with_people(&pool, &[]).await;
    let audited = "select count(*) from outboxd.audit_log where action in ('pause', 'resume')";

    let mut li = desk.of("li").await;
    li.get("/system").await.has("lab").lacks("/system/pause");
    let order = [("app", "default"), ("reason", "quota")];
    assert_eq!(li.post("/system/pause", &order).await.status, 403);

    let mut wang = desk.of("wang").await;
    wang.get("/system")
        .await
        .has("/system/pause")
        .has("/system/resume");
    let bare = [("app", "default"), ("reason", "  ")];
    assert_eq!(wang.post("/system/pause", &bare).await.status, 400);
    let mistyped = [("app", "defualt"), ("reason", "quota")];
    let page = wang.post("/system/pause", &mistyped).await;
    assert_eq!(page.status, 404);
    page.has("defualt");
    assert_eq!(number(&pool, audited).await, 0);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.app_state where app = 'defualt'"
        )
        .await,
        0
    );

    let done = wang.post("/system/pause", &order).await;
    assert_eq!((done.status, done.header("location")), (303, "/system"));
    // At once, the numbers too.
    let held = "select count(*) from outboxd.notification_outbox where app = 'default'";
    let held = number(&pool, held).await;
    assert!(held > 0);
    wang.get("/system")
        .await
        .has("由 wang 于")
        .has("quota")
        .has(&format!("暂缓 {held} 条"));
    let who = "select count(*) from outboxd.audit_log where action = 'pause' and actor = 'wang' and reason = 'quota'";
    assert_eq!(number(&pool, who).await, 1);
    let resumed = [("app", "lab"), ("reason", "reviewed")];
    assert_eq!(wang.post("/system/resume", &resumed).await.status, 303);
    let paused =
        "select count(*) from outboxd.app_state where paused_at is not null and app = 'lab'";
    assert_eq!(number(&pool, paused).await, 0);

    // A program is told what was done.
    let asked = desk
        .ask(Method::POST, "/api/system/resume")
        .bearer_auth(&token)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("app=default&reason=quota+is+back");
    let answer: serde_json::Value =
        serde_json::from_str(&asked.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(answer["result"], "resumed");
    assert_eq!(number(&pool, audited).await, 3);
}

/// The form carries the pause that was seen: another one stays until somebody has seen that.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn of_two_people_at_the_gate_the_slower_is_told(pool: PgPool) {
    run(&pool, APPS).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let (mut wang, mut chen) = (desk.of("wang").await, desk.of("chen").await);
    let audited = async || number(&pool, "select count(*) from outboxd.audit_log").await;
    let paused =
        "select count(*) from outboxd.app_state where paused_at is not null and app = 'lab'";
    let order = |reason: &'static str, seen: &str| {
        let seen = seen.to_owned();
        [
            ("app", "lab".to_owned()),
            ("reason", reason.to_owned()),
            ("paused_at", seen),
        ]
    };
    let send = async |visitor: &mut Visitor<'_>, act: &str, order: [(&str, String); 3]| {
        let order = order
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        visitor.post(&format!("/system/{act}"), &order).await
    };
    let stale = chen.get("/system").await.hidden("paused_at").unwrap();
    assert!(!stale.is_empty());
    assert_eq!(
        send(&mut wang, "resume", order("reviewed", &stale))
            .await
            .status,
        303
    );
    // Chen's was lifted already; nothing is done, and it is said.
    send(&mut chen, "resume", order("reviewed", &stale))
        .await
        .is(200)
        .has("lab 已经恢复");
    assert_eq!(
        send(&mut wang, "pause", order("quota is spent", ""))
            .await
            .status,
        303
    );
    // Pressed twice it is one pause; another's reason is not kept, and that is said.
    assert_eq!(
        send(&mut wang, "pause", order("quota is spent", ""))
            .await
            .status,
        303
    );
    send(&mut chen, "pause", order("template", ""))
        .await
        .is(200)
        .has("已经做过了：wang 于")
        .has("原因：quota is spent")
        .has("没有保存");
    assert_eq!(audited().await, 2);
    // Neither who saw an earlier pause nor who saw none lifts this one.
    for seen in [stale.as_str(), ""] {
        let page = send(&mut chen, "resume", order("reviewed", seen)).await;
        page.is(409)
            .has("没有恢复：页面打开之后，wang 于")
            .has("quota is spent");
        assert_eq!(number(&pool, paused).await, 1);
        let current = page.hidden("paused_at").unwrap();
        assert_ne!(current, seen, "the page has what stands now");
    }
    assert_eq!(audited().await, 2);
    let page = send(&mut chen, "resume", order("reviewed", "yesterday")).await;
    assert_eq!(page.status, 400);
    let current = chen.get("/system").await.hidden("paused_at").unwrap();
    assert_eq!(
        send(&mut chen, "resume", order("reviewed", &current))
            .await
            .status,
        303
    );
    assert_eq!((number(&pool, paused).await, audited().await), (0, 3));
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_open_breaker_is_closed_from_the_page(pool: PgPool) {
    run(&pool, ROWS).await;
    run(
        &pool,
        "insert into outboxd.app_state (app, breaker, breaker_since, breaker_until, breaker_reason, breaker_errcode, breaker_strikes)
         values ('default', 'open', now(), now() + interval '5 minutes', 'secret_wrong', 40125, 2)",
    )
    .await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    wang.get("/system").await.has("[40125]").has("name=\"now\"");
    let order = [
        ("app", "default"),
        ("reason", "secret replaced"),
        ("now", "yes"),
    ];
    assert_eq!(wang.post("/system/resume", &order).await.status, 303);
    let closed =
        "select count(*) from outboxd.app_state where app = 'default' and breaker = 'closed'";
    assert_eq!(number(&pool, closed).await, 1);
    wang.get("/system").await.lacks("[40125]");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_system_tells_how_old_a_token_is(pool: PgPool) {
    run(&pool, ROWS).await;
    run(&pool, APPS).await;
    let token = "
        insert into outboxd.app_state (app, token_fetched_at, token_expires_at)
        values ('default', now() - interval '12 minutes', now() + interval '108 minutes'),
               ('lab', now() - interval '3 hours', now() - interval '1 hour')
            on conflict (app) do update set token_fetched_at = excluded.token_fetched_at, token_expires_at = excluded.token_expires_at";
    run(&pool, token).await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut li = desk.of("li").await;
    let page = li.get("/system").await;
    page.has("已用 12 分钟").has("之后没有再取得新的");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn read_only_shows_all_of_it_and_changes_none(pool: PgPool) {
    run(&pool, ROWS).await;
    run(&pool, APPS).await;
    let (desk, token) = Desk::with_people(&pool, &[("OUTBOXD_DESK_READ_ONLY", "true")]).await;
    let mut wang = desk.of("wang").await;
    wang.get("/system").await.has("lab").lacks("/system/resume");
    for path in ["/system/pause", "/api/system/resume"] {
        let asked = desk
            .ask(Method::POST, path)
            .bearer_auth(&token)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("app=default&reason=r");
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 403, "{path}");
    }
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        0
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_machinery_is_seen_and_no_secret_is(pool: PgPool) {
    run(&pool, APPS).await;
    run(
        &pool,
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, lease_token, lease_until, lease_epoch, leased_by)
         values ('e', 'x', 'r', 1, gen_random_uuid(), now() + interval '1 minute', 1, 'daemon-b'),
                ('e', 'y', 'r', 1, gen_random_uuid(), now() - interval '1 minute', 1, 'daemon-c')",
    )
    .await;
    let secret = "a-secret-of-the-badge";
    let desk = Desk::open(&pool, &[("OUTBOXD_DESK_BADGE_SECRET", secret)]).await;
    let page = desk.get("/system").await;
    page.has("daemon-a")
        .has("daemon-b")
        .has("daemon-c")
        .lacks(secret);
    page.has("OUTBOXD_DESK_BADGE_SECRET")
        .has("最新")
        .has("现在没有进程休眠");
    let document = desk.get("/api/system").await;
    document.lacks(secret).has("\"***\"");
    let lapsed = document.json()["daemons"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|daemon| daemon["lapsed"] == 1)
        .map(|daemon| daemon["daemon"].clone())
        .collect::<Vec<_>>();
    assert_eq!(lapsed, ["daemon-c"]);
    // A sleeper holds its app's lock; a trigger that is off wakes nobody.
    let mut sleeper = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(outboxd.sleep_lock('lab'))")
        .execute(&mut *sleeper)
        .await
        .unwrap();
    let asleep = desk.get("/api/system").await.json();
    assert_eq!(asleep["wake_up"]["asleep"], serde_json::json!(["lab"]));
    sleeper.rollback().await.unwrap();
    run(
        &pool,
        "alter table outboxd.notification_outbox disable trigger wake_sleeper",
    )
    .await;
    assert_eq!(
        desk.get("/api/system").await.json()["wake_up"]["is_on"],
        false
    );
    desk.get("/system").await.has("触发器不存在或已停用");
}

/// Text from a row must arrive as text, wherever it is shown.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nothing_in_a_row_becomes_markup_here_either(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.app_state (app, paused_at, paused_by, pause_reason)
         values ('<b>\"app', now(), '<b>pauser', '<b>why');
         insert into outboxd.app_state (app, breaker, breaker_since, breaker_until, breaker_reason, breaker_strikes)
         values ('<b>broken', 'open', now(), now() + interval '5 minutes', '<b>reason', 1);
         insert into outboxd.notification_delivery
             (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
              format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
         values (1, gen_random_uuid(), '<b>\"app', 'e', 't', 'c', 'r', '{}', 2, 1, 0, 1, now(), 'crm', 'dead', '<b>reason', false, now(), 'd');
         insert into outboxd.notification_attempt
             (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
         values (1, 1, '<b>\"app', gen_random_uuid(), '<b>daemon', now(), now(), 'sent', 'unknown', '<b>sentence')",
    )
    .await;
    let desk = Desk::open(&pool, &[]).await;
    for path in ["/overview", "/system", "/overview?app=%3Cb%3E%22app"] {
        let page = desk.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        page.lacks("<b>a")
            .lacks("<b>p")
            .lacks("<b>w")
            .lacks("<b>r")
            .lacks("<b>d")
            .lacks("<b>s")
            .lacks("<b>&");
        page.has("&#60;b&#62;");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_help_explains_every_cause_in_both_languages(pool: PgPool) {
    let desk = Desk::open(&pool, &[]).await;
    let zh = desk.get("/help").await;
    let english = desk
        .ask(Method::GET, "/help")
        .header("accept-language", "en");
    let english = english.send().await.unwrap().text().await.unwrap();
    for entry in outboxd::catalogue::ENTRIES {
        let id = format!("id=\"{}\"", entry.key);
        assert_eq!(zh.body.matches(&id).count(), 1, "{id}");
        assert_eq!(english.matches(&id).count(), 1, "{id}");
    }
    zh.has("43101").has("接收人").has("OpenAPI");
    assert!(english.contains("the recipient") && !english.contains("desk.help."));
}
