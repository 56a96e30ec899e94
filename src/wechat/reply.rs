//! What an answer means. Pure: status, header and bytes in; a word out.
//!
//! An answer is read on three levels: HTTP, the outer `errcode`, and the function's own words in
//! `resp_data`. Each level can end the reading, and only the innermost can say that WeChat accepted the
//! message: HTTP 2xx, errcode 0, `ok`, state `sent`, and the key of the very row we called for.
//! Where WeChat's documentation leaves a form open, every form is taken; what fits none of them is
//! [`Heard::Stopped`] as unknown, never a guess. Nesting is bounded by the parser (128 levels).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::function::{Word, function_word, text};
use crate::catalogue::Pause;
use crate::catalogue::{Entry, Kind, Origin, local, lookup};
use crate::delivery::{Failure, FailureKind, Outcome, Phase, Unknown};
use crate::http::Answer;

/// How far an answer could be read.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Refused before anything ran: a fresh token may help.
    TokenRefused(Unfit),
    /// It ended before the function spoke.
    Stopped(Outcome),
    /// The function ran and returned nothing.
    Undefined,
    /// The function's own answer.
    Word(Word),
}

/// A code with the other side's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) errcode: Option<i32>,
    pub(crate) detail: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

/// Reads an answer of `invokecloudfunction`.
pub(crate) fn read(answer: &Answer, now: DateTime<Utc>) -> Heard {
    match function_said(answer, now) {
        Said::Object(object) => match function_word(&object, retry_after(answer, now)) {
            Some(word) => Heard::Word(word),
            None => Heard::Stopped(unreadable(excerpt(&answer.body))),
        },
        Said::Nothing(heard) => heard,
    }
}

/// The object that the function returned, or how it came to none.
pub(crate) enum Said {
    Object(Map<String, Value>),
    /// Never a [`Heard::Word`].
    Nothing(Heard),
}

/// The first two levels of an answer.
pub(crate) fn function_said(answer: &Answer, now: DateTime<Utc>) -> Said {
    let retry_after = retry_after(answer, now);
    let stopped = |outcome| Said::Nothing(Heard::Stopped(outcome));
    if !(200..300).contains(&answer.status) {
        return stopped(http_refusal(answer, retry_after));
    }
    let unreadable = || stopped(unreadable(excerpt(&answer.body)));
    if answer.cut {
        return unreadable();
    }
    let Some(Value::Object(mut outer)) = parse(&answer.body) else {
        return unreadable();
    };
    let Some(errcode) = number(&outer, &["errcode", "errCode"]) else {
        // The platform's error object without the envelope: not documented, and not excluded either.
        return match runtime_code(&outer) {
            Some(code) => stopped(runtime_error(code, &outer, retry_after)),
            None => unreadable(),
        };
    };
    if errcode != 0 {
        return Said::Nothing(outer_refusal(errcode, text(&outer), retry_after));
    }
    match unwrap(outer.remove("resp_data")) {
        Inner::Undefined => Said::Nothing(Heard::Undefined),
        Inner::Other => unreadable(),
        Inner::Object(inner) => match runtime_code(&inner) {
            Some(code) => stopped(runtime_error(code, &inner, retry_after)),
            None => Said::Object(inner),
        },
    }
}

fn http_refusal(answer: &Answer, retry_after: Option<Duration>) -> Outcome {
    let status = i32::from(answer.status);
    let unfit = Unfit {
        errcode: None,
        detail: Some(format!("HTTP {status} {}", excerpt(&answer.body))),
        retry_after,
    };
    verdict(lookup(Origin::Http, status), unfit)
}

fn outer_refusal(errcode: i64, detail: Option<String>, retry_after: Option<Duration>) -> Heard {
    let (entry, code) = find(Origin::Outer, errcode);
    let unfit = Unfit {
        errcode: code,
        detail,
        retry_after,
    };
    match entry.kind {
        Kind::TokenRefused => Heard::TokenRefused(unfit),
        Kind::Delivered
        | Kind::Transient
        | Kind::Throttled
        | Kind::Unreachable
        | Kind::Permanent
        | Kind::Outage(_)
        | Kind::Unknown => Heard::Stopped(verdict(entry, unfit)),
    }
}

/// What an entry of the catalogue means for an attempt that was answered with it.
pub(crate) fn verdict(entry: &'static Entry, unfit: Unfit) -> Outcome {
    let Unfit {
        errcode,
        detail,
        retry_after,
    } = unfit;
    let kind = match entry.kind {
        // A code alone never makes a delivery: that takes the function's word and our key.
        Kind::Delivered => {
            let why = local::UNREADABLE_ANSWER;
            return Outcome::Unknown(Unknown {
                phase: Phase::Answered,
                why,
                errcode,
                detail,
            });
        }
        Kind::Unknown => {
            return Outcome::Unknown(Unknown {
                phase: Phase::Answered,
                why: entry,
                errcode,
                detail,
            });
        }
        Kind::Transient => FailureKind::Transient,
        Kind::Throttled => FailureKind::Throttled,
        Kind::Unreachable => FailureKind::Unreachable,
        Kind::Permanent => FailureKind::Permanent,
        Kind::Outage(pause) => FailureKind::Outage(pause),
        Kind::TokenRefused => FailureKind::Outage(CONFIG),
    };
    let phase = Phase::Answered;
    Outcome::Failed(Failure {
        kind,
        phase,
        why: entry,
        errcode,
        detail,
        retry_after,
        names_our_key: false,
    })
}

/// The pause after what a person has to repair.
pub(crate) const CONFIG: Pause = Pause::For(Duration::from_secs(300));

fn unreadable(excerpt: String) -> Outcome {
    let unfit = Unfit {
        detail: Some(excerpt),
        ..Unfit::default()
    };
    verdict(local::UNREADABLE_ANSWER, unfit)
}

fn runtime_error(code: i64, object: &Map<String, Value>, retry_after: Option<Duration>) -> Outcome {
    let (entry, errcode) = find(Origin::Runtime, code);
    verdict(
        entry,
        Unfit {
            errcode,
            detail: text(object),
            retry_after,
        },
    )
}

/// The entry for a code of any size; one beyond 32 bits is unknown and has no number in the column.
pub(crate) fn find(origin: Origin, code: i64) -> (&'static Entry, Option<i32>) {
    match i32::try_from(code) {
        Ok(code) => (lookup(origin, code), Some(code)),
        Err(_) => (
            lookup(origin, if code < 0 { i32::MIN } else { i32::MAX }),
            None,
        ),
    }
}

/// The status of the cloud platform's own error object: `statusCode`, or what older runtimes say with
/// `errorCode` and a sentence. An answer with a `state` is the function's and never this.
fn runtime_code(object: &Map<String, Value>) -> Option<i64> {
    if object.contains_key("state") {
        return None;
    }
    let error_code = number(object, &["errorCode"])?;
    let status = number(object, &["statusCode"]).filter(|status| *status != 200);
    if error_code == 0 && status.is_none() {
        return None;
    }
    let timed_out = object
        .get("errorMessage")
        .and_then(Value::as_str)
        .is_some_and(|message| message.contains("timed out"));
    Some(status.unwrap_or(if timed_out { 433 } else { 430 }))
}

enum Inner {
    Undefined,
    Object(Map<String, Value>),
    Other,
}

/// `resp_data` is JSON in a string; a function that returns text adds a layer, one that returns
/// `JSON.stringify(…)` another. A missing value, `null`, `""` and `undefined` all say: nothing returned.
fn unwrap(resp_data: Option<Value>) -> Inner {
    let Some(mut value) = resp_data else {
        return Inner::Undefined;
    };
    for _layer in 0..4 {
        value = match value {
            Value::Object(object) => return Inner::Object(object),
            Value::Null => return Inner::Undefined,
            Value::Array(_) | Value::Bool(_) | Value::Number(_) => return Inner::Other,
            Value::String(text) => match text.trim() {
                "" | "undefined" => return Inner::Undefined,
                text => match parse(text.as_bytes()) {
                    Some(inner) => inner,
                    None => return Inner::Other,
                },
            },
        };
    }
    Inner::Other
}

pub(crate) fn parse(bytes: &[u8]) -> Option<Value> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).ok()
}

/// The first of the names that holds an integer, written as a number or as text.
pub(crate) fn number(object: &Map<String, Value>, names: &[&str]) -> Option<i64> {
    names.iter().find_map(|name| match object.get(*name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A body that could not be read, for people. It is cut when our secrets are out of it, not here: half a
/// token at the end would no longer be recognised.
pub(crate) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// The header `Retry-After`: seconds or a date; at most a day, for it is only a wish.
pub(crate) fn retry_after(answer: &Answer, now: DateTime<Utc>) -> Option<Duration> {
    const MOST: Duration = Duration::from_secs(86_400);
    let value = answer.retry_after.as_deref()?.trim();
    let wish = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now)
            .to_std()
            .unwrap_or_default(),
    };
    Some(wish.min(MOST))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;
