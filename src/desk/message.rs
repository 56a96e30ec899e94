//! One message: its verdict, its whole life, and what was in it. On its own address also as a sheet to print, when
//! somebody complains and wants it on paper.

use askama::Template;
use axum::Form as Body;
use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use sqlx::postgres::PgConnection;

use super::act::{Way, hand_outcome, ways};
use super::card::{CardView, labels};
use super::page::{Frame, When};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::{VERSION, harmless};
use crate::answer::life::{Event, Life, life};
use crate::answer::{Name, cards};
use crate::outbox::act;
use crate::outbox::inspect::{self, Link, Links, Notification};
use crate::words::label::is_taken;
use crate::words::mask::{mask_payload, safe};
use crate::words::{Voice, say};

/// Longer than any reason anybody reads.
const REASON: usize = 500;

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    frame: Frame,
    /// More than one only after a failover handed out an id twice.
    messages: Vec<MessageView>,
}

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPage {
    frame: Frame,
    messages: Vec<MessageView>,
    printed: When,
    by: String,
}

struct MessageView {
    card: CardView,
    key: String,
    /// What may be done to it.
    ways: Vec<Way>,
    facts: Vec<(String, String)>,
    events: Vec<EventView>,
    /// `None` where the database's role may not read it.
    payload: Option<String>,
    /// Shown in full, to an operator who has said why.
    revealed: bool,
    /// A receiver of one's own has it, of whom WeChat knows nothing.
    taken: bool,
}

/// A line of the timeline.
struct EventView {
    at: When,
    /// Since it was written.
    after: String,
    text: String,
    tone: &'static str,
    /// How long nothing had been tried before.
    waited: Option<String>,
    /// The stages of a call, and which of them it reached.
    phases: Vec<(String, bool)>,
    took: Option<String>,
    /// The other one, where an act wrote one in the place of another.
    other: Option<(String, String)>,
}

pub(super) async fn message(visit: Visit, Path(name): Path<String>) -> Result<Response, Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let lives = lives(&mut tx, &voice, &name).await?;
    let messages = views(&mut tx, &visit, &voice, &lives).await?;
    tx.commit().await?;
    let page = MessagePage {
        frame: Frame::new(&visit, title(&visit, &messages), ""),
        messages,
    };
    // The same document as `outboxd show --payload --json`.
    visit.answer(&page, || {
        let payloads = page.messages.iter().map(|message| message.payload.clone());
        let objects: Vec<_> = lives
            .iter()
            .zip(payloads)
            .map(|(life, payload)| life.object(payload, &voice))
            .collect();
        json!({"version": VERSION, "found": true, "notifications": objects})
    })
}

pub(super) async fn sheet(visit: Visit, Path(name): Path<String>) -> Result<Response, Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let lives = lives(&mut tx, &voice, &name).await?;
    let messages = views(&mut tx, &visit, &voice, &lives).await?;
    tx.commit().await?;
    let page = SheetPage {
        frame: Frame::new(&visit, title(&visit, &messages), ""),
        messages,
        printed: When::of(voice.now, &voice),
        by: visit
            .person
            .as_ref()
            .map_or_else(String::new, |person| safe(&person.name)),
    };
    visit.answer(&page, || serde_json::Value::Null)
}

#[derive(Deserialize)]
pub(super) struct Why {
    reason: String,
}

/// Shows the payload in full, once, to an operator, and writes down who looked and why.
pub(super) async fn reveal(
    visit: Visit,
    Path(name): Path<String>,
    Body(why): Body<Why>,
) -> Result<Response, Trouble> {
    let reason: String = why.reason.trim().chars().take(REASON).collect();
    let by = visit.operator(&reason)?;
    if by.reason.is_none() {
        return Err(Trouble::NoReason);
    }
    visit.may_see_one_more(&by)?;
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let before = lives(&mut tx, &voice, &name).await?;
    for life in &before {
        act::reveal(&mut tx, life.card.it.id, life.card.it.key, &by).await?;
    }
    // Read again, for the act that was just written belongs to the life.
    let lives = lives(&mut tx, &voice, &name).await?;
    let mut messages = views(&mut tx, &visit, &voice, &lives).await?;
    for (message, life) in messages.iter_mut().zip(&lives) {
        let it = &life.card.it;
        message.payload = laid_out(&mut tx, it).await?.map(|text| harmless(&text));
        message.revealed = message.payload.is_some();
    }
    tx.commit().await?;
    let page = MessagePage {
        frame: Frame::new(&visit, title(&visit, &messages), ""),
        messages,
    };
    visit.answer(&page, || serde_json::Value::Null)
}

fn title(visit: &Visit, messages: &[MessageView]) -> String {
    let id = messages.first().map_or(0, |message| message.card.id);
    say!(visit.lang, "desk.message.title", id = id)
}

/// The lives of the notification with this id or key.
async fn lives(conn: &mut PgConnection, voice: &Voice, name: &str) -> Result<Vec<Life>, Trouble> {
    let asked: Name = name.parse().map_err(|_| Trouble::NotFound(shown(name)))?;
    let read = asked.read(&mut *conn).await?;
    let cards = cards(&mut *conn, voice, read).await?;
    let mut lives = Vec::new();
    for card in cards {
        lives.push(life(&mut *conn, card).await?);
    }
    if lives.is_empty() {
        return Err(Trouble::NotFound(shown(name)));
    }
    Ok(lives)
}

async fn views(
    conn: &mut PgConnection,
    visit: &Visit,
    voice: &Voice,
    lives: &[Life],
) -> Result<Vec<MessageView>, Trouble> {
    let notifications: Vec<Notification> = lives.iter().map(|life| life.card.it.clone()).collect();
    let labels = labels(&mut *conn, visit, &notifications).await?;
    let mut views = Vec::new();
    for life in lives {
        let it = &life.card.it;
        let links = &life.card.links;
        let mut facts = life.facts(voice);
        facts.extend(links.handled.as_ref().map(|mark| {
            let outcome = hand_outcome(&mark.outcome, voice);
            let at = voice.when(mark.at);
            let said = say!(
                voice,
                "desk.act.mark",
                outcome = outcome,
                by = mark.by,
                at = at
            );
            (say!(voice, "desk.act.by_hand"), said)
        }));
        views.push(MessageView {
            card: CardView::of(&life.card, labels.get(&it.key.0), visit, voice),
            key: it.key.to_string(),
            ways: ways(visit, it, links, voice),
            facts: facts
                .into_iter()
                .map(|(name, value)| (name, shown(&value)))
                .collect(),
            events: life
                .events(voice)
                .into_iter()
                .map(|event| {
                    let other = other(&event, links, visit, voice);
                    EventView::of(event, it, other, voice)
                })
                .collect(),
            payload: laid_out(&mut *conn, it)
                .await?
                .map(|text| harmless(&mask_payload(&text, &visit.desk.labels.phone))),
            revealed: false,
            taken: is_taken(it.reason.as_deref()),
        });
    }
    Ok(views)
}

/// Of an act that wrote one notification in the place of another: the one that is not this.
fn other(event: &Event, links: &Links, visit: &Visit, voice: &Voice) -> Option<(String, String)> {
    if !matches!(event.word.as_str(), "redirect" | "correct") {
        return None;
    }
    // One in the middle of a chain has two such acts: each link was written with its act.
    let apart = |link: &&Link| (link.at - event.at).abs();
    let near = [&links.earlier, &links.later];
    let link = near.into_iter().flatten().min_by_key(apart)?;
    let href = visit.at(&format!("/messages/{}", link.key));
    Some((href, say!(voice, "desk.message.title", id = link.id)))
}

/// The payload, a field a line.
async fn laid_out(conn: &mut PgConnection, it: &Notification) -> Result<Option<String>, Trouble> {
    let payloads = inspect::payloads(conn, &[it.id.0]).await?;
    let mut payloads = payloads.into_iter().flatten();
    Ok(payloads
        .find(|(key, _)| *key == it.key.0)
        .map(|(_, text)| text))
}

impl EventView {
    fn of(
        event: Event,
        it: &Notification,
        other: Option<(String, String)>,
        voice: &Voice,
    ) -> EventView {
        // In the order a call goes through them.
        const PHASES: [&str; 4] = ["token", "connect", "sent", "answered"];
        let since = (event.at - it.created_at).max(chrono::TimeDelta::zero());
        let phases = event.tried.as_ref().map_or_else(Vec::new, |tried| {
            let reached = PHASES.iter().position(|phase| *phase == tried.phase);
            PHASES
                .iter()
                .enumerate()
                .map(|(n, phase)| {
                    let there = reached.is_some_and(|reached| n <= reached);
                    match (n, tried.token_ms) {
                        (0, Some(ms)) => {
                            let took = voice.took(ms);
                            (say!(voice, "desk.message.token", took = took), true)
                        }
                        _ => (voice.phase(phase), there),
                    }
                })
                .collect()
        });
        let waited = event.tried.as_ref().and_then(|tried| tried.waited);
        EventView {
            at: When::of(event.at, voice),
            after: voice.span(since),
            text: safe(&event.text),
            tone: match event.word.as_str() {
                "delivered" => "good",
                "failed" | "dead" | "expired" => "bad",
                "unknown" | "in_flight" | "late_answer" => "waiting",
                _ => "quiet",
            },
            waited: waited.map(|span| {
                let span = voice.lasted(span);
                say!(voice, "desk.message.waited", span = span)
            }),
            phases,
            other,
            took: event
                .tried
                .and_then(|tried| tried.latency_ms)
                .map(|ms| voice.took(ms)),
        }
    }
}
