//! The target without a cloud function: the message itself, by `POST /cgi-bin/message/subscribe/send`.
//!
//! One attempt is openid ▸ message ▸ token ▸ the person's turn ▸ call ▸ read the answer. WeChat takes one message for
//! a person at a time (43108), so the calls of this daemon to one openid go one after another; between daemons, 43108
//! itself sends the row back for a moment. There is no key by which WeChat would know a message again and nobody to
//! ask: after silence nobody can tell, and the setting `on_unknown` decides.

mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use chrono_tz::Tz;
use serde_json::Value;

use super::credential::{Fleet, TokenCache};
use super::event::{self, Verb};
use super::function::{msgid, notified, text, wish};
use super::reply::{CONFIG, Heard, Unfit, excerpt, find, number, parse, retry_after, verdict};
use super::template::{Templates, at};
use super::trace::{Rehearsal, Trace};
use super::{TokenFigures, stopped, unanswered, without};
use crate::catalogue::{Kind, Origin, local, lookup};
use crate::delivery::{
    Attempted, Failure, FailureKind, FindOpenid, LookupFailed, OnUnknown, Outcome, Phase, Receipt,
    Sealed, Target,
};
use crate::http::{Answer, Wire};
use crate::notification::Claim;
use crate::secret::Secret;
use turns::Turns;

/// A row waits this long for its turn with a person; a send takes a fraction of a second.
const TURN: Duration = Duration::from_secs(3);

/// Where the openid comes from.
#[derive(Clone)]
pub enum Openids {
    /// A path into the event.
    Event(String),
    Asked(Arc<dyn FindOpenid>),
}

/// One app: a mini program and its templates.
#[derive(Clone)]
pub struct DirectSettings {
    pub app: String,
    pub appid: String,
    pub appsecret: Secret,
    pub base_url: String,
    pub call_timeout: Duration,
    pub templates: Arc<Templates>,
    /// The readers' local time.
    pub zone: Tz,
    pub openids: Openids,
    pub on_unknown: OnUnknown,
}

/// Sends the messages of one app.
pub struct DirectTarget {
    settings: DirectSettings,
    wire: Wire,
    tokens: TokenCache,
    turns: Turns,
}

impl fmt::Debug for DirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectTarget")
            .field("app", &self.settings.app)
            .finish_non_exhaustive()
    }
}

impl DirectTarget {
    pub fn new(settings: DirectSettings, fleet: Arc<dyn Fleet>) -> anyhow::Result<DirectTarget> {
        let wire = Wire::new(&settings.base_url, settings.call_timeout)?;
        let tokens = TokenCache::new(
            &settings.app,
            &settings.appid,
            settings.appsecret.clone(),
            wire.clone(),
            settings.call_timeout,
            fleet,
        );
        Ok(DirectTarget {
            settings,
            wire,
            tokens,
            turns: Turns::default(),
        })
    }

    pub fn token_figures(&self) -> TokenFigures {
        TokenFigures::of(&self.tokens)
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
        let heard = match self.message(claim, trace).await {
            Ok((openid, message)) => self.send(claim, &openid, message, trace).await,
            Err(heard) => heard,
        };
        match notified(heard, claim.key) {
            // Whatever the table calls it, here there is nobody to ask first.
            Outcome::Unknown(unknown) => {
                let on_unknown = self.settings.on_unknown;
                on_unknown.unclear(unknown.phase, unknown.errcode, unknown.detail)
            }
            outcome @ (Outcome::Delivered(_) | Outcome::Failed(_)) => outcome,
        }
    }

    /// The message and whom it goes to.
    async fn message(&self, claim: &Claim, trace: &mut Trace) -> Result<(Secret, Vec<u8>), Heard> {
        let refused = |why| stopped(FailureKind::Permanent, Phase::NotCalled, why);
        let unusable = |_| refused(local::PAYLOAD_UNUSABLE);
        let event = event::build(Verb::Notify, claim, Utc::now(), None).map_err(unusable)?;
        let event: Value = serde_json::from_slice(&event).map_err(unusable)?;
        let Some(mut message) = self.settings.templates.fill(&event, &self.settings.zone) else {
            return Err(refused(local::TEMPLATE_MISSING));
        };
        let started = Instant::now();
        let found = self.openid(claim, &event).await;
        trace.openid(started, &found);
        let Some(openid) = found?.filter(is_plausible) else {
            return Err(refused(local::NO_OPENID));
        };
        message.insert("touser".to_owned(), openid.expose().into());
        let body = serde_json::to_vec(&message).map_err(unusable)?;
        Ok((openid, body))
    }

    async fn openid(&self, claim: &Claim, event: &Value) -> Result<Option<Secret>, Heard> {
        let (kind, why, detail) = match &self.settings.openids {
            Openids::Event(path) => {
                let found = at(event, path);
                return Ok(found.and_then(|openid| openid.as_str().map(Secret::new)));
            }
            Openids::Asked(crm) => match crm.openid(&claim.recipient).await {
                Ok(found) => return Ok(found),
                Err(LookupFailed::Wrong(detail)) => (
                    FailureKind::Outage(CONFIG),
                    local::OPENID_QUERY_WRONG,
                    detail,
                ),
                Err(LookupFailed::Away(detail)) => {
                    (FailureKind::Unreachable, local::OPENID_QUERY_FAILED, detail)
                }
            },
        };
        let phase = Phase::NotCalled;
        Err(Heard::Stopped(Outcome::Failed(Failure {
            kind,
            phase,
            why,
            errcode: None,
            detail: Some(detail),
            retry_after: None,
            names_our_key: false,
        })))
    }

    /// Sends it, with a fresh token if the first one is refused.
    async fn send(
        &self,
        claim: &Claim,
        openid: &Secret,
        message: Vec<u8>,
        trace: &mut Trace,
    ) -> Heard {
        let call_timeout = self.settings.call_timeout;
        let mut replaced = false;
        loop {
            let started = Instant::now();
            let handed = self.tokens.get(started + call_timeout).await;
            trace.token(started, &handed);
            let token = match handed {
                Ok(handed) => handed.token,
                Err(failure) => return Heard::Stopped(Outcome::Failed(failure)),
            };
            let Some(turn) = self.turns.take(openid, TURN).await else {
                return busy();
            };
            if claim.time_left() < call_timeout {
                let why = local::DEADLINE_TOO_SHORT;
                return stopped(FailureKind::Throttled, Phase::Token, why);
            }
            let heard = self
                .call(claim, openid, &token, message.clone(), trace)
                .await;
            drop(turn);
            let Heard::TokenRefused(unfit) = heard else {
                return heard;
            };
            self.tokens.forget(&token);
            if replaced {
                return Heard::Stopped(verdict(local::TOKEN_STILL_REFUSED, unfit));
            }
            replaced = true;
        }
    }

    async fn call(
        &self,
        claim: &Claim,
        openid: &Secret,
        token: &Secret,
        message: Vec<u8>,
        trace: &mut Trace,
    ) -> Heard {
        let query = [("access_token", token.expose())];
        let uri = self.wire.uri("cgi-bin/message/subscribe/send", &query);
        let started = Instant::now();
        let deadline = started + self.settings.call_timeout;
        let answered = self.wire.post(uri, message, deadline).await;
        trace.http("send", started, &answered);
        let heard = match answered {
            Ok(answer) => read(&answer),
            Err(trouble) => Heard::Stopped(unanswered(trouble)),
        };
        let secrets = [token, &self.settings.appsecret, openid];
        let heard = without(heard, &secrets, &claim.payload);
        trace.heard(&heard);
        heard
    }
}

impl Target for DirectTarget {
    async fn deliver(&self, claim: &Claim) -> Attempted {
        let mut trace = Trace::off();
        Attempted {
            outcome: self.attempt(claim, &mut trace).await,
            token: trace.waited_for_a_token(),
        }
    }

    /// WeChat knows no keys.
    async fn seal(&self, _claim: &Claim) -> Sealed {
        Sealed::Unknown
    }
}

/// An openid has 28 characters; what is not at all like one is not worth a call.
fn is_plausible(openid: &Secret) -> bool {
    let openid = openid.expose();
    (1..=128).contains(&openid.len()) && openid.bytes().all(|byte| byte.is_ascii_graphic())
}

fn busy() -> Heard {
    Heard::Stopped(Outcome::Failed(Failure {
        kind: FailureKind::Throttled,
        phase: Phase::Token,
        why: local::SAME_PERSON_BUSY,
        errcode: None,
        detail: None,
        retry_after: wish(local::SAME_PERSON_BUSY),
        names_our_key: false,
    }))
}

/// What WeChat said.
fn read(answer: &Answer) -> Heard {
    let asked = retry_after(answer, Utc::now());
    if !(200..300).contains(&answer.status) {
        let detail = format!("HTTP {} {}", answer.status, excerpt(&answer.body));
        let unfit = Unfit {
            errcode: None,
            detail: Some(detail),
            retry_after: asked,
        };
        return Heard::Stopped(verdict(
            lookup(Origin::Http, i32::from(answer.status)),
            unfit,
        ));
    }
    let body = match parse(&answer.body) {
        Some(Value::Object(body)) if !answer.cut => body,
        Some(_) | None => return unreadable(answer),
    };
    let Some(code) = number(&body, &["errcode"]) else {
        return unreadable(answer);
    };
    let (entry, errcode) = find(Origin::Direct, code);
    let unfit = Unfit {
        errcode,
        detail: text(&body),
        retry_after: asked.or(wish(entry)),
    };
    match entry.kind {
        Kind::TokenRefused => Heard::TokenRefused(unfit),
        Kind::Delivered => Heard::Stopped(Outcome::Delivered(Receipt {
            msgid: body.get("msgid").and_then(msgid),
            ..Receipt::default()
        })),
        Kind::Transient
        | Kind::Throttled
        | Kind::Unreachable
        | Kind::Permanent
        | Kind::Outage(_)
        | Kind::Unknown => Heard::Stopped(verdict(entry, unfit)),
    }
}

fn unreadable(answer: &Answer) -> Heard {
    let unfit = Unfit {
        detail: Some(excerpt(&answer.body)),
        ..Unfit::default()
    };
    Heard::Stopped(verdict(local::UNREADABLE_ANSWER, unfit))
}

#[cfg(test)]
mod tests;
