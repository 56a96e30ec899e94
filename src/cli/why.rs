//! `why CUSTOMER` and `find TEXT`: the questions support is asked.

use anyhow::Result;
use serde_json::json;

use super::card::{cards, print_all};
use super::json::VERSION;
use super::out::{Form, safe};
use super::{Desk, Exit};
use crate::outbox::{inspect, session};
use crate::words::{Voice, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd why 10086
  outboxd why 10086 --lang zh
  outboxd why 10086 --json | jq -r '.notifications[0].verdict.happened'

Columns in a pipe: id, customer, recipient, event type, status, reason, may have arrived, since,
waiting for, eta, who acts, what happened, what to do. Exit code 3 when there is no notification.")]
pub(super) struct WhyArgs {
    /// The customer's id, as the CRM wrote it (`aggregate_id`).
    customer: String,
    /// How many, newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=200))]
    limit: i64,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd find 10086        a customer, a recipient, a notification's id or key, a dedupe key
  outboxd find 李女士       not a name of these: looked for in the newest 10000 notifications
  outboxd find 8000         the tail of a phone number, likewise

Columns in a pipe: those of `outboxd why`. Exit code 3 when nothing is found.")]
pub(super) struct FindArgs {
    /// What is known.
    text: String,
    /// How many, newest first.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=200))]
    limit: i64,
}

/// One verdict per notification about the customer, or what it means that there is none.
pub(super) async fn why(desk: &Desk, args: &WhyArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::reading(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let hits = inspect::of_customer(&mut tx, &args.customer, args.limit).await?;
    let read = inspect::read(&mut tx, &hits).await?;
    let cards = cards(&mut tx, &voice, read).await?;
    if cards.is_empty() {
        let last = inspect::last_written(&mut tx).await?;
        let sentence = nothing(&voice, &args.customer, last);
        if desk.out.form == Form::Json {
            desk.out.json(&json!({
                "version": VERSION,
                "notifications": [],
                "verdict": {"kind": "no_message", "happened": sentence, "who": "developer"},
            }))?;
        } else {
            desk.out.note(&sentence);
        }
        return Ok(Exit::NotFound);
    }
    tx.commit().await?;
    if desk.out.form == Form::Json {
        let notifications: Vec<_> = cards.iter().map(|card| card.json(&voice)).collect();
        desk.out
            .json(&json!({"version": VERSION, "notifications": notifications}))?;
    } else {
        print_all(&cards, &desk.out, &voice)?;
        more(desk, cards.len(), args.limit, &voice);
    }
    Ok(Exit::Ok)
}

/// The verdict "no message exists": it was not assigned, or the CRM did not enqueue. When the CRM last
/// enqueued anything tells the one from the other.
fn nothing(voice: &Voice, customer: &str, last: Option<chrono::DateTime<chrono::Utc>>) -> String {
    let what = say!(voice, "none.customer", customer = safe(customer));
    match last {
        Some(at) => format!(
            "{what}\n{}",
            say!(voice, "none.others", at = voice.when(at))
        ),
        None => format!("{what}\n{}", say!(voice, "none.ever")),
    }
}

fn more(desk: &Desk, shown: usize, limit: i64, voice: &Voice) {
    if i64::try_from(shown).is_ok_and(|shown| shown >= limit) {
        desk.out.note(&say!(voice, "more.limit", n = limit));
    }
}

/// Whatever bears this name.
pub(super) async fn find(desk: &Desk, args: &FindArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::reading(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let found = inspect::find(&mut tx, args.text.trim(), args.limit).await?;
    let read = inspect::read(&mut tx, &found.hits).await?;
    let cards = cards(&mut tx, &voice, read).await?;
    tx.commit().await?;
    if desk.out.form == Form::Json {
        let notifications: Vec<_> = cards.iter().map(|card| card.json(&voice)).collect();
        desk.out.json(&json!({
            "version": VERSION,
            "notifications": notifications,
            "read_through": found.read_through,
        }))?;
    } else {
        print_all(&cards, &desk.out, &voice)?;
        match (cards.is_empty(), found.read_through) {
            (true, Some(n)) => {
                let text = safe(&args.text);
                desk.out
                    .note(&say!(voice, "none.found", text = text, n = n));
            }
            (true, None) => {}
            (false, Some(n)) => desk.out.note(&say!(voice, "more.read_through", n = n)),
            (false, None) => more(desk, cards.len(), args.limit, &voice),
        }
    }
    Ok(if cards.is_empty() {
        Exit::NotFound
    } else {
        Exit::Ok
    })
}
