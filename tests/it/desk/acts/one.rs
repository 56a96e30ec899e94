//! Acts on one message: each does what its page says, once, and only for those who may.

use sqlx::PgPool;

use super::{Desk, Page, ROWS};
use crate::harness::{number, run};

/// What is typed into a form.
type Typed = &'static [(&'static str, &'static str)];

/// Each act with a row on which it makes sense, and what has to be typed.
const ACTS: [(&str, i64, Typed); 6] = [
    ("resend", 1002, &[("reason", "客户来电")]),
    ("cancel", 2001, &[("reason", "分配错了")]),
    ("handled", 1002, &[("reason", "电话"), ("outcome", "told")]),
    (
        "handled",
        1002,
        &[("reason", "没人接"), ("outcome", "not_reached")],
    ),
    (
        "redirect",
        1002,
        &[
            ("reason", "换人"),
            ("recipient", "43"),
            ("recipient_name", "陈静"),
        ],
    ),
    (
        "correct",
        1002,
        &[("reason", "姓名有误"), ("field:/aggregate_label", "王女士")],
    ),
];

async fn acts(pool: &PgPool) -> i64 {
    number(pool, "select count(*) from outboxd.audit_log").await
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_double_click_does_one_thing_and_says_so(pool: PgPool) {
    for (act, id, typed) in ACTS {
        run(&pool, "truncate outboxd.notification_outbox, outboxd.notification_delivery, outboxd.audit_log,
            outboxd.notification_handled, outboxd.notification_successor").await;
        run(&pool, ROWS).await;
        let desk = Desk::staffed(&pool, &[]).await;
        let mut wang = desk.of("wang").await;
        let path = format!("/messages/{id}/{act}");
        let form = wang.get(&path).await;
        form.is(200).has("name=\"seen\"");
        let (mut one, mut two) = (wang.clone(), wang.clone());
        let (first, second) = tokio::join!(
            one.submit(&path, &form, typed),
            two.submit(&path, &form, typed)
        );
        assert_eq!(
            (first.status, second.status),
            (200, 200),
            "{act}\n{}\n{}",
            first.body,
            second.body
        );
        let twice = |page: &Page| page.body.contains("第一次点击已生效");
        assert!(
            twice(&first) != twice(&second),
            "{act}: {}\n{}",
            first.body,
            second.body
        );
        assert_eq!(acts(&pool).await, 1, "{act}");
        wang.get(&format!("/messages/{id}")).await.has("wang");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_slower_of_two_people_is_told_what_is_true_now(pool: PgPool) {
    for (act, id, typed) in ACTS {
        run(&pool, "truncate outboxd.notification_outbox, outboxd.notification_delivery, outboxd.audit_log,
            outboxd.notification_handled, outboxd.notification_successor").await;
        run(&pool, ROWS).await;
        let desk = Desk::staffed(&pool, &[]).await;
        let (mut wang, mut chen) = (desk.of("wang").await, desk.of("chen").await);
        let path = format!("/messages/{id}/{act}");
        let (hers, his) = (wang.get(&path).await, chen.get(&path).await);
        chen.submit(&path, &his, typed).await.is(200);
        let told = wang.submit(&path, &hers, typed).await;
        told.has("chen").lacks("第一次点击");
        // A mark and a link say who it was; of the rest it is said that it moved.
        match act {
            "handled" => told.is(200).has("chen 已记录"),
            "redirect" | "correct" => told.is(409).has("chen 已新建通知"),
            _ => told.is(409).has("没有执行任何操作").has("它最近的一次变化"),
        };
        assert_eq!(acts(&pool).await, 1, "{act}");
    }
}

/// Each has seen the same, and each wants something else: one of them has it, the other is told what is true now.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn of_two_different_acts_on_one_ending_the_second_is_not_done(pool: PgPool) {
    let of_an_ending = || ACTS.into_iter().filter(|(_, id, _)| *id == 1002);
    let pairs = of_an_ending().flat_map(|one| of_an_ending().map(move |two| (one, two)));
    for ((one, id, his), (other, _, hers)) in pairs.filter(|((one, ..), (two, ..))| one != two) {
        for at_once in [false, true] {
            run(&pool, "truncate outboxd.notification_outbox, outboxd.notification_delivery, outboxd.audit_log,
                outboxd.notification_handled, outboxd.notification_successor").await;
            run(&pool, ROWS).await;
            let desk = Desk::staffed(&pool, &[]).await;
            let (mut chen, mut wang) = (desk.of("chen").await, desk.of("wang").await);
            let path = |act| format!("/messages/{id}/{act}");
            let (at_one, at_other) = (path(one), path(other));
            let (one_form, other_form) = (chen.get(&at_one).await, wang.get(&at_other).await);
            let (first, second) = if at_once {
                tokio::join!(
                    chen.submit(&at_one, &one_form, his),
                    wang.submit(&at_other, &other_form, hers)
                )
            } else {
                let first = chen.submit(&at_one, &one_form, his).await;
                (first, wang.submit(&at_other, &other_form, hers).await)
            };
            let done = [&first, &second].map(|page| page.status);
            if at_once {
                assert!(
                    done == [200, 409] || done == [409, 200],
                    "{one} {other} {done:?}"
                );
            } else {
                assert_eq!(done, [200, 409], "{one} {other}");
                second.has("chen");
            }
            assert_eq!(acts(&pool).await, 1, "{one} {other}");
        }
    }
}

/// A try may be followed by another, but by nobody who has not seen it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn another_outcome_is_noted_by_whoever_has_seen_the_first(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let (mut wang, mut chen) = (desk.of("wang").await, desk.of("chen").await);
    let path = "/messages/1002/handled";
    let (hers, his) = (wang.get(path).await, chen.get(path).await);
    let [told, missed] = ["told", "not_reached"].map(|it| [("reason", "r"), ("outcome", it)]);
    chen.submit(path, &his, &missed).await.is(200);
    for (visitor, form) in [(&mut wang, &hers), (&mut chen, &his)] {
        let page = visitor.submit(path, form, &told).await;
        page.is(409)
            .has("没有记录：chen 已先记录了别的结果")
            .lacks("第一次点击");
    }
    assert_eq!(acts(&pool).await, 1);
    let anew = wang.get(path).await;
    wang.submit(path, &anew, &told)
        .await
        .is(200)
        .has("电话告知");
    assert_eq!(acts(&pool).await, 2);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nobody_acts_who_may_not(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let closed = Desk::staffed(&pool, &[("OUTBOXD_DESK_READ_ONLY", "true")]).await;
    let (mut wang, mut li) = (desk.of("wang").await, desk.of("li").await);
    let mut reader = closed.of("wang").await;
    for page in [
        li.get("/messages/1002").await,
        reader.get("/messages/1002").await,
    ] {
        page.is(200)
            .lacks("/resend\"")
            .lacks("<form method=\"post\" action=\"/messages");
    }
    wang.get("/messages/1002").await.has("/resend\"");
    for (act, id, typed) in ACTS {
        let path = format!("/messages/{id}/{act}");
        let form = wang.get(&path).await;
        li.get(&path).await.is(403).has("当前账号只能查看");
        reader.get(&path).await.is(403).has("只读");
        // What was seen comes from the operator's page, the token from their own.
        for (visitor, said) in [(&mut li, "当前账号只能查看"), (&mut reader, "只读")] {
            let own = visitor.get("/messages/1002").await;
            let token = own.hidden("form_token").unwrap();
            let seen = form.hidden("seen").unwrap();
            let mut fields = vec![("form_token", token.as_str()), ("seen", &seen)];
            fields.extend(typed);
            visitor
                .post_bare(&path, &fields, &[])
                .await
                .is(403)
                .has(said);
        }
        let mut forged = form.clone();
        forged.body = forged.body.replace(
            "name=\"form_token\" value=\"",
            "name=\"form_token\" value=\"x",
        );
        wang.submit(&path, &forged, typed)
            .await
            .is(403)
            .has("不是从客服台的页面发出的");
    }
    assert_eq!(acts(&pool).await, 0);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_may_arrive_twice_has_to_be_accepted(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let path = "/messages/1003/resend";
    let form = wang.get(path).await;
    form.has("我接受对方可能收到两次").has("重发可能重复");
    wang.get("/messages/1002/resend")
        .await
        .has("不会造成重复")
        .lacks("可能收到两次");
    let refused = wang.submit(path, &form, &[("reason", "r")]).await;
    refused.is(409).has("请先确认接受");
    assert_eq!(acts(&pool).await, 0);
    let accepted = [("reason", "r"), ("twice", "accepted")];
    let done = wang.submit(path, &form, &accepted).await;
    done.is(200).has("已停止 → <strong>").has("放回待发队列");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_correction_changes_what_was_typed_and_shows_nothing_else(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let path = "/messages/1002/correct";
    let form = wang.get(path).await;
    form.has("138****8000").lacks("13800138000");
    for (typed, said) in [
        (&[("reason", "r")][..], "没有更正任何内容"),
        (
            &[("reason", " "), ("field:/aggregate_label", "王女士")],
            "请填写原因",
        ),
        (&[("reason", "r"), ("field:/n", "many")], "数字、列表等类型"),
        (&[("reason", "r"), ("field:/nothing", "x")], "没有这个字段"),
        (&[("reason", "r"), ("new_name", "city")], "同时填写"),
    ] {
        let told = wang.submit(path, &form, typed).await;
        told.is(422).has(said);
        // What was typed is not lost.
        for (name, value) in typed.iter().filter(|(_, value)| value.trim().len() > 1) {
            if !name.ends_with("nothing") {
                told.has(&format!("value=\"{value}\""));
            }
        }
    }
    let typed = [
        ("reason", "姓名有误"),
        ("field:/aggregate_label", "王女士"),
        ("new_name", "city"),
        ("new_value", "上海"),
    ];
    let done = wang.submit(path, &form, &typed).await;
    done.is(200).has("已新建通知 3001").has("王女士");
    let same = number(&pool, "select count(*) from outboxd.notification_outbox where id = 3001 and recipient = '42'
        and payload = '{\"aggregate_label\": \"王女士\", \"recipient_label\": \"王小明\", \"phone\": \"13800138000\",
                        \"n\": 12345678901234567890.10, \"city\": \"上海\"}'").await;
    assert_eq!(same, 1);
    // Linked both ways, in both timelines.
    wang.get("/messages/1002")
        .await
        .has(">通知 #3001</a>")
        .has("更正后重新发送");
    wang.get("/messages/3001").await.has(">通知 #1002</a>");
    wang.get(path).await.is(409).has("wang 已新建通知 3001");
    wang.get("/messages/1002/resend").await.has("两条都会发送");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_makes_no_sense_is_said_before_it_is_tried(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    for (path, status, said) in [
        ("/messages/1001/resend", 409, "微信已接收，不再重发"),
        ("/messages/1001/cancel", 409, "没有可取消的"),
        ("/messages/2001/handled", 409, "无需人工处理"),
        ("/messages/77/resend", 404, "没有通知 77"),
        ("/messages/1002/explode", 404, "没有这个页面"),
    ] {
        let page = wang.get(path).await;
        page.is(status).has(said).lacks("name=\"seen\"");
    }
    // A newer one of its collapse_key would supersede it, or be superseded.
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = 'cc' where id in (1002, 1003)",
    )
    .await;
    for (act, said) in [
        ("resend", "请看较新的那一条"),
        ("redirect", "已被更新的通知 1003 取代"),
        ("correct", "已被更新的通知 1003 取代"),
    ] {
        let page = wang.get(&format!("/messages/1002/{act}")).await;
        page.is(409).has(said).lacks("name=\"seen\"");
    }
    // Nobody is advised to send it again.
    let card = wang.get("/messages/1002").await;
    card.has("较新的通知 1003 已取代它").lacks("outboxd retry");
    run(
        &pool,
        "update outboxd.notification_delivery set collapse_key = null",
    )
    .await;
    let path = "/messages/1002/redirect";
    let form = wang.get(path).await;
    // What was seen on the page of one is not done to another.
    let (key,): (uuid::Uuid,) =
        sqlx::query_as("select key from outboxd.notification_delivery where id = 1003")
            .fetch_one(&pool)
            .await
            .unwrap();
    let stray = [("reason", "r"), ("twice", "accepted")];
    for (other, status) in [("1003", 400), (&key.to_string(), 400), ("one", 404)] {
        let other = format!("/messages/{other}/resend");
        wang.submit(&other, &form, &stray).await.is(status);
    }
    for (to, said) in [
        ("", "请填写新的接收人"),
        ("42", "与原来相同"),
        (&"x".repeat(256), "最多 255"),
    ] {
        let told = wang
            .submit(path, &form, &[("reason", "r"), ("recipient", to)])
            .await;
        told.is(422).has(said);
    }
    // It must not go to somebody else under the first one's name.
    let told = wang
        .submit(path, &form, &[("reason", "r"), ("recipient", "43")])
        .await;
    told.is(422).has("请填写新接收人的姓名");
    let mut odd = form.clone();
    odd.body = odd
        .body
        .replace("name=\"seen\" value=\"", "name=\"seen\" value=\"x");
    let told = wang
        .submit(path, &odd, &[("reason", "r"), ("recipient", "43")])
        .await;
    told.is(400).has("看不懂这个请求");
    assert_eq!(acts(&pool).await, 0);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn when_the_new_one_goes_out_is_said_before_and_after(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let path = "/messages/2001/correct";
    let changed = |page: &Page| -> String {
        let (_, row) = page.body.split_once("下一次尝试</th>").unwrap();
        row.split("</tr>").next().unwrap().to_owned()
    };
    let retrying = wang.get(path).await;
    assert!(changed(&retrying).contains("<strong>立即"));
    let mut form = retrying;
    for planned in [
        "update outboxd.notification_outbox set attempts = 0, next_attempt_at = now() + interval '1 day'",
        "update outboxd.notification_outbox set next_attempt_at = 'infinity'",
    ] {
        run(&pool, planned).await;
        form = wang.get(path).await;
        assert!(changed(&form).contains("<strong>不变"), "{}", form.body);
    }
    let typed = [("reason", "r"), ("field:/phone", "13900139000")];
    let done = wang.submit(path, &form, &typed).await;
    done.is(200).has("与原通知一样搁置");
    // What is settled has no time to keep.
    wang.get("/messages/1002/correct").await.lacks("下一次尝试");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_time_limit_that_has_passed_is_lifted_openly(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    for (limit, is_lifted) in [
        (
            "update outboxd.notification_delivery set expires_at = now() + interval '1 hour'",
            false,
        ),
        (
            "update outboxd.notification_delivery set expires_at = now() - interval '1 hour'",
            true,
        ),
    ] {
        run(&pool, limit).await;
        for act in ["resend", "redirect", "correct"] {
            let form = wang.get(&format!("/messages/1002/{act}")).await;
            assert_eq!(form.is(200).body.contains("不再限制"), is_lifted, "{act}");
        }
    }
    let form = wang.get("/messages/1002/correct").await;
    let typed = [("reason", "r"), ("field:/aggregate_label", "王女士")];
    let done = wang.submit("/messages/1002/correct", &form, &typed).await;
    done.is(200)
        .has("已新建通知 3001")
        .has("新通知不再限制时间");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn programs_get_the_same_as_json(pool: PgPool) {
    run(&pool, ROWS).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let form = wang.get("/messages/1002/redirect").await;
    let asked = wang.get("/api/messages/1002/redirect").await.json();
    assert_eq!(asked["possible"], true);
    assert_eq!(asked["seen"], form.hidden("seen").unwrap());
    let fields = [
        ("reason", "r"),
        ("recipient", "43"),
        ("recipient_name", "陈静"),
    ];
    let done = wang
        .submit("/api/messages/1002/redirect", &form, &fields)
        .await;
    let done = done.is(200).json();
    assert_eq!(done["results"][0]["result"], "written");
    assert_eq!(done["new"]["recipient"], "43");
    let named = number(&pool, "select count(*) from outboxd.notification_outbox where id = 3001 and payload ->> 'recipient_label' = '陈静'").await;
    assert_eq!(named, 1);
    assert_eq!(done["notification"]["status"], "dead");
}

/// Text from a row, and from whoever acts, must arrive as text.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nothing_becomes_markup(pool: PgPool) {
    run(&pool, r#"insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
        values (7, gen_random_uuid(), '<i>app', '<i>event', '<i>type', '<i>customer', '"><img src=x onerror=alert(1)>',
                '{"<i>k\"": "<script>alert(1)</script>", "aggregate_label": "<i>label"}', 2, 1, 0, 1, now(), '<i>crm', 'dead',
                '<i>reason', true, now(), '<i>daemon')"#).await;
    let desk = Desk::staffed(&pool, &[]).await;
    let mut wang = desk.of("wang").await;
    let mut pages = Vec::new();
    for act in ["resend", "handled", "redirect", "correct"] {
        pages.push(
            wang.get(&format!("/messages/7/{act}"))
                .await
                .is(200)
                .clone(),
        );
    }
    let mark = "\"><i>typed";
    let form = wang.get("/messages/7/redirect").await;
    let wrong = [("recipient", mark), ("reason", "")];
    pages.push(
        wang.submit("/messages/7/redirect", &form, &wrong)
            .await
            .is(422)
            .clone(),
    );
    let right = [("recipient", mark), ("reason", "<i>why")];
    pages.push(
        wang.submit("/messages/7/redirect", &form, &right)
            .await
            .is(200)
            .clone(),
    );
    pages.push(wang.get("/messages/7").await);
    pages.push(
        wang.get("/bulk/new?app=%3Ci%3Eapp&cause=%22%3E%3Ci%3Ecause&since=%3Ci%3Esince")
            .await,
    );
    pages.push(
        wang.get("/bulk/new?cause=%3Ci%3Ereason&twice=yes")
            .await
            .has("i&#62;reason")
            .clone(),
    );
    for page in pages {
        for mark in ["<i>", "<img src=x", "<script>alert"] {
            page.lacks(mark);
        }
    }
}
