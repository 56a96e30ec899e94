//! What is done on the list: marking what came of a call, and looking at a number in full.
//!
//! Both have a reason and leave a line in the audit log; both answer with the list they were done on.

use std::fmt;
use std::str::FromStr;

use axum::Form as Body;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::{listed, outcome_word};
use crate::answer::json::VERSION;
use crate::desk::card::phone_in_full;
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Visit, as_json};
use crate::outbox::act::{self, By, HandOutcome, Handled, Seen};
use crate::outbox::inspect::Notification;
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
    let SeenCall { seen, tried_at } = mark.seen.parse().map_err(|()| Trouble::Unasked)?;
    let outcome = HandOutcome::ALL
        .into_iter()
        .find(|it| it.word() == mark.outcome)
        .ok_or(Trouble::Unasked)?;
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let done = act::handle_as_seen(&mut tx, &seen, tried_at, outcome, &by).await?;
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

/// What was seen of a call: the notification, and when somebody had last tried.
#[derive(Clone, Copy, Debug)]
pub(in crate::desk) struct SeenCall {
    pub(in crate::desk) seen: Seen,
    pub(in crate::desk) tried_at: Option<DateTime<Utc>>,
}

impl SeenCall {
    pub(in crate::desk) fn of(it: &Notification, tried_at: Option<DateTime<Utc>>) -> SeenCall {
        SeenCall {
            seen: Seen::of(it),
            tried_at,
        }
    }
}

impl fmt::Display for SeenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried_at = self.tried_at.map_or(0, |at| at.timestamp_micros());
        write!(f, "{tried_at}.{}", self.seen)
    }
}

impl FromStr for SeenCall {
    type Err = ();

    fn from_str(text: &str) -> Result<SeenCall, ()> {
        let (tried_at, seen) = text.split_once('.').ok_or(())?;
        Ok(SeenCall {
            tried_at: match tried_at.parse().map_err(|_| ())? {
                0 => None,
                micros => Some(DateTime::from_timestamp_micros(micros).ok_or(())?),
            },
            seen: seen.parse().map_err(|_| ())?,
        })
    }
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
    let SeenCall { seen, .. } = look.seen.parse().map_err(|()| Trouble::Unasked)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_of_a_call_comes_back_the_same() {
        for text in ["0", "1795354157000123"] {
            let text = format!("{text}.4711.5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a.00000000deadbeef");
            assert_eq!(text.parse::<SeenCall>().unwrap().to_string(), text);
        }
        assert!(
            "4711.5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a.1"
                .parse::<SeenCall>()
                .is_err()
        );
    }
}
