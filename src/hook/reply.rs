//! What a receiver's answer means. Pure.
//!
//! An object with `ok`, one of our states and a `key` is the receiver's own word, read like the cloud function's. One
//! that only has a code is not: `{"code":200}` is how many services say that all is well.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::catalogue::{Kind, Origin, local, lookup};
use crate::delivery::{AcceptedBy, OnUnknown, Outcome, Phase, Receipt};
use crate::http::Answer;
use crate::wechat::{Heard, Unfit, Verb, excerpt, function_word, parse, retry_after, verdict};

pub(super) fn read(
    answer: &Answer,
    verb: Verb,
    on_unknown: OnUnknown,
    now: DateTime<Utc>,
) -> Heard {
    let retry_after = retry_after(answer, now);
    let said = || Some(format!("HTTP {} {}", answer.status, excerpt(&answer.body)));
    if !(200..300).contains(&answer.status) {
        let entry = lookup(Origin::Receiver, i32::from(answer.status));
        if entry.kind == Kind::Unknown {
            return Heard::Stopped(on_unknown.unclear(Phase::Answered, None, said()));
        }
        let unfit = Unfit {
            errcode: None,
            detail: said(),
            retry_after,
        };
        return Heard::Stopped(verdict(entry, unfit));
    }
    let word = match parse(&answer.body) {
        Some(Value::Object(object)) if !answer.cut && is_word(&object) => {
            function_word(&object, retry_after)
        }
        Some(_) | None => None,
    };
    match (word, on_unknown, verb) {
        (Some(word), _, _) => Heard::Word(word),
        (None, OnUnknown::Stop | OnUnknown::Resend, _) => {
            Heard::Stopped(Outcome::Delivered(Receipt {
                by: AcceptedBy::Receiver,
                ..Receipt::default()
            }))
        }
        // It is known to answer in words, so this came from somebody else: a gateway, a login page.
        (None, OnUnknown::Ask, Verb::Notify) => {
            Heard::Stopped(on_unknown.unclear(Phase::Answered, None, said()))
        }
        (None, OnUnknown::Ask, Verb::Inquire | Verb::Seal) => {
            let unfit = Unfit {
                detail: said(),
                ..Unfit::default()
            };
            Heard::Stopped(verdict(local::RECEIVER_MUTE, unfit))
        }
    }
}

fn is_word(object: &Map<String, Value>) -> bool {
    object.get("ok").is_some_and(Value::is_boolean)
        && object.get("state").is_some_and(Value::is_string)
        && object.contains_key("key")
}
