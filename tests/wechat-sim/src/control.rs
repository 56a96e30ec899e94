//! The simulator's own paths, `/sim/…`, on the same listener: what it saw, and its switches.
//!
//! ```text
//! GET  /sim/messages?after=SEQ   {"messages":[…]}, in order
//! GET  /sim/calls                totals, calls by key, the calls themselves with ?after=SEQ
//! GET  /sim/summary              {"calls","messages","keys","twice","token_calls","max_concurrent",…}
//! GET  /sim/switches             how the switches stand
//! POST /sim/switch               any of them, and the acts below; answers how they stand then
//! GET  /sim/grants               {recipient: n}, of those whose permissions have an end
//! POST /sim/grants               {"recipient":…,"n":…}; n null = without end
//! POST /sim/allow                {"recipient":…}; a tap on "allow": one more
//! POST /sim/openid               {"recipient":…,"openid":…}; null = none
//! ```
//!
//! Acts within `/sim/switch`: `"reset":true`, `"revoke_tokens":true`, `"expire_tokens":true`,
//! `"poison_token":true`, `"closed_for_ms":5000` (the listener closes, then opens again).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ledger::Ledger;
use crate::server::Gate;
use crate::switches::Switches;
use crate::wire::{Reply, Request, Response};
use crate::{World, held};

pub(crate) async fn answer(world: &Arc<World>, request: &Request) -> Reply {
    let after = request.parameter("after").parse::<usize>();
    let answered = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/sim/messages") => Ok(world
            .ledger
            .look(|ledger| messages(ledger, after.unwrap_or(0)))),
        ("GET", "/sim/calls") => Ok(world.ledger.look(|ledger| calls(ledger, after.ok()))),
        ("GET", "/sim/summary") => Ok(world.ledger.look(summary)),
        ("GET", "/sim/switches") => Ok(json!(*world.switches.get())),
        ("GET", "/sim/grants") => Ok(json!(held(&world.staff).grants())),
        ("POST", "/sim/switch") => switch(world, &request.body),
        ("POST", "/sim/grants") => grants(world, &request.body),
        ("POST", "/sim/allow") => allow(world, &request.body).await,
        ("POST", "/sim/openid") => openid(world, &request.body),
        _ => return Reply::status(404),
    };
    match answered {
        Ok(body) => Reply::json(&body),
        Err(error) => Reply::Whole(Response::new(
            400,
            "application/json",
            json!({"error": error.to_string()}).to_string(),
        )),
    }
}

fn messages(ledger: &Ledger, after: usize) -> Value {
    let from = after.min(ledger.messages().len());
    json!({"messages": ledger.messages()[from..].iter().map(|message| &**message).collect::<Vec<_>>()})
}

fn calls(ledger: &Ledger, after: Option<usize>) -> Value {
    let by_key: BTreeMap<&str, usize> = ledger.keys().map(|(key, calls, _)| (key, calls)).collect();
    let mut body = summary(ledger);
    body["by_key"] = json!(by_key);
    if let Some(after) = after {
        let from = after.min(ledger.calls().len());
        body["list"] = json!(
            ledger.calls()[from..]
                .iter()
                .map(|call| &**call)
                .collect::<Vec<_>>()
        );
    }
    body
}

fn summary(ledger: &Ledger) -> Value {
    json!({
        "calls": ledger.calls().len(),
        "messages": ledger.messages().len(),
        "keys": ledger.keys().filter(|(_, _, messages)| *messages > 0).count(),
        "twice": ledger.twice().len(),
        "token_calls": ledger.token_calls().len(),
        "direct_sends": ledger.direct_sends(),
        "in_flight": ledger.in_flight(),
        "max_concurrent": ledger.max_concurrent(),
        "redirects_followed": ledger.redirects_followed(),
        "referers": ledger.referers(),
    })
}

/// Acts that are over at once, unlike a switch, which stays.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Acts {
    reset: bool,
    revoke_tokens: bool,
    expire_tokens: bool,
    poison_token: bool,
    closed_for_ms: Option<u64>,
}

fn switch(world: &Arc<World>, body: &[u8]) -> serde_json::Result<Value> {
    let mut wanted: Map<String, Value> = serde_json::from_slice(body)?;
    let acts: Acts = serde_json::from_value(Value::Object(wanted.clone()))?;
    for act in [
        "reset",
        "revoke_tokens",
        "expire_tokens",
        "poison_token",
        "closed_for_ms",
    ] {
        wanted.remove(act);
    }
    world.switches.set(|switches| {
        let start = if acts.reset {
            Switches::default()
        } else {
            switches.clone()
        };
        let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(start)?)?;
        fields.extend(wanted);
        // An unknown name is refused as a whole: a switch misspelt must not look switched.
        *switches = serde_json::from_value(Value::Object(fields))?;
        Ok::<_, serde_json::Error>(())
    })?;
    let mut tokens = held(&world.tokens);
    if acts.revoke_tokens {
        tokens.revoke();
    }
    if acts.expire_tokens {
        tokens.expire();
    }
    if acts.poison_token {
        tokens.poison();
    }
    drop(tokens);
    if let Some(ms) = acts.closed_for_ms {
        close_for(world, Duration::from_millis(ms));
    }
    Ok(json!(*world.switches.get()))
}

fn close_for(world: &Arc<World>, time: Duration) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        // The answer to this very request goes out first.
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.gate.send_replace(Gate::Closed);
        tokio::time::sleep(time).await;
        world.gate.send_if_modified(|gate| {
            let was_closed = *gate == Gate::Closed;
            if was_closed {
                *gate = Gate::Open;
            }
            was_closed
        });
    });
}

#[derive(Deserialize)]
struct Grants {
    recipient: String,
    n: Option<u32>,
}

fn grants(world: &World, body: &[u8]) -> serde_json::Result<Value> {
    let Grants { recipient, n } = serde_json::from_slice(body)?;
    world.set_grants(&recipient, n);
    Ok(json!({"recipient": recipient, "n": n}))
}

#[derive(Deserialize)]
struct Tap {
    recipient: String,
}

async fn allow(world: &Arc<World>, body: &[u8]) -> serde_json::Result<Value> {
    let Tap { recipient } = serde_json::from_slice(body)?;
    world.allow(&recipient).await;
    Ok(json!({"recipient": recipient}))
}

#[derive(Deserialize)]
struct Openid {
    recipient: String,
    openid: Option<String>,
}

fn openid(world: &World, body: &[u8]) -> serde_json::Result<Value> {
    let Openid { recipient, openid } = serde_json::from_slice(body)?;
    held(&world.staff).set_openid(&recipient, openid.as_deref());
    Ok(json!({"recipient": recipient, "openid": openid}))
}
