//! The cloud as the function's SDK sees it: the cloud database and the cloud calls, at `/admin/CALL`. The form
//! of each request is told in `tests/receiver/README.md`.
//!
//! Only a deployed function comes here (see `function`). Each of its calls has an address of its own, so that a
//! message is known to belong to a key, and a scripted fault finds the moment it is meant for.

mod database;
mod openapi;

use std::sync::Arc;

use serde_json::{Value, json};

pub(crate) use database::Database;

use crate::faults::{Point, What};
use crate::function::Running;
use crate::receiver::{Died, at};
use crate::send::{self, Order};
use crate::wire::{Reply, Request, Response};
use crate::{World, errors, held};

/// Where the cloud is; the number of a call follows.
pub(crate) const PATH: &str = "/admin/";

/// The collection in which this cloud's people are; it is answered from the staff, whom tests set.
const USERS: &str = "users";
const RECEIPTS: &str = "outboxd_receipts";

/// Answers one request of the function.
pub(crate) async fn answer(world: &Arc<World>, request: &Request) -> Reply {
    let id = request.path.trim_start_matches(PATH).parse().ok();
    let Some(call) = id.and_then(|id| world.function.call(id)) else {
        return Reply::status(404);
    };
    let answered = if request.body.starts_with(b"--") {
        openapi(world, &call, &request.body).await
    } else {
        database(world, &call, &request.body).await
    };
    answered.unwrap_or_else(|Died| {
        call.kill();
        Reply::Close
    })
}

async fn database(world: &Arc<World>, call: &Running, body: &[u8]) -> Result<Reply, Died> {
    let Ok(given) = serde_json::from_slice::<Value>(body) else {
        return Ok(Reply::status(400));
    };
    let collection = given["collectionName"].as_str().unwrap_or("");
    if collection == USERS {
        at(Point::Unsent, call.fault.as_ref()).await?;
        return Ok(json_reply(people(world, call, &given)));
    }
    let answer = held(&world.function.database).answer(&given);
    let marks_sent = given["data"]
        .as_str()
        .is_some_and(|data| data.contains(r#""state":"sent""#));
    if collection == RECEIPTS && marks_sent {
        at(Point::Sent, call.fault.as_ref()).await?;
    }
    Ok(json_reply(answer))
}

/// Who has the staff ids that are asked for, each as a text and perhaps as a number, too.
fn people(world: &World, call: &Running, given: &Value) -> Value {
    let question = given["query"].as_str().unwrap_or("{}");
    let question: Value = serde_json::from_str(question).unwrap_or_default();
    let asked = question["staffId"]["$in"].as_array();
    let staff_ids = asked.into_iter().flatten().filter_map(Value::as_str);
    let person = |staff_id: &str| {
        let openid = held(&world.staff).openid_of(staff_id)?;
        Some(json!({"_id": staff_id, "staffId": staff_id, "openid": openid}).to_string())
    };
    let list: Vec<String> = match call.fault.as_ref().map(|fault| &fault.what) {
        Some(What::Lookup(code)) => return database::failure(*code, "lookup failed"),
        Some(What::NoOpenid) => Vec::new(),
        _ => staff_ids.filter_map(person).collect(),
    };
    json!({"data": {"list": list}})
}

async fn openapi(world: &Arc<World>, call: &Running, body: &[u8]) -> Result<Reply, Died> {
    let Some((api, order)) = openapi::read(body) else {
        return Ok(Reply::status(400));
    };
    if api != "subscribeMessage.send" {
        return Ok(buffer(openapi::platform_error(-604_100)));
    }
    at(Point::Claimed, call.fault.as_ref()).await?;
    let text = |name: &str| order[name].as_str().unwrap_or("");
    let event = &call.event;
    let sent = send::deliver(
        world,
        Order {
            openid: text("touser"),
            template_id: text("template_id"),
            data: &order["data"],
            key: event["key"].as_str().unwrap_or(""),
            event_type: event["eventType"].as_str().unwrap_or(""),
            aggregate_id: event["aggregate"]["id"].as_str().unwrap_or(""),
            scripted: match call.fault.as_ref().map(|fault| &fault.what) {
                Some(What::Send(code)) => Some(*code),
                _ => None,
            },
        },
    )
    .await;
    at(Point::Unmarked, call.fault.as_ref()).await?;
    Ok(match sent {
        Ok(sent) => said(json!({"errcode": 0, "errmsg": "ok", "msgid": sent.msgid})),
        // What the SDK itself says when nobody answers it.
        Err(refusal) if refusal.code == -501_001 => Reply::Close,
        Err(refusal) if refusal.code <= -600_000 => buffer(openapi::platform_error(refusal.code)),
        Err(refusal) => said(json!({"errcode": refusal.code, "errmsg": refusal.text})),
    })
}

fn said(body: Value) -> Reply {
    buffer(openapi::said(&body.to_string()))
}

fn buffer(body: Vec<u8>) -> Reply {
    Reply::Whole(Response::new(200, "application/octet-stream", body))
}

fn json_reply(mut answer: Value) -> Reply {
    answer["requestId"] = errors::with_rid("").into();
    // This very type tells the SDK that it is no buffer.
    Reply::Whole(Response::new(
        200,
        "application/json; charset=utf-8",
        answer.to_string(),
    ))
}
