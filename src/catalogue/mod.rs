//! The error catalogue: every code WeChat, the cloud function or this daemon can produce, with what it
//! means for the notification, who acts, the sentence support reads, and the next step. One table feeds
//! policy, command line, page and docs.

mod markdown;
mod table;

pub use markdown::to_markdown;
pub use table::ENTRIES;

use std::time::Duration;

/// One cause. Several codes may share it.
#[derive(Debug)]
pub struct Entry {
    /// The stable key stored in `notification_attempt.sentence` and `notification_delivery.reason`.
    pub key: &'static str,
    pub codes: &'static [(Origin, &'static [i32])],
    pub kind: Kind,
    pub who: Who,
    pub zh: &'static str,
    pub en: &'static str,
    pub next_zh: &'static str,
    pub next_en: &'static str,
}

/// Where a code was read: the same number means different things in different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `stable_token`.
    Token,
    /// The outer `errcode` of `invokecloudfunction`.
    Outer,
    /// The function's own answer, refused before the send step.
    BeforeSend,
    /// The function's own answer, from the send step.
    Send,
    /// `resp_data` carries the platform's error object (`statusCode`).
    Runtime,
    /// HTTP status of WeChat's gateway.
    Http,
    /// `subscribe/send`, called by this daemon itself.
    Direct,
    /// HTTP status of a receiver of one's own.
    Receiver,
    /// Known to this daemon alone.
    Local,
}

/// What the code means for the notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Delivered,
    Transient,
    Throttled,
    Unreachable,
    Permanent,
    Outage(Pause),
    Unknown,
    /// The token was refused: refresh once within the attempt.
    TokenRefused,
}

/// How long an app pauses before one row probes whether the outage is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    For(Duration),
    /// Daily quota: until 00:05 in UTC+8, when it is assumed to start anew.
    UntilTomorrow,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Nobody,
    Recipient,
    Support,
    CrmAdmin,
    Developer,
    Operator,
}

/// What a code means in the place it was read. Every code has an answer: one that nobody has told us
/// about is ambiguous, except where its place proves that nothing was sent.
pub fn lookup(origin: Origin, code: i32) -> &'static Entry {
    match origin {
        Origin::Http => http(code),
        Origin::Receiver => receiver(code),
        Origin::Direct
        | Origin::Token
        | Origin::Outer
        | Origin::BeforeSend
        | Origin::Send
        | Origin::Runtime
        | Origin::Local => listed(origin, code).unwrap_or(match (origin, code) {
            (Origin::Token, _) => local::TOKEN_UNKNOWN_CODE,
            (Origin::BeforeSend, _) => local::UNKNOWN_REFUSAL,
            // A positive code is WeChat's definite refusal; a negative one is trouble on the way.
            (Origin::Send | Origin::Direct, 1..) => local::UNKNOWN_REFUSAL,
            _ => local::UNKNOWN_CODE,
        }),
    }
}

fn http(status: i32) -> &'static Entry {
    listed(Origin::Http, status).unwrap_or(match status {
        300..=399 => local::REDIRECTED,
        400..=499 => local::HTTP_4XX,
        500..=599 => local::HTTP_5XX,
        _ => local::UNREADABLE_ANSWER,
    })
}

fn receiver(status: i32) -> &'static Entry {
    listed(Origin::Receiver, status).unwrap_or(match status {
        300..=399 => local::RECEIVER_REDIRECTS,
        400..=499 => local::RECEIVER_SETUP_WRONG,
        // Anything else says nothing about what was done.
        _ => local::UNANSWERED_STOPPED,
    })
}

fn listed(origin: Origin, code: i32) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| {
        entry
            .codes
            .iter()
            .any(|(place, codes)| *place == origin && codes.contains(&code))
    })
}

/// The entry a stored key names; `None` for a key written by a newer version.
pub fn by_key(key: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.key == key)
}

/// The entries that no code of the other side leads to, by name.
pub mod local {
    use super::{ENTRIES, Entry};

    macro_rules! names {
        ($($name:ident $key:literal;)+) => { $(pub const $name: &Entry = named($key);)+ };
    }

    names! {
        ACCEPTED "accepted";
        ACCEPTED_DUPLICATE "accepted_duplicate";
        TOKEN_UNKNOWN_CODE "token_unknown_code";
        TOKEN_UNREACHABLE "token_unreachable";
        TOKEN_UNREADABLE "token_unreadable";
        TOKEN_REFUSED "token_refused";
        TOKEN_STILL_REFUSED "token_still_refused";
        NO_OPENID "no_openid";
        UNKNOWN_CODE "unknown_code";
        UNKNOWN_REFUSAL "unknown_refusal";
        NOT_REACHED "not_reached_dns_connect_tls";
        TIMED_OUT "timed_out";
        CONNECTION_LOST "connection_lost";
        UNREADABLE_ANSWER "unreadable_answer";
        HTTP_5XX "http_5xx";
        HTTP_4XX "http_4xx";
        REDIRECTED "redirected";
        WRONG_KEY_ECHOED "wrong_key_echoed";
        FUNCTION_UNDEFINED "function_undefined";
        IN_PROGRESS "in_progress";
        STALE_EPOCH "stale_epoch";
        SEALED "sealed";
        RECEIVER_UNKNOWN "receiver_unknown";
        ATTEMPTS_SPENT "attempts_spent";
        EXPIRED "expired";
        SUPERSEDED "superseded";
        CANCELLED "cancelled";
        KILLS_WORKER "kills_worker";
        LEASE_LAPSED "lease_lapsed";
        RELEASED "released";
        DEADLINE_TOO_SHORT "deadline_too_short";
        APP_PAUSED "app_paused";
        PAYLOAD_UNUSABLE "payload_unusable";
        SAME_PERSON_BUSY "same_person_busy";
        NOT_SUBSCRIBED "not_subscribed";
        FUNCTION_TOO_OLD "function_too_old";
        TEMPLATE_MISSING "template_missing";
        OPENID_QUERY_WRONG "openid_query_wrong";
        OPENID_QUERY_FAILED "openid_query_failed";
        TAKEN "taken";
        TAKEN_EARLIER "taken_earlier";
        RECEIVER_NOT_REACHED "receiver_not_reached";
        RECEIVER_INTERNAL "receiver_internal";
        RECEIVER_REDIRECTS "receiver_redirects";
        RECEIVER_SETUP_WRONG "receiver_setup_wrong";
        RECEIVER_MUTE "receiver_mute";
        UNANSWERED_ASKED "unanswered_asked";
        UNANSWERED_RESENT "unanswered_resent";
        UNANSWERED_STOPPED "unanswered_stopped";
    }

    /// Found while compiling, so a name that left the table does not build.
    const fn named(key: &str) -> &'static Entry {
        let mut at = 0;
        while at < ENTRIES.len() {
            if same(ENTRIES[at].key.as_bytes(), key.as_bytes()) {
                return &ENTRIES[at];
            }
            at += 1;
        }
        panic!("no such key in the catalogue")
    }

    const fn same(a: &[u8], b: &[u8]) -> bool {
        let mut at = 0;
        while at < a.len() && at < b.len() && a[at] == b[at] {
            at += 1;
        }
        at == a.len() && at == b.len()
    }
}

#[cfg(test)]
mod tests;
