//! What the verbs print for support, run as people and scripts run them: words to standard error, data to
//! standard output, and no sentence that claims what nobody knows.

use std::process::{Output, Stdio};

use serde_json::Value;
use sqlx::{ConnectOptions, PgPool};

use super::{SETTLED, connection, one};
use crate::fleet::Fleet;
use crate::harness::{enqueue, number, run};
use outboxd::outbox::inspect;

pub(super) async fn ask(fleet: &Fleet, arguments: &[&str]) -> Said {
    let output = fleet
        .command(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    Said::from(output)
}

pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    pub(super) fn ends_with(self, code: i32) -> Said {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn that_nothing_was_written_is_told_from_a_silent_crm_and_from_a_door_that_works(
    pool: PgPool,
) {
    let fleet = Fleet::new(&pool).await;
    let why = async |lang| {
        ask(&fleet, &["why", "10086", "--lang", lang])
            .await
            .ends_with(3)
    };
    let empty = why("en").await.err;
    assert!(empty.contains("Nothing was ever written here"), "{empty}");
    assert!(!empty.contains("door works"), "{empty}");
    assert!(why("zh").await.err.contains("从来没有写入过任何通知"));

    enqueue(&pool, "li", "another").await;
    assert!(why("en").await.err.contains("the door works"));
    run(
        &pool,
        "update outboxd.notification_outbox set created_at = now() - interval '73 hours'",
    )
    .await;
    let silent = why("en").await.err;
    assert!(
        silent.contains("has written nothing for 3 days") && !silent.contains("door works"),
        "{silent}"
    );
    assert!(why("zh").await.err.contains("已有 3 天没有写入"));
}

const DUE: &str = "insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient, next_attempt_at, created_at)
    values ('typo', 'e', 'c', 'r', now() - interval '2 minutes', now() - interval '2 minutes'),
           ('typo', 'e', 'new', 'r', now() - interval '2 seconds', now() - interval '1 hour')";

async fn kind(pool: &PgPool, customer: &str) -> String {
    let mut conn = connection(pool).await;
    let hits = inspect::of_customer(&mut conn, customer, 1).await.unwrap();
    let why = inspect::why_not_yet(
        &mut conn,
        outboxd::notification::NotificationId(hits[0].id),
        outboxd::notification::Key(hits[0].key),
        &mut inspect::Signs::default(),
    )
    .await
    .unwrap();
    why.unwrap().word().to_owned()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_app_without_a_daemon_is_called_so_by_why_and_by_stats(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, DUE).await;
    assert_eq!(kind(&pool, "new").await, "queued", "due for seconds only");
    let why = ask(&fleet, &["why", "c", "--json"])
        .await
        .ends_with(0)
        .json();
    assert_eq!(why["notifications"][0]["why_not_yet"]["kind"], "unserved");
    assert_eq!(why["notifications"][0]["verdict"]["who"], "operator");
    let happened = ask(&fleet, &["why", "c", "--lang", "en"]).await.out;
    assert!(
        happened.contains("No daemon serves the app typo"),
        "{happened}"
    );
    assert!(happened.contains("`outboxd run`"), "{happened}");
    let stats = ask(&fleet, &["stats", "--json"]).await.ends_with(0).json();
    assert_eq!(stats["apps"][0]["served"], false);
    assert!(stats["apps"][0]["unserved"]["since"].is_string(), "{stats}");

    // Another app is served: then its name is the first suspect.
    run(
        &pool,
        "insert into outboxd.notification_attempt
            (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
         values (99, 1, 'default', gen_random_uuid(), 'a', now(), now(), 'answered', 'delivered', 'accepted')",
    )
    .await;
    let beside = ask(&fleet, &["why", "c", "--json", "--lang", "en"])
        .await
        .json();
    let it = &beside["notifications"][0];
    assert_eq!(it["why_not_yet"]["others_served"][0], "default");
    let next = it["verdict"]["next"].as_str().unwrap();
    assert!(next.contains("is the name typo right?"), "{next}");
    let stats = ask(&fleet, &["stats", "--json"]).await.json();
    let typo = &stats["apps"][1];
    assert_eq!(typo["unserved"]["next"], next, "both say the same");
    assert!(stats["apps"][0]["unserved"].is_null() && stats["apps"][0]["served"] == true);

    // A live lease, or an attempt of this app, is a sign of a daemon.
    run(
        &pool,
        "update outboxd.notification_outbox set lease_token = gen_random_uuid(), lease_until = now() + interval '9 seconds',
                leased_by = 'a', attempts = 1 where aggregate_id = 'new'",
    )
    .await;
    assert_eq!(kind(&pool, "c").await, "queued");
    run(
        &pool,
        "update outboxd.notification_outbox set lease_until = now() - interval '2 minutes', next_attempt_at = now() - interval '3 minutes' where aggregate_id = 'new'",
    )
    .await;
    assert_eq!(kind(&pool, "new").await, "unserved", "nobody takes it over");
    run(
        &pool,
        "update outboxd.notification_attempt set app = 'typo'",
    )
    .await;
    assert_eq!(kind(&pool, "c").await, "queued");
    assert_eq!(kind(&pool, "new").await, "take_over");
    // Paused, it waits for a person and not for a daemon.
    run(
        &pool,
        "update outboxd.notification_attempt set ended_at = now() - interval '61 seconds'",
    )
    .await;
    run(
        &pool,
        "insert into outboxd.app_state (app, paused_at, paused_by) values ('typo', now(), 'wang')",
    )
    .await;
    assert_eq!(kind(&pool, "c").await, "paused");
    let stats = ask(&fleet, &["stats", "--json", "--app", "typo"])
        .await
        .json();
    assert!(stats["apps"][0]["unserved"].is_null(), "{stats}");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_time_is_promised_only_at_a_pace_that_was_seen(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, next_attempt_at)
                select 'e', 'c' || n, 'r', now() - interval '1 second' from generate_series(1, 10) n").await;
    let eta = async |customer| {
        let said = ask(&fleet, &["why", customer, "--json"]).await.json();
        said["notifications"][0]["why_not_yet"]["eta"].clone()
    };
    assert!(eta("c10").await.is_null(), "nothing settled");
    run(&pool, SETTLED).await;
    assert!(
        eta("c10").await.is_string(),
        "six settled just now, nine are ahead"
    );
    assert!(eta("c1").await.is_null(), "nothing is ahead of it");
    // Of an order_key one is ahead, and the others wait for it.
    run(&pool, "update outboxd.notification_outbox set order_key = 'line' where aggregate_id not in ('c1', 'c10')").await;
    let said = ask(&fleet, &["why", "c10", "--json"]).await.json();
    assert_eq!(said["notifications"][0]["why_not_yet"]["ahead"], 2);
    run(
        &pool,
        "update outboxd.notification_delivery set settled_at = now() - interval '11 seconds'",
    )
    .await;
    assert!(eta("c10").await.is_null(), "they settled too long ago");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_may_have_arrived_needs_its_own_yes(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, SETTLED).await;
    let several = [
        "retry", "1002", "1003", "--yes", "--reason", "r", "--lang", "en",
    ];
    let said = ask(&fleet, &several).await.ends_with(1);
    assert!(
        said.err.contains("1 may have arrived and were left alone"),
        "{}",
        said.err
    );
    assert!(
        said.out.contains("1002\trevived") && said.out.contains("1003\tmay_have_arrived"),
        "{}",
        said.out
    );
    let said = ask(
        &fleet,
        &["retry", "1003", "--may-arrive-twice", "--reason", "r"],
    )
    .await
    .ends_with(0);
    assert!(said.out.contains("1003\trevived"), "{}", said.out);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn many_are_sent_again_by_what_became_of_them(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, SETTLED).await;
    let by_cause = ["retry", "--status", "dead,expired", "--since", "24h"];
    let dry = ask(&fleet, &[&by_cause[..], &["--dry-run"]].concat())
        .await
        .ends_with(1);
    assert_eq!(dry.out.lines().count(), 3, "{}", dry.out);
    assert_eq!(dry.out.matches("\twould_retry\t").count(), 2, "{}", dry.out);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.audit_log").await,
        0
    );
    let reason = ["--reason", "r"];
    let many = ask(&fleet, &[&by_cause[..], &reason].concat()).await;
    many.ends_with(2);
    let one_cause = [&by_cause[..], &["--cause", "not_subscribed"], &reason].concat();
    let said = ask(&fleet, &one_cause).await.ends_with(0);
    assert!(said.out.starts_with("1002\trevived"), "{}", said.out);
    assert_eq!(
        ask(&fleet, &one_cause).await.ends_with(0).out,
        "",
        "nothing is left"
    );
    for wrong in [
        &["retry"][..],
        &["retry", "--status", "delivered"],
        &["retry", "1002", "--status", "dead"],
        &["retry", "1002", "--cause", "x"],
    ] {
        let wrong = [wrong, &reason].concat();
        ask(&fleet, &wrong).await.ends_with(2);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_page_is_not_taken_for_the_whole_in_a_pipe_either(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, SETTLED).await;
    let page = ask(&fleet, &["list", "--limit", "2"]).await.ends_with(0);
    assert!(page.err.contains("--before 1005"), "{}", page.err);
    assert_eq!(page.out.lines().count(), 2);
    assert!(
        page.out.contains("\tsuperseded\t"),
        "stable words in a pipe: {}",
        page.out
    );
    let whole = ask(&fleet, &["list", "--since", "2026-01-01"])
        .await
        .ends_with(0);
    assert!(
        whole.err.is_empty() && whole.out.lines().count() == 6,
        "{}",
        whole.err
    );
    let wrong = ask(&fleet, &["list", "--since", "yesterday"])
        .await
        .ends_with(2);
    assert!(wrong.err.contains("2026-11-22"), "{}", wrong.err);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_search_box_says_where_it_found_what(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, SETTLED).await;
    run(
        &pool,
        r#"update outboxd.notification_delivery set payload = '{"phone": "138-1234 5678"}' where id = 1003;
           update outboxd.notification_delivery set payload = '{"customer": {"note": 7}, "phone": "13812345670"}' where id = 1004"#,
    )
    .await;
    for (typed, column, text) in [
        ("李女士", "payload", "李**"),
        ("13812345678", "payload", "…5678"),
        ("+86 13812345678", "payload", "…5678"),
        ("(138) 1234-5670", "payload", "…5670"),
        ("1234 5670", "payload", "…5670"),
        (" r2 ", "recipient", "r2"),
        ("1002", "id", "1002"),
        ("settl", "aggregate_id", "settled"),
    ] {
        let found = ask(&fleet, &["find", typed, "--json"])
            .await
            .ends_with(0)
            .json();
        let matched = &found["notifications"][0]["matched"];
        assert_eq!(matched["column"], column, "{typed}: {found}");
        assert_eq!(matched["text"], text, "{typed}");
        if typed.contains("56") {
            assert_eq!(matched["field"], "phone", "{typed}");
        }
    }
    let why = ask(&fleet, &["why", " settled "]).await.ends_with(0);
    assert_eq!(why.out.lines().count(), 6);
    for nothing in [["find", "  "], ["why", ""]] {
        assert!(ask(&fleet, &nothing).await.ends_with(2).out.is_empty());
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_script_gets_its_object_and_a_typo_its_refusal(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let none = ask(&fleet, &["show", "99999999", "--json"])
        .await
        .ends_with(3);
    assert_eq!(none.json()["found"], false);
    let settings = ask(&fleet, &["config", "show", "--json"])
        .await
        .ends_with(0)
        .json();
    assert!(
        settings["settings"]["OUTBOXD_SIGNING_SECRET"]["value"].is_null(),
        "{settings}"
    );
    assert_eq!(
        settings["settings"]["MINIPROGRAM_APPSECRET"]["value"],
        "***"
    );

    let typo = ["pause", "nosuch", "--reason", "r"];
    let refused = ask(&fleet, &typo).await.ends_with(2);
    assert!(
        refused.err.contains("nosuch") && refused.err.contains("--yes"),
        "{}",
        refused.err
    );
    assert_eq!(
        number(&pool, "select count(*) from outboxd.app_state").await,
        0
    );
    ask(&fleet, &[&typo[..], &["--yes"]].concat())
        .await
        .ends_with(0);
    // The settings name this one.
    ask(&fleet, &["pause", "default", "--reason", "r"])
        .await
        .ends_with(0);
}

#[sqlx::test(migrations = false)]
async fn what_is_missing_is_named_with_its_place(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    let url = pool.connect_options().to_url_lossy().to_string();
    let database: String = sqlx::query_scalar("select current_database()")
        .fetch_one(&pool)
        .await
        .unwrap();
    let no_schema = ask(&fleet, &["list", "--lang", "en"])
        .await
        .ends_with(1)
        .err;
    assert!(
        no_schema.contains("no outboxd schema in") && no_schema.contains(&format!("/{database}")),
        "{no_schema}"
    );
    let applied = ask(&fleet, &["migrate"]).await.ends_with(0).out;
    assert!(
        applied.lines().all(|line| line.ends_with("\tapplied")),
        "{applied}"
    );
    let there = ask(&fleet, &["migrate"]).await.ends_with(0).out;
    assert!(
        there.lines().all(|line| line.ends_with("\tpresent")),
        "{there}"
    );

    fleet.set("DATABASE_URL", &url.replace(&database, "no_such_database"));
    for (lang, words) in [
        ("en", "there is no database no_such_database at"),
        ("zh", "没有数据库 no_such_database"),
    ] {
        let said = ask(&fleet, &["list", "--lang", lang])
            .await
            .ends_with(4)
            .err;
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("login") && !said.contains("拒绝"), "{said}");
    }
}

/// What an attempt says when the function was still at it, and where it stands by a word that is true.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_attempt_that_met_the_function_at_work_is_not_called_not_sent(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, SETTLED).await;
    run(
        &pool,
        "insert into outboxd.notification_attempt
            (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
         values (1002, 1, 'default', gen_random_uuid(), 'a', now(), now(), 'answered', 'failed', 'in_progress')",
    )
    .await;
    assert_eq!(one(&pool, 1002).await.id.0, 1002);
    let en = ask(&fleet, &["show", "1002", "--lang", "en"])
        .await
        .ends_with(0)
        .out;
    assert!(
        en.contains("attempt 1 not settled") && !en.contains("not sent:"),
        "{en}"
    );
    let zh = ask(&fleet, &["show", "1002", "--lang", "zh"])
        .await
        .ends_with(0)
        .out;
    assert!(zh.contains("未了结") && zh.contains("已有答复"), "{zh}");
}
