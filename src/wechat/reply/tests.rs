//! Every form an answer may take, and the word it comes down to.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::function::{Inquired, inquired, notified, sealed};
use super::super::http::{Answer, BODY_LIMIT};
use super::{Heard, read};
use crate::delivery::{Failure, FailureKind, Outcome, Pause, Sealed};
use crate::notification::Key;

const OURS: &str = "0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10";
const OTHER: &str = "11111111-2222-4333-8444-555555555555";

fn ours() -> Key {
    Key(OURS.parse().unwrap())
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        body: body.into(),
        ..Answer::default()
    }
}

/// An answer of the gateway around what the function returned.
fn from_function(returned: &Value) -> Answer {
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

fn heard(answer: &Answer) -> Heard {
    read(answer, Utc::now())
}

fn notify(answer: &Answer) -> String {
    short(&notified(heard(answer), ours()))
}

fn inquire(answer: &Answer) -> String {
    match inquired(heard(answer), ours()) {
        Inquired::CallNow => String::from("call now"),
        Inquired::Settled(outcome) => short(&outcome),
    }
}

fn seal(answer: &Answer) -> &'static str {
    match sealed(heard(answer), ours()) {
        Sealed::Delivered(_) => "delivered",
        Sealed::NotSent => "not sent",
        Sealed::Unknown => "unknown",
    }
}

fn sent() -> Value {
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
fn the_functions_word_for_notify() {
    let k = OURS;
    let cases = [
        (
            json!({"ok":true,"state":"sent","key":k,"duplicate":true}),
            "duplicate",
        ),
        (
            json!({"ok":true,"state":"sent","key":k.to_uppercase()}),
            "delivered",
        ),
        (
            json!({"ok":true,"state":"sent","key":OTHER}),
            "unknown wrong_key_echoed",
        ),
        (
            json!({"ok":true,"state":"sent"}),
            "unknown wrong_key_echoed",
        ),
        (
            json!({"ok":true,"state":"sent","key":null}),
            "unknown wrong_key_echoed",
        ),
        (
            json!({"ok":true,"state":"sent","key":7}),
            "unknown wrong_key_echoed",
        ),
        (
            json!({"ok":false,"state":"sent","key":k}),
            "unknown unreadable_answer",
        ),
        (
            json!({"ok":1,"state":"sent","key":k}),
            "unknown unreadable_answer",
        ),
        (json!({"state":"sent","key":k}), "unknown unreadable_answer"),
        (
            json!({"ok":true,"state":"not_seen","key":k}),
            "unknown unreadable_answer",
        ),
        (
            json!({"ok":false,"state":"in_progress","key":k}),
            "throttled in_progress",
        ),
        (
            json!({"ok":false,"state":"unknown","key":k}),
            "unknown receiver_unknown",
        ),
        (
            json!({"ok":false,"state":"stale","key":k}),
            "transient stale_epoch",
        ),
        (
            json!({"ok":false,"state":"sealed","key":k}),
            "permanent sealed",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":43101,"step":"send"}),
            "permanent not_subscribed 43101",
        ),
        (
            json!({"ok":false,"state":"refused","key":OTHER,"code":43101,"step":"send"}),
            "unknown wrong_key_echoed 43101",
        ),
        (
            json!({"ok":false,"state":"refused","code":2,"step":"check"}),
            "outage signature_refused 2",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":1,"step":"lookup"}),
            "permanent no_openid 1",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":-501001,"step":"claim"}),
            "transient function_database_busy -501001",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":-501001,"step":"send"}),
            "unknown send_ambiguous -501001",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":-501001,"step":"record"}),
            "unknown receiver_unknown -501001",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":43108,"step":"send"}),
            "throttled same_person_busy 43108",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":777_777,"step":"send"}),
            "transient unknown_refusal 777777",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":-777_777,"step":"send"}),
            "unknown unknown_code -777777",
        ),
        (
            json!({"ok":false,"state":"refused","key":k}),
            "transient unknown_refusal",
        ),
        (
            json!({"ok":true,"state":"refused","key":k,"code":43101,"step":"send"}),
            "unknown unreadable_answer 43101",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":"47003","step":"send"}),
            "permanent content_refused 47003",
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(notify(&from_function(&object)), expected, "{object}");
    }
}

/// `catch (err) { return err }`: no state, no key, and read as the send step.
#[test]
fn a_function_that_returns_the_error_it_caught() {
    let cases = [
        (
            json!({"errCode":43101,"errMsg":"openapi.subscribeMessage.send:fail user refuse"}),
            "permanent not_subscribed 43101",
        ),
        (json!({"errcode":"43101"}), "permanent not_subscribed 43101"),
        (
            json!({"err":{"errCode":40003}}),
            "permanent openid_wrong 40003",
        ),
        (
            json!({"error":{"errcode":"40003"}}),
            "permanent openid_wrong 40003",
        ),
        (
            json!({"errCode":-604101}),
            "outage function_no_openapi_permission -604101",
        ),
        (
            json!({"errCode":-501001,"errMsg":"ESOCKETTIMEDOUT"}),
            "unknown send_ambiguous -501001",
        ),
        (json!({"errCode":-1}), "unknown send_ambiguous -1"),
        (
            json!({"ok":false,"code":43101,"msg":"refused"}),
            "permanent not_subscribed 43101",
        ),
        // Never a delivery without our key, whatever the code says.
        (
            json!({"errCode":0,"errMsg":"openapi.subscribeMessage.send:ok"}),
            "unknown unreadable_answer",
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(notify(&from_function(&object)), expected, "{object}");
    }
}

#[test]
fn the_functions_word_for_inquire_and_seal() {
    let k = OURS;
    let cases = [
        (
            json!({"ok":true,"state":"sent","key":k}),
            "duplicate",
            "delivered",
        ),
        (
            json!({"ok":true,"state":"sent","key":OTHER}),
            "unknown wrong_key_echoed",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"sent","key":k}),
            "unknown unreadable_answer",
            "unknown",
        ),
        (
            json!({"ok":true,"state":"not_seen","key":k}),
            "call now",
            "unknown",
        ),
        (
            json!({"ok":true,"state":"not_seen"}),
            "unknown wrong_key_echoed",
            "unknown",
        ),
        (
            json!({"ok":true,"state":"not_seen","key":OTHER}),
            "unknown wrong_key_echoed",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"in_progress","key":k}),
            "throttled in_progress",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"unknown","key":k}),
            "permanent receiver_unknown",
            "unknown",
        ),
        (
            json!({"ok":true,"state":"sealed","key":k}),
            "permanent sealed",
            "not sent",
        ),
        (
            json!({"ok":true,"state":"sealed"}),
            "permanent sealed",
            "unknown",
        ),
        (
            json!({"ok":true,"state":"sealed","key":OTHER}),
            "unknown wrong_key_echoed",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"stale","key":k}),
            "transient stale_epoch",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":43101,"step":"send"}),
            "permanent not_subscribed 43101",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":43108,"step":"send"}),
            "call now",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":-502001,"step":"claim"}),
            "call now",
            "unknown",
        ),
        (
            json!({"ok":false,"state":"refused","code":2,"step":"check"}),
            "outage signature_refused 2",
            "unknown",
        ),
    ];
    for (object, asked, sealed) in cases {
        let answer = from_function(&object);
        assert_eq!(inquire(&answer), asked, "{object}");
        assert_eq!(seal(&answer), sealed, "{object}");
    }
    assert_eq!(inquire(&answer(502, "")), "unknown http_5xx");
    assert_eq!(seal(&answer(502, "")), "unknown");
}

#[test]
fn msgid_is_text_or_nothing_but_never_rounded() {
    let cases = [
        ("1988810812324364291", Some("1988810812324364291")),
        ("\"1988810812324364291\"", Some("1988810812324364291")),
        ("18446744073709551615", Some("18446744073709551615")),
        ("18446744073709551616", None),
        ("1.9888108123243643e18", None),
        ("-1", None),
        ("null", None),
        ("\"\"", None),
        ("\"a b\"", None),
        (r#"{"s":1,"e":18,"c":[19888,10812324364291]}"#, None),
    ];
    for (msgid, expected) in cases {
        let inner = format!(r#"{{"ok":true,"state":"sent","key":"{OURS}","msgid":{msgid}}}"#);
        let body = json!({"errcode": 0, "resp_data": inner}).to_string();
        match notified(heard(&answer(200, body)), ours()) {
            Outcome::Delivered(receipt) => {
                assert_eq!(receipt.msgid.as_deref(), expected, "{msgid}")
            }
            other => panic!("{msgid}: {other:?}"),
        }
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

fn one_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    proptest::sample::select(values.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic_and_none_deliver(status in 0_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..600)) {
        let answer = answer(status, body);
        prop_assert!(!matches!(notify(&answer).as_str(), "delivered" | "duplicate"));
        inquire(&answer);
        seal(&answer);
    }

    #[test]
    fn no_mutation_of_a_good_answer_panics(at in 0_usize..200, byte in any::<u8>(), status in 100_u16..600) {
        let mut body = from_function(&sent()).body;
        let at = at % body.len();
        body[at] = byte;
        let answer = answer(status, body);
        notify(&answer);
        inquire(&answer);
        seal(&answer);
    }

    /// The promise itself: delivered exactly when all five conditions hold.
    #[test]
    fn delivered_needs_all_five(
        status in proptest::sample::select(vec![200_u16, 200, 200, 204, 301, 412, 500]),
        errcode in one_of(&[json!(0), json!(0), json!("0"), json!(-1), json!(40001), json!(null)]),
        ok in one_of(&[json!(true), json!(true), json!(false), json!("true"), json!(null)]),
        state in one_of(&[json!("sent"), json!("sent"), json!("refused"), json!("unknown"), json!("SENT"), json!(1)]),
        key in one_of(&[json!(OURS), json!(OURS), json!(OTHER), json!(""), json!(null)]),
        code in one_of(&[json!(0), json!(43101), json!(-1), json!(null)]),
        layers in 0..4,
    ) {
        let mut wrapped = json!({"ok": ok, "state": state, "key": key, "code": code});
        for _ in 0..layers {
            wrapped = Value::String(wrapped.to_string());
        }
        let body = json!({"errcode": errcode, "resp_data": wrapped}).to_string();
        let expected = (200..300).contains(&status)
            && (errcode == json!(0) || errcode == json!("0"))
            && ok == json!(true)
            && state == json!("sent")
            && key.as_str().and_then(|key| key.parse::<Uuid>().ok()) == Some(ours().0);
        prop_assert_eq!(notify(&answer(status, body)) == "delivered", expected);
    }
}
