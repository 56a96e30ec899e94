//! The reply of `invokecloudfunction` in every shape it was seen in, was guessed to have, or is broken
//! into by a fault.
//!
//! Nothing here decides what happens; `invoke` and `receiver` have done that.

use serde_json::{Value, json};

use crate::errors;
use crate::faults::{Quote, Shape, Wire};
use crate::switches::{ErrorForm, UndefinedForm};
use crate::wire::{Reply, Request, Response};
use crate::{World, held};

/// Another key than anybody asked about.
const FOREIGN_KEY: &str = "00000000-0000-4000-8000-000000000000";

/// How a function failed, seen from the platform.
pub(crate) enum Failure {
    Threw,
    TimedOut { after_s: u64 },
}

/// An outer errcode.
pub(crate) fn outer(code: i32, text: &str) -> (Reply, String) {
    (
        plain(&errors::body_with(code, text)),
        format!("outer {code}"),
    )
}

/// A failed function in the form that the switches ask for.
pub(crate) fn failed(form: ErrorForm, failure: Failure) -> (Reply, String) {
    let (code, text, object) = match failure {
        Failure::Threw => (
            -504_002,
            errors::text(-504_002).to_owned(),
            runtime_error(430, 0),
        ),
        Failure::TimedOut { after_s } => {
            (-504_003, timed_out(after_s), runtime_error(433, after_s))
        }
    };
    match form {
        ErrorForm::Outer => outer(code, &text),
        ErrorForm::OuterWithData => {
            let mut body = errors::body_with(code, &text);
            body["resp_data"] = object.to_string().into();
            (plain(&body), format!("outer {code}"))
        }
        ErrorForm::Inner => (
            plain(&enveloped(&object)),
            format!("runtime {}", object["statusCode"]),
        ),
        ErrorForm::Hang => (Reply::Hang, "hang".to_owned()),
    }
}

/// The error object of the runtime below the cloud function.
pub(crate) fn runtime_error(status: u16, after_s: u64) -> Value {
    let (code, message) = match status {
        430 => (1, "user code exception caught".to_owned()),
        433 => (-1, timed_out(after_s)),
        429 => (-1, "resource limit reached".to_owned()),
        432 => (-1, "concurrency limit reached".to_owned()),
        _ => (-1, "error".to_owned()),
    };
    let id = format!("{:032x}", rand::random::<u128>());
    json!({"errorCode": code, "errorMessage": message, "requestId": id, "statusCode": status})
}

fn timed_out(after_s: u64) -> String {
    format!("Invoking task timed out after {after_s} seconds")
}

/// WeChat says text/plain here although the body is JSON, so the simulator does too.
pub(crate) fn plain(body: &Value) -> Reply {
    Reply::Whole(Response::new(200, "text/plain", body.to_string()))
}

/// The function's answer as the HTTP API hands it on: a JSON text within JSON.
pub(crate) fn enveloped(answer: &Value) -> Value {
    json!({"errcode": 0, "errmsg": "ok", "resp_data": answer.to_string()})
}

/// `undefined`, in one of the four forms it may take.
pub(crate) fn undefined(form: UndefinedForm) -> Value {
    match form {
        UndefinedForm::Missing => json!({"errcode": 0, "errmsg": "ok"}),
        UndefinedForm::Empty => json!({"errcode": 0, "errmsg": "ok", "resp_data": ""}),
        UndefinedForm::TextNull => json!({"errcode": 0, "errmsg": "ok", "resp_data": "null"}),
        UndefinedForm::Null => json!({"errcode": 0, "errmsg": "ok", "resp_data": null}),
    }
}

/// The answer in one of the shapes that real functions were seen to give it.
pub(crate) fn shaped(answer: &Value, shape: Shape) -> Value {
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
        Wire::Quote(quote) => quoting(world, request, quote),
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

/// A reply that gives back what must not be repeated: the token of the URL, the body, the person's openid.
fn quoting(world: &World, request: &Request, quote: Quote) -> Reply {
    let body = String::from_utf8_lossy(&request.body);
    let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let recipient = event["recipient"].as_str().unwrap_or("");
    let openid = held(&world.staff).openid_of(recipient).unwrap_or_default();
    let target = &request.target;
    let all = format!("no luck with {body} for openid {openid} at http://sim{target}");
    match quote {
        Quote::Page => {
            let links = format!("<a href=\"http://sim{target}\">again</a> ").repeat(9);
            let page = format!("<html><body>{links}{all}</body></html>");
            Reply::Whole(Response::new(200, "text/html", page))
        }
        Quote::GatewayPage => Reply::Whole(Response::new(
            502,
            "text/html",
            format!("<html>{all}</html>"),
        )),
        Quote::Errmsg => Reply::json(&errors::body_with(-1, &all)),
        Quote::Message => {
            let refused = json!({"ok": false, "state": "refused", "key": event["key"], "code": 47003,
                "message": all, "step": "send"});
            plain(&enveloped(&refused))
        }
    }
}

/// A wire fault in the ledger's words.
pub(crate) fn name(wire: Wire) -> String {
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
        Wire::Quote(_) => "quote".to_owned(),
        Wire::Dribble { .. } => "dribble".to_owned(),
    }
}

/// An answer in the ledger's words: `sent`, `sent before`, `refused 43101`.
pub(crate) fn summary(answer: &Value) -> String {
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
