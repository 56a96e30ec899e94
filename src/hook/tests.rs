//! Answers of all kinds, and what a call looks like on the wire.

use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::json;

use super::*;
use crate::wechat::testing::{Server, say};

fn claim() -> Claim {
    crate::wechat::event_tests::claim(r#"{"name":"王女士"}"#)
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn target(url: &str, on_unknown: OnUnknown) -> HookTarget {
    HookTarget::new(HookSettings {
        app: "crm".to_owned(),
        url: format!("{url}/notify?code=canary-key").parse().unwrap(),
        secret: Secret::new(SECRET),
        may_be_internal: true,
        call_timeout: Duration::from_millis(500),
        on_unknown,
    })
    .unwrap()
}

/// What came of an answer, with this claim, in short; and the verbs that were called.
async fn heard(
    status: &'static str,
    body: &str,
    on_unknown: OnUnknown,
    again: bool,
) -> (String, Vec<String>) {
    let answer = body.to_owned();
    let server = Server::start(move |_, stream| say(stream, status, "Retry-After: 7\r\n", &answer));
    let mut claim = claim();
    claim.may_have_arrived = again;
    let outcome = target(&server.url(), on_unknown)
        .deliver(&claim)
        .await
        .outcome;
    let said = format!("{} {}", outcome.word(), outcome.why().key);
    let verb = |body: &str| {
        serde_json::from_str::<serde_json::Value>(body).unwrap()["type"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    (
        said,
        server.seen().iter().map(|seen| verb(&seen.body)).collect(),
    )
}

#[tokio::test]
async fn a_call_is_signed_and_carries_the_event() {
    let server = Server::start(|_, stream| say(stream, "200 OK", "", "ok"));
    let target = target(&server.url(), OnUnknown::Stop);
    let claim = claim();
    let outcome = target.deliver(&claim).await.outcome;
    assert_eq!(outcome.why().key, "taken");
    let [seen] = &server.seen()[..] else { panic!() };
    assert!(
        seen.head
            .starts_with("POST /notify?code=canary-key HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    let key = claim.key.to_string();
    assert_eq!(seen.header("webhook-id"), Some(&*key));
    let event: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(
        (&event["type"], &event["key"]),
        (&json!("notify"), &json!(key))
    );
    assert!(event.get("signature").is_none());
    // Written apart from the signer.
    let timestamp = seen.header("webhook-timestamp").unwrap();
    let secret = base64::prelude::BASE64_STANDARD
        .decode(&SECRET[6..])
        .unwrap();
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(&secret).unwrap();
    hmac::Mac::update(
        &mut mac,
        format!("{key}.{timestamp}.{}", seen.body).as_bytes(),
    );
    let signature = base64::prelude::BASE64_STANDARD.encode(hmac::Mac::finalize(mac).into_bytes());
    assert_eq!(
        seen.header("webhook-signature"),
        Some(&*format!("v1,{signature}"))
    );
    let printed = format!("{target:?} {outcome:?}");
    assert!(
        !printed.contains("canary") && !printed.contains("MfKQ"),
        "{printed}"
    );
}

#[tokio::test]
async fn statuses() {
    for (status, expected) in [
        ("200 OK", "delivered taken"),
        ("204 No Content", "delivered taken"),
        ("302 Found", "failed receiver_redirects"),
        ("400 Bad Request", "failed receiver_refused"),
        ("401 Unauthorized", "failed receiver_forbids"),
        ("404 Not Found", "failed receiver_refused"),
        ("409 Conflict", "failed receiver_not_yet"),
        ("415 Unsupported Media Type", "failed receiver_setup_wrong"),
        ("429 Too Many Requests", "failed receiver_busy"),
        ("500 Internal Server Error", "unknown unanswered_stopped"),
        ("503 Service Unavailable", "unknown unanswered_stopped"),
    ] {
        let body = if status.starts_with("204") {
            ""
        } else {
            r#"{"code":200}"#
        };
        let (said, calls) = heard(status, body, OnUnknown::Stop, false).await;
        assert_eq!(said, expected, "{status}");
        assert_eq!(calls, ["notify"], "{status}: called once, whatever it says");
    }
}

#[tokio::test]
async fn a_receiver_with_receipts_is_asked_and_believed() {
    let key = claim().key.to_string();
    let word = |state: &str, ok: bool| {
        json!({"ok": ok, "state": state, "key": key, "code": 0, "step": "send"}).to_string()
    };
    let check = async |body: String, again, expected: &str, verbs: &[&str]| {
        let (said, calls) = heard("200 OK", &body, OnUnknown::Ask, again).await;
        assert_eq!(
            (&*said, calls),
            (expected, verbs.iter().map(|v| (*v).to_owned()).collect()),
            "{body}"
        );
    };
    check(word("sent", true), false, "delivered taken", &["notify"]).await;
    check(
        word("sent", true),
        true,
        "delivered taken_earlier",
        &["inquire"],
    )
    .await;
    check(
        word("in_progress", false),
        true,
        "failed in_progress",
        &["inquire"],
    )
    .await;
    check(
        word("unknown", false),
        false,
        "unknown receiver_unknown",
        &["notify"],
    )
    .await;
    check(
        word("not_seen", false),
        true,
        "unknown unreadable_answer",
        &["inquire", "notify"],
    )
    .await;
    // It is known to speak, so this is somebody else.
    check(
        "<html>log in</html>".to_owned(),
        false,
        "unknown unanswered_asked",
        &["notify"],
    )
    .await;
    check("ok".to_owned(), true, "failed receiver_mute", &["inquire"]).await;
    let other = word("sent", true).replace(&key, "11111111-2222-4333-8444-555555555555");
    check(other, false, "unknown wrong_key_echoed", &["notify"]).await;
    // One that does not keep receipts is never asked: it would take the question for a second notification.
    let (said, calls) = heard("200 OK", "ok", OnUnknown::Resend, true).await;
    assert_eq!(
        (&*said, &calls[..]),
        ("delivered taken", &["notify".to_owned()][..])
    );
    // Its word counts all the same.
    let (said, _) = heard("200 OK", &word("unknown", false), OnUnknown::Stop, false).await;
    assert_eq!(said, "unknown receiver_unknown");
}

#[tokio::test]
async fn only_a_receiver_with_receipts_is_asked_to_seal() {
    let key = claim().key.to_string();
    let body = json!({"ok": true, "state": "sealed", "key": key}).to_string();
    for (on_unknown, calls) in [(OnUnknown::Ask, 1), (OnUnknown::Stop, 0)] {
        let body = body.clone();
        let server = Server::start(move |_, stream| say(stream, "200 OK", "", &body));
        let sealed = target(&server.url(), on_unknown).seal(&claim()).await;
        assert_eq!(
            matches!(sealed, Sealed::NotSent),
            on_unknown == OnUnknown::Ask,
            "{sealed:?}"
        );
        assert_eq!(server.seen().len(), calls);
    }
}

#[tokio::test]
async fn silence_is_unknown_and_a_closed_port_is_not() {
    let silent = Server::start(|_, _| std::thread::sleep(Duration::from_secs(3)));
    let started = Instant::now();
    let outcome = target(&silent.url(), OnUnknown::Resend)
        .deliver(&claim())
        .await
        .outcome;
    assert_eq!(outcome.why().key, "unanswered_resent");
    assert!(started.elapsed() < Duration::from_secs(2));
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let outcome = target(&format!("http://{closed}"), OnUnknown::Stop)
        .deliver(&claim())
        .await
        .outcome;
    assert_eq!(outcome.why().key, "receiver_not_reached");
}

#[tokio::test]
async fn an_internal_address_is_not_called() {
    let server = Server::start(|_, stream| say(stream, "200 OK", "", "ok"));
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    for host in ["localhost", "127.0.0.1"] {
        let mut settings = target(&server.url(), OnUnknown::Stop).settings;
        settings.url = format!("http://{host}:{port}/").parse().unwrap();
        settings.may_be_internal = false;
        let outcome = HookTarget::new(settings)
            .unwrap()
            .deliver(&claim())
            .await
            .outcome;
        assert_eq!(outcome.why().key, "receiver_internal");
        assert_eq!(outcome.phase(), Phase::Connect);
    }
    assert!(server.seen().is_empty());
}
