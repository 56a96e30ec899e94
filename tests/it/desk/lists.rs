//! The lists: what a filter names and nothing else, every row on one page, files that hold exactly the list.

mod files;

use sqlx::PgPool;

use super::{Desk, Page};
use crate::harness::run;

/// `count` settled ones with ids from `first`, a second apart, the last of them a minute ago.
async fn settle(pool: &PgPool, first: i64, count: i64, status: &str, reason: &str) {
    sqlx::query(
        r#"insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
             priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
         select n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', 'c' || n, 'u' || n % 5,
                '{"aggregate_label": "李女士", "recipient_label": "王小明", "phone": "13800001234"}', 2, 1, 1, 1,
                now() - interval '2 hours', 'crm', $3, $4, false, now() - interval '1 minute' - ($1 + $2 - n) * interval '1 second', 'd'
           from generate_series($1, $1 + $2 - 1) n"#,
    )
    .bind(first)
    .bind(count)
    .bind(status)
    .bind(reason)
    .execute(pool)
    .await
    .unwrap();
}

fn ids(page: &Page) -> Vec<i64> {
    let document = page.json();
    let rows = document["notifications"].as_array().unwrap();
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// The ids on a page, in its order.
fn shown(page: &Page) -> Vec<i64> {
    let rows = page.body.split("<p class=\"rest\"><span>#").skip(1);
    rows.map(|row| row.split('<').next().unwrap().parse().unwrap())
        .collect()
}

/// Where the link with these attributes leads.
fn href(page: &Page, rel: &str) -> Option<String> {
    let link = page.body.split("<a href=\"").find(|link| {
        let tag = link.split('>').next().unwrap();
        tag.contains(&format!("rel=\"{rel}\""))
    })?;
    Some(link.split('"').next().unwrap().replace("&#38;", "&"))
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_filter_in_the_address_names_what_is_listed(pool: PgPool) {
    settle(&pool, 1, 3, "dead", "not_subscribed").await;
    settle(&pool, 11, 2, "expired", "expired").await;
    settle(&pool, 21, 4, "delivered", "accepted").await;
    run(&pool, "insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient) overriding system value values (99, 'visit', 'c', 'u9')").await;
    let desk = Desk::open(&pool, &[]).await;
    for (query, expected) in [
        ("", &[99, 24, 23, 22, 21, 12, 11, 3, 2, 1][..]),
        ("status=dead&status=expired", &[12, 11, 3, 2, 1]),
        ("status=dead,expired", &[12, 11, 3, 2, 1]),
        ("status=dead&reason=not_subscribed&recipient=u2", &[2]),
        ("event_type=visit", &[99]),
        ("app=other", &[]),
        (
            "recipient=&app=&period=today&from=&to=",
            &[99, 24, 23, 22, 21, 12, 11, 3, 2, 1],
        ),
        // What is unsettled belongs to now, so to no period that is over.
        ("from=2020-01-01&to=2020-01-02", &[]),
        ("status=queued&from=2020-01-01&to=2020-01-02", &[]),
        ("status=dead&from=2020-01-01T00:00", &[3, 2, 1]),
    ] {
        if query.contains("period=today") && settled_yesterday(&pool).await {
            continue;
        }
        assert_eq!(
            ids(&desk.get(&format!("/api/messages?{query}")).await),
            expected,
            "{query}"
        );
        assert_eq!(
            shown(&desk.get(&format!("/messages?{query}")).await),
            expected,
            "{query}"
        );
    }
    let page = desk
        .get("/messages?status=dead&status=expired&recipient=u1")
        .await;
    page.has("李女士")
        .has("王小明")
        .has("微信拒收")
        .lacks("微信已接收</a>")
        .lacks("13800001234");
    // Each chip leads to the list without its filter.
    page.has("href=\"/messages?status=expired&#38;recipient=u1\"")
        .has("href=\"/messages?status=dead&#38;status=expired\"");
    let count = desk.get("/api/messages?status=dead").await.json();
    assert_eq!(
        (&count["count"], &count["count_is_more"]),
        (&3.into(), &false.into())
    );
}

/// Within the first minutes of a day.
async fn settled_yesterday(pool: &PgPool) -> bool {
    let early = "select count(*) from outboxd.notification_delivery
        where (settled_at at time zone 'Asia/Shanghai')::date < (now() at time zone 'Asia/Shanghai')::date";
    crate::harness::number(pool, early).await > 0
}

/// A list without a filter that was meant would show more than was asked for.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_filter_that_is_not_understood_shows_no_list(pool: PgPool) {
    settle(&pool, 1, 3, "dead", "not_subscribed").await;
    let desk = Desk::open(&pool, &[]).await;
    for (query, sentence) in [
        ("stauts=dead", "没有“stauts”这个筛选条件"),
        ("status=deda", "“deda”不能用作筛选条件“status”"),
        ("period=year", "“year”不能用作"),
        ("from=yesterday", "“yesterday”不能用作"),
        ("from=2026-11-23&to=2026-11-20", "结束时间早于开始时间"),
        ("before=x", "“x”不能用作"),
        ("status=%3Cb%3Ex", "&#60;b&#62;x"),
    ] {
        for path in ["/messages", "/messages/export.csv", "/messages/newer"] {
            let page = desk.get(&format!("{path}?{query}")).await;
            assert_eq!(page.status, 400, "{path} {query}");
            page.has(sentence)
                .has("没有显示任何列表")
                .lacks("李女士")
                .lacks("<b>x");
        }
    }
    for path in [
        "/dead?period=own",
        "/calls?period=own",
        "/calls?before=1",
        "/audit?notification=x",
        "/audit?status=dead",
    ] {
        assert_eq!(desk.get(path).await.status, 400, "{path}");
    }
    let document = desk.get("/api/messages?status=deda").await;
    assert_eq!(
        (document.status, &document.json()["error"]),
        (400, &"not_understood".into())
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_message_is_on_exactly_one_page_in_both_directions(pool: PgPool) {
    settle(&pool, 1, 120, "dead", "not_subscribed").await;
    settle(&pool, 201, 1100, "delivered", "accepted").await;
    let desk = Desk::open(&pool, &[]).await;
    let mut pages = vec![desk.get("/messages?status=dead").await];
    while let Some(next) = href(pages.last().unwrap(), "next") {
        assert!(next.contains("status=dead"), "{next}");
        pages.push(desk.get(&next).await);
    }
    let all: Vec<i64> = pages.iter().flat_map(shown).collect();
    assert_eq!(all, (1..=120).rev().collect::<Vec<_>>());
    let back = desk.get(&href(&pages[2], "prev").unwrap()).await;
    assert_eq!(shown(&back), shown(&pages[1]));
    let first = desk.get(&href(&back, "prev").unwrap()).await;
    assert_eq!(shown(&first), shown(&pages[0]));
    assert!(
        href(&first, "prev").is_none(),
        "nothing is newer than the newest"
    );
    // A count stops at its cap.
    desk.get("/messages").await.has("<b>200+</b>");
    desk.get("/messages?status=dead").await.has("<b>120</b>");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_has_come_since_is_counted_and_moves_nothing(pool: PgPool) {
    settle(&pool, 1, 3, "dead", "not_subscribed").await;
    let desk = Desk::open(&pool, &[]).await;
    let page = desk.get("/messages?status=dead").await;
    page.has("hx-get=\"/messages/newer?status=dead&#38;after=3\"");
    let newer = async || desk.get("/messages/newer?status=dead&after=3").await.body;
    assert_eq!(newer().await.trim(), "");
    settle(&pool, 11, 2, "dead", "not_subscribed").await;
    settle(&pool, 21, 5, "delivered", "accepted").await;
    let said = newer().await;
    assert!(
        said.contains("有 2 条新通知") && said.contains("href=\"/messages?status=dead\""),
        "{said}"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_cause_leads_to_exactly_its_messages(pool: PgPool) {
    settle(&pool, 1, 7, "dead", "not_subscribed").await;
    settle(&pool, 11, 2, "expired", "expired").await;
    settle(&pool, 21, 9, "delivered", "accepted").await;
    run(
        &pool,
        "update outboxd.notification_delivery set may_have_arrived = true where id in (1, 2)",
    )
    .await;
    let (desk, _) = Desk::with_people(&pool, &[]).await;
    let mut operator = desk.of("wang").await;
    let page = operator.get("/dead").await;
    page.has("微信拒收")
        .has("请对方")
        .has("其中 2 条可能已收到")
        .has("#7</a>")
        .lacks("outboxd retry");
    let these = "status=dead&#38;reason=not_subscribed&#38;app=default&#38;period=7d";
    page.has(&format!("href=\"/messages?{these}\""))
        .has(&format!("href=\"/bulk/new?{these}\""));
    let list = operator
        .get(&format!("/messages?{}", these.replace("&#38;", "&")))
        .await;
    assert_eq!(shown(&list), [7, 6, 5, 4, 3, 2, 1]);
    let document = operator.get("/api/dead").await.json();
    let told: Vec<_> = document["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["reason"], &it["count"]))
        .collect();
    assert_eq!(
        told,
        [
            (&"not_subscribed".into(), &7.into()),
            (&"expired".into(), &2.into())
        ]
    );
    let mut viewer = desk.of("li").await;
    viewer.get("/dead").await.has("微信拒收").lacks("/bulk/new");
    viewer
        .get("/dead?app=other")
        .await
        .has("没有停止或过期的通知");
}

/// So many of one cause hide an older one; the page says so.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn more_letters_than_are_looked_at_may_hide_a_cause(pool: PgPool) {
    settle(&pool, 1, 5, "dead", "unknown_refusal").await;
    run(
        &pool,
        "update outboxd.notification_delivery set settled_at = settled_at - interval '1 day'",
    )
    .await;
    settle(&pool, 11, 4990, "dead", "not_subscribed").await;
    let desk = Desk::open(&pool, &[]).await;
    let causes = async || {
        let document = desk.get("/api/dead").await.json();
        let causes = document["causes"].as_array().unwrap().clone();
        causes
            .into_iter()
            .map(|it| (it["count"].clone(), it["count_is_more"].clone()))
            .collect::<Vec<_>>()
    };
    let note = "只查看了最近的 5000 条";
    desk.get("/dead").await.lacks(note);
    assert_eq!(
        causes().await,
        [(4990.into(), false.into()), (5.into(), false.into())]
    );
    settle(&pool, 5011, 11, "dead", "not_subscribed").await;
    desk.get("/dead").await.has(note);
    assert_eq!(causes().await, [(5001.into(), true.into())]);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_audit_log_says_who_did_what_and_what_was_before(pool: PgPool) {
    run(
        &pool,
        r#"insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason, detail, at) values
             ('li', 'pause', 'review', '{}', 0, 'tel 13800001234', '{"before": {"paused": false, "same": 1}, "after": {"paused": true, "same": 1}}', now() - interval '40 days'),
             ('wang', 'retry', 'default', array[4711], 1, 'asked', '{}', now()),
             ('wang', 'bulk_start', 'default', '{1,2,3,4,5,6,7}', 700, 'storm over', '{"before": {"state": "planned"}, "after": {"state": "running", "to": "13800001234"}}', now());
           insert into outboxd.audit_log (actor, action, affected) select 'crowd', 'cancel', 1 from generate_series(1, 120)"#,
    )
    .await;
    let desk = Desk::open(&pool, &[]).await;
    desk.get("/audit?actor=wang")
        .await
        .has("<b>wang</b> 开始批量重发 <span class=\"count\">700</span>")
        .has("<dt>state</dt><dd><del>planned</del> → <ins>running</ins>")
        .has("#5</a><span>…</span>")
        .has("#4711</a>")
        .has("storm over")
        .lacks("13800001234")
        .lacks("<b>crowd</b>")
        .lacks("<b>li</b>");
    desk.get("/audit?period=own").await.has("<b>crowd</b>");
    desk.get("/audit?action=pause&from=2020-01-01")
        .await
        .has("tel 138****1234")
        .has("<del>false</del>")
        .lacks("<dt>same</dt>");
    let lines = |page: &Page| -> Vec<i64> {
        let document = page.json();
        document["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["line"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(lines(&desk.get("/api/audit?notification=4711").await), [2]);
    let mut page = desk.get("/audit?actor=crowd").await;
    let mut walked = 1;
    while let Some(next) = href(&page, "next") {
        page = desk.get(&next).await;
        walked += 1;
    }
    assert_eq!(walked, 3);
    let second = desk.get(&href(&page, "prev").unwrap()).await;
    assert_eq!(second.body.matches("<b>crowd</b> 取消").count(), 50);
    let file = desk.get("/audit/export.json?actor=crowd").await;
    assert_eq!(lines(&file), (4..=123).rev().collect::<Vec<_>>());
    assert!(file.json()["next_before"].is_null());
}

/// Text from a row must arrive as text, wherever it is shown.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nothing_in_a_row_becomes_markup_in_a_list(pool: PgPool) {
    settle(&pool, 1, 1, "dead", "not_subscribed").await;
    run(
        &pool,
        r#"update outboxd.notification_delivery set app = '<b>app', event_type = '<b>event', aggregate_id = '<b>customer', recipient = '"><img src=x>',
                  reason = '<b>why', payload = '{"aggregate_label": "<b>label", "recipient_label": "<script>alert(1)</script>", "phone": "<b>phone"}';
           insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient) values ('<b>app', '<b>event', '<b>c', '<b>r');
           insert into outboxd.notification_handled (notification_id, key, settled_at, outcome, handled_by)
           select id, key, settled_at, 'not_reached', '<b>caller' from outboxd.notification_delivery;
           insert into outboxd.audit_log (actor, action, app, affected, reason, detail)
           values ('<b>actor', '<b>action', '<b>app', 2, '<b>reason', '{"before": {"<b>k": "<b>v"}, "after": {"<b>k": "<b>w"}, "<b>n": "<b>m"}')"#,
    )
    .await;
    let desk = Desk::open(&pool, &[]).await;
    let asked = "%22%3E%3Cb%3Eq";
    for path in [
        "/messages".to_owned(),
        format!("/messages?recipient={asked}&app={asked}&event_type={asked}&reason={asked}"),
        "/dead".to_owned(),
        format!("/dead?app={asked}"),
        "/calls".to_owned(),
        format!("/calls?recipient={asked}&app={asked}"),
        "/audit".to_owned(),
        format!("/audit?actor={asked}&action={asked}&app={asked}"),
        format!("/audit?{asked}=1"),
    ] {
        for lang in ["zh", "en"] {
            let request = desk
                .ask(reqwest::Method::GET, &path)
                .header("accept-language", lang);
            let page = request.send().await.unwrap().text().await.unwrap();
            for mark in [
                "<img src=x",
                "<script>",
                "<b>app",
                "<b>event",
                "<b>customer",
                "<b>label",
                "<b>why",
                "<b>phone",
                "<b>caller",
                "<b>actor",
                "<b>action",
                "<b>reason",
                "<b>k",
                "<b>v",
                "<b>w",
                "<b>n",
                "<b>m",
                "<b>q",
                "<b>c<",
                "<b>r<",
            ] {
                assert!(!page.contains(mark), "{mark} in {path}:\n{page}");
            }
        }
    }
}
