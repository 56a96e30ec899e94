//! `POST /tcb/invokecloudfunction`: what the platform checks, the cuts at the function's timeout and at
//! five seconds, and what becomes of the reply on its way back.
//!
//! The function itself is in `receiver`; it runs in a task of its own, so that it can go on after its
//! caller has left.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use crate::errors;
use crate::faults::{Fault, Point, Shape, What, Wire};
use crate::ledger::Call;
use crate::receiver::{self, Ended};
use crate::switches::{ErrorForm, Switches, UndefinedForm};
use crate::wire::{Exchange, Reply, Request, Response};
use crate::{World, held};

/// Another key than anybody asked about.
const FOREIGN_KEY: &str = "00000000-0000-4000-8000-000000000000";

/// Answers the call and writes it down.
pub(crate) async fn answer(world: &Arc<World>, request: &Request) -> Exchange {
    let event: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
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
    world.ledger.call_answered(seq, answered);
    Exchange {
        reply,
        in_flight: Some(in_flight),
    }
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
async fn call(world: &Arc<World>, request: &Request, event: Value) -> (Reply, String) {
    let switches = world.switches.get();
    if let Some(form) = switches.stock_function {
        return (plain(&undefined(form)), "undefined".to_owned());
    }
    if switches.code_error {
        return failed(switches.error_form, Failure::Threw);
    }
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
        Ok(Ended::Died) => None,
        Err(cut) => return failed(switches.error_form, cut),
    };
    match fault.map(|fault| fault.what) {
        Some(What::Outer(code)) => outer(code, errors::text(code)),
        Some(What::Runtime(status)) => (
            plain(&runtime_error(status, 3)),
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

/// How a function failed, seen from the platform.
enum Failure {
    Threw,
    TimedOut { after_s: u64 },
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
    let function = tokio::time::timeout(own, receiver::run(Arc::clone(world), event, fault));
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

/// A failed function in the form that the switches ask for.
fn failed(form: ErrorForm, failure: Failure) -> (Reply, String) {
    let (code, object) = match failure {
        Failure::Threw => (-504_002, runtime_error(430, 0)["resp_data"].take()),
        Failure::TimedOut { after_s } => {
            (-504_003, runtime_error(433, after_s)["resp_data"].take())
        }
    };
    let text = match failure {
        Failure::Threw => errors::text(code).to_owned(),
        Failure::TimedOut { after_s } => format!("Invoking task timed out after {after_s} seconds"),
    };
    let mut body = errors::body_with(code, &text);
    match form {
        ErrorForm::Outer => (plain(&body), format!("outer {code}")),
        ErrorForm::OuterWithData => {
            body["resp_data"] = object;
            (plain(&body), format!("outer {code}"))
        }
        ErrorForm::Inner => (
            plain(&json!({"errcode": 0, "errmsg": "ok", "resp_data": object})),
            format!("runtime for {code}"),
        ),
        ErrorForm::Hang => (Reply::Hang, "hang".to_owned()),
    }
}

fn outer(code: i32, text: &str) -> (Reply, String) {
    (
        plain(&errors::body_with(code, text)),
        format!("outer {code}"),
    )
}

/// WeChat says text/plain here although the body is JSON, so the simulator does too.
fn plain(body: &Value) -> Reply {
    Reply::Whole(Response::new(200, "text/plain", body.to_string()))
}

/// The function's answer as the HTTP API hands it on: a JSON text within JSON.
fn enveloped(answer: &Value) -> Value {
    json!({"errcode": 0, "errmsg": "ok", "resp_data": answer.to_string()})
}

fn undefined(form: UndefinedForm) -> Value {
    match form {
        UndefinedForm::Missing => json!({"errcode": 0, "errmsg": "ok"}),
        UndefinedForm::Empty => json!({"errcode": 0, "errmsg": "ok", "resp_data": ""}),
        UndefinedForm::TextNull => json!({"errcode": 0, "errmsg": "ok", "resp_data": "null"}),
        UndefinedForm::Null => json!({"errcode": 0, "errmsg": "ok", "resp_data": null}),
    }
}

/// Outer errcode 0 around the runtime's own error object.
fn runtime_error(status: u16, after_s: u64) -> Value {
    let (code, message) = match status {
        430 => (1, "user code exception caught".to_owned()),
        433 => (
            -1,
            format!("Invoking task timed out after {after_s} seconds"),
        ),
        429 => (-1, "resource limit reached".to_owned()),
        432 => (-1, "concurrency limit reached".to_owned()),
        _ => (-1, "error".to_owned()),
    };
    let id = errors::with_rid("");
    let object = json!({"errorCode": code, "errorMessage": message, "requestId": id.trim(), "statusCode": status});
    enveloped(&object)
}

/// The answer in one of the shapes that real functions were seen to give it.
fn shaped(answer: &Value, shape: Shape) -> Value {
    let mut answer = answer.clone();
    match shape {
        Shape::WrongKey => answer["key"] = FOREIGN_KEY.into(),
        Shape::NoKey => {
            answer.as_object_mut().map(|fields| fields.remove("key"));
        }
        Shape::CamelErrcode => {
            answer["errCode"] = answer["code"].take();
            answer["errMsg"] = answer["message"].take();
            answer
                .as_object_mut()
                .map(|fields| (fields.remove("code"), fields.remove("message")));
        }
        Shape::TextCodes => {
            answer["code"] = answer["code"].to_string().into();
            return json!({"errcode": "0", "errmsg": "ok", "resp_data": answer.to_string()});
        }
        Shape::Object => return json!({"errcode": 0, "errmsg": "ok", "resp_data": answer}),
        Shape::Encoded(times) => {
            for _ in 0..times {
                answer = answer.to_string().into();
            }
        }
        Shape::Undefined(form) => return undefined(form),
    }
    enveloped(&answer)
}

/// A reply whose bytes go wrong; `body` is what it would have been.
pub(crate) fn broken(world: &World, request: &Request, wire: Wire, body: Option<&Value>) -> Reply {
    let body = body.map_or_else(
        || json!({"errcode": 0, "errmsg": "ok"}).to_string(),
        Value::to_string,
    );
    let truth = Response::new(200, "application/json; encoding=utf-8", body);
    let page = "<html><body><h1>Sorry</h1></body></html>";
    match wire {
        Wire::Hang => Reply::Hang,
        Wire::Reset => Reply::Reset,
        Wire::Close => Reply::Close,
        Wire::Html => Reply::Whole(Response::new(200, "text/html", page)),
        Wire::Empty => Reply::Whole(Response::new(200, "application/json", "")),
        Wire::Garbage => Reply::Whole(Response::new(
            200,
            "application/json",
            [0xff, 0x00, b'{', 0xc3, 0x28, b'}', 0x07],
        )),
        Wire::HalfJson => {
            let half = truth.body[..truth.body.len() / 2].to_vec();
            Reply::Whole(Response {
                body: half,
                ..truth
            })
        }
        Wire::CutBody => Reply::Half(truth),
        Wire::Huge => Reply::Endless,
        Wire::Dribble { head_too } => Reply::Dribble {
            response: truth,
            head_too,
        },
        // The gateway's own refusal of an unmeasured body has no body either.
        Wire::Status { status: 412, .. } => Reply::status(412),
        Wire::Status {
            status,
            retry_after,
        } => {
            let mut response = Response::new(status, "text/html", page);
            response
                .headers
                .extend(retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
            Reply::Whole(response)
        }
        Wire::Redirect(status) => {
            let mut response = Response::new(status, "text/html", page);
            response.headers.push((
                "Location",
                format!("http://{}{}", world.elsewhere, request.target),
            ));
            Reply::Whole(response)
        }
    }
}

fn name(wire: Wire) -> String {
    match wire {
        Wire::Status { status, .. } | Wire::Redirect(status) => format!("http {status}"),
        Wire::Hang => "hang".to_owned(),
        Wire::Reset => "reset".to_owned(),
        Wire::Close => "close".to_owned(),
        Wire::Html => "html".to_owned(),
        Wire::Empty => "empty".to_owned(),
        Wire::Garbage => "garbage".to_owned(),
        Wire::HalfJson => "half-json".to_owned(),
        Wire::CutBody => "cut-body".to_owned(),
        Wire::Huge => "huge".to_owned(),
        Wire::Dribble { .. } => "dribble".to_owned(),
    }
}

/// `sent`, `sent again`, `refused 43101`.
fn summary(answer: &Value) -> String {
    let state = answer["state"].as_str().unwrap_or("no state");
    match (
        answer["duplicate"] == true,
        answer["code"].as_i64().unwrap_or(0),
    ) {
        (true, _) => format!("{state} before"),
        (false, 0) => state.to_owned(),
        (false, code) => format!("{state} {code}"),
    }
}
