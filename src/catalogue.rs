//! The error catalogue: every code WeChat, the cloud function or this daemon can produce, with what it
//! means for the notification, who acts, the sentence support reads, and the next step. One table feeds
//! policy, command line, page and docs.

use crate::delivery::Pause;

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
    /// HTTP status.
    Http,
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

macro_rules! stub { ($name:ident, $key:literal, $kind:expr) => {
    pub const $name: &Entry = &Entry { key: $key, codes: &[], kind: $kind, who: Who::Nobody, zh: $key, en: $key, next_zh: "", next_en: "" };
} }
stub!(ACCEPTED, "accepted", Kind::Delivered);
stub!(ACCEPTED_DUPLICATE, "accepted_duplicate", Kind::Delivered);
stub!(CANCELLED, "cancelled", Kind::Permanent);
stub!(SUPERSEDED, "superseded", Kind::Permanent);
stub!(EXPIRED, "expired", Kind::Permanent);
stub!(KILLS_WORKER, "kills_worker", Kind::Permanent);
stub!(ATTEMPTS_SPENT, "attempts_spent", Kind::Permanent);
stub!(RELEASED, "released", Kind::Throttled);
stub!(TIMED_OUT, "timed_out", Kind::Unknown);
