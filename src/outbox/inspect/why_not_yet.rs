//! Why a notification is not there yet: of everything that could hold it, the one thing that does.
//!
//! [`why_each_not_yet`] gathers the facts of a page in one statement; which of them counts is decided in a pure function ([`decide`])
//! with one order: an attempt under way answers at once, and a row of a newer format is passed by. What a claim settles
//! without a call (taken back, superseded, too late, in the policy's order) will not be sent, whatever else is true of it.
//! Then the order in which a claim would meet them: a paused app or an open breaker holds every row of it, a row waits for
//! the user's permission or for its time, then for its predecessor, then to be taken over or for its turn. And whatever a
//! daemon should have sent by now, but none has touched, waits for a daemon.

mod decide;
mod queued;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Capped;
use super::links::newer;
use super::service::{self, Nobody, Signs};
use crate::notification::{Key, NotificationId};
use crate::outbox::session::planned_anew;
use decide::{claimable_since, decide};
use queued::queued;

/// The one reason.
#[derive(Clone, Debug, PartialEq)]
pub enum WhyNotYet {
    /// An attempt is under way.
    InFlight {
        daemon: String,
        attempt: i32,
        since: DateTime<Utc>,
        /// When the attempt is taken over at the latest.
        until: DateTime<Utc>,
        cancel_requested_by: Option<String>,
    },
    /// Whoever wrote it is ahead of this version: daemons like this one leave it to a newer one.
    NewerFormat { version: i16 },
    /// Somebody took it back while it was called, and that call never answered.
    CancelRequested { by: String },
    /// A newer one of its `collapse_key` has taken its place.
    Superseded { by: NotificationId },
    /// Its time is over, or no attempt is due before that.
    Expired {
        /// Its limit; ahead of us, it can still be sent again by hand.
        at: DateTime<Utc>,
        /// No claim settles it for now: its app is held, it is not due or not the first of its key, or nobody comes.
        held: bool,
    },
    /// Somebody paused the app.
    Paused {
        by: String,
        since: DateTime<Utc>,
        reason: Option<String>,
    },
    /// The target or our credentials are broken: the app waits, then one row probes.
    BreakerOpen {
        until: DateTime<Utc>,
        since: Option<DateTime<Utc>>,
        reason: Option<String>,
        errcode: Option<i32>,
        /// The wait is over: one row is being tried.
        probing: bool,
    },
    /// The last attempt did not succeed; the next one is planned.
    RetryAt {
        at: DateTime<Utc>,
        /// The attempt that did not succeed.
        attempt: i32,
        reason: Option<String>,
        errcode: Option<i32>,
        unknown: bool,
        /// Then this one still has to be settled first.
        behind: Option<NotificationId>,
    },
    /// WeChat refused it, because the user had not allowed messages; it is sent when they do.
    AwaitingGrant {
        since: DateTime<Utc>,
        /// Its time limit; none: however long that takes.
        until: Option<DateTime<Utc>>,
        /// Why the function cannot be asked whether they have, if it cannot.
        trouble: Option<String>,
    },
    /// It has no time at all (`infinity`), until somebody gives it one.
    OnHold,
    /// Whoever wrote it asked for a later time.
    Scheduled {
        at: DateTime<Utc>,
        /// Then this one still has to be settled first.
        behind: Option<NotificationId>,
    },
    /// An earlier notification of the same `order_key` is not settled.
    Behind {
        id: NotificationId,
        /// That one waits for the user's permission.
        awaits_grant: bool,
        /// That one is not sent any more, because this one is newer, but its turn to be settled is ahead.
        gives_way: bool,
    },
    /// The daemon that had it fell silent; the next claim takes it over.
    TakeOver {
        daemon: String,
        attempt: i32,
        /// When its lease ran out; none: the lease is of a clock that has since been set back.
        since: Option<DateTime<Utc>>,
    },
    /// Due, and waiting for its turn.
    Queued {
        since: DateTime<Utc>,
        ahead: Capped,
        /// At the pace of the last seconds, when there is one and rows are ahead; never guessed.
        eta: Option<DateTime<Utc>>,
    },
    /// A daemon should have moved it on, and there is no sign of one that serves its app.
    Unserved {
        since: DateTime<Utc>,
        /// Other apps that were served within the last hour.
        others: Vec<String>,
    },
}

impl WhyNotYet {
    /// The word in JSON and tab-separated output.
    pub fn word(&self) -> &'static str {
        match self {
            WhyNotYet::InFlight { .. } => "in_flight",
            WhyNotYet::NewerFormat { .. } => "newer_format",
            WhyNotYet::CancelRequested { .. } => "cancel_requested",
            WhyNotYet::Superseded { .. } => "superseded",
            WhyNotYet::Expired { .. } => "expired",
            WhyNotYet::Paused { .. } => "paused",
            WhyNotYet::BreakerOpen { .. } => "breaker_open",
            WhyNotYet::RetryAt { .. } => "retry_at",
            WhyNotYet::AwaitingGrant { .. } => "awaiting_grant",
            WhyNotYet::OnHold => "on_hold",
            WhyNotYet::Scheduled { .. } => "scheduled",
            WhyNotYet::Behind { .. } => "behind",
            WhyNotYet::TakeOver { .. } => "take_over",
            WhyNotYet::Queued { .. } => "queued",
            WhyNotYet::Unserved { .. } => "unserved",
        }
    }

    /// When it goes on by itself. A promise: none where that depends on another row, on a person, or on whether an outage
    /// is over, for when one row tries that stands in the sentence.
    pub fn eta(&self) -> Option<DateTime<Utc>> {
        match self {
            WhyNotYet::InFlight { until, .. } => Some(*until),
            WhyNotYet::RetryAt { at, behind, .. } | WhyNotYet::Scheduled { at, behind } => {
                Some(*at).filter(|_| behind.is_none())
            }
            WhyNotYet::Queued { eta, .. } => *eta,
            WhyNotYet::Paused { .. }
            | WhyNotYet::BreakerOpen { .. }
            | WhyNotYet::CancelRequested { .. }
            | WhyNotYet::Superseded { .. }
            | WhyNotYet::AwaitingGrant { .. }
            | WhyNotYet::OnHold
            | WhyNotYet::NewerFormat { .. }
            | WhyNotYet::Expired { .. }
            | WhyNotYet::Behind { .. }
            | WhyNotYet::TakeOver { .. }
            | WhyNotYet::Unserved { .. } => None,
        }
    }

    /// It is not called any more; all that is left is to settle it.
    pub fn is_the_end(&self) -> bool {
        match self {
            WhyNotYet::CancelRequested { .. }
            | WhyNotYet::Superseded { .. }
            | WhyNotYet::Expired { .. } => true,
            WhyNotYet::InFlight { .. }
            | WhyNotYet::NewerFormat { .. }
            | WhyNotYet::Paused { .. }
            | WhyNotYet::BreakerOpen { .. }
            | WhyNotYet::RetryAt { .. }
            | WhyNotYet::AwaitingGrant { .. }
            | WhyNotYet::OnHold
            | WhyNotYet::Scheduled { .. }
            | WhyNotYet::Behind { .. }
            | WhyNotYet::TakeOver { .. }
            | WhyNotYet::Queued { .. }
            | WhyNotYet::Unserved { .. } => false,
        }
    }
}

/// Everything the decision looks at.
#[derive(Clone, Debug)]
struct Facts {
    id: i64,
    key: Uuid,
    now: DateTime<Utc>,
    app: String,
    format_version: i16,
    attempts: i32,
    created_at: DateTime<Utc>,
    /// `None`: on hold.
    next_attempt_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    /// A claim takes it for running; otherwise for lapsed, also where it ends too far ahead for any lease.
    lease_lives: bool,
    lease_until: Option<DateTime<Utc>>,
    lease_epoch: i64,
    leased_by: Option<String>,
    cancel_requested_by: Option<String>,
    has_collapse_key: bool,
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<String>,
    pause_reason: Option<String>,
    breaker: Option<String>,
    breaker_until: Option<DateTime<Utc>>,
    breaker_since: Option<DateTime<Utc>>,
    breaker_reason: Option<String>,
    breaker_errcode: Option<i32>,
    last_sentence: Option<String>,
    last_errcode: Option<i32>,
    last_outcome: Option<String>,
    last_ended_at: Option<DateTime<Utc>>,
    awaits_grant: bool,
    grants_ask_at: Option<DateTime<Utc>>,
    grants_trouble: Option<String>,
    predecessor: Option<i64>,
    predecessor_awaits_grant: Option<bool>,
    predecessor_gives_way: Option<bool>,
}

/// The one reason why this notification has not been delivered, or `None` when it is settled or unknown.
pub async fn why_not_yet(
    conn: &mut PgConnection,
    id: NotificationId,
    key: Key,
    signs: &mut Signs,
) -> sqlx::Result<Option<WhyNotYet>> {
    let mut reasons = why_each_not_yet(conn, &[(id, key)], signs).await?;
    Ok(reasons.remove(&key.0))
}

/// The same of a page of notifications, by their keys.
pub async fn why_each_not_yet(
    conn: &mut PgConnection,
    asked: &[(NotificationId, Key)],
    signs: &mut Signs,
) -> sqlx::Result<HashMap<Uuid, WhyNotYet>> {
    planned_anew(conn, async |conn| each(conn, asked, signs).await).await
}

async fn each(
    conn: &mut PgConnection,
    asked: &[(NotificationId, Key)],
    signs: &mut Signs,
) -> sqlx::Result<HashMap<Uuid, WhyNotYet>> {
    let ids: Vec<i64> = asked.iter().map(|(id, _)| id.0).collect();
    let facts = sqlx::query_as!(
        Facts,
        r#"-- outboxd why_not_yet
           select o.id, o.key, statement_timestamp() as "now!", o.app, o.format_version, o.attempts,
                  greatest(least(o.created_at, '9999-12-31'), '0001-01-01') as "created_at!",
                  case when isfinite(o.next_attempt_at) then least(o.next_attempt_at, '9999-12-31') end as next_attempt_at,
                  case when o.expires_at < '9999-12-31' then greatest(o.expires_at, '0001-01-01') end as expires_at,
                  coalesce(o.lease_until between statement_timestamp() and statement_timestamp() + interval '20 minutes',
                           false) as "lease_lives!",
                  o.lease_until, o.lease_epoch, o.leased_by, o.cancel_requested_by, o.collapse_key is not null as "has_collapse_key!",
                  s.paused_at, s.paused_by, s.pause_reason, s.breaker as "breaker?", s.breaker_until,
                  s.breaker_since, s.breaker_reason, s.breaker_errcode,
                  last.sentence as "last_sentence?", last.errcode as last_errcode, last.outcome as "last_outcome?",
                  last.ended_at as "last_ended_at?", o.awaits_grant, s.grants_ask_at, s.grants_trouble,
                  first.id as "predecessor?", first.awaits_grant as "predecessor_awaits_grant?",
                  first.gives_way as "predecessor_gives_way?"
             from outboxd.notification_outbox o
             left join outboxd.app_state s using (app)
             left join lateral (
                  select a.sentence, a.errcode, a.outcome, a.ended_at from outboxd.notification_attempt a
                   where a.notification_id = o.id order by a.attempt desc limit 1) last on o.attempts > 0
             left join lateral (
                  select p.id, p.awaits_grant and p.next_attempt_at > statement_timestamp() as awaits_grant,
                         p.collapse_key = o.collapse_key and p.next_attempt_at > statement_timestamp() as gives_way
                    from outboxd.notification_outbox p
                   where p.app = o.app and p.order_key = o.order_key and p.id < o.id
                   order by p.id limit 1) first on true
            where o.id = any($1)
            limit 1000"#,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let collapsing = facts.iter().filter(|facts| facts.has_collapse_key);
    let (collapsing, keys): (Vec<i64>, Vec<Uuid>) =
        collapsing.map(|facts| (facts.id, facts.key)).unzip();
    let newer = match collapsing[..] {
        [] => HashMap::new(),
        _ => newer(&mut *conn, &collapsing, &keys).await?,
    };
    let mut reasons = HashMap::new();
    for facts in facts {
        let newer = newer.get(&facts.key).copied();
        // After a failover to a lagging standby another notification may have the id.
        if asked.contains(&(NotificationId(facts.id), Key(facts.key)))
            && let Some(reason) = reason(&mut *conn, &facts, newer, signs).await?
        {
            reasons.insert(facts.key, reason);
        }
    }
    Ok(reasons)
}

async fn reason(
    conn: &mut PgConnection,
    facts: &Facts,
    newer: Option<NotificationId>,
    signs: &mut Signs,
) -> sqlx::Result<Option<WhyNotYet>> {
    let reason = decide(facts, newer);
    if let Some(since) = claimable_since(facts, reason.as_ref())
        && service::is_too_long(facts.now, since)
        && let Some(Nobody { others }) = signs.nobody_serves(&mut *conn, &facts.app).await?
    {
        return Ok(Some(WhyNotYet::Unserved { since, others }));
    }
    match reason {
        Some(reason) => Ok(Some(reason)),
        None => queued(conn, facts, signs).await,
    }
}

#[cfg(test)]
mod tests;
