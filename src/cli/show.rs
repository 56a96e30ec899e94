//! `show ID`: one notification's whole life, in the order it happened.

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::act::Name;
use super::card::{ACTS, Card, cards};
use super::json::{VERSION, stamp};
use super::out::{Form, safe};
use super::{Desk, Exit};
use crate::outbox::inspect::{self, Act, Attempt, Created, WhyNotYet};
use crate::outbox::session;
use crate::words::label::cells;
use crate::words::mask::mask;
use crate::words::{Voice, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd show 4711
  outboxd show 5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a --payload

Columns in a pipe: time, event, what it says. Phone numbers are masked in every form.
With --json the payload is JSON text in a string, so that no number is rounded:
jq '.notifications[0].payload | fromjson'.")]
pub(super) struct ShowArgs {
    /// The notification's id, or its key.
    id: Name,
    /// Print the payload too.
    #[arg(long)]
    pub(super) payload: bool,
}

/// The newest attempts shown of a row that has very many.
const ATTEMPTS: i64 = 200;

struct Event {
    at: DateTime<Utc>,
    word: String,
    text: String,
}

pub(super) async fn show(desk: &Desk, args: &ShowArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::reading(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let read = args.id.read(&mut tx).await?;
    let cards = cards(&mut tx, &voice, read).await?;
    if cards.is_empty() {
        let sentence = say!(voice, "none.id", id = args.id);
        if desk.out.form == Form::Json {
            desk.out.json(&json!({
                "version": VERSION, "found": false, "notifications": [], "sentence": sentence,
            }))?;
        } else {
            desk.out.note(&sentence);
        }
        return Ok(Exit::NotFound);
    }
    let mut objects = Vec::new();
    for card in &cards {
        let attempts = inspect::attempts(&mut tx, card.it.id, ATTEMPTS).await?;
        let acts = inspect::acts(&mut tx, card.it.id, ACTS).await?;
        let created = inspect::created(&mut tx, card.it.id, card.it.key).await?;
        let payload = payload(&mut tx, card, args.payload).await?;
        match desk.out.form {
            Form::Json => objects.push(object(card, &attempts, &acts, created, payload, &voice)),
            Form::Terminal | Form::Lines => {
                let events = timeline(card, &attempts, &acts, &voice);
                print(desk, card, &events, created, payload.as_deref(), &voice)?;
            }
        }
    }
    tx.commit().await?;
    if desk.out.form == Form::Json {
        desk.out
            .json(&json!({"version": VERSION, "found": true, "notifications": objects}))?;
    }
    Ok(Exit::Ok)
}

async fn payload(conn: &mut PgConnection, card: &Card, wanted: bool) -> Result<Option<String>> {
    if !wanted {
        return Ok(None);
    }
    let payload = inspect::payload(conn, card.it.id, card.it.key).await?;
    Ok(payload.map(|text| mask(&text)))
}

/// Written, attempts, acts, the open attempt, settled; sorted by time.
fn timeline(card: &Card, attempts: &[Attempt], acts: &[Act], voice: &Voice) -> Vec<Event> {
    let it = &card.it;
    let mut events = vec![Event {
        at: it.created_at,
        word: "written".to_owned(),
        text: say!(voice, "event.written", by = safe(&it.created_by)),
    }];
    events.extend(attempts.iter().map(|a| {
        let cause = voice.cause(Some(&a.sentence), a.errcode);
        let took = a.latency_ms.map_or_else(String::new, |ms| {
            say!(voice, "event.took", took = voice.took(ms))
        });
        let mut text = say!(
            voice,
            "event.attempt",
            n = a.attempt,
            outcome = voice.outcome(&a.outcome, &a.sentence),
            cause = cause,
            phase = voice.phase(&a.phase),
            took = took,
            daemon = safe(&a.daemon)
        );
        if let Some(detail) = &a.detail {
            text.push_str(&say!(voice, "event.detail", detail = safe(detail)));
        }
        Event {
            at: a.ended_at,
            word: a.outcome.clone(),
            text,
        }
    }));
    events.extend(acts.iter().map(|act| Event {
        at: act.at,
        word: act.action.clone(),
        text: say!(
            voice,
            "event.act",
            actor = safe(&act.actor),
            action = voice.action(&act.action),
            reason = safe(&voice.given(act.reason.as_deref()))
        ),
    }));
    if let Some(WhyNotYet::InFlight {
        daemon,
        attempt,
        since,
        ..
    }) = &card.why
    {
        events.push(Event {
            at: *since,
            word: "in_flight".to_owned(),
            text: say!(voice, "event.in_flight", n = attempt, daemon = safe(daemon)),
        });
    }
    if let Some(at) = it.settled_at {
        let by = it.settled_by.as_deref().unwrap_or_default();
        events.push(Event {
            at,
            word: it.standing.word().to_owned(),
            text: say!(
                voice,
                "event.settled",
                status = voice.standing_of(it),
                by = safe(by),
                cause = voice.cause(it.reason.as_deref(), it.errcode)
            ),
        });
    }
    events.sort_by_key(|event| event.at);
    events
}

fn print(
    desk: &Desk,
    card: &Card,
    events: &[Event],
    created: Option<Created>,
    payload: Option<&str>,
    voice: &Voice,
) -> Result<()> {
    let out = &desk.out;
    if out.form == Form::Lines {
        for event in events {
            out.row(&[
                stamp(event.at, voice),
                event.word.clone(),
                event.text.clone(),
            ])?;
        }
        if let Some(payload) = payload {
            out.row(&[String::new(), "payload".to_owned(), payload.to_owned()])?;
        }
        return Ok(());
    }
    card.print(out, voice)?;
    out.line("")?;
    for (name, value) in facts(card, created, voice) {
        let gap = " ".repeat(LABEL.saturating_sub(cells(&name)));
        out.line(&format!("  {name}{gap} {}", safe(&value)))?;
    }
    out.line("")?;
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            let since = (event.at - card.it.created_at).max(chrono::TimeDelta::zero());
            vec![
                voice.exact(event.at),
                format!("+{}", voice.span(since)),
                event.text.clone(),
            ]
        })
        .collect();
    let header = [
        say!(voice, "column.time"),
        say!(voice, "column.after"),
        say!(voice, "column.event"),
    ];
    out.table(&header, &rows)?;
    if let Some(payload) = payload {
        // Cleaned in pieces: `clean` cuts at 1 KiB, and a payload may be longer.
        let pieces: String = payload
            .split_inclusive(',')
            .map(crate::delivery::clean)
            .collect();
        out.line(&pieces)?;
    }
    Ok(())
}

/// How many cells of a terminal a label takes.
const LABEL: usize = 15;

/// What the card has no room for.
fn facts(card: &Card, created: Option<Created>, voice: &Voice) -> Vec<(String, String)> {
    let it = &card.it;
    let mut facts = vec![
        (say!(voice, "fact.key"), it.key.to_string()),
        (say!(voice, "fact.app"), it.app.clone()),
        (say!(voice, "fact.status"), voice.standing_of(it)),
        (
            say!(voice, "fact.aggregate"),
            format!("{} {}", it.aggregate_type, it.aggregate_id),
        ),
        (say!(voice, "fact.attempts"), it.attempts.to_string()),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add(say!(voice, "fact.msgid"), it.msgid.clone());
    add(say!(voice, "fact.dedupe_key"), it.dedupe_key.clone());
    if let Some(created) = created {
        add(say!(voice, "fact.order_key"), created.order_key);
        add(say!(voice, "fact.collapse_key"), created.collapse_key);
        add(
            say!(voice, "fact.priority"),
            Some(created.priority.to_string()),
        );
        add(say!(voice, "fact.traceparent"), created.traceparent);
    }
    facts
}

fn object(
    card: &Card,
    attempts: &[Attempt],
    acts: &[Act],
    created: Option<Created>,
    payload: Option<String>,
    voice: &Voice,
) -> Value {
    let mut object = card.json(voice);
    object["attempts_made"] = attempts
        .iter()
        .map(|a| {
            json!({
                "attempt": a.attempt, "daemon": a.daemon, "started_at": stamp(a.started_at, voice),
                "ended_at": stamp(a.ended_at, voice), "phase": a.phase, "outcome": a.outcome,
                "errcode": a.errcode, "reason": a.sentence,
                "sentence": voice.cause(Some(&a.sentence), a.errcode),
                "detail": a.detail.as_deref().map(mask), "latency_ms": a.latency_ms,
            })
        })
        .collect();
    object["acts"] = acts
        .iter()
        .map(|act| {
            json!({"at": stamp(act.at, voice), "actor": act.actor, "action": act.action,
                   "reason": act.reason.as_deref().map(mask), "affected": act.affected})
        })
        .collect();
    if let Some(created) = created {
        object["order_key"] = json!(created.order_key.as_deref().map(mask));
        object["collapse_key"] = json!(created.collapse_key.as_deref().map(mask));
        object["priority"] = json!(created.priority);
        object["traceparent"] = json!(created.traceparent);
    }
    if let Some(payload) = payload {
        // As text, so that no number is rounded on the way through a parser.
        object["payload"] = Value::String(payload);
    }
    object
}
