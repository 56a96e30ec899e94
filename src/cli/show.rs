//! `show ID`: one notification's whole life, in the order it happened.

use anyhow::Result;
use serde_json::json;

use super::out::{Form, safe};
use super::{Desk, Exit};
use crate::answer::json::{VERSION, stamp};
use crate::answer::life::{Life, life};
use crate::answer::{Name, cards};
use crate::outbox::inspect;
use crate::outbox::session;
use crate::words::label::cells;
use crate::words::mask::mask_payload;
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
    for card in cards {
        let payload = if args.payload {
            inspect::payload(&mut tx, card.it.id, card.it.key).await?
        } else {
            None
        };
        let payload = payload.map(|text| mask_payload(&text, &desk.settings.phones));
        let life = life(&mut tx, card).await?;
        match desk.out.form {
            Form::Json => objects.push(life.object(payload, &voice)),
            Form::Terminal | Form::Lines => print(desk, &life, payload.as_deref(), &voice)?,
        }
    }
    tx.commit().await?;
    if desk.out.form == Form::Json {
        desk.out
            .json(&json!({"version": VERSION, "found": true, "notifications": objects}))?;
    }
    Ok(Exit::Ok)
}

fn print(desk: &Desk, life: &Life, payload: Option<&str>, voice: &Voice) -> Result<()> {
    let (card, events) = (&life.card, life.events(voice));
    let out = &desk.out;
    if out.form == Form::Lines {
        for event in &events {
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
    for (name, value) in life.facts(voice) {
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
