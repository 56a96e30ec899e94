//! Bulk redrive: all that a filter names, sent again a little at a time, and stopped before it does harm.
//!
//! ```text
//! plan ──▶ planned ──start──▶ running ──▶ done
//!                              │  ▲  └──▶ stopped     by itself: too large a share of a rung failed
//!                       pause  ▼  │ resume (from paused and from stopped)
//!                             paused ──cancel──▶ cancelled
//! ```
//!
//! It lives in the database and nowhere else. [`step`] is one short transaction that any process may make at any time:
//! whoever holds the row of the redrive works, the others find nothing to do, and one that dies takes back nothing but
//! its own step. The set is what fitted the filter at the instant of the preview; a settled row never changes where it
//! is, so the set is walked in the order of settling and never copied.
//!
//! A *rung* is a handful sent again together. The first one is a canary of five, and all of them are waited for. Then each
//! rung is twice the one before, up to so many a second, and begins when what came of the last one is known.
//!
//! It is done when nothing of it is on its way. One that waits for its person's permission, or behind such a one, may wait for
//! ever: it is somebody's turn, and no longer the redrive's.

mod change;
mod pick;
mod plan;
mod step;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::inspect::Capped;

pub use change::{Changed, Order, change};
pub use plan::{Asked, Planned, plan, preview};
pub use step::{CANARY, Stepped, next_to_drive, step};

/// The name of a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkId(pub i64);

impl std::fmt::Display for BulkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a redrive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Planned,
    Running,
    Paused,
    Stopped,
    Cancelled,
    Done,
}

impl State {
    pub const ALL: [State; 6] = [
        State::Planned,
        State::Running,
        State::Paused,
        State::Stopped,
        State::Cancelled,
        State::Done,
    ];

    /// The word in the column.
    pub fn word(self) -> &'static str {
        match self {
            State::Planned => "planned",
            State::Running => "running",
            State::Paused => "paused",
            State::Stopped => "stopped",
            State::Cancelled => "cancelled",
            State::Done => "done",
        }
    }

    fn of(word: &str) -> sqlx::Result<State> {
        State::ALL
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or_else(|| {
                sqlx::Error::Decode(format!("{word} is no state of a bulk redrive").into())
            })
    }
}

/// What the plan would send again, as it was when it was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    pub count: i64,
    /// Counting stopped there; all the others belong to the set as well.
    pub is_more: bool,
    /// When the oldest was written.
    pub oldest: Option<DateTime<Utc>>,
    /// Written more than a day before.
    pub stale: i64,
    /// Of use until a time that has passed; in the set only if that was asked for.
    pub late: i64,
    /// May have arrived, so may arrive twice; in the set only if that was asked for.
    pub doubtful: i64,
    /// Another was written in their place, or a newer one after them: left out.
    #[serde(default)]
    pub replaced: i64,
    /// The person was told another way, or nobody has to know any more: left out.
    #[serde(default)]
    pub handled: i64,
    /// Keep their order among those of the same `order_key`.
    pub ordered: i64,
    /// Why those of the set ended, the most frequent first; at most fifty causes.
    #[serde(default)]
    pub causes: Vec<CauseCount>,
}

/// So many for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseCount {
    /// Key into the catalogue.
    pub reason: String,
    pub count: i64,
}

/// A redrive, and how far it has come.
#[derive(Clone, Debug)]
pub struct Bulk {
    pub id: BulkId,
    pub statuses: Vec<String>,
    pub app: Option<String>,
    pub reason: Option<String>,
    pub event_type: Option<String>,
    pub recipient: Option<String>,
    pub settled_since: Option<DateTime<Utc>>,
    /// The instant of the preview.
    pub settled_until: DateTime<Utc>,
    pub with_doubtful: bool,
    pub with_late: bool,
    pub preview: Preview,
    pub why: String,
    pub state: State,
    /// What a person saw: an [`Order`] for another version does nothing.
    pub version: i32,
    pub planned_at: DateTime<Utc>,
    pub planned_by: String,
    pub changed_at: DateTime<Utc>,
    pub changed_by: String,
    pub stopped_because: Option<String>,
    pub per_second: i32,
    pub stop_above: i32,
    pub rung: i32,
    /// Sent again.
    pub redriven: i64,
    /// Left alone: it moved before its turn, or another one with its dedupe key waits.
    pub refused: i64,
    pub delivered: i64,
    pub failed: i64,
    /// Cancelled or superseded before they were sent.
    pub withdrawn: i64,
    /// Sent again, and not ended yet.
    pub underway: i64,
    /// Of those: an attempt failed, and another follows.
    pub retrying: Capped,
    /// Sent again, and left to wait for a permission when all the others had ended.
    pub waiting: i64,
}

/// How many that are tried again are counted, to show a redrive; the question counts one more.
const COUNTED: i64 = 1000;

/// The columns of a [`Bulk`] with what is under way, which is what has not ended; where nothing is any more, that waits.
macro_rules! read {
    ($where:literal, $($argument:expr),*) => {
        sqlx::query!(
            r#"-- outboxd bulk
               select b.id, b.statuses, b.app, b.reason, b.event_type, b.recipient, b.settled_since, b.settled_until,
                      b.with_doubtful, b.with_late, b.preview::text as "preview!", b.why, b.state, b.version, b.planned_at,
                      b.planned_by, b.changed_at, b.changed_by, b.stopped_because, b.per_second, b.stop_above, b.rung,
                      b.redriven, b.refused, b.delivered, b.failed, b.withdrawn,
                      b.redriven - b.delivered - b.failed - b.withdrawn as "not_ended!",
                      -- In order, so that it goes by the index: beside another one's many, a planner would read all of those.
                      (select u.bulk_id from outboxd.bulk_redrive_underway u
                        where u.bulk_id = b.id order by u.notification_id limit 1) is not null as "is_underway!",
                      (select count(*) from (select from outboxd.bulk_redrive_underway u
                                              where u.bulk_id = b.id and u.has_failed
                                              order by u.notification_id limit 1001) f) as "retrying!"
                 from outboxd.bulk_redrive b
                where "# + $where,
            $($argument),*
        )
        .map(|row| Ok(Bulk {
            id: BulkId(row.id), statuses: row.statuses, app: row.app, reason: row.reason, event_type: row.event_type,
            recipient: row.recipient, settled_since: row.settled_since, settled_until: row.settled_until,
            with_doubtful: row.with_doubtful, with_late: row.with_late,
            preview: serde_json::from_str(&row.preview).map_err(|why| sqlx::Error::Decode(why.into()))?,
            why: row.why, state: State::of(&row.state)?, version: row.version, planned_at: row.planned_at,
            planned_by: row.planned_by, changed_at: row.changed_at, changed_by: row.changed_by,
            stopped_because: row.stopped_because, per_second: row.per_second, stop_above: row.stop_above, rung: row.rung,
            redriven: row.redriven, refused: row.refused, delivered: row.delivered, failed: row.failed,
            withdrawn: row.withdrawn, retrying: Capped::of(row.retrying, COUNTED),
            underway: if row.is_underway { row.not_ended } else { 0 },
            waiting: if row.is_underway { 0 } else { row.not_ended },
        }))
    };
}

/// One redrive.
pub async fn bulk(conn: &mut PgConnection, id: BulkId) -> sqlx::Result<Option<Bulk>> {
    read!("b.id = $1 limit 1", id.0)
        .fetch_optional(conn)
        .await?
        .transpose()
}

/// The redrives, newest first; the next page is before the last one's id.
pub async fn bulks(
    conn: &mut PgConnection,
    before: Option<BulkId>,
    limit: i64,
) -> sqlx::Result<Vec<Bulk>> {
    read!(
        "($1::bigint is null or b.id < $1) order by b.id desc limit $2",
        before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .collect()
}
