//! One row's whole way through the daemon: refuse or deliver, decide, seal if need be, hand over to the recorder.

use std::sync::Arc;
use std::time::Instant;

use rand::RngExt;

use crate::catalogue::{self, Entry};
use crate::delivery::{self, Attempted, Outcome, Phase, Receipt, Sealed, Target, Unknown};
use crate::metrics::Metrics;
use crate::notification::{Claim, Status};
use crate::outbox::record::{Ending, Took};
use crate::policy::{self, Health, Policy, Transition};
use crate::recorder::Recorder;

/// What every step of a lane shares.
pub struct Lane<T> {
    pub app: String,
    pub target: T,
    pub policy: Policy,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
}

/// One row's whole way through the daemon. The span's fields stand in everything logged below it.
pub async fn step<T: Target>(lane: Arc<Lane<T>>, claim: Claim) -> Stepped {
    let started = Instant::now();
    let (attempted, transition) = match lane.policy.refuse(&claim) {
        Some(transition) => (None, transition),
        None => {
            // The target has deadlines of its own; this one only guards the lease against a target without.
            let attempted =
                match tokio::time::timeout(claim.time_left(), lane.target.deliver(&claim)).await {
                    Ok(attempted) => attempted,
                    Err(_) => Attempted {
                        outcome: Outcome::Unknown(Unknown {
                            phase: Phase::Sent,
                            why: catalogue::local::TIMED_OUT,
                            errcode: None,
                            detail: None,
                        }),
                        token: None,
                    },
                };
            let transition = lane
                .policy
                .decide(&claim, &attempted.outcome, rand::rng().random());
            (Some(attempted), transition)
        }
    };
    let took = attempted.as_ref().map(|attempted| Took {
        attempt: started.elapsed(),
        token: attempted.token,
    });
    let (transition, proof) = seal_before_dead(&lane, &claim, transition).await;
    let outcome = attempted.map(|attempted| attempted.outcome);
    let outcome = proof.map(Outcome::Delivered).or(outcome);

    let stepped = Stepped {
        health: outcome.as_ref().map_or(Health::Neutral, policy::health),
        why: outcome
            .as_ref()
            .map(|outcome| (outcome.why(), outcome.errcode())),
    };
    lane.recorder
        .record(ending(&claim, outcome, transition, took))
        .await;
    stepped
}

/// "Dead" must be the truth: a row that may have arrived is sealed at the receiver first. The receipt, if it turns
/// out to have been sent.
async fn seal_before_dead<T: Target>(
    lane: &Lane<T>,
    claim: &Claim,
    transition: Transition,
) -> (Transition, Option<Receipt>) {
    let Transition::Settle {
        status,
        reason,
        may_have_arrived: true,
    } = transition
    else {
        return (transition, None);
    };
    // A convict that lapses again was killed by being sealed: it is settled without.
    let deadly = claim.lapses > policy::QUARANTINE_AFTER;
    if deadly || claim.time_left() < lane.policy.call_timeout {
        return (transition, None);
    }
    let settle = |status, reason, may_have_arrived| Transition::Settle {
        status,
        reason,
        may_have_arrived,
    };
    match lane.target.seal(claim).await {
        Sealed::Delivered(receipt) => {
            let receipt = Receipt {
                duplicate: true,
                ..receipt
            };
            (
                settle(Status::Delivered, receipt.why(), false),
                Some(receipt),
            )
        }
        Sealed::NotSent => (settle(status, reason, false), None),
        Sealed::Unknown => (settle(status, reason, true), None),
    }
}

pub fn ending(
    claim: &Claim,
    outcome: Option<Outcome>,
    transition: Transition,
    took: Option<Took>,
) -> Ending {
    let msgid = match &outcome {
        Some(Outcome::Delivered(receipt)) => receipt.msgid.clone(),
        _ => None,
    };
    let (phase, word, why) = match (&outcome, &transition) {
        (Some(outcome), _) => (outcome.phase(), outcome.word(), outcome.why()),
        (None, Transition::Settle { reason, .. }) => (Phase::NotCalled, "released", *reason),
        (None, Transition::Requeue { .. } | Transition::AwaitGrant) => {
            (Phase::NotCalled, "released", catalogue::local::RELEASED)
        }
    };
    Ending {
        id: claim.id,
        place: claim.place.clone(),
        lease_token: claim.lease_token,
        attempt: claim.attempt,
        transition,
        phase,
        outcome: word,
        why,
        errcode: outcome.as_ref().and_then(Outcome::errcode),
        detail: outcome
            .as_ref()
            .and_then(|outcome| outcome.detail().map(delivery::clean)),
        msgid,
        took,
        ended_at: Instant::now(),
        lease_ends_at: claim.claimed_at + claim.lease,
    }
}

/// What a finished step tells the loop about the target.
pub struct Stepped {
    pub health: Health,
    pub why: Option<(&'static Entry, Option<i32>)>,
}
