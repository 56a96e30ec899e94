//! Every read for people: the command line and the desk ask here, and nothing here changes a row.
//!
//! Reads come in two steps. First a search answers with hits ([`of_customer`], [`find`], [`list`] …), each
//! walking one index and stopping at its limit; then [`read`] turns them into notifications through the
//! view `notification_delivery_status`, whose words are the contract. So no read grows with the settled
//! history, and the columns are named once. Callers wrap the steps in one read-only, repeatable-read
//! transaction, so that a row which settles in between is not lost between them.

mod audit;
mod find;
mod hours;
mod links;
mod list;
mod search;
mod service;
mod stats;
mod system;
mod timeline;
mod trouble;
mod why_not_yet;

pub use audit::{AuditFilter, AuditLine, audit};
pub use find::{Found, Match, ReadThrough, find, is_called, matches, of_key};
pub use hours::{Hour, Hours, hours};
pub use links::{Link, Links, Mark, links, newer};
pub use list::{Filter, Page, Period, list, page};
pub use search::{Hit, last_written, newest_between, newest_id, of_customer};
pub use service::Signs;
pub use stats::{AppStats, Capped, Share, Trouble, stats};
pub use system::{DaemonSeen, GateFacts, Receipts, System, WakeUp, system};
pub use timeline::{
    Act, Attempt, Created, LateAnswer, accepted_late, acts, attempts, created, payload, payloads,
};
pub use trouble::{
    Call, Cause, Ending, NEWEST, ToPhone, Turn, awaiting_grant, causes, expired_held, to_phone,
};
pub use why_not_yet::{WhyNotYet, why_each_not_yet, why_not_yet};

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::notification::{Key, NotificationId, Status};

/// Where a notification stands: the view's words. The first six are an unsettled row's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    Queued,
    Scheduled,
    Retrying,
    InFlight,
    Held,
    /// The user has not allowed messages; it is sent when they do.
    AwaitingGrant,
    Settled(Status),
}

impl Standing {
    pub const ALL: [Standing; 11] = [
        Standing::Queued,
        Standing::Scheduled,
        Standing::Retrying,
        Standing::InFlight,
        Standing::Held,
        Standing::AwaitingGrant,
        Standing::Settled(Status::Delivered),
        Standing::Settled(Status::Dead),
        Standing::Settled(Status::Expired),
        Standing::Settled(Status::Superseded),
        Standing::Settled(Status::Cancelled),
    ];

    /// The word in the view.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Queued => "queued",
            Standing::Scheduled => "scheduled",
            Standing::Retrying => "retrying",
            Standing::InFlight => "in_flight",
            Standing::Held => "held",
            Standing::AwaitingGrant => "awaiting_grant",
            Standing::Settled(status) => status.word(),
        }
    }

    pub fn is_settled(self) -> bool {
        matches!(self, Standing::Settled(_))
    }
}

impl FromStr for Standing {
    type Err = String;

    fn from_str(word: &str) -> Result<Standing, String> {
        Standing::ALL
            .into_iter()
            .find(|standing| standing.word() == word)
            .ok_or_else(|| {
                let words = Standing::ALL.map(Standing::word).join(", ");
                format!("{word} is not a status; there are {words}")
            })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One notification as support sees it: no payload, no openid, no phone number.
#[derive(Clone, Debug)]
pub struct Notification {
    pub id: NotificationId,
    pub key: Key,
    pub app: String,
    pub event_type: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub recipient: String,
    pub standing: Standing,
    /// Key into the catalogue: why it was settled so, or how its last attempt ended.
    pub reason: Option<String>,
    pub errcode: Option<i32>,
    pub attempts: i32,
    pub may_have_arrived: bool,
    pub msgid: Option<String>,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    /// `None` when it is settled, or on hold (`infinity`).
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub settled_at: Option<DateTime<Utc>>,
    pub settled_by: Option<String>,
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// How the last attempt ended, which for a settled row need not be its reason.
    pub last_reason: Option<String>,
    pub last_errcode: Option<i32>,
    pub last_latency_ms: Option<i32>,
    pub dedupe_key: Option<String>,
}

impl Notification {
    /// Planned for later or on hold, and not tried yet: what is written in its place keeps that.
    pub fn keeps_its_time(&self, now: DateTime<Utc>) -> bool {
        let is_ahead = self.next_attempt_at.is_none_or(|at| at > now);
        !self.standing.is_settled() && self.attempts == 0 && is_ahead
    }
}

/// The database's clock.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(
        r#"-- outboxd now
           select statement_timestamp() as "now!""#
    )
    .fetch_one(conn)
    .await
}

/// Exactly these notifications, newest first.
pub async fn read(conn: &mut PgConnection, hits: &[Hit]) -> sqlx::Result<Vec<Notification>> {
    let ids: Vec<i64> = hits.iter().map(|hit| hit.id).collect();
    let mut found = of_ids(conn, &ids).await?;
    found.retain(|it| hits.iter().any(|hit| hit.key == it.key.0));
    Ok(found)
}

/// The notifications with these ids, newest first. An id names two of them only after a failover to a
/// lagging standby; both are returned.
///
/// Times that a CRM may write are cut to what a calendar holds: PostgreSQL's reach further than ours, and
/// `infinity` is a row on hold or without a limit. One odd row must not cost its neighbours their answer.
pub async fn of_ids(conn: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<Notification>> {
    let rows = sqlx::query!(
        r#"-- outboxd read
           select v.id as "id!", v.key as "key!: Uuid", v.app as "app!", v.event_type as "event_type!",
                  v.aggregate_type as "aggregate_type!", v.aggregate_id as "aggregate_id!",
                  v.recipient as "recipient!", v.status as "status!", v.reason, v.errcode,
                  v.attempts as "attempts!", v.may_have_arrived as "may_have_arrived!", v.msgid,
                  greatest(least(v.created_at, '9999-12-31'), '0001-01-01') as "created_at!", v.created_by as "created_by!",
                  case when isfinite(v.next_attempt_at) then least(v.next_attempt_at, '9999-12-31') end as next_attempt_at,
                  case when isfinite(v.expires_at) then least(v.expires_at, '9999-12-31') end as expires_at, v.settled_at, v.last_attempt_at, v.dedupe_key,
                  (select d.settled_by from outboxd.notification_delivery d
                    where d.id = v.id and d.settled_at = v.settled_at limit 1) as settled_by,
                  last.sentence as "last_reason?", last.errcode as last_errcode, last.latency_ms as last_latency_ms
             from outboxd.notification_delivery_status v
             left join lateral (
                  select a.sentence, a.errcode, a.latency_ms from outboxd.notification_attempt a
                   where a.notification_id = v.id and a.ended_at = v.last_attempt_at
                   order by a.attempt desc limit 1) last on true
            where v.id = any($1)
            order by v.id desc, v.created_at desc
            limit 1000"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Notification {
                id: NotificationId(row.id),
                key: Key(row.key),
                app: row.app,
                event_type: row.event_type,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                recipient: row.recipient,
                standing: row
                    .status
                    .parse()
                    .map_err(|why: String| sqlx::Error::Decode(why.into()))?,
                reason: row.reason,
                errcode: row.errcode,
                attempts: row.attempts,
                may_have_arrived: row.may_have_arrived,
                msgid: row.msgid,
                created_at: row.created_at,
                created_by: row.created_by,
                next_attempt_at: row.next_attempt_at,
                expires_at: row.expires_at,
                settled_at: row.settled_at,
                settled_by: row.settled_by,
                last_attempt_at: row.last_attempt_at,
                last_reason: row.last_reason,
                last_errcode: row.last_errcode,
                last_latency_ms: row.last_latency_ms,
                dedupe_key: row.dedupe_key,
            })
        })
        .collect()
}
