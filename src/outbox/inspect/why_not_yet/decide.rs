//! Which of all the facts is the reason, and since when a daemon could have claimed the row. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Facts, WhyNotYet};
use crate::notification::NotificationId;
use crate::outbox::inspect::service;

/// The newest format that a claim takes.
const KNOWN_FORMAT: i16 = 1;

/// The order of precedence; `None` means that nothing holds it but its turn.
pub(super) fn decide(facts: &Facts, newer: Option<NotificationId>) -> Option<WhyNotYet> {
    let claimed_at = DateTime::from_timestamp_millis(facts.lease_epoch).unwrap_or(facts.now);
    if let (Some(until), Some(daemon)) = (facts.lease_until, &facts.leased_by)
        && facts.lease_lives
    {
        return Some(WhyNotYet::InFlight {
            daemon: daemon.clone(),
            attempt: facts.attempts,
            since: claimed_at,
            until,
            cancel_requested_by: facts.cancel_requested_by.clone(),
        });
    }
    if facts.format_version > KNOWN_FORMAT {
        return Some(WhyNotYet::NewerFormat {
            version: facts.format_version,
        });
    }
    if let Some(by) = &facts.cancel_requested_by {
        return Some(WhyNotYet::CancelRequested { by: by.clone() });
    }
    if let Some(by) = newer {
        return Some(WhyNotYet::Superseded { by });
    }
    if let Some(at) = facts.too_late() {
        return Some(WhyNotYet::Expired {
            at,
            held: facts.is_held(at),
        });
    }
    if let (Some(since), Some(by)) = (facts.paused_at, &facts.paused_by) {
        return Some(WhyNotYet::Paused {
            by: by.clone(),
            since,
            reason: facts.pause_reason.clone(),
        });
    }
    if let (Some("open" | "half_open"), Some(until)) =
        (facts.breaker.as_deref(), facts.breaker_until)
    {
        return Some(WhyNotYet::BreakerOpen {
            until,
            since: facts.breaker_since,
            reason: facts.breaker_reason.clone(),
            errcode: facts.breaker_errcode,
            probing: until <= facts.now,
        });
    }
    if facts.awaits_grant && facts.next_attempt_at.is_none_or(|at| at > facts.now) {
        return Some(WhyNotYet::AwaitingGrant {
            since: facts.last_ended_at.unwrap_or(facts.created_at),
            until: facts.expires_at.filter(|_| facts.next_attempt_at.is_some()),
            trouble: facts.grants_trouble.clone(),
        });
    }
    let Some(next_attempt_at) = facts.next_attempt_at else {
        return Some(WhyNotYet::OnHold);
    };
    if next_attempt_at > facts.now {
        return Some(if facts.attempts > 0 {
            WhyNotYet::RetryAt {
                at: next_attempt_at,
                attempt: facts.attempts,
                reason: facts.last_sentence.clone(),
                errcode: facts.last_errcode,
                unknown: facts.last_outcome.as_deref() == Some("unknown"),
                behind: facts.predecessor.map(NotificationId),
            }
        } else {
            WhyNotYet::Scheduled {
                at: next_attempt_at,
                behind: facts.predecessor.map(NotificationId),
            }
        });
    }
    if let Some(id) = facts.predecessor {
        return Some(WhyNotYet::Behind {
            id: NotificationId(id),
            awaits_grant: facts.predecessor_awaits_grant == Some(true),
            gives_way: facts.predecessor_gives_way == Some(true),
        });
    }
    facts
        .lease_until
        .zip(facts.leased_by.clone())
        .map(|(until, daemon)| WhyNotYet::TakeOver {
            daemon,
            attempt: facts.attempts,
            since: Some(until).filter(|until| *until <= facts.now),
        })
}

/// Since when a daemon could have claimed it, if nothing but the lack of one keeps it from being claimed.
pub(super) fn claimable_since(facts: &Facts, reason: Option<&WhyNotYet>) -> Option<DateTime<Utc>> {
    // A daemon sees within a minute that a row waits for a grant, and asks when the time has come; twice that, to be fair.
    if let Some(WhyNotYet::AwaitingGrant { since, .. }) = reason {
        let asks_at = facts.grants_ask_at.map_or(*since, |at| at.max(*since));
        return Some(asks_at + TimeDelta::minutes(2));
    }
    let due = facts.next_attempt_at?.max(facts.created_at);
    match reason {
        None => Some(due),
        Some(WhyNotYet::TakeOver { since, .. }) => Some(since.map_or(due, |since| due.max(since))),
        // What a daemon would lift by itself must be all that holds it. (It has no newer one: that would be the reason.)
        Some(WhyNotYet::BreakerOpen { until, .. }) => {
            let rest = Facts {
                breaker: None,
                ..facts.clone()
            };
            claimable_since(&rest, decide(&rest, None).as_ref()).map(|since| since.max(*until))
        }
        Some(
            WhyNotYet::InFlight { .. }
            | WhyNotYet::NewerFormat { .. }
            // It could not be sent.
            | WhyNotYet::CancelRequested { .. }
            | WhyNotYet::Superseded { .. }
            | WhyNotYet::Expired { .. }
            | WhyNotYet::Paused { .. }
            | WhyNotYet::RetryAt { .. }
            | WhyNotYet::AwaitingGrant { .. }
            | WhyNotYet::OnHold
            | WhyNotYet::Scheduled { .. }
            | WhyNotYet::Behind { .. }
            | WhyNotYet::Queued { .. }
            | WhyNotYet::Unserved { .. },
        ) => None,
    }
}

impl Facts {
    /// Its limit, if that has passed or comes before any attempt. A permission may come before either.
    fn too_late(&self) -> Option<DateTime<Utc>> {
        let before_any = |at| !self.awaits_grant && self.next_attempt_at.is_some_and(|t| t >= at);
        self.expires_at
            .filter(|at| *at <= self.now || before_any(*at))
    }

    /// No claim comes for it now, or it should have come.
    fn is_held(&self, limit: DateTime<Utc>) -> bool {
        let due = self.next_attempt_at.filter(|due| *due <= self.now);
        self.paused_at.is_some()
            || matches!(self.breaker.as_deref(), Some("open" | "half_open"))
            || self.predecessor.is_some()
            || due.is_none_or(|due| {
                service::is_too_long(self.now, due.max(self.created_at).max(limit))
            })
    }
}
