//! `why CUSTOMER` and `find TEXT`: the questions support is asked.

use anyhow::Result;
use serde_json::json;

use super::card::print_all;
use super::out::{Form, safe};
use super::{Desk, Exit};
use crate::answer::json::VERSION;
use crate::answer::{Sought, cards, glimpsed, meant, nothing};
use crate::outbox::{inspect, session};
use crate::words::{Lang, Voice, say};

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
    #[arg(value_parser = trimmed)]
    customer: String,
    /// How many, newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=200))]
    limit: i64,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd find 10086        a customer, a recipient, a notification's id or key, a dedupe key
  outboxd find 李女士       a customer's or a recipient's name, or a part of it
  outboxd find 8000         the last four digits of a telephone number, or more of them

Columns in a pipe: those of `outboxd why`. Exit code 3 when nothing is found.")]
pub(super) struct FindArgs {
    /// What is known.
    #[arg(value_parser = trimmed)]
    text: String,
    /// How many, newest first.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=200))]
    limit: i64,
}

/// What was pasted often has spaces around it, and nothing at all would match everything.
fn trimmed(typed: &str) -> Result<String, String> {
    let text = meant(typed);
    if text.is_empty() {
        let lang = Lang::pick(None, |name| std::env::var(name).ok());
        return Err(say!(lang, "error.empty"));
    }
    Ok(text)
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
        let nothing = nothing(&voice, &Sought::Customer(&args.customer), last);
        if desk.out.form == Form::Json {
            desk.out.json(&json!({
                "version": VERSION,
                "notifications": [],
                "verdict": nothing.json(),
            }))?;
        } else {
            desk.out.note(&nothing.happened.join("\n"));
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
    let found = inspect::find(&mut tx, &desk.settings.paths, &args.text, args.limit).await?;
    let mut read = inspect::read(&mut tx, &found.hits).await?;
    read.sort_by_key(|it| !inspect::is_called(it, &args.text));
    let matches = inspect::matches(
        &mut tx,
        &desk.settings.paths,
        &read,
        &args.text,
        found.read_through,
    )
    .await?;
    let mut cards = cards(&mut tx, &voice, read).await?;
    tx.commit().await?;
    for (card, matched) in cards.iter_mut().zip(matches) {
        card.found = matched.map(|matched| glimpsed(matched, &card.it, &args.text));
    }
    let payloads_unread = found.read_through.is_some_and(|read| !read.payloads);
    if desk.out.form == Form::Json {
        let notifications: Vec<_> = cards.iter().map(|card| card.json(&voice)).collect();
        desk.out.json(&json!({
            "version": VERSION,
            "notifications": notifications,
            "read_through": found.read_through.map(|read| read.newest),
            "payloads_read": !payloads_unread,
        }))?;
    } else {
        // What the list is comes before the list.
        match (cards.is_empty(), found.read_through) {
            (true, Some(_)) if payloads_unread => {
                let nothing = nothing(&voice, &Sought::Unread(&args.text), None);
                desk.out.note(&nothing.happened.join("\n"));
            }
            (true, Some(read)) => {
                let (text, n) = (safe(&args.text), read.newest);
                desk.out
                    .note(&say!(voice, "none.found", text = text, n = n));
            }
            (false, Some(read)) => {
                let n = read.newest;
                desk.out.note(&say!(voice, "more.read_through", n = n));
            }
            (true, None) => {
                let text = safe(&args.text);
                desk.out.note(&say!(voice, "none.nowhere", text = text));
            }
            (false, None) => {}
        }
        if payloads_unread && !cards.is_empty() {
            desk.out.note(&say!(voice, "more.no_payloads"));
        }
        print_all(&cards, &desk.out, &voice)?;
        more(desk, cards.len(), args.limit, &voice);
    }
    Ok(if cards.is_empty() {
        Exit::NotFound
    } else {
        Exit::Ok
    })
}
