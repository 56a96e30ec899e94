//! One notification with its verdict: gathered once, printed as a card, a line or an object.

use anyhow::Result;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::json;
use super::out::{Form, Out, Tone, safe};
use crate::catalogue::Who;
use crate::notification::Status;
use crate::outbox::inspect::{self, Act, Match, Notification, Signs, Standing, WhyNotYet};
use crate::words::cause::role;
use crate::words::verdict::Verdict;
use crate::words::{Voice, say};

/// A notification, why it is not there yet, and what is said about both.
pub(super) struct Card {
    pub(super) it: Notification,
    pub(super) why: Option<WhyNotYet>,
    pub(super) verdict: Verdict,
    /// Where a search found its text, and a glimpse of it.
    pub(super) found: Option<(Match, String)>,
}

/// How many acts of a notification are read.
pub(super) const ACTS: i64 = 100;

/// Their cards, in the same order.
pub(super) async fn cards(
    conn: &mut PgConnection,
    voice: &Voice,
    found: Vec<Notification>,
) -> Result<Vec<Card>> {
    let mut cards = Vec::new();
    let mut signs = Signs::default();
    for it in found {
        let why = match it.standing {
            Standing::Settled(_) => None,
            _ => inspect::why_not_yet(conn, it.id, it.key, &mut signs).await?,
        };
        let cancelled = match it.standing {
            Standing::Settled(Status::Cancelled) => cancelled(conn, &it).await?,
            _ => None,
        };
        let verdict = voice.verdict(&it, why.as_ref(), cancelled.as_ref());
        cards.push(Card {
            it,
            why,
            verdict,
            found: None,
        });
    }
    Ok(cards)
}

async fn cancelled(conn: &mut PgConnection, it: &Notification) -> Result<Option<Act>> {
    let acts = inspect::acts(conn, it.id, ACTS).await?;
    Ok(acts.into_iter().rfind(|act| act.action == "cancel"))
}

impl Card {
    /// Mark and tone: the colour is never the only sign.
    fn mark(&self) -> (&'static str, Tone) {
        match self.it.standing {
            Standing::Settled(Status::Delivered) => ("✓", Tone::Good),
            Standing::Settled(Status::Dead | Status::Expired) if self.it.may_have_arrived => {
                ("?", Tone::Bad)
            }
            Standing::Settled(Status::Dead | Status::Expired) => ("✗", Tone::Bad),
            Standing::Settled(Status::Superseded | Status::Cancelled) => ("–", Tone::Quiet),
            Standing::Queued
            | Standing::Scheduled
            | Standing::Retrying
            | Standing::InFlight
            | Standing::Held
            | Standing::AwaitingGrant => ("…", Tone::Waiting),
        }
    }

    /// Prints it. Line columns: id, customer, recipient, event type, status, reason, may have arrived, since,
    /// waiting for, eta, who, what happened, what to do.
    pub(super) fn print(&self, out: &Out, voice: &Voice) -> Result<()> {
        let it = &self.it;
        if out.form != Form::Terminal {
            let stamp = |at: Option<chrono::DateTime<chrono::Utc>>| {
                at.map_or_else(String::new, |at| json::stamp(at, voice))
            };
            out.row(&[
                it.id.to_string(),
                it.aggregate_id.clone(),
                it.recipient.clone(),
                it.event_type.clone(),
                it.standing.word().to_owned(),
                it.reason.clone().unwrap_or_default(),
                it.may_have_arrived.to_string(),
                stamp(Some(self.verdict.since)),
                self.why.as_ref().map_or("", WhyNotYet::word).to_owned(),
                stamp(self.verdict.eta),
                role(self.verdict.who).to_owned(),
                self.happened(),
                self.verdict.next.clone(),
            ])?;
            return Ok(());
        }
        let (mark, tone) = self.mark();
        out.line(&format!(
            "{} {}",
            out.paint(tone, mark),
            safe(&self.verdict.happened)
        ))?;
        if let Some(doubt) = &self.verdict.doubt {
            out.line(&format!("  {} {doubt}", out.paint(Tone::Bad, "?")))?;
        }
        let next = safe(&self.verdict.next);
        out.line(&match self.verdict.who {
            Who::Nobody => say!(voice, "card.nobodys_turn", next = next),
            who => say!(voice, "card.whose_turn", who = voice.who(who), next = next),
        })?;
        let about = say!(
            voice,
            "card.about",
            id = it.id,
            event_type = safe(&it.event_type),
            recipient = safe(&it.recipient),
            customer = safe(&it.aggregate_id),
            at = voice.when(it.created_at)
        );
        out.line(&out.paint(Tone::Quiet, &about))?;
        if let Some((found, glimpse)) = &self.found {
            let field = voice.field(found);
            let matched = say!(
                voice,
                "card.matched",
                field = safe(&field),
                text = safe(glimpse)
            );
            out.line(&out.paint(Tone::Quiet, &matched))?;
        }
        Ok(())
    }

    /// What happened with the doubt about it, in one cell.
    fn happened(&self) -> String {
        match &self.verdict.doubt {
            Some(doubt) => format!("{} {doubt}", self.verdict.happened),
            None => self.verdict.happened.clone(),
        }
    }

    pub(super) fn json(&self, voice: &Voice) -> Value {
        let mut object = json::notification(&self.it, voice);
        object["verdict"] = json::verdict(&self.verdict, voice);
        object["why_not_yet"] = json::why_not_yet(self.why.as_ref(), voice);
        if let Some((found, glimpse)) = &self.found {
            object["matched"] = json::matched(found, glimpse);
        }
        object
    }
}

/// Prints them all: cards with a line between, lines, or one object under `name`.
pub(super) fn print_all(cards: &[Card], out: &Out, voice: &Voice) -> Result<()> {
    for (n, card) in cards.iter().enumerate() {
        if n > 0 && out.form == Form::Terminal {
            out.line("")?;
        }
        card.print(out, voice)?;
    }
    Ok(())
}
