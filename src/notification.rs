//! The nouns: a notification as the database stores it, and a [`Claim`] as a daemon holds it.
//!
//! No I/O. Identifiers are newtypes, so that an attempt number never stands where an id belongs.

use std::fmt;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// The row's number, for people and for order; handed out again after a lagging failover, so it never
/// identifies a message to the receiver (that is [`Key`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(pub i64);

/// The idempotency key: random, stored in the row, the same with every attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub Uuid);

/// The fence: one random value per claim call. Every statement that ends a claim names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub Uuid);

/// Where a row lies in its table (PostgreSQL's `ctid`), until somebody changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub String);

/// The attempt's number, counted from 1; it only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptNo(pub i32);

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AttemptNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A row under this daemon's lease: what the target needs to be called, and what the policy needs to decide.
#[derive(Clone, Debug)]
pub struct Claim {
    pub id: NotificationId,
    /// None: it has to be looked for.
    pub place: Option<Place>,
    pub key: Key,
    pub lease_token: LeaseToken,
    pub attempt: AttemptNo,
    /// Attempts that count against the retry schedule, this one included.
    pub spent: i32,
    /// Claims in a row before this one that ended without a word.
    pub lapses: i16,
    /// An earlier attempt ended unknown: ask the receiver before calling again.
    pub may_have_arrived: bool,
    /// Database clock in ms at the claim; never falls.
    pub epoch: i64,
    pub event_type: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub recipient: String,
    /// JSON text as the database prints it; never decoded here, so no number is rounded and no
    /// payload can fail to decode.
    pub payload: String,
    pub traceparent: Option<String>,
    /// Its `expires_at` had passed at the claim.
    pub expired: bool,
    /// A newer notification of the same `collapse_key`.
    pub superseded_by: Option<NotificationId>,
    /// Someone asked to cancel it while an attempt was under way.
    pub cancel_requested: bool,
    /// Database time between the row becoming due and this claim.
    pub waited: Duration,
    /// Local monotonic clock from just before the claim was sent; the lease is measured from here, so
    /// no clock skew matters.
    pub claimed_at: Instant,
    pub lease: Duration,
}

impl Claim {
    /// What is left of the lease, on the local monotonic clock.
    pub fn time_left(&self) -> Duration {
        self.lease.saturating_sub(self.claimed_at.elapsed())
    }
}

/// How a settled notification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Delivered,
    Dead,
    Expired,
    Superseded,
    Cancelled,
}

impl Status {
    pub const ALL: [Status; 5] = [
        Status::Delivered,
        Status::Dead,
        Status::Expired,
        Status::Superseded,
        Status::Cancelled,
    ];

    /// The word in the column, the logs and the metrics.
    pub fn word(self) -> &'static str {
        match self {
            Status::Delivered => "delivered",
            Status::Dead => "dead",
            Status::Expired => "expired",
            Status::Superseded => "superseded",
            Status::Cancelled => "cancelled",
        }
    }
}
