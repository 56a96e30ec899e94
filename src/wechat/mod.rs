//! WeChat's targets: the cloud function, called over HTTP; and in `direct` the message itself.
//!
//! One attempt is token ▸ call ▸ read the answer on its three levels. A token that is refused was refused
//! before anything ran, so it is replaced once within the attempt. An attempt after an unknown one asks
//! first (`inquire`) and calls only when the receiver has not seen the key. Nothing is called with less
//! than a whole call's time left under the lease, so no call outlives it.
//!
//! What leaves this module is data without secrets: no URL, no token, no openid.

mod credential;
mod direct;
mod event;
mod function;
mod grants;
mod reply;
mod scrub;
mod template;
mod token_reply;
mod trace;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;

pub use credential::{Alone, Fleet, Pending};
pub use direct::{DirectSettings, DirectTarget, Openids};
pub use grants::MOST_ASKED;
pub use template::Templates;
pub use trace::{Rehearsal, Step};

// What a receiver of one's own is spoken to with, too: the event, and the function's words.
pub(crate) use event::{Verb, build};
pub(crate) use function::{Inquired, function_word, inquired, notified, sealed};
pub(crate) use reply::{CONFIG, Heard, Unfit, excerpt, parse, retry_after, verdict};
pub(crate) use trace::Trace;

use credential::TokenCache;

use scrub::{private, scrub};

use crate::catalogue::{Entry, local};
use crate::delivery::{Attempted, Failure, FailureKind, Outcome, Phase, Sealed, Target, Unknown};
use crate::http::{Trouble, Uri, Wire};
use crate::notification::Claim;
use crate::secret::Secret;

/// One app: a mini program, its cloud environment and function.
#[derive(Clone, Debug)]
pub struct WechatSettings {
    pub app: String,
    pub appid: String,
    pub appsecret: Secret,
    pub cloud_env: String,
    pub function: String,
    /// `https://api.weixin.qq.com` unless tested or rehearsed; plain http is taken for this machine only.
    pub base_url: String,
    /// One deadline over connect, headers and body of each HTTP call; above the 5 s after which WeChat
    /// cuts a function off.
    pub call_timeout: Duration,
    /// Shared with the function; without it the event goes out unsigned.
    pub signing_secret: Option<Secret>,
}

/// Delivers the notifications of one app.
pub struct WechatTarget {
    settings: WechatSettings,
    wire: Wire,
    tokens: TokenCache,
    /// The function's address, which is the same as long as the token is.
    address: Mutex<Option<(Secret, Uri)>>,
}

impl fmt::Debug for WechatTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WechatTarget")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What the metrics show about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFigures {
    pub fetches: u64,
    pub failures: u64,
    pub expires_at: Option<Instant>,
}

impl TokenFigures {
    fn of(tokens: &TokenCache) -> TokenFigures {
        TokenFigures {
            fetches: tokens.fetches(),
            failures: tokens.failures(),
            expires_at: tokens.expires_at(),
        }
    }
}

impl WechatTarget {
    /// Builds the HTTPS client, so that bad settings and a missing CA store stop the start.
    pub fn new(settings: WechatSettings, fleet: Arc<dyn Fleet>) -> anyhow::Result<WechatTarget> {
        let given = [
            ("appid", settings.appid.as_str()),
            ("appsecret", settings.appsecret.expose()),
            ("cloud_env", settings.cloud_env.as_str()),
            ("function", settings.function.as_str()),
        ];
        for (name, value) in given {
            anyhow::ensure!(
                !value.is_empty(),
                "{name} of app {:?} is empty",
                settings.app
            );
            anyhow::ensure!(
                value.trim() == value,
                "{name} of app {:?} has spaces around it",
                settings.app
            );
        }
        anyhow::ensure!(
            settings
                .signing_secret
                .as_ref()
                .is_none_or(|secret| !secret.expose().is_empty()),
            "signing_secret of app {:?} is empty; leave it out to send unsigned",
            settings.app
        );
        anyhow::ensure!(
            !settings.call_timeout.is_zero(),
            "call_timeout must not be zero"
        );
        let wire = Wire::new(&settings.base_url, settings.call_timeout)?;
        let tokens = TokenCache::new(
            &settings.app,
            &settings.appid,
            settings.appsecret.clone(),
            wire.clone(),
            settings.call_timeout,
            fleet,
        );
        Ok(WechatTarget {
            settings,
            wire,
            tokens,
            address: Mutex::default(),
        })
    }

    fn uri(&self, token: &Secret) -> Uri {
        let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, uri)) = &*address
            && of.expose() == token.expose()
        {
            return uri.clone();
        }
        let query = [
            ("access_token", token.expose()),
            ("env", self.settings.cloud_env.as_str()),
            ("name", self.settings.function.as_str()),
        ];
        let uri = self.wire.uri("tcb/invokecloudfunction", &query);
        *address = Some((token.clone(), uri.clone()));
        uri
    }

    /// Delivers like [`Target::deliver`] and tells each step; for `send-test`.
    pub async fn rehearse(&self, claim: &Claim) -> Rehearsal {
        let mut attempt = Attempt::new(self, claim, Trace::on());
        let outcome = attempt.deliver().await;
        Rehearsal {
            steps: attempt.trace.into_steps(),
            outcome,
        }
    }

    pub fn token_figures(&self) -> TokenFigures {
        TokenFigures::of(&self.tokens)
    }
}

impl Target for WechatTarget {
    async fn deliver(&self, claim: &Claim) -> Attempted {
        let mut attempt = Attempt::new(self, claim, Trace::off());
        Attempted {
            outcome: attempt.deliver().await,
            token: attempt.trace.waited_for_a_token(),
        }
    }

    async fn seal(&self, claim: &Claim) -> Sealed {
        let heard = Attempt::new(self, claim, Trace::off())
            .ask(Verb::Seal)
            .await;
        sealed(heard, claim.key)
    }
}

/// One attempt under way.
struct Attempt<'a> {
    target: &'a WechatTarget,
    claim: &'a Claim,
    /// The one replacement of a refused token has been used.
    replaced: bool,
    trace: Trace,
}

impl<'a> Attempt<'a> {
    fn new(target: &'a WechatTarget, claim: &'a Claim, trace: Trace) -> Attempt<'a> {
        Attempt {
            target,
            claim,
            replaced: false,
            trace,
        }
    }

    async fn deliver(&mut self) -> Outcome {
        if self.claim.may_have_arrived {
            let heard = self.ask(Verb::Inquire).await;
            match inquired(heard, self.claim.key) {
                Inquired::CallNow => {}
                Inquired::Settled(outcome) => return outcome,
            }
        }
        let heard = self.ask(Verb::Notify).await;
        notified(heard, self.claim.key)
    }

    /// One word of the function, with a fresh token if the first one is refused.
    async fn ask(&mut self, verb: Verb) -> Heard {
        loop {
            let call_timeout = self.target.settings.call_timeout;
            if self.claim.time_left() < call_timeout {
                return stopped(
                    FailureKind::Throttled,
                    Phase::NotCalled,
                    local::DEADLINE_TOO_SHORT,
                );
            }
            let started = Instant::now();
            let handed = self.target.tokens.get(started + call_timeout).await;
            self.trace.token(started, &handed);
            let token = match handed {
                Ok(handed) => handed.token,
                Err(failure) => return Heard::Stopped(Outcome::Failed(failure)),
            };
            if self.claim.time_left() < call_timeout {
                return stopped(
                    FailureKind::Throttled,
                    Phase::Token,
                    local::DEADLINE_TOO_SHORT,
                );
            }
            let heard = self.call(verb, &token).await;
            let Heard::TokenRefused(unfit) = heard else {
                return heard;
            };
            self.target.tokens.forget(&token);
            if self.replaced {
                let why = local::TOKEN_STILL_REFUSED;
                let Unfit {
                    errcode,
                    detail,
                    retry_after,
                } = unfit;
                let kind = FailureKind::Outage(CONFIG);
                let phase = Phase::Answered;
                let failure = Failure {
                    kind,
                    phase,
                    why,
                    errcode,
                    detail,
                    retry_after,
                    names_our_key: false,
                };
                return Heard::Stopped(Outcome::Failed(failure));
            }
            self.replaced = true;
        }
    }

    async fn call(&mut self, verb: Verb, token: &Secret) -> Heard {
        let settings = &self.target.settings;
        let secret = settings.signing_secret.as_ref();
        let Ok(event) = event::build(verb, self.claim, Utc::now(), secret) else {
            return stopped(
                FailureKind::Permanent,
                Phase::NotCalled,
                local::PAYLOAD_UNUSABLE,
            );
        };
        let uri = self.target.uri(token);
        let started = Instant::now();
        let deadline = started + settings.call_timeout;
        let answered = self.target.wire.post(uri, event, deadline).await;
        self.trace.http(verb.word(), started, &answered);
        let heard = match answered {
            Ok(answer) => reply::read(&answer, Utc::now()),
            Err(trouble) => Heard::Stopped(unanswered(trouble)),
        };
        // Here, where the token is known: an error page may quote the URL it was asked for.
        let mut secrets = vec![token, &settings.appsecret];
        secrets.extend(secret);
        let heard = without(heard, &secrets, &self.claim.payload);
        self.trace.heard(&heard);
        heard
    }
}

pub(crate) fn stopped(kind: FailureKind, phase: Phase, why: &'static Entry) -> Heard {
    let failure = Failure {
        kind,
        phase,
        why,
        errcode: None,
        detail: None,
        retry_after: None,
        names_our_key: false,
    };
    Heard::Stopped(Outcome::Failed(failure))
}

/// No answer: proven unsent only if the host was never reached.
fn unanswered(trouble: Trouble) -> Outcome {
    let (why, detail) = match trouble {
        Trouble::NotReached(detail) => {
            return Outcome::Failed(Failure {
                kind: FailureKind::Unreachable,
                phase: Phase::Connect,
                why: local::NOT_REACHED,
                errcode: None,
                detail: Some(detail),
                retry_after: None,
                names_our_key: false,
            });
        }
        Trouble::Internal => {
            return unanswered(Trouble::NotReached(String::from("internal address")));
        }
        Trouble::TimedOut => (local::TIMED_OUT, None),
        Trouble::Lost(detail) => (local::CONNECTION_LOST, Some(detail)),
    };
    Outcome::Unknown(Unknown {
        phase: Phase::Sent,
        why,
        errcode: None,
        detail,
    })
}

/// The same without our secrets, and without what the payload tells of persons, in any text of the other side.
pub(crate) fn without(mut heard: Heard, secrets: &[&Secret], payload: &str) -> Heard {
    let detail = match &mut heard {
        Heard::TokenRefused(unfit) => &mut unfit.detail,
        Heard::Stopped(Outcome::Failed(failure)) => &mut failure.detail,
        Heard::Stopped(Outcome::Unknown(unknown)) => &mut unknown.detail,
        Heard::Word(word) => &mut word.detail,
        Heard::Stopped(Outcome::Delivered(_)) | Heard::Undefined => return heard,
    };
    *detail = detail.take().and_then(|text| {
        let private = private(payload);
        let hidden: Vec<&Secret> = secrets.iter().copied().chain(&private).collect();
        scrub(&text, &hidden)
    });
    heard
}

#[cfg(test)]
mod attempt_tests;
#[cfg(test)]
pub(crate) use event::tests as event_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
