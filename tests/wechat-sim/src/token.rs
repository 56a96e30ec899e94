//! The two token endpoints: who asks, with what, and what is refused. The tokens themselves are made in
//! `issuer`.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use crate::errors;
use crate::faults::Wire;
use crate::ledger::TokenCall;
use crate::switches::TokenAnswer;
use crate::wire::{Reply, Request};
use crate::{World, held, shapes};

/// Answers `GET /cgi-bin/token` and `POST /cgi-bin/stable_token`.
pub(crate) fn answer(world: &Arc<World>, request: &Request) -> Reply {
    if request.lacks_length() {
        return Reply::status(412);
    }
    let is_stable = request.path.ends_with("stable_token");
    let asked = Asked::read(request, is_stable);
    let scripted = world
        .switches
        .set(|switches| switches.next_token_answers.pop_front());
    let decided = match scripted {
        Some(TokenAnswer::Code(code)) => Err(code),
        Some(TokenAnswer::Fault(name)) => {
            if let Some(wire) = Wire::parse(&name) {
                note(world, is_stable, &asked, name, None);
                return shapes::broken(world, request, wire, None);
            }
            Err(-1)
        }
        None => decide(world, request, &asked),
    };
    match decided {
        Ok((token, left)) => {
            note(
                world,
                is_stable,
                &asked,
                "ok".to_owned(),
                Some(token.clone()),
            );
            Reply::json(&json!({"access_token": token, "expires_in": left.as_secs()}))
        }
        Err(code) => {
            note(world, is_stable, &asked, code.to_string(), None);
            Reply::json(&errors::body(code))
        }
    }
}

fn note(world: &World, is_stable: bool, asked: &Asked, answered: String, token: Option<String>) {
    let call = TokenCall {
        seq: 0,
        at: Utc::now(),
        is_stable,
        is_forced: asked.is_forced,
        answered,
        token,
    };
    world.ledger.write(|ledger| ledger.token_was_asked(call));
}

/// The fields of a token request, wherever they stood.
struct Asked {
    is_stable: bool,
    is_json: bool,
    grant_type: String,
    appid: String,
    secret: String,
    is_forced: bool,
}

impl Asked {
    fn read(request: &Request, is_stable: bool) -> Self {
        let body = serde_json::from_slice::<Value>(&request.body)
            .ok()
            .filter(Value::is_object);
        let field = |name: &str| match (&body, is_stable) {
            (Some(body), true) => body[name].as_str().unwrap_or("").to_owned(),
            (_, true) => String::new(),
            (_, false) => request.parameter(name).to_owned(),
        };
        Self {
            is_stable,
            is_json: body.is_some(),
            grant_type: field("grant_type"),
            appid: field("appid"),
            secret: field("secret"),
            is_forced: is_stable
                && body
                    .as_ref()
                    .is_some_and(|body| body["force_refresh"] == true),
        }
    }
}

fn decide(world: &World, request: &Request, asked: &Asked) -> Result<(String, Duration), i32> {
    let settings = &world.settings;
    let switches = world.switches.get();
    if asked.is_stable && request.method != "POST" {
        return Err(43002);
    }
    if asked.is_stable && !asked.is_json {
        return Err(47001);
    }
    // A POST of the fields to /token finds none of them.
    if asked.appid.is_empty() || (!asked.is_stable && request.method != "GET") {
        return Err(41002);
    }
    if asked.secret.is_empty() {
        return Err(41004);
    }
    if asked.grant_type != "client_credential" {
        return Err(40002);
    }
    if let Some(code) = switches.token_refusal {
        return Err(code);
    }
    if asked.appid != settings.appid {
        return Err(40013);
    }
    if switches.wrong_secret || asked.secret != settings.secret {
        return Err(switches.wrong_secret_code);
    }
    let mut tokens = held(&world.tokens);
    tokens.count(&switches)?;
    if asked.is_stable {
        tokens.stable(settings, asked.is_forced)
    } else {
        Ok(tokens.plain(settings))
    }
}
