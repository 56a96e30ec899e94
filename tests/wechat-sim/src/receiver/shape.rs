//! Can the event be read? The same questions as the real function's (`check.js`), in the same order.

use serde_json::Value;

/// The ledger is asked about so many at once.
const MOST_ASKED: usize = 50;
/// What JavaScript counts exactly.
const LARGEST_SAFE: i64 = (1 << 53) - 1;

/// What is wrong with an event that is no ping.
pub(crate) fn check(event: &Value) -> Result<(), &'static str> {
    let question = |answer: bool, why| if answer { Ok(()) } else { Err(why) };
    question(
        event["key"].as_str().is_some_and(is_key),
        "the event has no usable key",
    )?;
    if event["type"] == "grants" {
        return question(
            event["asked"]
                .as_array()
                .is_some_and(|asked| is_question(asked)),
            "the event does not ask about 1 to 50 people",
        );
    }
    question(is_count(&event["epoch"]), "the event has no usable epoch")?;
    question(
        is_count(&event["attempt"]),
        "the event has no usable attempt",
    )?;
    if event["type"] != "notify" {
        return Ok(());
    }
    question(event["recipient"].is_string(), "the event has no recipient")?;
    question(event["eventType"].is_string(), "the event has no eventType")?;
    question(event["payload"].is_object(), "the payload is no object")
}

fn is_question(asked: &[Value]) -> bool {
    let is_one = |one: &Value| one["recipient"].is_string() && one["eventType"].is_string();
    (1..=MOST_ASKED).contains(&asked.len()) && asked.iter().all(is_one)
}

fn is_key(key: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&key.len()) && key.bytes().all(is_fine)
}

fn is_count(value: &Value) -> bool {
    value
        .as_i64()
        .is_some_and(|number| (0..=LARGEST_SAFE).contains(&number))
}
