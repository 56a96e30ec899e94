//! Messages as they go out, and every answer of the reference's section 9.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::Alone;
use super::super::event::tests::claim;
use super::super::testing::{Server, say, say_json, say_token};
use super::*;

const OPENID: &str = "oCANARY_openid_0123456789abc";
const MAPPING: &str = r#"{"customer_assigned": {"templateId": "T1", "page": "pages/x?id={aggregate.id}",
    "fields": {"thing1": {"from": "payload.name"}, "phrase2": {"fallback": "已分配"}}}}"#;

struct Crm(Result<Option<Secret>, LookupFailed>);

impl FindOpenid for Crm {
    fn openid<'a>(
        &'a self,
        _recipient: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Secret>, LookupFailed>> + Send + 'a>> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

fn target(url: &str, openids: Openids, on_unknown: OnUnknown) -> DirectTarget {
    let settings = DirectSettings {
        app: "crm".to_owned(),
        appid: "wx0".to_owned(),
        appsecret: Secret::new("canary-secret"),
        base_url: url.to_owned(),
        call_timeout: Duration::from_millis(500),
        templates: Arc::new(Templates::read(MAPPING).unwrap()),
        zone: chrono_tz::Asia::Shanghai,
        openids,
        on_unknown,
    };
    DirectTarget::new(settings, Arc::new(Alone)).unwrap()
}

fn known() -> Openids {
    Openids::Asked(Arc::new(Crm(Ok(Some(Secret::new(OPENID))))))
}

fn row() -> Claim {
    let mut claim = claim("{}");
    claim.event_type = "customer_assigned".to_owned();
    claim.payload = format!(r#"{{"name":"王 女士","openid":"{OPENID}"}}"#);
    claim
}

async fn said(status: &'static str, body: &str, on_unknown: OnUnknown) -> (Outcome, usize) {
    let body = body.to_owned();
    let tokens = AtomicUsize::new(0);
    let server = Server::start(move |seen, stream| match seen.is_token() {
        true => {
            let nth = tokens.fetch_add(1, Ordering::SeqCst);
            say_token(stream, &format!("canary-token-{nth}"), 7200);
        }
        // An error may well quote the URL it was asked for.
        false => {
            let asked = seen.head.split(' ').nth(1).unwrap();
            say(stream, status, "", &body.replace("TOKEN", asked));
        }
    });
    let outcome = target(&server.url(), known(), on_unknown)
        .deliver(&row())
        .await
        .outcome;
    (outcome, server.function_calls().len())
}

#[tokio::test]
async fn the_message_is_the_mappings() {
    let server = Server::start(|seen, stream| match seen.is_token() {
        true => say_token(stream, "canary-token", 7200),
        false => say_json(
            stream,
            r#"{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}"#,
        ),
    });
    for openids in [known(), Openids::Event("payload.openid".to_owned())] {
        let target = target(&server.url(), openids, OnUnknown::Stop);
        let Attempted { outcome, token } = target.deliver(&row()).await;
        assert!(token.is_some(), "the first one waits for a token");
        let Outcome::Delivered(receipt) = outcome else {
            panic!()
        };
        assert_eq!(receipt.msgid.as_deref(), Some("1988810812324364291"));
        assert_eq!(receipt.why().key, "accepted");
        assert!(!format!("{target:?} {receipt:?}").contains("canary"));
    }
    for call in server.function_calls() {
        assert!(
            call.head
                .starts_with("POST /cgi-bin/message/subscribe/send?access_token=canary-token "),
            "{}",
            call.head
        );
        let sent: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(
            sent,
            serde_json::json!({"touser": OPENID, "template_id": "T1", "page": "pages/x?id=%E5%AE%A2%E6%88%B7-1",
            "miniprogram_state": "formal", "lang": "zh_CN",
            "data": {"thing1": {"value": "王 女士"}, "phrase2": {"value": "已分配"}}})
        );
    }
}

#[tokio::test]
async fn every_answer_of_the_reference() {
    for (code, expected, calls) in [
        (40001, "failed token_still_refused", 2),
        (40003, "failed openid_wrong", 1),
        (40037, "failed template_wrong", 1),
        (41030, "failed page_wrong", 1),
        (43101, "failed not_subscribed", 1),
        (43107, "failed template_banned", 1),
        (43108, "failed same_person_busy", 1),
        (45009, "failed message_quota", 1),
        (45011, "failed minute_limit", 1),
        (45168, "failed sensitive_word", 1),
        (47003, "failed content_refused", 1),
        (48001, "failed api_not_authorised", 1),
        (44002, "failed send_request_wrong", 1),
        (99_999, "failed unknown_refusal", 1),
        (-1, "unknown unanswered_stopped", 1),
        (-9, "unknown unanswered_stopped", 1),
    ] {
        let body = format!(r#"{{"errcode":{code},"errmsg":"{OPENID} TOKEN 王 女士"}}"#);
        let (outcome, called) = said("200 OK", &body, OnUnknown::Stop).await;
        assert_eq!(
            format!("{} {}", outcome.word(), outcome.why().key),
            expected
        );
        assert_eq!((outcome.errcode(), called), (Some(code), calls), "{code}");
        let printed = format!("{outcome:?}");
        assert!(
            !printed.contains("canary") && !printed.contains("CANARY") && !printed.contains('王'),
            "{printed}"
        );
    }
    for (status, body, expected) in [
        ("502 Bad Gateway", "", "unknown unanswered_resent"),
        ("200 OK", "<html>", "unknown unanswered_resent"),
        ("200 OK", "{}", "unknown unanswered_resent"),
        ("412 Precondition Failed", "", "failed http_4xx"),
    ] {
        let (outcome, called) = said(status, body, OnUnknown::Resend).await;
        assert_eq!(
            format!("{} {}", outcome.word(), outcome.why().key),
            expected
        );
        assert_eq!(called, 1, "never twice in one attempt");
    }
}

#[tokio::test]
async fn without_an_openid_or_a_template_nothing_is_called() {
    let server = Server::start(|_, stream| say_json(stream, "{}"));
    let asked = |answer| Openids::Asked(Arc::new(Crm(answer)));
    for (openids, event_type, expected) in [
        (asked(Ok(None)), "customer_assigned", "no_openid"),
        (
            asked(Ok(Some(Secret::new("")))),
            "customer_assigned",
            "no_openid",
        ),
        (
            asked(Ok(Some(Secret::new("o x")))),
            "customer_assigned",
            "no_openid",
        ),
        (
            Openids::Event("payload.none".to_owned()),
            "customer_assigned",
            "no_openid",
        ),
        (
            asked(Err(LookupFailed::Wrong("42P01".into()))),
            "customer_assigned",
            "openid_query_wrong",
        ),
        (
            asked(Err(LookupFailed::Away("57014".into()))),
            "customer_assigned",
            "openid_query_failed",
        ),
        (known(), "other", "template_missing"),
    ] {
        let mut row = row();
        row.event_type = event_type.to_owned();
        let outcome = target(&server.url(), openids, OnUnknown::Stop)
            .deliver(&row)
            .await
            .outcome;
        assert_eq!(
            (outcome.why().key, outcome.phase()),
            (expected, Phase::NotCalled)
        );
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn calls_to_one_person_do_not_overlap() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, peak) = (now.clone(), most.clone());
    let server = Server::start(move |seen, stream| {
        if seen.is_token() {
            return say_token(stream, "canary-token", 7200);
        }
        peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        count.fetch_sub(1, Ordering::SeqCst);
        say_json(stream, r#"{"errcode":0}"#);
    });
    let target = target(&server.url(), known(), OnUnknown::Stop);
    let row = row();
    let calls = (0..5).map(|_| async { target.deliver(&row).await.outcome });
    for outcome in futures_join(calls).await {
        assert_eq!(outcome.why().key, "accepted");
    }
    assert_eq!(
        (server.function_calls().len(), most.load(Ordering::SeqCst)),
        (5, 1)
    );
}

/// All at once, in one task.
async fn futures_join<F: Future<Output = Outcome>>(calls: impl Iterator<Item = F>) -> Vec<Outcome> {
    let mut calls: Vec<_> = calls.map(|call| (Box::pin(call), None)).collect();
    std::future::poll_fn(|cx| {
        for (call, done) in &mut calls {
            if done.is_none()
                && let std::task::Poll::Ready(outcome) = call.as_mut().poll(cx)
            {
                *done = Some(outcome);
            }
        }
        match calls.iter().all(|(_, done)| done.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    calls.into_iter().filter_map(|(_, done)| done).collect()
}
