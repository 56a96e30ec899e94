//! What may be passed on to anybody: how it stands and why, in words that name no colleague, daemon or app and repeat nothing
//! that somebody typed. The verdict's own sentences do, for they are for colleagues.

use chrono::{DateTime, Utc};

use super::{Card, Tone};
use crate::catalogue::Who;
use crate::notification::Status;
use crate::outbox::inspect::{Standing, WhyNotYet};
use crate::words::{Lang, Voice, say};

impl Card {
    /// The answer for whoever asked about it, with the names they know.
    pub(crate) fn passed_on(&self, customer: &str, recipient: &str, voice: &Voice) -> String {
        let it = &self.it;
        let mut standing = self.standing(voice);
        if let Some(at) = it.settled_at.map(|at| voice.exact(at)) {
            standing = say!(voice, "desk.card.at", standing = standing, at = at);
        }
        let answer = say!(
            voice,
            "desk.card.copy",
            customer = customer,
            recipient = recipient,
            standing = standing
        );
        // What colleagues have to do is nothing for whoever asked.
        let for_them = (it.standing.is_settled() && self.verdict.who == Who::Recipient)
            .then(|| voice.remedy(it.reason.as_deref()).1);
        let expected = self.expected(voice).map(|at| {
            let at = voice.exact(at);
            say!(voice, "desk.card.expected", at = at)
        });
        let between = match voice.lang {
            Lang::En => " ",
            Lang::Zh => "",
        };
        [Some(answer), Some(self.means(voice)), for_them, expected]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(between)
    }

    /// What its standing means, or its cause.
    pub(crate) fn means(&self, voice: &Voice) -> String {
        let it = &self.it;
        let marked = self.links.handled.as_ref().map(|mark| &*mark.outcome);
        let means = match (&self.links.later, marked, self.comes_to(voice), &self.why) {
            (Some(_), ..) => say!(voice, "desk.means.replaced"),
            (_, Some("told"), ..) => say!(voice, "desk.means.told"),
            (_, Some("not_needed"), ..) => say!(voice, "desk.means.not_needed"),
            (.., Some(status), _) => voice.standing_means(Standing::Settled(status)),
            (.., Some(WhyNotYet::Expired { .. })) => say!(voice, "desk.means.expiring"),
            (.., Some(WhyNotYet::OnHold)) => say!(voice, "waiting.on_hold"),
            _ if self.mark(voice).1 == Tone::Bad => {
                let cause = voice.cause(it.reason.as_deref(), it.errcode);
                say!(voice, "cause.next", next = cause)
            }
            _ => voice.means_of(it),
        };
        match self.verdict.doubt {
            Some(_) => say!(voice, "desk.means.doubt", means = means),
            None => means,
        }
    }

    /// When it is sent, as far as anybody can say.
    fn expected(&self, voice: &Voice) -> Option<DateTime<Utc>> {
        match &self.why {
            Some(
                WhyNotYet::RetryAt { .. } | WhyNotYet::Scheduled { .. } | WhyNotYet::Queued { .. },
            ) if self.comes_to(voice).is_none() => self.verdict.eta,
            _ => None,
        }
    }

    /// What it will be settled as unsent, though its standing still says that it waits.
    pub(super) fn comes_to(&self, voice: &Voice) -> Option<Status> {
        match &self.why {
            Some(WhyNotYet::Expired { at, .. }) if *at <= voice.now => Some(Status::Expired),
            Some(WhyNotYet::Superseded { .. }) => Some(Status::Superseded),
            Some(WhyNotYet::CancelRequested { .. }) => Some(Status::Cancelled),
            _ => None,
        }
    }
}
