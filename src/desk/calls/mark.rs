//! What is done on the list: marking what came of a call, and looking at a number in full.
//!
//! Both have a reason and leave a line in the audit log; both answer with the list they were done on.

use axum::Form as Body;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{listed, outcome_word};
use crate::answer::json::VERSION;
use crate::desk::card::phone_in_full;
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Visit, as_json};
use crate::outbox::act::{self, By, HandOutcome, Handled, Seen};
use crate::words::mask::safe;
use crate::words::{Voice, say};

#[derive(Deserialize)]
pub(in crate::desk) struct Mark {
    seen: String,
    outcome: String,
    reason: String,
}

/// Notes what came of a call.
pub(in crate::desk) async fn handled(
    visit: Visit,
    Body(mark): Body<Mark>,
) -> Result<Response, Trouble> {
    let by = because(&visit, &mark.reason)?;
    let seen: Seen = mark.seen.parse().map_err(|_| Trouble::Unasked)?;
    let outcome = HandOutcome::ALL
        .into_iter()
        .find(|it| it.word() == mark.outcome)
        .ok_or(Trouble::Unasked)?;
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let done = act::handle_as_seen(&mut tx, &seen, outcome, &by).await?;
    let told = told(&done, outcome, &seen, &voice);
    if visit.json {
        tx.commit().await?;
        return Ok(as_json(&json!({
            "version": VERSION, "id": seen.id.0, "result": told.word, "happened": told.sentence,
        })));
    }
    let response = listed(&mut tx, &visit, &voice, Some(told), None).await?;
    tx.commit().await?;
    Ok(response)
}

fn told(done: &Handled, outcome: HandOutcome, seen: &Seen, voice: &Voice) -> Told {
    let (word, tone, mark, sentence) = match done {
        Handled::Done => {
            let sentence = match outcome {
                HandOutcome::Told => say!(voice, "desk.calls.done_told", id = seen.id),
                HandOutcome::NotReached => say!(voice, "desk.calls.done_not_reached", id = seen.id),
                HandOutcome::NotNeeded => say!(voice, "desk.calls.done_not_needed", id = seen.id),
            };
            ("noted", "good", "✓", sentence)
        }
        Handled::Already { by, at, outcome } => {
            let sentence = say!(
                voice,
                "desk.calls.already",
                id = seen.id,
                by = safe(by),
                at = voice.when(*at),
                outcome = outcome_word(outcome, voice)
            );
            ("already_noted", "waiting", "!", sentence)
        }
        Handled::Replaced { by, new } => {
            let sentence = say!(voice, "hand.replaced", by = safe(by), id = new);
            ("replaced", "waiting", "!", sentence)
        }
        Handled::NothingToHandle(it) => {
            let sentence = say!(voice, "hand.nothing", status = voice.standing_of(it));
            ("nothing_to_handle", "waiting", "!", sentence)
        }
        Handled::Moved(it) => {
            let status = voice.standing_of(it);
            let sentence = say!(voice, "desk.calls.moved", id = seen.id, status = status);
            ("moved", "waiting", "!", sentence)
        }
        Handled::Missing => {
            let sentence = say!(voice, "none.id", id = seen.id);
            ("missing", "bad", "✗", sentence)
        }
    };
    Told {
        word,
        tone,
        mark,
        sentence,
    }
}

/// What came of an act.
pub(super) struct Told {
    word: &'static str,
    pub(super) tone: &'static str,
    pub(super) mark: &'static str,
    pub(super) sentence: String,
}

#[derive(Deserialize)]
pub(in crate::desk) struct Reveal {
    seen: String,
    reason: String,
}

/// Shows one phone number in full, once, and writes down who looked and why.
pub(in crate::desk) async fn reveal(
    visit: Visit,
    Body(look): Body<Reveal>,
) -> Result<Response, Trouble> {
    let by = because(&visit, &look.reason)?;
    let seen: Seen = look.seen.parse().map_err(|_| Trouble::Unasked)?;
    visit.may_see_one_more(&by)?;
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let Some(payload) = act::reveal(&mut tx, seen.id, seen.key, &by).await? else {
        return Err(Trouble::NotFound(seen.id.to_string()));
    };
    let shown = phone_in_full(&payload, &visit).map(|phone| (seen, phone));
    let response = listed(&mut tx, &visit, &voice, None, shown).await?;
    tx.commit().await?;
    Ok(response)
}

/// Every act has a reason.
fn because(visit: &Visit, reason: &str) -> Result<By, Trouble> {
    /// Longer than any reason anybody reads.
    const REASON: usize = 500;
    let reason: String = reason.trim().chars().take(REASON).collect();
    let by = visit.operator(&reason)?;
    if by.reason.is_none() {
        return Err(Trouble::NoReason);
    }
    Ok(by)
}
