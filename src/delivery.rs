//! The call to the target and what we know afterwards.
//!
//! An [`Outcome`] has three values, not two: a call that timed out after its first byte went out is
//! neither success nor failure. What the target answers is data; only what breaks in us is an error.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::catalogue::{self, Entry, Pause};
use crate::notification::Claim;
use crate::secret::Secret;

/// Whatever delivers a notification; [`crate::target`] has the product's.
pub trait Target: Send + Sync + 'static {
    /// Makes one attempt. A claim whose earlier attempt ended unknown is asked about first, and called
    /// only when the receiver has not seen its key. Never panics, never takes longer than its deadlines.
    fn deliver(&self, claim: &Claim) -> impl Future<Output = Attempted> + Send;

    /// Asks the receiver to refuse this key from now on, so that "dead" is the truth.
    fn seal(&self, claim: &Claim) -> impl Future<Output = Sealed> + Send;
}

/// A shared target, so that the metrics can look at what the relay uses.
impl<T: Target> Target for Arc<T> {
    fn deliver(&self, claim: &Claim) -> impl Future<Output = Attempted> + Send {
        T::deliver(self, claim)
    }

    fn seal(&self, claim: &Claim) -> impl Future<Output = Sealed> + Send {
        T::seal(self, claim)
    }
}

/// A person and a type of event: what a ledger of grants is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub recipient: String,
    pub event_type: String,
}

/// How many more messages of a template a person has allowed. Several types of event may share a template, and so its
/// grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    pub template: String,
    pub left: u32,
}

/// Whose openid it is: the CRM knows.
pub trait FindOpenid: Send + Sync + 'static {
    fn openid<'a>(
        &'a self,
        recipient: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Secret>, LookupFailed>> + Send + 'a>>;
}

/// The query did not run. The texts name no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupFailed {
    /// It never will: a table or a right is missing.
    Wrong(String),
    /// The database was away or too slow.
    Away(String),
}

/// One attempt that has ended.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub outcome: Outcome,
    /// How long of it was waited for an access token; `None` when it was not.
    pub token: Option<Duration>,
}

/// What we know after an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The receiver accepted the message; whether it was shown is not known to anybody but the person.
    Delivered(Receipt),
    /// Certain: this attempt sent nothing.
    Failed(Failure),
    /// Nobody here can tell whether the message went out.
    Unknown(Unknown),
}

impl Outcome {
    /// The word in the column, the logs and the metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Delivered(_) => "delivered",
            Outcome::Failed(_) => "failed",
            Outcome::Unknown(_) => "unknown",
        }
    }

    pub fn phase(&self) -> Phase {
        match self {
            Outcome::Delivered(_) => Phase::Answered,
            Outcome::Failed(failure) => failure.phase,
            Outcome::Unknown(unknown) => unknown.phase,
        }
    }

    pub fn why(&self) -> &'static Entry {
        match self {
            Outcome::Delivered(receipt) => receipt.why(),
            Outcome::Failed(failure) => failure.why,
            Outcome::Unknown(unknown) => unknown.why,
        }
    }

    pub fn errcode(&self) -> Option<i32> {
        match self {
            Outcome::Delivered(_) => None,
            Outcome::Failed(failure) => failure.errcode,
            Outcome::Unknown(unknown) => unknown.errcode,
        }
    }

    pub fn detail(&self) -> Option<&str> {
        match self {
            Outcome::Delivered(_) => None,
            Outcome::Failed(failure) => failure.detail.as_deref(),
            Outcome::Unknown(unknown) => unknown.detail.as_deref(),
        }
    }
}

/// The receiver's word that the message was accepted.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// WeChat's message id, when it gave one.
    pub msgid: Option<String>,
    /// This key had been sent by an earlier attempt; this call sent nothing.
    pub duplicate: bool,
    pub by: AcceptedBy,
}

/// Whose word it is. Of WeChat is said only what WeChat said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptedBy {
    #[default]
    Wechat,
    /// A receiver of one's own.
    Receiver,
}

impl Receipt {
    pub fn why(&self) -> &'static Entry {
        match (self.by, self.duplicate) {
            (AcceptedBy::Wechat, false) => catalogue::local::ACCEPTED,
            (AcceptedBy::Wechat, true) => catalogue::local::ACCEPTED_DUPLICATE,
            (AcceptedBy::Receiver, false) => catalogue::local::TAKEN,
            (AcceptedBy::Receiver, true) => catalogue::local::TAKEN_EARLIER,
        }
    }
}

/// What is done about an outcome that nobody can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// The receiver keeps receipts: ask it, then call again if it has not sent.
    #[default]
    Ask,
    /// Call again, and risk that the person is told twice.
    Resend,
    /// Call no more; say that it may have arrived.
    Stop,
}

impl OnUnknown {
    /// An unknown outcome in the words that fit what is done about it.
    pub(crate) fn unclear(
        self,
        phase: Phase,
        errcode: Option<i32>,
        detail: Option<String>,
    ) -> Outcome {
        let why = match self {
            OnUnknown::Ask => catalogue::local::UNANSWERED_ASKED,
            OnUnknown::Resend => catalogue::local::UNANSWERED_RESENT,
            OnUnknown::Stop => catalogue::local::UNANSWERED_STOPPED,
        };
        Outcome::Unknown(Unknown {
            phase,
            why,
            errcode,
            detail,
        })
    }
}

/// Certain that this attempt sent nothing, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: FailureKind,
    pub phase: Phase,
    pub why: &'static Entry,
    pub errcode: Option<i32>,
    /// What the other side said, cleaned and cut ([`clean`]).
    pub detail: Option<String>,
    /// The other side's wish; it may lengthen the wait, never shorten it.
    pub retry_after: Option<Duration>,
    /// The receiver said it of this very key: had an earlier call sent it, it would have said so.
    pub names_our_key: bool,
}

/// Not certain, and why.
#[derive(Clone, Debug)]
pub struct Unknown {
    pub phase: Phase,
    pub why: &'static Entry,
    pub errcode: Option<i32>,
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Might work later; costs an attempt.
    Transient,
    /// Come back a little later; costs no attempt.
    Throttled,
    /// The target was never reached (DNS, connect, TLS); costs no attempt.
    Unreachable,
    /// This row will never work.
    Permanent,
    /// The target or our credentials are broken: the app pauses, the row pays nothing.
    Outage(Pause),
}

/// How far an attempt came. Everything from [`Phase::Sent`] on can no longer be proven "not sent" by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    NotCalled,
    Token,
    Connect,
    Sent,
    Answered,
}

impl Phase {
    pub const ALL: [Phase; 5] = [
        Phase::NotCalled,
        Phase::Token,
        Phase::Connect,
        Phase::Sent,
        Phase::Answered,
    ];

    /// The word in the column.
    pub fn word(self) -> &'static str {
        match self {
            Phase::NotCalled => "not_called",
            Phase::Token => "token",
            Phase::Connect => "connect",
            Phase::Sent => "sent",
            Phase::Answered => "answered",
        }
    }
}

/// The receiver's answer to `seal`.
#[derive(Clone, Debug)]
pub enum Sealed {
    /// It had been sent after all.
    Delivered(Receipt),
    /// It was not sent and never will be.
    NotSent,
    /// The receiver cannot tell, or cannot be asked: the person may have got it.
    Unknown,
}

/// Makes foreign text fit to store and to print: nothing that acts unseen, at most 1 KiB, cut on a character border.
pub fn clean(text: &str) -> String {
    const LIMIT: usize = 1024;
    let mut cleaned = String::with_capacity(text.len().min(LIMIT));
    for c in text.chars() {
        let c = match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if acts_unseen(c) => continue,
            c => c,
        };
        if cleaned.len() + c.len_utf8() > LIMIT {
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

/// Whether a character shows nothing and does something: a terminal obeys it, a line ends or turns around at it, or two
/// names that differ in it look the same.
pub(crate) fn acts_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn foreign_text_is_cleaned_and_cut_on_a_character_border() {
        assert_eq!(clean("a\0b\x1b[31mc\nd\u{202e}e"), "ab[31mc de");
        assert_eq!(clean("wa\u{200b}ng\u{2060}\u{61c}\u{2028}li"), "wang li");
        let long = clean(&"微".repeat(1000));
        assert_eq!(long.len(), 1023);
        assert!(long.chars().all(|c| c == '微'));
    }
}
