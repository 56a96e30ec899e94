use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Verb, build};
use crate::notification::{AttemptNo, Claim, Key, LeaseToken, NotificationId};
use crate::secret::Secret;

pub(crate) fn claim(payload: &str) -> Claim {
    Claim {
        id: NotificationId(7),
        place: None,
        key: Key("0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10".parse().unwrap()),
        lease_token: LeaseToken(Uuid::nil()),
        attempt: AttemptNo(3),
        spent: 3,
        lapses: 0,
        may_have_arrived: false,
        epoch: 1_772_352_000_123,
        event_type: String::from("customer.assigned"),
        aggregate_type: String::from("customer"),
        aggregate_id: String::from("客户-1"),
        recipient: String::from("user-9"),
        payload: payload.to_owned(),
        traceparent: None,
        expired: false,
        superseded_by: None,
        cancel_requested: false,
        waited: Duration::ZERO,
        claimed_at: Instant::now(),
        lease: Duration::from_secs(60),
    }
}

fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00.5Z".parse().unwrap()
}

#[test]
fn the_event_is_the_contract_and_the_payload_is_untouched() {
    let payload =
        r#"{"big": 123456789012345678901234567890, "frac": 1.10, "huge": 1e300, "客户": "张三"}"#;
    let bytes = build(Verb::Notify, &claim(payload), noon(), None).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(&format!(r#""payload":{payload}"#)), "{text}");

    let bytes = build(Verb::Inquire, &claim(r#"{"a": 1}"#), noon(), None).unwrap();
    let event: Value = serde_json::from_slice(&bytes).unwrap();
    let expected = json!({
        "type": "inquire", "key": "0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10", "attempt": 3,
        "epoch": 1_772_352_000_123_i64, "sentAt": "2026-03-01T12:00:00.500Z",
        "eventType": "customer.assigned", "recipient": "user-9",
        "aggregate": {"type": "customer", "id": "客户-1"}, "payload": {"a": 1}, "traceparent": null,
    });
    assert_eq!(event, expected);
}

/// The expected value was made with another implementation (Python: sorted keys, no spaces, hmac).
#[test]
fn the_signature_is_hmac_over_the_canonical_event() {
    let secret = Secret::new("共享密钥");
    let payload = r#"{"z": 1.10, "a": {"客户": "张三", "n": 12345678901234567890}, "e": 1e21}"#;
    let bytes = build(Verb::Notify, &claim(payload), noon(), Some(&secret)).unwrap();
    let event: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        event["signature"],
        json!("1839ede0a103b788080613d08e0af4ce2862b578265ee93dac148bf54093add5")
    );
}

#[test]
fn what_not_every_reader_takes_is_refused_before_it_can_look_like_a_fault_of_the_app() {
    let secret = Secret::new("s");
    let deep = format!("{}{}", r#"{"a":"#.repeat(500) + "1", "}".repeat(500));
    for payload in [r#"{"n": 1e400}"#, deep.as_str()] {
        assert!(build(Verb::Notify, &claim(payload), noon(), Some(&secret)).is_err());
        assert!(build(Verb::Notify, &claim(payload), noon(), None).is_err());
    }
    assert!(build(Verb::Notify, &claim("{"), noon(), None).is_err());
}
