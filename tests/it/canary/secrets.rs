//! A run with recognisable secrets, through successes and every kind of
//! failure, with every word the product prints or stores searched for them. Only the payload may hold what the
//! CRM wrote into it.

use std::collections::BTreeSet;
use std::process::Stdio;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgPool};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use wechat_sim::{Settings, TokenAnswer};

use super::questions::{ask_everything, break_the_settings};
use super::{Canaries, Heard, base64, hex, percent};
use crate::fleet::{Fleet, signal};
use crate::harness::{got, number, run};

pub(super) const APPSECRET: &str = "ca9a2e11ca9a2e22ca9a2e33ca9a2e44";
pub(super) const SIGNING_SECRET: &str = "canary/sign+ing=secret&1";
pub(super) const DB_PASSWORD: &str = "canary:db/pass+word=1";
pub(super) const OPENID: &str = "oCANARY_openid_0123456789abc";
pub(super) const PHONE: &str = "13812345678";
pub(super) const NAME: &str = "金丝雀小姐";

/// What can go wrong with a call; the openid, the URL and the body are quoted by the first.
pub(super) const FAULTS: [&str; 36] = [
    "quote-page",
    "quote-502",
    "quote-errmsg",
    "quote-message",
    "li",
    "html",
    "empty",
    "garbage",
    "half-json",
    "cut-body",
    "huge",
    "dribble",
    "hang",
    "reset-unsent",
    "reset-after-body",
    "lost-reply",
    "http-302",
    "http-307",
    "http-412",
    "http-500",
    "http-503-retry-after-7",
    "outer-40001",
    "outer-n501007",
    "outer-n504002",
    "scf-430",
    "fail-43101",
    "fail-47003",
    "fail-n1",
    "no-openid",
    "lookup-fail-n502001",
    "returned-err-40003",
    "wrong-key",
    "undefined-resp",
    "always-unknown",
    "sealed",
    "in-progress",
];

async fn enqueue_all(pool: &PgPool, round: &str) {
    for fault in FAULTS {
        sqlx::query("select outboxd.enqueue_notification('customer_assigned', $1, $2, jsonb_build_object('name', $3::text, 'phone', $4::text))")
            .bind(format!("{fault}.{round}"))
            .bind(format!("{round}-{fault}"))
            .bind(NAME)
            .bind(PHONE)
            .execute(pool)
            .await
            .unwrap();
    }
}

/// Runs a daemon until every row was called, through every pause, and hears all of it.
pub(crate) async fn a_run(fleet: &Fleet, heard: &mut Heard, place: &str, arguments: &[&str]) {
    let mut command = fleet.command(arguments);
    let mut daemon = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let mut err = String::new();
    let mut address = None;
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("health and metrics") {
            let rest = &line[line.find("127.0.0.1:").unwrap()..];
            let end = rest.find(|c: char| !(c.is_ascii_digit() || ":.".contains(c)));
            address = Some(rest[..end.unwrap_or(rest.len())].to_owned());
        }
        let is_running = line.contains("outboxd is running");
        err += &line;
        err.push('\n');
        if is_running {
            break;
        }
    }
    let address = address.expect("the daemon tells its address first");
    let rest = tokio::spawn(async move {
        let mut rest = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            rest += &line;
            rest.push('\n');
        }
        rest
    });
    let give_up = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    // Not those that got no further than the token.
    let uncalled = "select count(*) from outboxd.notification_outbox o where not exists (
                        select from outboxd.notification_attempt a where a.notification_id = o.id and a.phase <> 'token')";
    while number(&fleet.pool, uncalled).await > 0 {
        assert!(
            tokio::time::Instant::now() < give_up,
            "{}",
            fleet.story().await
        );
        heard.add(format!("{place}, on the way"), tables(&fleet.pool).await);
        run(&fleet.pool, "
            update outboxd.app_state set breaker = 'closed', breaker_until = null, breaker_since = null, breaker_reason = null;
            update outboxd.notification_outbox o set next_attempt_at = now() where lease_token is null and not exists (
                select from outboxd.notification_attempt a where a.notification_id = o.id and a.phase <> 'token')").await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for path in ["/metrics", "/livez", "/readyz", "/nothing?q=1"] {
        heard.add(format!("{place}, {path}"), got(&address, path).await.1);
    }
    signal(&daemon, "TERM");
    let mut out = String::new();
    daemon
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .await
        .unwrap();
    daemon.wait().await.unwrap();
    heard.add(format!("{place}, stdout"), out);
    heard.add(format!("{place}, stderr"), err + &rest.await.unwrap());
}

/// Every column of every table and view but the payload, as text; one line a row.
pub(crate) async fn tables(pool: &PgPool) -> String {
    let names: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname = 'outboxd' and c.relkind in ('r', 'p', 'v') and not c.relispartition",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(names.len() >= 6, "{names:?}");
    let mut all = String::new();
    for name in names {
        let sql =
            format!("select '{name} ' || (to_jsonb(t) - 'payload')::text from outboxd.{name} t");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(pool)
            .await
            .unwrap();
        all += &rows.join("\n");
        all.push('\n');
    }
    all
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_secret_and_no_person_is_ever_printed_or_stored(pool: PgPool) {
    let mut fleet = Fleet::with(
        &pool,
        Settings {
            secret: APPSECRET.to_owned(),
            signing_secret: Some(SIGNING_SECRET.to_owned()),
            ..Settings::default()
        },
    )
    .await;
    for fault in FAULTS {
        for round in ["json", "text"] {
            fleet
                .sim
                .set_openid(&format!("{fault}.{round}"), Some(OPENID));
        }
    }
    let (url, password) = with_password(&pool);
    fleet
        .set("DATABASE_URL", &url)
        .set("OUTBOXD_SIGNING_SECRET", SIGNING_SECRET)
        .set("OUTBOXD_HTTP_LISTEN", "127.0.0.1:0")
        .set("OUTBOXD_LOG", "trace")
        .set("OUTBOXD_POLL_IDLE", "20ms")
        .set("OUTBOXD_CALL_TIMEOUT", "300ms")
        .set("OUTBOXD_LEASE", "3s")
        .set("OUTBOXD_DRAIN_TIMEOUT", "2s")
        .set("OUTBOXD_RETRY_SCHEDULE", "10s");
    let mut heard = Heard::default();

    for format in ["json", "text"] {
        fleet.set("OUTBOXD_LOG_FORMAT", format);
        let token_faults = [
            "quote-page",
            "quote-502",
            "quote-errmsg",
            "html",
            "cut-body",
            "http-302",
            "hang",
        ];
        fleet.sim.switches().set(|s| {
            s.next_token_answers
                .extend(token_faults.map(|name| TokenAnswer::Fault(name.to_owned())));
            s.next_token_answers
                .extend([TokenAnswer::Code(-1), TokenAnswer::Code(40125)]);
        });
        enqueue_all(&pool, format).await;
        a_run(&fleet, &mut heard, &format!("run, {format}"), &["run"]).await;
    }
    let tokens: BTreeSet<String> = fleet
        .sim
        .ledger()
        .token_calls()
        .iter()
        .filter_map(|call| call.token.clone())
        .collect();
    assert!(!tokens.is_empty());

    ask_everything(&fleet, &mut heard).await;
    fleet.sim.stop().await;
    heard.said(
        "send-test, refused connection",
        &fleet
            .ask(&["send-test", "--customer", "c", "--user", "li"])
            .await,
    );
    break_the_settings(&fleet, &mut heard).await;
    heard.add("tables", tables(&pool).await);

    let mut secrets = vec![
        ("AppSecret", APPSECRET),
        ("signing secret", SIGNING_SECRET),
        ("database password", &password),
        ("openid", OPENID),
        ("phone", PHONE),
        ("name", NAME),
    ];
    secrets.extend(tokens.iter().map(|token| ("access token", token.as_str())));
    let canaries = Canaries::of(&secrets);
    it_would_be_found(&pool, &canaries, &secrets, &heard).await;
    heard.assert_free_of(&canaries);
    assert_eq!(fleet.sim.ledger().redirects_followed(), 0);
    assert_eq!(fleet.sim.ledger().referers(), 0);
}

/// A database that trusts everybody takes any password; another one has a random one already.
fn with_password(pool: &PgPool) -> (String, String) {
    let options: PgConnectOptions = (*pool.connect_options()).clone();
    let url = options.to_url_lossy();
    match url.password() {
        Some(password) if !password.is_empty() => (url.to_string(), password.to_owned()),
        _ => (
            options.password(DB_PASSWORD).to_url_lossy().to_string(),
            DB_PASSWORD.to_owned(),
        ),
    }
}

/// The control: what is searched for is there to be found, in every form it could take.
async fn it_would_be_found(
    pool: &PgPool,
    canaries: &Canaries,
    secrets: &[(&str, &str)],
    heard: &Heard,
) {
    let payload: String =
        sqlx::query_scalar("select payload::text from outboxd.notification_delivery limit 1")
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(canaries.found(&payload), ["phone", "name"]);
    for (name, secret) in secrets {
        let long = format!("a line with {secret} in it");
        let encoded = base64(&long);
        for text in [
            &long,
            &percent(&long),
            &hex(&long),
            &encoded[0],
            &encoded[3],
            &format!("{:?}", long.as_bytes()),
        ] {
            assert!(canaries.found(text).contains(name), "{name} in {text}");
        }
    }
    for word in [
        "***",
        "o***",
        "138****5678",
        "quote-502",
        "INFO",
        "http_5xx",
    ] {
        assert!(
            heard.0.iter().any(|(_, text)| text.contains(word)),
            "nobody said {word}"
        );
    }
}
