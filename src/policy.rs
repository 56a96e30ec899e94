//! What becomes of a notification: attempt × outcome → transition. Pure; the table test below is the policy.
//!
//! What is not the row's fault costs it nothing: a throttled, unreached or paused attempt keeps its number but is
//! spared from the schedule. An unknown outcome costs an attempt, because the receiver may have acted. Nor does it cost
//! anything to wait for the user's permission, where the settings say that a notification waits for it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalogue::{self, Entry, Pause};
use crate::delivery::{Failure, FailureKind, OnUnknown, Outcome, Phase, Unknown};
use crate::notification::{Claim, Status};

/// Three claims in a row without a word: the row kills its worker.
pub const QUARANTINE_AFTER: i16 = 3;

/// The wait after the first free attempt.
const FREE_WAIT: Duration = Duration::from_secs(2);

/// Free attempts before further ones count: what never counts could go on for ever.
pub const SPARED_AT_MOST: i32 = 100;

/// Calls in a row that ended without an answer before the app's breaker opens.
pub const BREAKER_AFTER: u32 = 5;

/// The first pause of a breaker that opened because nobody answered; failing probes double it.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(1);

/// The waits between attempts: back-off, number of tries and support's sentence at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(pub Vec<Duration>);

impl RetrySchedule {
    /// The wait after `spent` attempts that counted; none when they are used up.
    fn after(&self, spent: i32) -> Option<Duration> {
        let index = usize::try_from(spent - 1).unwrap_or(0);
        self.0.get(index).copied()
    }

    fn is_spent_before(&self, spent: i32) -> bool {
        usize::try_from(spent).is_ok_and(|spent| spent > self.0.len() + 1)
    }
}

/// Which types of event wait for the user's permission when WeChat refuses them for the lack of it. The others are
/// settled at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AwaitGrant {
    #[default]
    Never,
    Always,
    For(BTreeSet<String>),
}

impl AwaitGrant {
    fn takes(&self, event_type: &str) -> bool {
        match self {
            AwaitGrant::Never => false,
            AwaitGrant::Always => true,
            AwaitGrant::For(types) => types.contains(event_type),
        }
    }
}

/// What becomes of a row.
#[derive(Clone, Debug)]
pub enum Transition {
    Settle {
        status: Status,
        reason: &'static Entry,
        may_have_arrived: bool,
    },
    Requeue {
        /// Zero keeps the row due where it stands.
        after: Duration,
        /// The attempt does not count against the schedule.
        spared: bool,
        may_have_arrived: bool,
    },
    /// It waits, at no cost, until the user allows messages again or its time is over.
    AwaitGrant,
}

/// What an outcome says about the target, for the breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Health {
    /// The function answered; whatever it said about this row.
    Good,
    /// Says nothing about it.
    Neutral,
    /// No answer; several in a row open the breaker.
    Silent,
    /// Broken for every row until somebody or some time mends it.
    Broken(Pause),
    /// The same, if it is not this row's doing: the second in a row opens the breaker.
    Doubtful(Pause),
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub schedule: RetrySchedule,
    /// The least time a call needs; an attempt that cannot have it is not begun.
    pub call_timeout: Duration,
    pub on_unknown: OnUnknown,
    pub await_grant: AwaitGrant,
}

impl Policy {
    /// The reason not to call at all, if there is one.
    pub fn refuse(&self, claim: &Claim) -> Option<Transition> {
        let settle = |status, reason| Transition::Settle {
            status,
            reason,
            may_have_arrived: claim.may_have_arrived,
        };
        if claim.cancel_requested {
            return Some(settle(Status::Cancelled, catalogue::local::CANCELLED));
        }
        if claim.superseded_by.is_some() {
            return Some(settle(Status::Superseded, catalogue::local::SUPERSEDED));
        }
        if claim.expired {
            return Some(settle(Status::Expired, catalogue::local::EXPIRED));
        }
        if claim.lapses >= QUARANTINE_AFTER {
            return Some(settle(Status::Dead, catalogue::local::KILLS_WORKER));
        }
        if self.on_unknown == OnUnknown::Stop && is_left_over(claim) {
            return Some(settle(Status::Dead, catalogue::local::UNANSWERED_STOPPED));
        }
        if self.schedule.is_spent_before(claim.spent) {
            return Some(settle(Status::Dead, catalogue::local::ATTEMPTS_SPENT));
        }
        if claim.time_left() < self.call_timeout {
            return Some(Transition::Requeue {
                after: Duration::ZERO,
                spared: true,
                may_have_arrived: claim.may_have_arrived,
            });
        }
        None
    }

    /// What becomes of the row after this outcome. `jitter` is uniform in 0..1.
    pub fn decide(&self, claim: &Claim, outcome: &Outcome, jitter: f64) -> Transition {
        match outcome {
            Outcome::Delivered(receipt) => Transition::Settle {
                status: Status::Delivered,
                reason: receipt.why(),
                may_have_arrived: false,
            },
            // Nobody can tell and nobody ever will: asking again is no use, and it must not be sent again.
            Outcome::Unknown(unknown)
                if self.on_unknown == OnUnknown::Stop
                    || unknown.why.key == catalogue::local::RECEIVER_UNKNOWN.key =>
            {
                Transition::Settle {
                    status: Status::Dead,
                    reason: unknown.why,
                    may_have_arrived: true,
                }
            }
            Outcome::Unknown(unknown) => self.retry(claim, unknown.why, None, true, jitter),
            Outcome::Failed(failure) => {
                let arrived = claim.may_have_arrived;
                match failure.kind {
                    FailureKind::Permanent if self.awaits_grant(claim, failure) => {
                        Transition::AwaitGrant
                    }
                    FailureKind::Permanent => Transition::Settle {
                        status: Status::Dead,
                        reason: failure.why,
                        may_have_arrived: arrived,
                    },
                    FailureKind::Transient => {
                        self.retry(claim, failure.why, failure.retry_after, arrived, jitter)
                    }
                    FailureKind::Throttled | FailureKind::Unreachable | FailureKind::Outage(_)
                        if claim.attempt.0 - claim.spent >= SPARED_AT_MOST =>
                    {
                        self.retry(claim, failure.why, failure.retry_after, arrived, jitter)
                    }
                    FailureKind::Throttled => {
                        spare(claim, failure, FREE_WAIT, FREE_WAIT * 30, jitter)
                    }
                    FailureKind::Unreachable => {
                        spare(claim, failure, FREE_WAIT, FREE_WAIT * 30, jitter)
                    }
                    // Back in the queue, so that another row makes the probe: this one might be the cause.
                    FailureKind::Outage(_) => {
                        spare(claim, failure, FREE_WAIT * 5, FREE_WAIT * 150, jitter)
                    }
                }
            }
        }
    }

    /// Not on a bare code: who does not name our key keeps no receipt, and an earlier call may have arrived. And a ledger
    /// that promises what WeChat then refuses could go on for ever, too.
    fn awaits_grant(&self, claim: &Claim, failure: &Failure) -> bool {
        failure.why.key == catalogue::local::NOT_SUBSCRIBED.key
            && failure.names_our_key
            && self.await_grant.takes(&claim.event_type)
            && claim.attempt.0 - claim.spent < SPARED_AT_MOST
    }

    fn retry(
        &self,
        claim: &Claim,
        why: &'static Entry,
        wish: Option<Duration>,
        may_have_arrived: bool,
        jitter: f64,
    ) -> Transition {
        match self.schedule.after(claim.spent) {
            Some(wait) => Transition::Requeue {
                after: spread(wait, jitter).max(wish.unwrap_or_default()),
                spared: false,
                may_have_arrived,
            },
            None => Transition::Settle {
                status: Status::Dead,
                // The last cause says more than "attempts spent"; the count stands beside it.
                reason: why,
                may_have_arrived,
            },
        }
    }
}

/// A call before this one may have arrived, and nobody has decided since to risk another: a daemon died in the middle
/// of it, or it was made when unknowns were still called again. (`outboxd retry` begins the count anew.)
fn is_left_over(claim: &Claim) -> bool {
    claim.may_have_arrived && (claim.lapses > 0 || claim.spent > 1)
}

/// Another try that costs nothing; each of them waits twice as long as the one before.
fn spare(
    claim: &Claim,
    failure: &Failure,
    first: Duration,
    longest: Duration,
    jitter: f64,
) -> Transition {
    let doubled = u32::try_from(claim.attempt.0 - claim.spent)
        .unwrap_or(0)
        .min(16);
    let wait = (first * 2_u32.pow(doubled)).min(longest);
    Transition::Requeue {
        after: spread(wait, jitter).max(failure.retry_after.unwrap_or_default()),
        spared: true,
        may_have_arrived: claim.may_have_arrived,
    }
}

/// ±20 %, so that what failed together does not return together.
fn spread(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

/// What the outcome says about the target as a whole.
pub fn health(outcome: &Outcome) -> Health {
    match outcome {
        Outcome::Delivered(_) => Health::Good,
        Outcome::Unknown(Unknown { .. }) => Health::Silent,
        Outcome::Failed(failure) => match failure.kind {
            FailureKind::Permanent | FailureKind::Transient => Health::Good,
            FailureKind::Throttled => Health::Neutral,
            FailureKind::Unreachable => Health::Silent,
            // Without a token no row can be the cause; behind it, one odd row might be.
            FailureKind::Outage(pause) if failure.phase == Phase::Token => Health::Broken(pause),
            FailureKind::Outage(pause) => Health::Doubtful(pause),
        },
    }
}

#[cfg(test)]
mod tests;
