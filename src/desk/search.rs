//! The search: one box for whatever is known, and a verdict for each customer, recipient and event.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::card::{CardView, grouped, labels};
use super::page::Frame;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::answer::json::VERSION;
use crate::answer::{Card, Sought, cards, glimpsed, meant, nothing};
use crate::outbox::inspect;
use crate::words::say;

/// The newest notifications that a search shows.
const LIMIT: i64 = 30;
/// Longer than any name, number or key.
const LONGEST: usize = 200;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    q: String,
    /// `None` before anything was asked.
    answer: Option<Answer>,
}

struct Answer {
    cards: Vec<CardView>,
    /// That there is no message, and what it means.
    nothing: Option<NoMessageView>,
    /// What was and was not looked through.
    notes: Vec<String>,
}

struct NoMessageView {
    happened: [String; 2],
    who: &'static str,
}

pub(super) async fn home(visit: Visit) -> Result<Response, Trouble> {
    // Without the slash a browser would not send the cookies of the prefix.
    if visit.path().is_empty() {
        return Ok(Redirect::to(&visit.at("/")).into_response());
    }
    let page = SearchPage {
        frame: Frame::new(&visit, say!(visit.lang, "desk.search.title"), "/"),
        q: String::new(),
        answer: None,
    };
    visit.answer(&page, || Value::Null)
}

pub(super) async fn search(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Trouble> {
    // A control character came along with a copied text, and no name has any.
    let q = meant(&asked.q.replace(char::is_control, " "));
    let q: String = q.chars().take(LONGEST).collect();
    if q.is_empty() {
        if visit.json {
            return Err(Trouble::Unasked);
        }
        return Ok(Redirect::to(&visit.at("/")).into_response());
    }
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let found = inspect::find(&mut tx, &visit.desk.labels.paths(), &q, LIMIT).await?;
    let mut read = inspect::read(&mut tx, &found.hits).await?;
    read.sort_by_key(|it| !inspect::is_called(it, &q));
    let matches = inspect::matches(
        &mut tx,
        &visit.desk.labels.paths(),
        &read,
        &q,
        found.read_through,
    )
    .await?;
    let labels = labels(&mut tx, &visit, &read).await?;
    let mut cards: Vec<Card> = cards(&mut tx, &voice, read).await?;
    for (card, matched) in cards.iter_mut().zip(matches) {
        card.found = matched.map(|matched| glimpsed(matched, &card.it, &q));
    }
    let mut answer = Answer {
        cards: Vec::new(),
        nothing: None,
        notes: Vec::new(),
    };
    let mut no_message = None;
    let unread = found.read_through.is_some_and(|read| !read.payloads);
    if cards.is_empty() {
        let last = inspect::last_written(&mut tx).await?;
        let sought = match unread {
            true => Sought::Unread(&q),
            false => Sought::Text(&q),
        };
        let nothing = nothing(&voice, &sought, last);
        answer.nothing = Some(NoMessageView {
            happened: nothing.happened.clone(),
            who: voice.who(nothing.who),
        });
        no_message = Some(nothing);
    }
    tx.commit().await?;
    match (cards.is_empty(), found.read_through) {
        // The verdict has said it.
        (true, Some(_)) if unread => {}
        (true, Some(read)) => {
            let note = say!(voice, "desk.search.looked_through", n = read.newest);
            answer.notes.push(note);
        }
        (false, Some(read)) => {
            let note = say!(voice, "more.read_through", n = read.newest);
            answer.notes.push(note);
        }
        (true | false, None) => {}
    }
    if unread && !cards.is_empty() {
        answer.notes.push(say!(voice, "more.no_payloads"));
    }
    if i64::try_from(cards.len()).is_ok_and(|n| n >= LIMIT) {
        answer
            .notes
            .push(say!(voice, "desk.search.limit", n = LIMIT));
    }
    let view = |card: &Card| CardView::of(card, labels.get(&card.it.key.0), &visit, &voice);
    answer.cards = grouped(&cards, view);
    let page = SearchPage {
        frame: Frame::new(&visit, say!(visit.lang, "desk.search.title"), "/"),
        q,
        answer: Some(answer),
    };
    // The same objects as `outboxd find --json`.
    visit.answer(&page, || {
        let notifications: Vec<Value> = cards.iter().map(|card| card.json(&voice)).collect();
        let mut document = json!({
            "version": VERSION,
            "notifications": notifications,
            "read_through": found.read_through.map(|read| read.newest),
            "payloads_read": found.read_through.is_none_or(|read| read.payloads),
        });
        if let Some(nothing) = no_message {
            document["verdict"] = nothing.json();
        }
        document
    })
}
