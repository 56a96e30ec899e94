//! The people to phone: whose message was given up or expired, until somebody says what came of the call.
//!
//! Told is not accepted by WeChat: the message stays what it is, and the mark stands beside it. Whoever marks one names
//! what they saw, the mark of an earlier try included, so a second press does nothing and says so.
//!
//! Below them, on the first page: whose time is over while their app stands still, and who is to be asked to allow messages.

mod file;
mod mark;

pub(super) use file::export;
pub(super) use mark::{handled, reveal};

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::asked::{Asked, Chip, STATUS, Turn, Turns, turned};
use super::card::labels;
use super::messages::{APP, RECIPIENT, Row};
use super::page::{Frame, Link};
use super::period::{PERIOD, Period, Span, switch};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::{self as objects, VERSION};
use crate::outbox::act::{HandOutcome, Seen};
use crate::outbox::inspect::{self, Call, Ending, Hit, Notification, Standing, ToPhone};
use crate::words::mask::safe;
use crate::words::{Voice, say};
use mark::Told;

const PAGE: usize = 30;
const BEFORE: &str = "before";
const AFTER: &str = "after";
pub(super) const FILTERS: [&str; 5] = [APP, RECIPIENT, PERIOD, BEFORE, AFTER];
pub(super) const FILE_FILTERS: &[&str] = FILTERS.split_at(4).0;

#[derive(Template)]
#[template(path = "calls.html")]
struct CallsPage {
    frame: Frame,
    spans: Vec<Link>,
    chips: Vec<Chip>,
    told: Option<Told>,
    calls: Vec<CallView>,
    /// Past their limit, and not settled for now; on the first page.
    held: Vec<Row>,
    /// One of each person who has to allow messages first; on the first page.
    awaiting: Vec<Row>,
    /// All that wait for that.
    all_awaiting: String,
    turns: Turns,
    /// The query of this very page, for its forms.
    here: String,
    csv: String,
    /// What was dealt with.
    log: String,
}

struct CallView {
    row: Row,
    /// What is seen, as a form sends it back.
    seen: String,
    tried: Option<String>,
    phone: Phone,
}

enum Phone {
    /// None in the content.
    Missing,
    /// The content may not be read.
    Unread,
    Masked(String),
    InFull(String),
}

struct Asking {
    asked: Asked,
    span: Span,
    app: Option<String>,
    recipient: Option<String>,
    since: Option<DateTime<Utc>>,
    turn: Turn<Ending>,
}

impl Asking {
    fn of(visit: &Visit, voice: &Voice, known: &[&'static str]) -> Result<Asking, Trouble> {
        let asked = Asked::of(visit, known)?;
        let period = Period::back(&asked, visit, voice, Span::Week)?;
        let place = |name| match asked.get(name).map(|text| (text, ending(text))) {
            None => Ok(None),
            Some((_, Some(ending))) => Ok(Some(ending)),
            Some((text, None)) => Err(asked.odd(visit, name, text)),
        };
        let turn = match (place(BEFORE)?, place(AFTER)?) {
            (Some(before), _) => Turn::Before(before),
            (None, Some(after)) => Turn::After(after),
            (None, None) => Turn::Newest,
        };
        Ok(Asking {
            app: asked.owned(APP),
            recipient: asked.owned(RECIPIENT),
            since: period.since,
            span: period.span,
            turn,
            asked,
        })
    }

    async fn read(
        &self,
        conn: &mut PgConnection,
        turn: Turn<Ending>,
        limit: i64,
    ) -> sqlx::Result<Vec<Call>> {
        let asked = ToPhone {
            app: self.app.clone(),
            recipient: self.recipient.clone(),
            since: self.since,
            turn: match turn {
                Turn::Newest => inspect::Turn::Newest,
                Turn::Before(ending) => inspect::Turn::Before(ending),
                Turn::After(ending) => inspect::Turn::After(ending),
            },
            limit,
        };
        inspect::to_phone(conn, &asked).await
    }

    async fn held(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Hit>> {
        let (app, recipient) = (self.app.as_deref(), self.recipient.as_deref());
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        inspect::expired_held(conn, app, recipient, limit).await
    }

    async fn awaiting(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Hit>> {
        let (app, recipient) = (self.app.as_deref(), self.recipient.as_deref());
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        inspect::awaiting_grant(conn, app, recipient, limit).await
    }
}

/// A place in the list, as it goes through an address and back: microseconds and id.
fn ending(text: &str) -> Option<Ending> {
    let (at, id) = text.split_once('.')?;
    Some(Ending {
        at: DateTime::from_timestamp_micros(at.parse().ok()?)?,
        id: id.parse().ok()?,
    })
}

fn place(ending: Ending) -> String {
    format!("{}.{}", ending.at.timestamp_micros(), ending.id)
}

pub(super) async fn calls(visit: Visit) -> Result<Response, Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let response = listed(&mut tx, &visit, &voice, None, None).await?;
    tx.commit().await?;
    Ok(response)
}

/// What came of it, for people; a newer version's word as it is.
pub(super) fn outcome_word(word: &str, voice: &Voice) -> String {
    match HandOutcome::ALL.into_iter().find(|it| it.word() == word) {
        Some(HandOutcome::Told) => say!(voice, "desk.calls.told"),
        Some(HandOutcome::NotReached) => say!(voice, "desk.calls.not_reached"),
        Some(HandOutcome::NotNeeded) => say!(voice, "desk.calls.not_needed"),
        None => safe(word),
    }
}

/// The list, after an act with what came of it.
async fn listed(
    conn: &mut PgConnection,
    visit: &Visit,
    voice: &Voice,
    told: Option<Told>,
    in_full: Option<(Seen, String)>,
) -> Result<Response, Trouble> {
    let asking = Asking::of(visit, voice, &FILTERS)?;
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut turn = asking.turn;
    let mut calls = asking.read(&mut *conn, turn, limit).await?;
    if matches!(turn, Turn::After(_)) && calls.len() < PAGE {
        turn = Turn::Newest;
        calls = asking.read(&mut *conn, turn, limit).await?;
    }
    let (calls, newer, older) = turned(calls, PAGE, turn, |call| call.ending);
    let (held, awaiting) = match turn {
        Turn::Newest => (
            asking.held(&mut *conn).await?,
            asking.awaiting(&mut *conn).await?,
        ),
        Turn::Before(_) | Turn::After(_) => (Vec::new(), Vec::new()),
    };
    let hits: Vec<_> = calls.iter().map(|call| call.hit).collect();
    let mut read = inspect::read(&mut *conn, &hits).await?;
    read.extend(inspect::read(&mut *conn, &held).await?);
    read.extend(inspect::read(&mut *conn, &awaiting).await?);
    let labels = labels(&mut *conn, visit, &read).await?;
    // In the order of the list: by when it ended.
    let found: Vec<(&Call, &Notification)> = calls
        .iter()
        .filter_map(|call| Some((call, read.iter().find(|it| it.key.0 == call.hit.key)?)))
        .collect();
    let of = |hits: &[Hit]| -> Vec<&Notification> {
        let one = |hit: &Hit| read.iter().find(|it| it.key.0 == hit.key);
        hits.iter().filter_map(one).collect()
    };
    let (held, awaiting) = (of(&held), of(&awaiting));
    let plain = asking.asked.without(&[BEFORE, AFTER]);
    let at = |name, ending: Option<Ending>| {
        ending.map(|ending| plain.with(name, place(ending)).href(visit, "/calls"))
    };
    let view = |(call, it): &(&Call, &Notification)| {
        let known = labels.get(&it.key.0);
        let masked = known.and_then(|labels| labels.phone.clone());
        CallView {
            row: Row::of(it, known, visit, voice),
            seen: Seen::of_call(it, tried_at(call)).to_string(),
            tried: tried(call, voice),
            phone: match (&in_full, masked) {
                (Some((seen, phone)), _) if seen.key == it.key => Phone::InFull(phone.clone()),
                (_, Some(phone)) => Phone::Masked(phone),
                (_, None) if known.is_none() => Phone::Unread,
                (_, None) => Phone::Missing,
            },
        }
    };
    let row = |it: &&Notification| Row::of(it, labels.get(&it.key.0), visit, voice);
    let mut chips = Vec::new();
    for (name, key) in [(RECIPIENT, "desk.asked.recipient"), (APP, "desk.asked.app")] {
        if let Some(value) = plain.get(name) {
            chips.push(Chip {
                name: say!(voice, key),
                value: shown(value),
                without: plain.without(&[name]).href(visit, "/calls"),
            });
        }
    }
    let href = asking.asked.href(visit, "");
    let page = CallsPage {
        frame: Frame::new(visit, say!(visit.lang, "desk.nav.calls"), "/calls"),
        spans: switch(&plain, asking.span, visit, voice, "/calls"),
        chips,
        told,
        calls: found.iter().map(view).collect(),
        held: held.iter().map(row).collect(),
        awaiting: awaiting.iter().map(row).collect(),
        all_awaiting: plain
            .without(&[PERIOD])
            .with(STATUS, Standing::AwaitingGrant)
            .href(visit, "/messages"),
        turns: Turns {
            newest: newer.map(|_| plain.href(visit, "/calls")),
            newer: at(AFTER, newer),
            older: at(BEFORE, older),
        },
        here: href
            .split_once('?')
            .map_or_else(String::new, |(_, q)| format!("?{q}")),
        csv: plain.href(visit, "/calls/export.csv"),
        log: visit.at("/audit?action=handle&period=30d"),
    };
    // The objects of `outboxd phone --json`, with what an act has to name.
    visit.answer(&page, || {
        let rows: Vec<Value> = found
            .iter()
            .map(|(call, it)| {
                let mut row = objects::notification(it, voice);
                row["tried"] = json!(tried(call, voice));
                row["seen"] = json!(Seen::of_call(it, tried_at(call)).to_string());
                row
            })
            .collect();
        let plainly = |these: &[&Notification]| -> Vec<Value> {
            let one = |it: &&Notification| objects::notification(it, voice);
            these.iter().map(one).collect()
        };
        json!({
            "version": VERSION, "notifications": rows, "expired_held": plainly(&held),
            "awaiting_grant": plainly(&awaiting),
            "next_before": older.map(place), "next_after": newer.map(place),
        })
    })
}

fn tried_at(call: &Call) -> Option<DateTime<Utc>> {
    call.tried.as_ref().map(|(_, at)| *at)
}

/// Who tried, and when.
fn tried(call: &Call, voice: &Voice) -> Option<String> {
    let (by, at) = call.tried.as_ref()?;
    Some(say!(
        voice,
        "hand.tried",
        by = safe(by),
        at = voice.when(*at)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_sends_comes_back_the_same() {
        let text = "1795354157000123.4711";
        assert_eq!(place(ending(text).unwrap()), text);
        for wrong in ["", "4711", "x.1", "1.x", "9999999999999999999.1"] {
            assert!(ending(wrong).is_none(), "{wrong}");
        }
    }
}
