//! Pausing and resuming an app: both need a reason, and act at once on every daemon.
//!
//! The form to resume carries the pause that was seen, so nobody lifts another one unawares. Who pauses what somebody else
//! has paused is told who it was: the page would not show that their own reason is kept nowhere.

use axum::Form as Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;

use super::page;
use crate::answer::gate;
use crate::answer::json::VERSION;
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Answered, Visit, as_json, shown};
use crate::outbox::act::{self, Breaker, By, Pause, Paused};
use crate::words::say;

/// Longer than any reason anybody reads, and than any app's name.
const LONGEST: usize = 500;
/// So long the second half of a double click may take.
const MOMENT: TimeDelta = TimeDelta::seconds(10);

#[derive(Deserialize)]
pub(in crate::desk) struct Order {
    app: String,
    #[serde(default)]
    reason: String,
    /// When the pause began that was seen, empty for none; a program need not say.
    paused_at: Option<String>,
    /// Whether an open breaker is closed, too.
    #[serde(default)]
    now: Option<String>,
}

impl Order {
    fn by(&self, visit: &Visit) -> Result<By, Trouble> {
        let reason: String = self.reason.trim().chars().take(LONGEST).collect();
        let by = visit.operator(&reason)?;
        By::because(&by.actor, &reason).ok_or(Trouble::NoReason)
    }

    /// The beginning of the pause that was seen, if one was seen; `None` when nobody looked.
    fn seen(&self) -> Result<Option<Option<DateTime<Utc>>>, Trouble> {
        match self.paused_at.as_deref() {
            None => Ok(None),
            Some("") => Ok(Some(None)),
            Some(text) => match DateTime::parse_from_rfc3339(text) {
                Ok(at) => Ok(Some(Some(at.to_utc()))),
                Err(_) => Err(Trouble::Unasked),
            },
        }
    }
}

pub(in crate::desk) async fn pause(
    visit: Visit,
    Body(order): Body<Order>,
) -> Result<Response, Trouble> {
    let by = order.by(&visit)?;
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let done = act::pause(&mut tx, &order.app, &by).await?;
    // A mistyped name would pause nothing, and look as if it had.
    if done == (Paused::Done { known: false }) {
        return Err(Trouble::NoApp(shown(&order.app)));
    }
    tx.commit().await?;
    visit.desk.overview.forget_now().await;
    // The same button pressed twice has done it, and needs no word.
    let is_mine = |pause: &Pause| pause.by == by.actor && voice.now - pause.since < MOMENT;
    let is_news = matches!(&done, Paused::Already(pause) if !is_mine(pause));
    let told = gate::paused(&done, &order.app, &voice);
    answer(&visit, &order.app, StatusCode::OK, told, is_news).await
}

pub(in crate::desk) async fn resume(
    visit: Visit,
    Body(order): Body<Order>,
) -> Result<Response, Trouble> {
    let by = order.by(&visit)?;
    let breaker = match order.now {
        Some(_) => Breaker::Close,
        None => Breaker::Leave,
    };
    let app = &order.app;
    let seen = order.seen()?;
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let done = match seen {
        Some(seen) => act::resume_as_seen(&mut tx, app, seen, &by, breaker).await?,
        None => Ok(act::resume(&mut tx, app, &by, breaker).await?),
    };
    tx.commit().await?;
    visit.desk.overview.forget_now().await;
    match done {
        Err(other) => {
            let told = say!(
                voice,
                "desk.system.other_pause",
                app = shown(app),
                by = shown(&other.by),
                since = voice.when(other.since),
                reason = shown(&voice.given(other.reason.as_deref()))
            );
            let told = ("paused_meanwhile", told);
            answer(&visit, app, StatusCode::CONFLICT, told, true).await
        }
        Ok(done) => {
            let (word, mut sentence) = gate::resumed(&done, app, &voice);
            let is_late = word == "not_paused" && matches!(seen, Some(Some(_)));
            if is_late {
                sentence = say!(voice, "desk.system.resumed_before", app = shown(app));
            }
            answer(&visit, app, StatusCode::OK, (word, sentence), is_late).await
        }
    }
}

/// Back to the page, where the app stands as it now is; with the sentence where the page does not show it. A program reads
/// what was done.
async fn answer(
    visit: &Visit,
    app: &str,
    status: StatusCode,
    (word, sentence): (&str, String),
    is_news: bool,
) -> Result<Response, Trouble> {
    if visit.json {
        let done = json!({"version": VERSION, "app": app, "result": word, "sentence": sentence});
        let mut response = as_json(&done);
        *response.status_mut() = status;
        response.extensions_mut().insert(Answered);
        return Ok(response);
    }
    match is_news {
        true => page(visit, status, Some(sentence)).await,
        false => Ok(Redirect::to(&visit.at("/system")).into_response()),
    }
}
