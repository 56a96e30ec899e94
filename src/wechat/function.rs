//! The function's own words, and what they mean for the verb they answer. Pure.
//!
//! The function says where it stood (`step`), and that decides how a code is read: before the send step
//! nothing was sent; at the send step a positive code is WeChat's refusal and a negative one ambiguous;
//! after it nothing can be taken back. A function that just returns the error it caught
//! (`{"errCode":43101,…}`) tells no step and is read as the send step, the careful way.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::reply::{CONFIG, Heard, Unfit, find, number, verdict};
use crate::catalogue::{Entry, Origin, local};
use crate::delivery::{Failure, FailureKind, Outcome, Phase, Receipt, Sealed};
use crate::notification::Key;

/// The function's answer, taken apart.
#[derive(Debug)]
pub(crate) struct Word {
    ok: bool,
    state: State,
    key: Echo,
    code: Option<i64>,
    step: Step,
    receipt: Receipt,
    pub(crate) detail: Option<String>,
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sent,
    Refused,
    InProgress,
    Unknown,
    Stale,
    Sealed,
    NotSeen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    BeforeSend,
    Send,
    AfterSend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    Missing,
    Of(Uuid),
    Garbled,
}

/// What asking found out.
#[derive(Debug)]
pub(crate) enum Inquired {
    /// The receiver has not sent this key: calling is safe.
    CallNow,
    Settled(Outcome),
}

/// Takes the function's object apart; `None` if it is nobody's we know.
pub(crate) fn function_word(
    object: &Map<String, Value>,
    retry_after: Option<Duration>,
) -> Option<Word> {
    let code = number(object, &["code", "errCode", "errcode"]).or_else(|| {
        // `return {err}`: the error one level down.
        let inner = object
            .get("err")
            .or_else(|| object.get("error"))?
            .as_object()?;
        number(inner, &["errCode", "errcode", "code"])
    });
    let state = match object.get("state").map(Value::as_str) {
        Some(Some("sent")) => State::Sent,
        Some(Some("refused")) => State::Refused,
        Some(Some("in_progress")) => State::InProgress,
        Some(Some("unknown")) => State::Unknown,
        Some(Some("stale")) => State::Stale,
        Some(Some("sealed")) => State::Sealed,
        Some(Some("not_seen")) => State::NotSeen,
        Some(_) => return None,
        // No state, but an error's code: the caught error itself.
        None if code.is_some_and(|code| code != 0) => State::Refused,
        None => return None,
    };
    let step = match object.get("step").and_then(Value::as_str) {
        Some("check" | "lookup" | "claim") => Step::BeforeSend,
        Some("record") => Step::AfterSend,
        Some(_) | None => Step::Send,
    };
    let key = match object.get("key") {
        None | Some(Value::Null) => Echo::Missing,
        Some(Value::String(text)) if text.is_empty() => Echo::Missing,
        Some(Value::String(text)) => text.parse().map_or(Echo::Garbled, Echo::Of),
        Some(_) => Echo::Garbled,
    };
    let ok = object.get("ok") == Some(&Value::Bool(true));
    Some(Word {
        ok,
        state,
        key,
        code,
        step,
        receipt: Receipt {
            msgid: object.get("msgid").and_then(msgid),
            duplicate: object.get("duplicate") == Some(&Value::Bool(true)),
            ..Receipt::default()
        },
        // What it says about a success is nothing anybody would read.
        detail: if ok { None } else { text(object) },
        retry_after,
    })
}

/// The outcome of a `notify` call.
pub(crate) fn notified(heard: Heard, ours: Key) -> Outcome {
    let word = match heard {
        Heard::Word(word) => word,
        Heard::Stopped(outcome) => return outcome,
        Heard::Undefined => return verdict(local::FUNCTION_UNDEFINED, Unfit::default()),
        Heard::TokenRefused(unfit) => return verdict(local::TOKEN_REFUSED, unfit),
    };
    if !word.speaks_of(ours) {
        return word.verdict(local::WRONG_KEY_ECHOED);
    }
    match word.state {
        State::Sent if word.ok => Outcome::Delivered(word.receipt),
        State::Sent | State::NotSeen => word.verdict(local::UNREADABLE_ANSWER),
        State::Refused => word.refusal(),
        State::InProgress => word.in_progress(),
        State::Unknown => word.verdict(local::RECEIVER_UNKNOWN),
        State::Stale => word.verdict(local::STALE_EPOCH),
        State::Sealed => word.verdict(local::SEALED),
    }
}

/// What an `inquire` call found out. It sends nothing, so most of its answers are failures of this
/// attempt; whether an earlier one arrived stays open unless the receiver says so.
pub(crate) fn inquired(heard: Heard, ours: Key) -> Inquired {
    let word = match heard {
        Heard::Word(word) => word,
        Heard::Stopped(outcome) => return Inquired::Settled(outcome),
        Heard::TokenRefused(unfit) => {
            return Inquired::Settled(verdict(local::TOKEN_REFUSED, unfit));
        }
        // Every function that could have sent answers this; a silent one is not ours. Nothing ran.
        Heard::Undefined => {
            return Inquired::Settled(failed(
                FailureKind::Outage(CONFIG),
                local::FUNCTION_UNDEFINED,
                Unfit::default(),
            ));
        }
    };
    if !word.speaks_of(ours) {
        return Inquired::Settled(word.verdict(local::WRONG_KEY_ECHOED));
    }
    Inquired::Settled(match word.state {
        State::Sent if word.ok => Outcome::Delivered(Receipt {
            duplicate: true,
            ..word.receipt
        }),
        State::Sent => word.verdict(local::UNREADABLE_ANSWER),
        // An absent key is no proof that this is about our row.
        State::NotSeen if word.key == Echo::Missing => word.verdict(local::WRONG_KEY_ECHOED),
        State::NotSeen => return Inquired::CallNow,
        State::InProgress => word.in_progress(),
        // Asking again will not make it know more: a person decides.
        State::Unknown => failed(
            FailureKind::Permanent,
            local::RECEIVER_UNKNOWN,
            word.unfit(),
        ),
        State::Stale => word.verdict(local::STALE_EPOCH),
        State::Sealed => word.verdict(local::SEALED),
        // It was refused back then, so nothing arrived; a passing reason may have passed.
        State::Refused => match word.refusal() {
            Outcome::Failed(Failure {
                kind: FailureKind::Transient | FailureKind::Throttled,
                ..
            }) if word.key != Echo::Missing => {
                return Inquired::CallNow;
            }
            outcome => outcome,
        },
    })
}

/// What a `seal` call achieved.
pub(crate) fn sealed(heard: Heard, ours: Key) -> Sealed {
    let Heard::Word(word) = heard else {
        return Sealed::Unknown;
    };
    if word.key != Echo::Of(ours.0) {
        return Sealed::Unknown;
    }
    match word.state {
        State::Sent if word.ok => Sealed::Delivered(Receipt {
            duplicate: true,
            ..word.receipt
        }),
        State::Sealed => Sealed::NotSent,
        State::Sent
        | State::Refused
        | State::InProgress
        | State::Unknown
        | State::Stale
        | State::NotSeen => Sealed::Unknown,
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function says {}", self.state.word())?;
        match self.code {
            Some(code) if code != 0 => write!(f, " with code {code}"),
            _ => Ok(()),
        }
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Sent => "sent",
            State::Refused => "refused",
            State::InProgress => "in_progress",
            State::Unknown => "unknown",
            State::Stale => "stale",
            State::Sealed => "sealed",
            State::NotSeen => "not_seen",
        }
    }
}

impl Word {
    /// `sent` needs our key; other states may lack one (refused before the event was understood), but
    /// never carry a different one.
    fn speaks_of(&self, ours: Key) -> bool {
        match self.key {
            Echo::Of(key) => key == ours.0,
            Echo::Missing => self.state != State::Sent,
            Echo::Garbled => false,
        }
    }

    fn refusal(&self) -> Outcome {
        match self.refused() {
            Outcome::Failed(failure) => Outcome::Failed(Failure {
                names_our_key: self.key != Echo::Missing,
                ..failure
            }),
            outcome => outcome,
        }
    }

    fn refused(&self) -> Outcome {
        let origin = match self.step {
            Step::BeforeSend => Origin::BeforeSend,
            Step::Send => Origin::Send,
            Step::AfterSend => return self.verdict(local::RECEIVER_UNKNOWN),
        };
        match self.code {
            _ if self.ok => self.verdict(local::UNREADABLE_ANSWER),
            // Its word counts: refused, for a reason it does not number.
            None | Some(0) => self.verdict(local::UNKNOWN_REFUSAL),
            Some(code) => {
                let (entry, errcode) = find(origin, code);
                let retry_after = self.retry_after.or(wish(entry));
                verdict(
                    entry,
                    Unfit {
                        errcode,
                        retry_after,
                        ..self.unfit()
                    },
                )
            }
        }
    }

    fn in_progress(&self) -> Outcome {
        let retry_after = self.retry_after.or(wish(local::IN_PROGRESS));
        verdict(
            local::IN_PROGRESS,
            Unfit {
                retry_after,
                ..self.unfit()
            },
        )
    }

    fn verdict(&self, entry: &'static Entry) -> Outcome {
        verdict(entry, self.unfit())
    }

    fn unfit(&self) -> Unfit {
        Unfit {
            errcode: self
                .code
                .and_then(|code| i32::try_from(code).ok())
                .filter(|code| *code != 0),
            detail: self.detail.clone(),
            retry_after: self.retry_after,
        }
    }
}

/// Waits that the cause itself suggests: a send takes seconds (the function is cut off at five), and
/// calls to one person must not overlap.
pub(crate) fn wish(entry: &Entry) -> Option<Duration> {
    match entry.key {
        "in_progress" => Some(Duration::from_secs(6)),
        "same_person_busy" => Some(Duration::from_secs(2)),
        _ => None,
    }
}

fn failed(kind: FailureKind, why: &'static Entry, unfit: Unfit) -> Outcome {
    let Unfit {
        errcode,
        detail,
        retry_after,
    } = unfit;
    Outcome::Failed(Failure {
        kind,
        phase: Phase::Answered,
        why,
        errcode,
        detail,
        retry_after,
        names_our_key: false,
    })
}

/// What the other side says about it, under any of the names in use.
pub(crate) fn text(object: &Map<String, Value>) -> Option<String> {
    let own = ["message", "errMsg", "errmsg", "msg", "errorMessage"]
        .iter()
        .find_map(|name| object.get(*name)?.as_str())
        .filter(|text| !text.is_empty());
    own.map(str::to_owned).or_else(|| {
        let inner = object.get("err").or_else(|| object.get("error"))?;
        inner
            .as_str()
            .map(str::to_owned)
            .or_else(|| inner.as_object().and_then(text))
    })
}

/// A number near 2·10^18 or text; one that came as a double is rounded and no id at all.
pub(crate) fn msgid(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_u64().map(|id| id.to_string()),
        Value::String(text) => {
            let text = text.trim();
            (!text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .then(|| text.to_owned())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
