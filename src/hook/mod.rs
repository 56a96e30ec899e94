//! A target of one's own: any service with an HTTP trigger, called with the event the cloud function gets.
//!
//! The body is the same JSON; who sent it and when stands in the headers of Standard Webhooks. The answer may be the
//! function's own object (`state`, `key`, …), which is then believed as the function's is; of any other receiver, a
//! 2xx says that it has taken the event, and nothing more is known. Only a receiver that answers `inquire` is ever
//! asked: one that does not look at `type` would take the question for a second notification.
//!
//! It is hard to point at the inside of a network by mistake (`http::guard`), and redirects are not
//! followed. No text of the other side leaves without the secret and the payload's persons taken out.

mod reply;
mod sign;

use std::fmt;
use std::time::{Duration, Instant};

use chrono::Utc;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use url::Url;

pub use sign::Signer;

use crate::catalogue::local;
use crate::delivery::{
    AcceptedBy, Attempted, Failure, FailureKind, OnUnknown, Outcome, Phase, Receipt, Sealed, Target,
};
use crate::http::guard::Reach;
use crate::http::{Trouble, Wire};
use crate::notification::Claim;
use crate::secret::Secret;
use crate::wechat::{Heard, Inquired, Rehearsal, Trace, Verb};
use crate::wechat::{build, inquired, notified, sealed, stopped, without};

/// One app's receiver.
#[derive(Clone)]
pub struct HookSettings {
    pub app: String,
    /// May hold a key in its query, so it is never printed.
    pub url: Url,
    /// `whsec_…`
    pub secret: Secret,
    /// Its host and port may have an internal address.
    pub may_be_internal: bool,
    pub call_timeout: Duration,
    pub on_unknown: OnUnknown,
}

/// Delivers the notifications of one app to a receiver of one's own.
pub struct HookTarget {
    settings: HookSettings,
    signer: Signer,
    wire: Wire,
}

impl fmt::Debug for HookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookTarget")
            .field("app", &self.settings.app)
            .finish_non_exhaustive()
    }
}

impl HookTarget {
    pub fn new(settings: HookSettings) -> anyhow::Result<HookTarget> {
        let reach = if settings.may_be_internal {
            Reach::Anywhere
        } else {
            Reach::Public
        };
        let Some(signer) = Signer::new(settings.secret.expose()) else {
            anyhow::bail!("webhook_secret of app {:?} has no form", settings.app);
        };
        let wire = Wire::to(settings.url.clone(), reach, settings.call_timeout)?;
        Ok(HookTarget {
            settings,
            signer,
            wire,
        })
    }

    /// Delivers like [`Target::deliver`] and tells each step; for `send-test`.
    pub async fn rehearse(&self, claim: &Claim) -> Rehearsal {
        let mut trace = Trace::on();
        let outcome = self.attempt(claim, &mut trace).await;
        Rehearsal {
            steps: trace.into_steps(),
            outcome,
        }
    }

    async fn attempt(&self, claim: &Claim, trace: &mut Trace) -> Outcome {
        // Where it cannot be asked, the policy has decided that it is called.
        if claim.may_have_arrived && self.settings.on_unknown == OnUnknown::Ask {
            let heard = self.ask(Verb::Inquire, claim, trace).await;
            match inquired(heard, claim.key) {
                Inquired::CallNow => {}
                Inquired::Settled(outcome) => return taken(outcome),
            }
        }
        taken(notified(
            self.ask(Verb::Notify, claim, trace).await,
            claim.key,
        ))
    }

    async fn ask(&self, verb: Verb, claim: &Claim, trace: &mut Trace) -> Heard {
        if claim.time_left() < self.settings.call_timeout {
            return stopped(
                FailureKind::Throttled,
                Phase::NotCalled,
                local::DEADLINE_TOO_SHORT,
            );
        }
        let Ok(body) = build(verb, claim, Utc::now(), None) else {
            return stopped(
                FailureKind::Permanent,
                Phase::NotCalled,
                local::PAYLOAD_UNUSABLE,
            );
        };
        let headers = self.headers(&claim.key.to_string(), Utc::now().timestamp(), &body);
        let started = Instant::now();
        let deadline = started + self.settings.call_timeout;
        let uri = self.wire.own_uri();
        let answered = self.wire.post_with(uri, headers, body, deadline).await;
        trace.http(verb.word(), started, &answered);
        let heard = match answered {
            Ok(answer) => reply::read(&answer, verb, self.settings.on_unknown, Utc::now()),
            Err(trouble) => Heard::Stopped(self.unanswered(trouble)),
        };
        let key = self.settings.url.query().map(Secret::new);
        let mut secrets = vec![&self.settings.secret];
        secrets.extend(&key);
        let heard = without(heard, &secrets, &claim.payload);
        trace.heard(&heard);
        heard
    }

    fn headers(&self, id: &str, timestamp: i64, body: &[u8]) -> HeaderMap {
        let plain = |text: &str| {
            HeaderValue::from_str(text).expect("keys, numbers and base64 are plain text")
        };
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert("webhook-id", plain(id));
        headers.insert("webhook-timestamp", plain(&timestamp.to_string()));
        let signature = self.signer.sign(id, timestamp, body);
        headers.insert("webhook-signature", plain(&signature));
        headers
    }

    /// No answer: proven unsent only if the receiver was never reached.
    fn unanswered(&self, trouble: Trouble) -> Outcome {
        let unclear = |detail| {
            self.settings
                .on_unknown
                .unclear(Phase::Sent, None, Some(detail))
        };
        let unsent = |why, kind, detail| {
            Outcome::Failed(Failure {
                kind,
                phase: Phase::Connect,
                why,
                errcode: None,
                detail,
                retry_after: None,
                names_our_key: false,
            })
        };
        match trouble {
            Trouble::NotReached(detail) => unsent(
                local::RECEIVER_NOT_REACHED,
                FailureKind::Unreachable,
                Some(detail),
            ),
            Trouble::Internal => unsent(
                local::RECEIVER_INTERNAL,
                FailureKind::Outage(crate::wechat::CONFIG),
                None,
            ),
            Trouble::TimedOut => unclear("no answer in time".to_owned()),
            Trouble::Lost(detail) => unclear(detail),
        }
    }
}

impl Target for HookTarget {
    async fn deliver(&self, claim: &Claim) -> Attempted {
        Attempted {
            outcome: self.attempt(claim, &mut Trace::off()).await,
            token: None,
        }
    }

    async fn seal(&self, claim: &Claim) -> Sealed {
        if self.settings.on_unknown != OnUnknown::Ask {
            return Sealed::Unknown;
        }
        match sealed(
            self.ask(Verb::Seal, claim, &mut Trace::off()).await,
            claim.key,
        ) {
            Sealed::Delivered(receipt) => Sealed::Delivered(by_receiver(receipt)),
            Sealed::NotSent => Sealed::NotSent,
            Sealed::Unknown => Sealed::Unknown,
        }
    }
}

/// What such a receiver has taken, WeChat has not.
fn taken(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Delivered(receipt) => Outcome::Delivered(by_receiver(receipt)),
        Outcome::Failed(_) | Outcome::Unknown(_) => outcome,
    }
}

fn by_receiver(receipt: Receipt) -> Receipt {
    Receipt {
        by: AcceptedBy::Receiver,
        ..receipt
    }
}

#[cfg(test)]
mod tests;
