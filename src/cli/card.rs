//! One notification with its verdict, printed as a card or a line.

use anyhow::Result;

use super::out::{Form, Out, Tone, safe};
use crate::answer::{Card, json};
use crate::catalogue::Who;
use crate::outbox::inspect::WhyNotYet;
use crate::words::cause::role;
use crate::words::{Voice, say};

/// How a terminal shows it.
impl Card {
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
        let (mark, tone) = self.mark(voice);
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
