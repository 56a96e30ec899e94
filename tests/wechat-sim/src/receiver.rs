//! The cloud function, played in Rust: checks the event, keeps receipts, looks up the openid, sends, and
//! always answers with an object of its own making, never with an SDK result or error.
//!
//! `notify` sends once per key, `inquire` tells without sending, `seal` refuses a key from now on, `ping`
//! proves that the function is deployed and that both sides sign with the same secret.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use serde_json::{Value, json};

use crate::faults::{Fault, Point, What};
use crate::receipts::Standing;
use crate::send::{self, Order, Sent};
use crate::{World, held, signature, template};

/// Codes of the receiver's own, outside WeChat's ranges: the event is no event of ours.
pub const BAD_EVENT: i32 = 1001;
/// Its `type` is not one the receiver knows.
pub const UNKNOWN_TYPE: i32 = 1002;
/// Its signature is missing, wrong, or more than five minutes old or early.
pub const BAD_SIGNATURE: i32 = 1003;
/// The recipient has no openid.
pub const NO_OPENID: i32 = 1004;

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
}

/// The script ends the function here.
pub(crate) struct Died;

/// Runs the function on one event.
pub(crate) async fn run(world: Arc<World>, event: Value, fault: Option<Fault>) -> Ended {
    let fault = fault.as_ref();
    if let Some(What::ReturnedError(code)) = fault.map(|fault| &fault.what) {
        let text = crate::errors::with_rid(crate::errors::text(*code));
        return Ended::Answered(
            json!({"errCode": code, "errMsg": format!("openapi.subscribeMessage.send:fail {text}")}),
        );
    }
    match answer(&world, &event, fault).await {
        Ok(answer) => {
            Ended::Answered(serde_json::to_value(answer).expect("an answer is plain JSON"))
        }
        Err(Died) => Ended::Died,
    }
}

async fn answer<'a>(
    world: &Arc<World>,
    event: &'a Value,
    fault: Option<&Fault>,
) -> Result<Answer<'a>, Died> {
    let key = event["key"].as_str().unwrap_or("");
    let kind = event["type"].as_str().unwrap_or("");
    let epoch = event["epoch"].as_i64().unwrap_or(0);
    if !matches!(kind, "notify" | "inquire" | "seal" | "ping") {
        return Ok(refused(
            key,
            "check",
            UNKNOWN_TYPE,
            format!("unknown event type {kind:?}"),
        ));
    }
    if let Some(secret) = &world.settings.signing_secret
        && let Err(why) = signature::check(event, secret, Utc::now())
    {
        return Ok(refused(key, "check", BAD_SIGNATURE, why.to_owned()));
    }
    if kind == "ping" {
        return Ok(Answer {
            ok: true,
            message: "pong".to_owned(),
            ..told("not_seen", key, "check")
        });
    }
    if key.is_empty() {
        return Ok(refused(
            key,
            "check",
            BAD_EVENT,
            "the event has no key".to_owned(),
        ));
    }
    if let Some(What::State(state)) = fault.map(|fault| &fault.what) {
        return Ok(told(state, key, "claim"));
    }
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
            held(&world.receipts).seal(key, epoch, old_after),
            false,
        )),
        _ => notify(world, event, key, epoch, fault).await,
    }
}

/// Receipts, lookup, claim, send, record; in this order.
async fn notify<'a>(
    world: &Arc<World>,
    event: &'a Value,
    key: &'a str,
    epoch: i64,
    fault: Option<&Fault>,
) -> Result<Answer<'a>, Died> {
    let switches = world.switches.get();
    let keeps_receipts = !switches.receipts_off;
    let old_after = Duration::from_millis(switches.claim_old_after_ms);
    if keeps_receipts {
        let standing = held(&world.receipts).look(key, epoch, old_after);
        if standing != Standing::NotSeen {
            return Ok(stands(key, standing, true));
        }
    }
    at(Point::Unsent, fault).await?;
    let recipient = event["recipient"].as_str().unwrap_or("");
    let openid = match fault.map(|fault| &fault.what) {
        Some(What::Lookup(code)) => {
            return Ok(refused(key, "lookup", *code, "lookup failed".to_owned()));
        }
        Some(What::NoOpenid) => None,
        _ => held(&world.staff).openid_of(recipient),
    };
    let Some(openid) = openid else {
        return Ok(refused(
            key,
            "lookup",
            NO_OPENID,
            format!("no openid for {recipient:?}"),
        ));
    };
    if keeps_receipts && !held(&world.receipts).claim(key) {
        let standing = held(&world.receipts).inquire(key, old_after);
        return Ok(stands(key, standing, true));
    }
    at(Point::Claimed, fault).await?;
    let Some(template) = world.settings.templates.first() else {
        return Ok(refused(
            key,
            "lookup",
            BAD_EVENT,
            "no template is configured".to_owned(),
        ));
    };
    let data = template::fill(template, event);
    let sent = send::deliver(
        world,
        Order {
            openid: &openid,
            template_id: &template.id,
            data: &data,
            key,
            event_type: event["eventType"].as_str().unwrap_or(""),
            aggregate_id: event["aggregate"]["id"].as_str().unwrap_or(""),
            scripted: match fault.map(|fault| &fault.what) {
                Some(What::Send(code)) => Some(*code),
                _ => None,
            },
        },
    );
    match sent.await {
        Ok(sent) => {
            at(Point::Unmarked, fault).await?;
            if keeps_receipts {
                held(&world.receipts).mark_sent(key, &sent.msgid.to_string());
            }
            at(Point::Sent, fault).await?;
            Ok(accepted(key, &sent))
        }
        Err(refusal) => {
            let message = format!("openapi.subscribeMessage.send:fail {}", refusal.text);
            // Without receipts these marks are written and never read.
            let mut receipts = held(&world.receipts);
            if is_certain(refusal.code) {
                receipts.release(key);
                Ok(refused(key, "send", refusal.code, message))
            } else {
                receipts.mark_unknown(key);
                Ok(Answer {
                    code: refusal.code,
                    message,
                    ..told("unknown", key, "send")
                })
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
    }
}

fn refused<'a>(key: &'a str, step: &'static str, code: i32, message: String) -> Answer<'a> {
    Answer {
        code,
        message,
        ..told("refused", key, step)
    }
}

fn accepted<'a>(key: &'a str, sent: &Sent) -> Answer<'a> {
    Answer {
        ok: true,
        message: "ok".to_owned(),
        msgid: Some(sent.msgid.to_string()),
        grants_left: sent.grants_left,
        ..told("sent", key, "record")
    }
}

fn stands(key: &str, standing: Standing, wished_to_send: bool) -> Answer<'_> {
    match standing {
        Standing::NotSeen => told("not_seen", key, "claim"),
        Standing::Sent { msgid } => {
            let sent = told("sent", key, "claim");
            Answer {
                ok: true,
                duplicate: wished_to_send,
                msgid: Some(msgid),
                ..sent
            }
        }
        Standing::InProgress => told("in_progress", key, "claim"),
        Standing::Unknown => told("unknown", key, "claim"),
        Standing::Sealed => told("sealed", key, "claim"),
        Standing::Stale { highest_epoch } => Answer {
            message: format!("a call of epoch {highest_epoch} was here"),
            ..told("stale", key, "claim")
        },
    }
}
