//! The few numbers in the head of every page. Asked for once in five seconds, however many people look.

use std::time::{Duration, Instant};

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::sync::Mutex;

use super::page::Frame;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::answer::json::{VERSION, stamps};
use crate::outbox::inspect::Capped;
use crate::words::{Voice, say};

const FRESH: Duration = Duration::from_secs(5);

/// The numbers of last time; none when the database did not tell them, which is not asked again at once either.
#[derive(Default)]
pub(super) struct Pulse(Mutex<Option<(Instant, Option<Numbers>)>>);

#[derive(Clone)]
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
}

pub(super) async fn pulse(visit: Visit) -> Result<Response, Trouble> {
    let numbers = {
        let mut known = visit.desk.pulse.0.lock().await;
        match &*known {
            Some((at, numbers)) if at.elapsed() < FRESH => numbers.clone().ok_or(Trouble::Away)?,
            Some(_) | None => {
                let asked = numbers(&visit).await;
                *known = match &asked {
                    // Refused at once, and not for a while: asked anew, and told as what it is.
                    Err(Trouble::NoRight | Trouble::NoSchema) => None,
                    _ => Some((Instant::now(), asked.as_ref().ok().cloned())),
                };
                asked?
            }
        }
    };
    let voice = Voice {
        lang: visit.lang,
        ..numbers.voice
    };
    let page = PulsePage {
        frame: Frame::new(&visit, "", ""),
        due: numbers.due.to_string(),
        oldest: numbers.oldest_due_at.map(|at| voice.span(voice.now - at)),
        dead: numbers.dead,
        stuck: (!numbers.stuck.is_empty())
            .then(|| say!(voice, "desk.pulse.stuck", apps = numbers.stuck.join(", "))),
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
