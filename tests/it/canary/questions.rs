//! What is asked of the program in that run: every verb in every form, and with mistakes beside each secret.

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::secrets::{APPSECRET, DB_PASSWORD, FAULTS, NAME, OPENID, PHONE, SIGNING_SECRET};
use super::{Heard, percent};
use crate::fleet::{Fleet, Said};

/// Every verb, in both languages, as lines and as JSON.
pub(super) async fn ask_everything(fleet: &Fleet, heard: &mut Heard) {
    let ids: Vec<i64> =
        sqlx::query_scalar("select id from outboxd.notification_delivery_status order by id")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    let all: Vec<String> = ids.iter().map(i64::to_string).collect();
    let named: Vec<&str> = all.iter().map(String::as_str).collect();
    let (first, last) = (named[0], named[named.len() - 1]);
    let payload = format!("{{\"name\":\"{NAME}\",\"phone\":\"{PHONE}\"}}");
    let test = |user: &'static str| ["send-test", "--customer", "c", "--user", user, "--payload"];
    let mut questions: Vec<Vec<&str>> = vec![
        vec!["list", "--limit", "1000"],
        vec!["list", "--status", "dead"],
        vec!["stats"],
        vec!["errors"],
        vec!["config", "show"],
        vec!["config", "template"],
        vec!["migrate", "status"],
        vec!["why", "json-quote-page"],
        vec!["why", "nobody"],
        vec!["find", "5678"],
        vec!["find", PHONE],
        vec!["find", OPENID],
        vec!["show", "999999"],
        vec!["retry", first, "--reason", "call 13812345678 first"],
        vec!["cancel", last, "--reason", "call 13812345678 first"],
        vec!["pause", "default", "--reason", "call 13812345678 first"],
        vec![
            "resume",
            "default",
            "--now",
            "--reason",
            "call 13812345678 first",
        ],
    ];
    for user in [
        "li",
        "fail-43101",
        "quote-page.json",
        "quote-502.json",
        "quote-errmsg.json",
        "quote-message.json",
        "no-openid",
        "http-302",
        "reset-unsent",
    ] {
        questions.push([&test(user)[..], &[&payload]].concat());
    }
    for id in named.iter().take(FAULTS.len()) {
        questions.push(vec!["show", id]);
    }
    let forms = [
        &["--lang", "zh"][..],
        &["--lang", "en", "--json"],
        &["--lang", "zh", "--json"],
        &["--lang", "en"],
    ];
    for (number, question) in questions.iter().enumerate() {
        // In turn, so that every form meets every kind of trouble.
        let turns = if question[0] == "show" { 1 } else { 2 };
        for options in forms.iter().cycle().skip(number).take(turns) {
            let said = fleet.ask(&[question, *options].concat()).await;
            heard.said(&format!("{question:?} {options:?}"), &said);
        }
    }
    let shown = fleet.ask(&["show", first, "--payload"]).await.ends_with(0);
    assert!(shown.out.contains("138****5678"), "{shown:?}");
    assert!(!shown.out.contains(PHONE));
}

/// Mistakes beside a secret: whoever shows the line shows the secret.
pub(super) async fn break_the_settings(fleet: &Fleet, heard: &mut Heard) {
    let file = std::env::temp_dir().join(format!("outboxd-canary-{}.toml", std::process::id()));
    let path = file.to_str().unwrap();
    for text in [
        format!("[apps.default]\nappsecret = \"{APPSECRET}\n"),
        format!("[apps.default]\nappsecret = {APPSECRET}\n"),
        format!("[apps.default]\nappsecret = [\"{APPSECRET}\", 1]\n"),
        format!("[apps.default]\nappsecret_file = \"{APPSECRET}\"\nappsecret = \"{APPSECRET}\"\n"),
        format!(
            "[apps.other]\nappsecrett = \"{APPSECRET}\"\nsigning_secret = \"{SIGNING_SECRET}\"\n"
        ),
        format!("database.url = \"postgres//u:{DB_PASSWORD}@h/d\"\n"),
    ] {
        std::fs::write(&file, text).unwrap();
        for verb in [
            &["run", "--once"][..],
            &["config", "show"],
            &["config", "show", "--json"],
        ] {
            let mut command = fleet.command(verb);
            for name in [
                "DATABASE_URL",
                "MINIPROGRAM_APPSECRET",
                "OUTBOXD_SIGNING_SECRET",
            ] {
                command.env_remove(name);
            }
            let said = Said::by({
                command.env("OUTBOXD_CONFIG", path);
                command
            })
            .await;
            assert_eq!(said.code, Some(4), "{said:?}");
            heard.said("a broken file", &said);
        }
    }
    std::fs::remove_file(&file).unwrap();
    let port_1 = format!("postgres://u:{}@127.0.0.1:1/d", percent(DB_PASSWORD));
    let no_port = format!("postgres://u:{DB_PASSWORD}@h:port/d");
    let refused = url_of_nobody(fleet);
    for env in [
        ("DATABASE_URL", &*port_1),
        ("DATABASE_URL", &no_port),
        ("DATABASE_URL", &refused),
        ("MINIPROGRAM_APPSECRET", &format!("{APPSECRET} {APPSECRET}")),
        ("OUTBOXD_SIGNING_SECRET", &format!("{SIGNING_SECRET} x")),
        (
            "OUTBOXD_WECHAT_BASE_URL",
            &format!("http://u:{APPSECRET}@127.0.0.1:1"),
        ),
    ] {
        for verb in [
            &["run", "--once"][..],
            &["list"],
            &["config", "show"],
            &["migrate"],
        ] {
            let said = fleet.ask_as(&[env, ("OUTBOXD_WAIT_FOR", "0s")], verb).await;
            heard.said(&format!("{verb:?} with {} wrong", env.0), &said);
        }
    }
}

/// The right server, a role that does not exist.
fn url_of_nobody(fleet: &Fleet) -> String {
    let options: PgConnectOptions = (*fleet.pool.connect_options()).clone();
    options
        .username("outboxd_nobody")
        .password(DB_PASSWORD)
        .to_url_lossy()
        .to_string()
}
