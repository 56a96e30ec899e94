//! The two token endpoints, and the question every other endpoint asks: does this token hold?
//!
//! `stable_token` in normal mode hands out the same token with what is left of its life; in the last five
//! minutes a new one, while both work. Force mode kills the old one at once. The tokens of the two
//! endpoints know nothing of each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use crate::errors;
use crate::faults::Wire;
use crate::invoke;
use crate::ledger::TokenCall;
use crate::settings::Settings;
use crate::switches::{Switches, TokenAnswer};
use crate::wire::{Reply, Request};
use crate::{World, held};

/// Forced refreshes a day and app.
const FORCED_A_DAY: u32 = 20;
/// Tokens remembered after their end, so that "expired" and "never existed" get their own codes.
const REMEMBERED: usize = 64;

/// Both kinds of token, and the endpoints' quota.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    stable: Slot,
    plain: Slot,
    minute: Option<(Instant, u32)>,
    today: u32,
}

/// The tokens of one endpoint, the current one last.
#[derive(Debug, Default)]
struct Slot {
    tokens: Vec<Token>,
    forced: Vec<Instant>,
}

#[derive(Debug)]
struct Token {
    text: String,
    until: Instant,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Lives until `until`.
    Natural,
    /// Another one took its place.
    Killed,
    /// Still handed out, but no longer accepted.
    Poisoned,
}

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
                return invoke::broken(world, request, wire, None);
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
    let now = Instant::now();
    match (asked.is_stable, asked.is_forced) {
        (true, false) => Ok(tokens.stable.normal(settings, now)),
        (true, true) => tokens.stable.forced(settings, now),
        (false, _) => Ok(tokens.plain.fetch(settings, now)),
    }
}

impl Tokens {
    /// What is wrong with a token on an ordinary API call.
    pub(crate) fn check(&self, text: &str) -> Result<(), i32> {
        if text.is_empty() {
            return Err(41001);
        }
        let now = Instant::now();
        let Some(token) = [&self.stable, &self.plain]
            .into_iter()
            .find_map(|slot| slot.find(text))
        else {
            return Err(40014);
        };
        match token.end {
            End::Killed | End::Poisoned => Err(40001),
            End::Natural if now >= token.until => Err(42001),
            End::Natural => Ok(()),
        }
    }

    /// Another server forced a refresh: what we handed out is void, and a new one is current.
    pub(crate) fn revoke(&mut self) {
        self.each(|token| token.end = End::Killed);
    }

    pub(crate) fn expire(&mut self) {
        self.each(|token| token.until = Instant::now());
    }

    pub(crate) fn poison(&mut self) {
        self.each(|token| token.end = End::Poisoned);
    }

    fn each(&mut self, change: impl Fn(&mut Token)) {
        self.stable
            .tokens
            .iter_mut()
            .chain(&mut self.plain.tokens)
            .for_each(change);
    }

    fn count(&mut self, switches: &Switches) -> Result<(), i32> {
        let now = Instant::now();
        let (started, in_minute) = self
            .minute
            .filter(|(started, _)| now - *started < Duration::from_secs(60))
            .unwrap_or((now, 0));
        self.minute = Some((started, in_minute + 1));
        self.today += 1;
        if self.today > switches.token_calls_per_day {
            return Err(45009);
        }
        if in_minute >= switches.token_calls_per_minute {
            return Err(45011);
        }
        Ok(())
    }
}

impl Slot {
    /// Normal mode: the current token, or a new one shortly before its end.
    fn normal(&mut self, settings: &Settings, now: Instant) -> (String, Duration) {
        let overlap = settings.overlap();
        match self.tokens.last() {
            Some(token) if token.end != End::Killed && token.until > now + overlap => {
                (token.text.clone(), token.until - now)
            }
            _ => self.issue(settings.token_lifetime, now),
        }
    }

    /// Force mode: a new token, and the previous ones die at once.
    fn forced(&mut self, settings: &Settings, now: Instant) -> Result<(String, Duration), i32> {
        if self
            .forced
            .last()
            .is_some_and(|&last| now - last < settings.forced_refresh_gap)
        {
            return Ok(self.normal(settings, now));
        }
        self.forced
            .retain(|&at| now - at < Duration::from_secs(86_400));
        if self.forced.len() as u32 >= FORCED_A_DAY {
            return Err(45009);
        }
        self.forced.push(now);
        self.tokens
            .iter_mut()
            .filter(|token| token.until > now)
            .for_each(|token| token.end = End::Killed);
        Ok(self.issue(settings.token_lifetime, now))
    }

    /// `/cgi-bin/token`: always a new one; the old one lives on for the overlap.
    fn fetch(&mut self, settings: &Settings, now: Instant) -> (String, Duration) {
        let latest = now + settings.overlap();
        self.tokens
            .iter_mut()
            .for_each(|token| token.until = token.until.min(latest));
        self.issue(settings.token_lifetime, now)
    }

    fn issue(&mut self, lifetime: Duration, now: Instant) -> (String, Duration) {
        // 512 characters, the most that WeChat tells us to keep room for.
        let text: String = (0..32)
            .map(|_| format!("{:016x}", rand::random::<u64>()))
            .collect();
        if self.tokens.len() >= REMEMBERED {
            self.tokens.remove(0);
        }
        self.tokens.push(Token {
            text: text.clone(),
            until: now + lifetime,
            end: End::Natural,
        });
        (text, lifetime)
    }

    fn find(&self, text: &str) -> Option<&Token> {
        // The current one first: it is nearly always that.
        self.tokens.iter().rev().find(|token| token.text == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(lifetime_s: u64) -> Settings {
        Settings {
            token_lifetime: Duration::from_secs(lifetime_s),
            ..Settings::default()
        }
    }

    #[test]
    fn normal_mode_keeps_one_token_and_overlaps_at_its_end() {
        let (settings, start) = (settings(7200), Instant::now());
        let mut slot = Slot::default();
        let (first, left) = slot.normal(&settings, start);
        assert_eq!(left, Duration::from_secs(7200));
        let (again, left) = slot.normal(&settings, start + Duration::from_secs(6899));
        assert_eq!((again, left), (first.clone(), Duration::from_secs(301)));
        let (second, left) = slot.normal(&settings, start + Duration::from_secs(6900));
        assert_ne!(second, first);
        assert_eq!(left, Duration::from_secs(7200));
        let old = slot.find(&first).unwrap();
        assert_eq!(
            (old.end, old.until - start),
            (End::Natural, Duration::from_secs(7200))
        );
    }

    #[test]
    fn force_mode_kills_the_old_one_and_has_its_limits() {
        let (settings, start) = (settings(1_000_000), Instant::now());
        let mut slot = Slot::default();
        let (first, _) = slot.normal(&settings, start);
        let (second, _) = slot.forced(&settings, start).unwrap();
        assert_eq!(slot.find(&first).unwrap().end, End::Killed);
        let (soon, _) = slot
            .forced(&settings, start + Duration::from_secs(29))
            .unwrap();
        assert_eq!(soon, second, "two forced refreshes lie 30 s apart");
        for n in 1..20 {
            slot.forced(&settings, start + Duration::from_secs(30 * n))
                .unwrap();
        }
        assert_eq!(
            slot.forced(&settings, start + Duration::from_secs(30 * 20)),
            Err(45009)
        );
    }
}
