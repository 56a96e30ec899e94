//! Why a notification is not there yet: of everything that could hold it, the one thing that does.
//!
//! [`why_each_not_yet`] gathers the facts of a page in one statement; which of them counts is decided in a pure function
//! with one order, the order in which a claim would meet them: an attempt under way answers at once, a row
//! of a newer format is passed by, one that is too late is never called, a paused app or an open breaker holds every row of it, a row waits for
//! the user's permission or for its time, then for its predecessor, then to be taken over or for its turn. And whatever a daemon should have moved on by now,
//! but none has touched, waits for a daemon.

mod queued;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Capped;
use super::service::{self, Nobody, Signs};
use crate::notification::{Key, NotificationId};
use crate::outbox::session::planned_anew;
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
    /// Its time is over; the next claim settles it as expired, without a call.
    Expired {
        at: DateTime<Utc>,
        /// Its app is paused or in trouble, so that no claim comes for now.
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
    Scheduled { at: DateTime<Utc> },
    /// An earlier notification of the same `order_key` is not settled.
    Behind {
        id: NotificationId,
        /// That one waits for the user's permission.
        awaits_grant: bool,
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

    /// When it goes on by itself, as far as that can be told.
    pub fn eta(&self) -> Option<DateTime<Utc>> {
        match self {
            WhyNotYet::InFlight { until, .. } => Some(*until),
            WhyNotYet::BreakerOpen { until, .. } => Some(*until),
            WhyNotYet::RetryAt { at, .. } | WhyNotYet::Scheduled { at } => Some(*at),
            WhyNotYet::Queued { eta, .. } => *eta,
            WhyNotYet::Paused { .. }
            | WhyNotYet::AwaitingGrant { .. }
            | WhyNotYet::OnHold
            | WhyNotYet::NewerFormat { .. }
            | WhyNotYet::Expired { .. }
            | WhyNotYet::Behind { .. }
            | WhyNotYet::TakeOver { .. }
            | WhyNotYet::Unserved { .. } => None,
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
}

/// The newest format that a claim takes.
const KNOWN_FORMAT: i16 = 1;

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
                  greatest(least(o.expires_at, '9999-12-31'), '0001-01-01') as expires_at,
                  coalesce(o.lease_until between statement_timestamp() and statement_timestamp() + interval '20 minutes',
                           false) as "lease_lives!",
                  o.lease_until, o.lease_epoch, o.leased_by, o.cancel_requested_by,
                  s.paused_at, s.paused_by, s.pause_reason, s.breaker as "breaker?", s.breaker_until,
                  s.breaker_since, s.breaker_reason, s.breaker_errcode,
                  last.sentence as "last_sentence?", last.errcode as last_errcode, last.outcome as "last_outcome?",
                  last.ended_at as "last_ended_at?", o.awaits_grant, s.grants_ask_at, s.grants_trouble,
                  first.id as "predecessor?", first.awaits_grant as "predecessor_awaits_grant?"
             from outboxd.notification_outbox o
             left join outboxd.app_state s using (app)
             left join lateral (
                  select a.sentence, a.errcode, a.outcome, a.ended_at from outboxd.notification_attempt a
                   where a.notification_id = o.id order by a.attempt desc limit 1) last on o.attempts > 0
             left join lateral (
                  select p.id, p.awaits_grant and p.next_attempt_at > statement_timestamp() as awaits_grant
                    from outboxd.notification_outbox p
                   where p.app = o.app and p.order_key = o.order_key and p.id < o.id
                   order by p.id limit 1) first on true
            where o.id = any($1)
            limit 1000"#,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut reasons = HashMap::new();
    for facts in facts {
        // After a failover to a lagging standby another notification may have the id.
        if asked.contains(&(NotificationId(facts.id), Key(facts.key)))
            && let Some(reason) = reason(&mut *conn, &facts, signs).await?
        {
            reasons.insert(facts.key, reason);
        }
    }
    Ok(reasons)
}

async fn reason(
    conn: &mut PgConnection,
    facts: &Facts,
    signs: &mut Signs,
) -> sqlx::Result<Option<WhyNotYet>> {
    let reason = decide(facts);
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

/// Since when a daemon could have claimed it, if nothing but the lack of one keeps it from being claimed.
fn claimable_since(facts: &Facts, reason: Option<&WhyNotYet>) -> Option<DateTime<Utc>> {
    // A daemon sees within a minute that a row waits for a grant, and asks when the time has come; twice that, to be fair.
    if let Some(WhyNotYet::AwaitingGrant { since, .. }) = reason {
        let asks_at = facts.grants_ask_at.map_or(*since, |at| at.max(*since));
        return Some(asks_at + TimeDelta::minutes(2));
    }
    let due = facts.next_attempt_at?.max(facts.created_at);
    // What a daemon would lift by itself must be all that holds it.
    let without = |rest: Facts| claimable_since(&rest, decide(&rest).as_ref());
    match reason {
        None => Some(due),
        Some(WhyNotYet::TakeOver { since, .. }) => Some(since.map_or(due, |since| due.max(since))),
        Some(WhyNotYet::Expired { at, .. }) => without(Facts {
            expires_at: None,
            ..facts.clone()
        })
        .map(|since| since.max(*at)),
        Some(WhyNotYet::BreakerOpen { until, .. }) => without(Facts {
            breaker: None,
            ..facts.clone()
        })
        .map(|since| since.max(*until)),
        Some(
            WhyNotYet::InFlight { .. }
            | WhyNotYet::NewerFormat { .. }
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

/// The order of precedence; `None` means that nothing holds it but its turn.
fn decide(facts: &Facts) -> Option<WhyNotYet> {
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
    if let Some(at) = facts.expires_at.filter(|at| *at <= facts.now) {
        let held = facts.paused_at.is_some()
            || matches!(facts.breaker.as_deref(), Some("open" | "half_open"));
        return Some(WhyNotYet::Expired { at, held });
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
            }
        } else {
            WhyNotYet::Scheduled {
                at: next_attempt_at,
            }
        });
    }
    if let Some(id) = facts.predecessor {
        return Some(WhyNotYet::Behind {
            id: NotificationId(id),
            awaits_grant: facts.predecessor_awaits_grant == Some(true),
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

#[cfg(test)]
mod tests;
