//! The cloud function, played in Rust: checks the event, keeps receipts, looks up the openid, sends, and
//! always answers with an object of its own making, never with an SDK result or error.
//!
//! `notify` sends once per key, `inquire` tells without sending, `seal` refuses a key from now on, `grants` tells
//! who has allowed messages, `ping` proves that the function is deployed and that both sides sign with the same secret. It is to answer as the
//! real function does: `tests/receiver/cases.json` is run against both ([`cases`]). It does without what only
//! the mini program calls, and without a note of WeChat's answer when that comes after the function gave up
//! waiting for it.

#[cfg(test)]
mod cases;
mod shape;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use serde_json::{Value, json};

use crate::faults::{Fault, Point, What};
use crate::receipts::{Look, Standing, State, Version};
use crate::send::{self, Order, Refusal, Sent};
use crate::settings::Template;
use crate::{World, held, signature, template};

/// Codes of the receiver's own, outside WeChat's ranges: the event is no event of ours.
pub const BAD_EVENT: i32 = 1001;
/// Its `type` is not one the receiver knows.
pub const UNKNOWN_TYPE: i32 = 1002;
/// Its signature is missing, wrong, or more than five minutes old or early.
pub const BAD_SIGNATURE: i32 = 1003;
/// The recipient has no openid.
pub const NO_OPENID: i32 = 1004;
/// It did not come over the HTTP API.
pub const WRONG_CALLER: i32 = 1005;
/// No template is configured for this type of event.
pub const NO_TEMPLATE: i32 = 1006;

/// The only caller that may ask.
pub(crate) const FROM_HTTP: &str = "wx_http";
/// The person allows no more messages of this template.
const NOT_SUBSCRIBED: i32 = 43101;

/// How a run of the function ended.
pub(crate) enum Ended {
    Answered(Value),
    /// It threw, or gave what cannot be written as JSON.
    Threw,
    /// The script killed it part-way.
    Died,
}

/// The answer object of the wire contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    ok: bool,
    state: &'static str,
    key: &'a str,
    code: i32,
    message: String,
    step: &'static str,
    duplicate: bool,
    msgid: Option<String>,
    grants_left: Option<u32>,
    /// Told by `ping` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    /// Told by `grants` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<Page<'a>>>,
}

/// The ledger's page for a person and a type of event.
#[derive(Debug, Serialize)]
struct Page<'a> {
    template: Option<&'a str>,
    left: Option<u32>,
}

/// The script ends the function here.
pub(crate) struct Died;

/// Runs the function on one event that came from this source.
pub(crate) async fn run(
    world: Arc<World>,
    event: Value,
    source: &str,
    fault: Option<Fault>,
) -> Ended {
    let fault = fault.as_ref();
    if let Some(What::ReturnedError(code)) = fault.map(|fault| &fault.what) {
        let text = crate::errors::with_rid(crate::errors::text(*code));
        return Ended::Answered(
            json!({"errCode": code, "errMsg": format!("openapi.subscribeMessage.send:fail {text}")}),
        );
    }
    match answer(&world, &event, source, fault).await {
        Ok(answer) => {
            Ended::Answered(serde_json::to_value(answer).expect("an answer is plain JSON"))
        }
        Err(Died) => Ended::Died,
    }
}

async fn answer<'a>(
    world: &'a Arc<World>,
    event: &'a Value,
    source: &str,
    fault: Option<&Fault>,
) -> Result<Answer<'a>, Died> {
    let key = event["key"].as_str().unwrap_or("");
    let kind = event["type"].as_str().unwrap_or("");
    if let Err((code, why)) = check(world, event, source) {
        return Ok(refused(key, "check", code, why));
    }
    if kind == "ping" {
        return Ok(Answer {
            ok: true,
            message: "pong".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION")),
            ..told("not_seen", key, "check")
        });
    }
    if let Some(What::State(state)) = fault.map(|fault| &fault.what) {
        return Ok(told(state, key, "claim"));
    }
    if kind == "grants" {
        return Ok(Answer {
            ok: true,
            grants: Some(look_into_the_ledger(world, event)),
            ..told("answered", key, "lookup")
        });
    }
    let version = Version {
        epoch: event["epoch"].as_i64().unwrap_or(0),
        attempt: event["attempt"].as_i64().unwrap_or(0),
    };
    let switches = world.switches.get();
    let old_after = Duration::from_millis(switches.claim_old_after_ms);
    match kind {
        // Without receipts nothing was ever seen, and nothing can be refused.
        "inquire" | "seal" if switches.receipts_off => Ok(told("not_seen", key, "claim")),
        "inquire" => Ok(stands(
            key,
            held(&world.receipts).inquire(key, old_after),
            false,
        )),
        "seal" => Ok(stands(
            key,
            held(&world.receipts).seal(key, version, old_after),
            false,
        )),
        _ => notify(world, event, key, version, fault).await,
    }
}

/// May this caller ask, did outboxd write this event, and can it be read?
fn check(world: &World, event: &Value, source: &str) -> Result<(), (i32, String)> {
    let kind = event["type"].as_str().unwrap_or("");
    let is_known = match kind {
        "notify" | "inquire" | "seal" | "ping" => true,
        "grants" => !world.switches.get().before_grants,
        _ => false,
    };
    if !is_known {
        return Err((UNKNOWN_TYPE, format!("unknown event type {kind:?}")));
    }
    if source != FROM_HTTP {
        let why = "this type of event is taken from the HTTP API only";
        return Err((WRONG_CALLER, why.to_owned()));
    }
    if let Some(secret) = &world.settings.signing_secret {
        signature::check(event, secret, Utc::now())
            .map_err(|why| (BAD_SIGNATURE, why.to_owned()))?;
    }
    if kind == "ping" {
        return Ok(());
    }
    shape::check(event).map_err(|why| (BAD_EVENT, why.to_owned()))
}

/// Receipt, template, lookup, claim, send, record; in this order.
async fn notify<'a>(
    world: &Arc<World>,
    event: &'a Value,
    key: &'a str,
    version: Version,
    fault: Option<&Fault>,
) -> Result<Answer<'a>, Died> {
    let switches = world.switches.get();
    let old_after = Duration::from_millis(switches.claim_old_after_ms);
    // Without receipts nothing hinders, and what would be written is not.
    let seen = if switches.receipts_off {
        None
    } else {
        match held(&world.receipts).look(key, version, old_after) {
            Look::Hindered(standing) => return Ok(stands(key, standing, true)),
            Look::Free(seen) => Some(seen),
        }
    };
    at(Point::Unsent, fault).await?;
    let event_type = event["eventType"].as_str().unwrap_or("");
    let Some(template) = template_for(world, event_type) else {
        let why = "no template for this type of event".to_owned();
        return Ok(refused(key, "check", NO_TEMPLATE, why));
    };
    let openid = match look_up(world, event, fault) {
        Ok(openid) => openid,
        Err((code, why)) => return Ok(refused(key, "lookup", code, why)),
    };
    let by = match seen {
        None => 0,
        Some(seen) => {
            let claimed = held(&world.receipts).claim(key, seen, version);
            let Some(by) = claimed else {
                let standing = held(&world.receipts).inquire(key, old_after);
                return Ok(stands(key, standing, true));
            };
            by
        }
    };
    at(Point::Claimed, fault).await?;
    let had = held(&world.grants).left(&openid, &template.id);
    let sent = send(world, event, key, template, &openid, fault).await?;
    let grants_left = match &sent {
        Ok(_) => held(&world.grants).spend(&openid, &template.id),
        Err(refusal) if refusal.code == NOT_SUBSCRIBED => {
            held(&world.grants).exhaust(&openid, &template.id, had)
        }
        Err(_) => None,
    };
    let (end, answer) = ending(key, sent);
    if seen.is_some() {
        held(&world.receipts).mark(key, by, end);
    }
    at(Point::Sent, fault).await?;
    Ok(Answer {
        grants_left,
        ..answer
    })
}

/// How many more messages each of those asked about has allowed; without a number where nobody ever counted.
fn look_into_the_ledger<'a>(world: &'a World, event: &Value) -> Vec<Page<'a>> {
    let page = |one: &Value| {
        let template = template_for(world, one["eventType"].as_str().unwrap_or(""));
        let openid = recipient_openid(world, one["recipient"].as_str().unwrap_or(""));
        let page = template.zip(openid);
        Page {
            template: template.map(|template| template.id.as_str()),
            left: page
                .and_then(|(template, openid)| held(&world.grants).left(&openid, &template.id)),
        }
    };
    event["asked"]
        .as_array()
        .map_or_else(Vec::new, |asked| asked.iter().map(page).collect())
}

fn template_for<'a>(world: &'a World, event_type: &str) -> Option<&'a Template> {
    let is_mapped = match &world.settings.event_types {
        Some(types) => types.iter().any(|known| known == event_type),
        None => true,
    };
    world
        .settings
        .templates
        .first()
        .filter(|template| is_mapped && !template.id.is_empty())
}

fn look_up(world: &World, event: &Value, fault: Option<&Fault>) -> Result<String, (i32, String)> {
    let recipient = event["recipient"].as_str().unwrap_or("");
    let openid = match fault.map(|fault| &fault.what) {
        Some(What::Lookup(code)) => return Err((*code, "lookup failed".to_owned())),
        Some(What::NoOpenid) => None,
        _ => recipient_openid(world, recipient),
    };
    openid.ok_or_else(|| (NO_OPENID, "no openid for this recipient".to_owned()))
}

fn recipient_openid(world: &World, recipient: &str) -> Option<String> {
    if recipient.trim().is_empty() {
        return None;
    }
    held(&world.staff).openid_of(recipient)
}

/// The call that lets a message reach a phone, under the function's own limit. Silence may hide a message that
/// went out, so it is told like the codes that prove nothing.
async fn send(
    world: &Arc<World>,
    event: &Value,
    key: &str,
    template: &Template,
    openid: &str,
    fault: Option<&Fault>,
) -> Result<Result<Sent, Refusal>, Died> {
    let data = template::fill(template, event);
    let order = Order {
        openid,
        template_id: &template.id,
        data: &data,
        key,
        event_type: event["eventType"].as_str().unwrap_or(""),
        aggregate_id: event["aggregate"]["id"].as_str().unwrap_or(""),
        scripted: match fault.map(|fault| &fault.what) {
            Some(What::Send(code)) => Some(*code),
            _ => None,
        },
    };
    let limit = Duration::from_millis(world.switches.get().send_limit_ms);
    let sending = async {
        let sent = send::deliver(world, order).await;
        at(Point::Unmarked, fault).await?;
        Ok(sent)
    };
    tokio::time::timeout(limit, sending)
        .await
        .unwrap_or_else(|_| {
            Ok(Err(Refusal {
                code: 0,
                text: format!("no answer from WeChat within {} ms", limit.as_millis()),
            }))
        })
}

/// How the send ended, for the receipt and for the caller. A bare -1 means too many things to be passed on.
fn ending(key: &str, sent: Result<Sent, Refusal>) -> (State, Answer<'_>) {
    match sent {
        Ok(sent) => {
            let msgid = Some(sent.msgid.to_string());
            let answer = Answer {
                ok: true,
                msgid: msgid.clone(),
                ..told("sent", key, "record")
            };
            (State::Sent { msgid }, answer)
        }
        Err(Refusal { code, text }) => {
            let code = if code == -1 { -501_001 } else { code };
            let message = format!("openapi.subscribeMessage.send:fail {text}");
            if is_certain(code) {
                let answer = refused(key, "send", code, message.clone());
                (State::Refused { code, message }, answer)
            } else {
                let answer = Answer {
                    code,
                    message,
                    ..told("unknown", key, "send")
                };
                (State::Unknown { code }, answer)
            }
        }
    }
}

/// Where the script slows the function down or kills it.
pub(crate) async fn at(point: Point, fault: Option<&Fault>) -> Result<(), Died> {
    let Some(fault) = fault.filter(|fault| fault.point == point) else {
        return Ok(());
    };
    match fault.what {
        What::Slow(time) => tokio::time::sleep(time).await,
        What::Throw => return Err(Died),
        What::Outer(_) | What::Runtime(_) | What::Wire(_) if point != Point::Sent => {
            return Err(Died);
        }
        _ => {}
    }
    Ok(())
}

/// A positive code is the platform's own word that it did not send; so are the permissions of the cloud
/// call. Every other negative code may hide a message that went out.
fn is_certain(code: i32) -> bool {
    code > 0 || matches!(code, -604_100 | -604_101 | -604_104)
}

fn told<'a>(state: &'static str, key: &'a str, step: &'static str) -> Answer<'a> {
    Answer {
        ok: false,
        state,
        key,
        code: 0,
        message: state.to_owned(),
        step,
        duplicate: false,
        msgid: None,
        grants_left: None,
        version: None,
        grants: None,
    }
}

fn refused<'a>(key: &'a str, step: &'static str, code: i32, message: String) -> Answer<'a> {
    Answer {
        code,
        message,
        ..told("refused", key, step)
    }
}

/// A receipt as an answer.
fn stands(key: &str, standing: Standing, wished_to_send: bool) -> Answer<'_> {
    match standing {
        Standing::NotSeen => told("not_seen", key, "claim"),
        Standing::InProgress => told("in_progress", key, "claim"),
        Standing::Sent { msgid } => Answer {
            ok: true,
            duplicate: wished_to_send,
            msgid,
            ..told("sent", key, "claim")
        },
        Standing::Refused { code, message } => refused(key, "send", code, message),
        Standing::Unknown { code } => Answer {
            code,
            ..told("unknown", key, "claim")
        },
        Standing::Sealed => told("sealed", key, "claim"),
        Standing::Stale { epoch } => Answer {
            message: format!("a call of epoch {epoch} was here"),
            ..told("stale", key, "claim")
        },
    }
}
