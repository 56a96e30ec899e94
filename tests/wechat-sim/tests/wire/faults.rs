//! Every fault of the table, as it looks from outside, and what it leaves behind.

use std::time::Duration;

use serde_json::{Value, json};
use wechat_sim::{ErrorForm, UndefinedForm};

use crate::client::{Got, Stage, event, post_and_read};

/// The outer object of a reply.
async fn outer(stage: &Stage, recipient: &str) -> Value {
    stage.notify(recipient, recipient).await.json()
}

#[tokio::test]
async fn the_receiver_tells_refused_from_unknown() {
    let stage = Stage::new().await;
    for (nth, (recipient, state, code, step)) in [
        ("fail-43101", "refused", 43101, "send"),
        ("fail-47003@li", "refused", 47003, "send"),
        ("fail-n604101", "refused", -604_101, "send"),
        ("fail-n1", "unknown", -501_001, "send"),
        ("fail-n604102", "unknown", -604_102, "send"),
        ("lookup-fail-n502001", "refused", -502_001, "lookup"),
        ("no-openid", "refused", wechat_sim::NO_OPENID, "lookup"),
        ("in-progress", "in_progress", 0, "claim"),
        ("stale", "stale", 0, "claim"),
        ("sealed", "sealed", 0, "claim"),
        ("unknown", "unknown", 0, "claim"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k{nth}");
        let answer = stage.notify(&key, recipient).await.answer();
        assert_eq!(answer["state"], state, "{recipient}: {answer}");
        assert_eq!(
            (&answer["code"], &answer["step"]),
            (&json!(code), &json!(step)),
            "{recipient}: {answer}"
        );
        assert_eq!(
            (&answer["ok"], &answer["key"]),
            (&json!(false), &json!(key))
        );
    }
    let answer = stage.notify("k", "returned-err-43101").await.answer();
    assert_eq!(answer["errCode"], 43101);
    assert!(answer.get("key").is_none());
    assert_eq!(stage.sim.ledger().messages().len(), 0);
}

#[tokio::test]
async fn the_platform_fails_in_all_three_forms() {
    let stage = Stage::new().await;
    assert_eq!(outer(&stage, "outer-45009").await["errcode"], 45009);
    assert_eq!(outer(&stage, "outer-n504002").await["errcode"], -504_002);
    for (recipient, status) in [
        ("scf-430", 430),
        ("scf-433", 433),
        ("scf-429", 429),
        ("scf-432", 432),
    ] {
        let object = stage.notify(recipient, recipient).await.answer();
        assert_eq!(object["statusCode"], status);
        assert_ne!(object["errorCode"], 0);
    }
    stage
        .sim
        .switches()
        .set(|switches| switches.code_error = true);
    assert_eq!(outer(&stage, "zhang").await["errcode"], -504_002);
    stage
        .sim
        .switches()
        .set(|switches| switches.error_form = ErrorForm::OuterWithData);
    let with_data = outer(&stage, "zhang").await;
    assert_eq!(with_data["errcode"], -504_002);
    assert!(with_data["resp_data"].as_str().unwrap().contains("430"));
    stage
        .sim
        .switches()
        .set(|switches| switches.error_form = ErrorForm::Inner);
    assert_eq!(stage.notify("k", "zhang").await.answer()["statusCode"], 430);
    stage
        .sim
        .switches()
        .set(|switches| switches.error_form = ErrorForm::Hang);
    assert_eq!(stage.notify("k", "zhang").await, Got::Nothing { so_far: 0 });
    assert_eq!(stage.sim.ledger().messages().len(), 0);
}

#[tokio::test]
async fn a_point_says_how_far_the_function_came() {
    let stage = Stage::new().await;
    for (recipient, messages, state) in [
        ("unsent-html", 0, "not_seen"),
        ("claimed-html", 0, "in_progress"),
        ("unmarked-html", 1, "in_progress"),
        ("sent-html", 1, "sent"),
        ("sent-scf-430", 1, "sent"),
        ("unmarked-outer-n504002", 1, "in_progress"),
        ("sent-http-500", 1, "sent"),
        ("http-500", 0, "not_seen"),
    ] {
        stage.notify(recipient, recipient).await;
        assert_eq!(stage.messages(recipient), messages, "{recipient}");
        let inquired = stage.inquire(recipient, recipient).await.answer();
        assert_eq!(inquired["state"], state, "{recipient}");
    }
}

#[tokio::test]
async fn a_reply_can_break_at_any_byte() {
    let stage = Stage::new().await;
    let nothing = Got::Nothing { so_far: 0 };
    for (recipient, expected, messages) in [
        ("hang", &nothing, 1),
        ("reset-after-body", &Got::Reset, 1),
        ("reset-unsent", &Got::Reset, 0),
        ("fin-after-body", &Got::Closed, 1),
        ("lost-reply", &Got::Closed, 1),
        ("cut-body", &Got::CutOff, 1),
        ("dribble-head", &nothing, 1),
    ] {
        assert_eq!(
            &stage.notify(recipient, recipient).await,
            expected,
            "{recipient}"
        );
        assert_eq!(stage.messages(recipient), messages, "{recipient}");
    }
    for recipient in ["html", "empty", "garbage", "half-json"] {
        let Got::Reply {
            status: 200, body, ..
        } = stage.notify(recipient, recipient).await
        else {
            panic!("{recipient}")
        };
        assert!(
            serde_json::from_slice::<Value>(&body).is_err(),
            "{recipient}"
        );
        assert_eq!(stage.messages(recipient), 1, "{recipient}");
    }
    let path = stage.invoke_path();
    let endless = event("notify", "k1", 1, "huge");
    let body = post_and_read(&stage.sim, &path, endless, (1 << 20) + 1).await;
    assert!(body.iter().filter(|byte| **byte == b'a').count() > 1_000_000);
    // The head at once, the body byte by byte.
    let slow = event("notify", "k2", 1, "dribble");
    let head = post_and_read(&stage.sim, &path, slow, 51).await;
    assert!(head.starts_with(b"HTTP/1.1 200") && !head.ends_with(b"}"));
}

#[tokio::test]
async fn the_gateway_answers_for_itself() {
    let stage = Stage::new().await;
    for status in [412, 418, 500, 502, 503] {
        let recipient = format!("http-{status}");
        assert_eq!(stage.notify(&recipient, &recipient).await.status(), status);
    }
    let Got::Reply { head, .. } = stage.notify("k1", "http-503-retry-after-7").await else {
        panic!()
    };
    assert!(head.contains("Retry-After: 7\r\n"));

    let Got::Reply {
        status: 302, head, ..
    } = stage.notify("k2", "http-302").await
    else {
        panic!()
    };
    let location = head
        .lines()
        .find_map(|line| line.strip_prefix("Location: http://"))
        .unwrap();
    let (host, path) = location.split_once('/').unwrap();
    assert_ne!(host, stage.sim.address().to_string());
    assert_eq!(stage.sim.ledger().redirects_followed(), 0);
    let request = format!("GET /{path} HTTP/1.1\r\n\r\n");
    crate::client::raw(
        host.parse().unwrap(),
        request.as_bytes(),
        Duration::from_secs(2),
    )
    .await;
    assert_eq!(stage.sim.ledger().redirects_followed(), 1);
    assert_eq!(stage.sim.ledger().messages().len(), 0);
}

#[tokio::test]
async fn an_answer_comes_in_every_shape_that_was_seen() {
    let stage = Stage::new().await;
    assert_ne!(stage.notify("k1", "wrong-key").await.answer()["key"], "k1");
    assert!(
        stage
            .notify("k2", "no-key")
            .await
            .answer()
            .get("key")
            .is_none()
    );
    assert_eq!(
        outer(&stage, "object-resp").await["resp_data"]["state"],
        "sent"
    );

    let once_more = stage.notify("k3", "string-resp").await.answer();
    let inner: Value = serde_json::from_str(once_more.as_str().unwrap()).unwrap();
    assert_eq!(inner["state"], "sent");
    let twice_more = stage.notify("k4", "triple-resp").await.answer();
    let inner: Value = serde_json::from_str(twice_more.as_str().unwrap()).unwrap();
    assert!(inner.is_string());

    assert!(
        outer(&stage, "undefined-resp")
            .await
            .get("resp_data")
            .is_none()
    );
    assert_eq!(outer(&stage, "undefined-resp-empty").await["resp_data"], "");
    assert_eq!(
        outer(&stage, "undefined-resp-text-null").await["resp_data"],
        "null"
    );
    assert!(outer(&stage, "undefined-resp-null").await["resp_data"].is_null());
    assert_eq!(outer(&stage, "text-codes").await["errcode"], "0");
    let camel = stage.notify("k5", "errcode-camel").await.answer();
    assert_eq!((&camel["errCode"], camel.get("code")), (&json!(0), None));

    stage
        .sim
        .switches()
        .set(|switches| switches.stock_function = Some(UndefinedForm::Missing));
    assert!(outer(&stage, "zhang").await.get("resp_data").is_none());
    assert_eq!(stage.messages("zhang"), 0);
}

#[tokio::test]
async fn a_fault_may_pass() {
    let stage = Stage::new().await;
    assert_eq!(stage.notify("a", "once-reset-unsent@li").await, Got::Reset);
    assert_eq!(
        stage.notify("a", "once-reset-unsent@li").await.answer()["state"],
        "sent"
    );

    assert_eq!(stage.notify("b", "twice-lost-reply").await, Got::Closed);
    assert_eq!(stage.inquire("b", "twice-lost-reply").await, Got::Closed);
    assert_eq!(
        stage.inquire("b", "twice-lost-reply").await.answer()["state"],
        "sent"
    );
    assert_eq!(stage.messages("b"), 1);

    for _ in 0..3 {
        assert_eq!(stage.inquire("c", "always-lost-reply").await, Got::Closed);
    }
    assert_eq!(
        stage.inquire("c", "lost-reply").await.answer()["state"],
        "not_seen",
        "inquiries are spared"
    );
}

/// What a careless gateway gives back is what it got, openid included.
#[tokio::test]
async fn a_reply_may_quote_what_must_stay_secret() {
    let stage = Stage::new().await;
    for fault in ["quote-page", "quote-502", "quote-errmsg", "quote-message"] {
        let Got::Reply { status, body, .. } = stage.notify(fault, fault).await else {
            panic!("{fault}")
        };
        assert_eq!(status, if fault == "quote-502" { 502 } else { 200 });
        let text = String::from_utf8(body).unwrap();
        for secret in [&stage.token, &format!("o-{fault}"), "王女士"] {
            assert!(text.contains(secret), "{fault} keeps {secret} to itself");
        }
        assert_eq!(stage.messages(fault), 0);
    }
}
