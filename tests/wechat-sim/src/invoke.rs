//! `POST /tcb/invokecloudfunction`: what the platform checks, the cuts at the function's timeout and at
//! five seconds, and what the ledger is told. What the reply looks like is in `shapes`.
//!
//! The function itself is in `receiver`; it runs in a task of its own, so that it can go on after its
//! caller has left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::errors;
use crate::faults::{Fault, Point, What};
use crate::function;
use crate::ledger::Call;
use crate::receiver::Ended;
use crate::shapes::{
    Failure, broken, enveloped, failed, name, outer, plain, runtime_error, shaped, summary,
    undefined,
};
use crate::switches::Switches;
use crate::wire::{Exchange, Reply, Request};
use crate::{World, held};

/// Answers the call and writes it down.
pub(crate) async fn answer(world: &Arc<World>, request: &Request) -> Exchange {
    let event = read(&request.body);
    let text = |name: &str| event[name].as_str().unwrap_or("").to_owned();
    let (seq, in_flight) = world.ledger.call_begins(Call {
        seq: 0,
        at: Utc::now(),
        key: text("key"),
        kind: text("type"),
        attempt: event["attempt"].as_i64().unwrap_or(0),
        epoch: event["epoch"].as_i64().unwrap_or(0),
        recipient: text("recipient"),
        event_type: text("eventType"),
        answered: None,
    });
    let (reply, answered) = match check(world, request, &event) {
        Ok(()) => call(world, request, event).await,
        Err(Refused::Length) => (Reply::status(412), "http 412".to_owned()),
        Err(Refused::Code(code, text)) => outer(code, text),
    };
    world
        .ledger
        .write(|ledger| ledger.call_answered(seq, answered));
    Exchange {
        reply,
        in_flight: Some(in_flight),
    }
}

/// The event, or null when the body is no JSON. What is JSON but fits no [`Value`] (a number without end,
/// a nest of arrays) costs only the inside of the field that holds it: a JavaScript function would read it.
fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let fields = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(body);
        fields.map_or(Value::Null, |fields| {
            fields
                .into_iter()
                .map(|(name, raw)| {
                    (
                        name,
                        serde_json::from_str(raw.get()).unwrap_or_else(|_| {
                            let is_object = raw.get().starts_with('{');
                            if is_object { json!({}) } else { Value::Null }
                        }),
                    )
                })
                .collect()
        })
    })
}

enum Refused {
    Length,
    Code(i32, &'static str),
}

impl From<i32> for Refused {
    fn from(code: i32) -> Self {
        Self::Code(code, errors::text(code))
    }
}

/// What the platform looks at before it runs anything.
fn check(world: &World, request: &Request, event: &Value) -> Result<(), Refused> {
    if request.method != "POST" {
        return Err(43002.into());
    }
    if request.lacks_length() {
        return Err(Refused::Length);
    }
    held(&world.tokens).check(request.parameter("access_token"))?;
    spend_quota(world)?;
    if request.body.is_empty() {
        return Err(44002.into());
    }
    // `env` and `name` belong into the URL; in the body they are part of the event and count for nothing.
    if request.parameter("name").is_empty() || !event.is_object() {
        return Err((-501_007).into());
    }
    if request.parameter("env") != world.settings.env {
        return Err(Refused::Code(
            -501_000,
            "Param Invalid: env not exists INVALID_ENV",
        ));
    }
    if request.parameter("name") != world.settings.function {
        return Err(Refused::Code(
            -501_000,
            "FunctionName parameter could not be found",
        ));
    }
    Ok(())
}

/// The day's quota, shared by the calls that need a token.
pub(crate) fn spend_quota(world: &World) -> Result<(), i32> {
    let switches = world.switches.get();
    if switches.quota_used_up || switches.quota_left == Some(0) {
        return Err(45009);
    }
    if switches.quota_left.is_some() {
        world.switches.set(|switches| {
            switches.quota_left = switches.quota_left.map(|left| left.saturating_sub(1))
        });
    }
    Ok(())
}

/// Runs the function, unless the script says that it never starts, and makes the reply.
async fn call(world: &Arc<World>, request: &Request, mut event: Value) -> (Reply, String) {
    let switches = world.switches.get();
    if let Some(form) = switches.stock_function {
        return (plain(&undefined(form)), "undefined".to_owned());
    }
    if switches.code_error {
        return failed(switches.error_form, Failure::Threw);
    }
    // What the platform adds to every event that comes over HTTP.
    event["userInfo"] = json!({"appId": world.settings.appid});
    let key = event["key"].as_str().unwrap_or("");
    let recipient = switches
        .everyone
        .as_deref()
        .or(event["recipient"].as_str())
        .unwrap_or("");
    let nth = held(&world.receipts).count_call(key);
    let fault = Fault::parse(recipient).filter(|fault| fault.hits(event["type"] == "notify", nth));
    let replaces_reply = fault.as_ref().is_some_and(|fault| {
        matches!(
            fault.what,
            What::Outer(_) | What::Runtime(_) | What::Wire(_)
        )
    });
    let never_starts = replaces_reply
        && fault
            .as_ref()
            .is_some_and(|fault| fault.point == Point::Unsent);
    let ran = if never_starts {
        Ok(Ended::Died)
    } else {
        run(world, &switches, event, fault.clone()).await
    };
    let answer = match ran {
        Ok(Ended::Answered(answer)) => Some(answer),
        Ok(Ended::Threw) => return failed(switches.error_form, Failure::Threw),
        Ok(Ended::Died) => None,
        Err(cut) => return failed(switches.error_form, cut),
    };
    match fault.map(|fault| fault.what) {
        Some(What::Throw) if answer.is_none() => failed(switches.error_form, Failure::Threw),
        Some(What::Outer(code)) => outer(code, errors::text(code)),
        Some(What::Runtime(status)) => (
            plain(&enveloped(&runtime_error(status, 3))),
            format!("runtime {status}"),
        ),
        Some(What::Wire(wire)) => {
            let body = answer.as_ref().map(enveloped);
            (broken(world, request, wire, body.as_ref()), name(wire))
        }
        Some(What::Shape(shape)) => {
            let answer = answer.unwrap_or_default();
            (plain(&shaped(&answer, shape)), summary(&answer))
        }
        _ => {
            let answer = answer.unwrap_or_default();
            (plain(&enveloped(&answer)), summary(&answer))
        }
    }
}

/// Runs the function under its own timeout, and gives up on it at the trigger's.
async fn run(
    world: &Arc<World>,
    switches: &Switches,
    event: Value,
    fault: Option<Fault>,
) -> Result<Ended, Failure> {
    let own = Duration::from_millis(switches.function_timeout_ms);
    let trigger = Duration::from_millis(switches.http_cut_ms);
    let function = tokio::time::timeout(
        own,
        function::run(Arc::clone(world), event, function::Caller::outboxd(), fault),
    );
    let mut function = tokio::spawn(function);
    match tokio::time::timeout(trigger, &mut function).await {
        Ok(Ok(Ok(ended))) => Ok(ended),
        Ok(Ok(Err(_))) => Err(Failure::TimedOut {
            after_s: own.as_secs(),
        }),
        // A panic of the simulator's own: as loud as the platform allows.
        Ok(Err(_)) => Err(Failure::Threw),
        Err(_) => {
            if !switches.runs_on_after_cut {
                function.abort();
            }
            Err(Failure::TimedOut {
                after_s: trigger.as_secs(),
            })
        }
    }
}
