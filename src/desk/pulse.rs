//! The few numbers in the head of every page: what the overview knows of every app, in sum.

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::page::Frame;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::answer::json::{VERSION, stamps};
use crate::outbox::inspect::Capped;
use crate::words::{Voice, say};

struct Numbers {
    due: Capped,
    oldest_due_at: Option<DateTime<Utc>>,
    /// Given up within the last 24 hours.
    dead: i64,
    /// Apps that are paused, broken, or served by nobody.
    stuck: Vec<String>,
    voice: Voice,
}

#[derive(Template)]
#[template(path = "pulse.html")]
struct PulsePage {
    frame: Frame,
    due: String,
    oldest: Option<String>,
    dead: i64,
    stuck: Option<String>,
    /// When these were read.
    at: String,
}

pub(super) async fn pulse(visit: Visit) -> Result<Response, Trouble> {
    let numbers = numbers(&visit).await?;
    let voice = numbers.voice;
    let page = PulsePage {
        frame: Frame::new(&visit, "", ""),
        due: numbers.due.to_string(),
        oldest: numbers.oldest_due_at.map(|at| voice.span(voice.now - at)),
        dead: numbers.dead,
        stuck: (!numbers.stuck.is_empty())
            .then(|| say!(voice, "desk.pulse.stuck", apps = numbers.stuck.join(", "))),
        at: voice.exact(voice.now),
    };
    visit.answer(&page, || {
        json!({
            "version": VERSION, "due": numbers.due.n, "due_is_more": numbers.due.more,
            "oldest_due_at": stamps(numbers.oldest_due_at, &voice), "dead_24h": numbers.dead, "stuck": numbers.stuck,
        })
    })
}

async fn numbers(visit: &Visit) -> Result<Numbers, Trouble> {
    let (apps, voice) = super::overview::stats(visit).await?;
    let dead = apps.iter().flat_map(|app| &app.trouble);
    Ok(Numbers {
        due: Capped {
            n: apps.iter().map(|app| app.due.n).sum(),
            more: apps.iter().any(|app| app.due.more),
        },
        oldest_due_at: apps.iter().filter_map(|app| app.oldest_due_at).min(),
        dead: dead.map(|trouble| trouble.count).sum(),
        stuck: apps
            .iter()
            .filter(|app| {
                let open = app.breaker.as_deref().is_some_and(|word| word != "closed");
                app.paused_at.is_some() || open || app.unserved_since.is_some()
            })
            .map(|app| super::visit::shown(&app.app))
            .collect(),
        voice,
    })
}
