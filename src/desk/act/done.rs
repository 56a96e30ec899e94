//! The act itself, and the page after it: what was done, or that it changed meanwhile, and what is true now.

use askama::Template;
use axum::Form as Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::TimeDelta;
use serde_json::json;
use sqlx::postgres::PgConnection;

use super::fields::{Wrong, added, corrected};
use super::form::{FIELD, Typed, name_of_recipient, page, payload};
use super::{Found, Verb, find, found};
use crate::answer::Name;
use crate::answer::json::VERSION;
use crate::answer::life::life;
use crate::answer::told::{self, Told};
use crate::delivery::clean;
use crate::desk::card::CardView;
use crate::desk::page::Frame;
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Visit, shown};
use crate::notification::NotificationId;
use crate::outbox::act::{self, AsSeen, By, Change, Doubt, HandOutcome, Looked, Replaced, Seen};
use crate::outbox::inspect::Act;
use crate::words::mask::safe;
use crate::words::{Voice, say};

/// Longer than any reason anybody reads.
const REASON: usize = 500;
/// As the table has it.
const RECIPIENT: usize = 255;

#[derive(Template)]
#[template(path = "acted.html")]
struct ActedPage {
    frame: Frame,
    /// `good`, or `waiting` when nothing was done.
    tone: &'static str,
    mark: &'static str,
    happened: String,
    /// Status before and after.
    change: Option<(String, String)>,
    /// What somebody else did meanwhile.
    meanwhile: Option<String>,
    /// As it is now.
    card: CardView,
    /// The one that was written in its place.
    new: Option<CardView>,
}

/// Reads the form, does it in one transaction, and says what became of it.
pub(in crate::desk) async fn act(
    visit: Visit,
    Path((name, word)): Path<(String, String)>,
    Body(typed): Body<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let verb = Verb::of(&word)?;
    visit.may_try()?;
    let typed = Typed(typed);
    let reason: String = typed.get("reason").chars().take(REASON).collect();
    let by = visit.operator(&reason)?;
    let seen: Seen = typed.get("seen").parse().map_err(|_| Trouble::Unasked)?;
    let named: Name = name.parse().map_err(|_| Trouble::NotFound(shown(&name)))?;
    if !named.is_of(&seen) {
        return Err(Trouble::Unasked);
    }
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let before = match seen.look(&mut tx).await? {
        Looked::Same(it) | Looked::Noted(it) | Looked::Moved(it) => {
            found(&mut tx, &voice, *it).await?
        }
        Looked::Missing => return Err(Trouble::NotFound(shown(&name))),
    };
    let asked = match asked(&mut tx, &visit, verb, &before, &typed, &by, &voice).await? {
        Ok(asked) => asked,
        Err(problem) => {
            return page(&mut tx, &visit, &voice, verb, &before, typed, Some(problem)).await;
        }
    };
    let acted = asked.make(&mut tx, &before, &seen, &by, &voice).await?;
    let response = told_after(&mut tx, &visit, &voice, verb, &before, acted).await?;
    tx.commit().await?;
    Ok(response)
}

/// What is to be done, with all it needs.
enum Asked {
    Resend(Doubt),
    Cancel,
    Handled(HandOutcome),
    /// To whom, with the payload that names them if it names anybody.
    Redirect(String, Option<String>),
    Correct(String),
}

/// What became of it.
struct Acted {
    told: Told,
    new: Option<NotificationId>,
}

/// What was asked for, or the sentence that says what is missing.
async fn asked(
    conn: &mut PgConnection,
    visit: &Visit,
    verb: Verb,
    before: &Found,
    typed: &Typed,
    by: &By,
    voice: &Voice,
) -> Result<Result<Asked, String>, Trouble> {
    if by.reason.is_none() {
        return Ok(Err(say!(voice, "desk.act.needs_reason")));
    }
    Ok(match verb {
        Verb::Resend if typed.get("twice") == "accepted" => Ok(Asked::Resend(Doubt::Accept)),
        Verb::Resend => Ok(Asked::Resend(Doubt::Refuse)),
        Verb::Cancel => Ok(Asked::Cancel),
        Verb::Handled => {
            let chosen = HandOutcome::ALL
                .into_iter()
                .find(|outcome| outcome.word() == typed.get("outcome"));
            chosen
                .map(Asked::Handled)
                .ok_or_else(|| say!(voice, "desk.act.needs_outcome"))
        }
        Verb::Redirect => match typed.get("recipient") {
            "" => Err(say!(voice, "desk.act.needs_recipient")),
            to if to.chars().count() > RECIPIENT => {
                Err(say!(voice, "desk.act.long_recipient", n = RECIPIENT))
            }
            to if to == before.it().recipient => Err(say!(voice, "desk.act.same_recipient")),
            to => match name_of_recipient(conn, visit, before.it()).await? {
                None => Ok(Asked::Redirect(to.to_owned(), None)),
                Some(_) if typed.get("recipient_name").is_empty() => {
                    Err(say!(voice, "desk.act.needs_recipient_name"))
                }
                Some((payload, places)) => places
                    .iter()
                    .try_fold(payload, |payload, place| {
                        corrected(&payload, place, typed.get("recipient_name"))
                    })
                    .map(|payload| Asked::Redirect(to.to_owned(), Some(payload)))
                    .map_err(|wrong| said(wrong, voice)),
            },
        },
        Verb::Correct => match payload(conn, before.it()).await? {
            None => Err(say!(voice, "desk.message.no_payload")),
            Some(payload) => correction(payload, typed, voice).map(Asked::Correct),
        },
    })
}

/// The payload with what was typed into its fields.
fn correction(old: String, typed: &Typed, voice: &Voice) -> Result<String, String> {
    const MOST: usize = 65_536;
    let wrong = |wrong| said(wrong, voice);
    let mut new = old.clone();
    for (name, value) in &typed.0 {
        if let Some(pointer) = name.strip_prefix(FIELD)
            && !value.trim().is_empty()
        {
            new = corrected(&new, pointer, value.trim()).map_err(wrong)?;
        }
    }
    match (typed.get("new_name"), typed.get("new_value")) {
        ("", "") => {}
        ("", _) | (_, "") => return Err(say!(voice, "desk.act.half_a_field")),
        (name, value) => new = added(&new, name, value).map_err(wrong)?,
    }
    if new == old {
        return Err(say!(voice, "desk.act.nothing_typed"));
    }
    if new.len() > MOST {
        return Err(say!(voice, "desk.act.too_long"));
    }
    Ok(new)
}

fn said(wrong: Wrong, voice: &Voice) -> String {
    match wrong {
        Wrong::Unknown => say!(voice, "desk.act.no_such_field"),
        Wrong::Kind(name) => say!(voice, "desk.act.other_kind", field = shown(&name)),
        Wrong::Control => say!(voice, "desk.act.control"),
    }
}

impl Asked {
    async fn make(
        &self,
        conn: &mut PgConnection,
        before: &Found,
        seen: &Seen,
        by: &By,
        voice: &Voice,
    ) -> Result<Acted, Trouble> {
        let it = before.it();
        let alone = |told| Acted { told, new: None };
        Ok(match self {
            Asked::Resend(doubt) => {
                alone(match act::retry_as_seen(conn, seen, by, *doubt).await? {
                    AsSeen::Acted(result) => told::retried(it, result, voice),
                    AsSeen::Moved(_) | AsSeen::Missing => told::moved(it, voice),
                })
            }
            Asked::Cancel => alone(match act::cancel_as_seen(conn, seen, by).await? {
                AsSeen::Acted(result) => told::cancelled(it, result, voice),
                AsSeen::Moved(_) | AsSeen::Missing => told::moved(it, voice),
            }),
            Asked::Handled(outcome) => {
                let done = act::handle_as_seen(conn, seen, *outcome, by).await?;
                alone(told::handled(it, &done, *outcome, voice))
            }
            Asked::Redirect(to, payload) => {
                let change = match payload {
                    Some(payload) => Change::RecipientNamed(to, payload),
                    None => Change::Recipient(to),
                };
                replaced(conn, before, seen, &change, by, voice).await?
            }
            Asked::Correct(payload) => {
                replaced(conn, before, seen, &Change::Payload(payload), by, voice).await?
            }
        })
    }
}

async fn replaced(
    conn: &mut PgConnection,
    before: &Found,
    seen: &Seen,
    change: &Change<'_>,
    by: &By,
    voice: &Voice,
) -> Result<Acted, Trouble> {
    let result = act::replace(conn, seen, change, by).await?;
    Ok(Acted {
        told: told::replaced(before.it(), &result, voice),
        new: match result {
            Replaced::Done { new, .. } | Replaced::Already { new, .. } => Some(new),
            Replaced::InFlight
            | Replaced::Superseded(_)
            | Replaced::NoChange
            | Replaced::Moved(_)
            | Replaced::Missing => None,
        },
    })
}

/// The page after it, from what the transaction sees now.
async fn told_after(
    conn: &mut PgConnection,
    visit: &Visit,
    voice: &Voice,
    verb: Verb,
    before: &Found,
    Acted { mut told, new }: Acted,
) -> Result<Response, Trouble> {
    let now = find(&mut *conn, voice, &before.it().key.to_string()).await?;
    let card = now.view(&mut *conn, visit, voice).await?;
    let new = match new {
        Some(id) => {
            let new = find(&mut *conn, voice, &id.to_string()).await?;
            Some((
                new.card.json(voice),
                new.view(&mut *conn, visit, voice).await?,
            ))
        }
        None => None,
    };
    let life = life(conn, now.card).await?;
    let mut meanwhile = None;
    if told.word != "noted_otherwise" && (told.refused || told.word.starts_with("already")) {
        let last = life.acts.last();
        if last.is_some_and(|act| is_the_same_click(act, visit, verb, voice)) {
            // The second half of a double click: the first has done it.
            told.word = "already_done";
            told.sentence = say!(voice, "desk.act.twice_clicked");
            told.refused = false;
        } else if told.word == "moved" {
            let events = life.events(voice);
            meanwhile = events.last().map(|event| {
                let at = voice.when(event.at);
                say!(
                    voice,
                    "desk.act.meanwhile",
                    at = at,
                    what = safe(&event.text)
                )
            });
        }
    }
    let document = json!({
        "version": VERSION,
        "results": [told.object()],
        "notification": life.card.json(voice),
        "new": new.as_ref().map(|(object, _)| object),
    });
    let (was, is) = (
        voice.standing_of(before.it()),
        voice.standing_of(&life.card.it),
    );
    let page = ActedPage {
        frame: Frame::new(visit, verb.label(voice), ""),
        tone: if told.refused { "waiting" } else { "good" },
        mark: if told.refused { "!" } else { "✓" },
        happened: told.sentence,
        change: (was != is).then_some((was, is)),
        meanwhile,
        card,
        new: new.map(|(_, view)| view),
    };
    let status = if told.refused {
        StatusCode::CONFLICT
    } else {
        StatusCode::OK
    };
    visit.answer_as(status, &page, || document)
}

/// The same person did the same a moment ago.
fn is_the_same_click(act: &Act, visit: &Visit, verb: Verb, voice: &Voice) -> bool {
    const MOMENT: TimeDelta = TimeDelta::seconds(10);
    let me = visit.person.as_ref().map(|person| clean(&person.name));
    act.action == verb.action()
        && me.as_deref() == Some(act.actor.as_str())
        && voice.now - act.at < MOMENT
}
