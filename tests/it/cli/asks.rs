//! What people ask, and what a script reads.

use std::process::Stdio;

use sqlx::PgPool;
use tokio::io::AsyncReadExt;

use crate::fleet::Fleet;
use crate::harness::{enqueue, number, run};

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
