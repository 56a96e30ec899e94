//! What terminals, pipes, logs and monitoring read.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::Uri;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{MARK, assert_harmless, fill, texts};
use crate::canary::{Heard, a_run, tables};
use crate::fleet::Fleet;

/// What data can be asked for as.
#[derive(Clone, Copy, Debug)]
enum Form {
    Terminal,
    Lines,
    Json,
}

const FORMS: [Form; 3] = [Form::Terminal, Form::Lines, Form::Json];

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_verb_prints_what_a_terminal_obeys(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    for (n, text) in (1..).zip(texts()) {
        fill(&pool, n, &text).await;
    }
    for form in FORMS {
        for verb in [&["list"][..], &["phone"], &["audit"]] {
            let said = said(&fleet, &[verb, &["--limit", "1000"]].concat(), form).await;
            assert!(
                said.matches(MARK).count() >= texts().len(),
                "{verb:?} {form:?}"
            );
        }
        for verb in [
            &["stats"][..],
            &["bulk", "status"],
            &["bulk", "status", "3"],
        ] {
            said(&fleet, verb, form).await;
        }
    }
    for ((n, text), turn) in (1..).zip(texts()).zip(0..) {
        let (waits, ended) = ((1000 + n).to_string(), (2000 + n).to_string());
        let verbs = [
            vec!["why", "--", &text],
            vec!["find", "--", &text],
            vec!["show", &waits, "--payload"],
            vec!["show", &ended],
        ];
        // In turn, so that each text meets each form.
        for (verb, turn) in verbs.iter().zip(turn..) {
            said(&fleet, verb, FORMS[turn % 3]).await;
        }
    }
    // Every line has the same cells, whatever is in them.
    let list = said(&fleet, &["list", "--limit", "1000"], Form::Lines).await;
    let cells: Vec<usize> = list.lines().map(|line| line.split('\t').count()).collect();
    assert_eq!(cells, vec![cells[0]; 2 * texts().len()]);
}

/// What it prints, which does no harm.
async fn said(fleet: &Fleet, verb: &[&str], form: Form) -> String {
    let options = match form {
        Form::Json => &["--json"][..],
        Form::Terminal | Form::Lines => &["--color", "never"],
    };
    let arguments = [&[verb[0]], options, &verb[1..]].concat();
    let place = format!("{arguments:?} {form:?}");
    let (out, err) = match form {
        Form::Terminal => (on_terminal(fleet, &arguments).await, String::new()),
        Form::Lines | Form::Json => {
            let said = fleet.ask(&arguments).await;
            assert!(said.code.is_some_and(|code| code <= 3), "{place}: {said:?}");
            (said.out, said.err)
        }
    };
    assert_harmless(&place, &err, &['\n']);
    match form {
        Form::Lines => assert_harmless(&place, &out, &['\n', '\t']),
        Form::Terminal => assert_harmless(&place, &out, &['\n']),
        Form::Json => {
            assert_harmless(&place, &out, &['\n']);
            let object: Value = serde_json::from_str(&out).unwrap();
            assert!(object.is_object(), "{place}");
        }
    }
    out
}

/// What the program prints to somebody who sits before it.
async fn on_terminal(fleet: &Fleet, arguments: &[&str]) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(theirs.to_str().unwrap())
        .unwrap();
    let mut command = fleet.command(arguments);
    command
        .stdin(Stdio::null())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs);
    let mut program = command.spawn().unwrap();
    // Its ends of the terminal are in there, and reading ends when nobody holds one.
    drop(command);
    let reading = tokio::task::spawn_blocking(move || {
        let mut printed = Vec::new();
        // A terminal that was left answers with an error.
        let _ = File::from(ours).read_to_end(&mut printed);
        printed
    });
    program.wait().await.unwrap();
    let printed = String::from_utf8(reading.await.unwrap()).unwrap();
    printed.replace("\r\n", "\n")
}

/// A WeChat whose function refuses each call with the next of the texts, in every place that has room for one.
async fn wechat() -> String {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = move |uri: Uri, body: Bytes| {
        let calls = calls.clone();
        async move {
            if uri.path().contains("token") {
                return r#"{"access_token": "80_canary_token_hostile", "expires_in": 7200}"#
                    .to_owned();
            }
            let event: Value = serde_json::from_slice(&body).unwrap();
            let texts = texts();
            let text = &texts[calls.fetch_add(1, Ordering::Relaxed) % texts.len()];
            let refused = json!({
                "ok": false, "state": "refused", "key": event["key"], "code": 43101, "message": text, "step": "send",
                "duplicate": false, "msgid": text, "grantsLeft": null,
            });
            json!({"errcode": 0, "errmsg": text, "resp_data": refused.to_string()}).to_string()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_daemon_logs_lines_of_its_own_and_nothing_else(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet
        .set("OUTBOXD_WECHAT_BASE_URL", &wechat().await)
        .set("OUTBOXD_HTTP_LISTEN", "127.0.0.1:0")
        // As usual, so that there is nothing to warn of.
        .set("OUTBOXD_CALL_TIMEOUT", "10s")
        .set("OUTBOXD_LEASE", "60s")
        .set("OUTBOXD_LOG", "trace");
    for format in ["text", "json"] {
        for text in texts() {
            sqlx::query(
                "select outboxd.enqueue_notification(left($1, 128), $1, $1, jsonb_build_object('t', $1, $1, $1), created_by => $1,
                     traceparent => $1, dedupe_key => $1 || $2, collapse_key => null)",
            )
            .bind(&text)
            .bind(format)
            .execute(&pool)
            .await
            .unwrap();
        }
        fleet.set("OUTBOXD_LOG_FORMAT", format);
        let mut heard = Heard::default();
        a_run(&fleet, &mut heard, format, &["run"]).await;
        for (place, said) in heard.all() {
            // The tables hold what the CRM wrote, as it wrote it.
            if place.ends_with("on the way") {
                continue;
            }
            assert_harmless(place, said, &['\n']);
            for line in said.lines() {
                if place.ends_with("stderr") {
                    is_a_line(line, format);
                } else if place.ends_with("/metrics") {
                    is_a_figure(line);
                }
            }
        }
    }
    let settled = crate::harness::number(
        &pool,
        "select count(*) from outboxd.notification_delivery where status = 'dead'",
    )
    .await;
    assert_eq!(usize::try_from(settled).unwrap(), 2 * texts().len());
    // What WeChat said is kept, and can be read by whoever reads the tables.
    let kept: Vec<String> = sqlx::query_scalar(
        "select detail from outboxd.notification_attempt where detail is not null",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(
        kept.iter().filter(|it| it.contains(MARK)).count() >= texts().len(),
        "{kept:?}"
    );
    for detail in kept {
        assert_harmless("what was kept", &detail, &[]);
    }
    assert!(tables(&pool).await.contains(MARK));
}

/// Begun by us: with the time of day, or as an object.
#[track_caller]
pub(super) fn is_a_line(line: &str, format: &str) {
    if format == "json" {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(
            object["timestamp"].is_string() && object["level"].is_string(),
            "{line}"
        );
        return;
    }
    let time = line.split(' ').next().unwrap();
    assert!(
        chrono::DateTime::parse_from_rfc3339(time).is_ok(),
        "{line:?}"
    );
}

#[track_caller]
fn is_a_figure(line: &str) {
    if line.starts_with("# ") {
        return;
    }
    let (name, value) = line.rsplit_once(' ').unwrap();
    assert!(name.starts_with("outbox_"), "{line}");
    assert!(value.parse::<f64>().is_ok(), "{line}");
}
