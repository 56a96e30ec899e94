//! The page of an act before it is done: what will change, what may happen twice, and what is asked for.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use sqlx::postgres::PgConnection;

use super::fields::{Field, fields};
use super::{Found, Verb, find};
use crate::answer::Card;
use crate::answer::json::VERSION;
use crate::desk::card::{CardView, Named};
use crate::desk::page::Frame;
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Visit, shown};
use crate::notification::Status;
use crate::outbox::act::HandOutcome;
use crate::outbox::inspect::{self, Notification, Standing};
use crate::words::mask::mask_phone;
use crate::words::{Voice, say};

/// What stands in front of the names of a payload's inputs.
pub(super) const FIELD: &str = "field:";

#[derive(Template)]
#[template(path = "act.html")]
struct ActPage {
    frame: Frame,
    card: CardView,
    verb: &'static str,
    /// Where the form goes, and the way back.
    href: String,
    back: String,
    /// Why it cannot be done; then there is no form.
    refused: Option<String>,
    /// What is wrong with what was typed.
    problem: Option<String>,
    effect: String,
    /// What changes, with its value now and afterwards.
    changes: Vec<(String, String, String)>,
    /// What may happen twice.
    warnings: Vec<String>,
    /// It has to be accepted that it may arrive twice.
    in_doubt: bool,
    outcomes: Vec<Choice>,
    /// The payload names the recipient, and has to name the other one.
    names_recipient: bool,
    fields: Vec<FieldView>,
    typed: Typed,
    seen: String,
}

struct Choice {
    word: &'static str,
    text: String,
    chosen: bool,
}

struct FieldView {
    input: String,
    name: String,
    /// As it is, masked.
    now: String,
    typed: String,
}

/// What came with a form.
#[derive(Default)]
pub(super) struct Typed(pub(super) Vec<(String, String)>);

impl Typed {
    /// Nothing, where nothing was typed.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value.trim())
    }
}

pub(in crate::desk) async fn form(
    visit: Visit,
    Path((name, word)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let verb = Verb::of(&word)?;
    let mut tx = visit.desk.lines.read().await?;
    visit.may_act_or_why()?;
    let voice = visit.voice(&mut tx).await?;
    let found = find(&mut tx, &voice, &name).await?;
    let response = page(
        &mut tx,
        &visit,
        &voice,
        verb,
        &found,
        Typed::default(),
        None,
    )
    .await?;
    tx.commit().await?;
    Ok(response)
}

/// The page, with what was typed so far and what is wrong with it.
pub(super) async fn page(
    conn: &mut PgConnection,
    visit: &Visit,
    voice: &Voice,
    verb: Verb,
    found: &Found,
    typed: Typed,
    problem: Option<String>,
) -> Result<Response, Trouble> {
    let it = found.it();
    let card = found.view(&mut *conn, visit, voice).await?;
    let mut refused = found.refused(verb, voice);
    let mut views = Vec::new();
    let mut names_recipient = false;
    if verb == Verb::Redirect && refused.is_none() {
        names_recipient = name_of_recipient(&mut *conn, visit, it).await?.is_some();
    }
    if verb == Verb::Correct && refused.is_none() {
        match payload(&mut *conn, it).await? {
            Some(payload) => views = field_views(&payload, &typed, visit),
            None => refused = Some(say!(voice, "desk.message.no_payload")),
        }
    }
    let status = match (&problem, &refused) {
        (Some(_), _) => StatusCode::UNPROCESSABLE_ENTITY,
        (None, Some(_)) => StatusCode::CONFLICT,
        (None, None) => StatusCode::OK,
    };
    let document = json!({
        "version": VERSION,
        "act": verb.word(),
        "possible": refused.is_none(),
        "why_not": refused,
        "problem": problem,
        "seen": found.seen(),
        "notification": found.card.json(voice),
    });
    let page = ActPage {
        frame: Frame::new(visit, verb.label(voice), ""),
        verb: verb.word(),
        href: visit.at(&format!("/messages/{}/{}", it.key, verb.word())),
        back: card.href.clone(),
        effect: effect(verb, &found.card, voice),
        changes: changes(verb, &found.card, &card.recipient, visit, voice),
        warnings: warnings(verb, found, &card.recipient, visit, voice),
        in_doubt: verb == Verb::Resend && it.standing.is_settled() && it.may_have_arrived,
        outcomes: outcomes(verb, &typed, voice),
        names_recipient,
        fields: views,
        seen: found.seen(),
        card,
        refused,
        problem,
        typed,
    };
    visit.answer_as(status, &page, || document)
}

/// The payload's JSON text; `None` where this login may not read it.
pub(super) async fn payload(
    conn: &mut PgConnection,
    it: &Notification,
) -> Result<Option<String>, Trouble> {
    let readable = inspect::payloads(&mut *conn, &[it.id.0]).await?.is_some();
    match readable {
        true => Ok(inspect::payload(conn, it.id, it.key).await?),
        false => Ok(None),
    }
}

/// The payload in which the recipient's name stands, and where. It must not go to somebody else under the first one's name.
pub(super) async fn name_of_recipient(
    conn: &mut PgConnection,
    visit: &Visit,
    it: &Notification,
) -> Result<Option<(String, Vec<String>)>, Trouble> {
    let Some(payload) = payload(conn, it).await? else {
        return Ok(None);
    };
    let places = &visit.desk.labels.recipient;
    let named: Vec<String> = fields(&payload)
        .iter()
        .filter(|field| places.contains(&field.path) && field.value != "null")
        .map(Field::pointer)
        .collect();
    Ok((!named.is_empty()).then_some((payload, named)))
}

fn field_views(payload: &str, typed: &Typed, visit: &Visit) -> Vec<FieldView> {
    fields(payload)
        .into_iter()
        .map(|field| {
            let input = format!("{FIELD}{}", field.pointer());
            FieldView {
                typed: typed.get(&input).to_owned(),
                name: shown(&field.path.join(" › ")),
                now: if visit.desk.labels.phone.contains(&field.path) {
                    shown(&mask_phone(&field.value))
                } else {
                    shown(&field.value)
                },
                input,
            }
        })
        .collect()
}

/// In one sentence, what will be done.
fn effect(verb: Verb, card: &Card, voice: &Voice) -> String {
    let it = &card.it;
    match verb {
        Verb::Resend if it.standing.is_settled() => say!(voice, "desk.act.resend_settled"),
        // The next claim sees that.
        Verb::Resend if card.links.newer.is_some() => say!(voice, "retry.gives_way"),
        Verb::Resend if lifted(it, voice).is_some() => say!(voice, "desk.act.resend_late"),
        Verb::Resend => say!(voice, "desk.act.resend_waiting"),
        Verb::Cancel if it.standing == Standing::InFlight => {
            say!(voice, "desk.act.cancel_in_flight")
        }
        Verb::Cancel => say!(voice, "desk.act.cancel_waiting"),
        Verb::Handled => say!(voice, "desk.act.handled_effect"),
        Verb::Redirect => say!(voice, "desk.act.redirect_effect"),
        Verb::Correct => say!(voice, "desk.act.correct_effect"),
    }
}

fn changes(
    verb: Verb,
    card: &Card,
    recipient: &Named,
    visit: &Visit,
    voice: &Voice,
) -> Vec<(String, String, String)> {
    let it = &card.it;
    let now = voice.standing_of(it);
    let status = say!(voice, "fact.status");
    let to = |after: String| (status.clone(), now.clone(), after);
    let cancelled = voice.standing(Standing::Settled(Status::Cancelled));
    let superseded = voice.standing(Standing::Settled(Status::Superseded));
    match verb {
        Verb::Resend if it.standing.is_settled() => {
            // It keeps its attempts.
            let back = match it.attempts {
                0 => Standing::Queued,
                _ => Standing::Retrying,
            };
            let mut changes = vec![to(voice.standing(back))];
            changes.extend(lifted(it, voice));
            changes
        }
        Verb::Resend if card.links.newer.is_some() => vec![to(superseded)],
        Verb::Resend => {
            let mut changes = vec![next_attempt(it, say!(voice, "desk.act.at_once"), voice)];
            changes.extend(lifted(it, voice));
            changes
        }
        Verb::Cancel if it.standing == Standing::InFlight => {
            vec![to(say!(voice, "desk.act.no_further_attempt"))]
        }
        Verb::Cancel => vec![to(cancelled)],
        Verb::Handled => Vec::new(),
        Verb::Redirect | Verb::Correct => {
            let superseded = voice.standing(Standing::Settled(Status::Superseded));
            let old = if it.standing.is_settled() {
                say!(voice, "desk.act.unchanged")
            } else {
                superseded
            };
            let keeps = it.keeps_its_time(voice.now);
            let new = match keeps {
                true => Standing::Scheduled,
                false => Standing::Queued,
            };
            let mut changes = vec![
                (say!(voice, "desk.act.this_one"), now.clone(), old),
                (
                    say!(voice, "desk.act.new_one"),
                    "–".to_owned(),
                    voice.standing(new),
                ),
            ];
            if keeps || it.standing == Standing::Retrying {
                let after = match keeps {
                    true => say!(voice, "desk.act.unchanged"),
                    false => say!(voice, "desk.act.at_once"),
                };
                changes.push(next_attempt(it, after, voice));
            }
            if verb == Verb::Redirect {
                changes.push((
                    say!(voice, "column.recipient"),
                    recipient.full(visit.lang),
                    say!(voice, "desk.act.as_typed"),
                ));
            }
            changes.extend(lifted(it, voice));
            changes
        }
    }
}

fn next_attempt(it: &Notification, after: String, voice: &Voice) -> (String, String, String) {
    let now = it
        .next_attempt_at
        .map_or_else(|| say!(voice, "desk.act.on_hold"), |at| voice.when(at));
    (say!(voice, "desk.act.next_attempt"), now, after)
}

/// A time limit that has passed would end it before it is sent.
fn lifted(it: &Notification, voice: &Voice) -> Option<(String, String, String)> {
    let limit = it.expires_at.filter(|limit| *limit <= voice.now)?;
    Some((
        say!(voice, "desk.act.limit"),
        voice.when(limit),
        say!(voice, "desk.act.no_limit"),
    ))
}

fn warnings(
    verb: Verb,
    found: &Found,
    recipient: &Named,
    visit: &Visit,
    voice: &Voice,
) -> Vec<String> {
    let it = found.it();
    let delivered = it.standing == Standing::Settled(Status::Delivered);
    let (who, status) = (recipient.full(visit.lang), voice.standing_of(it));
    let warning = match verb {
        Verb::Resend if !it.standing.is_settled() => None,
        // The verdict above says so, and the form wants it accepted.
        Verb::Resend if it.may_have_arrived => None,
        Verb::Resend => Some(say!(voice, "desk.act.arrives_once")),
        Verb::Cancel if it.may_have_arrived => Some(say!(voice, "desk.act.cancel_in_doubt")),
        Verb::Redirect if delivered => Some(say!(
            voice,
            "desk.act.redirect_delivered",
            status = status,
            who = who
        )),
        Verb::Redirect if it.may_have_arrived => {
            Some(say!(voice, "desk.act.redirect_in_doubt", who = who))
        }
        Verb::Correct if delivered => Some(say!(
            voice,
            "desk.act.correct_delivered",
            status = status,
            who = who
        )),
        Verb::Correct if it.may_have_arrived => {
            Some(say!(voice, "desk.act.correct_in_doubt", who = who))
        }
        Verb::Cancel | Verb::Handled | Verb::Redirect | Verb::Correct => None,
    };
    let replaced = match (verb, &found.card.links.later) {
        (Verb::Resend, Some(later)) => Some(say!(voice, "desk.act.resend_replaced", id = later.id)),
        _ => None,
    };
    replaced.into_iter().chain(warning).collect()
}

fn outcomes(verb: Verb, typed: &Typed, voice: &Voice) -> Vec<Choice> {
    if verb != Verb::Handled {
        return Vec::new();
    }
    HandOutcome::ALL
        .into_iter()
        .map(|outcome| Choice {
            word: outcome.word(),
            text: hand_outcome(outcome.word(), voice),
            chosen: typed.get("outcome") == outcome.word(),
        })
        .collect()
}

/// What came of telling somebody another way.
pub(in crate::desk) fn hand_outcome(word: &str, voice: &Voice) -> String {
    match word {
        "told" => say!(voice, "desk.act.told"),
        "not_reached" => say!(voice, "desk.act.not_reached"),
        "not_needed" => say!(voice, "desk.act.not_needed"),
        other => shown(other),
    }
}
