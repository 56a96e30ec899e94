//! The two targets without the cloud function, from the CRM's row to the verdict: the daemon as a process, a real
//! database, the simulated WeChat, and a receiver of one's own on loopback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sqlx::PgPool;
use wechat_sim::Settings;

use crate::canary::{Canaries, Heard, a_run, tables};
use crate::fleet::{Fleet, signal};
use crate::harness::{appears, enqueue, number, run};

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/templates.json");
const QUERY: &str = "select openid from public.staff where id = $1";
const WEBHOOK: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmFyeQ==";

/// A fleet that sends directly, and the CRM's own table of who is who.
async fn direct(pool: &PgPool, settings: Settings) -> Fleet {
    run(
        pool,
        "create table public.staff (id text primary key, openid text)",
    )
    .await;
    let mut fleet = Fleet::with(pool, settings).await;
    fleet
        .unset("MINIPROGRAM_CLOUD_ENV")
        .set("OUTBOXD_TARGET", "subscribe-send")
        .set("OUTBOXD_TEMPLATES", TEMPLATES)
        .set("OUTBOXD_OPENID_QUERY", QUERY);
    fleet
}

async fn employ(pool: &PgPool, id: &str, openid: &str) {
    sqlx::query("insert into public.staff values ($1, $2)")
        .bind(id)
        .bind(openid)
        .execute(pool)
        .await
        .unwrap();
}

/// A receiver of one's own: what it was sent, and what it answers to whom.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Receiver {
    async fn start() -> (Receiver, String) {
        let receiver = Receiver::default();
        let routes = axum::Router::new()
            .fallback(answer)
            .with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, address)
    }

    /// How often somebody was called for, by verb.
    fn calls(&self, recipient: &str) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .get(recipient)
            .cloned()
            .unwrap_or_default()
    }
}

async fn answer(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> Response {
    let event: Value = serde_json::from_str(&body).unwrap();
    let text = |field: &str| event[field].as_str().unwrap().to_owned();
    let (recipient, verb, key) = (text("recipient"), text("type"), text("key"));
    assert_eq!(headers["webhook-id"], *key);
    assert!(
        headers["webhook-signature"]
            .to_str()
            .unwrap()
            .starts_with("v1,")
    );
    let before = {
        let mut seen = receiver.0.lock().unwrap();
        let calls = seen.entry(recipient.clone()).or_default();
        calls.push(verb.clone());
        calls.len() - 1
    };
    let word = |state: &str| {
        json!({"ok": state == "sent", "state": state, "key": key, "code": 0, "step": "send"})
            .to_string()
    };
    match &*recipient {
        "gone" => (StatusCode::GONE, "gone").into_response(),
        "later" if before == 0 => (StatusCode::TOO_MANY_REQUESTS, "").into_response(),
        "broken" => (StatusCode::BAD_GATEWAY, format!("{headers:?} {body}")).into_response(),
        "hangs" => std::future::pending().await,
        // It keeps receipts, and its first answer is lost.
        "keeps" if verb == "inquire" => word("sent").into_response(),
        "keeps" => (StatusCode::BAD_GATEWAY, "").into_response(),
        "never" if verb == "inquire" => word("not_seen").into_response(),
        "never" if verb == "seal" => word("sealed").into_response(),
        "never" => (StatusCode::BAD_GATEWAY, "").into_response(),
        _ => "ok".into_response(),
    }
}

async fn http(pool: &PgPool, address: &str, on_unknown: &str) -> Fleet {
    let mut fleet = Fleet::new(pool).await;
    for name in [
        "MINIPROGRAM_APPID",
        "MINIPROGRAM_APPSECRET",
        "MINIPROGRAM_CLOUD_ENV",
        "OUTBOXD_WECHAT_BASE_URL",
    ] {
        fleet.unset(name);
    }
    fleet
        .set("OUTBOXD_TARGET", "http")
        .set(
            "OUTBOXD_TARGET_URL",
            &format!("http://{address}/notify?code=canary-url-key"),
        )
        .set("OUTBOXD_WEBHOOK_SECRET", WEBHOOK)
        .set("OUTBOXD_ALLOW", address)
        .set("OUTBOXD_ON_UNKNOWN", on_unknown);
    fleet
}

fn verdict(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_message_sent_directly_is_accepted_once_and_never_guessed(pool: PgPool) {
    let fleet = direct(&pool, Settings::default()).await;
    for id in ["li", "fail-n1", "lost-reply", "fail-43101"] {
        employ(&pool, id, &format!("o-{id}")).await;
        enqueue(&pool, id, id).await;
    }
    enqueue(&pool, "stranger", "stranger").await;
    let _daemon = fleet.process(&["run"]);
    fleet.settled().await;
    for (customer, expected) in [
        ("li", verdict("delivered", "accepted")),
        ("fail-n1", verdict("dead", "unanswered_stopped")),
        ("lost-reply", verdict("dead", "unanswered_stopped")),
        ("fail-43101", verdict("dead", "not_subscribed")),
        ("stranger", verdict("dead", "no_openid")),
    ] {
        assert_eq!(fleet.verdict(customer).await, expected, "{customer}");
    }
    let ledger = fleet.sim.ledger();
    let [message] = &ledger.messages_to("li")[..] else {
        panic!("once")
    };
    assert_eq!(message.template_id, "TMPL_ASSIGNED");
    assert_eq!(message.data["thing1"]["value"], "li");
    // The lost answer had a message behind it: the doubt is shown, and it was not sent again.
    assert_eq!(ledger.messages_to("lost-reply").len(), 1);
    assert_eq!(
        ledger.direct_sends(),
        4,
        "a call each, and none for a stranger"
    );
    let doubtful = "select count(*) from outboxd.notification_delivery where may_have_arrived";
    assert_eq!(number(&pool, doubtful).await, 2);
    let why = fleet.ask(&["why", "lost-reply", "--lang", "en"]).await;
    assert!(why.out.contains("may have arrived"), "{why:?}");
    // A person says: send it again.
    let retried = "select id from outboxd.notification_delivery where aggregate_id = 'lost-reply'";
    let id = number(&pool, retried).await.to_string();
    let retry = [
        "retry",
        &id,
        "--may-arrive-twice",
        "--yes",
        "--reason",
        "asked",
    ];
    fleet.ask(&retry).await.ends_with(0);
    fleet.settled().await;
    assert_eq!(fleet.sim.ledger().messages_to("lost-reply").len(), 2);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_query_for_the_openid_can_neither_write_nor_pass_as_nobodys(pool: PgPool) {
    let mut fleet = direct(&pool, Settings::default()).await;
    employ(&pool, "li", "o-li").await;
    run(
        &pool,
        "create function public.grab(text) returns text language sql volatile
             as 'delete from public.staff where id = $1 returning openid'",
    )
    .await;
    let mut said = Vec::new();
    for (query, expected) in [
        ("select public.grab($1)", "openid_query_wrong"),
        (
            "select openid from public.none where id = $1",
            "openid_query_wrong",
        ),
        (
            "select openid from public.staff where id = $1 and pg_sleep(9) is not null",
            "openid_query_failed",
        ),
        (QUERY, "accepted"),
    ] {
        fleet.set("OUTBOXD_OPENID_QUERY", query);
        let test = fleet
            .ask(&["send-test", "--customer", "c", "--user", "li", "--json"])
            .await;
        let test: Value = serde_json::from_str(&test.out).unwrap();
        said.push((test["cause"].as_str().unwrap().to_owned(), expected));
    }
    assert!(
        said.iter().all(|(cause, expected)| cause == expected),
        "{said:?}"
    );
    assert_eq!(number(&pool, "select count(*) from public.staff").await, 1);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_receiver_of_ones_own_is_called_and_never_guessed(pool: PgPool) {
    let (receiver, address) = Receiver::start().await;
    let fleet = http(&pool, &address, "stop").await;
    for recipient in ["li", "gone", "later", "broken", "hangs"] {
        enqueue(&pool, recipient, recipient).await;
    }
    let daemon = fleet.process(&["run"]);
    fleet.settled().await;
    for (recipient, expected, calls) in [
        ("li", verdict("delivered", "taken"), 1),
        ("gone", verdict("dead", "receiver_refused"), 1),
        ("later", verdict("delivered", "taken"), 2),
        ("broken", verdict("dead", "unanswered_stopped"), 1),
        ("hangs", verdict("dead", "unanswered_stopped"), 1),
    ] {
        assert_eq!(fleet.verdict(recipient).await, expected, "{recipient}");
        assert_eq!(
            receiver.calls(recipient),
            vec!["notify"; calls],
            "{recipient}"
        );
    }
    // Killed in the middle of a call: the next daemon finds the lapse, and calls no more.
    enqueue(&pool, "hangs", "killed").await;
    let in_flight =
        "select count(*) from outboxd.notification_outbox where lease_token is not null";
    appears(&pool, in_flight).await;
    while receiver.calls("hangs").len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(&daemon, "KILL");
    let _next = fleet.process(&["run"]);
    fleet.settled().await;
    assert_eq!(
        fleet.verdict("killed").await,
        verdict("dead", "unanswered_stopped")
    );
    assert_eq!(
        receiver.calls("hangs").len(),
        2,
        "the killed call was the last"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_receiver_with_receipts_is_asked_and_sealed(pool: PgPool) {
    let (receiver, address) = Receiver::start().await;
    let mut fleet = http(&pool, &address, "inquire").await;
    fleet.set("OUTBOXD_RETRY_SCHEDULE", "50ms 50ms");
    for recipient in ["keeps", "never"] {
        enqueue(&pool, recipient, recipient).await;
    }
    let _daemon = fleet.process(&["run"]);
    fleet.settled().await;
    assert_eq!(
        fleet.verdict("keeps").await,
        verdict("delivered", "taken_earlier")
    );
    assert_eq!(receiver.calls("keeps"), ["notify", "inquire"]);
    assert_eq!(
        fleet.verdict("never").await,
        verdict("dead", "unanswered_asked")
    );
    let verbs = ["notify", "inquire", "notify", "inquire", "notify", "seal"];
    assert_eq!(receiver.calls("never"), verbs);
    let certain = "select count(*) from outboxd.notification_delivery where not may_have_arrived";
    assert_eq!(
        number(&pool, certain).await,
        2,
        "sealed, so dead is the truth"
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn nothing_that_must_stay_inside_comes_out_of_the_other_targets(pool: PgPool) {
    const FAULTS: [&str; 8] = [
        "li",
        "quote-page",
        "quote-502",
        "quote-errmsg",
        "fail-40003",
        "hang",
        "reset-after-body",
        "http-302",
    ];
    let openid = |nth: usize| format!("oCANARY_openid_0123456789ab{nth}");
    let mut direct = direct(&pool, Settings::default()).await;
    let (_receiver, address) = Receiver::start().await;
    let mut http = http(&pool, &address, "stop").await;
    let mut heard = Heard::default();
    for (nth, fault) in FAULTS.iter().enumerate() {
        employ(&pool, fault, &openid(nth)).await;
        direct.sim.set_openid(fault, Some(&openid(nth)));
        enqueue(&pool, fault, fault).await;
    }
    for (fleet, name) in [(&mut direct, "direct"), (&mut http, "http")] {
        fleet
            .set("OUTBOXD_HTTP_LISTEN", "127.0.0.1:0")
            .set("OUTBOXD_LOG", "trace")
            .set("OUTBOXD_CALL_TIMEOUT", "300ms")
            .set("OUTBOXD_LEASE", "3s")
            .set("OUTBOXD_DRAIN_TIMEOUT", "2s");
        if name == "http" {
            for recipient in ["li", "gone", "broken", "hangs"] {
                enqueue(&pool, recipient, recipient).await;
            }
        }
        a_run(fleet, &mut heard, name, &["run"]).await;
        for question in [
            &["config", "show"][..],
            &["send-test", "--customer", "c", "--user", "broken"],
            &[
                "send-test",
                "--customer",
                "c",
                "--user",
                "quote-errmsg",
                "--json",
            ],
            &["list", "--json", "--limit", "100"],
        ] {
            heard.said(&format!("{name} {question:?}"), &fleet.ask(question).await);
        }
    }
    heard.add("tables", tables(&pool).await);
    let tokens: Vec<String> = direct
        .sim
        .ledger()
        .tokens()
        .iter()
        .map(|token| (*token).to_owned())
        .collect();
    assert!(!tokens.is_empty() && direct.sim.ledger().direct_sends() >= 8);
    let openids: Vec<String> = (0..FAULTS.len()).map(openid).collect();
    let mut secrets = vec![
        ("AppSecret", direct.sim.settings().secret.as_str()),
        ("webhook secret", &WEBHOOK[6..]),
        ("key in the URL", "canary-url-key"),
        ("name", "张三"),
    ];
    secrets.extend(openids.iter().map(|openid| ("openid", openid.as_str())));
    secrets.extend(tokens.iter().map(|token| ("access token", token.as_str())));
    heard.assert_free_of(&Canaries::of(&secrets));
}

/// What waited for the user's permission when the app still had the cloud function: nobody can be asked any more, so it
/// is called.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_waited_for_a_grant_is_called_by_a_target_without_a_ledger(pool: PgPool) {
    let fleet = direct(&pool, Settings::default()).await;
    employ(&pool, "li", "o-li").await;
    enqueue(&pool, "li", "li").await;
    run(
        &pool,
        "update outboxd.notification_outbox set next_attempt_at = 'infinity', awaits_grant = true",
    )
    .await;
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("li").await, verdict("delivered", "accepted"));
}

/// At start, before any row pays for it; and a query that only needs its recipient passes without one.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_query_that_cannot_run_is_refused_at_start(pool: PgPool) {
    let mut fleet = direct(&pool, Settings::default()).await;
    for (query, expected) in [
        (
            "select openid from public.none where id = $1",
            "relation \"public.none\" does not exist",
        ),
        (
            "select wx from public.staff where id = $1",
            "column \"wx\" does not exist",
        ),
        (
            "select openid from public.staff where id = $1 and",
            "syntax error",
        ),
    ] {
        fleet.set("OUTBOXD_OPENID_QUERY", query);
        let said = fleet.ask(&["run", "--once"]).await.ends_with(4);
        assert!(
            said.err.contains("openid_query of app default") && said.err.contains(expected),
            "{said:?}"
        );
    }
    fleet.set(
        "OUTBOXD_OPENID_QUERY",
        "select openid from public.staff where id::bigint = $1::bigint",
    );
    fleet.ask(&["run", "--once"]).await.ends_with(0);
}
