//! Every state of the function's answer, for each of the three verbs.

use serde_json::json;

use super::super::reply::tests::{
    OTHER, OURS, answer, from_function, heard, inquire, notify, ours, seal,
};
use super::notified;
use crate::delivery::Outcome;

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
            json!({"ok":false,"state":"refused","code":1003,"step":"check"}),
            "outage signature_refused 1003",
        ),
        (
            json!({"ok":false,"state":"refused","key":k,"code":1004,"step":"lookup"}),
            "permanent no_openid 1004",
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
            json!({"ok":false,"state":"refused","code":1003,"step":"check"}),
            "outage signature_refused 1003",
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
