//! One notification's whole life: what was written, tried, answered and done, in the order it happened.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::audit::masked;
use super::json::stamp;
use super::{ACTS, Card};
use crate::outbox::inspect::{self, Act, Attempt, Created, WhyNotYet};
use crate::words::mask::{mask, safe};
use crate::words::{Voice, say};

/// A card with everything that is known of its past.
pub(crate) struct Life {
    pub(crate) card: Card,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) acts: Vec<Act>,
    pub(crate) created: Option<Created>,
}

/// The newest attempts shown of a row that has very many.
const ATTEMPTS: i64 = 200;

/// One thing that happened.
pub(crate) struct Event {
    pub(crate) at: DateTime<Utc>,
    /// The stable word of what it was.
    pub(crate) word: String,
    pub(crate) text: String,
    /// How far it came and how long it took, if it was an attempt.
    pub(crate) tried: Option<Tried>,
}

pub(crate) struct Tried {
    /// How long nothing had been tried before.
    pub(crate) waited: Option<TimeDelta>,
    pub(crate) phase: String,
    pub(crate) latency_ms: Option<i32>,
    /// How long of that was waited for an access token.
    pub(crate) token_ms: Option<i32>,
}

/// Reads what the card does not hold yet.
pub(crate) async fn life(conn: &mut PgConnection, card: Card) -> Result<Life> {
    Ok(Life {
        attempts: inspect::attempts(&mut *conn, card.it.id, ATTEMPTS).await?,
        acts: inspect::acts(&mut *conn, card.it.id, ACTS).await?,
        created: inspect::created(conn, card.it.id, card.it.key).await?,
        card,
    })
}

impl Life {
    /// Written, attempts, acts, the open attempt, settled; sorted by time.
    pub(crate) fn events(&self, voice: &Voice) -> Vec<Event> {
        let Life {
            card,
            attempts,
            acts,
            ..
        } = self;
        let it = &card.it;
        let mut events = vec![Event {
            at: it.created_at,
            word: "written".to_owned(),
            text: say!(voice, "event.written", by = safe(&it.created_by)),
            tried: None,
        }];
        events.extend(attempts.iter().map(|a| {
            let cause = voice.cause(Some(&a.sentence), a.errcode);
            let mut took = a.latency_ms.map_or_else(String::new, |ms| {
                say!(voice, "event.took", took = voice.took(ms))
            });
            if let Some(ms) = a.token_ms {
                took.push_str(&say!(voice, "event.token", took = voice.took(ms)));
            }
            let waited = self.waited(a.attempt, a.started_at);
            let mut text = say!(
                voice,
                "event.attempt",
                n = a.attempt,
                outcome = voice.outcome(&a.outcome, &a.sentence),
                cause = cause,
                phase = voice.phase(&a.phase),
                took = took,
                waited = after_a_wait(waited, voice),
                daemon = safe(&a.daemon)
            );
            if let Some(detail) = &a.detail {
                text.push_str(&say!(voice, "event.detail", detail = safe(detail)));
            }
            Event {
                at: a.ended_at,
                word: a.outcome.clone(),
                text,
                tried: Some(Tried {
                    waited,
                    phase: a.phase.clone(),
                    latency_ms: a.latency_ms,
                    token_ms: a.token_ms,
                }),
            }
        }));
        events.extend(acts.iter().map(|act| Event {
            at: act.at,
            word: act.action.clone(),
            text: match &act.answer {
                Some(late) => say!(
                    voice,
                    "event.late_answer",
                    actor = safe(&act.actor),
                    n = late.attempt,
                    outcome = voice.outcome(&late.outcome, &late.sentence),
                    cause = voice.cause(Some(&late.sentence), late.errcode)
                ),
                None => say!(
                    voice,
                    "event.act",
                    actor = safe(&act.actor),
                    action = voice.action(&act.action),
                    reason = safe(&voice.given(act.reason.as_deref()))
                ),
            },
            tried: None,
        }));
        if let Some(WhyNotYet::InFlight {
            daemon,
            attempt,
            since,
            ..
        }) = &card.why
        {
            events.push(Event {
                at: *since,
                word: "in_flight".to_owned(),
                text: say!(
                    voice,
                    "event.in_flight",
                    n = attempt,
                    daemon = safe(daemon),
                    waited = after_a_wait(self.waited(*attempt, *since), voice)
                ),
                tried: None,
            });
        }
        if let Some(at) = it.settled_at {
            let by = it.settled_by.as_deref().unwrap_or_default();
            events.push(Event {
                at,
                word: it.standing.word().to_owned(),
                text: say!(
                    voice,
                    "event.settled",
                    status = voice.standing_of(it),
                    by = safe(by),
                    cause = voice.cause(it.reason.as_deref(), it.errcode)
                ),
                tried: None,
            });
        }
        events.sort_by_key(|event| event.at);
        events
    }

    /// How long it had waited when this attempt began: since it was written, since the attempt before, or since somebody sent it
    /// again. Not known where the attempt before is not kept any more.
    fn waited(&self, attempt: i32, began: DateTime<Utc>) -> Option<TimeDelta> {
        let before = self.attempts.iter().filter(|a| a.attempt < attempt);
        if attempt > 1 && !before.clone().any(|a| a.attempt == attempt - 1) {
            return None;
        }
        let resent = self.acts.iter().filter(|act| act.action == "retry");
        let since = before
            .map(|a| a.ended_at)
            .chain(resent.map(|act| act.at).filter(|at| *at <= began))
            .chain([self.card.it.created_at])
            .max()?;
        Some((began - since).max(TimeDelta::zero()))
    }

    /// What the card has no room for.
    pub(crate) fn facts(&self, voice: &Voice) -> Vec<(String, String)> {
        let it = &self.card.it;
        let mut facts = vec![
            (say!(voice, "fact.key"), it.key.to_string()),
            (say!(voice, "fact.app"), it.app.clone()),
            (say!(voice, "fact.status"), voice.standing_of(it)),
            (
                say!(voice, "fact.aggregate"),
                format!("{} {}", it.aggregate_type, it.aggregate_id),
            ),
            (say!(voice, "fact.attempts"), it.attempts.to_string()),
        ];
        let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        add(say!(voice, "fact.msgid"), it.msgid.clone());
        add(say!(voice, "fact.dedupe_key"), it.dedupe_key.clone());
        if let Some(created) = self.created.clone() {
            add(say!(voice, "fact.order_key"), created.order_key);
            add(say!(voice, "fact.collapse_key"), created.collapse_key);
            add(
                say!(voice, "fact.priority"),
                Some(created.priority.to_string()),
            );
            add(say!(voice, "fact.traceparent"), created.traceparent);
        }
        facts
    }

    /// The document of `show --json`; a payload is given masked, if it was asked for and the reader may see it.
    pub(crate) fn object(&self, payload: Option<String>, voice: &Voice) -> Value {
        let Life {
            card,
            attempts,
            acts,
            created,
        } = self;
        let mut object = card.json(voice);
        object["attempts_made"] = attempts
        .iter()
        .map(|a| {
            json!({
                "attempt": a.attempt, "daemon": a.daemon, "started_at": stamp(a.started_at, voice),
                "ended_at": stamp(a.ended_at, voice),
                "waited_ms": self.waited(a.attempt, a.started_at).map(|span| span.num_milliseconds()), "phase": a.phase, "outcome": a.outcome,
                "errcode": a.errcode, "reason": a.sentence,
                "sentence": voice.cause(Some(&a.sentence), a.errcode),
                "detail": a.detail.as_deref().map(mask), "latency_ms": a.latency_ms,
                "token_ms": a.token_ms,
            })
        })
        .collect();
        object["acts"] = acts
            .iter()
            .map(|act| {
                let answer = act.answer.as_ref().map(|late| {
                    json!({
                        "attempt": late.attempt, "outcome": late.outcome, "errcode": late.errcode, "reason": late.sentence,
                        "sentence": voice.cause(Some(&late.sentence), late.errcode),
                    })
                });
                json!({"at": stamp(act.at, voice), "actor": safe(&act.actor), "action": act.action,
                   "reason": act.reason.as_deref().map(mask), "affected": act.affected, "answer": answer,
                   "before": act.before.clone().map(masked), "after": act.after.clone().map(masked)})
            })
            .collect();
        if let Some(created) = created {
            object["order_key"] = json!(created.order_key.as_deref().map(mask));
            object["collapse_key"] = json!(created.collapse_key.as_deref().map(mask));
            object["priority"] = json!(created.priority);
            object["traceparent"] = json!(created.traceparent);
        }
        // As text, so that no number is rounded on the way through a parser.
        object["payload"] = json!(payload);
        object
    }
}

fn after_a_wait(waited: Option<TimeDelta>, voice: &Voice) -> String {
    waited.map_or_else(String::new, |span| {
        say!(voice, "event.waited", span = voice.lasted(span))
    })
}
