//! The program itself, as people and scripts meet it: what it prints, and how it ends.

use std::process::Stdio;

use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::fleet::{Fleet, Said, signal};
use crate::harness::{enqueue, got, number, run};

/// The program without a configuration, without a database.
fn bare(env: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outboxd"));
    command
        .args(arguments)
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn ask(env: &[(&str, &str)], arguments: &[&str]) -> Said {
    Said::by(bare(env, arguments)).await
}

const VERBS: [&str; 22] = [
    "run",
    "serve",
    "desk-password",
    "migrate",
    "why",
    "find",
    "show",
    "list",
    "retry",
    "cancel",
    "bulk",
    "phone",
    "handled",
    "redirect",
    "correct",
    "pause",
    "resume",
    "stats",
    "audit",
    "send-test",
    "config",
    "errors",
];

#[tokio::test]
async fn help_is_at_hand_for_every_verb() {
    let nothing = ask(&[], &[]).await.ends_with(2);
    assert!(nothing.err.contains("Usage: outboxd") && nothing.out.is_empty());
    let help = ask(&[], &["--help"]).await.ends_with(0);
    for verb in VERBS {
        assert!(help.out.contains(&format!("\n  {verb} ")), "{verb}");
        let help = ask(&[], &[verb, "--help"]).await.ends_with(0);
        assert!(help.out.contains("Examples:"), "{verb}: {}", help.out);
        assert!(help.err.is_empty(), "{verb}: {}", help.err);
    }
    let is_verb = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands = help.out.lines().skip_while(|line| *line != "Commands:");
    let listed = commands
        .take_while(|line| *line != "Options:")
        .filter(is_verb)
        .count();
    assert_eq!(listed, VERBS.len() + 1, "with `help`: {}", help.out);
    assert!(
        ask(&[], &["--version"])
            .await
            .ends_with(0)
            .out
            .starts_with("outboxd ")
    );
    for wrong in [
        &["nonsense"][..],
        &["why"],
        &["retry", "李"],
        &["pause", "default"],
        &["list", "--limit", "0"],
    ] {
        let said = ask(&[], wrong).await.ends_with(2);
        assert!(
            said.out.is_empty() && !said.err.is_empty(),
            "{wrong:?}: {said:?}"
        );
    }
}

/// Every mistake in one go, in the reader's language, none of them with a secret in it.
#[tokio::test]
async fn a_bad_configuration_is_told_as_a_whole() {
    let wrong = [
        ("DATABASE_URL", "postgres//u:hunter2@h/db"),
        ("OUTBOXD_SLOTS", "0"),
        ("OUTBOXD_LEASE", "soon"),
        ("MINIPROGRAM_APPID", "wx 1"),
        ("MINIPROGRAM_APPSECRET", "hunter2 hunter2"),
        ("OUTBOXD_SIGNING_SECRET", "hunter2 hunter2"),
        ("OUTBOXD_LANG", "en"),
    ];
    let zh = [&wrong[..6], &[("LANG", "zh_CN.UTF-8")]].concat();
    for (env, first) in [(&wrong[..], "mistakes"), (&zh, "处错误")] {
        for verb in [&["run"][..], &["config", "show"]] {
            let said = ask(env, verb).await.ends_with(4);
            assert!(said.err.lines().next().unwrap().contains(first), "{said:?}");
            for (name, _) in &wrong[..6] {
                assert!(said.err.contains(name), "{name} is not told: {said:?}");
            }
            assert!(
                said.err.contains("MINIPROGRAM_CLOUD_ENV"),
                "what is missing: {said:?}"
            );
            assert!(
                !said.err.contains("hunter2") && !said.out.contains("hunter2"),
                "{said:?}"
            );
        }
    }
    // A question about rows needs no mini program.
    let said = ask(&wrong, &["why", "c"]).await.ends_with(4);
    assert!(
        said.err.contains("DATABASE_URL") && !said.err.contains("MINIPROGRAM"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_database_out_of_reach_is_named_without_its_password() {
    let env = [
        // Port 1 of this machine: nobody listens there.
        ("DATABASE_URL", "postgres://crm:hunter2@127.0.0.1:1/sales"),
        ("MINIPROGRAM_APPID", "wx0123456789abcdef"),
        ("MINIPROGRAM_APPSECRET", "0123456789abcdef0123456789abcdef"),
        ("MINIPROGRAM_CLOUD_ENV", "cloud1-x"),
        ("OUTBOXD_WAIT_FOR", "0s"),
        ("OUTBOXD_HTTP_LISTEN", "off"),
    ];
    for arguments in [
        &["why", "c"][..],
        &["find", "c"],
        &["show", "1"],
        &["list"],
        &["stats"],
        &["retry", "1"],
        &["migrate"],
        &["cancel", "1", "--reason", "r"],
        &["pause", "default", "--reason", "r"],
        &["resume", "default"],
        &["migrate", "status"],
        &["migrate", "roles"],
        &["run"],
        &["send-test", "--customer", "c", "--user", "u", "--store"],
    ] {
        for lang in ["en", "zh"] {
            let said = ask(&env, &[&["--lang", lang], arguments].concat())
                .await
                .ends_with(5);
            assert!(said.out.is_empty(), "{arguments:?}: {said:?}");
            assert!(!said.err.contains("hunter2"), "{arguments:?}: {said:?}");
            if arguments != ["run"] {
                assert!(
                    said.err.contains("127.0.0.1:1/sales"),
                    "{arguments:?}: {said:?}"
                );
            }
        }
    }
}

/// Words that need no database come without one.
#[tokio::test]
async fn the_catalogue_and_the_template_need_nothing() {
    let errors = ask(&[], &["errors", "--json"]).await.ends_with(0);
    assert!(errors.json().to_string().contains("not_subscribed"));
    for lang in ["en", "zh"] {
        let template = ask(&[], &["config", "template", "--lang", lang])
            .await
            .ends_with(0);
        toml_is_all_comments(&template.out);
    }
    let sql = ask(&[], &["migrate", "sql"]).await.ends_with(0);
    assert!(sql.out.contains("create table outboxd.notification_outbox"));
}

fn toml_is_all_comments(text: &str) {
    for line in text.lines() {
        assert!(line.is_empty() || line.starts_with(['#', '[']), "{line}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_database_without_the_schema_is_told_what_to_do(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    for arguments in [
        &["why", "c"][..],
        &["list"],
        &["stats"],
        &["retry", "1"],
        &["pause", "a", "--reason", "r"],
    ] {
        let said = fleet.ask(arguments).await.ends_with(1);
        assert!(
            said.err.contains("outboxd migrate") && said.out.is_empty(),
            "{arguments:?}: {said:?}"
        );
    }
    let status = fleet
        .ask(&["migrate", "status", "--json"])
        .await
        .ends_with(1);
    assert_eq!(status.json()["current"], false);
    let at_once = tokio::join!(
        fleet.ask(&["migrate", "--json"]),
        fleet.ask(&["migrate", "--json"]),
        fleet.ask(&["migrate", "--json"])
    );
    for said in [at_once.0, at_once.1, at_once.2] {
        assert_eq!(said.ends_with(0).json()["current"], true);
    }
    fleet.ask(&["migrate", "status"]).await.ends_with(0);
    fleet.ask(&["list"]).await.ends_with(0);
}

/// For those who migrate with another tool: the same schema, and we know it.
#[sqlx::test(migrations = false)]
async fn the_printed_sql_makes_the_schema(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let sql = fleet.ask(&["migrate", "sql"]).await.ends_with(0).out;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&pool)
        .await
        .unwrap();
    fleet.ask(&["migrate", "status"]).await.ends_with(0);
    let again = fleet.ask(&["migrate", "--json"]).await.ends_with(0);
    assert_eq!(
        again.json()["current"],
        true,
        "and our own migrator takes it from there"
    );
    enqueue(&pool, "li", "c").await;
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "delivered");
}

/// Lines of a running program, as they come.
struct Log(tokio::io::Lines<BufReader<tokio::process::ChildStderr>>);

impl Log {
    fn of(child: &mut Child) -> Log {
        Log(BufReader::new(child.stderr.take().unwrap()).lines())
    }

    /// Reads on to a line that holds this text.
    async fn until(&mut self, text: &str) -> String {
        let found = tokio::time::timeout(std::time::Duration::from_secs(30), async {
            while let Some(line) = self.0.next_line().await.unwrap() {
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the log ended without {text:?}")
        });
        found
            .await
            .unwrap_or_else(|_| panic!("not logged: {text:?}"))
    }
}

fn started(fleet: &Fleet, arguments: &[&str]) -> (Child, Log) {
    let mut command = fleet.command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Log::of(&mut child);
    (child, log)
}

/// Where a daemon that was told to take any port serves its health.
fn address_in(line: &str) -> String {
    let rest = &line[line.find("127.0.0.1:").unwrap()..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || ":.".contains(c)));
    rest[..end.unwrap_or(rest.len())].to_owned()
}

/// The daemon is alive at once, ready when its schema is there, and no longer ready when it stops.
#[sqlx::test(migrations = false)]
async fn a_daemon_waits_for_its_schema_and_says_so(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet
        .set("OUTBOXD_HTTP_LISTEN", "127.0.0.1:0")
        .set("OUTBOXD_DRAIN_TIMEOUT", "2s");
    let (mut daemon, mut log) = started(&fleet, &["run"]);
    let address = address_in(&log.until("health and metrics").await);
    let waiting = log.until("waiting for the schema").await;
    assert!(waiting.contains("outboxd migrate"), "{waiting}");
    assert_eq!(got(&address, "/livez").await.0, 200);
    for path in ["/readyz", "/healthz"] {
        let (status, said) = got(&address, path).await;
        assert_eq!(status, 503);
        assert!(said.contains("outboxd migrate"), "{said}");
    }
    assert_eq!(
        got(&address, "/metrics").await.0,
        200,
        "without its schema, too"
    );
    assert_eq!(got(&address, "/nothing").await.0, 404);

    fleet.ask(&["migrate"]).await.ends_with(0);
    log.until("outboxd is running").await;
    assert_eq!(got(&address, "/readyz").await, (200, "ready\n".into()));
    enqueue(&pool, "li", "c").await;
    log.until("delivered (accepted)").await;
    fleet.settled().await;
    assert_eq!(got(&address, "/livez").await, (200, "alive\n".into()));

    // A call under way keeps it up for a moment, in which it says that it stops.
    enqueue(&pool, "hang", "slow").await;
    fleet
        .sim
        .wait_for(|ledger| ledger.calls().len() == 2)
        .await
        .unwrap();
    signal(&daemon, "TERM");
    log.until("stopping").await;
    assert_eq!(got(&address, "/readyz").await, (503, "stopping\n".into()));
    assert_eq!(
        got(&address, "/livez").await.0,
        200,
        "stopping is no reason to be killed"
    );
    assert_eq!(daemon.wait().await.unwrap().code(), Some(0));
}

#[sqlx::test(migrations = false)]
async fn a_daemon_migrates_when_told_to(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    fleet
        .ask(&["run", "--migrate", "--once"])
        .await
        .ends_with(0);
    fleet.ask(&["migrate", "status"]).await.ends_with(0);
}

/// The names that dashboards and alarms are built on.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_metrics_have_their_names(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_HTTP_LISTEN", "127.0.0.1:0");
    enqueue(&pool, "li", "a").await;
    enqueue(&pool, "fail-43101", "b").await;
    run(&pool, "select outboxd.enqueue_notification('e', 'li', 'later', next_attempt_at => now() + interval '1 hour')").await;
    let (mut daemon, mut log) = started(&fleet, &["run"]);
    let address = address_in(&log.until("health and metrics").await);
    for _ in 0..2 {
        log.until("\"status\":").await;
    }
    let (status, page) = got(&address, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"outbox_notifications_total{app="default",status="delivered"} 1"#,
        r#"outbox_notifications_total{app="default",status="dead"} 1"#,
        r#"outbox_attempts_total{app="default",outcome="delivered",reason="accepted"} 1"#,
        r#"outbox_attempts_total{app="default",outcome="failed",reason="not_subscribed"} 1"#,
        r#"outbox_call_duration_seconds_count{app="default"} 2"#,
        r#"outbox_claimed_total{app="default"} 2"#,
        r#"outbox_due{app="default"} 0"#,
        r#"outbox_in_flight{app="default"} 0"#,
        r#"outbox_awaiting_grant{app="default"} 0"#,
        r#"outbox_oldest_due_age_seconds{app="default"} 0"#,
        r#"outbox_circuit_open{app="default"} 0"#,
        r#"outbox_paused{app="default"} 0"#,
        r#"outbox_poll_last_success_timestamp_seconds{app="default"} "#,
        r#"outbox_claim_duration_seconds_count{app="default"} "#,
        "outbox_build_info{version=",
        "# EOF",
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    // The service's numbers are as of the scrape.
    run(&pool, "insert into outboxd.app_state (app, paused_at, paused_by) values ('default', now(), 'wang')").await;
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = now() - interval '90 seconds';
         insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, awaits_grant)
         select 'e', 'c', 'r' || n, 1, 1, t, true
           from (values (1, timestamptz 'infinity'), (2, now() + interval '1 day'), (3, now() - interval '1 second')) v (n, t)",
    )
    .await;
    let (_, page) = got(&address, "/metrics").await;
    for line in [
        r#"outbox_paused{app="default"} 1"#,
        r#"outbox_due{app="default"} 2"#,
        r#"outbox_awaiting_grant{app="default"} 2"#,
        r#"outbox_oldest_due_age_seconds{app="default"} 9"#,
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    signal(&daemon, "TERM");
    assert!(daemon.wait().await.unwrap().success());
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_settings_show_their_origin_and_no_secret(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    let file = std::env::temp_dir().join(format!("outboxd-cli-{}.toml", std::process::id()));
    std::fs::write(&file, "[relay]\npoll_idle = \"123ms\"\n").unwrap();
    fleet
        .set("OUTBOXD_CONFIG", file.to_str().unwrap())
        .set("OUTBOXD_SIGNING_SECRET", "hunter2-hunter2-hunter2")
        .set("MINIPROGRAM_APPSECRET", "feedfacefeedfacefeedfacefeedface");
    let said = fleet
        .ask(&["config", "show", "--json", "--lang", "en"])
        .await
        .ends_with(0);
    let settings = said.json()["settings"].clone();
    let origin = |name: &str| {
        settings[name]["origin"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(settings["MINIPROGRAM_APPSECRET"]["value"], "***");
    assert_eq!(settings["OUTBOXD_SIGNING_SECRET"]["value"], "***");
    assert_eq!(settings["OUTBOXD_POLL_IDLE"]["value"], "123ms");
    assert!(
        origin("OUTBOXD_POLL_IDLE").contains("relay.poll_idle"),
        "{said:?}"
    );
    assert!(
        origin("OUTBOXD_LEASE").contains("OUTBOXD_LEASE"),
        "{said:?}"
    );
    assert_eq!(origin("OUTBOXD_TIME_ZONE"), "default");
    assert!(origin("OUTBOXD_LANG").contains("--lang"), "{said:?}");
    for text in [&said.out, &said.err] {
        assert!(
            !text.contains("hunter2") && !text.contains("feedface"),
            "{text}"
        );
    }
    let lines = fleet.ask(&["config", "show"]).await.ends_with(0).out;
    assert!(
        lines.lines().all(|line| line.split('\t').count() == 3),
        "{lines}"
    );
    std::fs::remove_file(&file).unwrap();
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn support_is_answered(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let unknown = fleet.ask(&["why", "c", "--json"]).await.ends_with(3);
    assert_eq!(unknown.json()["verdict"]["kind"], "no_message");
    assert_eq!(unknown.json()["verdict"]["who"], "developer");
    let id = enqueue(&pool, "fail-43101", "c").await.to_string();
    enqueue(&pool, "li", "d").await;
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    let why = fleet
        .ask(&["why", "c", "--json", "--lang", "zh"])
        .await
        .ends_with(0);
    assert!(why.json().to_string().contains("没有授权"), "{why:?}");
    for (arguments, ours) in [
        (&["why", "c"][..], 1),
        (&["find", "fail-43101"], 1),
        (&["find", &id], 1),
        (&["list"], 2),
        (&["list", "--status", "dead"], 1),
        (&["list", "--reason", "not_subscribed"], 1),
        (&["list", "--app", "nobody"], 0),
    ] {
        let said = fleet.ask(arguments).await.ends_with(0);
        assert_eq!(said.out.lines().count(), ours, "{arguments:?}: {said:?}");
    }
    assert!(
        fleet
            .ask(&["show", &id])
            .await
            .ends_with(0)
            .out
            .contains("43101")
    );
    fleet.ask(&["show", "999999"]).await.ends_with(3);
    fleet.ask(&["find", "nobody"]).await.ends_with(3);
    let stats = fleet.ask(&["stats", "--json"]).await.ends_with(0);
    assert_eq!(stats.json()["apps"][0]["app"], "default");
}

/// `outboxd list | head -1`: the reader goes away, and that is all right.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_reader_may_go_away(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    run(&pool, "select outboxd.enqueue_notification('e', repeat('r', 200), 'c' || n) from generate_series(1, 1000) n").await;
    for arguments in [
        &["list", "--limit", "1000"][..],
        &["list", "--limit", "1000", "--json"],
        &["migrate", "sql"],
    ] {
        let mut command = fleet.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Far less than is written, and more than a pipe holds is left: the writer meets the closed end.
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut [0; 10])
            .await
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .await
            .unwrap();
        assert_eq!(
            child.wait().await.unwrap().code(),
            Some(0),
            "{arguments:?}: {err}"
        );
        assert_eq!(err, "", "{arguments:?}");
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_rehearsal_calls_once_and_stores_nothing(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let test = |user: &'static str| {
        let fleet = &fleet;
        async move {
            fleet
                .ask(&["send-test", "--customer", "c", "--user", user, "--json"])
                .await
        }
    };
    let accepted = test("li").await.ends_with(0).json();
    assert_eq!(
        (&accepted["accepted"], &accepted["cause"]),
        (&true.into(), &"accepted".into())
    );
    let steps: Vec<&str> = accepted["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["token", "notify", "answer"]);
    let refused = test("fail-43101").await.ends_with(1).json();
    assert_eq!(
        (&refused["cause"], &refused["errcode"]),
        (&"not_subscribed".into(), &43101.into())
    );
    let lines = fleet
        .ask(&["send-test", "--customer", "c", "--user", "li"])
        .await
        .ends_with(0)
        .out;
    assert!(lines.ends_with("verdict\t\taccepted\n"), "{lines}");
    for wrong in [
        &["--payload", "[]"][..],
        &["--payload", "{"],
        &["--app", "nobody"],
    ] {
        fleet
            .ask(&[&["send-test", "--customer", "c", "--user", "li"], wrong].concat())
            .await
            .ends_with(2);
    }
    assert_eq!(fleet.sim.ledger().calls().len(), 3);
    assert_eq!(fleet.sim.ledger().messages().len(), 2);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery_status"
        )
        .await,
        0
    );
    assert_eq!(number(&pool, "select (select count(*) from outboxd.audit_log) + (select count(*) from outboxd.app_state)").await, 0);
    let stored = fleet
        .ask(&["send-test", "--customer", "c", "--user", "li", "--store"])
        .await
        .ends_with(0);
    stored.out.trim().parse::<i64>().unwrap();
    assert_eq!(fleet.verdict("c").await.0, "queued");
}

/// Actor, action, reason and number of rows of the newest line of the audit log.
async fn audit(pool: &PgPool) -> (String, String, Option<String>, i32) {
    sqlx::query_as(
        "select actor, action, reason, affected from outboxd.audit_log order by id desc limit 1",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn operators_act_once_and_leave_a_trace(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let dead = enqueue(&pool, "once-fail-43101", "c").await.to_string();
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "dead");

    // Two people at once: one does it, and the other learns that it is done.
    let retry = |actor: &'static str| {
        let (fleet, dead) = (&fleet, &dead);
        async move {
            fleet
                .ask(&[
                    "retry",
                    dead,
                    "--actor",
                    actor,
                    "--reason",
                    "allowed now",
                    "--json",
                ])
                .await
        }
    };
    let (wang, zhao) = tokio::join!(retry("wang"), retry("zhao"));
    let mut results: Vec<String> = [&wang, &zhao]
        .iter()
        .map(|said| {
            said.json()["results"][0]["result"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    results.sort_unstable();
    assert!(results.contains(&"revived".to_owned()), "{results:?}");
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.audit_log where action = 'retry'"
        )
        .await,
        1,
        "{results:?}"
    );
    let (actor, _, reason, affected) = audit(&pool).await;
    assert!(
        ["wang", "zhao"].contains(&&*actor)
            && reason.as_deref() == Some("allowed now")
            && affected == 1
    );
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "delivered");
    let again = fleet.ask(&["retry", &dead, "--json"]).await.ends_with(1);
    assert_eq!(
        again.json()["results"][0]["result"],
        "delivered",
        "never sent twice"
    );

    // Cancelled is not sent, and not brought back by the daemon.
    let queued = enqueue(&pool, "li", "d").await.to_string();
    let said = fleet
        .ask(&[
            "cancel",
            &queued,
            "--reason",
            "by mistake",
            "--actor",
            "wang",
            "--json",
        ])
        .await
        .ends_with(0);
    assert_eq!(said.json()["results"][0]["result"], "cancelled");
    assert_eq!(
        audit(&pool).await,
        ("wang".into(), "cancel".into(), Some("by mistake".into()), 1)
    );
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("d").await.0, "cancelled");
    // Of several, nothing is done without a yes, nor when one of them does not exist.
    let one = enqueue(&pool, "li", "e").await.to_string();
    let two = enqueue(&pool, "li", "f").await.to_string();
    fleet
        .ask(&["cancel", &one, &two, "--reason", "r"])
        .await
        .ends_with(2);
    fleet
        .ask(&["cancel", &one, "999999", "--reason", "r", "--yes"])
        .await
        .ends_with(3);
    assert_eq!(fleet.verdict("e").await.0, "queued");
    fleet
        .ask(&["cancel", &one, &two, "--reason", "r", "--yes"])
        .await
        .ends_with(0);
    assert_eq!(audit(&pool).await.3, 2);
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_pause_holds_the_whole_fleet_until_it_is_lifted(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let pause = |actor: &'static str| {
        let fleet = &fleet;
        async move {
            fleet
                .ask(&[
                    "pause", "default", "--reason", "review", "--actor", actor, "--json",
                ])
                .await
                .ends_with(0)
        }
    };
    let (wang, zhao) = tokio::join!(pause("wang"), pause("zhao"));
    let mut results = [
        wang.json()["result"].to_string(),
        zhao.json()["result"].to_string(),
    ];
    results.sort_unstable();
    assert_eq!(results, [r#""already_paused""#, r#""paused""#]);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.audit_log where action = 'pause'"
        )
        .await,
        1
    );
    enqueue(&pool, "li", "c").await;
    let held = fleet.ask(&["run", "--once"]).await.ends_with(1);
    assert!(held.err.contains("what is due there was left"), "{held:?}");
    assert_eq!(
        (fleet.verdict("c").await.0, fleet.sim.ledger().calls().len()),
        ("held".into(), 0)
    );
    let why = fleet.ask(&["why", "c", "--json"]).await.ends_with(0);
    assert!(why.out.contains("review"), "support reads why: {why:?}");

    let resumed = fleet
        .ask(&["resume", "default", "--actor", "zhao", "--json"])
        .await
        .ends_with(0);
    assert_eq!(resumed.json()["result"], "resumed");
    assert_eq!(
        audit(&pool).await,
        ("zhao".into(), "resume".into(), None, 0)
    );
    let again = fleet
        .ask(&["resume", "default", "--json"])
        .await
        .ends_with(0);
    assert_eq!(again.json()["result"], "not_paused");
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "delivered");
    // An open breaker stays open until somebody says --now.
    run(&pool, "update outboxd.app_state set breaker = 'open', breaker_until = now() + interval '1 hour', breaker_reason = 'secret_wrong'").await;
    fleet.ask(&["resume", "default"]).await.ends_with(0);
    let open = "select count(*) from outboxd.app_state where breaker = 'open'";
    assert_eq!(number(&pool, open).await, 1);
    let closed = fleet
        .ask(&["resume", "default", "--now", "--json"])
        .await
        .ends_with(0);
    assert_eq!(
        (closed.json()["result"].as_str(), number(&pool, open).await),
        (Some("closed"), 0)
    );
}

/// A start that no restart mends ends with 4, so that no supervisor tries for ever.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_restart_cannot_mend_ends_with_4(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    fleet.set(
        "OUTBOXD_HTTP_LISTEN",
        &taken.local_addr().unwrap().to_string(),
    );
    let said = fleet.ask(&["run"]).await.ends_with(4);
    assert!(said.err.contains("Set OUTBOXD_HTTP_LISTEN"), "{said:?}");
    // One that drains and ends needs no port.
    fleet.ask(&["run", "--once"]).await.ends_with(0);

    fleet
        .set("OUTBOXD_UNSAFE_DURABILITY", "false")
        .set("OUTBOXD_HTTP_LISTEN", "off");
    let name: String = sqlx::query_scalar("select current_database()::text")
        .fetch_one(&pool)
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        r#"alter database "{name}" set synchronous_commit = off"#
    )))
    .execute(&pool)
    .await
    .unwrap();
    let said = fleet
        .ask(&["run", "--once", "--lang", "zh"])
        .await
        .ends_with(4);
    assert!(
        said.err.contains("synchronous_commit = off") && said.err.contains("请把两项都打开"),
        "{said:?}"
    );
}

#[sqlx::test(migrations = false)]
async fn once_does_not_wait_for_ever_for_a_schema(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_WAIT_FOR", "1s");
    let said = fleet.ask(&["run", "--once"]).await.ends_with(1);
    assert!(said.err.contains("run `outboxd migrate`"), "{said:?}");
}
