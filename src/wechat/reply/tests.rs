//! Every form an answer may take, and the word it comes down to.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::function::{Inquired, inquired, notified, sealed};
use super::{Heard, read};
use crate::catalogue::Pause;
use crate::delivery::{Failure, FailureKind, Outcome, Sealed};
use crate::http::{Answer, BODY_LIMIT};
use crate::notification::Key;

pub(crate) const OURS: &str = "0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10";
pub(crate) const OTHER: &str = "11111111-2222-4333-8444-555555555555";

pub(crate) fn ours() -> Key {
    Key(OURS.parse().unwrap())
}

pub(crate) fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        body: body.into(),
        ..Answer::default()
    }
}

/// An answer of the gateway around what the function returned.
pub(crate) fn from_function(returned: &Value) -> Answer {
    let outer = json!({"errcode": 0, "errmsg": "ok", "resp_data": returned.to_string()});
    answer(200, outer.to_string())
}

/// The outcome in short: what it is and why, with the code in the column.
fn short(outcome: &Outcome) -> String {
    let (word, why, errcode) = match outcome {
        Outcome::Delivered(receipt) if receipt.duplicate => return String::from("duplicate"),
        Outcome::Delivered(_) => return String::from("delivered"),
        Outcome::Failed(failure) => {
            let word = match failure.kind {
                FailureKind::Transient => "transient",
                FailureKind::Throttled => "throttled",
                FailureKind::Unreachable => "unreachable",
                FailureKind::Permanent => "permanent",
                FailureKind::Outage(_) => "outage",
            };
            (word, failure.why, failure.errcode)
        }
        Outcome::Unknown(unknown) => ("unknown", unknown.why, unknown.errcode),
    };
    match errcode {
        Some(errcode) => format!("{word} {} {errcode}", why.key),
        None => format!("{word} {}", why.key),
    }
}

pub(crate) fn heard(answer: &Answer) -> Heard {
    read(answer, Utc::now())
}

pub(crate) fn notify(answer: &Answer) -> String {
    short(&notified(heard(answer), ours()))
}

pub(crate) fn inquire(answer: &Answer) -> String {
    match inquired(heard(answer), ours()) {
        Inquired::CallNow => String::from("call now"),
        Inquired::Settled(outcome) => short(&outcome),
    }
}

pub(crate) fn seal(answer: &Answer) -> &'static str {
    match sealed(heard(answer), ours()) {
        Sealed::Delivered(_) => "delivered",
        Sealed::NotSent => "not sent",
        Sealed::Unknown => "unknown",
    }
}

pub(crate) fn sent() -> Value {
    json!({"ok": true, "state": "sent", "key": OURS, "code": 0, "step": "record", "msgid": "1988810812324364291"})
}

#[test]
fn http_comes_first() {
    let good = from_function(&sent()).body;
    let cases = [
        (200, "delivered"),
        (201, "delivered"),
        (301, "outage redirected"),
        (302, "outage redirected"),
        (304, "outage redirected"),
        (307, "outage redirected"),
        (308, "outage redirected"),
        (400, "outage http_4xx"),
        (404, "outage http_4xx"),
        (412, "outage http_4xx"),
        (429, "throttled http_429"),
        (500, "unknown http_5xx"),
        (502, "unknown http_5xx"),
        (503, "unknown http_5xx"),
        (504, "unknown http_5xx"),
        (101, "unknown unreadable_answer"),
        (999, "unknown unreadable_answer"),
    ];
    for (status, expected) in cases {
        assert_eq!(
            notify(&answer(status, good.clone())),
            expected,
            "HTTP {status}"
        );
    }
}

#[test]
fn the_outer_errcode_comes_second() {
    let cases = [
        (
            r#"{"errcode":40001,"errmsg":"invalid credential"}"#,
            "outage token_refused 40001",
        ),
        (
            r#"{"errcode":"42001","errmsg":"expired"}"#,
            "outage token_refused 42001",
        ),
        (r#"{"errcode":41001}"#, "outage request_wrong 41001"),
        (r#"{"errcode":85088}"#, "outage cloud_not_opened 85088"),
        (
            r#"{"errcode":-501000,"errmsg":"env not exists"}"#,
            "outage environment_wrong -501000",
        ),
        (
            r#"{"errcode":-501007}"#,
            "outage function_not_found -501007",
        ),
        (r#"{"errcode":45009}"#, "outage cloud_quota 45009"),
        (r#"{"errcode":-501004}"#, "throttled cloud_busy -501004"),
        (r#"{"errcode":-1}"#, "unknown cloud_system_error -1"),
        (
            r#"{"errcode":-504002,"resp_data":"{}"}"#,
            "unknown function_failed -504002",
        ),
        (
            r#"{"errcode":-504003}"#,
            "unknown function_timed_out -504003",
        ),
        (r#"{"errcode":-604001}"#, "unknown result_too_large -604001"),
        (r#"{"errcode":123456}"#, "unknown unknown_code 123456"),
        (r#"{"errcode":-99999999999999}"#, "unknown unknown_code"),
        (r#"{"errcode":1e400}"#, "unknown unreadable_answer"),
        (r#"{"errcode":0.0}"#, "unknown unreadable_answer"),
        (r#"{"errcode":null}"#, "unknown unreadable_answer"),
        (r#"{"errcode":""}"#, "unknown unreadable_answer"),
    ];
    for (body, expected) in cases {
        assert_eq!(notify(&answer(200, body)), expected, "{body}");
    }
}

#[test]
fn resp_data_in_every_wrapping() {
    let text = sent().to_string();
    let twice = Value::String(text.clone()).to_string();
    let thrice = Value::String(twice.clone()).to_string();
    for wrapped in [
        sent(),
        json!(text),
        json!(format!(" {text}\n")),
        json!(twice),
        json!(thrice),
    ] {
        let body = json!({"errcode": 0, "resp_data": wrapped}).to_string();
        assert_eq!(notify(&answer(200, body)), "delivered");
    }
    let bom = [b"\xef\xbb\xbf".as_slice(), &from_function(&sent()).body].concat();
    assert_eq!(notify(&answer(200, bom)), "delivered");
    let nothing = [
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{"errcode":0,"resp_data":null}"#,
        r#"{"errcode":0,"resp_data":""}"#,
        r#"{"errcode":0,"resp_data":"  "}"#,
        r#"{"errcode":0,"resp_data":"null"}"#,
        r#"{"errcode":0,"resp_data":"undefined"}"#,
        r#"{"errcode":0,"resp_data":"\"\""}"#,
    ];
    for body in nothing {
        // The call may have sent; the question cannot have.
        assert_eq!(
            notify(&answer(200, body)),
            "unknown function_undefined",
            "{body}"
        );
        assert_eq!(
            inquire(&answer(200, body)),
            "outage function_undefined",
            "{body}"
        );
        assert_eq!(seal(&answer(200, body)), "unknown", "{body}");
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_never_a_refusal() {
    let good = String::from_utf8(from_function(&sent()).body).unwrap();
    let mut cases = vec![
        String::new(),
        String::from("<html><body>502 Bad Gateway</body></html>"),
        String::from("null"),
        String::from("[]"),
        String::from("\"ok\""),
        String::from("0"),
        String::from("{}"),
        format!("{good}{good}"),
        "[".repeat(60_000),
        "{\"a\":".repeat(10_000),
        json!({"errcode": 0, "resp_data": "[".repeat(50_000)}).to_string(),
    ];
    cases.extend((1..good.len()).step_by(7).map(|end| good[..end].to_owned()));
    for inner in [
        "hello",
        "{\"ok\":true",
        "[1]",
        "true",
        "7",
        "{}",
        "{\"ok\":true}",
        "{\"errCode\":0}",
    ] {
        cases.push(json!({"errcode": 0, "resp_data": inner}).to_string());
    }
    for inner in [
        json!([]),
        json!(true),
        json!(7),
        json!({"state": "delivered"}),
        json!({"state": 1}),
    ] {
        cases.push(json!({"errcode": 0, "resp_data": inner}).to_string());
    }
    for body in cases {
        let excerpt: String = body.chars().take(60).collect();
        assert_eq!(
            notify(&answer(200, body)),
            "unknown unreadable_answer",
            "{excerpt}"
        );
    }
    assert_eq!(
        notify(&answer(200, b"\xff\xfe{\"errcode\":0}".to_vec())),
        "unknown unreadable_answer"
    );
    let cut = Answer {
        cut: true,
        ..from_function(&sent())
    };
    assert_eq!(notify(&cut), "unknown unreadable_answer");
    assert_eq!(BODY_LIMIT, 65_536);
}

/// The three forms in which a failing function may show; which of them WeChat uses is not documented.
#[test]
fn the_platforms_own_error_object() {
    let threw = json!({"errorCode":1,"errorMessage":"user code exception caught","stackTrace":"…","requestId":"r","statusCode":430});
    let old = json!({"errorCode":1,"errorMessage":"user code exception caught"});
    let late = json!({"errorCode":-1,"errorMessage":"Invoking task timed out after 3 seconds","statusCode":433});
    let old_late = json!({"errorCode":-1,"errorMessage":"Invoking task timed out after 3 seconds"});
    let cases = [
        (&threw, "unknown function_failed 430"),
        (&old, "unknown function_failed 430"),
        (&late, "unknown function_timed_out 433"),
        (&old_late, "unknown function_timed_out 433"),
        (
            &json!({"errorCode":-1,"statusCode":432}),
            "throttled cloud_busy 432",
        ),
        (
            &json!({"errorCode":-1,"statusCode":429}),
            "throttled cloud_busy 429",
        ),
        (
            &json!({"errorCode":-1,"statusCode":"406"}),
            "permanent request_too_large 406",
        ),
        (
            &json!({"errorCode":-1,"statusCode":407}),
            "unknown result_too_large 407",
        ),
        (
            &json!({"errorCode":-1,"statusCode":499}),
            "unknown unknown_code 499",
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(notify(&from_function(object)), expected, "{object}");
        assert_eq!(
            notify(&answer(200, object.to_string())),
            expected,
            "bare {object}"
        );
    }
}

#[test]
fn retry_after_is_a_wish_of_at_most_a_day() {
    let now: DateTime<Utc> = "2026-03-01T08:00:00Z".parse().unwrap();
    let cases = [
        ("7", Some(7)),
        (" 120 ", Some(120)),
        ("99999999", Some(86_400)),
        ("Sun, 01 Mar 2026 08:01:30 GMT", Some(90)),
        ("Sun, 01 Mar 2026 07:00:00 GMT", Some(0)),
        ("-3", None),
        ("soon", None),
    ];
    for (header, seconds) in cases {
        let answer = Answer {
            retry_after: Some(header.to_owned()),
            ..answer(429, "")
        };
        let Heard::Stopped(Outcome::Failed(Failure { retry_after, .. })) = read(&answer, now)
        else {
            panic!("{header}");
        };
        assert_eq!(retry_after, seconds.map(Duration::from_secs), "{header}");
    }
    let paused = notified(heard(&answer(200, r#"{"errcode":45009}"#)), ours());
    assert!(matches!(
        paused,
        Outcome::Failed(Failure {
            kind: FailureKind::Outage(Pause::UntilTomorrow),
            ..
        })
    ));
}
