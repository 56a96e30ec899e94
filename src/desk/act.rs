//! What an operator may do to one message, each on a page of its own: send again, cancel, note what was done by hand,
//! send to someone else, correct and send.
//!
//! ```text
//! GET  /messages/{name}/resend ──▶ what will change, what may happen twice, and a form with what was seen ([`form`])
//! POST /messages/{name}/resend ──▶ done, or: it changed meanwhile, nothing was done, and this is true now ([`done`])
//! ```
//!
//! The form carries the version of what the person had before their eyes ([`Seen`]); so a double click, or two people at
//! once, do one thing.

mod done;
mod fields;
mod form;

pub(super) use done::act;
pub(super) use form::{form, hand_outcome};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::card::{CardView, labels};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::{Card, Name, cards};
use crate::notification::Status;
use crate::outbox::act::Seen;
use crate::outbox::inspect::{Links, Notification, Standing};
use crate::words::{Voice, say};

/// What can be done to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Resend,
    Cancel,
    Handled,
    Redirect,
    Correct,
}

impl Verb {
    const ALL: [Verb; 5] = [
        Verb::Resend,
        Verb::Handled,
        Verb::Redirect,
        Verb::Correct,
        Verb::Cancel,
    ];

    /// The end of its address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Resend => "resend",
            Verb::Cancel => "cancel",
            Verb::Handled => "handled",
            Verb::Redirect => "redirect",
            Verb::Correct => "correct",
        }
    }

    fn of(word: &str) -> Result<Verb, Trouble> {
        let found = Verb::ALL.into_iter().find(|verb| verb.word() == word);
        found.ok_or(Trouble::NoPage)
    }

    /// The action in the audit log.
    fn action(self) -> &'static str {
        match self {
            Verb::Resend => "retry",
            Verb::Cancel => "cancel",
            Verb::Handled => "handle",
            Verb::Redirect => "redirect",
            Verb::Correct => "correct",
        }
    }

    pub(super) fn label(self, voice: &Voice) -> String {
        match self {
            Verb::Resend => say!(voice, "desk.act.resend"),
            Verb::Cancel => say!(voice, "desk.act.cancel"),
            Verb::Handled => say!(voice, "desk.act.handled"),
            Verb::Redirect => say!(voice, "desk.act.redirect"),
            Verb::Correct => say!(voice, "desk.act.correct"),
        }
    }

    /// Why it makes no sense here, if it makes none.
    fn refused(self, it: &Notification, links: &Links, voice: &Voice) -> Option<String> {
        let in_flight = it.standing == Standing::InFlight;
        let status = voice.standing_of(it);
        match self {
            Verb::Resend => match it.standing {
                Standing::InFlight => Some(say!(voice, "retry.in_flight")),
                Standing::Settled(Status::Delivered) => {
                    Some(say!(voice, "retry.delivered", status = status))
                }
                Standing::Settled(Status::Superseded) if links.later.is_some() => {
                    Verb::Redirect.refused(it, links, voice)
                }
                Standing::Settled(
                    Status::Dead | Status::Expired | Status::Cancelled | Status::Superseded,
                ) => links.newer.map(|_| say!(voice, "retry.superseded")),
                // On hold it has no time at all.
                Standing::Queued
                | Standing::Scheduled
                | Standing::Retrying
                | Standing::Held
                | Standing::AwaitingGrant => {
                    let has_come = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= voice.now);
                    // A limit that has passed is lifted, unless a newer one takes its place in any case.
                    let lifted = has_come(it.expires_at) && links.newer.is_none();
                    (has_come(it.next_attempt_at) && !lifted)
                        .then(|| say!(voice, "retry.due", id = it.id))
                }
            },
            Verb::Cancel => it
                .standing
                .is_settled()
                .then(|| say!(voice, "cancel.settled", status = status)),
            Verb::Handled if links.later.is_some() => Verb::Redirect.refused(it, links, voice),
            Verb::Handled => match (it.standing.word(), &links.handled) {
                ("dead" | "expired", Some(mark)) if mark.outcome != "not_reached" => {
                    let at = voice.when(mark.at);
                    Some(say!(voice, "hand.already", by = shown(&mark.by), at = at))
                }
                ("dead" | "expired", _) => None,
                _ => Some(say!(voice, "hand.nothing", status = status)),
            },
            Verb::Redirect | Verb::Correct => match (&links.later, links.newer) {
                (Some(later), _) => {
                    let by = shown(&later.by);
                    Some(say!(voice, "hand.replaced", by = by, id = later.id))
                }
                (None, _) if in_flight => Some(say!(voice, "retry.in_flight")),
                (None, Some(newer)) => Some(say!(voice, "hand.newer", id = newer)),
                (None, None) => None,
            },
        }
    }
}

/// A way to an act, on the message's page.
pub(super) struct Way {
    pub(super) word: &'static str,
    pub(super) href: String,
    pub(super) label: String,
}

/// What may be done to it, by this visitor.
pub(super) fn ways(visit: &Visit, it: &Notification, links: &Links, voice: &Voice) -> Vec<Way> {
    if !visit.may_act() {
        return Vec::new();
    }
    Verb::ALL
        .into_iter()
        .filter(|verb| verb.refused(it, links, voice).is_none())
        .map(|verb| Way {
            word: verb.word(),
            href: visit.at(&format!("/messages/{}/{}", it.key, verb.word())),
            label: verb.label(voice),
        })
        .collect()
}

/// A message as an act finds it.
struct Found {
    card: Card,
}

impl Found {
    fn it(&self) -> &Notification {
        &self.card.it
    }

    /// What was seen may be done, or why not.
    fn refused(&self, verb: Verb, voice: &Voice) -> Option<String> {
        verb.refused(self.it(), &self.card.links, voice)
    }

    /// As the form of an act sends it back.
    fn seen(&self) -> String {
        Seen::of(self.it(), &self.card.links).to_string()
    }

    async fn view(
        &self,
        conn: &mut PgConnection,
        visit: &Visit,
        voice: &Voice,
    ) -> Result<CardView, Trouble> {
        let it = self.it();
        let labels = labels(conn, visit, std::slice::from_ref(it)).await?;
        Ok(CardView::of(
            &self.card,
            labels.get(&it.key.0),
            visit,
            voice,
        ))
    }
}

/// The one of this name. After a failover an id may name two, which have to be told apart by their keys.
async fn find(conn: &mut PgConnection, voice: &Voice, name: &str) -> Result<Found, Trouble> {
    let asked: Name = name.parse().map_err(|_| Trouble::NotFound(shown(name)))?;
    let mut read = asked.read(&mut *conn).await?;
    match (read.pop(), read.is_empty()) {
        (Some(it), true) => found(conn, voice, it).await,
        (Some(_), false) => Err(Trouble::TwoBearIt(shown(name))),
        (None, _) => Err(Trouble::NotFound(shown(name))),
    }
}

async fn found(conn: &mut PgConnection, voice: &Voice, it: Notification) -> Result<Found, Trouble> {
    let mut cards = cards(conn, voice, vec![it]).await?;
    let card = cards.pop().ok_or(Trouble::Unasked)?;
    Ok(Found { card })
}
