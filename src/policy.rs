//! What becomes of a notification: attempt × outcome → transition. Pure; the table test below is the policy.
//!
//! What is not the row's fault costs it nothing: a throttled, unreached or paused attempt keeps its number but is
//! spared from the schedule. An unknown outcome costs an attempt, because the receiver may have acted.

use std::time::Duration;

use crate::catalogue::{self, Entry};
use crate::delivery::{Failure, FailureKind, Outcome, Pause, Phase, Unknown};
use crate::notification::{Claim, Status};

/// Three claims in a row without a word: the row kills its worker.
pub const QUARANTINE_AFTER: i16 = 3;

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
                reason: if receipt.duplicate {
                    catalogue::local::ACCEPTED_DUPLICATE
                } else {
                    catalogue::local::ACCEPTED
                },
                may_have_arrived: false,
            },
            // The receiver itself cannot tell and never will: asking again is no use, and it must not be sent again.
            Outcome::Unknown(unknown)
                if unknown.why.key == catalogue::local::RECEIVER_UNKNOWN.key =>
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
                    FailureKind::Throttled => spare(claim, failure, Duration::from_secs(2), jitter),
                    FailureKind::Unreachable => {
                        spare(claim, failure, Duration::from_secs(5), jitter)
                    }
                    // A little back in the queue, so that another row makes the probe: this one might be the cause.
                    FailureKind::Outage(_) => {
                        spare(claim, failure, Duration::from_secs(10), jitter)
                    }
                }
            }
        }
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

/// Another try that costs nothing.
fn spare(claim: &Claim, failure: &Failure, wait: Duration, jitter: f64) -> Transition {
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
mod tests {
    use std::time::Instant;

    use uuid::Uuid;

    use super::*;
    use crate::delivery::Receipt;
    use crate::notification::{AttemptNo, Key, LeaseToken, NotificationId};

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn policy() -> Policy {
        Policy {
            schedule: RetrySchedule(vec![S(5), S(60), S(3600)]),
            call_timeout: S(10),
        }
    }

    fn claim(spent: i32) -> Claim {
        Claim {
            id: NotificationId(1),
            key: Key(Uuid::nil()),
            lease_token: LeaseToken(Uuid::nil()),
            attempt: AttemptNo(spent),
            spent,
            lapses: 0,
            may_have_arrived: false,
            epoch: 0,
            event_type: String::new(),
            aggregate_type: String::new(),
            aggregate_id: String::new(),
            recipient: String::new(),
            payload: "{}".into(),
            traceparent: None,
            expired: false,
            superseded_by: None,
            cancel_requested: false,
            waited: S(0),
            claimed_at: Instant::now(),
            lease: S(60),
        }
    }

    fn failed(kind: FailureKind) -> Outcome {
        Outcome::Failed(Failure {
            kind,
            phase: Phase::Answered,
            why: catalogue::local::CANCELLED,
            errcode: None,
            detail: None,
            retry_after: None,
        })
    }

    fn unknown() -> Outcome {
        Outcome::Unknown(Unknown {
            phase: Phase::Sent,
            why: catalogue::local::TIMED_OUT,
            errcode: None,
            detail: None,
        })
    }

    /// A transition in short: status and reason, or the wait without jitter; `free`: the attempt is spared; `?`: it may have arrived.
    fn short(transition: &Transition) -> String {
        match transition {
            Transition::Settle {
                status,
                reason,
                may_have_arrived,
            } => {
                format!(
                    "{} {}{}",
                    status.word(),
                    reason.key,
                    if *may_have_arrived { " ?" } else { "" }
                )
            }
            Transition::Requeue {
                after,
                spared,
                may_have_arrived,
            } => format!(
                "{}s{}{}",
                after.as_secs(),
                if *spared { " free" } else { "" },
                if *may_have_arrived { " ?" } else { "" }
            ),
        }
    }

    #[test]
    fn attempt_by_outcome() {
        let check = |spent: i32, outcome: Outcome, expected: &str| {
            assert_eq!(
                short(&policy().decide(&claim(spent), &outcome, 0.5)),
                expected,
                "attempt {spent}, {outcome:?}"
            );
        };
        check(
            1,
            Outcome::Delivered(Receipt::default()),
            "delivered accepted",
        );
        check(
            3,
            Outcome::Delivered(Receipt {
                duplicate: true,
                msgid: None,
            }),
            "delivered accepted_duplicate",
        );
        // The schedule, and its end: three waits are four attempts.
        check(1, failed(FailureKind::Transient), "5s");
        check(2, failed(FailureKind::Transient), "60s");
        check(3, failed(FailureKind::Transient), "3600s");
        check(4, failed(FailureKind::Transient), "dead cancelled");
        // Unknown costs an attempt and is remembered, to the end.
        check(1, unknown(), "5s ?");
        check(4, unknown(), "dead timed_out ?");
        // Not this row's fault: free, however late.
        check(1, failed(FailureKind::Throttled), "2s free");
        check(9, failed(FailureKind::Unreachable), "5s free");
        check(
            9,
            failed(FailureKind::Outage(Pause::UntilTomorrow)),
            "10s free",
        );
        check(1, failed(FailureKind::Permanent), "dead cancelled");
    }

    #[test]
    fn an_unknown_before_is_never_forgotten_by_a_failure_after() {
        let mut before = claim(2);
        before.may_have_arrived = true;
        for (kind, expected) in [
            (FailureKind::Transient, "60s ?"),
            (FailureKind::Unreachable, "5s free ?"),
            (FailureKind::Permanent, "dead cancelled ?"),
        ] {
            assert_eq!(
                short(&policy().decide(&before, &failed(kind), 0.5)),
                expected
            );
        }
        let delivered = Outcome::Delivered(Receipt::default());
        assert_eq!(
            short(&policy().decide(&before, &delivered, 0.5)),
            "delivered accepted"
        );
    }

    #[test]
    fn what_is_free_is_not_free_for_ever() {
        let mut old = claim(1);
        old.attempt = AttemptNo(1 + SPARED_AT_MOST);
        assert_eq!(
            short(&policy().decide(&old, &failed(FailureKind::Throttled), 0.5)),
            "5s"
        );
    }

    #[test]
    fn reasons_not_to_call() {
        type Change = fn(&mut Claim);
        let cases: [(Change, Option<&str>); 8] = [
            (|_| {}, None),
            (|c| c.cancel_requested = true, Some("cancelled cancelled")),
            (
                |c| c.superseded_by = Some(NotificationId(2)),
                Some("superseded superseded"),
            ),
            (|c| c.expired = true, Some("expired expired")),
            (|c| c.lapses = 2, None),
            (
                |c| (c.lapses, c.may_have_arrived) = (3, true),
                Some("dead kills_worker ?"),
            ),
            (|c| c.spent = 5, Some("dead attempts_spent")),
            // 9 s are left of the lease, a call needs 10: given back, free.
            (|c| c.lease = S(9), Some("0s free")),
        ];
        for (change, expected) in cases {
            let mut claim = claim(4);
            change(&mut claim);
            assert_eq!(
                policy().refuse(&claim).as_ref().map(short).as_deref(),
                expected
            );
        }
    }

    #[test]
    fn a_wish_to_wait_may_only_lengthen() {
        let wish = |seconds| {
            let mut outcome = failed(FailureKind::Transient);
            if let Outcome::Failed(failure) = &mut outcome {
                failure.retry_after = Some(S(seconds));
            }
            short(&policy().decide(&claim(1), &outcome, 0.5))
        };
        assert_eq!(wish(1), "5s");
        assert_eq!(wish(90), "90s");
    }

    #[test]
    fn jitter_spreads_by_a_fifth_either_way() {
        for (jitter, expected) in [(0.0, 48), (1.0, 72), (f64::MAX, 72), (-1.0, 48)] {
            assert_eq!(spread(S(60), jitter), S(expected));
        }
    }

    #[test]
    fn only_silence_and_breakage_speak_against_the_target() {
        assert_eq!(
            health(&Outcome::Delivered(Receipt::default())),
            Health::Good
        );
        assert_eq!(health(&failed(FailureKind::Permanent)), Health::Good);
        assert_eq!(health(&failed(FailureKind::Throttled)), Health::Neutral);
        assert_eq!(health(&failed(FailureKind::Unreachable)), Health::Silent);
        assert_eq!(health(&unknown()), Health::Silent);
        let mut outage = failed(FailureKind::Outage(Pause::UntilTomorrow));
        assert_eq!(
            health(&outage),
            Health::Doubtful(Pause::UntilTomorrow),
            "one odd row might be the cause"
        );
        if let Outcome::Failed(failure) = &mut outage {
            failure.phase = Phase::Token;
        }
        assert_eq!(health(&outage), Health::Broken(Pause::UntilTomorrow));
    }
}
