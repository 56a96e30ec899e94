//! The policy as tables: attempt × outcome → transition, each line a case.

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
        on_unknown: OnUnknown::Ask,
        await_grant: AwaitGrant::Never,
    }
}

fn claim(spent: i32) -> Claim {
    Claim {
        id: NotificationId(1),
        place: None,
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
        names_our_key: false,
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
        Transition::AwaitGrant => "awaits a grant".to_owned(),
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
            ..Receipt::default()
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
    check(9, failed(FailureKind::Unreachable), "2s free");
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
        (FailureKind::Unreachable, "2s free ?"),
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
fn free_waits_double_up_to_their_limit() {
    for (spared, kind, expected) in [
        (1, FailureKind::Throttled, "4s free"),
        (4, FailureKind::Throttled, "32s free"),
        (50, FailureKind::Unreachable, "60s free"),
        (1, FailureKind::Outage(Pause::UntilTomorrow), "20s free"),
        (50, FailureKind::Outage(Pause::UntilTomorrow), "300s free"),
    ] {
        let mut tried = claim(1);
        tried.attempt = AttemptNo(1 + spared);
        assert_eq!(
            short(&policy().decide(&tried, &failed(kind), 0.5)),
            expected
        );
    }
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

#[test]
fn where_nobody_can_be_asked_the_setting_decides() {
    let with = |on_unknown| Policy {
        on_unknown,
        ..policy()
    };
    let (stop, resend) = (with(OnUnknown::Stop), with(OnUnknown::Resend));
    assert_eq!(
        short(&stop.decide(&claim(1), &unknown(), 0.5)),
        "dead timed_out ?"
    );
    assert_eq!(short(&resend.decide(&claim(1), &unknown(), 0.5)), "5s ?");
    // What is certain is decided as ever.
    assert_eq!(
        short(&stop.decide(&claim(1), &failed(FailureKind::Transient), 0.5)),
        "5s"
    );
    let refused = |policy: &Policy, spent, lapses, may_have_arrived| {
        let claim = Claim {
            lapses,
            may_have_arrived,
            ..claim(spent)
        };
        policy.refuse(&claim).as_ref().map(short)
    };
    let stopped = Some("dead unanswered_stopped ?".to_owned());
    // A daemon died in the middle of the call, or the row comes from a time of other settings.
    assert_eq!(refused(&stop, 1, 1, true), stopped);
    assert_eq!(refused(&stop, 2, 0, true), stopped);
    // A person has said: send it again.
    assert_eq!(refused(&stop, 1, 0, true), None);
    assert_eq!(refused(&stop, 2, 0, false), None);
    assert_eq!(refused(&resend, 2, 1, true), None);
}

#[test]
fn what_the_user_has_not_allowed_waits_for_it_where_it_is_told_to() {
    let refused = |why| {
        Outcome::Failed(Failure {
            kind: FailureKind::Permanent,
            phase: Phase::Answered,
            why,
            errcode: Some(43101),
            detail: None,
            retry_after: None,
            names_our_key: true,
        })
    };
    let not_subscribed = || refused(catalogue::local::NOT_SUBSCRIBED);
    let some = AwaitGrant::For(["customer_assigned".to_owned()].into());
    let check = |await_grant: &AwaitGrant, claim: Claim, outcome: Outcome, expected: &str| {
        let policy = Policy {
            await_grant: await_grant.clone(),
            ..policy()
        };
        let became = short(&policy.decide(&claim, &outcome, 0.5));
        assert_eq!(became, expected, "{await_grant:?}, {claim:?}");
    };
    let of = |event_type: &str| Claim {
        event_type: event_type.to_owned(),
        ..claim(1)
    };
    let assigned = || of("customer_assigned");
    check(
        &AwaitGrant::Never,
        assigned(),
        not_subscribed(),
        "dead not_subscribed",
    );
    check(
        &AwaitGrant::Always,
        assigned(),
        not_subscribed(),
        "awaits a grant",
    );
    check(&some, assigned(), not_subscribed(), "awaits a grant");
    check(
        &some,
        of("customer"),
        not_subscribed(),
        "dead not_subscribed",
    );
    // Whatever the schedule has left; and what the receiver says of the key holds for the calls before, too.
    let last = Claim {
        spent: 4,
        attempt: AttemptNo(4),
        may_have_arrived: true,
        ..assigned()
    };
    check(&some, last, not_subscribed(), "awaits a grant");
    // Another refusal is one.
    check(
        &some,
        assigned(),
        refused(catalogue::local::NO_OPENID),
        "dead no_openid",
    );
    // A bare code clears nothing: an earlier call may have arrived.
    let bare = match not_subscribed() {
        Outcome::Failed(failure) => Outcome::Failed(Failure {
            names_our_key: false,
            ..failure
        }),
        other => other,
    };
    let doubtful = Claim {
        may_have_arrived: true,
        ..assigned()
    };
    check(&some, doubtful, bare, "dead not_subscribed ?");
    // A hundred times let go in vain.
    let in_vain = Claim {
        attempt: AttemptNo(1 + SPARED_AT_MOST),
        ..assigned()
    };
    check(&some, in_vain, not_subscribed(), "dead not_subscribed");
}
