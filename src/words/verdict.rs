//! The verdict on one notification: what happened, whose turn it is, what to do next.
//!
//! The sentences never claim more than the database knows: WeChat *accepted* a message, nobody can say that
//! a person *received* it; and while nobody can rule out that a person got it, the verdict says so.

use chrono::{DateTime, Utc};

use super::label::is_taken;
use super::{Voice, say};
use crate::catalogue::{Who, local};
use crate::delivery::clean;
use crate::notification::Status;
use crate::outbox::inspect::{Act, Links, Notification, Standing, WhyNotYet};

/// A sentence, who must act, and what they should do.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub happened: String,
    pub who: Who,
    pub next: String,
}

/// The verdict, in words.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub happened: String,
    /// Said apart, whenever nobody can be certain that the person got nothing.
    pub doubt: Option<String>,
    pub since: DateTime<Utc>,
    pub who: Who,
    pub next: String,
    pub eta: Option<DateTime<Utc>>,
}

/// What is known beside the row itself.
#[derive(Debug, Default)]
pub struct Beside {
    /// What people put beside it.
    pub links: Links,
    /// The act that cancelled it.
    pub cancelled: Option<Act>,
    /// When an answer came too late that said it was accepted, and its key in the catalogue.
    pub accepted_late: Option<(DateTime<Utc>, String)>,
}

impl Voice {
    /// The verdict on a notification. `why` is its [`WhyNotYet`] while it is unsettled.
    pub fn verdict(&self, it: &Notification, why: Option<&WhyNotYet>, beside: &Beside) -> Verdict {
        let said = match (it.standing, why) {
            (Standing::Settled(status), _) => {
                let said = self.settled(it, status, beside.cancelled.as_ref());
                self.dealt_with(it, said, status, &beside.links)
            }
            (_, Some(why)) => self.waiting(why, it),
            // It was settled between two reads.
            (_, None) => Said {
                happened: say!(self, "waiting.moving"),
                who: Who::Nobody,
                next: say!(self, "next.look_again"),
            },
        };
        let doubt = match (it.standing, &beside.accepted_late) {
            (Standing::Settled(_), Some((at, cause))) => Some(say!(
                self,
                "doubt.accepted_late",
                at = self.when(*at),
                outcome = self.outcome("delivered", cause)
            )),
            _ if !it.may_have_arrived => None,
            (Standing::Settled(_), None) => Some(say!(self, "doubt.settled")),
            _ if why.is_some_and(WhyNotYet::is_the_end) => Some(say!(self, "doubt.ending")),
            (
                Standing::Queued
                | Standing::Scheduled
                | Standing::Retrying
                | Standing::InFlight
                | Standing::Held
                | Standing::AwaitingGrant,
                _,
            ) => Some(say!(self, "doubt.open")),
        };
        Verdict {
            happened: said.happened,
            doubt,
            since: it
                .settled_at
                .or(it.last_attempt_at)
                .unwrap_or(it.created_at),
            who: said.who,
            next: said.next,
            eta: why.and_then(WhyNotYet::eta),
        }
    }

    /// What somebody has done about it comes before what could be done, and is nobody's turn any more.
    fn dealt_with(&self, it: &Notification, said: Said, status: Status, links: &Links) -> Said {
        if let Some(later) = &links.later {
            let (by, at) = (clean(&later.by), self.when(later.at));
            return Said {
                who: Who::Nobody,
                next: say!(self, "next.replaced", by = by, at = at, id = later.id),
                ..said
            };
        }
        if status == Status::Superseded && links.newer.is_none() {
            // It was the news, and is again.
            return Said {
                who: Who::Support,
                next: if it.may_have_arrived {
                    say!(self, "next.superseded_alone_doubt", id = it.id)
                } else {
                    say!(self, "next.superseded_alone", id = it.id)
                },
                ..said
            };
        }
        let is_open = matches!(status, Status::Dead | Status::Expired);
        let mark = links.handled.as_ref().filter(|_| is_open);
        let said = match links
            .newer
            .filter(|_| is_open || status == Status::Cancelled)
        {
            // Sent again it would be superseded.
            Some(newer) => Said {
                who: Who::Nobody,
                next: say!(self, "next.newer", id = newer),
                ..said
            },
            None => said,
        };
        let Some(mark) = mark else {
            return said;
        };
        let (by, at) = (clean(&mark.by), self.when(mark.at));
        let (who, next) = match mark.outcome.as_str() {
            "told" => (Who::Nobody, say!(self, "next.told", by = by, at = at)),
            "not_needed" => (Who::Nobody, say!(self, "next.not_needed", by = by, at = at)),
            "not_reached" => {
                let next = say!(self, "next.not_reached", by = by, at = at, next = said.next);
                (said.who, next)
            }
            // A newer version's.
            _ => (said.who, said.next),
        };
        Said { who, next, ..said }
    }

    fn settled(&self, it: &Notification, status: Status, cancelled: Option<&Act>) -> Said {
        let at = self.when(it.settled_at.unwrap_or(it.created_at));
        // "Not sent" is said only of what was certainly not sent.
        let doubt = it.may_have_arrived;
        let cause = || self.cause(it.reason.as_deref(), it.errcode);
        let nobody = |happened: String, next: String| Said {
            happened,
            who: Who::Nobody,
            next,
        };
        match status {
            Status::Delivered => {
                let took = it.last_latency_ms.map_or_else(String::new, |ms| {
                    say!(self, "settled.took", took = self.took(ms))
                });
                // Of WeChat is said only what WeChat said.
                let (happened, next) = if is_taken(it.reason.as_deref()) {
                    ("settled.taken", "next.taken")
                } else {
                    ("settled.delivered", "next.delivered")
                };
                nobody(
                    say!(self, happened, at = at, n = it.attempts, took = took),
                    say!(self, next),
                )
            }
            Status::Dead => {
                let (who, next) = self.remedy(it.reason.as_deref());
                let mut cause = cause();
                if it.reason.as_deref() == Some(local::ATTEMPTS_SPENT.key) {
                    // That they are spent is no cause: the last of them has it.
                    let last = self.cause(it.last_reason.as_deref(), it.last_errcode);
                    cause = say!(self, "settled.spent", cause = cause, last = last);
                }
                Said {
                    happened: say!(
                        self,
                        "settled.dead",
                        at = at,
                        n = it.attempts,
                        cause = cause
                    ),
                    who,
                    next: match who {
                        Who::Nobody => next,
                        Who::Recipient
                        | Who::Support
                        | Who::CrmAdmin
                        | Who::Developer
                        | Who::Operator
                            if doubt =>
                        {
                            say!(self, "next.dead_doubt", next = next, id = it.id)
                        }
                        Who::Recipient
                        | Who::Support
                        | Who::CrmAdmin
                        | Who::Developer
                        | Who::Operator => say!(self, "next.dead", next = next, id = it.id),
                    },
                }
            }
            Status::Expired => Said {
                happened: match (it.expires_at.map(|limit| self.when(limit)), doubt) {
                    (None, false) => say!(self, "settled.expired", at = at),
                    (None, true) => say!(self, "settled.expired_doubt", at = at),
                    (Some(limit), false) => say!(self, "settled.expired_at", limit = limit),
                    (Some(limit), true) => say!(self, "settled.expired_at_doubt", limit = limit),
                },
                who: Who::Support,
                next: if doubt {
                    say!(self, "next.expired_doubt", id = it.id)
                } else {
                    say!(self, "next.expired", id = it.id)
                },
            },
            Status::Superseded => {
                let happened = if doubt {
                    say!(self, "settled.superseded_doubt", at = at)
                } else {
                    say!(self, "settled.superseded", at = at)
                };
                nobody(happened, say!(self, "next.superseded"))
            }
            Status::Cancelled => {
                let by = cancelled
                    .map(|act| act.actor.as_str())
                    .or(it.settled_by.as_deref())
                    .map_or_else(String::new, clean);
                let reason = self.given(cancelled.and_then(|act| act.reason.as_deref()));
                nobody(
                    say!(self, "settled.cancelled", by = by, at = at, reason = reason),
                    say!(self, "next.cancelled", id = it.id),
                )
            }
        }
    }
}
